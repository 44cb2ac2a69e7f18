//! Multiples of points that have no table.

use super::limbs::{self, Limbs, is_zero};
use super::table::{digit, multiples};
use super::{Affine, Arithmetic, Curve, Jacobian};

/// Bits of a window.
const WIDTH: u32 = 5;
/// Windows that hold 256 bits and a carry.
const WINDOWS: usize = 52;

/// k·P in constant time, for k from 1 to the order less 1.
pub(crate) fn mul<C: Curve, A: Arithmetic>(a: A, point: &Affine<C>, scalar: &Limbs) -> Jacobian<C> {
    let table: [Affine<C>; 1 << (WIDTH - 1)] = multiples(a, point);
    let mut sum = Jacobian::INFINITY;
    for window in (0..WINDOWS).rev() {
        let (negative, amount) = digit(scalar, window, WIDTH);
        let multiple = a.look_up(&table, amount).negate_if(negative);
        let left_out = is_zero(&[amount, 0, 0, 0]);
        // Before the last window both summands are less than a thirtieth of the order, and 32 times the sum is either
        // nothing or more than the digit. In the last one they are equal for the order of SM2 less 6.
        sum = if window > 0 { sum.add(a, &multiple, left_out) } else { sum.add_any(a, &multiple, left_out) };
        if window > 0 {
            for _ in 0..WIDTH {
                sum = sum.double(a);
            }
        }
    }
    sum
}

/// Bits of an odd digit; between two of them there are at least as many zeros.
const ODD_WIDTH: u32 = 5;

/// k·P for public numbers and points, whatever they are.
pub(crate) fn mul_public<C: Curve, A: Arithmetic>(a: A, point: &Affine<C>, scalar: &Limbs) -> Jacobian<C> {
    let odd = odd_multiples(a, point);
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

/// 1, 3, 5 ... 15 times a point.
fn odd_multiples<C: Curve, A: Arithmetic>(a: A, point: &Affine<C>) -> [Affine<C>; 1 << (ODD_WIDTH - 2)] {
    // Additions ask for neither a nor b, so that they hold on every curve that this one is mapped to by x·Z², y·Z³; doubling
    // does not. With the Z of 2P the double is affine there, and all that follows are additions.
    let Jacobian { x, y, z } = Jacobian::from(*point).double(a);
    let (double, zz) = (Affine { x, y }, a.square(&z));
    let point = Affine { x: a.mul(&point.x, &zz), y: a.mul(&point.y, &a.mul(&zz, &z)) };
    let mut last = Jacobian::from(point);
    let all = core::array::from_fn(|i| {
        if i > 0 {
            last = last.add(a, &double, 0);
        }
        Jacobian { z: a.mul(&last.z, &z), ..last }
    });
    Jacobian::all_to_affine(&all, a)
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
