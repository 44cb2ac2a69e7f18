//! The view of the hot path: looks into the cache first, and reads the store for what is not there.

use std::cell::Cell;
use std::sync::Arc;

use kms_core::id::{KeyId, KeyVersionId};
use kms_core::model::{AccessKey, AccessKeyId, AccountStatus, Alias, AliasName, Key, KeyVersion};
use kms_core::time::Timestamp;
use kms_core::view::{AliasScope, Counts, Due, DuePlace, Held, ImportKeys, KeyPlace, View};
use kms_core::{ErrorCode, KmsError};
use kms_store::{CommitError, Reader, Store};
use papaya::LocalGuard;

use crate::cache::{Cache, Epoch};

/// How often a record is read again when what was read may have come to nothing: each time is another commit that met a
/// full disk in between.
const READS: usize = 16;

/// A view for operations that write nothing: Encrypt, Decrypt and their kin.
pub(crate) struct CachedView<'e> {
    cache: &'e Cache,
    guard: LocalGuard<'e>,
    store: &'e Store,
    hurry: Option<&'e Hurry>,
}

/// For a call that must not wait: whether it would have had to. Then its outcome is nothing.
#[derive(Debug, Default)]
pub(crate) struct Hurry(Cell<bool>);

impl Hurry {
    pub(crate) fn give_up(&self) {
        self.0.set(true);
    }

    pub(crate) fn has_given_up(&self) -> bool {
        self.0.get()
    }
}

impl<'e> CachedView<'e> {
    pub(crate) fn new(cache: &'e Cache, store: &'e Store, hurry: Option<&'e Hurry>) -> Self {
        Self { cache, guard: cache.guard(), store, hurry }
    }

    /// Reads from the store, and returns once what was read is on disk.
    fn settled<T>(&self, read: impl Fn(&Reader<'e>) -> Result<T, KmsError>) -> Result<T, KmsError> {
        for _ in 0..READS {
            let reader = self.store.reader();
            let found = read(&reader);
            let settled = match self.hurry {
                None => reader.settle(),
                Some(hurry) => match reader.try_settle() {
                    Some(settled) => settled,
                    None => {
                        hurry.give_up();
                        break;
                    }
                },
            };
            match settled {
                Ok(()) => return found,
                Err(CommitError::Conflict) => {}
                Err(CommitError::Failed(error)) => return Err(error),
            }
        }
        Err(ErrorCode::ServiceUnavailableTemporary.into())
    }

    /// Reads a record that is not cached, and caches it.
    fn fill<T>(
        &self,
        read: impl for<'r> Fn(&'r Reader<'e>) -> Result<Option<Held<'r, T>>, KmsError>,
        fill: impl FnOnce(&Arc<T>, Epoch),
    ) -> Result<Option<Held<'_, T>>, KmsError> {
        let (began, found) = self.settled(|reader| {
            // The epoch first: what is committed behind it makes the fill void.
            let began = self.cache.epoch();
            let Some(Held::Shared(record)) = read(reader)? else { return Ok((began, None)) };
            Ok((began, Some(record)))
        })?;
        Ok(found.map(|record| {
            fill(&record, began);
            Held::Shared(record)
        }))
    }
}

impl View for CachedView<'_> {
    fn key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError> {
        if let Some(key) = self.cache.find_key(id, &self.guard) {
            return Ok(Some(Held::Lent(key)));
        }
        self.fill(|reader| reader.key(id), |key, began| self.cache.fill_key(id, key, began))
    }

    fn version(&self, id: &KeyVersionId) -> Result<Option<Held<'_, KeyVersion>>, KmsError> {
        if let Some(version) = self.cache.find_version(id, &self.guard) {
            return Ok(Some(Held::Lent(version)));
        }
        self.fill(|reader| reader.version(id), |version, began| self.cache.fill_version(id, version, began))
    }

    fn alias(&self, name: &AliasName) -> Result<Option<Held<'_, Alias>>, KmsError> {
        if let Some(alias) = self.cache.find_alias(name, &self.guard) {
            return Ok(Some(Held::Lent(alias)));
        }
        self.fill(|reader| reader.alias(name), |alias, began| self.cache.fill_alias(name, alias, began))
    }

    fn counts(&self, now: Timestamp) -> Result<Counts, KmsError> {
        self.settled(|reader| reader.counts(now))
    }

    fn keys(&self, after: Option<KeyPlace>, limit: usize) -> Result<Vec<KeyPlace>, KmsError> {
        self.settled(|reader| reader.keys(after, limit))
    }

    fn due(
        &self,
        due: Due,
        until: Timestamp,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Result<Vec<DuePlace>, KmsError> {
        self.settled(|reader| reader.due(due, until, after, limit))
    }

    fn versions(&self, key: &KeyId, newest: u32, limit: usize) -> Result<Vec<KeyVersionId>, KmsError> {
        self.settled(|reader| reader.versions(key, newest, limit))
    }

    fn aliases(&self, scope: AliasScope, after: Option<&Alias>, limit: usize) -> Result<Vec<Arc<Alias>>, KmsError> {
        self.settled(|reader| reader.aliases(scope, after, limit))
    }

    fn access_key(&self, id: &AccessKeyId) -> Result<Option<AccessKey>, KmsError> {
        self.settled(|reader| reader.access_key(id))
    }

    fn access_keys(&self) -> Result<Vec<AccessKey>, KmsError> {
        self.settled(View::access_keys)
    }

    fn account_status(&self) -> Result<AccountStatus, KmsError> {
        self.settled(View::account_status)
    }

    fn import_keys(&self) -> Option<&dyn ImportKeys> {
        Some(self.store.import_keys())
    }
}
