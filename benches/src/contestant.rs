//! A piece of work that can be repeated and timed, once it has shown that it is right.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use crate::abi::Kms;
use crate::apart::{Apart, Buffer};
use crate::layer::{ByAesGcm, ByRing, CAbi, Core, InEngine, Layer, RawXaes, RingAead, RingInPlace, SPEC, Xaes};

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A plaintext becomes a blob.
    Encrypt,
    /// A blob becomes its plaintext.
    Decrypt,
    /// Random bytes, and their blob.
    GenerateDataKey,
}

/// An operation on so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// What is done.
    pub operation: Operation,
    /// The length of the plaintext or data key, in bytes.
    pub len: usize,
}

impl Task {
    /// All tasks: plaintexts up to the longest that Encrypt takes, and data keys as long as AES-256 wants them and as
    /// long as they may be.
    pub const ALL: [Self; 8] = [
        Self { operation: Operation::Encrypt, len: 32 },
        Self { operation: Operation::Encrypt, len: 1024 },
        Self { operation: Operation::Encrypt, len: 6144 },
        Self { operation: Operation::Decrypt, len: 32 },
        Self { operation: Operation::Decrypt, len: 1024 },
        Self { operation: Operation::Decrypt, len: 6144 },
        Self { operation: Operation::GenerateDataKey, len: 32 },
        Self { operation: Operation::GenerateDataKey, len: 1024 },
    ];

    /// Every layer at this task, from the bottom up, all with AES-256.
    ///
    /// # Panics
    /// When a contestant's result is wrong.
    #[must_use]
    pub fn contestants(self, kms: &Arc<Kms>) -> Vec<Contestant> {
        let mut all = vec![Contestant::new(self, RingAead::new())];
        if self.operation == Operation::Encrypt {
            all.push(Contestant::new(self, RingInPlace::new()));
        }
        all.push(Contestant::new(self, RawXaes::<ByRing>::new()).as_yardstick());
        all.push(Contestant::new(self, RawXaes::<ByAesGcm>::new()).as_yardstick());
        all.push(Contestant::new(self, Xaes::new()));
        all.push(Contestant::new(self, Core::new()));
        all.push(Contestant::new(self, InEngine::new(SPEC)));
        all.push(Contestant::new(self, CAbi::new(kms, SPEC)));
        all
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} B", self.operation, self.len)
    }
}

/// Work under a name.
pub struct Contestant {
    name: String,
    is_yardstick: bool,
    repeat: Box<dyn FnMut(u64) + Send>,
}

impl Contestant {
    /// A layer at a task.
    ///
    /// # Panics
    /// When its result is wrong: what it seals does not open to what was sealed, or it seals two messages alike.
    #[must_use]
    pub fn new<L: Layer + Send + 'static>(task: Task, layer: L) -> Self {
        let mut layer = Apart(layer);
        let name = layer.name();
        let mut plaintext = Buffer::new(task.len, |i| (i * 7 + i / 256) as u8);
        let mut sealed = Buffer::new(task.len + L::OVERHEAD, |_| 0);
        let mut opened = Buffer::new(task.len, |_| 0);
        match task.operation {
            Operation::Encrypt => {
                let mut seal = || {
                    layer.place(&plaintext, &mut sealed);
                    layer.encrypt(&plaintext, &mut sealed);
                    opened.fill(0);
                    layer.decrypt(&sealed, &mut opened);
                    assert!(*opened == *plaintext, "{name} opens to something else than it has sealed");
                    sealed.to_vec()
                };
                assert!(seal() != seal(), "{name} seals two messages alike");
                Self::of(name, move || layer.encrypt(black_box(&plaintext), black_box(&mut sealed)))
            }
            Operation::Decrypt => {
                layer.place(&plaintext, &mut sealed);
                layer.encrypt(&plaintext, &mut sealed);
                layer.decrypt(&sealed, &mut opened);
                assert!(*opened == *plaintext, "{name} opens to something else than it has sealed");
                Self::of(name, move || layer.decrypt(black_box(&sealed), black_box(&mut opened)))
            }
            Operation::GenerateDataKey => {
                let mut generate = || {
                    layer.generate_data_key(&mut plaintext, &mut sealed);
                    layer.decrypt(&sealed, &mut opened);
                    assert!(*opened == *plaintext, "{name} gives out another data key than it has sealed");
                    plaintext.to_vec()
                };
                assert!(generate() != generate(), "{name} makes the same data key twice");
                Self::of(name, move || layer.generate_data_key(black_box(&mut plaintext), black_box(&mut sealed)))
            }
        }
    }

    /// Any work, already checked.
    #[must_use]
    pub fn of(name: impl Into<String>, mut work: impl FnMut() + Send + 'static) -> Self {
        // The loop stands here, so that the work is inlined into it and a call through the pointer is paid once.
        let repeat = move |times| (0..times).for_each(|_| work());
        Self { name: name.into(), is_yardstick: false, repeat: Box::new(repeat) }
    }

    /// Makes it one of those that the others of its group are compared with: the fastest of them is.
    #[must_use]
    pub fn as_yardstick(mut self) -> Self {
        self.is_yardstick = true;
        self
    }

    /// Whether others are compared with it.
    #[must_use]
    pub const fn is_yardstick(&self) -> bool {
        self.is_yardstick
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does the work so many times.
    pub fn repeat(&mut self, times: u64) {
        (self.repeat)(times);
    }
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contestant").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every contestant passes its own check, and can be repeated after it.
    #[test]
    fn every_contestant_is_right() {
        let kms = Arc::new(Kms::open(c"memory:"));
        for task in Task::ALL {
            for mut contestant in task.contestants(&kms) {
                contestant.repeat(3);
            }
        }
    }

    /// Goal: the check is one. Method: a layer whose decryption is wrong, one whose ciphertext is constant.
    #[test]
    fn a_wrong_contestant_does_not_get_through() {
        struct Wrong {
            flip: u8,
        }
        impl Layer for Wrong {
            const OVERHEAD: usize = 0;
            fn name(&self) -> String {
                "wrong".to_owned()
            }
            fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
                out.copy_from_slice(plaintext);
            }
            fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
                out.copy_from_slice(sealed);
                out[0] ^= self.flip;
            }
            fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
                out.copy_from_slice(data_key);
            }
        }
        for operation in [Operation::Encrypt, Operation::Decrypt, Operation::GenerateDataKey] {
            let task = Task { operation, len: 32 };
            let refused = |flip| std::panic::catch_unwind(|| drop(Contestant::new(task, Wrong { flip }))).is_err();
            assert!(refused(1), "{task}");
            assert_eq!(refused(0), operation != Operation::Decrypt, "{task}");
        }
    }
}
