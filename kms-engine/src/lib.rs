//! The embedded KMS: ties the core, which decides, to the store, which keeps.
//!
//! ```text
//!   call(action, JSON) ──► json ──► Action::plan ──► commit ──► reply
//!                                     │    ▲           │
//!                            time, entropy │ Reader    │ on disk, then the cache forgets, then the reply goes
//!                                     ▼    │           ▼
//!   encrypt, decrypt, … ──► CachedView ──► cache ──► store
//! ```
//!
//! Everything that changes something is planned on a view that remembers what it read, committed with that as its
//! precondition, and planned again if it no longer holds. The typed functions write nothing: they look into the cache of
//! expanded keys, take no lock that a writer holds, and write into the caller's buffer.

#![forbid(unsafe_code)]

mod access_keys;
mod asymmetric;
mod cache;
pub mod clock;
pub mod config;
mod engine;
pub mod json;
pub mod os_rng;
mod prepared;
pub mod root_key;
mod sweeper;
mod view;

pub use asymmetric::asymmetric_max_plaintext;
pub use config::Config;
pub use engine::{Answer, Engine, Shared};
pub use kms_core::crypto::asymmetric::{MAX_SIGNATURE, SM2_DEFAULT_USER_ID};
pub use kms_core::crypto::digest::Digester;
pub use prepared::{Decrypter, Encrypter, Signer};
/// How many bytes a ciphertext blob is longer than its plaintext.
pub const BLOB_OVERHEAD: usize = kms_core::crypto::blob::OVERHEAD;
