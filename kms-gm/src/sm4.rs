//! SM4 (GB/T 32907-2016) and SM4-GCM (RFC 8998, SP 800-38D), in constant time on every processor.

use core::fmt;

use zeroize::zeroize_flat_type;

use crate::level::Level;
use crate::portable;
#[cfg(target_arch = "x86_64")]
use crate::x86::{self, AesNi, Message, Vaes};
use crate::{BLOCK_LEN, Forged, NONCE_LEN, TAG_LEN, check_lengths_of_open, check_lengths_of_seal};

mod constants;

pub(crate) use self::constants::{FIXED, ROUNDS, SYSTEM};

/// Bytes of an SM4 key.
pub const KEY_LEN: usize = 16;

/// Encrypts `plaintext` to `ciphertext` and returns the tag over `aad` and it (SP 800-38D, section 7.1).
///
/// Never seal two messages under one key and one nonce.
///
/// # Panics
///
/// If `ciphertext` is not as long as `plaintext`, or that is longer than [`MAX_TEXT_LEN`](crate::MAX_TEXT_LEN).
#[must_use = "without its tag a message cannot be opened"]
pub fn seal(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN] {
    seal_at(Level::best(), key, nonce, aad, plaintext, ciphertext)
}

/// Verifies `tag` and only then decrypts `ciphertext` to `plaintext` (SP 800-38D, section 7.2).
///
/// # Errors
///
/// [`Forged`] if key, nonce, `aad`, `ciphertext` or `tag` is not what it was at sealing, or `ciphertext` is
/// longer than [`MAX_TEXT_LEN`](crate::MAX_TEXT_LEN); `plaintext` is then as it was.
///
/// # Panics
///
/// If `plaintext` is not as long as `ciphertext`.
pub fn open(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), Forged> {
    open_at(Level::best(), key, nonce, aad, ciphertext, tag, plaintext)
}

#[inline]
pub(crate) fn seal_at(
    level: Level,
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN] {
    check_lengths_of_seal(plaintext, ciphertext);
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Vaes(cpu) => <Vaes as Message<x86::Sm4>>::seal(cpu, key, nonce, aad, plaintext, ciphertext),
        #[cfg(target_arch = "x86_64")]
        Level::AesNi(cpu) => <AesNi as Message<x86::Sm4>>::seal(cpu, key, nonce, aad, plaintext, ciphertext),
        Level::Portable => portable::seal(key, nonce, aad, plaintext, ciphertext),
    }
}

#[inline]
pub(crate) fn open_at(
    level: Level,
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), Forged> {
    check_lengths_of_open(ciphertext, plaintext)?;
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Vaes(cpu) => <Vaes as Message<x86::Sm4>>::open(cpu, key, nonce, aad, ciphertext, tag, plaintext),
        #[cfg(target_arch = "x86_64")]
        Level::AesNi(cpu) => <AesNi as Message<x86::Sm4>>::open(cpu, key, nonce, aad, ciphertext, tag, plaintext),
        Level::Portable => portable::open(key, nonce, aad, ciphertext, tag, plaintext),
    }
}

/// An expanded key that encrypts single blocks, for modes other than GCM. Overwritten on drop.
pub struct Sm4 {
    schedule: Schedule,
}

/// Round keys in the form of the implementation that uses them.
enum Schedule {
    #[cfg(target_arch = "x86_64")]
    AesNi(AesNi, x86::Sm4),
    Portable(portable::Sm4),
}

impl Sm4 {
    /// Expands `key`. Moving the result leaves a copy behind; build it where it is to stay.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self::at(Level::best(), key)
    }

    pub(crate) fn at(level: Level, key: &[u8; KEY_LEN]) -> Self {
        let schedule = match level {
            #[cfg(target_arch = "x86_64")]
            Level::Vaes(cpu) => Schedule::AesNi(cpu.into(), x86::Sm4::new(cpu.into(), key)),
            #[cfg(target_arch = "x86_64")]
            Level::AesNi(cpu) => Schedule::AesNi(cpu, x86::Sm4::new(cpu, key)),
            Level::Portable => Schedule::Portable(portable::Sm4::new(key)),
        };
        Self { schedule }
    }

    /// Encrypts one block in its place.
    pub fn encrypt_block(&self, block: &mut [u8; BLOCK_LEN]) {
        match &self.schedule {
            #[cfg(target_arch = "x86_64")]
            Schedule::AesNi(cpu, keys) => keys.encrypt_block(*cpu, block),
            Schedule::Portable(keys) => keys.encrypt(core::slice::from_mut(block)),
        }
    }
}

impl Drop for Sm4 {
    fn drop(&mut self) {
        match &mut self.schedule {
            // SAFETY: the round keys are numbers without a destructor, exclusively borrowed, and not read again.
            #[cfg(target_arch = "x86_64")]
            Schedule::AesNi(_, keys) => unsafe { zeroize_flat_type(keys) },
            // SAFETY: as above.
            Schedule::Portable(keys) => unsafe { zeroize_flat_type(keys) },
        }
    }
}

impl fmt::Debug for Sm4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm4(..)")
    }
}

#[cfg(test)]
mod tests;
