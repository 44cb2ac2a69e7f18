//! SM2 over its recommended curve (GB/T 32918-2016, GB/T 32918.5-2017): signatures of digests and public-key encryption.
//!
//! ```text
//!   PrivateKey ── sign, decrypt        PublicKey ── verify, encrypt
//!        │                                  │
//!        ├── nonce: key, digest and entropy ├── table: multiples of a key that is used often
//!        └───────────────┬──────────────────┘
//!   product, table ── point ── field, scalar ── modulus, inverse ── limbs
//! ```
//!
//! Fixed points are multiplied with tables of their multiples (`table`), other points in windows (`product`); both read
//! every entry of a window, whichever is wanted. Inverses are taken by divsteps (`inverse`), and that of 1 + d once for each
//! key. Everything that a private key, a nonce or a shared point goes through is constant-time; what is public, the verification
//! of signatures first of all, is not.
//!
//! The digest that is signed is e = SM3(Z_A || M) (GB/T 32918.2-2016, section 6.1); [`identity_hash`] is Z_A.

mod arithmetic;
mod encryption;
mod field;
mod inverse;
mod limbs;
mod modulus;
mod nonce;
mod point;
mod product;
mod public;
mod scalar;
mod table;

#[cfg(test)]
mod tests;

use core::fmt;

use sm3::{Digest, Sm3};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use self::arithmetic::on_best;
use self::limbs::{Limbs, is_zero};
use self::nonce::NonceKey;
use self::scalar::N;
use self::table::Table;
use crate::reveal::reveal;

pub(crate) use self::arithmetic::Arithmetic;
#[cfg(feature = "memcheck")]
pub(crate) use self::arithmetic::Best;
pub(crate) use self::field::Fe;
pub(crate) use self::limbs::hidden;
pub(crate) use self::point::Affine;

pub use self::encryption::{EncryptError, OVERHEAD};
pub use self::public::{MAX_TABLES, PublicKey};

/// Bytes of a digest, and of a number.
pub const NUMBER_LEN: usize = 32;

/// Bytes of a point's X || Y.
pub const POINT_LEN: usize = 64;

/// Bytes of a signature's r || s.
pub const SIGNATURE_LEN: usize = 64;

/// a, b and the base point of the curve, as they are hashed into Z_A.
const CURVE: [u8; 128] = *b"\
    \xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfc\
    \x28\xe9\xfa\x9e\x9d\x9f\x5e\x34\x4d\x5a\x9e\x4b\xcf\x65\x09\xa7\xf3\x97\x89\xf5\x15\xab\x8f\x92\xdd\xbc\xbd\x41\x4d\x94\x0e\x93\
    \x32\xc4\xae\x2c\x1f\x19\x81\x19\x5f\x99\x04\x46\x6a\x39\xc9\x94\x8f\xe3\x0b\xbf\xf2\x66\x0b\xe1\x71\x5a\x45\x89\x33\x4c\x74\xc7\
    \xbc\x37\x36\xa2\xf4\xf6\x77\x9c\x59\xbd\xce\xe3\x6b\x69\x21\x53\xd0\xa9\x87\x7c\xc6\x2a\x47\x40\x02\xdf\x32\xe5\x21\x39\xf0\xa0";

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
        PublicKey::of_point(on_best!(a => Table::of_base(a).mul(a, &self.d).to_affine(a)))
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
        let x = on_best!(a => Table::of_base(a).mul(a, k).x_coordinate(a));
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
