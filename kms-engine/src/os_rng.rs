//! Where an engine's randomness comes from.
//!
//! | asked for | drawn from | cost |
//! |---|---|---|
//! | [`Rng::secret`]: key material, data keys | the operating system, each time | some 400 ns |
//! | [`Rng::public`]: nonces, identifiers | a ChaCha20 generator of the calling thread | some 50 ns |
//!
//! A nonce need not stay secret, but it must never come twice under one key. The generator of a thread is therefore
//! seeded by the operating system, and what could make two generators alike is met one by one:
//!
//! - **fork**: the child sees another [generation](kms_secmem::fork::generation) and seeds anew before its first byte.
//! - **a cloned or restored virtual machine**: nothing tells us, so a random word of the processor is mixed into the
//!   first 8 bytes of each draw. Two machines that go on from one state draw alike only if those words are equal too.
//!   Where the processor has no such instruction, the exposure ends with the next seeding.
//! - **a state that leaked**: a generator is seeded anew after 1 MiB, and after a minute. Asking for the time at each
//!   draw would cost as much as the draw, so that is done once in 1 KiB: an idle thread may draw some forty nonces
//!   after its minute is over.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use kms_core::rng::{EntropyError, Rng};
use kms_secmem::lock::Mutex;
use kms_secmem::wiped::with_wiped_stack;
use kms_secmem::{fork, hwrand};
use zeroize::Zeroizing;

/// Bytes that one seed is good for.
const SEED_BYTES: usize = 1 << 20;
/// How long one seed is good for.
const SEED_AGE: Duration = Duration::from_secs(60);
/// Bytes between two looks at the time.
const LOOK_BYTES: usize = 1024;

/// The randomness of an engine: that of the operating system or, for reproducible tests, that of a seed.
///
/// A call draws through `&mut &entropy`, a [`Rng`]. Nothing is locked between two draws, so a call may last and may
/// make other calls.
pub struct Entropy {
    /// Boxed because hardly any engine has one.
    seeded: Option<Box<Mutex<SeededRng>>>,
}

impl Entropy {
    /// Entropy of the operating system for `None`; otherwise bytes that the seed alone decides.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        Self { seeded: seed.map(|seed| Box::new(Mutex::new(SeededRng::new(seed)))) }
    }
}

impl Rng for &Entropy {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        match &self.seeded {
            None => OsRng.secret(out),
            Some(seeded) => seeded.lock().secret(out),
        }
    }

    #[inline]
    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        match &self.seeded {
            None => OsRng.public(out),
            Some(seeded) => seeded.lock().public(out),
        }
    }
}

/// Entropy of the operating system. The state is the thread's, so this is free to make wherever one is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRng;

impl Rng for OsRng {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(out).map_err(|_| EntropyError)
    }

    #[inline]
    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        let drawn = GENERATOR.try_with(|state| draw(&mut state.borrow_mut(), out, &mut Machine));
        // A thread that is ending has already given its generator up.
        drawn.unwrap_or_else(|_| OsRng.secret(out))
    }
}

/// Bytes that a seed decides: reproducible, and therefore no secret. For tests and demonstrations.
///
/// Both kinds of bytes come from one stream, so that the order of draws decides the bytes: the ChaCha20 key stream
/// under the seed (8 bytes, little-endian) followed by 24 zero bytes, with a zero nonce. A draw takes whole words of 4
/// bytes.
pub struct SeededRng(ChaCha20Rng);

impl SeededRng {
    /// Starts the stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut key = chacha20::Seed::default();
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha20Rng::from_seed(key))
    }
}

impl Rng for SeededRng {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.public(out)
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill_bytes(out);
        Ok(())
    }
}

thread_local! {
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

/// What a generator needs to know of the machine it runs on.
trait Surroundings {
    /// Fills `out` with entropy of the operating system.
    fn entropy(&mut self, out: &mut [u8]) -> Result<(), EntropyError>;
    /// A number that differs between a process and its forked children.
    fn generation(&mut self) -> u32;
    /// A random word of the processor, if it has any.
    fn word(&mut self) -> Option<u64>;
    /// The monotonic time.
    fn now(&mut self) -> Instant;
}

/// The machine itself.
struct Machine;

impl Surroundings for Machine {
    fn entropy(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(out).map_err(|_| EntropyError)
    }

    #[inline]
    fn generation(&mut self) -> u32 {
        fork::generation()
    }

    #[inline]
    fn word(&mut self) -> Option<u64> {
        hwrand::hardware_word()
    }

    fn now(&mut self) -> Instant {
        Instant::now()
    }
}

/// A seeded stream and what it may still be used for. Dropping it wipes it.
struct Generator {
    stream: ChaCha20Rng,
    generation: u32,
    seeded: Instant,
    /// Bytes until a new seed is due.
    left: usize,
    /// Bytes until the time is looked at.
    look_in: usize,
}

impl Generator {
    #[cold]
    fn seed(generation: u32, around: &mut impl Surroundings) -> Result<Self, EntropyError> {
        // Taken before the seed, so that a pause in between makes the generator look older, never younger.
        let seeded = around.now();
        with_wiped_stack(|| {
            let mut seed = Zeroizing::new(chacha20::Seed::default());
            around.entropy(&mut *seed)?;
            let stream = ChaCha20Rng::from_seed(*seed);
            Ok(Self { stream, generation, seeded, left: SEED_BYTES, look_in: LOOK_BYTES })
        })
    }

    /// Whether the next `bytes` may come from this generator; they are then accounted for.
    #[inline]
    fn grants(&mut self, bytes: usize, generation: u32, around: &mut impl Surroundings) -> bool {
        if self.generation != generation || self.left < bytes {
            return false;
        }
        if self.look_in < bytes {
            if around.now().saturating_duration_since(self.seeded) >= SEED_AGE {
                return false;
            }
            self.look_in = LOOK_BYTES;
        }
        self.left -= bytes;
        self.look_in = self.look_in.saturating_sub(bytes);
        true
    }
}

/// Draws from the generator in `state`, which is seeded anew first if it must be.
#[inline]
fn draw(state: &mut Option<Generator>, out: &mut [u8], around: &mut impl Surroundings) -> Result<(), EntropyError> {
    let generation = around.generation();
    // A long draw counts as all that a seed is good for: it gets a fresh one, and the next draw another.
    let bytes = out.len().min(SEED_BYTES);
    if !state.as_mut().is_some_and(|generator| generator.grants(bytes, generation, around)) {
        // If seeding fails nothing is left to draw from: an old stream must not outlive a fork.
        *state = None;
        let mut fresh = Generator::seed(generation, around)?;
        fresh.left -= bytes;
        fresh.look_in = fresh.look_in.saturating_sub(bytes);
        *state = Some(fresh);
    }
    let Some(generator) = state else { return Err(EntropyError) };
    generator.stream.fill_bytes(out);
    if let Some(word) = around.word() {
        mix(out, word);
    }
    Ok(())
}

/// Adds a word to the first 8 bytes. The sum with an independent stream is no easier to predict than that stream.
#[inline]
fn mix(out: &mut [u8], word: u64) {
    if let Some(head) = out.first_chunk_mut::<8>() {
        *head = (u64::from_le_bytes(*head) ^ word).to_le_bytes();
    } else {
        for (byte, random) in out.iter_mut().zip(word.to_le_bytes()) {
            *byte ^= random;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A machine whose every circumstance the test decides. Its entropy counts up, so that each seed is another one and
    /// two machines seed alike.
    struct Fake {
        seeds: u8,
        generation: u32,
        word: Option<u64>,
        now: Instant,
        looks: u32,
        fails: bool,
    }

    impl Fake {
        fn new() -> Self {
            Self { seeds: 0, generation: 0, word: None, now: Instant::now(), looks: 0, fails: false }
        }
    }

    impl Surroundings for Fake {
        fn entropy(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            if self.fails {
                return Err(EntropyError);
            }
            self.seeds += 1;
            out.fill(self.seeds);
            Ok(())
        }

        fn generation(&mut self) -> u32 {
            self.generation
        }

        fn word(&mut self) -> Option<u64> {
            self.word
        }

        fn now(&mut self) -> Instant {
            self.looks += 1;
            self.now
        }
    }

    fn nonce(state: &mut Option<Generator>, around: &mut Fake) -> [u8; 24] {
        let mut out = [0; 24];
        draw(state, &mut out, around).expect("this machine has entropy");
        out
    }

    #[test]
    fn one_seed_is_good_for_a_mebibyte() {
        let (mut state, mut around) = (None, Fake::new());
        for _ in 0..SEED_BYTES / 24 {
            nonce(&mut state, &mut around);
        }
        assert_eq!(around.seeds, 1);
        nonce(&mut state, &mut around);
        assert_eq!(around.seeds, 2);
        assert!(around.looks < (SEED_BYTES / LOOK_BYTES) as u32 * 2, "{} looks at the time", around.looks);
    }

    #[test]
    fn one_seed_is_good_for_a_minute_and_a_few_draws() {
        let (mut state, mut around) = (None, Fake::new());
        nonce(&mut state, &mut around);
        around.now += SEED_AGE - Duration::from_millis(1);
        for _ in 0..LOOK_BYTES / 24 + 1 {
            nonce(&mut state, &mut around);
        }
        assert_eq!(around.seeds, 1);
        around.now += Duration::from_millis(1);
        for _ in 0..LOOK_BYTES / 24 + 1 {
            nonce(&mut state, &mut around);
        }
        assert_eq!(around.seeds, 2);
    }

    #[test]
    fn a_long_draw_is_one_seeds_work() {
        let (mut state, mut around) = (None, Fake::new());
        nonce(&mut state, &mut around);
        let mut long = vec![0; 3 * SEED_BYTES + 1];
        draw(&mut state, &mut long, &mut around).expect("this machine has entropy");
        assert_eq!(around.seeds, 2);
        nonce(&mut state, &mut around);
        assert_eq!(around.seeds, 3);
        draw(&mut state, &mut [], &mut around).expect("nothing is always there");
    }

    // Goal: parent and child share no byte after a fork, and a child whose seeding fails gets none of its parent's.
    #[test]
    fn a_forked_child_seeds_anew() {
        let (mut state, mut around) = (None, Fake::new());
        nonce(&mut state, &mut around);
        around.generation += 1;
        around.fails = true;
        assert_eq!(draw(&mut state, &mut [0; 24], &mut around), Err(EntropyError));
        assert_eq!(draw(&mut state, &mut [0; 24], &mut around), Err(EntropyError));
        around.fails = false;
        nonce(&mut state, &mut around);
        assert_eq!(around.seeds, 2);
    }

    // Goal: two copies of one machine draw different nonces if their processors' words differ, in the first 8 bytes;
    // draws shorter than a word are mixed too. Method: the second copy replays the first with other words.
    #[test]
    fn copies_of_a_machine_differ_by_the_processors_word() {
        let draws = |word: Option<u64>, len: usize| {
            let (mut state, mut around) = (None, Fake::new());
            around.word = word;
            let mut out = vec![0; len];
            draw(&mut state, &mut out, &mut around).expect("this machine has entropy");
            out
        };
        for len in [1, 7, 8, 16, 24] {
            let plain = draws(None, len);
            assert_eq!(plain, draws(None, len));
            let mixed = draws(Some(0x8877_6655_4433_2211), len);
            let difference: Vec<u8> = plain.iter().zip(&mixed).map(|(a, b)| a ^ b).collect();
            let mut expected = vec![0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
            expected.resize(len.max(8), 0);
            assert_eq!(difference, expected[..len]);
        }
    }

    #[test]
    fn nothing_comes_twice() {
        let seen: HashSet<[u8; 24]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..10_000)
                            .map(|_| {
                                let mut out = [0; 24];
                                OsRng.public(&mut out).map(|()| out)
                            })
                            .collect::<Result<Vec<_>, _>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic").expect("entropy")).collect()
        });
        assert_eq!(seen.len(), 40_000);
    }

    #[test]
    fn the_operating_system_answers() {
        let (mut one, mut other) = ([0; 32], [0; 32]);
        let mut rng = &Entropy::new(None);
        rng.secret(&mut one).expect("entropy");
        rng.secret(&mut other).expect("entropy");
        assert_ne!(one, other);
    }

    // Goal: the seeded stream is the one that its description says, for ever. Expected bytes: ChaCha20 of OpenSSL
    // (Python's cryptography 50.0.2) over zeros, key 2a 00 .. 00, initial counter and nonce zero.
    #[test]
    fn a_seed_decides_every_byte() {
        const STREAM: &str =
            "1f76e526510ae36a625c8b5c597febb416042cce3db589b3dc82a8f7a4a86626eb604128710fd1d804264f1a5b080a60";
        let stream = hex::decode(STREAM).expect("hexadecimal");
        let entropy = Entropy::new(Some(42));
        let (mut key, mut odd, mut rest) = ([0; 16], [0; 5], [0; 24]);
        (&entropy).secret(&mut key).expect("a stream has no end");
        (&entropy).public(&mut odd).expect("a stream has no end");
        (&entropy).public(&mut rest).expect("a stream has no end");
        assert_eq!(key, stream[..16]);
        assert_eq!(odd, stream[16..21]);
        assert_eq!(rest, stream[24..48]);
    }
}
