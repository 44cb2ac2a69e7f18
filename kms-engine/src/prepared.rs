//! Calls of which many are made with one key, algorithm or context: what they share is looked at once.
//!
//! Shared is only what the caller has said: texts that are read once. Whatever somebody else can change is asked anew for
//! each item: whether the engine works, the time, where an alias leads, the state of the key and its newest version. So an
//! item is a call of its own, and a change of state that has returned holds for every item that begins after that. To ask costs
//! little against the cipher, and the record of a key that was disabled meanwhile lives no longer than one item.

use kms_core::KmsError;
use kms_core::context::EncryptionContext;
use kms_core::model::SigningAlgorithm;
use kms_core::op::KeyRef;
use kms_core::op::asymmetric::{self, VersionRef};

use crate::asymmetric::signing;
use crate::engine::{Shared, parse_context};

/// A key to encrypt many plaintexts with, and their context.
#[derive(Debug)]
pub struct Encrypter<'a> {
    engine: &'a Shared,
    key: KeyRef<'a>,
    context: EncryptionContext,
}

/// The context of many blobs.
#[derive(Debug)]
pub struct Decrypter<'a> {
    engine: &'a Shared,
    context: EncryptionContext,
}

/// A key to sign many digests with, or to verify many signatures.
#[derive(Debug)]
pub struct Signer<'a> {
    engine: &'a Shared,
    of: VersionRef<'a>,
    algorithm: SigningAlgorithm,
}

impl Shared {
    /// What many calls of [`Shared::encrypt`] share. An item may bring a context of its own in place of this one.
    ///
    /// # Errors
    /// Those of Encrypt that need no look at the key.
    pub fn encrypter<'a>(&'a self, key_id: &'a str, context_json: &str) -> Result<Encrypter<'a>, KmsError> {
        self.admit()?;
        let key = self.key_ref(key_id, "KeyId")?;
        Ok(Encrypter { engine: self, key, context: parse_context(context_json, "EncryptionContext")? })
    }

    /// What many calls of [`Shared::decrypt`] share. An item may bring a context of its own in place of this one.
    ///
    /// # Errors
    /// Those of Decrypt that need no look at the blob.
    pub fn decrypter(&self, context_json: &str) -> Result<Decrypter<'_>, KmsError> {
        self.admit()?;
        Ok(Decrypter { engine: self, context: parse_context(context_json, "EncryptionContext")? })
    }

    /// What many calls of [`Shared::sign`] or [`Shared::verify`] share.
    ///
    /// # Errors
    /// Those of AsymmetricSign that need no look at the key.
    pub fn signer<'a>(&'a self, key_id: &'a str, version: &'a str, algorithm: &str) -> Result<Signer<'a>, KmsError> {
        self.admit()?;
        let of = self.version_ref(key_id, version)?;
        Ok(Signer { engine: self, of, algorithm: signing(algorithm)? })
    }
}

impl Encrypter<'_> {
    /// [`Shared::encrypt`], with the shared context or, if there is one, the item's own.
    ///
    /// # Errors
    /// Those of Encrypt, and `KMS_BUFFER_TOO_SMALL`.
    pub fn encrypt(&self, plaintext: &[u8], own_context: Option<&str>, out: &mut [u8]) -> Result<usize, KmsError> {
        self.engine.admit()?;
        match own_context {
            None => self.engine.seal(&self.key, plaintext, &self.context, out),
            Some(json) => self.engine.seal(&self.key, plaintext, &parse_context(json, "EncryptionContext")?, out),
        }
    }
}

impl Decrypter<'_> {
    /// [`Shared::decrypt`], with the shared context or, if there is one, the item's own.
    ///
    /// # Errors
    /// Those of Decrypt, and `KMS_BUFFER_TOO_SMALL`.
    pub fn decrypt(&self, blob: &[u8], own_context: Option<&str>, out: &mut [u8]) -> Result<usize, KmsError> {
        self.engine.admit()?;
        match own_context {
            None => self.engine.open_blob(blob, &self.context, out),
            Some(json) => self.engine.open_blob(blob, &parse_context(json, "EncryptionContext")?, out),
        }
    }
}

impl Signer<'_> {
    /// Bytes of the longest signature by this algorithm, whatever the key.
    #[must_use]
    pub fn max_signature(&self) -> usize {
        self.algorithm.max_signature()
    }

    /// [`Shared::sign`].
    ///
    /// # Errors
    /// Those of AsymmetricSign, and `KMS_BUFFER_TOO_SMALL`.
    pub fn sign(&self, digest: &[u8], out: &mut [u8]) -> Result<usize, KmsError> {
        self.engine.admit()?;
        self.make(digest, out)
    }

    /// [`Shared::verify`].
    ///
    /// # Errors
    /// Those of AsymmetricVerify.
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<bool, KmsError> {
        self.engine.admit()?;
        self.check(digest, signature)
    }

    /// Signs for a call that has been admitted.
    pub(crate) fn make(&self, digest: &[u8], out: &mut [u8]) -> Result<usize, KmsError> {
        self.engine.on_cache(|ctx| asymmetric::sign(&self.of, self.algorithm, digest, out, ctx)).map(|(_, len)| len)
    }

    /// Verifies for a call that has been admitted.
    pub(crate) fn check(&self, digest: &[u8], signature: &[u8]) -> Result<bool, KmsError> {
        let verified = self.engine.on_cache(|ctx| asymmetric::verify(&self.of, self.algorithm, digest, signature, ctx));
        verified.map(|(_, valid)| valid)
    }
}
