//! Coordinates: residues of p = 2^256 - 2^224 - 2^96 + 2^64 - 1 (GB/T 32918.5-2017), in Montgomery's form.

use super::limbs::{self, Limbs, adc, hidden, mac, mask, sbb};
use super::modulus::Modulus;

/// p.
pub(crate) const P: Modulus =
    Modulus::new([0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff]);

/// A coordinate x as x·2^256 mod p.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub(crate) struct Fe(pub(crate) Limbs);

impl Fe {
    pub(crate) const ZERO: Self = Self([0; 4]);
    pub(crate) const ONE: Self = Self(P.r);

    /// From a number; `None` if it is not below p. Not for secrets: it tells which.
    pub(crate) const fn from_number(number: &Limbs) -> Option<Self> {
        if P.contains(number) == 0 { None } else { Some(Self(*number).mul(&Self(P.r2))) }
    }

    /// From big-endian bytes, likewise.
    pub(crate) const fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Self::from_number(&limbs::from_bytes(bytes))
    }

    /// To big-endian bytes.
    pub(crate) const fn to_bytes(self) -> [u8; 32] {
        limbs::to_bytes(&self.number())
    }

    /// The number itself, out of Montgomery's form.
    pub(crate) const fn number(self) -> Limbs {
        self.mul(&Self([1, 0, 0, 0])).0
    }

    /// a + b.
    #[inline(always)]
    pub(crate) const fn add(&self, b: &Self) -> Self {
        Self(P.add(&self.0, &b.0))
    }

    /// a - b.
    #[inline(always)]
    pub(crate) const fn sub(&self, b: &Self) -> Self {
        Self(P.sub(&self.0, &b.0))
    }

    /// -a where the mask is all ones, a where it is all zeros.
    #[inline(always)]
    pub(crate) fn negate_if(&self, mask: u64) -> Self {
        Self(limbs::select(hidden(mask), &P.sub(&[0; 4], &self.0), &self.0))
    }

    /// 2a.
    #[inline(always)]
    pub(crate) const fn double(&self) -> Self {
        self.add(self)
    }

    /// a/2.
    #[inline(always)]
    pub(crate) fn halve(&self) -> Self {
        // p is odd: one of a and a + p is even.
        let odd = hidden(mask(self.0[0] & 1));
        let [p0, p1, p2, p3] = P.m;
        let (even, carry) = limbs::add(&self.0, &[p0 & odd, p1 & odd, p2 & odd, p3 & odd]);
        let [e0, e1, e2, e3] = even;
        Self([e0 >> 1 | e1 << 63, e1 >> 1 | e2 << 63, e2 >> 1 | e3 << 63, e3 >> 1 | carry << 63])
    }

    /// a·b.
    #[inline(always)]
    pub(crate) const fn mul(&self, b: &Self) -> Self {
        let (a, b) = (&self.0, &b.0);
        let mut t = [0; 5];
        let mut i = 0;
        while i < 4 {
            let (t0, carry) = mac(t[0], a[0], b[i], 0);
            let (t1, carry) = mac(t[1], a[1], b[i], carry);
            let (t2, carry) = mac(t[2], a[2], b[i], carry);
            let (t3, carry) = mac(t[3], a[3], b[i], carry);
            let (t4, t5) = adc(t[4], carry, 0);
            t = reduce(t0, [t1, t2, t3, t4, t5]);
            i += 1;
        }
        Self(limbs::reduce_once(&[t[0], t[1], t[2], t[3]], t[4], &P.m))
    }

    /// a·a.
    #[inline(always)]
    pub(crate) const fn square(&self) -> Self {
        let [a0, a1, a2, a3] = self.0;
        // The products of different words, then twice that, then the squares of the words.
        let (t1, carry) = mac(0, a0, a1, 0);
        let (t2, carry) = mac(0, a0, a2, carry);
        let (t3, t4) = mac(0, a0, a3, carry);
        let (t3, carry) = mac(t3, a1, a2, 0);
        let (t4, t5) = mac(t4, a1, a3, carry);
        let (t5, t6) = mac(t5, a2, a3, 0);
        let t7 = t6 >> 63;
        let t6 = t6 << 1 | t5 >> 63;
        let t5 = t5 << 1 | t4 >> 63;
        let t4 = t4 << 1 | t3 >> 63;
        let t3 = t3 << 1 | t2 >> 63;
        let t2 = t2 << 1 | t1 >> 63;
        let t1 = t1 << 1;
        let (t0, carry) = mac(0, a0, a0, 0);
        let (t1, carry) = adc(t1, carry, 0);
        let (t2, high) = mac(t2, a1, a1, carry);
        let (t3, carry) = adc(t3, high, 0);
        let (t4, high) = mac(t4, a2, a2, carry);
        let (t5, carry) = adc(t5, high, 0);
        let (t6, high) = mac(t6, a3, a3, carry);
        let t7 = t7 + high;
        // Four words are made zero, one after the other; what they carry out is kept apart from the upper half.
        let [t1, t2, t3, c0, c1] = reduce(t0, [t1, t2, t3, 0, 0]);
        let [t2, t3, c0, c1, c2] = reduce(t1, [t2, t3, c0, c1, 0]);
        let [t3, c0, c1, c2, c3] = reduce(t2, [t3, c0, c1, c2, 0]);
        let [c0, c1, c2, c3, _] = reduce(t3, [c0, c1, c2, c3, 0]);
        let (sum, carry) = limbs::add(&[t4, t5, t6, t7], &[c0, c1, c2, c3]);
        Self(limbs::reduce_once(&sum, carry, &P.m))
    }

    /// 1/a, and 0 for 0.
    pub(crate) fn invert(&self) -> Self {
        Self(P.invert(&self.0)).mul(&Self(P.r3))
    }

    /// All ones if it is zero.
    #[inline(always)]
    pub(crate) const fn is_zero(&self) -> u64 {
        limbs::is_zero(&self.0)
    }

    /// `a` where the mask is all ones, `b` where it is all zeros.
    #[inline(always)]
    pub(crate) fn select(mask: u64, a: &Self, b: &Self) -> Self {
        Self(limbs::select(hidden(mask), &a.0, &b.0))
    }
}

/// One step of Montgomery's reduction: adds `lowest`·p, which makes the lowest word zero and drops it.
///
/// p is -1 modulo 2^64, so that the factor is the word itself; and lowest·p has only shifts in it:
/// lowest·(2^256 - 2^224 - 2^96 + 2^64 - 1).
#[inline(always)]
const fn reduce(lowest: u64, t: [u64; 5]) -> [u64; 5] {
    let (low, high) = (lowest << 32, lowest >> 32);
    // lowest·(2^192 - 2^160 - 2^32 + 1) in four words, which is not negative.
    let (q0, borrow) = sbb(lowest, low, 0);
    let (q1, borrow) = sbb(0, high, borrow);
    let (q2, borrow) = sbb(0, low, borrow);
    let (q3, _) = sbb(lowest, high, borrow);
    let (t0, carry) = adc(t[0], q0, 0);
    let (t1, carry) = adc(t[1], q1, carry);
    let (t2, carry) = adc(t[2], q2, carry);
    let (t3, carry) = adc(t[3], q3, carry);
    [t0, t1, t2, t3, t[4] + carry]
}
