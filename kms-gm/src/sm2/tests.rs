//! The standard's samples, and another implementation.

mod schemes;

use super::limbs::{self, Limbs};

/// A number from hex digits.
fn number(digits: &str) -> Limbs {
    limbs::from_bytes(&hex::decode(digits).expect("hex").try_into().expect("32 bytes"))
}
