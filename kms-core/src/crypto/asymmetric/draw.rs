//! Our randomness as the RustCrypto crates ask for it.

use k256::elliptic_curve::rand_core::{TryCryptoRng, TryRng};

use crate::rng::{EntropyError, Rng};

/// Bytes that must stay secret for years: numbers from which a plaintext could be computed.
pub(super) struct Secret<'a>(pub(super) &'a mut dyn Rng);

/// Bytes that may become known: what is mixed into a nonce that the key keeps secret, salts, and blinding.
pub(super) struct Public<'a>(pub(super) &'a mut dyn Rng);

macro_rules! rng {
    ($name:ident, $draw:ident) => {
        impl TryRng for $name<'_> {
            type Error = EntropyError;

            fn try_next_u32(&mut self) -> Result<u32, EntropyError> {
                let mut bytes = [0; 4];
                self.0.$draw(&mut bytes)?;
                Ok(u32::from_le_bytes(bytes))
            }

            fn try_next_u64(&mut self) -> Result<u64, EntropyError> {
                let mut bytes = [0; 8];
                self.0.$draw(&mut bytes)?;
                Ok(u64::from_le_bytes(bytes))
            }

            fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
                self.0.$draw(bytes)
            }
        }

        impl TryCryptoRng for $name<'_> {}
    };
}

rng!(Secret, secret);
rng!(Public, public);
