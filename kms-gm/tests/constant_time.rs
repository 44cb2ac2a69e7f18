//! No branch and no address depends on a secret: everything that has secrets, with the secrets marked undefined, for
//! valgrind's memcheck to follow.
//!
//!     cargo xtask valgrind
//!
//! With the argument `branch` it branches on a secret, and with `address` it looks up a place by one: memcheck has to report
//! that.

#![expect(clippy::print_stdout, reason = "a program that tells what it did")]

use std::convert::Infallible;
use std::hint::black_box;

use kms_gm::memcheck::{is_running, set_public, set_secret, sm2_arithmetic, use_portable};
use kms_gm::sm2::{OVERHEAD, PrivateKey, PublicKey};
use kms_gm::{aes, sm4};

/// Bytes that are marked as secret, and are not all the same.
fn secret<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = core::array::from_fn(|i| first.wrapping_add(i as u8));
    set_secret(&mut bytes);
    black_box(bytes)
}

/// What the world may see.
fn public<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    set_public(&mut bytes);
    black_box(bytes)
}

fn key() -> PrivateKey {
    PrivateKey::from_bytes(&secret(0x42)).expect("a private key")
}

fn public_key() -> PublicKey {
    PublicKey::from_bytes(&public(key().public_key().to_bytes())).expect("a point")
}

fn sm2_signatures() {
    let (key, public_key) = (key(), public_key());
    for digest in [[0; 32], [7; 32], [255; 32]] {
        // What is mixed into a nonce may be known.
        for entropy in [[0; 32], [1; 32], secret(9)] {
            let signature = public(key.sign(&digest, &entropy));
            assert!(public_key.verify(&digest, &signature), "what is signed verifies");
        }
    }
}

fn sm2_encryption() {
    let (key, public_key) = (key(), public_key());
    let entropy = |bytes: &mut [u8; 64]| -> Result<(), Infallible> {
        *bytes = secret(77);
        Ok(())
    };
    // As often as a key gets a table, and some times more with it.
    for _ in 0..20 {
        let plaintext: [u8; 100] = secret(1);
        let mut ciphertext = [0; 100 + OVERHEAD];
        public_key.encrypt(&plaintext, entropy, &mut ciphertext).expect("entropy and a plaintext");
        let mut ciphertext = public(ciphertext);
        let open = |ciphertext: &[u8]| {
            let (c1, c3) = (ciphertext[1..65].try_into().expect("C1"), ciphertext[65..97].try_into().expect("C3"));
            let mut opened = [0; 100];
            key.decrypt(c1, c3, &ciphertext[97..], &mut opened).map(|()| public(opened))
        };
        assert!(open(&ciphertext).is_ok_and(|opened| opened == public(plaintext)), "what is encrypted decrypts");
        ciphertext[70] ^= 1;
        assert!(open(&ciphertext).is_err(), "what is changed does not");
    }
}

/// Seals and opens messages of all lengths that are treated in their own ways.
fn gcm(
    seal: impl Fn(&[u8], &mut [u8]) -> [u8; 16],
    open: impl Fn(&[u8], &[u8; 16], &mut [u8]) -> Result<(), kms_gm::Forged>,
) {
    for len in [0, 1, 16, 31, 32, 64, 200, 256, 1000, 6144] {
        let plaintext = &secret::<6144>(3)[..len];
        let (mut ciphertext, mut opened) = (vec![0; len], vec![0; len]);
        let mut tag = public(seal(plaintext, &mut ciphertext));
        set_public(&mut ciphertext);
        assert!(open(&ciphertext, &tag, &mut opened).is_ok(), "what is sealed opens");
        set_public(&mut opened);
        assert!(opened == public(secret::<6144>(3))[..len], "as it was");
        tag[3] ^= 1;
        assert!(open(&ciphertext, &tag, &mut opened).is_err(), "what is changed does not");
    }
}

fn sm4_gcm() {
    let key = secret(5);
    gcm(
        |plaintext, ciphertext| sm4::seal(&key, &[1; 12], b"aad", plaintext, ciphertext),
        |ciphertext, tag, plaintext| sm4::open(&key, &[1; 12], b"aad", ciphertext, tag, plaintext),
    );
    let mut block = secret(6);
    sm4::Sm4::new(&key).encrypt_block(&mut block);
    black_box(block);
}

fn aes_gcm(cipher: aes::Gcm) {
    let (short, middle, long) = (secret(5), secret(6), secret(7));
    for key in [aes::Key::Bits128(&short), aes::Key::Bits192(&middle), aes::Key::Bits256(&long)] {
        gcm(
            |plaintext, ciphertext| cipher.seal(key, &[1; 12], b"aad", plaintext, ciphertext),
            |ciphertext, tag, plaintext| cipher.open(key, &[1; 12], b"aad", ciphertext, tag, plaintext),
        );
    }
}

/// A fault made on purpose.
#[inline(never)]
fn branch(secret: [u8; 1]) {
    if secret[0] & 1 == 0 {
        println!("even");
    }
}

/// Another one.
#[inline(never)]
fn address(secret: [u8; 1]) {
    black_box(black_box([1u32, 2, 3, 4])[usize::from(secret[0] & 3)]);
}

fn main() {
    assert!(is_running(), "this tells nothing without valgrind: cargo xtask valgrind");
    match std::env::args().nth(1).as_deref() {
        Some("branch") => return branch(secret(1)),
        Some("address") => return address(secret(1)),
        _ => {}
    }
    for portable in [false, true] {
        use_portable(portable);
        sm2_signatures();
        sm2_encryption();
        sm4_gcm();
        let aes = aes::Gcm::detect();
        // Valgrind runs all of it wherever it runs itself.
        let expected = if portable { "portable" } else { "MULX and ADX" };
        assert_eq!((sm2_arithmetic(), aes.is_some()), (expected, !portable), "what is not run is not watched");
        if let Some(cipher) = aes {
            aes_gcm(cipher);
        }
        println!("SM2: {}; AES-GCM: {}", sm2_arithmetic(), aes.is_some());
    }
}
