//! Integers of 256 bits in four words, the least first, and what is needed of them in constant time.

/// A number below 2^256.
pub(crate) type Limbs = [u64; 4];

/// `a + b + carry`, where the carry is 0 or 1, and the carry out.
#[inline(always)]
pub(crate) const fn adc(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let (sum, over) = a.overflowing_add(b);
    let (sum, over_again) = sum.overflowing_add(carry);
    (sum, (over | over_again) as u64)
}

/// `a - b - borrow`, where the borrow is 0 or 1, and the borrow out.
#[inline(always)]
pub(crate) const fn sbb(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let (difference, under) = a.overflowing_sub(b);
    let (difference, under_again) = difference.overflowing_sub(borrow);
    (difference, (under | under_again) as u64)
}

/// `a + b * c + carry`, and its upper word.
#[inline(always)]
pub(crate) const fn mac(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let sum = a as u128 + b as u128 * c as u128 + carry as u128;
    (sum as u64, (sum >> 64) as u64)
}

/// `a + b` and the carry.
#[inline(always)]
pub(crate) const fn add(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (r0, carry) = adc(a[0], b[0], 0);
    let (r1, carry) = adc(a[1], b[1], carry);
    let (r2, carry) = adc(a[2], b[2], carry);
    let (r3, carry) = adc(a[3], b[3], carry);
    ([r0, r1, r2, r3], carry)
}

/// `a - b` and the borrow.
#[inline(always)]
pub(crate) const fn sub(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (r0, borrow) = sbb(a[0], b[0], 0);
    let (r1, borrow) = sbb(a[1], b[1], borrow);
    let (r2, borrow) = sbb(a[2], b[2], borrow);
    let (r3, borrow) = sbb(a[3], b[3], borrow);
    ([r0, r1, r2, r3], borrow)
}

/// `a * b` in eight words, the least first.
#[inline(always)]
pub(crate) const fn mul(a: &Limbs, b: &Limbs) -> [u64; 8] {
    let mut t = [0; 8];
    let mut i = 0;
    while i < 4 {
        let (t0, carry) = mac(t[i], a[0], b[i], 0);
        let (t1, carry) = mac(t[i + 1], a[1], b[i], carry);
        let (t2, carry) = mac(t[i + 2], a[2], b[i], carry);
        let (t3, carry) = mac(t[i + 3], a[3], b[i], carry);
        (t[i], t[i + 1], t[i + 2], t[i + 3], t[i + 4]) = (t0, t1, t2, t3, carry);
        i += 1;
    }
    t
}

/// `a * a` in eight words, the least first.
#[inline(always)]
pub(crate) const fn square(a: &Limbs) -> [u64; 8] {
    let [a0, a1, a2, a3] = *a;
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
    [t0, t1, t2, t3, t4, t5, t6, t7 + high]
}

/// All ones for 1, all zeros for 0.
#[inline(always)]
pub(crate) const fn mask(bit: u64) -> u64 {
    bit.wrapping_neg()
}

/// The same number, of which the optimiser does not know that it is a mask. What it knows to be all ones or all zeros it may
/// turn into a branch.
#[inline(always)]
pub(crate) fn hidden(mask: u64) -> u64 {
    let mut mask = mask;
    // SAFETY: no instruction at all; the register stays as it is.
    unsafe { core::arch::asm!("/* {0} */", inout(reg) mask, options(pure, nomem, nostack, preserves_flags)) };
    mask
}

/// `a` where the mask is all ones, `b` where it is all zeros.
#[inline(always)]
pub(crate) const fn select(mask: u64, a: &Limbs, b: &Limbs) -> Limbs {
    [
        b[0] ^ (mask & (a[0] ^ b[0])),
        b[1] ^ (mask & (a[1] ^ b[1])),
        b[2] ^ (mask & (a[2] ^ b[2])),
        b[3] ^ (mask & (a[3] ^ b[3])),
    ]
}

/// All ones if the number is zero.
#[inline(always)]
pub(crate) const fn is_zero(a: &Limbs) -> u64 {
    let any = a[0] | a[1] | a[2] | a[3];
    mask(((any | any.wrapping_neg()) >> 63) ^ 1)
}

/// `a mod m` for numbers below 2m: those whose carry is set are 2^256 more than their words tell.
#[inline(always)]
pub(crate) fn reduce_once(a: &Limbs, carry: u64, m: &Limbs) -> Limbs {
    let (less, is_negative) = less(a, carry, m);
    select(hidden(is_negative), a, &less)
}

/// [`reduce_once`] for constants.
pub(crate) const fn reduce_constant(a: &Limbs, carry: u64, m: &Limbs) -> Limbs {
    let (less, is_negative) = less(a, carry, m);
    select(is_negative, a, &less)
}

/// `a - m`, and all ones if that is negative.
#[inline(always)]
const fn less(a: &Limbs, carry: u64, m: &Limbs) -> (Limbs, u64) {
    let (less, borrow) = sub(a, m);
    // What has a carry is at least m, and takes the borrow with it.
    (less, mask(borrow & (carry ^ 1)))
}

/// From big-endian bytes.
pub(crate) const fn from_bytes(bytes: &[u8; 32]) -> Limbs {
    let mut limbs = [0; 4];
    let mut i = 0;
    while i < 32 {
        limbs[3 - i / 8] = limbs[3 - i / 8] << 8 | bytes[i] as u64;
        i += 1;
    }
    limbs
}

/// To big-endian bytes.
pub(crate) const fn to_bytes(limbs: &Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < 32 {
        bytes[i] = (limbs[3 - i / 8] >> (56 - 8 * (i % 8))) as u8;
        i += 1;
    }
    bytes
}
