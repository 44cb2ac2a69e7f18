//! Public keys.

use core::fmt;

use super::curve::{N, Sm2};
use super::{NUMBER_LEN, POINT_LEN, SIGNATURE_LEN, scalar};
use crate::curve::limbs::{self, Limbs, is_zero};
use crate::curve::{Affine, Arithmetic, Jacobian, KeyPoint, on_best};

/// A public key: a point on the curve other than the one at infinity.
pub struct PublicKey(KeyPoint<Sm2>);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.to_bytes()).finish()
    }
}

impl PublicKey {
    /// From X || Y. `None` for what is no point of the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; POINT_LEN]) -> Option<Self> {
        Affine::from_bytes(bytes).map(Self::of_point)
    }

    pub(crate) fn of_point(point: Affine<Sm2>) -> Self {
        Self(point.into())
    }

    /// X || Y.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; POINT_LEN] {
        self.0.point().to_bytes()
    }

    /// Whether r || s is a signature of the digest by this key (GB/T 32918.2-2016, section 7.1).
    #[must_use]
    pub fn verify(&self, digest: &[u8; NUMBER_LEN], signature: &[u8; SIGNATURE_LEN]) -> bool {
        let (r, s) = signature.split_at(NUMBER_LEN);
        let [r, s] = [r, s].map(|number| limbs::from_bytes(number.try_into().expect("half of a signature")));
        let t = N.add(&r, &s);
        let in_range = |number| N.contains(number) & !is_zero(number) != 0;
        if !(in_range(&r) && in_range(&s) && in_range(&t)) {
            return false;
        }
        // The x of s·G + t·P is r - e modulo n, for which there are two numbers below p at most.
        let x = N.sub(&r, &scalar::reduced(&limbs::from_bytes(digest)));
        let (next, carry) = limbs::add(&x, &N.m);
        on_best!(a => {
            let sum = self.0.sum(a, &s, &t);
            sum.has_x(a, &x) || (carry == 0 && sum.has_x(a, &next))
        })
    }

    /// k·P in constant time, for k from 1 to n - 1.
    pub(crate) fn mul<A: Arithmetic>(&self, a: A, k: &Limbs) -> Jacobian<Sm2> {
        self.0.mul(a, k)
    }

    #[cfg(test)]
    pub(crate) fn has_table(&self) -> bool {
        self.0.has_table()
    }
}
