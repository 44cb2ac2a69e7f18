//! The layers of the KMS, and under them what they stand on. All do the same with a message.

mod abi;
mod core;
mod engine;
mod raw_xaes;
mod ring;
mod xaes;

pub use self::abi::CAbi;
pub use self::core::Core;
pub use self::engine::InEngine;
pub use self::raw_xaes::{ByAesGcm, ByRing, RawXaes};
pub use self::ring::{RingAead, RingInPlace};
pub use self::xaes::Xaes;

/// The key spec that all layers are compared at.
pub const SPEC: &str = "Aliyun_AES_256";

/// Something that seals and opens messages under one key.
///
/// The buffers have the right lengths. Errors are panics: nothing that is measured here may fail.
pub trait Layer {
    /// Bytes by which a sealed message is longer than its plaintext.
    const OVERHEAD: usize;

    /// What tables call it.
    fn name(&self) -> String;

    /// Does before [`Layer::encrypt`] what is not to be timed: a layer that encrypts in place puts the plaintext there.
    fn place(&mut self, _plaintext: &[u8], _out: &mut [u8]) {}

    /// Seals `plaintext` into `out`, under a nonce that is new.
    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]);

    /// Opens `sealed` into `out`. `sealed` stays.
    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]);

    /// Fills `data_key` with random bytes and seals them into `out`.
    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]);
}

/// A nonce that no message of this layer has had: a number that counts up, the cheapest there can be.
fn next<const N: usize>(count: &mut u64) -> [u8; N] {
    *count += 1;
    let mut nonce = [0; N];
    nonce[N - 8..].copy_from_slice(&count.to_be_bytes());
    nonce
}
