//! Verification of ECDSA signatures (FIPS 186-5, section 6.4.2) over P-256 and secp256k1, with digests of 32 bytes.
//!
//! Everything here is public, and nothing is constant-time.

mod p256;
mod secp256k1;

#[cfg(test)]
mod tests;

use core::fmt;

use crate::curve::limbs::{self, Limbs, is_zero};
use crate::curve::{self, Affine, KeyPoint, on_best};

pub use self::p256::P256;
pub use self::secp256k1::Secp256k1;
pub use crate::curve::{MAX_TABLES, NUMBER_LEN, POINT_LEN, SIGNATURE_LEN};

/// [`P256`] or [`Secp256k1`].
#[expect(private_bounds, reason = "nobody else makes curves")]
pub trait Curve: curve::Curve {}

impl Curve for P256 {}
impl Curve for Secp256k1 {}

/// A public key: a point on the curve other than the one at infinity.
pub struct PublicKey<C: Curve>(KeyPoint<C>);

impl<C: Curve> fmt::Debug for PublicKey<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.to_bytes()).finish()
    }
}

impl<C: Curve> PublicKey<C> {
    /// From X || Y. `None` for what is no point of the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; POINT_LEN]) -> Option<Self> {
        Affine::from_bytes(bytes).map(|point| Self(point.into()))
    }

    /// X || Y.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; POINT_LEN] {
        self.0.point().to_bytes()
    }

    /// Whether r || s is a signature of the digest by this key. Either s will do, the lower and the higher.
    #[must_use]
    pub fn verify(&self, digest: &[u8; NUMBER_LEN], signature: &[u8; SIGNATURE_LEN]) -> bool {
        let n = C::N;
        let (r, s) = signature.split_at(NUMBER_LEN);
        let [r, s] = [r, s].map(|number| limbs::from_bytes(number.try_into().expect("half of a signature")));
        let in_range = |number: &Limbs| n.contains(number) & !is_zero(number) != 0;
        if !(in_range(&r) && in_range(&s)) {
            return false;
        }
        // The digest is as long as n, so that all of it counts.
        let e = limbs::reduce_once(&limbs::from_bytes(digest), 0, &n.m);
        // 1/s in Montgomery's form, so that products with it are in none.
        let inverse = n.mul(&n.invert_public(&s), &n.r2);
        let (u, v) = (n.mul(&e, &inverse), n.mul(&r, &inverse));
        // The x of u·G + v·P is r modulo n, for which there are two numbers below p at most.
        let (next, carry) = limbs::add(&r, &n.m);
        on_best!(a => {
            let sum = self.0.sum(a, &u, &v);
            sum.has_x(a, &r) || (carry == 0 && sum.has_x(a, &next))
        })
    }
}
