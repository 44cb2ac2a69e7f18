//! SM2 over its recommended curve (GB/T 32918-2016, GB/T 32918.5-2017): signatures of digests and public-key encryption.
//!
//! ```text
//!   PrivateKey ── sign, decrypt        PublicKey ── verify, encrypt
//!        │                                  │
//!        ├── nonce: key, digest and entropy ├── table: multiples of a key that is used often
//!        └───────────────┬──────────────────┘
//!              crate::curve: points, coordinates, scalars
//! ```
//!
//! Inverses are taken by divsteps, and that of 1 + d once for each key. Everything that a private key, a nonce or a shared point
//! goes through is constant-time; what is public, the verification of signatures first of all, is not.
//!
//! The digest that is signed is e = SM3(Z_A || M) (GB/T 32918.2-2016, section 6.1); [`identity_hash`] is Z_A.

mod curve;
mod encryption;
mod nonce;
mod public;
mod scalar;

#[cfg(test)]
mod tests;

use core::fmt;

use sm3::{Digest, Sm3};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use self::curve::{CURVE, N};
use self::nonce::NonceKey;
use crate::curve::limbs::{self, Limbs, is_zero};
use crate::curve::{Table, on_best};
use crate::reveal::reveal;

pub(crate) use self::curve::Sm2;

pub use self::encryption::{EncryptError, OVERHEAD};
pub use self::public::PublicKey;
pub use crate::curve::{MAX_TABLES, NUMBER_LEN, POINT_LEN, SIGNATURE_LEN};

/// Z_A (GB/T 32918.2-2016, section 5.5): SM3 over the length of the id in bits, the id, the curve, and the public key X || Y.
/// `None` for an id of more than 8191 bytes, whose length in bits does not fit 16.
#[must_use]
pub fn identity_hash(user_id: &[u8], point: &[u8; POINT_LEN]) -> Option<[u8; NUMBER_LEN]> {
    let bits = u16::try_from(user_id.len() * 8).ok()?;
    let hash = Sm3::new().chain_update(bits.to_be_bytes()).chain_update(user_id).chain_update(CURVE);
    Some(hash.chain_update(point).finalize().into())
}

/// A private key: a number d from 1 to n - 2, prepared for signatures. Wiped when it goes.
pub struct PrivateKey {
    d: Limbs,
    /// 1/(1 + d), as a factor.
    inverse: Limbs,
    nonces: NonceKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.d.zeroize();
        self.inverse.zeroize();
    }
}

impl ZeroizeOnDrop for PrivateKey {}

impl PrivateKey {
    /// From the big-endian number. `None` for what is no private key: 0, n - 1 (1 + d has to have an inverse), and above.
    ///
    /// Any 32 random bytes are one, but for 2^-32 of them: whoever makes keys draws again.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; NUMBER_LEN]) -> Option<Self> {
        let d = limbs::from_bytes(bytes);
        let next = N.add(&d, &[1, 0, 0, 0]);
        let is_key = N.contains(&d) & !is_zero(&d) & !is_zero(&next);
        reveal(is_key).then(|| Self { d, inverse: scalar::inverse_factor(&next), nonces: NonceKey::new(bytes) })
    }

    /// The public key d·G.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::of_point(on_best!(a => Table::<Sm2>::of_base(a).mul(a, &self.d).to_jacobian(a).to_affine(a)))
    }

    /// Signs a digest (GB/T 32918.2-2016, section 6.1): r || s.
    ///
    /// The nonce comes from the key, the digest and `entropy` (`nonce`). Fresh entropy for every signature guards the key
    /// where signing can be disturbed or listened to; equal entropy, even if it is known, only gives equal signatures.
    #[must_use]
    pub fn sign(&self, digest: &[u8; NUMBER_LEN], entropy: &[u8; NUMBER_LEN]) -> [u8; SIGNATURE_LEN] {
        let mut attempt = 0;
        loop {
            let k = self.nonces.nonce(digest, entropy, attempt);
            if let Some(signature) = self.sign_with(digest, &k) {
                return signature;
            }
            attempt += 1;
        }
    }

    /// Signs with a nonce. `None` if that gives no signature, for one nonce in 2^254.
    fn sign_with(&self, digest: &[u8; NUMBER_LEN], k: &Limbs) -> Option<[u8; SIGNATURE_LEN]> {
        let x = on_best!(a => Table::<Sm2>::of_base(a).mul(a, k).x_coordinate(a));
        let r = N.add(&scalar::reduced(&limbs::from_bytes(digest)), &scalar::reduced(&x.number()));
        // s = (k - r·d)/(1 + d) = (k + r)/(1 + d) - r, which takes one product.
        let sum = Zeroizing::new(N.add(k, &r));
        let s = N.sub(&scalar::times(&sum, &self.inverse), &r);
        let is_signature = !is_zero(k) & !is_zero(&r) & !is_zero(&sum) & !is_zero(&s);
        reveal(is_signature).then(|| {
            let mut signature = [0; SIGNATURE_LEN];
            signature[..NUMBER_LEN].copy_from_slice(&limbs::to_bytes(&r));
            signature[NUMBER_LEN..].copy_from_slice(&limbs::to_bytes(&s));
            signature
        })
    }
}
