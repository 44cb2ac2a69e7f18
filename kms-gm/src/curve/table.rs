//! Multiples of a point that is multiplied often, so that a product is a sum of 37 of them.
//!
//! A scalar is read in 37 windows of 7 bits (`digits`). The table holds 1, 3, 5 … 127 times 2⁷ⁱ·P for each of them, 148 KiB.

use core::sync::atomic::Ordering;

use super::digits::{digit, odd};
use super::limbs::{Limbs, hidden, is_zero};
use super::sum::Summands;
use super::{Affine, Arithmetic, Curve, Fe, Jacobian, Xyzz};

/// Bits of a window.
const WIDTH: u32 = 7;
/// Multiples in a window.
const MULTIPLES: usize = 1 << (WIDTH - 1);
/// Windows that hold 256 bits.
pub(crate) const WINDOWS: usize = 37;
/// The last window has three bits above its lowest.
const LAST: u32 = 61;

type Window<C> = [Affine<C>; MULTIPLES];

/// Multiples of one point.
pub(crate) struct Table<C>(Box<[Window<C>]>);

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
        Self(Jacobian::all_to_affine(&firsts, a).iter().map(|first| odd_multiples(a, first)).collect())
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

    /// k·P in constant time, for k from 1 to n - 1.
    pub(crate) fn mul<A: Arithmetic>(&self, a: A, scalar: &Limbs) -> Xyzz<C> {
        // From the last window down no sum meets what is added to it: it is an odd number of times the first multiple of the
        // window above, and so twice as even as the digit, and nearer to 0 than 2n. To be n more than the digit it would have
        // to be odd, below the last digit; and there the number that is so even lies more than a window from n.
        const { assert!(C::N.m[0] >> WIDTH & 1 == 0, "n less a digit is not an odd number of windows") };
        let (is_negated, scalar) = odd::<C>(scalar);
        let (last, lower) = self.0.split_last().expect("a table has windows");
        let mut sum = Xyzz::from(a.look_up(last, (scalar[3] >> LAST) + 1));
        for (i, window) in lower.iter().enumerate().rev() {
            let (negative, index) = digit(&scalar, i, WIDTH);
            sum = sum.add(a, &a.look_up(window, index + 1).negate_if(negative));
        }
        sum.negate_if(is_negated)
    }

    /// The summands of k·P for a public number below n.
    pub(crate) fn summands(&self, scalar: &Limbs, into: &mut Summands<C>) {
        let (is_negated, scalar) = odd::<C>(scalar);
        let (last, lower) = self.0.split_last().expect("a table has windows");
        for (i, window) in lower.iter().enumerate() {
            let (negative, index) = digit(&scalar, i, WIDTH);
            into.push(window[index as usize].negate_if(negative ^ is_negated));
        }
        into.push(last[(scalar[3] >> LAST) as usize].negate_if(is_negated));
    }
}

/// 1, 3, 5 … 2N - 1 times a point.
#[inline(never)]
pub(crate) fn odd_multiples<C: Curve, A: Arithmetic, const N: usize>(a: A, point: &Affine<C>) -> [Affine<C>; N] {
    // Additions ask for neither a nor b, so that they hold on every curve that this one is mapped to by x·Z², y·Z³; doubling
    // does not. With the Z of 2P the double is affine there, and all that follows are additions.
    let Jacobian { x, y, z } = Jacobian::from(*point).double(a);
    let (double, zz) = (Affine { x, y }, a.square(&z));
    let point = Affine { x: a.mul(&point.x, &zz), y: a.mul(&point.y, &a.mul(&zz, &z)) };
    let mut last = Jacobian::from(point);
    let all = core::array::from_fn(|i| {
        if i > 0 {
            last = last.add(a, &double);
        }
        Jacobian { z: a.mul(&last.z, &z), ..last }
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
