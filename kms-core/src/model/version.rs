//! A key version: one generation of a key's material.

use super::KeySpec;
use crate::crypto::DerivingKey;
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
    /// The key bytes; `None` for an EXTERNAL key whose material is not there.
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
}

impl KeyVersion {
    /// Expands the material of `record`. `None` when it does not fit its spec, which only damage can bring about.
    #[must_use]
    pub fn expand(record: &VersionRecord) -> Option<Self> {
        let cipher = match (&record.material, record.spec.cipher()) {
            (Some(material), Some(cipher)) => Some(DerivingKey::new(cipher, material.expose()).ok()?),
            _ => None,
        };
        Some(Self { id: record.id, key: record.key, number: record.number, created: record.created, cipher })
    }
}
