//! The view of the hot path: looks into the cache first, and reads the store for what is not there.

use std::cell::OnceCell;
use std::sync::Arc;

use kms_core::KmsError;
use kms_core::id::{KeyId, KeyVersionId};
use kms_core::model::{AccountStatus, Alias, AliasName, Key, KeyVersion};
use kms_core::time::Timestamp;
use kms_core::view::{AliasScope, DuePlace, Held, KeyPlace, Totals, View};
use kms_store::{Reader, Store};

use crate::cache::{Cache, Epoch, Guards};

/// A view for operations that write nothing: Encrypt, Decrypt and their kin.
pub(crate) struct CachedView<'e> {
    cache: &'e Cache,
    guards: Guards<'e>,
    store: &'e Store,
    /// When the first miss began to read, and what it reads with.
    miss: OnceCell<(Epoch, Reader<'e>)>,
}

impl<'e> CachedView<'e> {
    pub(crate) fn new(cache: &'e Cache, store: &'e Store) -> Self {
        Self { cache, guards: cache.guards(), store, miss: OnceCell::new() }
    }

    fn miss(&self) -> &(Epoch, Reader<'e>) {
        // The epoch first: what is committed behind it makes the fill void.
        self.miss.get_or_init(|| (self.cache.epoch(), self.store.reader()))
    }

    /// Reads a record that is not cached, and caches it once it is on disk.
    fn fill<T>(
        &self,
        read: impl for<'r> FnOnce(&'r Reader<'e>) -> Result<Option<Held<'r, T>>, KmsError>,
        fill: impl FnOnce(&Arc<T>, Epoch),
    ) -> Result<Option<Held<'_, T>>, KmsError> {
        let (began, reader) = self.miss();
        let found = read(reader)?;
        reader.settle()?;
        if let Some(Held::Shared(record)) = &found {
            fill(record, *began);
        }
        Ok(found)
    }
}

impl View for CachedView<'_> {
    fn key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError> {
        if let Some(key) = self.cache.find_key(id, &self.guards) {
            return Ok(Some(Held::Lent(key)));
        }
        self.fill(|reader| reader.key(id), |key, began| self.cache.fill_key(id, key, began))
    }

    fn version(&self, id: &KeyVersionId) -> Result<Option<Held<'_, KeyVersion>>, KmsError> {
        if let Some(version) = self.cache.find_version(id, &self.guards) {
            return Ok(Some(Held::Lent(version)));
        }
        self.fill(|reader| reader.version(id), |version, began| self.cache.fill_version(id, version, began))
    }

    fn alias(&self, name: &AliasName) -> Result<Option<Held<'_, Alias>>, KmsError> {
        if let Some(alias) = self.cache.find_alias(name, &self.guards) {
            return Ok(Some(Held::Lent(alias)));
        }
        self.fill(|reader| reader.alias(name), |alias, began| self.cache.fill_alias(name, alias, began))
    }

    fn totals(&self) -> Result<Totals, KmsError> {
        self.miss().1.totals()
    }

    fn keys(&self, after: Option<KeyPlace>, limit: usize) -> Result<Vec<KeyPlace>, KmsError> {
        self.miss().1.keys(after, limit)
    }

    fn due(&self, until: Timestamp, after: Option<DuePlace>, limit: usize) -> Result<Vec<DuePlace>, KmsError> {
        self.miss().1.due(until, after, limit)
    }

    fn versions(&self, key: &KeyId, newest: u32, limit: usize) -> Result<Vec<KeyVersionId>, KmsError> {
        self.miss().1.versions(key, newest, limit)
    }

    fn aliases(&self, scope: AliasScope, after: Option<&Alias>, limit: usize) -> Result<Vec<Arc<Alias>>, KmsError> {
        self.miss().1.aliases(scope, after, limit)
    }

    fn account_status(&self) -> Result<AccountStatus, KmsError> {
        self.miss().1.account_status()
    }
}
