//! Arithmetic on big integers, and the curves of other crates, against every kind of processor code that this processor can
//! run.

mod arithmetic;
mod points;
pub(crate) mod vectors;

use super::limbs::{self, Limbs};

/// Runs every check of a module for each curve.
macro_rules! for_each_curve {
    ($($check:ident)*) => {
        for_each_curve!(@ sm2, crate::sm2::Sm2, $($check)*);
        for_each_curve!(@ p256, crate::ecdsa::P256, $($check)*);
        for_each_curve!(@ secp256k1, crate::ecdsa::Secp256k1, $($check)*);
    };
    (@ $curve:ident, $type:ty, $($check:ident)*) => {
        mod $curve {
            $(
                #[test]
                fn $check() {
                    super::$check::<$type>();
                }
            )*
        }
    };
}
use for_each_curve;

/// The number that is so much less than another.
fn less(number: &Limbs, by: u64) -> Limbs {
    limbs::sub(number, &[by, 0, 0, 0]).0
}
