//! GCM (NIST SP 800-38D) under keys that live for one message, by whichever backend is fastest for it.
//!
//! A key that is used once pays its set-up at every message, and that decides. ring has the fastest bulk
//! code and a slow set-up, and its keys must be wiped from outside; the generic code of `soft` is the
//! reverse.

mod soft;

use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use kms_secmem::copy::copy;
use kms_secmem::wiped::{with_wiped, with_wiped_copy};
use ring::aead;
use sm4::Sm4;

use super::aead::{Cipher, OpenError, TAG_LEN};

/// Bytes of a GCM nonce.
pub(super) const NONCE_LEN: usize = 12;

/// Payload bytes from which ring is the faster backend for AES-128 and AES-256.
///
/// Measured on Zen 3 with set-up, wiping and 64 bytes of associated data, time of `soft` over time of
/// ring: 0.8 at 32 bytes, 0.96 at 320, 1.07 at 384, 1.5 at 1 KiB and 2.6 at 6 KiB. Opening turns at
/// the same size: ring then pays two copies, `soft` reads the ciphertext twice.
///
/// AES-192, which ring has not, and SM4 take `soft` at every size.
const RING_FROM: usize = 384;

/// Encrypts and authenticates one message.
///
/// `key` has the length of the cipher, `ciphertext` that of `plaintext`; callers keep to the length limit.
pub(super) fn seal(
    cipher: Cipher,
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN] {
    let long = plaintext.len() >= RING_FROM;
    match cipher {
        Cipher::Aes128 if long => ring_seal(&aead::AES_128_GCM, key, nonce, aad, plaintext, ciphertext),
        Cipher::Aes256 if long => ring_seal(&aead::AES_256_GCM, key, nonce, aad, plaintext, ciphertext),
        Cipher::Aes128 => soft::seal::<Aes128Enc>(key, nonce, aad, plaintext, ciphertext),
        Cipher::Aes192 => soft::seal::<Aes192Enc>(key, nonce, aad, plaintext, ciphertext),
        Cipher::Aes256 => soft::seal::<Aes256Enc>(key, nonce, aad, plaintext, ciphertext),
        Cipher::Sm4 => soft::seal::<Sm4>(key, nonce, aad, plaintext, ciphertext),
    }
}

/// Verifies one message and then writes its plaintext; an unauthentic one leaves `plaintext` as it was.
///
/// The lengths are as for [`seal`].
pub(super) fn open(
    cipher: Cipher,
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), OpenError> {
    let long = ciphertext.len() >= RING_FROM;
    match cipher {
        Cipher::Aes128 if long => ring_open(&aead::AES_128_GCM, key, nonce, aad, ciphertext, tag, plaintext),
        Cipher::Aes256 if long => ring_open(&aead::AES_256_GCM, key, nonce, aad, ciphertext, tag, plaintext),
        Cipher::Aes128 => soft::open::<Aes128Enc>(key, nonce, aad, ciphertext, tag, plaintext),
        Cipher::Aes192 => soft::open::<Aes192Enc>(key, nonce, aad, ciphertext, tag, plaintext),
        Cipher::Aes256 => soft::open::<Aes256Enc>(key, nonce, aad, ciphertext, tag, plaintext),
        Cipher::Sm4 => soft::open::<Sm4>(key, nonce, aad, ciphertext, tag, plaintext),
    }
}

fn ring_seal(
    algorithm: &'static aead::Algorithm,
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN] {
    copy(ciphertext, plaintext);
    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
    with_ring_key(algorithm, key, |key| {
        key.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), ciphertext)
            .expect("ring refuses a message for its length alone, which the caller has checked")
            .as_ref()
            .try_into()
            .expect("a GCM tag has 16 bytes")
    })
}

/// ring decrypts while it authenticates, so that happens in a place that nobody sees.
///
/// Not inlined: short messages, which do not come here, would all carry the frame of that place.
#[inline(never)]
fn ring_open(
    algorithm: &'static aead::Algorithm,
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), OpenError> {
    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
    with_wiped_copy(ciphertext, |unseen| {
        with_ring_key(algorithm, key, |key| {
            key.open_in_place_separate_tag(nonce, aead::Aad::from(aad), (*tag).into(), unseen, 0..)
                .map(drop)
                .map_err(|_| OpenError)
        })?;
        copy(plaintext, unseen);
        Ok(())
    })
}

/// Lends an expanded ring key and wipes it: ring's keys do not clear themselves.
fn with_ring_key<R>(algorithm: &'static aead::Algorithm, key: &[u8], work: impl FnOnce(&aead::LessSafeKey) -> R) -> R {
    with_wiped(
        || {
            let key = aead::UnboundKey::new(algorithm, key)
                .expect("ring refuses a key for its length alone, which the cipher fixes");
            aead::LessSafeKey::new(key)
        },
        work,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: which backend seals or opens makes no difference, at every length around blocks, batches and
    // the copy on the stack. Method: both on the same input, and each opens what the other sealed.
    #[test]
    fn the_backends_agree() {
        let lengths = (0..=1100).chain((6100..=6200).step_by(7)).chain([4096, 6144, 6145, 20_000]);
        let bytes: Vec<u8> = (0..20_000u32).map(|i| ((i * i) >> 3) as u8).collect();
        for len in lengths {
            let (key, aad, plaintext) = (&bytes[100..132], &bytes[..len % 70], &bytes[..len]);
            let nonce = &[len as u8; NONCE_LEN];
            let (mut by_ring, mut by_soft) = (vec![0; len], vec![0; len]);

            let tag = ring_seal(&aead::AES_256_GCM, key, nonce, aad, plaintext, &mut by_ring);
            let soft_tag = soft::seal::<Aes256Enc>(key, nonce, aad, plaintext, &mut by_soft);
            assert_eq!((tag, &by_ring), (soft_tag, &by_soft), "AES-256, {len} bytes");
            let mut back = vec![0; len];
            assert_eq!(ring_open(&aead::AES_256_GCM, key, nonce, aad, &by_soft, &tag, &mut back), Ok(()));
            assert_eq!(back, plaintext);
            back.fill(0);
            assert_eq!(soft::open::<Aes256Enc>(key, nonce, aad, &by_ring, &tag, &mut back), Ok(()));
            assert_eq!(back, plaintext);

            let key = &key[..16];
            let tag = ring_seal(&aead::AES_128_GCM, key, nonce, aad, plaintext, &mut by_ring);
            let soft_tag = soft::seal::<Aes128Enc>(key, nonce, aad, plaintext, &mut by_soft);
            assert_eq!((tag, &by_ring), (soft_tag, &by_soft), "AES-128, {len} bytes");
        }
    }

    // Goal: neither backend lets a byte of a refused message out, on the stack or beyond it.
    #[test]
    fn a_refused_message_leaves_the_output_alone() {
        let (key, nonce) = (&[1; 32], &[2; NONCE_LEN]);
        for len in [1, 16, 400, 6144, 6145, 9000] {
            let mut sealed = vec![0; len];
            let mut tag = ring_seal(&aead::AES_256_GCM, key, nonce, b"", &vec![3; len], &mut sealed);
            tag[7] ^= 0x10;
            let mut out = vec![0x5a; len];
            assert_eq!(ring_open(&aead::AES_256_GCM, key, nonce, b"", &sealed, &tag, &mut out), Err(OpenError));
            assert_eq!(soft::open::<Aes256Enc>(key, nonce, b"", &sealed, &tag, &mut out), Err(OpenError));
            assert!(out.iter().all(|b| *b == 0x5a));
        }
    }
}
