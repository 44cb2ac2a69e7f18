//! What of the curves' arithmetic is written for more than one kind of processor. All the rest is generic over it.

use super::limbs::Limbs;
use super::search::{self, AtOnce};
use super::{Affine, Curve, Fe, Table, Xyzz};
#[cfg(target_arch = "x86_64")]
use crate::x86::Adx;

/// Products of coordinates. A value is the proof that this processor can run them.
pub(crate) trait Products: Copy {
    /// a·b.
    fn mul<C: Curve>(self, a: &Fe<C>, b: &Fe<C>) -> Fe<C>;

    /// a·a.
    fn square<C: Curve>(self, a: &Fe<C>) -> Fe<C>;
}

/// All that differs.
pub(crate) trait Arithmetic: Products {
    /// Entry `index` of some, for which every one of them is read.
    fn look_up<C: Curve, const N: usize>(self, entries: &[Affine<C>; N], index: u64) -> Affine<C>;

    /// [`Table::mul`].
    fn by_table<C: Curve>(self, table: &Table<C>, k: &Limbs) -> Xyzz<C>;
}

/// Runs on every processor.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Portable;

impl Products for Portable {
    #[inline(always)]
    fn mul<C: Curve>(self, a: &Fe<C>, b: &Fe<C>) -> Fe<C> {
        a.mul(b)
    }

    #[inline(always)]
    fn square<C: Curve>(self, a: &Fe<C>) -> Fe<C> {
        a.square()
    }
}

impl Arithmetic for Portable {
    #[inline]
    fn look_up<C: Curve, const N: usize>(self, entries: &[Affine<C>; N], index: u64) -> Affine<C> {
        search::look_up(entries, index)
    }

    fn by_table<C: Curve>(self, table: &Table<C>, k: &Limbs) -> Xyzz<C> {
        table.sum::<_, AtOnce<C>>(self, k)
    }
}

/// The fastest that this processor can run.
#[derive(Clone, Copy)]
pub(crate) enum Best {
    #[cfg(target_arch = "x86_64")]
    Adx(Adx),
    Portable(Portable),
}

impl Best {
    /// What the processor has is asked once in a process; later this reads a few bits.
    #[inline]
    pub(crate) fn get() -> Self {
        #[cfg(feature = "memcheck")]
        if crate::memcheck::is_portable() {
            return Self::Portable(Portable);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(adx) = Adx::detect() {
            return Self::Adx(adx);
        }
        Self::Portable(Portable)
    }
}

/// Computes with the fastest arithmetic: `on_best!(a => product::mul(a, point, k))`.
macro_rules! on_best {
    ($arithmetic:ident => $work:expr) => {
        match crate::curve::Best::get() {
            #[cfg(target_arch = "x86_64")]
            crate::curve::Best::Adx($arithmetic) => $work,
            crate::curve::Best::Portable($arithmetic) => $work,
        }
    };
}
pub(crate) use on_best;

/// Does something with all arithmetic that this processor can run.
#[cfg(test)]
macro_rules! on_each {
    ($arithmetic:ident => $work:expr) => {
        #[cfg(target_arch = "x86_64")]
        if let Some($arithmetic) = crate::x86::Adx::detect() {
            $work
        }
        let $arithmetic = crate::curve::Portable;
        $work
    };
}
#[cfg(test)]
pub(crate) use on_each;
