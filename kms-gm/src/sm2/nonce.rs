//! Nonces of signatures, hedged: nobody who lacks the key can tell one, whatever the entropy, and one that repeats belongs to
//! the same digest.
//!
//! k is the residue of SM3(block || entropy || digest || i || 0) || SM3(block || entropy || digest || i || 1), where the first
//! block of SM3 holds nothing but a key that is derived from d: a keyed hash of a message of fixed length. 512 bits leave no
//! residue more frequent than another by more than 2^-256.

use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

use super::{NUMBER_LEN, scalar};
use crate::curve::limbs::Limbs;

/// SM3 after the block that holds the key. Its crate wipes it when it goes.
pub(crate) struct NonceKey(Sm3);

impl NonceKey {
    /// From the private key.
    pub(crate) fn new(d: &[u8; NUMBER_LEN]) -> Self {
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(
            Sm3::new().chain_update(b"kms-gm: nonces of SM2 signatures").chain_update(d).finalize().into(),
        );
        Self(Sm3::new().chain_update(key.as_slice()).chain_update([0; 32]))
    }

    /// The nonce of an attempt to sign a digest, below n. It is 0 for one in 2^256.
    pub(crate) fn nonce(&self, digest: &[u8; NUMBER_LEN], entropy: &[u8; NUMBER_LEN], attempt: u8) -> Zeroizing<Limbs> {
        let hash = self.0.clone().chain_update(entropy).chain_update(digest);
        let mut wide = Zeroizing::new([0; 64]);
        for (half, i) in wide.chunks_mut(32).zip(0..) {
            let half: &mut [u8; 32] = half.try_into().expect("half of 64 bytes");
            hash.clone().chain_update([attempt, i]).finalize_into(half.into());
        }
        Zeroizing::new(scalar::from_wide(&wide))
    }
}
