//! GCM (NIST SP 800-38D) under keys that live for one message.
//!
//! A key that is used once pays its set-up at every message, and that decides: [`kms_gm`] is made for it.
//! AES on a processor without instructions for it takes the generic code of `soft`.

mod soft;

use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use kms_gm::aes::{Gcm, Key};
use kms_gm::sm4;

use super::aead::{Cipher, OpenError, TAG_LEN};

/// Bytes of a GCM nonce.
pub(super) const NONCE_LEN: usize = 12;

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
    match (cipher, Gcm::detect()) {
        (Cipher::Sm4, _) => sm4::seal(exact(key), nonce, aad, plaintext, ciphertext),
        (Cipher::Aes128, Some(gcm)) => gcm.seal(Key::Bits128(exact(key)), nonce, aad, plaintext, ciphertext),
        (Cipher::Aes192, Some(gcm)) => gcm.seal(Key::Bits192(exact(key)), nonce, aad, plaintext, ciphertext),
        (Cipher::Aes256, Some(gcm)) => gcm.seal(Key::Bits256(exact(key)), nonce, aad, plaintext, ciphertext),
        (Cipher::Aes128, None) => soft::seal::<Aes128Enc>(key, nonce, aad, plaintext, ciphertext),
        (Cipher::Aes192, None) => soft::seal::<Aes192Enc>(key, nonce, aad, plaintext, ciphertext),
        (Cipher::Aes256, None) => soft::seal::<Aes256Enc>(key, nonce, aad, plaintext, ciphertext),
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
    match (cipher, Gcm::detect()) {
        (Cipher::Sm4, _) => sm4::open(exact(key), nonce, aad, ciphertext, tag, plaintext),
        (Cipher::Aes128, Some(gcm)) => gcm.open(Key::Bits128(exact(key)), nonce, aad, ciphertext, tag, plaintext),
        (Cipher::Aes192, Some(gcm)) => gcm.open(Key::Bits192(exact(key)), nonce, aad, ciphertext, tag, plaintext),
        (Cipher::Aes256, Some(gcm)) => gcm.open(Key::Bits256(exact(key)), nonce, aad, ciphertext, tag, plaintext),
        (Cipher::Aes128, None) => return soft::open::<Aes128Enc>(key, nonce, aad, ciphertext, tag, plaintext),
        (Cipher::Aes192, None) => return soft::open::<Aes192Enc>(key, nonce, aad, ciphertext, tag, plaintext),
        (Cipher::Aes256, None) => return soft::open::<Aes256Enc>(key, nonce, aad, ciphertext, tag, plaintext),
    }
    .map_err(|_| OpenError)
}

/// The key as an array.
fn exact<const N: usize>(key: &[u8]) -> &[u8; N] {
    key.try_into().expect("callers pass keys of the cipher's length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seals and opens by the generic code.
    type Soft = (
        fn(&[u8], &[u8; NONCE_LEN], &[u8], &[u8], &mut [u8]) -> [u8; TAG_LEN],
        fn(&[u8], &[u8; NONCE_LEN], &[u8], &[u8], &[u8; TAG_LEN], &mut [u8]) -> Result<(), OpenError>,
    );

    const SOFT: [(Cipher, Soft); 3] = [
        (Cipher::Aes128, (soft::seal::<Aes128Enc>, soft::open::<Aes128Enc>)),
        (Cipher::Aes192, (soft::seal::<Aes192Enc>, soft::open::<Aes192Enc>)),
        (Cipher::Aes256, (soft::seal::<Aes256Enc>, soft::open::<Aes256Enc>)),
    ];

    // Goal: which backend seals or opens makes no difference, at every length around blocks and batches.
    // Method: both on the same input, and each opens what the other sealed.
    #[test]
    fn the_backends_agree() {
        let lengths = (0..=1100).chain((6100..=6200).step_by(7)).chain([4096, 6144, 6145, 20_000]);
        let bytes: Vec<u8> = (0..20_000u32).map(|i| ((i * i) >> 3) as u8).collect();
        for len in lengths {
            let (aad, plaintext, nonce) = (&bytes[..len % 70], &bytes[..len], &[len as u8; NONCE_LEN]);
            for (cipher, (soft_seal, soft_open)) in SOFT {
                let key = &bytes[100..100 + cipher.key_len()];
                let (mut sealed, mut by_soft, mut back) = (vec![0; len], vec![0; len], vec![0; len]);
                let tag = seal(cipher, key, nonce, aad, plaintext, &mut sealed);
                let soft_tag = soft_seal(key, nonce, aad, plaintext, &mut by_soft);
                assert_eq!((tag, &sealed), (soft_tag, &by_soft), "{cipher:?}, {len} bytes");
                assert_eq!(open(cipher, key, nonce, aad, &by_soft, &tag, &mut back), Ok(()));
                assert_eq!(back, plaintext);
                back.fill(0);
                assert_eq!(soft_open(key, nonce, aad, &sealed, &tag, &mut back), Ok(()));
                assert_eq!(back, plaintext);
            }
        }
    }

    // Goal: neither backend lets a byte of a refused message out.
    #[test]
    fn a_refused_message_leaves_the_output_alone() {
        let nonce = &[2; NONCE_LEN];
        for len in [1, 16, 400, 6144, 6145, 9000] {
            for cipher in Cipher::ALL {
                let key = &[1; 32][..cipher.key_len()];
                let mut sealed = vec![0; len];
                let mut tag = seal(cipher, key, nonce, b"", &vec![3; len], &mut sealed);
                tag[7] ^= 0x10;
                let mut out = vec![0x5a; len];
                assert_eq!(open(cipher, key, nonce, b"", &sealed, &tag, &mut out), Err(OpenError));
                for (_, (_, soft_open)) in SOFT.into_iter().filter(|(of, _)| *of == cipher) {
                    assert_eq!(soft_open(key, nonce, b"", &sealed, &tag, &mut out), Err(OpenError));
                }
                assert!(out.iter().all(|b| *b == 0x5a));
            }
        }
    }
}
