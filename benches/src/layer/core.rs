//! The operations of the core, on a view that has the expanded key at hand.
//!
//! To the cryptography they add the gate of the key's state, the form of the blob, and a random nonce.

use std::sync::Arc;

use kms_core::context::EncryptionContext;
use kms_core::crypto::blob::{self, PayloadKind};
use kms_core::gate::Gate;
use kms_core::id::{KeyId, KeyVersionId};
use kms_core::model::{AccessKey, AccessKeyId, AccountStatus, Alias, AliasName, Key, KeyVersion, Settings};
use kms_core::op::{Ctx, KeyRef, crypt, datakey};
use kms_core::params::Params;
use kms_core::time::Timestamp;
use kms_core::view::{AliasScope, Counts, Due, DuePlace, Held, ImportKeys, KeyPlace, Totals, View};
use kms_core::{Action, Change, KmsError};
use kms_engine::os_rng::OsRng;

use super::{Layer, SPEC};

const NOW: Timestamp = Timestamp::from_unix(1_900_000_000);

/// A KMS with one key or none.
#[derive(Debug, Default)]
struct OneKey {
    key: Option<(Key, KeyVersion)>,
}

impl View for OneKey {
    fn key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError> {
        Ok(self.key.as_ref().filter(|(key, _)| key.id == *id).map(|(key, _)| Held::Lent(key)))
    }

    fn version(&self, id: &KeyVersionId) -> Result<Option<Held<'_, KeyVersion>>, KmsError> {
        Ok(self.key.as_ref().filter(|(_, version)| version.id == *id).map(|(_, version)| Held::Lent(version)))
    }

    fn alias(&self, _: &AliasName) -> Result<Option<Held<'_, Alias>>, KmsError> {
        Ok(None)
    }

    fn counts(&self, _: Timestamp) -> Result<Counts, KmsError> {
        let live = Totals { keys: self.key.iter().count() as u64, ..Totals::default() };
        Ok(Counts { live, gone: Totals::default() })
    }

    fn keys(&self, after: Option<KeyPlace>, limit: usize) -> Result<Vec<KeyPlace>, KmsError> {
        let places = self.key.iter().map(|(key, _)| KeyPlace { created: key.created, id: key.id });
        Ok(places.filter(|place| after.is_none_or(|after| *place > after)).take(limit).collect())
    }

    fn due(&self, _: Due, _: Timestamp, _: Option<DuePlace>, _: usize) -> Result<Vec<DuePlace>, KmsError> {
        Ok(Vec::new())
    }

    fn versions(&self, key: &KeyId, newest: u32, limit: usize) -> Result<Vec<KeyVersionId>, KmsError> {
        let versions = self.key.iter().filter(|(_, version)| version.key == *key && version.number <= newest);
        Ok(versions.map(|(_, version)| version.id).take(limit).collect())
    }

    fn aliases(&self, _: AliasScope, _: Option<&Alias>, _: usize) -> Result<Vec<Arc<Alias>>, KmsError> {
        Ok(Vec::new())
    }

    fn access_key(&self, _: &AccessKeyId) -> Result<Option<AccessKey>, KmsError> {
        Ok(None)
    }

    fn access_keys(&self) -> Result<Vec<AccessKey>, KmsError> {
        Ok(Vec::new())
    }

    fn account_status(&self) -> Result<AccountStatus, KmsError> {
        Ok(AccountStatus::Enabled)
    }

    fn import_keys(&self) -> Option<&dyn ImportKeys> {
        None
    }
}

/// The core.
#[derive(Debug)]
pub struct Core {
    view: OneKey,
    key: KeyId,
    settings: Settings,
    /// The empty one.
    context: EncryptionContext,
}

impl Core {
    /// With a key that CreateKey has made.
    ///
    /// # Panics
    /// When CreateKey fails, or wants other changes than a key and its version.
    #[must_use]
    pub fn new() -> Self {
        let (settings, mut view) = (Settings::default(), OneKey::default());
        let mut params = Params::default();
        assert!(params.insert("KeySpec".to_owned(), SPEC.to_owned().into()));
        let mut rng = OsRng;
        let outcome = Action::CreateKey.plan(&params, &mut Ctx::new(NOW, &mut rng, &view, &settings));
        let (mut made, mut version) = (None, None);
        for change in outcome.expect("a key can be made").changes {
            match change {
                Change::PutKey(key) => made = Some(*key),
                Change::PutVersion(record) => version = KeyVersion::expand(*record),
                other => panic!("CreateKey wants {other:?}"),
            }
        }
        let key = made.zip(version).expect("CreateKey makes a key and its version");
        let id = key.0.id;
        view.key = Some(key);
        Self { view, key: id, settings, context: EncryptionContext::default() }
    }

    fn run<R>(&self, operation: impl FnOnce(&mut Ctx<'_>) -> Result<R, KmsError>) -> R {
        let mut rng = OsRng;
        operation(&mut Ctx::new(NOW, &mut rng, &self.view, &self.settings)).expect("the operation succeeds")
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for Core {
    const OVERHEAD: usize = blob::OVERHEAD;

    fn name(&self) -> String {
        "core".to_owned()
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let key = KeyRef::Id(self.key);
        self.run(|ctx| crypt::encrypt(&key, PayloadKind::Bytes, plaintext, &self.context, out, ctx));
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let len = out.len();
        let opened = self.run(|ctx| crypt::decrypt(sealed, &self.context, out, ctx));
        assert_eq!(opened.len, len);
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        let key = KeyRef::Id(self.key);
        self.run(|ctx| datakey::generate(&key, Gate::GenerateDataKey, data_key, &self.context, out, ctx));
    }
}
