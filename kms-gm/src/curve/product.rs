//! Multiples of points that have no table.

use super::digits::{digit, odd};
use super::limbs::{self, Limbs};
use super::table::odd_multiples;
use super::{Affine, Arithmetic, Curve, Jacobian};

/// Bits of a window.
const WIDTH: u32 = 5;
/// Windows below the last, which has one bit of 256.
const WINDOWS: usize = 51;

/// k·P in constant time, for k below n; infinity for 0.
pub(crate) fn mul<C: Curve, A: Arithmetic>(a: A, point: &Affine<C>, scalar: &Limbs) -> Jacobian<C> {
    let table: [Affine<C>; 1 << (WIDTH - 1)] = odd_multiples(a, point);
    let (is_negated, scalar) = odd::<C>(scalar);
    // The last digit, which has no bits but its lowest.
    let mut sum = Jacobian::from(*point);
    for window in (0..WINDOWS).rev() {
        for _ in 0..WIDTH {
            sum = sum.double(a);
        }
        let (negative, index) = digit(&scalar, window, WIDTH);
        let multiple = a.look_up(&table, index).negate_if(negative);
        // Before the last window both summands are less than a thirtieth of the order, and 32 times the sum is more than the
        // digit. In the last one they are equal for 6 with the order of SM2.
        sum = if window > 0 { sum.add(a, &multiple) } else { sum.add_any(a, &multiple) };
    }
    sum.negate_if(is_negated)
}

/// Bits of an odd digit; between two of them there are at least as many zeros.
const ODD_WIDTH: u32 = 5;

/// k·P for public numbers and points, whatever they are.
pub(crate) fn mul_public<C: Curve, A: Arithmetic>(a: A, point: &Affine<C>, scalar: &Limbs) -> Jacobian<C> {
    let odd: [Affine<C>; 1 << (ODD_WIDTH - 2)] = odd_multiples(a, point);
    let mut sum = Jacobian::INFINITY;
    for digit in non_adjacent(scalar).iter().rev() {
        sum = sum.double(a);
        if *digit != 0 {
            let multiple = odd[usize::from(digit.unsigned_abs() / 2)];
            sum = sum.add_public(a, &multiple.negate_if(limbs::mask(u64::from(*digit < 0))));
        }
    }
    sum
}

/// The non-adjacent form of width 5: digits that are 0 or odd from -15 to 15, the least first.
fn non_adjacent(scalar: &Limbs) -> [i8; 257] {
    let mut digits = [0; 257];
    let bit = |at: usize| scalar.get(at / 64).map_or(0, |limb| limb >> (at % 64) & 1);
    let (mut at, mut carry) = (0, 0);
    while at < digits.len() {
        if bit(at) == carry {
            at += 1;
            continue;
        }
        let mut value = carry;
        for i in 0..ODD_WIDTH as usize {
            value += bit(at + i) << i;
        }
        // Odd: the lowest bit and the carry differ.
        carry = value >> (ODD_WIDTH - 1);
        digits[at] = value as i8 - ((carry as i8) << ODD_WIDTH);
        at += ODD_WIDTH as usize;
    }
    digits
}
