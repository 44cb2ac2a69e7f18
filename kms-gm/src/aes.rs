//! AES-GCM (FIPS 197, SP 800-38D), where the processor has instructions for it.

use core::fmt;

use crate::level::Level;
#[cfg(target_arch = "x86_64")]
use crate::x86::{Aes, AesNi, Message, Vaes};
use crate::{Forged, NONCE_LEN, TAG_LEN, check_lengths_of_open, check_lengths_of_seal};

/// A key for one message, as long as its kind of AES takes.
#[derive(Clone, Copy)]
pub enum Key<'k> {
    /// For AES-128.
    Bits128(&'k [u8; 16]),
    /// For AES-192.
    Bits192(&'k [u8; 24]),
    /// For AES-256.
    Bits256(&'k [u8; 32]),
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The processor's AES-GCM.
///
/// There is no portable AES here: where [`detect`](Self::detect) finds no instructions, another
/// implementation is needed.
#[derive(Clone, Copy)]
pub struct Gcm(Instructions);

#[derive(Clone, Copy)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Vaes(Vaes),
    #[cfg(target_arch = "x86_64")]
    AesNi(AesNi),
}

impl fmt::Debug for Gcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gcm(..)")
    }
}

impl Gcm {
    /// Asks the processor, which takes a nanosecond or two; `None` if it has no instructions for AES and
    /// GHASH.
    #[inline]
    #[must_use]
    pub fn detect() -> Option<Self> {
        Self::at(Level::best())
    }

    pub(crate) fn at(level: Level) -> Option<Self> {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Vaes(cpu) => Some(Self(Instructions::Vaes(cpu))),
            #[cfg(target_arch = "x86_64")]
            Level::AesNi(cpu) => Some(Self(Instructions::AesNi(cpu))),
            Level::Portable => None,
        }
    }

    /// Encrypts `plaintext` to `ciphertext` and returns the tag over `aad` and it (SP 800-38D, section 7.1).
    ///
    /// Never seal two messages under one key and one nonce.
    ///
    /// # Panics
    ///
    /// If `ciphertext` is not as long as `plaintext`, or that is longer than [`MAX_TEXT_LEN`](crate::MAX_TEXT_LEN).
    #[must_use = "without its tag a message cannot be opened"]
    pub fn seal(
        self,
        key: Key<'_>,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> [u8; TAG_LEN] {
        check_lengths_of_seal(plaintext, ciphertext);
        macro_rules! by {
            ($cpu:ident) => {
                match key {
                    Key::Bits128(key) => Message::<Aes<11>>::seal($cpu, key, nonce, aad, plaintext, ciphertext),
                    Key::Bits192(key) => Message::<Aes<13>>::seal($cpu, key, nonce, aad, plaintext, ciphertext),
                    Key::Bits256(key) => Message::<Aes<15>>::seal($cpu, key, nonce, aad, plaintext, ciphertext),
                }
            };
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Vaes(cpu) => by!(cpu),
            #[cfg(target_arch = "x86_64")]
            Instructions::AesNi(cpu) => by!(cpu),
        }
    }

    /// Verifies `tag` and only then decrypts `ciphertext` to `plaintext` (SP 800-38D, section 7.2).
    ///
    /// # Errors
    ///
    /// [`Forged`] if key, nonce, `aad`, `ciphertext` or `tag` is not what it was at sealing, or
    /// `ciphertext` is longer than [`MAX_TEXT_LEN`](crate::MAX_TEXT_LEN); `plaintext` is then as it was.
    ///
    /// # Panics
    ///
    /// If `plaintext` is not as long as `ciphertext`.
    pub fn open(
        self,
        key: Key<'_>,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Forged> {
        check_lengths_of_open(ciphertext, plaintext)?;
        macro_rules! by {
            ($cpu:ident) => {
                match key {
                    Key::Bits128(key) => Message::<Aes<11>>::open($cpu, key, nonce, aad, ciphertext, tag, plaintext),
                    Key::Bits192(key) => Message::<Aes<13>>::open($cpu, key, nonce, aad, ciphertext, tag, plaintext),
                    Key::Bits256(key) => Message::<Aes<15>>::open($cpu, key, nonce, aad, ciphertext, tag, plaintext),
                }
            };
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Vaes(cpu) => by!(cpu),
            #[cfg(target_arch = "x86_64")]
            Instructions::AesNi(cpu) => by!(cpu),
        }
    }
}
