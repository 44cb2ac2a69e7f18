//! Entries of windows, found in constant time: all of them are read, and the one that is wanted is kept.
//!
//! Reading a window of a table takes a quarter of the time of an addition of points, and other parts of the processor. Where they
//! are fit for that, a look-up goes on beside each product of the addition before.

use super::limbs::{hidden, is_zero};
use super::{Affine, Curve, Fe, Portable, Products};

/// A look-up.
pub(crate) trait Search {
    /// Reads a tenth of the window: an addition has ten products.
    fn go_on(&self);
}

/// A look-up, by some arithmetic, among N entries.
pub(crate) trait SearchIn<'w, A, C, const N: usize>: Search {
    /// For an entry, counted from 0.
    fn new(a: A, window: &'w [Affine<C>; N], index: u64) -> Self;

    /// The entry. Reads what has not been read.
    fn found(self) -> Affine<C>;
}

/// Products beside which a look-up goes on.
pub(crate) struct Beside<'s, A, S>(pub(crate) A, pub(crate) &'s S);

impl<A: Copy, S> Clone for Beside<'_, A, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Copy, S> Copy for Beside<'_, A, S> {}

impl<A: Products, S: Search> Products for Beside<'_, A, S> {
    #[inline(always)]
    fn mul<C: Curve>(self, a: &Fe<C>, b: &Fe<C>) -> Fe<C> {
        let product = self.0.mul(a, b);
        self.1.go_on();
        product
    }

    #[inline(always)]
    fn square<C: Curve>(self, a: &Fe<C>) -> Fe<C> {
        let square = self.0.square(a);
        self.1.go_on();
        square
    }
}

/// A look-up in plain integer arithmetic, which is done before anything else.
pub(crate) struct AtOnce<C>(Affine<C>);

impl<C> Search for AtOnce<C> {
    fn go_on(&self) {}
}

impl<'w, C: Curve, const N: usize> SearchIn<'w, Portable, C, N> for AtOnce<C> {
    fn new(_: Portable, window: &'w [Affine<C>; N], index: u64) -> Self {
        Self(look_up(window, index))
    }

    fn found(self) -> Affine<C> {
        self.0
    }
}

/// Entry `index` of some, counted from 0.
#[inline]
pub(crate) fn look_up<C: Curve, const N: usize>(entries: &[Affine<C>; N], index: u64) -> Affine<C> {
    let (mut x, mut y) = ([0; 4], [0; 4]);
    for (entry, at) in entries.iter().zip(0..) {
        let wanted = hidden(is_zero(&[index ^ at, 0, 0, 0]));
        for i in 0..4 {
            x[i] |= entry.x.0[i] & wanted;
            y[i] |= entry.y.0[i] & wanted;
        }
    }
    Affine { x: Fe::new(x), y: Fe::new(y) }
}
