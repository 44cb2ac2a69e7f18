//! Points of a curve.
//!
//! Sums are kept in Jacobian coordinates: (X, Y, Z) stands for (X/Z², Y/Z³), and Z = 0 for the point at infinity. What is
//! added to them is always affine. Long sums are kept in other coordinates (`xyzz`).

use zeroize::Zeroize;

use super::{Arithmetic, CoefficientA, Curve, Fe, NUMBER_LEN, POINT_LEN};

/// A point other than the one at infinity: X and Y on a cache line of their own.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
#[repr(C, align(64))]
pub(crate) struct Affine<C> {
    pub(crate) x: Fe<C>,
    pub(crate) y: Fe<C>,
}

/// A point in Jacobian coordinates.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Jacobian<C> {
    pub(crate) x: Fe<C>,
    pub(crate) y: Fe<C>,
    pub(crate) z: Fe<C>,
}

impl<C: Curve> Affine<C> {
    /// From X || Y; `None` unless both are below p and on the curve. Not for secrets.
    pub(crate) fn from_bytes(bytes: &[u8; POINT_LEN]) -> Option<Self> {
        let (x, y) = bytes.split_first_chunk::<NUMBER_LEN>()?;
        let (x, y) = (Fe::from_bytes(x)?, Fe::from_bytes(y.first_chunk()?)?);
        // x³ + a·x + b.
        let right = x.square().add(&Fe::coefficient_a()).mul(&x).add(&C::B);
        (y.square().sub(&right).is_zero() != 0).then_some(Self { x, y })
    }

    /// X || Y.
    pub(crate) fn to_bytes(self) -> [u8; POINT_LEN] {
        let mut bytes = [0; POINT_LEN];
        bytes[..NUMBER_LEN].copy_from_slice(&self.x.to_bytes());
        bytes[NUMBER_LEN..].copy_from_slice(&self.y.to_bytes());
        bytes
    }

    /// -P where the mask is all ones, P where it is all zeros.
    #[inline(always)]
    pub(crate) fn negate_if(&self, mask: u64) -> Self {
        Self { x: self.x, y: self.y.negate_if(mask) }
    }
}

impl<C> Zeroize for Affine<C> {
    fn zeroize(&mut self) {
        self.x.0.zeroize();
        self.y.0.zeroize();
    }
}

impl<C: Curve> From<Affine<C>> for Jacobian<C> {
    fn from(point: Affine<C>) -> Self {
        Self { x: point.x, y: point.y, z: Fe::ONE }
    }
}

impl<C: Curve> Jacobian<C> {
    pub(crate) const INFINITY: Self = Self { x: Fe::ONE, y: Fe::ONE, z: Fe::ZERO };

    /// 2P, of the point at infinity too.
    #[inline(always)]
    pub(crate) fn double<A: Arithmetic>(&self, a: A) -> Self {
        let s = self.y.double();
        let z = a.mul(&self.y, &self.z).double();
        // M = 3X² + a·Z⁴, the slope: 3(X + Z²)(X - Z²) for a = -3.
        let m = match C::A {
            CoefficientA::MinusThree => {
                let zz = a.square(&self.z);
                a.mul(&self.x.add(&zz), &self.x.sub(&zz))
            }
            CoefficientA::Zero => a.square(&self.x),
        };
        let m = m.double().add(&m);
        // S = 4XY², and 8Y⁴.
        let yy4 = a.square(&s);
        let yyyy8 = a.square(&yy4).halve();
        let s = a.mul(&yy4, &self.x);
        let x = a.square(&m).sub(&s.double());
        let y = a.mul(&m, &s.sub(&x)).sub(&yyyy8);
        Self { x, y, z }
    }

    /// What an addition begins with: U2 - X1 and S2 - Y1, which are both 0 if the points are equal.
    #[inline(always)]
    fn differences<A: Arithmetic>(&self, a: A, other: &Affine<C>) -> (Fe<C>, Fe<C>) {
        let zz = a.square(&self.z);
        let h = a.mul(&other.x, &zz).sub(&self.x);
        let r = a.mul(&a.mul(&zz, &self.z), &other.y).sub(&self.y);
        (h, r)
    }

    /// P + Q for points that differ and are not at infinity; infinity for P = -Q.
    #[inline(always)]
    fn add_different<A: Arithmetic>(&self, a: A, (h, r): &(Fe<C>, Fe<C>)) -> Self {
        let z = a.mul(&self.z, h);
        let hh = a.square(h);
        let hhh = a.mul(&hh, h);
        let v = a.mul(&self.x, &hh);
        let x = a.square(r).sub(&hhh).sub(&v.double());
        let y = a.mul(r, &v.sub(&x)).sub(&a.mul(&self.y, &hhh));
        Self { x, y, z }
    }

    /// P + Q in constant time. P is neither Q nor at infinity.
    #[inline(always)]
    pub(crate) fn add<A: Arithmetic>(&self, a: A, other: &Affine<C>) -> Self {
        self.add_different(a, &self.differences(a, other))
    }

    /// [`Self::add`] where P may be Q.
    pub(crate) fn add_any<A: Arithmetic>(&self, a: A, other: &Affine<C>) -> Self {
        let (h, r) = self.differences(a, other);
        let sum = self.add_different(a, &(h, r));
        Self::select(h.is_zero() & r.is_zero(), &Self::from(*other).double(a), &sum)
    }

    /// P + Q for any points, in a time that depends on them.
    #[inline(always)]
    pub(crate) fn add_public<A: Arithmetic>(&self, a: A, other: &Affine<C>) -> Self {
        if self.z.is_zero() != 0 {
            return Self::from(*other);
        }
        let (h, r) = self.differences(a, other);
        if h.is_zero() != 0 && r.is_zero() != 0 {
            return self.double(a);
        }
        self.add_different(a, &(h, r))
    }

    /// -P where the mask is all ones, P where it is all zeros.
    #[inline(always)]
    pub(crate) fn negate_if(&self, mask: u64) -> Self {
        Self { y: self.y.negate_if(mask), ..*self }
    }

    #[inline(always)]
    fn select(mask: u64, a: &Self, b: &Self) -> Self {
        Self { x: Fe::select(mask, &a.x, &b.x), y: Fe::select(mask, &a.y, &b.y), z: Fe::select(mask, &a.z, &b.z) }
    }

    /// The affine point, given 1/Z.
    #[inline(always)]
    fn with_inverse<A: Arithmetic>(&self, a: A, inverse: &Fe<C>) -> Affine<C> {
        let square = a.square(inverse);
        Affine { x: a.mul(&self.x, &square), y: a.mul(&self.y, &a.mul(&square, inverse)) }
    }

    /// The affine point; zeros for the one at infinity.
    pub(crate) fn to_affine<A: Arithmetic>(self, a: A) -> Affine<C> {
        self.with_inverse(a, &self.z.invert())
    }

    /// The affine points of some that are not at infinity, for one inversion (Montgomery's trick).
    pub(crate) fn all_to_affine<A: Arithmetic, const N: usize>(points: &[Self; N], a: A) -> [Affine<C>; N] {
        // The products of all Z before each.
        let mut products = [Fe::ONE; N];
        let mut product = Fe::ONE;
        for (before, point) in products.iter_mut().zip(points) {
            *before = product;
            product = a.mul(&product, &point.z);
        }
        let mut inverse = product.invert();
        let mut affine = [Affine { x: Fe::ZERO, y: Fe::ZERO }; N];
        for ((affine, point), before) in affine.iter_mut().zip(points).zip(products).rev() {
            *affine = point.with_inverse(a, &a.mul(&inverse, &before));
            inverse = a.mul(&inverse, &point.z);
        }
        affine
    }
}
