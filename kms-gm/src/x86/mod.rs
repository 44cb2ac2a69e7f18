//! x86-64: AES-NI and PCLMULQDQ, or VAES and VPCLMULQDQ.
//!
//! Everything is written once, over a kind of register ([`vector`]), and compiled for both kinds. The
//! functions here are where that code is entered.

mod aes;
mod cipher;
mod ctr;
mod curve;
mod gcm;
mod ghash;
mod sm4;
mod vector;

#[cfg(test)]
mod tests;

use self::cipher::Cipher;
use self::gcm::{Long, Short, is_short};
use crate::{Forged, NONCE_LEN, TAG_LEN};

pub(crate) use self::aes::Aes;
pub(crate) use self::curve::{Adx, p256, secp256k1, sm2};
pub(crate) use self::sm4::Sm4;
pub(crate) use self::vector::{AesNi, Vaes};

/// Sealing and opening as they are compiled for one kind of register.
pub(crate) trait Message<E: Cipher<Self>>: vector::Cpu {
    /// Encrypts and authenticates one message.
    fn seal(
        self,
        key: &E::Key,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> [u8; TAG_LEN];

    /// Verifies one message and only then decrypts it.
    fn open(
        self,
        key: &E::Key,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Forged>;
}

macro_rules! compiled {
    ($cpu:ident, $features:literal) => {
        impl<E: Cipher<$cpu>> Message<E> for $cpu {
            #[inline]
            fn seal(
                self,
                key: &E::Key,
                nonce: &[u8; NONCE_LEN],
                aad: &[u8],
                plaintext: &[u8],
                ciphertext: &mut [u8],
            ) -> [u8; TAG_LEN] {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn short<E: Cipher<$cpu>>(
                    place: &mut Short<$cpu, E>,
                    key: &E::Key,
                    nonce: &[u8; NONCE_LEN],
                    aad: &[u8],
                    plaintext: &[u8],
                    ciphertext: &mut [u8],
                ) -> [u8; TAG_LEN] {
                    gcm::seal_short(place, key, nonce, aad, plaintext, ciphertext)
                }

                #[target_feature(enable = $features)]
                #[inline(never)]
                fn long<E: Cipher<$cpu>>(
                    place: &mut Long<$cpu, E>,
                    key: &E::Key,
                    nonce: &[u8; NONCE_LEN],
                    aad: &[u8],
                    plaintext: &[u8],
                    ciphertext: &mut [u8],
                ) -> [u8; TAG_LEN] {
                    gcm::seal_long(place, key, nonce, aad, plaintext, ciphertext)
                }

                if is_short::<$cpu>(aad, plaintext) {
                    let place = &mut Short::<$cpu, E>::new(self);
                    // SAFETY: `self` is the proof that the processor has these features.
                    unsafe { short::<E>(place, key, nonce, aad, plaintext, ciphertext) }
                } else {
                    let place = &mut Long::<$cpu, E>::new(self);
                    // SAFETY: as above.
                    unsafe { long::<E>(place, key, nonce, aad, plaintext, ciphertext) }
                }
            }

            #[inline]
            fn open(
                self,
                key: &E::Key,
                nonce: &[u8; NONCE_LEN],
                aad: &[u8],
                ciphertext: &[u8],
                tag: &[u8; TAG_LEN],
                plaintext: &mut [u8],
            ) -> Result<(), Forged> {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn short<E: Cipher<$cpu>>(
                    place: &mut Short<$cpu, E>,
                    key: &E::Key,
                    nonce: &[u8; NONCE_LEN],
                    aad: &[u8],
                    ciphertext: &[u8],
                    tag: &[u8; TAG_LEN],
                    plaintext: &mut [u8],
                ) -> Result<(), Forged> {
                    gcm::open_short(place, key, nonce, aad, ciphertext, tag, plaintext)
                }

                #[target_feature(enable = $features)]
                #[inline(never)]
                fn long<E: Cipher<$cpu>>(
                    place: &mut Long<$cpu, E>,
                    key: &E::Key,
                    nonce: &[u8; NONCE_LEN],
                    aad: &[u8],
                    ciphertext: &[u8],
                    tag: &[u8; TAG_LEN],
                    plaintext: &mut [u8],
                ) -> Result<(), Forged> {
                    gcm::open_long(place, key, nonce, aad, ciphertext, tag, plaintext)
                }

                if is_short::<$cpu>(aad, ciphertext) {
                    let place = &mut Short::<$cpu, E>::new(self);
                    // SAFETY: `self` is the proof that the processor has these features.
                    unsafe { short::<E>(place, key, nonce, aad, ciphertext, tag, plaintext) }
                } else {
                    let place = &mut Long::<$cpu, E>::new(self);
                    // SAFETY: as above.
                    unsafe { long::<E>(place, key, nonce, aad, ciphertext, tag, plaintext) }
                }
            }
        }
    };
}

compiled!(AesNi, "aes,pclmulqdq,ssse3");
compiled!(Vaes, "aes,pclmulqdq,ssse3,avx2,vaes,vpclmulqdq");
