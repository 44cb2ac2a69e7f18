//! Scalars: residues of the order n of the base point.

use super::curve::N;
use crate::curve::limbs::{self, Limbs};

/// The residue of a number below 2^256.
pub(crate) fn reduced(number: &Limbs) -> Limbs {
    limbs::reduce_once(number, 0, &N.m)
}

/// The residue of a number of 512 bits, big-endian. If those are random, no residue is more frequent than another by more
/// than 2^-256.
pub(crate) fn from_wide(bytes: &[u8; 64]) -> Limbs {
    let (high, low) = bytes.split_at(32);
    let [high, low] = [high, low].map(|half| limbs::from_bytes(half.try_into().expect("half of 64 bytes")));
    // high·R + low: the product divides by R once.
    N.add(&N.mul(&high, &N.r2), &reduced(&low))
}

/// A factor for [`times`]: x in Montgomery's form.
pub(crate) fn factor(x: &Limbs) -> Limbs {
    N.mul(x, &N.r2)
}

/// 1/x as a factor for [`times`].
pub(crate) fn inverse_factor(x: &Limbs) -> Limbs {
    factor(&N.invert(x))
}

/// The product of a number and a factor.
pub(crate) fn times(x: &Limbs, factor: &Limbs) -> Limbs {
    N.mul(x, factor)
}
