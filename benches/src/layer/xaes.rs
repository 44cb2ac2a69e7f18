//! XAES-256-GCM of the core: a key derived for each message. What ring does not have, and a KMS needs.

use kms_core::crypto::aead::{Cipher, DerivingKey, NONCE_LEN, TAG_LEN};
use kms_core::rng::Rng as _;
use kms_engine::os_rng::OsRng;

use super::{Layer, next};

/// As long as the associated data of a blob without context.
pub(super) const AAD: [u8; 48] = [0x5a; 48];

/// XAES-256-GCM with counted nonces.
#[derive(Debug)]
pub struct Xaes {
    key: DerivingKey,
    nonces: u64,
}

impl Xaes {
    /// With a random key.
    #[must_use]
    pub fn new() -> Self {
        let mut key = [0; 32];
        OsRng.secret(&mut key).expect("the system has entropy");
        Self { key: DerivingKey::new(Cipher::Aes256, &key).expect("32 bytes are a key"), nonces: 0 }
    }
}

impl Default for Xaes {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for Xaes {
    const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

    fn name(&self) -> String {
        "XAES-256-GCM".to_owned()
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let nonce: [u8; NONCE_LEN] = next(&mut self.nonces);
        let (front, sealed) = out.split_at_mut(NONCE_LEN);
        front.copy_from_slice(&nonce);
        self.key.seal(&nonce, &AAD, plaintext, sealed);
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let (nonce, sealed) = sealed.split_first_chunk().expect("a nonce stands in front");
        self.key.open(nonce, &AAD, sealed, out).expect("it is authentic");
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        OsRng.secret(data_key).expect("the system has entropy");
        self.encrypt(data_key, out);
    }
}
