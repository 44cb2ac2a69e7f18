//! Sums of many points: (X, Y, ZZ, ZZZ) stands for (X/ZZ, Y/ZZZ), where ZZ³ = ZZZ², and ZZ = 0 for the point at infinity.
//!
//! These are Jacobian coordinates that keep the square and the cube of Z, and not Z itself: an addition takes ten products in
//! place of eleven, and no more than four of them wait for each other. A doubling would take more of them.

use super::limbs::Limbs;
use super::{Affine, Arithmetic, Curve, Fe, Jacobian, Products};

/// A sum of points.
#[derive(Clone, Copy)]
pub(crate) struct Xyzz<C> {
    x: Fe<C>,
    y: Fe<C>,
    zz: Fe<C>,
    zzz: Fe<C>,
}

impl<C: Curve> From<Affine<C>> for Xyzz<C> {
    fn from(point: Affine<C>) -> Self {
        Self { x: point.x, y: point.y, zz: Fe::ONE, zzz: Fe::ONE }
    }
}

impl<C: Curve> Xyzz<C> {
    pub(crate) const INFINITY: Self = Self { x: Fe::ONE, y: Fe::ONE, zz: Fe::ZERO, zzz: Fe::ZERO };

    pub(crate) fn from_jacobian<A: Arithmetic>(a: A, point: &Jacobian<C>) -> Self {
        let zz = a.square(&point.z);
        Self { x: point.x, y: point.y, zz, zzz: a.mul(&zz, &point.z) }
    }

    /// With ZZ as the Z, of which ZZ and ZZZ are the factors that X and Y lack.
    pub(crate) fn to_jacobian<A: Arithmetic>(self, a: A) -> Jacobian<C> {
        Jacobian { x: a.mul(&self.x, &self.zz), y: a.mul(&self.y, &self.zzz), z: self.zz }
    }

    /// What an addition begins with: X2·ZZ - X and Y2·ZZZ - Y, which are both 0 if the points are equal.
    #[inline(always)]
    fn differences<A: Products>(&self, a: A, other: &Affine<C>) -> (Fe<C>, Fe<C>) {
        let (x, y) = (a.mul(&other.x, &self.zz), a.mul(&other.y, &self.zzz));
        (x.sub(&self.x), y.sub(&self.y))
    }

    /// P + Q for points that differ and are not at infinity; infinity for P = -Q.
    #[inline(always)]
    fn add_different<A: Products>(&self, a: A, (p, r): &(Fe<C>, Fe<C>)) -> Self {
        // In an order in which neighbours do not wait for each other.
        let pp = a.square(p);
        let rr = a.square(r);
        let ppp = a.mul(p, &pp);
        let q = a.mul(&self.x, &pp);
        let zz = a.mul(&self.zz, &pp);
        let y_ppp = a.mul(&self.y, &ppp);
        let x = rr.sub(&ppp).sub(&q.double());
        let zzz = a.mul(&self.zzz, &ppp);
        let y = a.mul(r, &q.sub(&x)).sub(&y_ppp);
        Self { x, y, zz, zzz }
    }

    /// P + Q in constant time. P is neither Q nor at infinity.
    #[inline(always)]
    pub(crate) fn add<A: Products>(&self, a: A, other: &Affine<C>) -> Self {
        self.add_different(a, &self.differences(a, other))
    }

    /// P + Q for any points, in a time that depends on them.
    #[inline(always)]
    pub(crate) fn add_public<A: Arithmetic>(&self, a: A, other: &Affine<C>) -> Self {
        if self.zz.is_zero() != 0 {
            return Self::from(*other);
        }
        let (p, r) = self.differences(a, other);
        if p.is_zero() != 0 && r.is_zero() != 0 {
            return Self::from_jacobian(a, &Jacobian::from(*other).double(a));
        }
        self.add_different(a, &(p, r))
    }

    /// -P where the mask is all ones, P where it is all zeros.
    #[inline(always)]
    pub(crate) fn negate_if(&self, mask: u64) -> Self {
        Self { y: self.y.negate_if(mask), ..*self }
    }

    /// The affine x; 0 for the point at infinity.
    pub(crate) fn x_coordinate<A: Arithmetic>(&self, a: A) -> Fe<C> {
        a.mul(&self.x, &self.zz.invert())
    }

    /// Whether this number is the affine x. The point at infinity has none.
    pub(crate) fn has_x<A: Arithmetic>(&self, a: A, x: &Limbs) -> bool {
        Fe::from_number(x).is_some_and(|x| {
            let difference = a.mul(&x, &self.zz).sub(&self.x);
            difference.is_zero() & !self.zz.is_zero() != 0
        })
    }
}
