//! Inverses by divsteps, in constant time and, for what is public, in a time that depends on the number.
//!
//! D. J. Bernstein and B.-Y. Yang, "Fast constant-time gcd computation and modular inversion", 2019, in the variant of
//! P. Wuille whose δ starts at 1/2, for which 590 steps are enough for numbers of 256 bits
//! (P. Wuille and G. Maxwell, "The safegcd implementation in libsecp256k1 explained").
//!
//! 60 steps at a time look at the lowest words of f and g alone and are gathered in a 2×2 matrix, which is then applied to the
//! whole of f and g, and modulo m to the coefficients d and e with f = d·x and g = e·x. In constant time these are three
//! matrices of 20 steps, whose rows stand in one word with the bits of f or g that they are made from, as in the software of
//! Bernstein and Yang.

use super::limbs::{Limbs, hidden};

/// A number in five words of 60 bits, the least first; the last one bears the sign.
type Signed60 = [i64; 5];

/// Steps that one matrix gathers.
const STEPS: u32 = 60;
/// Matrices that are enough: 10 · 60 is at least 590.
const ROUNDS: u32 = 10;

const LOW: u64 = u64::MAX >> (64 - STEPS);

/// Steps that a word for each row holds.
const BLOCK: u32 = 20;

/// What n steps do: f, g ← (u·f + v·g)/2^n, (q·f + r·g)/2^n.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// A modulus, as this module reads it.
pub(crate) struct Modulus {
    m: Signed60,
    /// 1/m mod 2^60.
    inverse: u64,
}

impl Modulus {
    /// `inverse` is 1/m mod 2^64.
    pub(crate) const fn new(m: &Limbs, inverse: u64) -> Self {
        Self { m: split(m), inverse: inverse & LOW }
    }

    /// 1/x mod m, and 0 for 0. `x` is below m.
    pub(crate) fn invert(&self, x: &Limbs) -> Limbs {
        let mut d: Signed60 = [0; 5];
        let mut e: Signed60 = [1, 0, 0, 0, 0];
        let mut f = self.m;
        let mut g = split(x);
        // -(δ + 1/2), an integer.
        let mut zeta = -1;
        let mut i = 0;
        while i < ROUNDS {
            let matrix;
            (zeta, matrix) = steps(zeta, f[0], g[0]);
            (d, e) = self.apply_modulo(&matrix, &d, &e);
            (f, g) = apply(&matrix, &f, &g);
            i += 1;
        }
        // g is 0 now, and f is 1 or -1 if x has an inverse.
        self.normal(&d, hidden((f[4] >> 63) as u64) as i64)
    }

    /// [`Self::invert`] in a time that depends on x.
    pub(crate) fn invert_public(&self, x: &Limbs) -> Limbs {
        let mut d: Signed60 = [0; 5];
        let mut e: Signed60 = [1, 0, 0, 0, 0];
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
    fn apply_modulo(&self, matrix: &Matrix, d: &Signed60, e: &Signed60) -> (Signed60, Signed60) {
        let Matrix { u, v, q, r } = *matrix;
        let [d_negative, e_negative] = [d, e].map(|number| hidden((number[4] >> 63) as u64) as i64);
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
    fn normal(&self, d: &Signed60, negate: i64) -> Limbs {
        let mut d = self.lift(d);
        let mut i = 0;
        while i < 5 {
            d[i] = (d[i] ^ negate) - negate;
            i += 1;
        }
        join(&self.lift(&carried(&d)))
    }

    /// m more, if the number is negative.
    fn lift(&self, d: &Signed60) -> Signed60 {
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

/// 60 divsteps on the lowest bits of f and g.
fn steps(zeta: i64, f: i64, g: i64) -> (i64, Matrix) {
    let (mut zeta, mut all) = block(zeta, f, g);
    let (mut f, mut g) = all.apply_low(f, g);
    for last in [false, true] {
        let next;
        (zeta, next) = block(zeta, f, g);
        if !last {
            (f, g) = next.apply_low(f, g);
        }
        all = next.after(&all);
    }
    (zeta, all)
}

/// 20 divsteps on the lowest bits of f and g.
///
/// A row is a word, the sum of f, -u·2^21 and -v·2^42, and is added and halved as a whole: u and v begin with 2^20, so that they
/// stay whole, and |u| + |v| and |q| + |r| are 2^20 at most.
///
/// At the end 21 bits hold -u and -v, which are not 2^20: before step i, r is an odd multiple of 2^(20 - i), and it is what v was made
/// from; so v is less than 2^20 in amount, but where the very first step has made it 2^20. u is 2^20 until it is made from q,
/// which is less. And a sum of two rows stays below 2^63: |r ± v| is 2^21 - 2^(20 - i) at most, 2^20 for i = 0, and all that stands
/// below comes to less than 2^43.
fn block(mut zeta: i64, f: i64, g: i64) -> (i64, Matrix) {
    const LOW: i64 = (1 << BLOCK) - 1;
    let (mut f, mut g) = ((f & LOW) - (1 << 41), (g & LOW) - (1 << 62));
    let mut i = 0;
    while i < BLOCK {
        // δ > 0, and g odd.
        let positive = hidden((zeta >> 63) as u64) as i64;
        let odd = hidden((g as u64 & 1).wrapping_neg()) as i64;
        let swap = positive & odd;
        // g plus or minus f if g is odd; f is the former g if both hold.
        let sum = g + (((f ^ positive) - positive) & odd);
        f ^= (f ^ g) & swap;
        g = sum >> 1;
        zeta = (zeta ^ swap) - 1;
        i += 1;
    }
    let [(u, v), (q, r)] = [f, g].map(|row| {
        let both = (row + (1 << BLOCK)) >> 21;
        let minus_u = both << 43 >> 43;
        (-minus_u, (minus_u - both) >> 21)
    });
    (zeta, Matrix { u, v, q, r })
}

impl Matrix {
    /// The lowest bits of f and g after 20 steps; 20 fewer are right than before.
    fn apply_low(&self, f: i64, g: i64) -> (i64, i64) {
        let row = |u: i64, v: i64| u.wrapping_mul(f).wrapping_add(v.wrapping_mul(g)) >> BLOCK;
        (row(self.u, self.v), row(self.q, self.r))
    }

    /// The matrix of some steps and these.
    fn after(&self, first: &Self) -> Self {
        let row = |u: i64, v: i64| (u * first.u + v * first.q, u * first.v + v * first.r);
        let ((u, v), (q, r)) = (row(self.u, self.v), row(self.q, self.r));
        Self { u, v, q, r }
    }
}

/// [`steps`] in a time that depends on f and g: steps that halve an even g are taken together, and so are those that add f to
/// an odd one, which come to the multiple of f that makes the lowest bits of g zero. Each matrix is that of 60 single steps.
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
fn apply(matrix: &Matrix, f: &Signed60, g: &Signed60) -> (Signed60, Signed60) {
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

/// The same number with each word but the last from 0 to 2^60 - 1.
fn carried(d: &Signed60) -> Signed60 {
    let mut carried = *d;
    let mut i = 0;
    while i < 4 {
        carried[i + 1] += carried[i] >> STEPS;
        carried[i] &= LOW as i64;
        i += 1;
    }
    carried
}

const fn split(a: &Limbs) -> Signed60 {
    [
        (a[0] & LOW) as i64,
        ((a[0] >> 60 | a[1] << 4) & LOW) as i64,
        ((a[1] >> 56 | a[2] << 8) & LOW) as i64,
        ((a[2] >> 52 | a[3] << 12) & LOW) as i64,
        (a[3] >> 48) as i64,
    ]
}

fn join(a: &Signed60) -> Limbs {
    let [a0, a1, a2, a3, a4] = *a;
    [
        a0 as u64 | (a1 as u64) << 60,
        a1 as u64 >> 4 | (a2 as u64) << 56,
        a2 as u64 >> 8 | (a3 as u64) << 52,
        a3 as u64 >> 12 | (a4 as u64) << 48,
    ]
}
