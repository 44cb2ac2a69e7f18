//! The typed functions of asymmetric keys. Each takes the id of a version, or an empty text for the newest one, and the
//! contract's name of an algorithm.

use kms_core::KmsError;
use kms_core::crypto::digest::Digester;
use kms_core::model::{EncryptionAlgorithm, SigningAlgorithm};
use kms_core::op::asymmetric::{self, VersionRef};

use crate::engine::Shared;

impl Shared {
    pub(crate) fn version_ref<'k>(&self, key_id: &'k str, version: &'k str) -> Result<VersionRef<'k>, KmsError> {
        Ok(VersionRef { key: self.key_ref(key_id, "KeyId")?, version: (!version.is_empty()).then_some(version) })
    }

    /// Signs a digest of 32 bytes into the front of `out` and returns the length of the signature.
    /// [`Shared::max_signature`] tells how much room there must be; [`crate::MAX_SIGNATURE`] bytes are always enough.
    ///
    /// # Errors
    /// Those of AsymmetricSign, and `KMS_BUFFER_TOO_SMALL`.
    pub fn sign(
        &self,
        key_id: &str,
        version: &str,
        algorithm: &str,
        digest: &[u8],
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.signer(key_id, version, algorithm)?.make(digest, out)
    }

    /// Bytes of the longest signature that [`Shared::sign`] can make of this.
    ///
    /// # Errors
    /// Those of AsymmetricSign.
    pub fn max_signature(
        &self,
        key_id: &str,
        version: &str,
        algorithm: &str,
        digest: &[u8],
    ) -> Result<usize, KmsError> {
        self.admit()?;
        let of = self.version_ref(key_id, version)?;
        let algorithm = signing(algorithm)?;
        self.on_cache(|ctx| asymmetric::max_signature(&of, algorithm, digest, ctx))
    }

    /// Whether `signature` is one of the digest. One that is malformed is none, and no error.
    ///
    /// # Errors
    /// Those of AsymmetricVerify.
    pub fn verify(
        &self,
        key_id: &str,
        version: &str,
        algorithm: &str,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KmsError> {
        self.signer(key_id, version, algorithm)?.check(digest, signature)
    }

    /// Encrypts to the public half into the front of `out` and returns the length of the ciphertext.
    /// [`Shared::asymmetric_ciphertext_len`] tells it beforehand.
    ///
    /// # Errors
    /// Those of AsymmetricEncrypt, and `KMS_BUFFER_TOO_SMALL`. An empty plaintext is `InvalidParameter`.
    pub fn asymmetric_encrypt(
        &self,
        key_id: &str,
        version: &str,
        algorithm: &str,
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.admit()?;
        let of = self.version_ref(key_id, version)?;
        let algorithm = encryption(algorithm)?;
        self.on_cache(|ctx| asymmetric::encrypt(&of, algorithm, plaintext, out, ctx)).map(|(_, len)| len)
    }

    /// Bytes of the ciphertext that [`Shared::asymmetric_encrypt`] makes of so many bytes.
    ///
    /// # Errors
    /// Those of AsymmetricEncrypt.
    pub fn asymmetric_ciphertext_len(
        &self,
        key_id: &str,
        version: &str,
        algorithm: &str,
        plaintext: usize,
    ) -> Result<usize, KmsError> {
        self.admit()?;
        let of = self.version_ref(key_id, version)?;
        let algorithm = encryption(algorithm)?;
        self.on_cache(|ctx| asymmetric::ciphertext_len(&of, algorithm, plaintext, ctx))
    }

    /// Decrypts into the front of `out`, which is written only on success, and returns the length of the plaintext. As many
    /// bytes as the ciphertext has are enough.
    ///
    /// # Errors
    /// Those of AsymmetricDecrypt; whatever is wrong with the ciphertext, it is `InvalidParameter`.
    pub fn asymmetric_decrypt(
        &self,
        key_id: &str,
        version: &str,
        algorithm: &str,
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.admit()?;
        let of = self.version_ref(key_id, version)?;
        let algorithm = encryption(algorithm)?;
        self.on_cache(|ctx| asymmetric::decrypt(&of, algorithm, ciphertext, out, ctx)).map(|(_, len)| len)
    }

    /// The public half, as PEM.
    ///
    /// # Errors
    /// Those of GetPublicKey.
    pub fn public_key(&self, key_id: &str, version: &str) -> Result<String, KmsError> {
        self.admit()?;
        let of = self.version_ref(key_id, version)?;
        self.on_cache(|ctx| asymmetric::public_key(&of, ctx)).map(|(_, pem)| pem)
    }

    /// Starts the digest of a message that is to be signed or verified: SHA-256, or for `SM2DSA` SM3 over Z_A, which hangs on
    /// the key and the signer's id, and the message.
    ///
    /// # Errors
    /// Those of GetPublicKey; `Rejected.UnsupportedOperation` for a key that does not sign, and `InvalidParameter` for an
    /// algorithm that does not fit it, and for an id of more than 8191 bytes.
    pub fn digester(
        &self,
        key_id: &str,
        version: &str,
        algorithm: &str,
        sm2_user_id: &[u8],
    ) -> Result<Digester, KmsError> {
        self.admit()?;
        let of = self.version_ref(key_id, version)?;
        let algorithm = signing(algorithm)?;
        self.on_cache(|ctx| asymmetric::digester(&of, algorithm, sm2_user_id, ctx))
    }
}

/// Bytes of the longest plaintext that a ciphertext of this length can hold under the algorithm of this name: the room that
/// [`Shared::asymmetric_decrypt`] may need. For a name that is none it is the length of the ciphertext. It is at least 1, so that
/// who asks for the length of what cannot be a ciphertext, and then calls with that room, is told so.
#[must_use]
pub fn asymmetric_max_plaintext(algorithm: &str, ciphertext: usize) -> usize {
    EncryptionAlgorithm::parse(algorithm).map_or(ciphertext, |name| asymmetric::max_plaintext(name, ciphertext)).max(1)
}

pub(crate) fn signing(algorithm: &str) -> Result<SigningAlgorithm, KmsError> {
    named(algorithm, SigningAlgorithm::parse)
}

fn encryption(algorithm: &str) -> Result<EncryptionAlgorithm, KmsError> {
    named(algorithm, EncryptionAlgorithm::parse)
}

fn named<A>(algorithm: &str, parse: impl FnOnce(&str) -> Option<A>) -> Result<A, KmsError> {
    match algorithm {
        "" => Err(KmsError::missing("Algorithm")),
        name => parse(name).ok_or_else(|| KmsError::invalid("Algorithm")),
    }
}
