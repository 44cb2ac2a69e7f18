//! SM2, verification of ECDSA, and SM4-GCM and AES-GCM for keys that live for one message.
//!
//! A scheme that derives a key for every message (XAES-256-GCM is one) pays for the key's expansion, the
//! hash key and its powers, and for wiping all that, at every message. The ciphers are built for that case:
//!
//! - the key schedule of SM4 runs beside the first encryption of the message,
//! - only those powers of the hash key are computed that the message's length asks for,
//! - input and output are separate places, so that nobody copies first,
//! - and everything secret stands in one place, which is overwritten in one run on every way out.
//!
//! ```text
//!   sm4::seal, open ─┐            ┌─► x86       one source, compiled for two kinds of register:
//!                    ├─► level ───┤             VAES and VPCLMULQDQ, AES-NI and PCLMULQDQ
//!   aes::Gcm ────────┘            └─► portable  SM4 in integer arithmetic; there is no portable AES
//!   sm2, ecdsa ──► curve ─────────┬─► x86       two chains of carries: MULX, ADCX and ADOX
//!                                 └─► sm2, ecdsa the same in integer arithmetic
//! ```
//!
//! | module | gives |
//! |---|---|
//! | [`sm2`] | SM2 signatures and public-key encryption (GB/T 32918), on every processor |
//! | [`ecdsa`] | verification of ECDSA over P-256 and secp256k1 (FIPS 186-5), on every processor |
//! | [`sm4`] | SM4-GCM (RFC 8998) and single blocks of SM4 (GB/T 32907), on every processor |
//! | [`aes`] | AES-128/192/256-GCM (SP 800-38D), where the processor has the instructions |
//!
//! Which implementation runs is asked of the processor at run time and never assumed.
//!
//! Everything is constant-time: no branch and no address depends on a key, a nonce of a signature, a plaintext or a
//! hash; lengths are public, and so is all that a signature is verified with, by SM2 or ECDSA. With the feature `memcheck` a test has
//! valgrind watch that. A message that is not authentic under SM4 or AES leaves the output as it was.
//!
//! Nonces of GCM have 96 bits; other lengths of SP 800-38D are not offered. Tags have all their 128 bits.
//!
//! What remains outside of our reach: registers keep what was last in them until they are used again.
//! SM2's temporary values stay on the stack: whoever has no place of his own for that overwrites the 24 KiB below
//! (`zeroize::zeroize_stack`).

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kms-gm counts lengths on and multiplies numbers of 64 bits");

use core::fmt;

use reveal::reveal;
use subtle::ConstantTimeEq;

mod curve;
mod level;
mod linear;
#[cfg(feature = "memcheck")]
pub mod memcheck;
mod portable;
mod reveal;
#[cfg(target_arch = "x86_64")]
mod x86;

pub mod aes;
pub mod ecdsa;
pub mod sm2;
pub mod sm4;

#[cfg(test)]
mod tests;

/// Bytes of a cipher block.
pub const BLOCK_LEN: usize = 16;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;

/// Longest plaintext in bytes: 2^36 - 32 (SP 800-38D, section 5.2.1.1).
pub const MAX_TEXT_LEN: u64 = (1 << 36) - 32;

/// A message is not one that this key sealed under this nonce with this associated data.
///
/// It tells nothing else: a reason would help whoever forges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

impl fmt::Display for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is not authentic")
    }
}

impl core::error::Error for Forged {}

fn check_lengths_of_seal(plaintext: &[u8], ciphertext: &[u8]) {
    assert_eq!(plaintext.len(), ciphertext.len(), "a ciphertext is as long as its plaintext");
    assert!(plaintext.len() as u64 <= MAX_TEXT_LEN, "a message of more than 2^36 - 32 bytes");
}

fn check_lengths_of_open(ciphertext: &[u8], plaintext: &[u8]) -> Result<(), Forged> {
    assert_eq!(plaintext.len(), ciphertext.len(), "a plaintext is as long as its ciphertext");
    if ciphertext.len() as u64 <= MAX_TEXT_LEN { Ok(()) } else { Err(Forged) }
}

/// Blocks that `bytes` fills or begins.
fn blocks(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(BLOCK_LEN)
}

/// The last block that is hashed: both lengths in bits (SP 800-38D, section 7.1, step 5).
fn lengths(aad: &[u8], ciphertext: &[u8]) -> [u8; BLOCK_LEN] {
    let [aad, ciphertext] = [aad, ciphertext].map(|part| u128::from(part.len() as u64 * 8));
    (aad << 64 | ciphertext).to_be_bytes()
}

/// Compares tags in constant time.
fn verify(own: &[u8; TAG_LEN], tag: &[u8; TAG_LEN]) -> Result<(), Forged> {
    let [own, tag] = [own, tag].map(|tag| u128::from_ne_bytes(*tag));
    if reveal(own.ct_eq(&tag).unwrap_u8().into()) { Ok(()) } else { Err(Forged) }
}
