//! Inverses by divsteps, in constant time and, for what is public, in a time that depends on the number.
//!
//! D. J. Bernstein and B.-Y. Yang, "Fast constant-time gcd computation and modular inversion", 2019, in the variant of
//! P. Wuille whose δ starts at 1/2, for which 590 steps are enough for numbers of 256 bits
//! (P. Wuille and G. Maxwell, "The safegcd implementation in libsecp256k1 explained").
//!
//! 62 steps at a time look at the lowest words of f and g alone and are gathered in a 2×2 matrix, which is then applied to the
//! whole of f and g, and modulo m to the coefficients d and e with f = d·x and g = e·x.

use super::limbs::{Limbs, hidden};

/// A number in five words of 62 bits, the least first; the last one bears the sign.
type Signed62 = [i64; 5];

/// Steps that one matrix gathers.
const STEPS: u32 = 62;
/// Matrices that are enough: 10 · 62 is at least 590.
const ROUNDS: u32 = 10;

const LOW: u64 = u64::MAX >> 2;

/// What the steps do: f, g ← (u·f + v·g)/2^62, (q·f + r·g)/2^62.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// A modulus, as this module reads it.
pub(crate) struct Modulus {
    m: Signed62,
    /// 1/m mod 2^62.
    inverse: u64,
}

impl Modulus {
    /// `inverse` is 1/m mod 2^64.
    pub(crate) const fn new(m: &Limbs, inverse: u64) -> Self {
        Self { m: split(m), inverse: inverse & LOW }
    }

    /// 1/x mod m, and 0 for 0. `x` is below m.
    pub(crate) fn invert(&self, x: &Limbs) -> Limbs {
        let mut d: Signed62 = [0; 5];
        let mut e: Signed62 = [1, 0, 0, 0, 0];
        let mut f = self.m;
        let mut g = split(x);
        // -(δ + 1/2), an integer.
        let mut zeta = -1;
        let mut i = 0;
        while i < ROUNDS {
            let matrix;
            (zeta, matrix) = steps(zeta, f[0] as u64, g[0] as u64);
            (d, e) = self.apply_modulo(&matrix, &d, &e);
            (f, g) = apply(&matrix, &f, &g);
            i += 1;
        }
        // g is 0 now, and f is 1 or -1 if x has an inverse.
        self.normal(&d, hidden((f[4] >> 63) as u64) as i64)
    }

    /// [`Self::invert`] in a time that depends on x.
    pub(crate) fn invert_public(&self, x: &Limbs) -> Limbs {
        let mut d: Signed62 = [0; 5];
        let mut e: Signed62 = [1, 0, 0, 0, 0];
        let mut f = self.m;
        let mut g = split(x);
        let mut delta = 1;
        while g != [0; 5] {
            let matrix;
            (delta, matrix) = public_steps(delta, f[0] as u64, g[0] as u64);
            (d, e) = self.apply_modulo(&matrix, &d, &e);
            (f, g) = apply(&matrix, &f, &g);
        }
        self.normal(&d, f[4] >> 63)
    }

    /// The coefficients after the steps, each in -2m < c < m if they were.
    fn apply_modulo(&self, matrix: &Matrix, d: &Signed62, e: &Signed62) -> (Signed62, Signed62) {
        let Matrix { u, v, q, r } = *matrix;
        let (d_negative, e_negative) = (d[4] >> 63, e[4] >> 63);
        // Start with m once for each coefficient that is negative ...
        let mut times_d = (u & d_negative) + (v & e_negative);
        let mut times_e = (q & d_negative) + (r & e_negative);
        let mut sum_d = u as i128 * d[0] as i128 + v as i128 * e[0] as i128;
        let mut sum_e = q as i128 * d[0] as i128 + r as i128 * e[0] as i128;
        // ... and take as many m as make the lowest word 0.
        times_d -= ((sum_d as u64).wrapping_mul(self.inverse).wrapping_add(times_d as u64) & LOW) as i64;
        times_e -= ((sum_e as u64).wrapping_mul(self.inverse).wrapping_add(times_e as u64) & LOW) as i64;
        sum_d += self.m[0] as i128 * times_d as i128;
        sum_e += self.m[0] as i128 * times_e as i128;
        let mut new = ([0; 5], [0; 5]);
        let mut i = 1;
        while i < 5 {
            sum_d >>= STEPS;
            sum_e >>= STEPS;
            sum_d += u as i128 * d[i] as i128 + v as i128 * e[i] as i128 + self.m[i] as i128 * times_d as i128;
            sum_e += q as i128 * d[i] as i128 + r as i128 * e[i] as i128 + self.m[i] as i128 * times_e as i128;
            new.0[i - 1] = (sum_d as u64 & LOW) as i64;
            new.1[i - 1] = (sum_e as u64 & LOW) as i64;
            i += 1;
        }
        new.0[4] = (sum_d >> STEPS) as i64;
        new.1[4] = (sum_e >> STEPS) as i64;
        new
    }

    /// `d` or, if `negate` is -1, `-d`, as a number from 0 to m - 1. `d` is above -2m and below m.
    fn normal(&self, d: &Signed62, negate: i64) -> Limbs {
        let mut d = self.lift(d);
        let mut i = 0;
        while i < 5 {
            d[i] = (d[i] ^ negate) - negate;
            i += 1;
        }
        join(&self.lift(&carried(&d)))
    }

    /// m more, if the number is negative.
    fn lift(&self, d: &Signed62) -> Signed62 {
        let negative = hidden((d[4] >> 63) as u64) as i64;
        let mut lifted = *d;
        let mut i = 0;
        while i < 5 {
            lifted[i] += self.m[i] & negative;
            i += 1;
        }
        carried(&lifted)
    }
}

/// 62 divsteps on the lowest bits of f and g. Only those bits matter that are still there.
fn steps(mut zeta: i64, mut f: u64, mut g: u64) -> (i64, Matrix) {
    let (mut u, mut v, mut q, mut r) = (1u64, 0u64, 0u64, 1u64);
    let mut i = 0;
    while i < STEPS {
        // δ > 0, and g odd.
        let positive = hidden((zeta >> 63) as u64);
        let odd = hidden((g & 1).wrapping_neg());
        // g plus or minus f if g is odd.
        g = g.wrapping_add((f ^ positive).wrapping_sub(positive) & odd);
        q = q.wrapping_add((u ^ positive).wrapping_sub(positive) & odd);
        r = r.wrapping_add((v ^ positive).wrapping_sub(positive) & odd);
        // f is the former g if both hold: f + (g - f).
        let swap = positive & odd;
        zeta = (zeta ^ swap as i64) - 1;
        f = f.wrapping_add(g & swap);
        u = u.wrapping_add(q & swap);
        v = v.wrapping_add(r & swap);
        // g is halved, or the row of f doubled.
        g >>= 1;
        u <<= 1;
        v <<= 1;
        i += 1;
    }
    (zeta, Matrix { u: u as i64, v: v as i64, q: q as i64, r: r as i64 })
}

/// [`steps`] in a time that depends on f and g: steps that halve an even g are taken together, and so are those that add f to
/// an odd one, which come to the multiple of f that makes the lowest bits of g zero. Each matrix is that of 62 single steps.
/// Here δ is the paper's own, which starts at 1.
fn public_steps(mut delta: i64, mut f: u64, mut g: u64) -> (i64, Matrix) {
    let (mut u, mut v, mut q, mut r) = (1u64, 0u64, 0u64, 1u64);
    let mut left = STEPS;
    loop {
        // Halves g, as long as it is even and there are steps.
        let zeros = (g | 1 << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        delta += i64::from(zeros);
        left -= zeros;
        if left == 0 {
            return (delta, Matrix { u: u as i64, v: v as i64, q: q as i64, r: r as i64 });
        }
        if delta > 0 {
            delta = -delta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
        }
        // So many steps there are until δ is positive; -1/f modulo 2^6 tells no more than six of them at a time.
        let count = (1 - delta).min(left.into()).min(6);
        let factor = g.wrapping_mul(f).wrapping_mul(f.wrapping_mul(f).wrapping_sub(2)) & ((1 << count) - 1);
        g = g.wrapping_add(f.wrapping_mul(factor));
        q = q.wrapping_add(u.wrapping_mul(factor));
        r = r.wrapping_add(v.wrapping_mul(factor));
    }
}

/// f and g after the steps; the divisions come out even.
fn apply(matrix: &Matrix, f: &Signed62, g: &Signed62) -> (Signed62, Signed62) {
    let Matrix { u, v, q, r } = *matrix;
    let mut sum_f = u as i128 * f[0] as i128 + v as i128 * g[0] as i128;
    let mut sum_g = q as i128 * f[0] as i128 + r as i128 * g[0] as i128;
    let mut new = ([0; 5], [0; 5]);
    let mut i = 1;
    while i < 5 {
        sum_f >>= STEPS;
        sum_g >>= STEPS;
        sum_f += u as i128 * f[i] as i128 + v as i128 * g[i] as i128;
        sum_g += q as i128 * f[i] as i128 + r as i128 * g[i] as i128;
        new.0[i - 1] = (sum_f as u64 & LOW) as i64;
        new.1[i - 1] = (sum_g as u64 & LOW) as i64;
        i += 1;
    }
    new.0[4] = (sum_f >> STEPS) as i64;
    new.1[4] = (sum_g >> STEPS) as i64;
    new
}

/// The same number with each word but the last from 0 to 2^62 - 1.
fn carried(d: &Signed62) -> Signed62 {
    let mut carried = *d;
    let mut i = 0;
    while i < 4 {
        carried[i + 1] += carried[i] >> STEPS;
        carried[i] &= LOW as i64;
        i += 1;
    }
    carried
}

const fn split(a: &Limbs) -> Signed62 {
    [
        (a[0] & LOW) as i64,
        ((a[0] >> 62 | a[1] << 2) & LOW) as i64,
        ((a[1] >> 60 | a[2] << 4) & LOW) as i64,
        ((a[2] >> 58 | a[3] << 6) & LOW) as i64,
        (a[3] >> 56) as i64,
    ]
}

fn join(a: &Signed62) -> Limbs {
    let [a0, a1, a2, a3, a4] = *a;
    [
        a0 as u64 | (a1 as u64) << 62,
        a1 as u64 >> 2 | (a2 as u64) << 60,
        a2 as u64 >> 4 | (a3 as u64) << 58,
        a3 as u64 >> 6 | (a4 as u64) << 56,
    ]
}
