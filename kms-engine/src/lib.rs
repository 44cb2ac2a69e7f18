//! The embedded KMS.

#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod json;
pub mod os_rng;
pub mod root_key;
