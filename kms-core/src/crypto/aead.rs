//! Authenticated encryption under one long-lived key and random 192-bit nonces.
//!
//! GCM's 96-bit nonces may not be drawn at random for more than 2^32 messages of one key, an hour at full
//! speed. Here every message gets a key of its own, derived from the long-lived key and the first half of
//! a 192-bit nonce; the second half is that message's GCM nonce. 2^80 random nonces collide with
//! probability 2^-32.
//!
//! For AES-256 this is exactly [XAES-256-GCM](https://c2sp.org/XAES-256-GCM) of C2SP: the derivation is
//! NIST SP 800-108r1 (section 4.1, counter mode) over CMAC (SP 800-38B), and the rest is SP 800-38D. The
//! other ciphers use the same construction over their own block cipher E with a key K:
//!
//! ```text
//! L  = E_K(0^128)                       K1 = L doubled in GF(2^128)         (SP 800-38B, section 6.1)
//! M1 = 00 01 58 00 ‖ nonce[0..12]       M2 = 00 02 58 00 ‖ nonce[0..12]
//! message key   = leading key_len bytes of  E_K(M1 ⊕ K1) ‖ E_K(M2 ⊕ K1)
//! message nonce = nonce[12..24]
//! ```
//!
//! A 16-byte message key is the first block alone, a 24-byte one the first block and half of the second.
//! K1 is computed once for a long-lived key.
//!
//! Like GCM, it is neither resistant to a repeated nonce nor key-committing.

use core::fmt;

use aes::cipher::array::Array;
use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use kms_gm::sm4::Sm4;
use kms_secmem::wiped::Wiped;
use zeroize::{Zeroize, zeroize_bytes};

use super::gcm;

/// Bytes of nonce that a message takes. Draw them at random; they may be public.
pub const NONCE_LEN: usize = 24;

/// Bytes by which a sealed message is longer than its plaintext.
pub const TAG_LEN: usize = 16;

/// Longest plaintext in bytes: 2^36 - 32 (SP 800-38D, section 5.2.1.1).
pub const MAX_PLAINTEXT_LEN: u64 = (1 << 36) - 32;

/// The block ciphers that a long-lived key can be for.
///
/// Exhaustive on purpose: whoever adds a cipher must decide everywhere what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// AES with a 128-bit key (FIPS 197).
    Aes128,
    /// AES with a 192-bit key (FIPS 197).
    Aes192,
    /// AES with a 256-bit key (FIPS 197); sealing with it is XAES-256-GCM.
    Aes256,
    /// SM4, which has 128-bit keys (GB/T 32907).
    Sm4,
}

impl Cipher {
    /// Every cipher, in declaration order.
    pub const ALL: [Self; 4] = [Self::Aes128, Self::Aes192, Self::Aes256, Self::Sm4];

    /// Bytes in a key of this cipher, long-lived or derived.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128 | Self::Sm4 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// A long-lived key has not the length that its cipher takes ([`Cipher::key_len`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKeyLength;

impl fmt::Display for InvalidKeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key has not the length that its cipher takes")
    }
}

impl core::error::Error for InvalidKeyLength {}

/// A message is not one that this key sealed under this nonce and this associated data.
///
/// It tells nothing else: a reason would help whoever forges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenError;

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is not authentic")
    }
}

impl core::error::Error for OpenError {}

/// A long-lived key, expanded and ready to seal and open messages, each under a key derived for it.
///
/// Building one costs a key schedule and one block; keep it. The expanded key lives in a heap place of its
/// own that is overwritten on drop. Sealing and opening take `&self`, from any number of threads.
pub struct DerivingKey {
    expanded: Wiped<Expanded>,
}

struct Expanded {
    schedule: Schedule,
    /// The CMAC subkey K1 as a big-endian number, XORed to every derivation input.
    k1: u128,
}

/// The encryption half of a key schedule: derivation never decrypts a block.
enum Schedule {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
    Sm4(Sm4),
}

/// A derived key, overwritten on drop. Shorter keys use the leading bytes.
struct MessageKey([[u8; 16]; 2]);

impl Drop for MessageKey {
    fn drop(&mut self) {
        // As one run of bytes: `Zeroize` of an array writes byte by byte.
        zeroize_bytes(self.0.as_flattened_mut());
    }
}

impl MessageKey {
    fn bytes(&self, cipher: Cipher) -> &[u8] {
        &self.0.as_flattened()[..cipher.key_len()]
    }
}

impl DerivingKey {
    /// Expands `key`.
    ///
    /// # Errors
    ///
    /// If `key` is not [`Cipher::key_len`] bytes long.
    pub fn new(cipher: Cipher, key: &[u8]) -> Result<Self, InvalidKeyLength> {
        if key.len() != cipher.key_len() {
            return Err(InvalidKeyLength);
        }
        Ok(Self { expanded: Wiped::new(|| Expanded::new(Schedule::new(cipher, key))) })
    }

    /// The cipher this key is for.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        match self.expanded.schedule {
            Schedule::Aes128(_) => Cipher::Aes128,
            Schedule::Aes192(_) => Cipher::Aes192,
            Schedule::Aes256(_) => Cipher::Aes256,
            Schedule::Sm4(_) => Cipher::Sm4,
        }
    }

    /// Encrypts `plaintext`, authenticates it together with `aad`, and writes ciphertext ‖ tag to `out`.
    ///
    /// A nonce must never be used for two messages of one key.
    ///
    /// # Panics
    ///
    /// If `out` is not exactly [`TAG_LEN`] bytes longer than `plaintext`, or `plaintext` longer than
    /// [`MAX_PLAINTEXT_LEN`].
    pub fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], plaintext: &[u8], out: &mut [u8]) {
        assert!(plaintext.len() as u64 <= MAX_PLAINTEXT_LEN, "a message of more than 2^36 - 32 bytes");
        assert_eq!(out.len(), plaintext.len() + TAG_LEN, "the output of seal is the plaintext and a tag long");
        let (key, nonce) = self.derive(nonce);
        let cipher = self.cipher();
        let (ciphertext, tag) = out.split_last_chunk_mut().expect("out is at least a tag long, as asserted above");
        *tag = gcm::seal(cipher, key.bytes(cipher), nonce, aad, plaintext, ciphertext);
    }

    /// Checks `sealed` (ciphertext ‖ tag) and `aad`, and writes the plaintext to `out`.
    ///
    /// # Errors
    ///
    /// If `sealed` is shorter than a tag or longer than any sealed message, or if anything of it, of `aad`
    /// or of `nonce` is not what it was at sealing, or another key sealed it. `out` is then as it was: no
    /// byte of an unauthentic message ever stands in it.
    ///
    /// # Panics
    ///
    /// If `out` is not exactly [`TAG_LEN`] bytes shorter than a `sealed` that has a tag.
    pub fn open(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
        let (ciphertext, tag) = sealed.split_last_chunk().ok_or(OpenError)?;
        assert_eq!(out.len(), ciphertext.len(), "the output of open is as long as the ciphertext");
        if ciphertext.len() as u64 > MAX_PLAINTEXT_LEN {
            return Err(OpenError);
        }
        let (key, nonce) = self.derive(nonce);
        let cipher = self.cipher();
        gcm::open(cipher, key.bytes(cipher), nonce, aad, ciphertext, tag, out)
    }

    /// The message key, and the half of the nonce that is left for the message.
    fn derive<'n>(&self, nonce: &'n [u8; NONCE_LEN]) -> (MessageKey, &'n [u8; gcm::NONCE_LEN]) {
        let (lead, _) = nonce.split_first_chunk().expect("a nonce has more than 16 bytes");
        let (_, message_nonce) = nonce.split_last_chunk().expect("a nonce has more than 12 bytes");
        // On whole words: assembling the blocks from small pieces costs more than enciphering them.
        let context = u128::from_be_bytes(*lead) >> 32;
        let [m1, m2] = [0x0001_5800, 0x0002_5800].map(|prefix| (prefix << 96) | context);
        let k1 = self.expanded.k1;
        let mut key = MessageKey([m1 ^ k1, m2 ^ k1].map(u128::to_be_bytes));
        match &self.expanded.schedule {
            Schedule::Aes128(e) => encrypt(e, &mut key.0[..1]),
            Schedule::Aes192(e) => encrypt(e, &mut key.0),
            Schedule::Aes256(e) => encrypt(e, &mut key.0),
            Schedule::Sm4(e) => e.encrypt_block(&mut key.0[0]),
        }
        (key, message_nonce)
    }
}

impl fmt::Debug for DerivingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivingKey").field("cipher", &self.cipher()).finish_non_exhaustive()
    }
}

impl Expanded {
    fn new(schedule: Schedule) -> Self {
        let mut l = [[0; 16]];
        match &schedule {
            Schedule::Aes128(e) => encrypt(e, &mut l),
            Schedule::Aes192(e) => encrypt(e, &mut l),
            Schedule::Aes256(e) => encrypt(e, &mut l),
            Schedule::Sm4(e) => e.encrypt_block(&mut l[0]),
        }
        let k1 = double(u128::from_be_bytes(l[0]));
        l.as_flattened_mut().zeroize();
        Self { schedule, k1 }
    }
}

impl Schedule {
    /// Expands a key whose length has been checked.
    fn new(cipher: Cipher, key: &[u8]) -> Self {
        fn expand<E: KeyInit>(key: &[u8]) -> E {
            E::new_from_slice(key).expect("the caller has checked the length")
        }
        match cipher {
            Cipher::Aes128 => Self::Aes128(expand(key)),
            Cipher::Aes192 => Self::Aes192(expand(key)),
            Cipher::Aes256 => Self::Aes256(expand(key)),
            Cipher::Sm4 => Self::Sm4(Sm4::new(key.try_into().expect("the caller has checked the length"))),
        }
    }
}

/// Encrypts blocks side by side, which hides most of the latency of the second one.
fn encrypt<E>(cipher: &E, blocks: &mut [[u8; 16]])
where
    E: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let blocks: &mut [Block<E>] = Array::cast_slice_from_core_mut(blocks);
    cipher.encrypt_blocks(blocks);
}

/// Multiplies by x in GF(2^128) as CMAC does (SP 800-38B, section 6.1), without a branch on the secret.
fn double(l: u128) -> u128 {
    let carried = (l >> 127).wrapping_neg() & 0x87;
    (l << 1) ^ carried
}

#[cfg(test)]
mod tests;
