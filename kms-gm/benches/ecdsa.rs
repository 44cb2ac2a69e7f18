//! Verification of ECDSA signatures by this crate and by aws-lc-rs, `p256` and `k256`, in alternating rounds; processor time.
//!
//!     cargo bench -p kms-gm --bench ecdsa
//!     cargo bench -p kms-gm --features memcheck --bench ecdsa -- --portable    # without MULX and ADX
//!
//! `new key` parses the key and verifies one signature under it; the others have a key that was used often before.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod portable;

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use kms_gm::ecdsa::{Curve, P256, PublicKey, Secp256k1};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 101;
const TURN: Duration = Duration::from_millis(2);
const D: [u8; 32] = [0x42; 32];
const DIGEST: [u8; 32] = [7; 32];

/// What does one thing, by name.
type Contestant = (&'static str, Box<dyn FnMut()>);

/// A key of the secret number, and its signature of the digest.
struct Sample {
    point: [u8; 65],
    signature: [u8; 64],
}

fn ours<C: Curve + 'static>(sample: &Sample) -> Vec<Contestant> {
    let Sample { point, signature } = *sample;
    let parse = move || PublicKey::<C>::from_bytes(black_box(point[1..].try_into().expect("X || Y"))).expect("a point");
    let used = parse();
    (0..32).for_each(|_| assert!(used.verify(&DIGEST, &signature)));
    vec![
        ("kms-gm", Box::new(move || assert!(used.verify(black_box(&DIGEST), black_box(&signature))))),
        ("kms-gm, new key", Box::new(move || assert!(parse().verify(black_box(&DIGEST), black_box(&signature))))),
    ]
}

fn aws_lc(algorithm: &'static EcdsaVerificationAlgorithm, sample: &Sample) -> Vec<Contestant> {
    let Sample { point, signature } = *sample;
    let parse = move || ParsedPublicKey::new(algorithm, black_box(point)).expect("a point");
    let verify = move |key: &ParsedPublicKey| {
        let digest = Digest::import_less_safe(black_box(&DIGEST), &SHA256).expect("32 bytes");
        key.verify_digest_sig(&digest, black_box(&signature)).expect("it is good");
    };
    let used = parse();
    vec![("aws-lc-rs", Box::new(move || verify(&used))), ("aws-lc-rs, new key", Box::new(move || verify(&parse())))]
}

/// The crates of both curves differ in their names alone.
macro_rules! rust_crypto {
    ($name:literal, $crypto:ident) => {{
        let key = $crypto::ecdsa::SigningKey::from_slice(&D).expect("a key");
        let signature: $crypto::ecdsa::Signature = key.sign_prehash(&DIGEST).expect("a signature");
        let point: [u8; 65] =
            key.verifying_key().to_sec1_point(false).as_bytes().try_into().expect("an uncompressed point");
        let parse = move || $crypto::ecdsa::VerifyingKey::from_sec1_bytes(black_box(&point)).expect("a point");
        let verify = move |key: &$crypto::ecdsa::VerifyingKey| {
            key.verify_prehash(black_box(&DIGEST), black_box(&signature)).expect("it is good");
        };
        let used = parse();
        let contestants: Vec<Contestant> = vec![
            ($name, Box::new(move || verify(&used))),
            (concat!($name, ", new key"), Box::new(move || verify(&parse()))),
        ];
        (Sample { point, signature: signature.to_bytes().into() }, contestants)
    }};
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
    let (p256_sample, p256) = rust_crypto!("p256", p256);
    let (k256_sample, k256) = rust_crypto!("k256", k256);
    let curves = [
        ("P-256", ours::<P256>(&p256_sample), aws_lc(&ECDSA_P256_SHA256_FIXED, &p256_sample), p256),
        ("secp256k1", ours::<Secp256k1>(&k256_sample), aws_lc(&ECDSA_P256K1_SHA256_FIXED, &k256_sample), k256),
    ];
    for (curve, ours, aws_lc, rust_crypto) in curves {
        println!("{curve:<24}{:>10}", "us");
        let (names, mut works): (Vec<_>, Vec<_>) = ours.into_iter().chain(aws_lc).chain(rust_crypto).unzip();
        let mut times = vec![Vec::new(); works.len()];
        for _ in 0..rounds {
            for (times, work) in times.iter_mut().zip(&mut works) {
                times.push(turn(&mut **work));
            }
        }
        for (name, times) in names.iter().zip(&mut times) {
            println!("{name:<24}{:>10.2}", median(times) / 1000.0);
        }
    }
}
