//! Multiples of a point that is multiplied often, so that a product is a sum of 37 of them.
//!
//! A scalar is read in 37 windows of 7 bits, each with a sign (Booth's recoding): k = Σ dᵢ·2⁷ⁱ with dᵢ from -64 to 64. The
//! table holds 1 to 64 times 2⁷ⁱ·P for each window, 148 KiB.

use core::sync::atomic::Ordering;

use super::limbs::{Limbs, hidden, is_zero, mask};
use super::sum::Summands;
use super::{Affine, Arithmetic, Curve, Fe, Jacobian};

/// Bits of a window.
const WIDTH: u32 = 7;
/// Multiples in a window.
const MULTIPLES: usize = 1 << (WIDTH - 1);
/// Windows that hold 256 bits and a carry.
pub(crate) const WINDOWS: usize = 37;

type Window<C> = [Affine<C>; MULTIPLES];

/// Multiples of one point.
pub(crate) struct Table<C>(Box<[Window<C>]>);

/// The digit of a scalar in a window of some bits: all ones if it is negative, and its amount.
#[inline(always)]
pub(crate) fn digit(scalar: &Limbs, window: usize, width: u32) -> (u64, u64) {
    // The bits of the window, and the one below, which tells whether the window below it was taken as negative.
    let bits = if window == 0 {
        scalar[0] << 1
    } else {
        let at = window * width as usize - 1;
        let (limb, shift) = (at / 64, at % 64);
        let above = scalar.get(limb + 1).copied().unwrap_or(0);
        scalar[limb] >> shift | (above << 1) << (63 - shift)
    };
    let bits = bits & ((2 << width) - 1);
    let negative = hidden(mask(bits >> width));
    let rounded = (bits + 1) >> 1;
    // 2^width - rounded where it is negative.
    let amount = (rounded ^ negative).wrapping_sub(negative).wrapping_add(negative & (1 << width));
    (negative, amount)
}

impl<C: Curve> Table<C> {
    /// Of a public point.
    pub(crate) fn new<A: Arithmetic>(a: A, point: &Affine<C>) -> Self {
        let mut first = Jacobian::from(*point);
        let firsts: [Jacobian<C>; WINDOWS] = core::array::from_fn(|window| {
            if window > 0 {
                for _ in 0..WIDTH {
                    first = first.double(a);
                }
            }
            first
        });
        // One window after the other, straight to the heap: callers' stacks may be small.
        Self(Jacobian::all_to_affine(&firsts, a).iter().map(|first| multiples(a, first)).collect())
    }

    /// Of the base point. Made when it is first asked for.
    pub(crate) fn of_base<A: Arithmetic>(a: A) -> &'static Self {
        let place = C::base_table();
        let mut table = place.load(Ordering::Acquire);
        if table.is_null() {
            // Nobody waits: in a forked child the thread that is waited for may not exist. Of two that race one comes first.
            let made = Box::into_raw(Box::new(Self::new(a, &C::G)));
            match place.compare_exchange(table, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => table = made,
                Err(first) => {
                    // SAFETY: `made` comes from `into_raw` and was shown to nobody.
                    drop(unsafe { Box::from_raw(made) });
                    table = first;
                }
            }
        }
        // SAFETY: it came from `into_raw`, is whole (Acquire), and is neither changed nor freed.
        unsafe { &*table }
    }

    /// k·P in constant time, for k below the order.
    ///
    /// No two summands are ever equal: the sum of the windows below one is at most half of its first multiple, and the digit of
    /// the last one, 16 at most, cannot reach round the order.
    pub(crate) fn mul<A: Arithmetic>(&self, a: A, scalar: &Limbs) -> Jacobian<C> {
        let mut sum = Jacobian::INFINITY;
        for (i, window) in self.0.iter().enumerate() {
            let (negative, amount) = digit(scalar, i, WIDTH);
            let multiple = a.look_up(window, amount).negate_if(negative);
            sum = sum.add(a, &multiple, is_zero(&[amount, 0, 0, 0]));
        }
        sum
    }

    /// The summands of k·P for a public number and point, whatever they are.
    pub(crate) fn summands(&self, scalar: &Limbs, into: &mut Summands<C>) {
        for (i, window) in self.0.iter().enumerate() {
            let (negative, amount) = digit(scalar, i, WIDTH);
            if let Some(multiple) = (amount as usize).checked_sub(1) {
                into.push(window[multiple].negate_if(negative));
            }
        }
    }
}

/// 1 to N times a point.
#[inline(never)]
pub(crate) fn multiples<C: Curve, A: Arithmetic, const N: usize>(a: A, point: &Affine<C>) -> [Affine<C>; N] {
    let mut last = Jacobian::INFINITY;
    let all = core::array::from_fn(|i| {
        // The second is the one that adds a point to itself.
        last = if i == 1 { last.double(a) } else { last.add(a, point, 0) };
        last
    });
    Jacobian::all_to_affine(&all, a)
}

/// Entry `index` of some, counted from 1, and zeros for 0, in plain integer arithmetic.
#[inline]
pub(crate) fn look_up<C: Curve>(entries: &[Affine<C>], index: u64) -> Affine<C> {
    let mut found = Affine { x: Fe::ZERO, y: Fe::ZERO };
    for (entry, at) in entries.iter().zip(1..) {
        let wanted = hidden(is_zero(&[index ^ at, 0, 0, 0]));
        for (found, limb) in found.x.0.iter_mut().zip(entry.x.0).chain(found.y.0.iter_mut().zip(entry.y.0)) {
            *found |= limb & wanted;
        }
    }
    found
}
