//! Multiples of a point that is multiplied often, so that a product is a sum of 37 of them.
//!
//! A scalar is read in 37 windows of 7 bits (`digits`). The table holds 1, 3, 5 … 127 times 2⁷ⁱ·P for each of them, 148 KiB.

use core::sync::atomic::Ordering;

use super::digits::{digit, odd};
use super::limbs::Limbs;
use super::search::{Beside, SearchIn};
use super::sum::Summands;
use super::{Affine, Arithmetic, Curve, Jacobian, Products, Xyzz};

/// Bits of a window.
const WIDTH: u32 = 7;
/// Multiples in a window.
const MULTIPLES: usize = 1 << (WIDTH - 1);
/// Windows that hold 256 bits.
pub(crate) const WINDOWS: usize = 37;
/// Where in the highest word the last window's bits stand, above its lowest.
const LAST_SHIFT: usize = WIDTH as usize * (WINDOWS - 1) + 1 - 192;

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

    /// k·P in constant time, for k below n; infinity for 0.
    pub(crate) fn mul<A: Arithmetic>(&self, a: A, k: &Limbs) -> Xyzz<C> {
        a.by_table(self, k)
    }

    /// [`Self::mul`] with a way to look up entries. Inlined into a function that is compiled for that.
    #[inline(always)]
    pub(crate) fn sum<'t, A: Products, S: SearchIn<'t, A, C, MULTIPLES>>(&'t self, a: A, k: &Limbs) -> Xyzz<C> {
        // No sum meets what is added to it. Before window i the sum s is 2^(7i + 7) times an odd number, above 0 and below 2n, and
        // the summand 2^(7i) times a digit d. They are equal or opposite modulo n if s ± 2^(7i)·d is 0, which it is not, since
        // s is even more often; or n, which is odd, so in window 0. There s + d is k; and s - d is n if s is n - |d|, which
        // has seven factors of 2 for a digit only if there is a 1 in the eighth place of n.
        const { assert!(C::N.m[0] >> WIDTH & 1 == 0, "a sum may meet the last digit") };
        let (is_negated, k) = odd::<C>(k);
        let mut sum = Xyzz::from(S::new(a, &self.0[WINDOWS - 1], k[3] >> LAST_SHIFT).found());
        let (mut negative, search) = self.search::<_, S>(a, WINDOWS - 2, &k);
        let mut multiple = search.found().negate_if(negative);
        for window in (0..WINDOWS - 2).rev() {
            let search: S;
            (negative, search) = self.search(a, window, &k);
            sum = sum.add(Beside(a, &search), &multiple);
            multiple = search.found().negate_if(negative);
        }
        sum.add(a, &multiple).negate_if(is_negated)
    }

    /// The look-up for a digit, and its sign.
    #[inline(always)]
    fn search<'t, A, S: SearchIn<'t, A, C, MULTIPLES>>(&'t self, a: A, window: usize, odd: &Limbs) -> (u64, S) {
        let (negative, index) = digit(odd, window, WIDTH);
        (negative, S::new(a, &self.0[window], index))
    }

    /// The summands of k·P for a public number below n.
    pub(crate) fn summands(&self, scalar: &Limbs, into: &mut Summands<C>) {
        debug_assert!(C::N.contains(scalar) != 0, "a scalar is below n");
        let (is_negated, scalar) = odd::<C>(scalar);
        let (last, lower) = self.0.split_last().expect("a table has windows");
        for (i, window) in lower.iter().enumerate() {
            let (negative, index) = digit(&scalar, i, WIDTH);
            into.push(window[index as usize].negate_if(negative ^ is_negated));
        }
        into.push(last[(scalar[3] >> LAST_SHIFT) as usize].negate_if(is_negated));
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
