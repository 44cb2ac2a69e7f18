//! Residues of an odd modulus below 2^256: what the coordinates of points and the scalars share.
//!
//! Residues are multiplied in Montgomery's form, x·R mod m for R = 2^256 (P. L. Montgomery, "Modular multiplication without
//! trial division", 1985), and are always below the modulus.

use super::inverse;
use super::limbs::{self, Limbs, adc, hidden, mac, mask};

/// An odd modulus above 2^255, and what is computed from it once.
pub(crate) struct Modulus {
    /// m.
    pub(crate) m: Limbs,
    /// -1/m mod 2^64.
    negated_inverse: u64,
    /// R mod m, which is 1 in Montgomery's form.
    pub(crate) r: Limbs,
    /// R^2 mod m, which brings a residue into Montgomery's form.
    pub(crate) r2: Limbs,
    /// R^3 mod m, which makes of the inverse of x·R that of x in Montgomery's form.
    pub(crate) r3: Limbs,
    inverse: inverse::Modulus,
}

impl Modulus {
    pub(crate) const fn new(m: Limbs) -> Self {
        assert!(m[0] & 1 == 1 && m[3] >> 63 == 1, "an odd modulus above 2^255");
        // Newton's iteration doubles the right bits; an odd number is its own inverse in three.
        let mut inverse = m[0];
        let mut i = 0;
        while i < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(m[0].wrapping_mul(inverse)));
            i += 1;
        }
        let mut this = Self {
            m,
            negated_inverse: inverse.wrapping_neg(),
            r: limbs::sub(&[0; 4], &m).0,
            r2: [0; 4],
            r3: [0; 4],
            inverse: inverse::Modulus::new(&m, inverse),
        };
        this.r2 = this.r;
        let mut i = 0;
        while i < 256 {
            let (double, carry) = limbs::add(&this.r2, &this.r2);
            this.r2 = limbs::reduce_constant(&double, carry, &m);
            i += 1;
        }
        this.r3 = this.mul_constant(&this.r2, &this.r2);
        this
    }

    /// A prime of coordinates that are multiplied as they are, in no form: R is 1 for them.
    pub(crate) const fn of_plain_residues(m: Limbs) -> Self {
        const ONE: Limbs = [1, 0, 0, 0];
        Self { r: ONE, r2: ONE, r3: ONE, ..Self::new(m) }
    }

    /// a + b.
    #[inline(always)]
    pub(crate) fn add(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let (sum, carry) = limbs::add(a, b);
        limbs::reduce_once(&sum, carry, &self.m)
    }

    /// a - b.
    #[inline(always)]
    pub(crate) fn sub(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let (difference, borrow) = limbs::sub(a, b);
        let back = hidden(mask(borrow));
        let [m0, m1, m2, m3] = self.m;
        limbs::add(&difference, &[m0 & back, m1 & back, m2 & back, m3 & back]).0
    }

    /// a·b/R, for any modulus.
    pub(crate) fn mul(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let (product, carry) = self.product(a, b);
        limbs::reduce_once(&product, carry, &self.m)
    }

    /// [`Self::mul`] for constants.
    const fn mul_constant(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let (product, carry) = self.product(a, b);
        limbs::reduce_constant(&product, carry, &self.m)
    }

    /// a·b/R or that and m, below 2m, with the carry.
    const fn product(&self, a: &Limbs, b: &Limbs) -> (Limbs, u64) {
        let m = &self.m;
        let mut t = [0u64; 5];
        let mut i = 0;
        while i < 4 {
            let (t0, carry) = mac(t[0], a[0], b[i], 0);
            let (t1, carry) = mac(t[1], a[1], b[i], carry);
            let (t2, carry) = mac(t[2], a[2], b[i], carry);
            let (t3, carry) = mac(t[3], a[3], b[i], carry);
            let (t4, t5) = adc(t[4], carry, 0);
            let q = t0.wrapping_mul(self.negated_inverse);
            let (_, carry) = mac(t0, q, m[0], 0);
            let (t1, carry) = mac(t1, q, m[1], carry);
            let (t2, carry) = mac(t2, q, m[2], carry);
            let (t3, carry) = mac(t3, q, m[3], carry);
            let (t4, carry) = adc(t4, carry, 0);
            t = [t1, t2, t3, t4, t5 + carry];
            i += 1;
        }
        ([t[0], t[1], t[2], t[3]], t[4])
    }

    /// A constant below m in Montgomery's form.
    pub(crate) const fn residue(&self, number: &Limbs) -> Limbs {
        assert!(self.contains(number) != 0, "a residue is below its modulus");
        self.mul_constant(number, &self.r2)
    }

    /// 1/a, and 0 for 0; neither in Montgomery's form.
    pub(crate) fn invert(&self, a: &Limbs) -> Limbs {
        self.inverse.invert(a)
    }

    /// [`Self::invert`] in a time that depends on what is inverted.
    pub(crate) fn invert_public(&self, a: &Limbs) -> Limbs {
        self.inverse.invert_public(a)
    }

    /// Whether the number is below the modulus; all ones or all zeros.
    #[inline(always)]
    pub(crate) const fn contains(&self, a: &Limbs) -> u64 {
        mask(limbs::sub(a, &self.m).1)
    }
}
