//! The AccessKeys of a store, all of them in memory: every request from outside names one, also those that do not exist.

use std::collections::HashMap;
use std::sync::Arc;

use kms_core::KmsError;
use kms_core::model::{AccessKey, AccessKeyId};
use kms_core::op::access_key;
use kms_core::view::View as _;
use kms_secmem::lock::RwLock;
use kms_store::Store;

use crate::engine::Shared;

/// What the front looks into. A look takes the same time whether there is such an AccessKey or not.
#[derive(Default)]
pub(crate) struct AccessKeys(RwLock<HashMap<Box<str>, Arc<AccessKey>>>);

impl AccessKeys {
    /// Those of a store that has just been opened.
    pub(crate) fn read(store: &Store) -> Result<Self, KmsError> {
        let keys = store.reader().access_keys()?;
        Ok(Self(RwLock::new(keys.into_iter().map(|key| (key.id.as_str().into(), Arc::new(key))).collect())))
    }

    /// Reads one again that a commit has touched.
    pub(crate) fn reread(&self, store: &Store, id: &AccessKeyId) -> Result<(), KmsError> {
        // Under the lock: of two who read, the later one writes later.
        let mut keys = self.0.write();
        match store.reader().access_key(id) {
            Ok(Some(key)) => keys.insert(id.as_str().into(), Arc::new(key)),
            Ok(None) => keys.remove(id.as_str()),
            Err(error) => {
                keys.remove(id.as_str());
                return Err(error);
            }
        };
        Ok(())
    }
}

impl Shared {
    /// Makes an AccessKey for the account of the store. Nothing tells its secret again.
    ///
    /// # Errors
    /// `InvalidParameter` for a comment of more than 128 characters, `Rejected.LimitExceeded` when there are 1000 AccessKeys, and
    /// the store's.
    pub fn create_access_key(&self, comment: &str) -> Result<AccessKey, KmsError> {
        self.check()?;
        self.execute(None, |ctx| access_key::create(comment, ctx))
    }

    /// Lets an AccessKey be used, or forbids it; from the next request on, when this returns.
    ///
    /// # Errors
    /// `InvalidAccessKeyId.NotFound` and the store's.
    pub fn enable_access_key(&self, id: &str, enabled: bool) -> Result<(), KmsError> {
        self.check()?;
        self.execute(None, |ctx| access_key::enable(id, enabled, ctx))
    }

    /// Removes an AccessKey for ever.
    ///
    /// # Errors
    /// `InvalidAccessKeyId.NotFound` and the store's.
    pub fn delete_access_key(&self, id: &str) -> Result<(), KmsError> {
        self.check()?;
        self.execute(None, |ctx| access_key::delete(id, ctx))
    }

    /// All AccessKeys, the oldest first.
    #[must_use]
    pub fn access_keys(&self) -> Vec<Arc<AccessKey>> {
        let mut keys: Vec<_> = self.access_keys.0.read().values().cloned().collect();
        keys.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        keys
    }

    /// The AccessKey with this id.
    #[must_use]
    pub fn access_key(&self, id: &str) -> Option<Arc<AccessKey>> {
        self.access_keys.0.read().get(id).cloned()
    }
}
