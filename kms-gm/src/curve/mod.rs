//! Curves y² = x³ + a·x + b of prime order over primes of 256 bits, for SM2 and ECDSA.
//!
//! ```text
//!   key ─── table, product, sum ── digits, search, xyzz, point ── field ──┬─ limbs
//!                                                             modulus ── inverse
//! ```
//!
//! A [`Curve`] brings its numbers and the products of its coordinates; all the rest is written once and compiled for each.
//! Fixed points are multiplied with tables of their multiples (`table`), other points in windows (`product`). Both have a way
//! for secrets, which reads every entry of a window, whichever is wanted, and a way for what is public.

mod arithmetic;
mod digits;
mod field;
mod inverse;
mod key;
pub(crate) mod limbs;
mod modulus;
mod point;
pub(crate) mod product;
pub(crate) mod search;
mod sum;
mod table;
mod xyzz;

#[cfg(test)]
pub(crate) mod tests;

use core::fmt::Debug;
use core::sync::atomic::AtomicPtr;

use self::limbs::Limbs;
#[cfg(target_arch = "x86_64")]
use crate::x86::Adx;

pub use self::key::MAX_TABLES;

#[cfg(test)]
pub(crate) use self::arithmetic::on_each;
pub(crate) use self::arithmetic::{Arithmetic, Best, Portable, Products, on_best};
pub(crate) use self::field::{Fe, montgomery_mul, montgomery_square};
pub(crate) use self::key::KeyPoint;
pub(crate) use self::modulus::Modulus;
pub(crate) use self::point::{Affine, Jacobian};
pub(crate) use self::table::Table;
pub(crate) use self::xyzz::Xyzz;

/// Bytes of a digest, and of a number.
pub const NUMBER_LEN: usize = 32;

/// Bytes of a point's X || Y.
pub const POINT_LEN: usize = 64;

/// Bytes of a signature's r || s.
pub const SIGNATURE_LEN: usize = 64;

/// The coefficient a, of which doubling makes use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoefficientA {
    MinusThree,
    Zero,
}

/// A curve of prime order n over the residues of a prime p, both above 2^255.
pub(crate) trait Curve: Copy + Debug + Eq + 'static {
    /// p.
    const P: &'static Modulus;
    /// n.
    const N: &'static Modulus;
    const A: CoefficientA;
    const B: Fe<Self>;
    /// The base point.
    const G: Affine<Self>;

    /// The product of two coordinates, in integer arithmetic.
    fn mul(a: &Limbs, b: &Limbs) -> Limbs;

    /// The square of a coordinate, likewise.
    fn square(a: &Limbs) -> Limbs;

    /// [`Self::mul`] in two chains of carries.
    #[cfg(target_arch = "x86_64")]
    fn mul_adx(adx: Adx, a: &Limbs, b: &Limbs) -> Limbs;

    /// [`Self::square`], likewise.
    #[cfg(target_arch = "x86_64")]
    fn square_adx(adx: Adx, a: &Limbs) -> Limbs;

    /// Where the table of the base point is kept: see [`Table::of_base`].
    fn base_table() -> &'static AtomicPtr<Table<Self>>;
}
