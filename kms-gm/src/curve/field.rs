//! Coordinates: residues of p, in the form in which their curve multiplies them.

use core::marker::PhantomData;

use super::limbs::{self, Limbs, adc, hidden, mac, mask};
use super::{CoefficientA, Curve};

/// A coordinate x as x·R mod p, where R is 2^256 (Montgomery's form) or 1, whichever the curve takes.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
#[repr(transparent)]
pub(crate) struct Fe<C>(pub(crate) Limbs, PhantomData<C>);

impl<C> Fe<C> {
    /// From a residue in the curve's form.
    #[inline(always)]
    pub(crate) const fn new(residue: Limbs) -> Self {
        Self(residue, PhantomData)
    }
}

impl<C: Curve> Fe<C> {
    pub(crate) const ZERO: Self = Self::new([0; 4]);
    pub(crate) const ONE: Self = Self::new(C::P.r);

    /// The coefficient a of the curve.
    pub(crate) fn coefficient_a() -> Self {
        match C::A {
            CoefficientA::MinusThree => Self::ZERO.sub(&Self::ONE.double().add(&Self::ONE)),
            CoefficientA::Zero => Self::ZERO,
        }
    }

    /// From a number; `None` if it is not below p. Not for secrets: it tells which.
    pub(crate) fn from_number(number: &Limbs) -> Option<Self> {
        (C::P.contains(number) != 0).then(|| Self::new(*number).mul(&Self::new(C::P.r2)))
    }

    /// From big-endian bytes, likewise.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Self::from_number(&limbs::from_bytes(bytes))
    }

    /// To big-endian bytes.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        limbs::to_bytes(&self.number())
    }

    /// The number itself.
    pub(crate) fn number(self) -> Limbs {
        self.mul(&Self::new([1, 0, 0, 0])).0
    }

    /// a + b.
    #[inline(always)]
    pub(crate) fn add(&self, b: &Self) -> Self {
        Self::new(C::P.add(&self.0, &b.0))
    }

    /// a - b.
    #[inline(always)]
    pub(crate) fn sub(&self, b: &Self) -> Self {
        Self::new(C::P.sub(&self.0, &b.0))
    }

    /// -a where the mask is all ones, a where it is all zeros.
    #[inline(always)]
    pub(crate) fn negate_if(&self, mask: u64) -> Self {
        Self::new(limbs::select(hidden(mask), &C::P.sub(&[0; 4], &self.0), &self.0))
    }

    /// 2a.
    #[inline(always)]
    pub(crate) fn double(&self) -> Self {
        self.add(self)
    }

    /// a/2.
    #[inline(always)]
    pub(crate) fn halve(&self) -> Self {
        // p is odd: one of a and a + p is even.
        let odd = hidden(mask(self.0[0] & 1));
        let [p0, p1, p2, p3] = C::P.m;
        let (even, carry) = limbs::add(&self.0, &[p0 & odd, p1 & odd, p2 & odd, p3 & odd]);
        let [e0, e1, e2, e3] = even;
        Self::new([e0 >> 1 | e1 << 63, e1 >> 1 | e2 << 63, e2 >> 1 | e3 << 63, e3 >> 1 | carry << 63])
    }

    /// a·b.
    #[inline(always)]
    pub(crate) fn mul(&self, b: &Self) -> Self {
        Self::new(C::mul(&self.0, &b.0))
    }

    /// a·a.
    #[inline(always)]
    pub(crate) fn square(&self) -> Self {
        Self::new(C::square(&self.0))
    }

    /// 1/a, and 0 for 0.
    pub(crate) fn invert(&self) -> Self {
        Self::new(C::P.invert(&self.0)).mul(&Self::new(C::P.r3))
    }

    /// [`Self::invert`] in a time that depends on what is inverted.
    pub(crate) fn invert_public(&self) -> Self {
        Self::new(C::P.invert_public(&self.0)).mul(&Self::new(C::P.r3))
    }

    /// All ones if it is zero.
    #[inline(always)]
    pub(crate) const fn is_zero(&self) -> u64 {
        limbs::is_zero(&self.0)
    }

    /// `a` where the mask is all ones, `b` where it is all zeros.
    #[inline(always)]
    pub(crate) fn select(mask: u64, a: &Self, b: &Self) -> Self {
        Self::new(limbs::select(hidden(mask), &a.0, &b.0))
    }
}

/// a·b/2^256, where `reduce` is a step of Montgomery's reduction: to the number whose lowest word stands by itself it adds the
/// multiple of p that makes this word zero, and drops it.
#[inline(always)]
pub(crate) fn montgomery_mul(a: &Limbs, b: &Limbs, p: &Limbs, reduce: impl Fn(u64, [u64; 5]) -> [u64; 5]) -> Limbs {
    let mut t = [0; 5];
    for b in *b {
        let (t0, carry) = mac(t[0], a[0], b, 0);
        let (t1, carry) = mac(t[1], a[1], b, carry);
        let (t2, carry) = mac(t[2], a[2], b, carry);
        let (t3, carry) = mac(t[3], a[3], b, carry);
        let (t4, t5) = adc(t[4], carry, 0);
        t = reduce(t0, [t1, t2, t3, t4, t5]);
    }
    limbs::reduce_once(&[t[0], t[1], t[2], t[3]], t[4], p)
}

/// a·a/2^256, likewise.
#[inline(always)]
pub(crate) fn montgomery_square(a: &Limbs, p: &Limbs, reduce: impl Fn(u64, [u64; 5]) -> [u64; 5]) -> Limbs {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = limbs::square(a);
    // Four words are made zero, one after the other; what they carry out is kept apart from the upper half.
    let [t1, t2, t3, c0, c1] = reduce(t0, [t1, t2, t3, 0, 0]);
    let [t2, t3, c0, c1, c2] = reduce(t1, [t2, t3, c0, c1, 0]);
    let [t3, c0, c1, c2, c3] = reduce(t2, [t3, c0, c1, c2, 0]);
    let [c0, c1, c2, c3, _] = reduce(t3, [c0, c1, c2, c3, 0]);
    let (sum, carry) = limbs::add(&[t4, t5, t6, t7], &[c0, c1, c2, c3]);
    limbs::reduce_once(&sum, carry, p)
}
