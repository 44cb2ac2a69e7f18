//! What an operation wants written, as data. The engine commits all changes of an operation at once, or none.

use crate::id::{KeyId, KeyVersionId};
use crate::model::{AccessKey, AccessKeyId, AccountStatus, Alias, AliasName, Key, VersionRecord};

/// One write. Indexes, counters and lists follow from it; the store keeps them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// Create a key, or replace its record.
    PutKey(Box<Key>),
    /// Remove a key. Its versions and aliases go with changes of their own.
    RemoveKey(KeyId),
    /// Create a key version, or replace its record.
    PutVersion(Box<VersionRecord>),
    /// Remove a key version; its material is destroyed.
    RemoveVersion(KeyVersionId),
    /// Create an alias, or move it to another key.
    PutAlias(Alias),
    /// Remove an alias.
    RemoveAlias(AliasName),
    /// Create an AccessKey, or replace its record.
    PutAccessKey(Box<AccessKey>),
    /// Remove an AccessKey.
    RemoveAccessKey(AccessKeyId),
    /// Set the status of the account.
    PutAccountStatus(AccountStatus),
}
