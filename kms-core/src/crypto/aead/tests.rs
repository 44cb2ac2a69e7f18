//! Published vectors, vectors of an independent script, and properties, for all four ciphers.

use aes::cipher::consts::U12;
use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, AesGcm};
use proptest::prelude::*;
use shake::Shake128;
use shake::digest::{ExtendableOutput, Update, XofReader};

use super::*;

const fn is_send_and_sync<T: Send + Sync>() {}
const _: () = is_send_and_sync::<DerivingKey>();

/// What stands in an output buffer before anything is written to it.
const UNTOUCHED: u8 = 0x5a;

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).expect("hex").try_into().expect("the length that the test wants")
}

fn key(cipher: Cipher, key: &[u8]) -> DerivingKey {
    DerivingKey::new(cipher, key).expect("a key of the cipher's length")
}

fn seal(key: &DerivingKey, nonce: &[u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut out = vec![UNTOUCHED; plaintext.len() + TAG_LEN];
    key.seal(nonce, aad, plaintext, &mut out);
    out
}

/// The plaintext; a refusal that has touched the output is a failed test.
fn open(key: &DerivingKey, nonce: &[u8; NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut out = vec![UNTOUCHED; sealed.len().saturating_sub(TAG_LEN)];
    let result = key.open(nonce, aad, sealed, &mut out);
    if result.is_err() {
        assert!(out.iter().all(|b| *b == UNTOUCHED), "a refused message reached the output");
    }
    result.map(|()| out)
}

/// Ciphertext ‖ tag by the aes-gcm crate.
fn theirs<A>(key: &[u8], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8>
where
    A: AeadInOut<NonceSize = U12> + KeyInit,
{
    let mut out = plaintext.to_vec();
    let tag = A::new_from_slice(key)
        .expect("a derived key has the cipher's length")
        .encrypt_inout_detached(nonce.into(), aad, out.as_mut_slice().into())
        .expect("a short message");
    out.extend_from_slice(&tag);
    out
}

// Source: https://c2sp.org/XAES-256-GCM, "Test vectors"; the first has a carry of 0 in the doubling of L,
// the second a carry of 1.
#[test]
fn xaes_256_gcm_vectors_of_the_specification() {
    let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
    let tests = [
        (
            0x01,
            "e531954aca063d5b8d9c47a47d4cc6f0",
            "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
            "",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        ),
        (
            0x03,
            "23810ec50edb99f374409466ed1f4b7b",
            "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
            "c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ];
    for (byte, k1, message_key, aad, sealed) in tests {
        let key = key(Cipher::Aes256, &[byte; 32]);
        assert_eq!(key.expanded.k1.to_be_bytes(), unhex(k1));
        let (derived, rest) = key.derive(nonce);
        assert_eq!(derived.bytes(Cipher::Aes256), unhex::<32>(message_key));
        assert_eq!(rest, b"MNOPQRSTUVWX");
        assert_eq!(hex::encode(seal(&key, nonce, aad.as_bytes(), b"XAES-256-GCM")), sealed);
        let sealed = unhex::<28>(sealed);
        assert_eq!(open(&key, nonce, aad.as_bytes(), &sealed).as_deref(), Ok(&b"XAES-256-GCM"[..]));
    }
}

// Source: the same page, "Accumulated randomized tests", 10,000 iterations. One SHAKE-128 stream of an
// empty input gives keys, nonces, plaintexts and associated data; another digests the ciphertexts.
#[test]
fn xaes_256_gcm_accumulated_test_of_the_specification() {
    let mut stream = Shake128::default().finalize_xof();
    let mut digest = Shake128::default();
    let mut byte = [0];
    for _ in 0..10_000 {
        let (mut material, mut nonce) = ([0; 32], [0; NONCE_LEN]);
        stream.read(&mut material);
        stream.read(&mut nonce);
        let [plaintext, aad] = [(), ()].map(|()| {
            stream.read(&mut byte);
            let mut text = vec![0; usize::from(byte[0])];
            stream.read(&mut text);
            text
        });
        let key = key(Cipher::Aes256, &material);
        let sealed = seal(&key, &nonce, &aad, &plaintext);
        assert_eq!(open(&key, &nonce, &aad, &sealed).as_ref(), Ok(&plaintext));
        digest.update(&sealed);
    }
    let mut result = [0; 32];
    digest.finalize_xof().read(&mut result);
    assert_eq!(hex::encode(result), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

// Source: vectors/gen_derived_gcm.py, see docs/vectors.md.
#[test]
fn vectors_of_the_independent_script() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../../vectors/derived_gcm.json")).expect("a JSON file");
    let tests = file["tests"].as_array().expect("a list of tests");
    assert_eq!(tests.len(), 64);
    for cipher in Cipher::ALL {
        let name = format!("{cipher:?}");
        let mine: Vec<_> = tests.iter().filter(|test| test["cipher"] == name).collect();
        assert_eq!(mine.len(), 16);
        for test in mine {
            let bytes = |field: &str| hex::decode(test[field].as_str().expect("text")).expect("hex");
            let key = key(cipher, &bytes("key"));
            let nonce = bytes("nonce").try_into().expect("24 bytes");
            assert_eq!(key.derive(&nonce).0.bytes(cipher), bytes("message_key"));
            assert_eq!(seal(&key, &nonce, &bytes("aad"), &bytes("plaintext")), bytes("sealed"));
            assert_eq!(open(&key, &nonce, &bytes("aad"), &bytes("sealed")), Ok(bytes("plaintext")));
        }
    }
}

#[test]
fn keys_of_any_other_length_are_refused() {
    for cipher in Cipher::ALL {
        for len in 0..=48 {
            let made = DerivingKey::new(cipher, &[1; 48][..len]);
            assert_eq!(made.is_ok(), len == cipher.key_len(), "{cipher:?} {len}");
        }
    }
}

#[test]
fn debug_shows_the_cipher_alone() {
    assert_eq!(format!("{:?}", key(Cipher::Sm4, &[7; 16])), "DerivingKey { cipher: Sm4, .. }");
}

#[test]
fn what_is_shorter_than_a_tag_is_not_authentic() {
    for len in 0..TAG_LEN {
        assert_eq!(key(Cipher::Aes256, &[7; 32]).open(&[0; 24], b"", &[0; TAG_LEN][..len], &mut []), Err(OpenError));
    }
}

#[test]
#[should_panic(expected = "the output of seal")]
fn sealing_to_a_wrong_length_is_a_bug() {
    key(Cipher::Aes128, &[7; 16]).seal(&[0; 24], b"", b"abc", &mut [0; 3 + TAG_LEN + 1]);
}

#[test]
#[should_panic(expected = "the output of open")]
fn opening_to_a_wrong_length_is_a_bug() {
    let _ = key(Cipher::Aes128, &[7; 16]).open(&[0; 24], b"", &[0; 3 + TAG_LEN], &mut [0; 4]);
}

/// A key of each kind, a nonce, associated data and a plaintext, of up to the given length.
fn message(longest: usize) -> impl Strategy<Value = (Cipher, [u8; 32], [u8; NONCE_LEN], Vec<u8>, Vec<u8>)> {
    let bytes = |longest| prop::collection::vec(any::<u8>(), 0..=longest);
    (prop::sample::select(&Cipher::ALL[..]), any::<[u8; 32]>(), any::<[u8; NONCE_LEN]>(), bytes(300), bytes(longest))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_sealed_opens((cipher, material, nonce, aad, plaintext) in message(7000)) {
        let key = key(cipher, &material[..cipher.key_len()]);
        let sealed = seal(&key, &nonce, &aad, &plaintext);
        prop_assert_eq!(open(&key, &nonce, &aad, &sealed), Ok(plaintext));
    }

    /// Whichever bit of whichever input changes; `open` of this module checks that the output stays.
    #[test]
    fn any_changed_bit_is_refused(
        (cipher, material, nonce, aad, plaintext) in message(700),
        at in any::<prop::sample::Index>(),
    ) {
        let key = key(cipher, &material[..cipher.key_len()]);
        let mut sealed = seal(&key, &nonce, &aad, &plaintext);
        let (mut nonce, mut aad) = (nonce, aad);
        let bit = at.index(8 * (nonce.len() + aad.len() + sealed.len()));
        let changed = nonce.iter_mut().chain(&mut aad).chain(&mut sealed).nth(bit / 8);
        *changed.expect("a byte of one of the three") ^= 1 << (bit % 8);
        prop_assert_eq!(open(&key, &nonce, &aad, &sealed), Err(OpenError));
    }

    /// Another length of anything is refused too: a byte cut off or put on.
    #[test]
    fn any_changed_length_is_refused((cipher, material, nonce, aad, plaintext) in message(700)) {
        let key = key(cipher, &material[..cipher.key_len()]);
        let sealed = seal(&key, &nonce, &aad, &plaintext);
        prop_assert_eq!(open(&key, &nonce, &aad, &sealed[..sealed.len() - 1]), Err(OpenError));
        prop_assert_eq!(open(&key, &nonce, &aad, &[&sealed[..], &[0]].concat()), Err(OpenError));
        prop_assert_eq!(open(&key, &nonce, &[&aad[..], &[0]].concat(), &sealed), Err(OpenError));
    }

    /// The whole path against the aes-gcm crate under the derived key, at sizes of every backend.
    #[test]
    fn agrees_with_another_gcm_under_the_derived_key((cipher, material, nonce, aad, plaintext) in message(7000)) {
        let key = key(cipher, &material[..cipher.key_len()]);
        let (derived, rest) = key.derive(&nonce);
        let theirs = match cipher {
            Cipher::Aes128 => theirs::<Aes128Gcm>(derived.bytes(cipher), rest, &aad, &plaintext),
            Cipher::Aes192 => theirs::<AesGcm<aes::Aes192, U12>>(derived.bytes(cipher), rest, &aad, &plaintext),
            Cipher::Aes256 => theirs::<Aes256Gcm>(derived.bytes(cipher), rest, &aad, &plaintext),
            Cipher::Sm4 => theirs::<AesGcm<sm4::Sm4, U12>>(derived.bytes(cipher), rest, &aad, &plaintext),
        };
        prop_assert_eq!(seal(&key, &nonce, &aad, &plaintext), theirs);
    }
}
