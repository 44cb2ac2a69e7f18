//! One message under a key of its own, by this crate and by others, in alternating rounds.
//!
//!     cargo bench -p kms-gm --bench gcm
//!     cargo bench -p kms-gm --features memcheck --bench gcm -- --portable    # without AES-NI and PCLMULQDQ
//!
//! Each contestant expands its key, seals (or opens) into a second buffer and wipes what it can, for every
//! message; `ring, cached key` does not: it expands its key once and works in place. The output stands on
//! a cache line, or 61 bytes behind the beginning of one, where the ciphertext of a KMS blob stands.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod portable;

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes_gcm::aead::consts::U12;
use aes_gcm::{AeadInOut, Aes256Gcm, AesGcm, KeyInit};
use kms_gm::{aes, sm4};
use ring::aead as ring_aead;

const ROUNDS: usize = 101;
const TURN: Duration = Duration::from_millis(1);
const KEY: [u8; 32] = [0x42; 32];
const NONCE: [u8; 12] = [7; 12];
const AAD: [u8; 64] = [1; 64];

/// Seals the text into the output and returns the tag.
type Seal = Box<dyn FnMut(&[u8], &mut [u8]) -> [u8; 16]>;

fn by_crate<A: AeadInOut<NonceSize = U12> + KeyInit>(key: &[u8], text: &[u8], out: &mut [u8]) -> [u8; 16] {
    let cipher = A::new_from_slice(black_box(key)).expect("a key of the cipher's length");
    let inout = aes_gcm::aead::inout::InOutBuf::new(text, out).expect("the lengths are equal");
    let tag = cipher.encrypt_inout_detached(&NONCE.into(), &AAD, inout).expect("a short message");
    tag.as_slice().try_into().expect("a tag of 16 bytes")
}

fn by_ring(key: &ring_aead::LessSafeKey, out: &mut [u8]) -> [u8; 16] {
    let nonce = ring_aead::Nonce::assume_unique_for_key(NONCE);
    let tag = key.seal_in_place_separate_tag(nonce, ring_aead::Aad::from(AAD), out).expect("a short message");
    tag.as_ref().try_into().expect("a tag of 16 bytes")
}

fn ring_key() -> ring_aead::LessSafeKey {
    let key = ring_aead::UnboundKey::new(&ring_aead::AES_256_GCM, black_box(&KEY)).expect("32 bytes");
    ring_aead::LessSafeKey::new(key)
}

fn contestants() -> Vec<(&'static str, &'static str, Seal)> {
    let mut all: Vec<(&str, &str, Seal)> = Vec::new();
    let cached = ring_key();
    all.push((
        "AES-256",
        "ring, cached key",
        Box::new(move |text, out| {
            // In place: the output holds the text already, or a ciphertext of the same length.
            let _ = text;
            by_ring(&cached, out)
        }),
    ));
    all.push((
        "AES-256",
        "ring",
        Box::new(|text, out| {
            out.copy_from_slice(text);
            by_ring(&ring_key(), out)
        }),
    ));
    all.push(("AES-256", "aes-gcm", Box::new(|text, out| by_crate::<Aes256Gcm>(&KEY, text, out))));
    if let Some(gcm) = aes::Gcm::detect() {
        let seal: Seal =
            Box::new(move |text, out| gcm.seal(aes::Key::Bits256(black_box(&KEY)), &NONCE, &AAD, text, out));
        all.push(("AES-256", "kms-gm", seal));
    }
    let key = KEY.first_chunk::<16>().expect("half of the key");
    all.push(("SM4", "sm4", Box::new(move |text, out| by_crate::<AesGcm<::sm4::Sm4, U12>>(key, text, out))));
    all.push(("SM4", "kms-gm", Box::new(move |text, out| sm4::seal(black_box(key), &NONCE, &AAD, text, out))));
    all
}

fn check(contestants: &mut [(&str, &str, Seal)]) {
    let text: Vec<u8> = (0..1000).map(|i| i as u8).collect();
    for cipher in ["AES-256", "SM4"] {
        let mut first = None;
        for (_, name, seal) in contestants.iter_mut().filter(|contestant| contestant.0 == cipher) {
            let mut out = text.clone();
            let tag = seal(&text, &mut out);
            assert_eq!(first.get_or_insert_with(|| (tag, out.clone())), &(tag, out), "{name} disagrees");
        }
    }
}

/// Nanoseconds of one call.
fn turn(seal: &mut Seal, text: &[u8], out: &mut [u8]) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < TURN {
        for _ in 0..64 {
            black_box(seal(black_box(text), black_box(out)));
        }
        calls += 64;
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn main() {
    portable::if_asked();
    let mut contestants = contestants();
    check(&mut contestants);
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("seal, ns; medians of {ROUNDS} rounds; {} bytes of associated data", AAD.len());
    let text = vec![0x5a; 6144];
    let mut memory = vec![0; text.len() + 256];
    let aligned = memory.as_ptr().align_offset(64);
    for len in [32, 100, 1024, 6144] {
        for offset in [0, 61] {
            println!("\n{len} bytes, output {offset} bytes behind the beginning of a cache line");
            let out = &mut memory[aligned + offset..][..len];
            let mut times = vec![Vec::new(); contestants.len()];
            for _ in 0..ROUNDS {
                for ((.., seal), times) in contestants.iter_mut().zip(&mut times) {
                    times.push(turn(seal, &text[..len], out));
                }
            }
            for ((cipher, name, _), times) in contestants.iter().zip(&mut times) {
                times.sort_by(f64::total_cmp);
                println!("  {cipher:<8} {name:<17} {:>9.1}", times[ROUNDS / 2]);
            }
        }
    }
}
