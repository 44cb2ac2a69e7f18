//! The standard's samples, another implementation, and arithmetic on big integers against every kind of processor code
//! that this processor can run.

mod arithmetic;
mod points;
mod schemes;

use super::limbs::{self, Limbs};

/// A number from hex digits.
fn number(digits: &str) -> Limbs {
    limbs::from_bytes(&hex::decode(digits).expect("hex").try_into().expect("32 bytes"))
}
