//! A key version: one generation of a key's material.

use std::fmt;
use std::sync::OnceLock;

use kms_secmem::wiped::Wiped;

use super::{KeySpec, KeyUsage};
use crate::crypto::DerivingKey;
use crate::crypto::asymmetric::{PrivateKey, PublicKey, Purpose};
use crate::error::{ErrorCode, KmsError};
use crate::id::{KeyId, KeyVersionId};
use crate::secret::SecretBytes;
use crate::time::Timestamp;

/// A key version as it is kept: the material is raw bytes.
#[derive(Debug)]
pub struct VersionRecord {
    /// Its name for ever, unique over all keys.
    pub id: KeyVersionId,
    /// The key it belongs to.
    pub key: KeyId,
    /// 1 for the first version of a key, 2 for the next.
    pub number: u32,
    /// When it was made.
    pub created: Timestamp,
    /// The kind of its material, that of its key.
    pub spec: KeySpec,
    /// The key bytes, or what [`PrivateKey::generate`] has drawn; `None` for an EXTERNAL key whose material is not there.
    pub material: Option<SecretBytes>,
}

/// A key version as it is used: the material is expanded, ready for the next message.
#[derive(Debug)]
pub struct KeyVersion {
    /// Its name for ever.
    pub id: KeyVersionId,
    /// The key it belongs to.
    pub key: KeyId,
    /// 1 for the first version of a key, 2 for the next.
    pub number: u32,
    /// When it was made.
    pub created: Timestamp,
    /// The expanded material, if it is there and symmetric.
    pub cipher: Option<DerivingKey>,
    /// The key pair, if it is an asymmetric one.
    pub pair: Option<KeyPair>,
}

impl KeyVersion {
    /// Expands the material of `record`. `None` when it does not fit its spec, which only damage can bring about.
    #[must_use]
    pub fn expand(record: VersionRecord) -> Option<Self> {
        let VersionRecord { id, key, number, created, spec, material } = record;
        let (mut cipher, mut pair) = (None, None);
        if let Some(material) = material {
            match spec.cipher() {
                Some(kind) => cipher = Some(DerivingKey::new(kind, material.expose()).ok()?),
                None => pair = Some(KeyPair { spec, material, parsed: OnceLock::new() }),
            }
        }
        Some(Self { id, key, number, created, cipher, pair })
    }
}

/// A private key and its public half. They are parsed when they are first used, and stay parsed: an RSA key takes a third of
/// a signature's time, which lists and descriptions should not spend.
pub struct KeyPair {
    spec: KeySpec,
    material: SecretBytes,
    parsed: OnceLock<Wiped<Option<PrivateKey>>>,
}

impl KeyPair {
    /// The private key, for the one usage that its key has.
    ///
    /// # Errors
    /// `KMS_STORE_CORRUPT` when the material is not what its spec says.
    pub fn private(&self, usage: KeyUsage) -> Result<&PrivateKey, KmsError> {
        let purpose = match usage {
            KeyUsage::SignVerify => Purpose::Sign,
            KeyUsage::EncryptDecrypt => Purpose::Decrypt,
        };
        let parse = || PrivateKey::parse(self.spec.asymmetric()?, purpose, self.material.expose());
        let parsed = self.parsed.get_or_init(|| Wiped::new(parse)).as_ref();
        parsed.ok_or_else(|| KmsError::with_detail(ErrorCode::StoreCorrupt, "a key pair is none"))
    }

    /// The public half.
    ///
    /// # Errors
    /// Those of [`Self::private`].
    pub fn public(&self, usage: KeyUsage) -> Result<&PublicKey, KmsError> {
        Ok(self.private(usage)?.public())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("spec", &self.spec).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(spec: KeySpec, material: &[u8]) -> Option<KeyVersion> {
        KeyVersion::expand(VersionRecord {
            id: KeyVersionId::from_bytes([2; 16]),
            key: KeyId::from_bytes([1; 16]),
            number: 1,
            created: Timestamp::from_unix(0),
            spec,
            material: Some(SecretBytes::copied_from(material)),
        })
    }

    #[test]
    fn a_key_pair_is_parsed_once() {
        let version = version(KeySpec::EcP256, &[7; 32]).unwrap();
        let pair = version.pair.as_ref().unwrap();
        assert!(version.cipher.is_none() && pair.parsed.get().is_none());
        let first = pair.private(KeyUsage::SignVerify).unwrap();
        assert!(std::ptr::eq(first, pair.private(KeyUsage::SignVerify).unwrap()));
        assert!(std::ptr::eq(first.public(), pair.public(KeyUsage::SignVerify).unwrap()));
        assert_eq!(format!("{pair:?}"), "KeyPair { spec: EcP256, .. }");
    }

    /// Goal: material that is none is damage, found when it is expanded or when it is used, and no panic.
    #[test]
    fn damaged_material_is_told() {
        assert!(version(KeySpec::Aes256, &[7; 31]).is_none());
        for (spec, material) in [(KeySpec::EcP256, &[0; 32][..]), (KeySpec::Rsa2048, &[7; 32]), (KeySpec::EcSm2, &[])] {
            let version = version(spec, material).unwrap();
            let refusal = version.pair.as_ref().unwrap().private(KeyUsage::SignVerify).map(|_| ());
            assert_eq!(refusal.unwrap_err().code(), ErrorCode::StoreCorrupt, "{spec}");
        }
    }
}
