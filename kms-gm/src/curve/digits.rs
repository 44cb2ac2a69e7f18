//! How scalars are read for tables: in windows of w bits, each with an odd digit, so that there is something to add for every one.
//!
//! An odd k is Σ dᵢ·2^(w·i), where all digits but the last are odd numbers from 1 - 2^w to 2^w - 1: with mᵢ for the w bits above
//! the lowest one of window i, dᵢ = 2·mᵢ + 1 - 2^w, and the last is 2·m + 1 (M. Joye and M. Tunstall, "Exponent recoding and
//! regular exponentiation algorithms", 2009). For an even k the product is that of n - k, with the other sign.

use zeroize::Zeroizing;

use super::Curve;
use super::limbs::{self, Limbs, hidden, mask};

/// All ones if k is even, and k or n - k, whichever is odd; k is below n.
#[inline(always)]
pub(crate) fn odd<C: Curve>(k: &Limbs) -> (u64, Zeroizing<Limbs>) {
    let is_even = hidden(mask(k[0] & 1 ^ 1));
    (is_even, Zeroizing::new(limbs::select(is_even, &limbs::sub(&C::N.m, k).0, k)))
}

/// The digit of a window that is not the last, as all ones if it is negative and a number i, for an amount of 2i + 1.
#[inline(always)]
pub(crate) fn digit(odd: &Limbs, window: usize, width: u32) -> (u64, u64) {
    let at = window * width as usize + 1;
    let (limb, shift) = (at / 64, at % 64);
    let above = odd.get(limb + 1).copied().unwrap_or(0);
    let bits = (odd[limb] >> shift | (above << 1) << (63 - shift)) & ((1 << width) - 1);
    let negative = hidden(mask(bits >> (width - 1) ^ 1));
    (negative, (bits ^ negative) & ((1 << (width - 1)) - 1))
}
