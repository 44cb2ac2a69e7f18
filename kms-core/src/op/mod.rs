//! The operations: each turns a request and what it reads into a reply and the changes it wants.
//!
//! An operation is one struct with one [`Operation`] impl in the file of its noun, and one row in [`crate::actions`]. It
//! never writes: the engine commits the changes of its [`Outcome`] and only then lets the reply go. What fails returns
//! before it has changes, so that a rejected call cannot leave a trace.

use std::cell::Cell;

use crate::Change;
use crate::crypto::asymmetric::PrivateKey;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::{KeyId, KeyVersionId};
use crate::model::{Alias, AliasName, Key, KeySpec, KeyVersion, Principal, Settings};
use crate::params::Params;
use crate::rng::Rng;
use crate::secret::SecretBytes;
use crate::time::Timestamp;
use crate::view::{Held, View};

pub mod access_key;
pub mod alias;
pub mod asymmetric;
pub mod crypt;
pub mod datakey;
pub mod due;
pub mod export;
pub mod import;
pub mod key;
pub mod life;
pub mod page;
mod render;
pub mod rotation;
pub mod service;
pub mod tag;
pub mod version;

pub(crate) use render::render;

/// What an operation may use: the instant, randomness, what is recorded, the host's settings, and for whom it works.
pub struct Ctx<'a> {
    /// The instant of the call.
    pub now: Timestamp,
    /// Randomness.
    pub rng: &'a mut dyn Rng,
    /// What is recorded.
    pub view: &'a dyn View,
    /// Account, region and limits.
    pub settings: &'a Settings,
    principal: Option<&'a Principal>,
    rotation: Rotation<'a>,
    order: Order,
    drawn: Drawn,
}

/// Who makes the next version of a key when it is due.
#[derive(Clone, Copy)]
pub enum Rotation<'a> {
    /// The plan, together with what else it writes.
    Planned,
    /// Somebody beside the plan, which only uses keys and writes nothing itself.
    Beside(&'a dyn Rotate),
    /// Nobody for the time being: the clock is not to be believed.
    Suspended,
}

/// Makes the next version of a key.
pub trait Rotate {
    /// Makes it if it is due, and returns when it is on disk or could not be made. Then the calls that wait for it go on with
    /// the version that is there.
    fn rotate(&self, key: &KeyId);
}

/// Key material that a call has drawn. When it is planned again because something it had read has changed, it goes on with
/// that: an RSA key takes long to make.
#[derive(Debug, Default)]
pub struct Drawn(Vec<Material>);

#[derive(Debug)]
struct Material {
    spec: KeySpec,
    bytes: SecretBytes,
    /// Whether it is part of this plan: two draws of one plan are two keys.
    taken: bool,
}

/// The result of an operation that may go through.
#[derive(Debug)]
pub struct Outcome<R> {
    /// What the caller is told, once `changes` are durable.
    pub reply: R,
    /// What to write; nothing to write means no lock and no commit.
    pub changes: Vec<Change>,
}

impl<R> Outcome<R> {
    /// A reply that needs nothing written.
    pub const fn read(reply: R) -> Self {
        Self { reply, changes: Vec::new() }
    }
}

/// One action of the contract.
pub trait Operation {
    /// The parameters without which the call is refused before anything else is looked at, in the order in which an absent
    /// one is named.
    const REQUIRED: &'static [&'static str];
    /// Whether the action answers in every account status (OP-97).
    const ANY_ACCOUNT_STATUS: bool = false;
    /// Whether the action only uses keys: it writes nothing, and reads single keys, versions and aliases. It then runs on
    /// what the caller keeps expanded, and costs no look into the store.
    const USES_KEYS_ONLY: bool = false;
    /// The parameters, parsed.
    type Request<'p>;
    /// The members of the answer, in the contract's spelling.
    type Reply: serde::Serialize;

    /// Reads the parameters; those of [`Operation::REQUIRED`] are there.
    ///
    /// # Errors
    /// `InvalidParameter`, and `MissingParameter` for one that another makes necessary.
    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError>;

    /// Decides.
    ///
    /// # Errors
    /// Those that the contract lists for the action.
    fn plan(request: Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Self::Reply>, KmsError>;
}

/// The order of checks that two errors at once make visible (OP-10). The steps before these are the doors' (method,
/// signature) and the engine's (account status, action known).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Required parameters.
    Required,
    /// Form of parameters.
    Form,
    /// The resource is found.
    Resource,
    /// Its state allows the action.
    State,
    /// Its origin, kind and usage do.
    Kind,
    /// Limits.
    Limits,
    /// The operation itself.
    Operation,
}

/// The furthest step that a call has reached. An operation that goes back is wrong, and says so in every test.
#[derive(Debug)]
struct Order(Cell<Step>);

impl<'a> Ctx<'a> {
    /// The circumstances of one call, made by the owner of the engine.
    pub fn new(now: Timestamp, rng: &'a mut dyn Rng, view: &'a dyn View, settings: &'a Settings) -> Self {
        let order = Order(Cell::new(Step::Required));
        Self { now, rng, view, settings, principal: None, rotation: Rotation::Planned, order, drawn: Drawn::default() }
    }

    /// The same circumstances, with somebody else who calls.
    #[must_use]
    pub fn called_by(self, principal: &'a Principal) -> Self {
        Self { principal: Some(principal), ..self }
    }

    /// The account for which the call is made.
    pub(crate) fn account(&self) -> &'a str {
        self.principal.map_or(&self.settings.account, |principal| &principal.account)
    }

    /// The same circumstances, with somebody else to make the versions that are due.
    #[must_use]
    pub fn rotating(self, rotation: Rotation<'a>) -> Self {
        Self { rotation, ..self }
    }

    /// The circumstances of a call that is planned again, with what it has drawn before.
    #[must_use]
    pub fn again(self, drawn: Drawn) -> Self {
        let mut drawn = drawn;
        for material in &mut drawn.0 {
            material.taken = false;
        }
        Self { drawn, ..self }
    }

    /// What the call has drawn, for [`Self::again`].
    #[must_use]
    pub fn into_drawn(self) -> Drawn {
        self.drawn
    }

    /// Draws the material of a new key or version.
    fn draw(&mut self, spec: KeySpec) -> Result<SecretBytes, KmsError> {
        if let Some(before) = self.drawn.0.iter_mut().find(|material| material.spec == spec && !material.taken) {
            before.taken = true;
            return Ok(before.bytes.duplicate());
        }
        let bytes = self.draw_anew(spec)?;
        self.drawn.0.push(Material { spec, bytes: bytes.duplicate(), taken: true });
        Ok(bytes)
    }

    fn draw_anew(&mut self, spec: KeySpec) -> Result<SecretBytes, KmsError> {
        Ok(match (spec.cipher(), spec.asymmetric()) {
            (Some(cipher), _) => SecretBytes::filled(cipher.key_len(), |bytes| self.rng.secret(bytes))?,
            (None, Some(kind)) => PrivateKey::generate(kind, self.rng)?,
            (None, None) => return Err(ErrorCode::InternalFailure.into()),
        })
    }

    /// Notes that the checks of `step` begin.
    fn reach(&self, step: Step) {
        debug_assert!(self.order.0.get() <= step, "{step:?} after {:?}: see OP-10", self.order.0.get());
        self.order.0.set(step);
    }

    /// Finds the key that a parameter names.
    fn find(&self, key: &KeyRef<'_>) -> Result<Held<'a, Key>, KmsError> {
        self.reach(Step::Resource);
        let id = match key {
            KeyRef::Id(id) => *id,
            KeyRef::Alias(text) => self.find_alias(AliasName::parse(text).as_ref())?.key,
            KeyRef::Nothing => return Err(ErrorCode::KeyNotFound.into()),
        };
        self.live_key(&id)?.ok_or_else(|| ErrorCode::KeyNotFound.into())
    }

    /// Finds the key that a parameter names and lets the action through its gate.
    fn enter(&self, key: &KeyRef<'_>, gate: Gate) -> Result<Held<'a, Key>, KmsError> {
        let key = self.find(key)?;
        self.pass(&key, gate)?;
        Ok(key)
    }

    /// Lets the action through the gate of a key already found.
    fn pass(&self, key: &Key, gate: Gate) -> Result<(), KmsError> {
        self.reach(Step::State);
        gate.check(key.state_at(self.now))
    }

    /// The key with this id, unless its DeleteDate has come: then it is gone, swept away or not (OP-26).
    fn live_key(&self, id: &KeyId) -> Result<Option<Held<'a, Key>>, KmsError> {
        Ok(self.view.key(id)?.filter(|key| !key.is_gone(self.now)))
    }

    /// Finds an alias. That of a key that is gone is gone too.
    fn find_alias(&self, name: Option<&AliasName>) -> Result<Held<'a, Alias>, KmsError> {
        self.reach(Step::Resource);
        if let Some(name) = name
            && let Some(alias) = self.view.alias(name)?
            && self.live_key(&alias.key)?.is_some()
        {
            return Ok(alias);
        }
        Err(ErrorCode::AliasNotFound.into())
    }

    /// The newest version of `key`. A key is committed together with it, so that a missing one is damage.
    fn newest_version(&self, key: &Key) -> Result<Held<'a, KeyVersion>, KmsError> {
        let damaged = || KmsError::with_detail(ErrorCode::StoreCorrupt, "a key has lost its newest version");
        self.view.version(&key.primary.ok_or_else(damaged)?)?.ok_or_else(damaged)
    }

    /// Finds a version of `key` by the text of its id (OP-54).
    fn find_version(&self, key: &Key, id: &str) -> Result<Held<'a, KeyVersion>, KmsError> {
        self.reach(Step::Resource);
        let found = match KeyVersionId::parse(id) {
            Some(id) => self.view.version(&id)?,
            None => None,
        };
        found.filter(|version| version.key == key.id).ok_or_else(|| ErrorCode::KeyVersionNotFound.into())
    }
}

impl std::fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ctx").field("now", &self.now).field("order", &self.order).finish_non_exhaustive()
    }
}

/// What a KeyId parameter names (OP-33, OP-38).
#[derive(Clone, Copy, Debug)]
pub enum KeyRef<'p> {
    /// A key.
    Id(KeyId),
    /// An alias, as the text stands.
    Alias(&'p str),
    /// Nothing that can exist: another account's ARN, or no id at all.
    Nothing,
}

impl<'p> KeyRef<'p> {
    /// Reads a KeyId parameter of an action that takes aliases.
    #[must_use]
    pub fn parse(text: &'p str, settings: &Settings) -> Self {
        // First what nearly every call says; it is neither of the others.
        if let Some(id) = KeyId::parse(text) {
            return Self::Id(id);
        }
        if text.starts_with(AliasName::PREFIX) {
            return Self::Alias(text);
        }
        let id = settings.resource_of(text).and_then(|resource| resource.strip_prefix("key/"));
        id.and_then(KeyId::parse).map_or(Self::Nothing, Self::Id)
    }

    /// Reads a KeyId parameter of an action that refuses aliases.
    ///
    /// # Errors
    /// `Unsupported.Alias`.
    pub fn parse_no_alias(text: &'p str, settings: &Settings) -> Result<Self, KmsError> {
        match Self::parse(text, settings) {
            Self::Alias(_) => Err(ErrorCode::UnsupportedAlias.into()),
            key => Ok(key),
        }
    }
}

/// The answer of an action that has nothing to say: its RequestId alone.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{AccessKey, AccessKeyId, AccountStatus, VersionRecord};
    use crate::rng::EntropyError;
    use crate::view::{AliasScope, Counts, Due, DuePlace, ImportKeys, KeyPlace};

    /// A store in which nothing is, or one key, without its version; and what its lists say.
    #[derive(Default)]
    struct Records {
        key: Option<Key>,
        due: Vec<(Due, DuePlace)>,
    }

    impl View for Records {
        fn key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError> {
            Ok(self.key.as_ref().filter(|key| key.id == *id).map(Held::Lent))
        }

        fn version(&self, _: &KeyVersionId) -> Result<Option<Held<'_, KeyVersion>>, KmsError> {
            Ok(None)
        }

        fn alias(&self, _: &AliasName) -> Result<Option<Held<'_, Alias>>, KmsError> {
            Ok(None)
        }

        fn counts(&self, _: Timestamp) -> Result<Counts, KmsError> {
            Ok(Counts::default())
        }

        fn keys(&self, _: Option<KeyPlace>, _: usize) -> Result<Vec<KeyPlace>, KmsError> {
            Ok(Vec::new())
        }

        fn due(&self, due: Due, until: Timestamp, _: Option<DuePlace>, _: usize) -> Result<Vec<DuePlace>, KmsError> {
            let places = self.due.iter().filter(|(of, place)| *of == due && place.at <= until);
            Ok(places.map(|(_, place)| *place).collect())
        }

        fn versions(&self, _: &KeyId, _: u32, _: usize) -> Result<Vec<KeyVersionId>, KmsError> {
            Ok(Vec::new())
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

    /// Another byte for each draw.
    struct Counting(u8);

    impl Rng for Counting {
        fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            self.0 += 1;
            out.fill(self.0);
            Ok(())
        }

        fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            self.secret(out)
        }
    }

    fn params(spec: &str) -> Params {
        let mut params = Params::default();
        assert!(params.insert("KeySpec".to_owned(), spec.to_owned().into()));
        params
    }

    /// Plans CreateKey, with what a call has drawn before; the new version, and what it has drawn now.
    fn create(spec: &str, rng: &mut Counting, drawn: Drawn) -> (VersionRecord, Drawn) {
        let (params, settings, view) = (params(spec), Settings::default(), Records::default());
        let mut ctx = Ctx::new(Timestamp::from_unix(0), rng, &view, &settings).again(drawn);
        let outcome = crate::Action::CreateKey.plan(&params, &mut ctx).unwrap();
        let version = outcome.changes.into_iter().find_map(|change| match change {
            Change::PutVersion(version) => Some(*version),
            _ => None,
        });
        (version.unwrap(), ctx.into_drawn())
    }

    /// Goal: a call that is planned again goes on with the key that it has drawn; with one of another kind, which it would
    /// have drawn for another key, it does not.
    #[test]
    fn a_drawn_key_survives_the_next_plan() {
        let rng = &mut Counting(0);
        for spec in ["EC_P256", "Aliyun_AES_256"] {
            let (first, drawn) = create(spec, rng, Drawn::default());
            let (again, drawn) = create(spec, rng, drawn);
            assert_eq!(first.material, again.material);
            assert_ne!(first.id, again.id);
            let (other, _) = create("EC_SM2", rng, drawn);
            assert_ne!(first.material, other.material);
            let (fresh, _) = create(spec, rng, Drawn::default());
            assert_ne!(first.material, fresh.material);
        }
    }

    /// Goal: two draws of one plan are two keys, the second time too.
    #[test]
    fn two_draws_are_two_keys() {
        let (settings, view) = (Settings::default(), Records::default());
        let (mut rng, mut drawn, mut seen) = (Counting(0), Drawn::default(), Vec::new());
        for _ in 0..3 {
            let mut ctx = Ctx::new(Timestamp::from_unix(0), &mut rng, &view, &settings).again(drawn);
            let mut keys = [(); 2].map(|()| ctx.draw(KeySpec::Aes128).unwrap().expose().to_vec());
            assert_ne!(keys[0], keys[1]);
            keys.sort();
            seen.push(keys);
            drawn = ctx.into_drawn();
        }
        assert!(seen.iter().all(|keys| *keys == seen[0]));
    }

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    /// An EXTERNAL key, Disabled, whose material expires at 100; its DeleteDate as given.
    fn external(delete_at: Option<u64>) -> Key {
        let (record, _) = create("Aliyun_AES_256", &mut Counting(0), Drawn::default());
        Key {
            id: record.key,
            spec: KeySpec::Aes256,
            usage: crate::model::KeyUsage::EncryptDecrypt,
            origin: crate::model::Origin::External,
            protection: crate::model::ProtectionLevel::Software,
            creator: String::new(),
            created: at(0),
            description: String::new(),
            state: crate::state::KeyState::Disabled,
            delete_at: delete_at.map(at),
            deletion_protection: None,
            primary: Some(record.id),
            versions: 1,
            last_rotation: at(0),
            rotation: None,
            imported: Some(crate::model::Imported { fingerprint: [7; 32], present: true, expires: Some(at(100)) }),
            aliases: 0,
            tags: crate::model::Tags::default(),
        }
    }

    /// Goal: who writes something else about a key does not record that its material has expired. The clock may be wrong, and
    /// what it took is there again when it is set right.
    #[test]
    fn expiry_is_recorded_by_nobody_but_the_sweep() {
        let (key, settings) = (external(None), Settings::default());
        let view = Records { key: Some(key.clone()), due: Vec::new() };
        let mut params = Params::default();
        for (name, text) in [("KeyId", key.id.to_string()), ("Description", "new".to_owned())] {
            assert!(params.insert(name.to_owned(), text.into()));
        }
        let mut rng = Counting(0);
        let mut ctx = Ctx::new(at(1000), &mut rng, &view, &settings);
        let described = crate::Action::DescribeKey.plan(&params, &mut ctx).unwrap().reply;
        assert!(described.contains(r#""KeyState":"PendingImport""#), "{}", *described);
        let mut ctx = Ctx::new(at(1000), &mut rng, &view, &settings);
        let changes = crate::Action::UpdateKeyDescription.plan(&params, &mut ctx).unwrap().changes;
        let [Change::PutKey(written)] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(**written, Key { description: "new".to_owned(), ..key });
    }

    /// Goal: what is no longer due when it is looked at is left alone: it was imported anew, or its deletion was cancelled,
    /// after the list was read.
    #[test]
    fn a_list_that_is_behind_destroys_nothing() {
        let (key, settings) = (external(Some(200)), Settings::default());
        let place = |at| DuePlace { at: Timestamp::from_unix(at), id: key.id };
        let due = vec![(Due::Expiry, place(50)), (Due::Deletion, place(150))];
        let view = Records { key: Some(key.clone()), due };
        let mut rng = Counting(0);
        let mut ctx = Ctx::new(at(1000), &mut rng, &view, &settings);
        let outcome = due::step(Some(at(1000)), &mut ctx).unwrap();
        assert!(outcome.changes.is_empty(), "{:?}", outcome.changes);
        assert_eq!(outcome.reply, due::DueReport::default());
    }

    /// Goal: a clock that stands at the end of time makes no versions without end.
    #[test]
    fn the_end_of_time_is_not_due_again() {
        let rotating = |last| Key {
            state: crate::state::KeyState::Enabled,
            last_rotation: last,
            rotation: Some(crate::time::Interval::days(7)),
            ..external(None)
        };
        assert!(rotating(at(0)).rotation_is_due(Timestamp::MAX));
        assert!(!rotating(Timestamp::MAX).rotation_is_due(Timestamp::MAX));
    }
}
