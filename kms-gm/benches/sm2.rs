//! SM2 by this crate and by `sm2`, in alternating rounds; processor time.
//!
//!     cargo bench -p kms-gm --bench sm2
//!     cargo bench -p kms-gm --features memcheck --bench sm2 -- --portable    # without MULX and ADX
//!
//! A digest goes in, the key is parsed; encryption and decryption of 64 bytes. `new key` verifies and encrypts under a key
//! that has no table yet.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod portable;

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use kms_gm::sm2::{OVERHEAD, PrivateKey, PublicKey};
use rustix::time::{ClockId, clock_gettime};
use sm2::dsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use sm2::dsa::{Signature, SigningKey};
use sm2::elliptic_curve::rand_core::{TryCryptoRng, TryRng};
use sm2::pke::{DecryptingKey, Mode};

const ROUNDS: usize = 101;
const TURN: Duration = Duration::from_millis(2);
const D: [u8; 32] = [0x42; 32];
const DIGEST: [u8; 32] = [7; 32];
const TEXT: [u8; 64] = [1; 64];

/// A cheap source, so that only the arithmetic is compared.
struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.try_next_u64()? as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for bytes in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

struct Contestant {
    operation: &'static str,
    ours: Box<dyn FnMut()>,
    theirs: Box<dyn FnMut()>,
}

fn contestants() -> Vec<Contestant> {
    let key = || PrivateKey::from_bytes(&D).expect("a key");
    let point = key().public_key().to_bytes();
    let public = || PublicKey::from_bytes(&point).expect("a point");
    let their_key = || SigningKey::from_slice("", &D).expect("a key");
    let their_decrypting = || {
        let key = *their_key().as_nonzero_scalar();
        DecryptingKey::new_with_mode(key, Mode::C1C3C2)
    };
    let signature = key().sign(&DIGEST, &[3; 32]);
    let their_signature = Signature::from_bytes(&signature.into()).expect("a signature");
    let mut ciphertext = [0; TEXT.len() + OVERHEAD];
    let encrypt = |public: &PublicKey, rng: &mut Counter, out: &mut [u8]| {
        public.encrypt(black_box(&TEXT), |entropy| rng.try_fill_bytes(entropy), out).expect("a plaintext");
    };
    encrypt(&public(), &mut Counter(0), &mut ciphertext);
    let decrypts = key().decrypt(
        ciphertext[1..65].try_into().expect("a point"),
        ciphertext[65..97].try_into().expect("a hash"),
        &ciphertext[97..],
        &mut [0; 64],
    );
    assert!(decrypts.is_ok(), "what is measured works");
    let theirs_decrypts = their_decrypting().decrypt(&ciphertext).expect("what is measured works");
    assert_eq!(theirs_decrypts, TEXT);
    let warm = || {
        let public = public();
        (0..32).for_each(|_| assert!(public.verify(&DIGEST, &signature)));
        public
    };

    let mut all = Vec::new();
    let mut add = |operation, ours: Box<dyn FnMut()>, theirs: Box<dyn FnMut()>| {
        all.push(Contestant { operation, ours, theirs });
    };
    let verify = || -> Box<dyn FnMut()> {
        let key = their_key().verifying_key().clone();
        Box::new(move || key.verify_prehash(black_box(&DIGEST), &their_signature).expect("it is good"))
    };
    let their_encrypt = || -> Box<dyn FnMut()> {
        let key = their_decrypting();
        let mut rng = Counter(0);
        Box::new(move || {
            black_box(key.encrypting_key().encrypt(&mut rng, black_box(&TEXT)).expect("a plaintext"));
        })
    };
    let (ours, theirs) = (key(), their_key());
    let mut rng = Counter(0);
    add(
        "sign",
        Box::new(move || {
            black_box(ours.sign(black_box(&DIGEST), &[3; 32]));
        }),
        Box::new(move || {
            let signature: Signature = theirs.sign_prehash_with_rng(&mut rng, black_box(&DIGEST)).expect("a signature");
            black_box(signature);
        }),
    );
    let ours = public();
    add(
        "verify, new key",
        Box::new(move || {
            let key = PublicKey::from_bytes(black_box(&ours.to_bytes())).expect("a point");
            assert!(key.verify(black_box(&DIGEST), &signature));
        }),
        verify(),
    );
    let ours = warm();
    add("verify", Box::new(move || assert!(ours.verify(black_box(&DIGEST), &signature))), verify());
    let mut rng = Counter(0);
    add(
        "encrypt 64 B, new key",
        Box::new(move || {
            let key = PublicKey::from_bytes(black_box(&point)).expect("a point");
            encrypt(&key, &mut rng, black_box(&mut [0; TEXT.len() + OVERHEAD]));
        }),
        their_encrypt(),
    );
    let ours = warm();
    let mut rng = Counter(0);
    add(
        "encrypt 64 B",
        Box::new(move || encrypt(&ours, &mut rng, black_box(&mut [0; TEXT.len() + OVERHEAD]))),
        their_encrypt(),
    );
    let (ours, theirs) = (key(), their_decrypting());
    add(
        "decrypt 64 B",
        Box::new(move || {
            let c1 = ciphertext[1..65].try_into().expect("a point");
            let c3 = ciphertext[65..97].try_into().expect("a hash");
            ours.decrypt(black_box(c1), c3, &ciphertext[97..], &mut [0; 64]).expect("a ciphertext");
        }),
        Box::new(move || {
            black_box(theirs.decrypt(black_box(&ciphertext)).expect("a ciphertext"));
        }),
    );
    add(
        "private key from bytes",
        Box::new(|| {
            black_box(PrivateKey::from_bytes(black_box(&D)));
        }),
        Box::new(|| {
            black_box(SigningKey::from_slice("", black_box(&D)).expect("a key"));
        }),
    );
    all
}

/// Processor time of this thread.
fn now() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("it is not negative")
}

/// Nanoseconds of one call, from as many as fit a turn.
fn turn(work: &mut dyn FnMut()) -> f64 {
    let start = now();
    let mut count = 0;
    while now() - start < TURN {
        for _ in 0..8 {
            work();
        }
        count += 8;
    }
    (now() - start).as_nanos() as f64 / f64::from(count)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    portable::if_asked();
    let measures = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measures { ROUNDS } else { 1 };
    println!("{:<24}{:>10}{:>10}{:>8}", "us", "kms-gm", "sm2", "ratio");
    for Contestant { operation, mut ours, mut theirs } in contestants() {
        let (mut our_times, mut their_times): (Vec<_>, Vec<_>) =
            (0..rounds).map(|_| (turn(&mut *ours), turn(&mut *theirs))).unzip();
        let [ours, theirs] = [&mut our_times, &mut their_times].map(|times| median(times) / 1000.0);
        println!("{operation:<24}{ours:>10.2}{theirs:>10.2}{:>8.2}", theirs / ours);
    }
}
