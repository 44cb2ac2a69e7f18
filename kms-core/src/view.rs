//! How the core reads: through this trait, and in no other way.
//!
//! An implementation reads from a store, or from a cache in front of one. It returns what is recorded, also a key whose
//! DeleteDate has passed and that no sweep has removed yet; what that means is the operations' business.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::crypto::DerivingKey;
use crate::error::KmsError;
use crate::id::{KeyId, KeyVersionId};
use crate::model::{AccessKey, AccessKeyId, AccountStatus, Alias, AliasName, Key, KeyVersion};
use crate::state::KeyState;
use crate::time::Timestamp;

/// A record that a view holds for its reader: lent by a cache where there is one, which costs no counter that other
/// threads write too, or shared.
pub enum Held<'v, T> {
    /// Lent for as long as the view lives.
    Lent(&'v T),
    /// Read for this reader.
    Shared(Arc<T>),
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Lent(record) => record,
            Self::Shared(record) => record,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// How many records there are of each kind that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Keys in every state.
    pub keys: u64,
    /// Aliases.
    pub aliases: u64,
    /// Versions that CreateKeyVersion has made.
    pub added_versions: u64,
}

/// How many records there are at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that callers find.
    pub live: Totals,
    /// The keys whose DeleteDate has come and that no sweep has removed yet, and what belongs to them.
    pub gone: Totals,
}

/// A place in the list of keys, which runs by creation time and then by id (OP-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPlace {
    /// When the key was created.
    pub created: Timestamp,
    /// The key.
    pub id: KeyId,
}

/// What time will do to a key by itself. For each there is a list of the keys that it awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The key is destroyed at its DeleteDate.
    Deletion,
    /// Its imported material expires.
    Expiry,
    /// It gets its next version.
    Rotation,
}

impl Due {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deletion, Self::Expiry, Self::Rotation];

    /// When that happens to `key`, if it will. What is suspended will not.
    #[must_use]
    pub fn of(self, key: &Key) -> Option<Timestamp> {
        match self {
            Self::Deletion => key.delete_at,
            // Also once it has come, until the material is destroyed.
            Self::Expiry => key.imported?.expires,
            Self::Rotation => key.next_rotation().filter(|_| key.state == KeyState::Enabled),
        }
    }
}

/// A place in a list of keys that await something, which runs by time and then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuePlace {
    /// When it is due.
    pub at: Timestamp,
    /// The key.
    pub id: KeyId,
}

/// Whose aliases a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasScope {
    /// Those of the whole account and region.
    All,
    /// Those of one key.
    Key(KeyId),
}

/// Reads of one instant or of several: a plan that writes is checked against everything it has read when it commits.
///
/// Every method fails with the store's codes (`KMS_STORE_CORRUPT`, `KMS_STORE_POISONED`, …) when it cannot be read.
pub trait View {
    /// The key with this id.
    ///
    /// # Errors
    /// The store's.
    fn key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError>;

    /// The key version with this id, ready for use.
    ///
    /// # Errors
    /// The store's.
    fn version(&self, id: &KeyVersionId) -> Result<Option<Held<'_, KeyVersion>>, KmsError>;

    /// The alias with this name.
    ///
    /// # Errors
    /// The store's.
    fn alias(&self, name: &AliasName) -> Result<Option<Held<'_, Alias>>, KmsError>;

    /// The key with this id, for a list that looks through many: it is no precondition of what the plan writes.
    ///
    /// # Errors
    /// The store's.
    fn glimpse_key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError> {
        self.key(id)
    }

    /// How many records there are at `now`. What it costs does not depend on how many that is, nor on how many are gone,
    /// unless it is asked for the first time or the time has made a leap since.
    ///
    /// # Errors
    /// The store's.
    fn counts(&self, now: Timestamp) -> Result<Counts, KmsError>;

    /// Up to `limit` keys behind `after`, in the order of [`KeyPlace`].
    ///
    /// # Errors
    /// The store's.
    fn keys(&self, after: Option<KeyPlace>, limit: usize) -> Result<Vec<KeyPlace>, KmsError>;

    /// Up to `limit` keys for which `due` comes at `until` or earlier, behind `after`, in the order of [`DuePlace`].
    ///
    /// # Errors
    /// The store's.
    fn due(&self, due: Due, until: Timestamp, after: Option<DuePlace>, limit: usize)
    -> Result<Vec<DuePlace>, KmsError>;

    /// Up to `limit` versions of a key, from number `newest` downwards.
    ///
    /// # Errors
    /// The store's.
    fn versions(&self, key: &KeyId, newest: u32, limit: usize) -> Result<Vec<KeyVersionId>, KmsError>;

    /// Up to `limit` aliases behind `after`, by creation time and then by name (OP-14).
    ///
    /// # Errors
    /// The store's.
    fn aliases(&self, scope: AliasScope, after: Option<&Alias>, limit: usize) -> Result<Vec<Arc<Alias>>, KmsError>;

    /// Whether the account may use the service.
    ///
    /// # Errors
    /// The store's.
    fn account_status(&self) -> Result<AccountStatus, KmsError>;

    /// The AccessKey with this id.
    ///
    /// # Errors
    /// The store's.
    fn access_key(&self, id: &AccessKeyId) -> Result<Option<AccessKey>, KmsError>;

    /// All AccessKeys, in no order.
    ///
    /// # Errors
    /// The store's.
    fn access_keys(&self) -> Result<Vec<AccessKey>, KmsError>;

    /// What seals import tokens and fingerprints material; `None` where nothing can be imported.
    fn import_keys(&self) -> Option<&dyn ImportKeys>;
}

/// The keys of a store's own that the import of key material goes by. They are the same for as long as the store lives.
pub trait ImportKeys {
    /// Seals import tokens.
    fn tokens(&self) -> &DerivingKey;

    /// The fingerprint of material that was imported into `key`: a keyed hash, which tells nothing to who reads it.
    fn fingerprint(&self, key: &KeyId, material: &[u8]) -> [u8; 32];
}
