//! Cryptography: what a key of each kind can do, with no store, clock or entropy in it.

pub mod aead;
pub mod blob;
mod gcm;

pub use aead::{Cipher, DerivingKey, NONCE_LEN, TAG_LEN};
