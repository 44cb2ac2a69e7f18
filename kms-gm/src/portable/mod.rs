//! SM4-GCM in plain integer arithmetic, for processors without the instructions.
//!
//! No table is read at a secret place and nothing branches on a secret. Multiplications of 64-bit numbers
//! are taken to last equally long for all operands, as they do on 64-bit processors.

mod gcm;
mod ghash;
mod sm4;

pub(crate) use self::gcm::{open, seal};
pub(crate) use self::sm4::Sm4;

#[cfg(test)]
pub(crate) mod tests;
