//! The C interface: it adds the checks of handle and pointers, and the boundary for panics.

use std::ffi::CString;
use std::sync::Arc;

use kms_engine::BLOB_OVERHEAD;

use super::{Layer, SPEC};
use crate::abi::Kms;

/// libkms, through its C functions.
#[derive(Debug)]
pub struct CAbi {
    kms: Arc<Kms>,
    key: CString,
    spec: &'static str,
}

impl CAbi {
    /// With a new key of the engine, of this spec.
    ///
    /// # Panics
    /// When the key cannot be made.
    #[must_use]
    pub fn new(kms: &Arc<Kms>, spec: &'static str) -> Self {
        Self { kms: Arc::clone(kms), key: kms.create_key(spec), spec }
    }
}

impl Layer for CAbi {
    const OVERHEAD: usize = BLOB_OVERHEAD;

    fn name(&self) -> String {
        if self.spec == SPEC { "C ABI".to_owned() } else { format!("C ABI, {}", self.spec) }
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let len = self.kms.encrypt(&self.key, plaintext, out);
        assert_eq!(len, out.len());
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let len = self.kms.decrypt(sealed, out);
        assert_eq!(len, out.len());
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        let lens = self.kms.generate_data_key(&self.key, data_key, out);
        assert_eq!(lens, (data_key.len(), out.len()));
    }
}
