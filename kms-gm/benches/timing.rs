//! Whether the time of what has secrets depends on them, by statistics.
//!
//!     cargo bench -p kms-gm --bench timing
//!
//! Each operation runs with one fixed secret and with random ones, in random order; Welch's t tells whether the mean times
//! differ (O. Reparaz, J. Balasch and I. Verbauwhede, "Dude, is my code constant time?", 2017). An amount below 4.5 is none to
//! speak of, above 10 there is a difference. It is taken over all measurements, and over those below some quantiles, without
//! what the machine does meanwhile; the largest is told. The last operation branches on its secret, and must stand out.
//!
//! What looks at the code instead of the clock: `cargo xtask valgrind`.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use kms_gm::sm2::{OVERHEAD, PrivateKey};
use kms_gm::sm4;

const MEASUREMENTS: usize = 200_000;
const QUANTILES: [f64; 4] = [1.0, 0.99, 0.9, 0.5];

/// A cheap source of what the secrets and their order are made of (Vigna, "splitmix64").
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|bytes| bytes.copy_from_slice(&self.word().to_le_bytes()));
        bytes
    }
}

/// Sums of one class.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, time: f64) {
        self.count += 1.0;
        self.sum += time;
        self.squares += time * time;
    }

    fn mean(self) -> f64 {
        self.sum / self.count
    }

    /// The variance of the mean.
    fn variance(self) -> f64 {
        let mean = self.mean();
        (self.squares / self.count - mean * mean) / (self.count - 1.0)
    }
}

/// Welch's t of both classes' times that are at most `limit`.
fn welch(times: &[(usize, f64)], limit: f64) -> f64 {
    let mut classes = [Sums::default(); 2];
    times.iter().filter(|(_, time)| *time <= limit).for_each(|(class, time)| classes[*class].add(*time));
    let [fixed, random] = classes;
    (fixed.mean() - random.mean()) / (fixed.variance() + random.variance()).sqrt()
}

/// The largest t of an operation, by amount, and its median time in nanoseconds.
fn largest<S>(count: usize, random: &mut Random, prepare: impl Fn([u8; 32]) -> S, work: impl Fn(&S)) -> (f64, f64) {
    let fixed = random.bytes();
    let neutral = prepare([0x42; 32]);
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            // Both classes do the same before the clock runs, and have their secret in the same place.
            let (class, fresh) = ((random.word() & 1) as usize, random.bytes());
            let secret = prepare(black_box([fixed, fresh][class]));
            // The processor comes from the same work, and has finished all that led to the secret.
            work(black_box(&neutral));
            let start = Instant::now();
            work(black_box(&secret));
            (class, start.elapsed().as_nanos() as f64)
        })
        .collect();
    // Caches and branch predictors have settled after the first tenth.
    times.drain(..count / 10);
    let mut sorted: Vec<_> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |quantile: f64| sorted[((sorted.len() - 1) as f64 * quantile) as usize];
    // Where one class alone is so fast there is nothing to compare.
    let all = QUANTILES.map(|quantile| welch(&times, at(quantile))).into_iter().filter(|t| t.is_finite());
    let largest = all.max_by(|a, b| a.abs().total_cmp(&b.abs()));
    (largest.expect("a quantile"), at(0.5))
}

fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let count = if measures { MEASUREMENTS } else { 200 };
    let random = &mut Random(Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()));
    let key = |bytes: [u8; 32]| PrivateKey::from_bytes(&bytes).expect("a key, but for one in 2^32");
    let one = key([0x42; 32]);
    let public = one.public_key();
    let mut ciphertext = [0; 64 + OVERHEAD];
    let draw = |from: [u8; 32]| {
        move |bytes: &mut [u8; 64]| -> Result<(), Infallible> {
            bytes[..32].copy_from_slice(&from);
            Ok(())
        }
    };
    public.encrypt(&[7; 64], draw([1; 32]), &mut ciphertext).expect("a plaintext");
    let c1 = ciphertext[1..65].try_into().expect("C1");

    println!("{:<36}{:>10}{:>10}", "operation, and what is secret in it", "ns", "t");
    let tell = |name: &str, (t, median): (f64, f64)| println!("{name:<36}{median:>10.0}{t:>10.2}");
    tell(
        "SM2 sign: the key",
        largest(count, random, key, |key| {
            black_box(key.sign(&[7; 32], &[9; 32]));
        }),
    );
    tell(
        "SM2 sign: the nonce",
        largest(
            count,
            random,
            |bytes| bytes,
            |entropy| {
                black_box(one.sign(&[7; 32], entropy));
            },
        ),
    );
    tell(
        "SM2 private key from bytes",
        largest(
            count,
            random,
            |bytes| bytes,
            |bytes| {
                black_box(PrivateKey::from_bytes(bytes));
            },
        ),
    );
    // Nobody has encrypted this to the random keys; all are refused alike, the fixed one too.
    tell(
        "SM2 decrypt: the key",
        largest(count / 4, random, key, |key| {
            black_box(key.decrypt(c1, &[0; 32], &ciphertext[97..], &mut [0; 64]).is_err());
        }),
    );
    tell(
        "SM2 encrypt: the nonce",
        largest(
            count,
            random,
            |bytes| bytes,
            |entropy| {
                let mut out = [0; 64 + OVERHEAD];
                public.encrypt(&[7; 64], draw(*entropy), &mut out).expect("a plaintext");
                black_box(out);
            },
        ),
    );
    tell(
        "SM4-GCM 1 KiB: the key",
        largest(
            count,
            random,
            |bytes| *bytes.first_chunk().expect("16 of 32 bytes"),
            |key: &[u8; 16]| {
                black_box(sm4::seal(key, &[1; 12], &[], &[7; 1024], &mut [0; 1024]));
            },
        ),
    );
    tell(
        "a branch for each bit of a secret",
        largest(
            count,
            random,
            |bytes| bytes,
            |bytes| {
                for bit in 0..256 {
                    if bytes[bit / 8] >> (bit % 8) & 1 == 1 {
                        black_box((0..black_box(8)).sum::<u64>());
                    }
                }
            },
        ),
    );
}
