//! Published vectors and other implementations against every implementation that this processor can run.

use ::aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use serde_json::Value;

use super::*;
use crate::aes::{Gcm, Key};
use crate::level::Level;

/// What stands in an output before anything is written to it.
const UNTOUCHED: u8 = 0x5a;

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).expect("hex")
}

/// The ciphers under test, by the name that a message asks for them with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cipher {
    Aes,
    Sm4,
}

fn aes_key(key: &[u8]) -> Key<'_> {
    match key.len() {
        16 => Key::Bits128(key.try_into().expect("16 bytes")),
        24 => Key::Bits192(key.try_into().expect("24 bytes")),
        _ => Key::Bits256(key.try_into().expect("32 bytes")),
    }
}

/// Ciphertext and tag; `None` if this level has not this cipher.
fn seal(
    level: Level,
    cipher: Cipher,
    key: &[u8],
    nonce: &[u8; 12],
    aad: &[u8],
    text: &[u8],
) -> Option<(Vec<u8>, [u8; 16])> {
    let mut out = vec![UNTOUCHED; text.len()];
    let tag = match cipher {
        Cipher::Aes => Gcm::at(level)?.seal(aes_key(key), nonce, aad, text, &mut out),
        Cipher::Sm4 => sm4::seal_at(level, key.try_into().expect("16 bytes"), nonce, aad, text, &mut out),
    };
    Some((out, tag))
}

/// The plaintext. A refusal that has touched the output is a failed test.
fn open(
    level: Level,
    cipher: Cipher,
    key: &[u8],
    nonce: &[u8; 12],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; 16],
) -> Option<Result<Vec<u8>, Forged>> {
    let mut out = vec![UNTOUCHED; ciphertext.len()];
    let result = match cipher {
        Cipher::Aes => Gcm::at(level)?.open(aes_key(key), nonce, aad, ciphertext, tag, &mut out),
        Cipher::Sm4 => sm4::open_at(level, key.try_into().expect("16 bytes"), nonce, aad, ciphertext, tag, &mut out),
    };
    if result.is_err() {
        assert!(out.iter().all(|byte| *byte == UNTOUCHED), "a refused message reached the output");
    }
    Some(result.map(|()| out))
}

/// Whether a level has AES is the processor's matter; SM4 it always has.
fn assert_tested(cipher: Cipher, tested: bool) {
    assert!(tested || cipher == Cipher::Aes);
}

// Source: D. McGrew and J. Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B: the test cases
// with 96-bit nonces for AES-128 (1 to 4), AES-192 (7 to 10) and AES-256 (13 to 16).
#[test]
fn aes_gcm_cases_of_mcgrew_and_viega() {
    let text = concat!(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
    );
    let key = "feffe9928665731c6d6a8f9467308308";
    let cases = [
        (
            key.to_owned(),
            ["58e2fccefa7e3061367f1d57a4e7455a", "ab6e47d42cec13bdf53a67b21257bddf"],
            "0388dace60b6a392f328c2b971b2fe78",
            concat!(
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e",
                "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
            ),
            ["4d5c2af327cd64a62cf35abd2ba6fab4", "5bc94fbc3221a5db94fae95ae7121a47"],
        ),
        (
            format!("{key}{}", &key[..16]),
            ["cd33b28ac773f74ba00ed1f312572435", "2ff58d80033927ab8ef4d4587514f0fb"],
            "98e7247c07f0fe411c267e4384b0f600",
            concat!(
                "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c",
                "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710acade256",
            ),
            ["9924a7c8587336bfb118024db8674a14", "2519498e80f1478f37ba55bd6d27618c"],
        ),
        (
            format!("{key}{key}"),
            ["530f8afbc74536b9a963b4f1c4cb738b", "d0d1c8a799996bf0265b98b5d48ab919"],
            "cea7403d4d606b6e074ec5d3baf39d18",
            concat!(
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
            ),
            ["b094dac5d93471bdec1a502270e3cc6c", "76fc6ece0f4e1768cddf8853bb2d551b"],
        ),
    ];
    for level in Level::all().into_iter().filter(|level| Gcm::at(*level).is_some()) {
        for (key, zero_tags, zero_block, ciphertext, tags) in &cases {
            let sealed = |key: &[u8], nonce: &str, aad: &str, text: &str| {
                let nonce = unhex(nonce).try_into().expect("12 bytes");
                let (ciphertext, tag) = seal(level, Cipher::Aes, key, &nonce, &unhex(aad), &unhex(text)).expect("AES");
                (hex::encode(ciphertext), hex::encode(tag))
            };
            let key = unhex(key);
            let (zero_key, zero_nonce) = (vec![0; key.len()], "000000000000000000000000");
            assert_eq!(sealed(&zero_key, zero_nonce, "", ""), (String::new(), zero_tags[0].into()));
            let zero_text = "00000000000000000000000000000000";
            assert_eq!(sealed(&zero_key, zero_nonce, "", zero_text), ((*zero_block).into(), zero_tags[1].into()));
            let nonce = "cafebabefacedbaddecaf888";
            assert_eq!(sealed(&key, nonce, "", text), ((*ciphertext).into(), tags[0].into()));
            let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
            assert_eq!(sealed(&key, nonce, aad, &text[..120]), (ciphertext[..120].into(), tags[1].into()));
        }
    }
}

// Source: vectors/wycheproof_gcm.json, see docs/vectors.md.
#[test]
fn vectors_of_wycheproof() {
    let file: Value = serde_json::from_str(include_str!("../../vectors/wycheproof_gcm.json")).expect("a JSON file");
    let mut count = [0, 0];
    for group in file["groups"].as_array().expect("a list of groups") {
        let cipher = match group["algorithm"].as_str() {
            Some("AES-GCM") => Cipher::Aes,
            Some("SM4-GCM") => Cipher::Sm4,
            other => panic!("{other:?} is not tested here"),
        };
        for test in group["tests"].as_array().expect("a list of tests") {
            let bytes = |field: &str| unhex(test[field].as_str().expect("a field of hex"));
            let (key, aad, text, ciphertext) = (bytes("key"), bytes("aad"), bytes("msg"), bytes("ct"));
            let (nonce, tag) = (bytes("iv").try_into().expect("12 bytes"), bytes("tag").try_into().expect("16 bytes"));
            count[cipher as usize] += 1;
            for level in Level::all() {
                let opened = open(level, cipher, &key, &nonce, &aad, &ciphertext, &tag);
                assert_tested(cipher, opened.is_some());
                let Some(opened) = opened else { continue };
                if test["result"] == "valid" {
                    assert_eq!(opened.as_ref(), Ok(&text), "{cipher:?} {}", test["tcId"]);
                    assert_eq!(seal(level, cipher, &key, &nonce, &aad, &text), Some((ciphertext.clone(), tag)));
                } else {
                    assert_eq!(opened, Err(Forged), "{cipher:?} {}", test["tcId"]);
                }
            }
        }
    }
    assert_eq!(count, [197, 65]);
}

/// Ciphertext and tag by the aes-gcm crate over a block cipher of another crate.
fn theirs<E>(key: &[u8], nonce: &[u8; 12], aad: &[u8], text: &[u8]) -> (Vec<u8>, [u8; 16])
where
    AesGcm<E, U12, U16>: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit,
{
    let mut out = text.to_vec();
    let tag = AesGcm::<E, U12, U16>::new_from_slice(key)
        .expect("a key of the cipher's length")
        .encrypt_inout_detached(nonce.into(), aad, out.as_mut_slice().into())
        .expect("a short message");
    (out, tag.into())
}

// Goal: every implementation agrees with the crates aes, sm4 and ghash at every length around blocks, registers, chunks,
// batches and the border between short and long messages; what it has sealed it opens; and nothing else. Method: all
// lengths of up to 1100 bytes with associated data of 0 to 70 bytes and more, and some larger ones; one bit is changed
// in each of them, at another place each time.
#[test]
fn all_implementations_agree_with_other_crates() {
    let bytes: Vec<u8> = (0..40_000u32).map(|i| ((i * i) >> 3) as u8).collect();
    let lengths = (0..=1100).chain((1101..=2300).step_by(61)).chain([4096, 6143, 6144, 6145, 6148, 20_000, 33_333]);
    for (i, len) in lengths.enumerate() {
        let aad_len = if i % 13 == 0 { 200 + i % 400 } else { i % 71 };
        let (aad, text, nonce) = (&bytes[5000..5000 + aad_len], &bytes[..len], &[i as u8; 12]);
        for (cipher, key_len) in [(Cipher::Aes, 16), (Cipher::Aes, 24), (Cipher::Aes, 32), (Cipher::Sm4, 16)] {
            let key = &bytes[300 + i..300 + i + key_len];
            let expected = match (cipher, key_len) {
                (Cipher::Sm4, _) => theirs::<::sm4::Sm4>(key, nonce, aad, text),
                (Cipher::Aes, 16) => theirs::<Aes128>(key, nonce, aad, text),
                (Cipher::Aes, 24) => theirs::<Aes192>(key, nonce, aad, text),
                (Cipher::Aes, _) => theirs::<Aes256>(key, nonce, aad, text),
            };
            for (number, level) in Level::all().into_iter().enumerate() {
                let sealed = seal(level, cipher, key, nonce, aad, text);
                assert_tested(cipher, sealed.is_some());
                let Some((mut ciphertext, mut tag)) = sealed else { continue };
                let what = format!("{cipher:?}, {key_len} bytes of key, level {number}, {len} + {aad_len} bytes");
                assert_eq!((&ciphertext, tag), (&expected.0, expected.1), "{what}");
                let opened = open(level, cipher, key, nonce, aad, &ciphertext, &tag);
                assert_eq!(opened, Some(Ok(text.to_vec())), "{what}");

                let bit = i * 7919 % (8 * (len + TAG_LEN));
                let byte = ciphertext.get_mut(bit / 8).unwrap_or(&mut tag[bit / 8 % TAG_LEN]);
                *byte ^= 1 << (bit % 8);
                let opened = open(level, cipher, key, nonce, aad, &ciphertext, &tag);
                assert_eq!(opened, Some(Err(Forged)), "{what}, bit {bit}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "as long as its plaintext")]
fn a_wrong_length_is_a_bug() {
    let _ = sm4::seal(&[0; 16], &[0; 12], b"", &[0; 5], &mut [0; 4]);
}
