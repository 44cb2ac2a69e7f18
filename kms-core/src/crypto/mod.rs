//! Cryptography: what a key of each kind can do, with no store, clock or entropy in it.

pub mod aead;
pub mod asymmetric;
pub mod blob;
pub mod digest;
mod gcm;

pub use aead::{Cipher, DerivingKey, NONCE_LEN, TAG_LEN};
