//! The store: how it is opened, and how a plan's changes become sealed writes.

use std::collections::BTreeMap;
use std::fmt;

use kms_core::id::{KeyId, KeyVersionId};
use kms_core::model::{AccessKey, AccessKeyId, Alias, AliasName, Key, VersionRecord};
use kms_core::rng::Rng;
use kms_core::time::Timestamp;
use kms_core::view::{Due, ImportKeys, View as _};
use kms_core::{Change, ErrorCode, KmsError};

use crate::codec::{Head, Owner, Record, V1, why};
use crate::commit::{CommitError, Committer, Prepared, Surroundings};
use crate::count::Doomed;
use crate::header::{self, RootKey};
use crate::keys;
use crate::raw::{Batch, Direction, Expect, RawError, RawKv, Write};
use crate::reader::{Reader, Standing};
use crate::seal::{Front, RecordType, Sealer};
use crate::value;

/// A record that a commit has written or removed: what a cache must drop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Touched {
    /// A key.
    Key(KeyId),
    /// A key version.
    Version(KeyVersionId),
    /// An alias.
    Alias(AliasName),
    /// An AccessKey.
    AccessKey(AccessKeyId),
    /// The owner, account status included.
    Owner,
}

/// An open store.
pub struct Store {
    raw: Box<dyn RawKv>,
    sealer: Sealer,
    committer: Committer,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("raw", &self.raw).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `raw`, and makes one there if nothing is.
    ///
    /// `owner` is what a new store is given; an old one has its own, see [`Reader::owner`].
    ///
    /// # Errors
    /// `KMS_WRONG_ROOT_KEY`, `KMS_STORE_CORRUPT`, `KMS_STORE_FOREIGN`, `KMS_STORE_FULL`, the backend's and the root key's.
    pub fn open(
        raw: Box<dyn RawKv>,
        root: &dyn RootKey,
        owner: &Owner,
        now: Timestamp,
        rng: &mut dyn Rng,
    ) -> Result<Self, KmsError> {
        if let Some(header) = raw.get(keys::HEADER)? {
            let sealer = Sealer::new(&header::open(&header.value, root)?);
            let damaged = |what| KmsError::with_detail(ErrorCode::StoreCorrupt, what);
            let stored = raw.get(keys::TOTALS)?.ok_or_else(|| damaged("its totals are missing"))?;
            let opened = sealer.open(keys::TOTALS, &stored.value).map_err(|_| damaged("its totals do not open"))?;
            let schema = opened.0.schema;
            let head = Head::decode(schema, &opened.1).map_err(|_| damaged(why::<Head>(schema)))?;
            return Ok(Self { raw, sealer, committer: Committer::new(stored.rev, opened.0, head) });
        }
        if !raw.scan(b"", None, 1, Direction::Forward)?.is_empty() {
            return Err(KmsError::with_detail(ErrorCode::StoreCorrupt, "its header is missing"));
        }
        let (header, store_key) = header::create(root, rng)?;
        let sealer = Sealer::new(&store_key);
        let head = Head { latest: now.unix(), ..Head::default() };
        let expect = [keys::HEADER, keys::SETTINGS, keys::TOTALS].map(|key| (key.to_vec(), Expect::Absent)).to_vec();
        let mut batch = Batch { expect, writes: Vec::new() };
        batch.writes.push(Write::Put { key: keys::HEADER.to_vec(), value: header });
        let front = Front::first(RecordType::Settings, Owner::SCHEMA, rng)?;
        let payload = owner.encode().map_err(|_| ErrorCode::InternalFailure)?;
        let sealed = sealer.seal(keys::SETTINGS, &front, &payload, rng)?;
        batch.writes.extend(value::lay_out(keys::SETTINGS.to_vec(), &front, &sealed, raw.caps().max_value)?);
        let front = Front::first(RecordType::Totals, Head::SCHEMA, rng)?;
        let payload = head.encode().map_err(|_| ErrorCode::InternalFailure)?;
        let value = sealer.seal(keys::TOTALS, &front, &payload, rng)?;
        batch.writes.push(Write::Put { key: keys::TOTALS.to_vec(), value });
        let rev = raw.commit(&batch)?;
        Ok(Self { raw, sealer, committer: Committer::new(rev, front, head) })
    }

    /// A view of what is recorded, for one plan.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self.raw.as_ref(), &self.sealer, &self.committer)
    }

    /// What seals import tokens and fingerprints imported material.
    #[must_use]
    pub fn import_keys(&self) -> &dyn ImportKeys {
        &self.sealer
    }

    /// The latest time that the store has acted on. A clock that was set back un-does nothing.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.committer.latest()
    }

    /// An error once the store has failed in a way that leaves unknown what is on disk.
    ///
    /// # Errors
    /// `KMS_STORE_POISONED`.
    pub fn check(&self) -> Result<(), KmsError> {
        self.committer.check()
    }

    /// Makes the store answer nothing any more: somebody above it cannot vouch for what it was told.
    pub fn poison(&self) {
        self.committer.poison();
    }

    /// Seals the changes of a plan that has read through `reader`. The store is to remember that it has acted on `latest`.
    /// Nothing to change is a commit too: it records that time.
    ///
    /// # Errors
    /// The store's, and `InternalFailure` for changes that do not fit what is recorded.
    pub fn prepare(
        &self,
        reader: &Reader<'_>,
        changes: Vec<Change>,
        latest: Timestamp,
        rng: &mut dyn Rng,
    ) -> Result<Prepared, KmsError> {
        let mut draft = Draft::default();
        for change in changes {
            draft.add(change, reader)?;
        }
        let mut writer = Writer { store: self, reader, writes: Vec::new(), rng };
        let (mut key_count, mut alias_count, mut added_versions) = (0, 0, 0);
        let mut touched = Vec::new();
        let (mut doomed_before, mut doomed_after) = (Vec::new(), Vec::new());
        for (id, Edit { before, after }) in draft.keys {
            doomed_before.extend(before.as_ref().and_then(Doomed::of));
            doomed_after.extend(after.as_ref().and_then(Doomed::of));
            key_count += i64::from(after.is_some()) - i64::from(before.is_some());
            let added = |key: &Option<Key>| key.as_ref().map_or(0, |key| key.added_versions().cast_signed());
            added_versions += added(&after) - added(&before);
            writer.record(keys::key(&id), RecordType::Key, after.as_ref())?;
            let places = |key: &Key| Some(keys::key_list(key.created, &key.id));
            writer.entry(before.as_ref().and_then(places), after.as_ref().and_then(places))?;
            for due in Due::ALL {
                let place = |key: &Key| due.of(key).map(|at| keys::due_list(due, at, &key.id));
                writer.entry(before.as_ref().and_then(place), after.as_ref().and_then(place))?;
            }
            touched.push(Touched::Key(id));
        }
        for (id, Edit { before, after }) in draft.versions {
            writer.record(keys::version(&id), RecordType::Version, after.as_ref())?;
            let place = |version: &VersionRecord| keys::version_list(&version.key, version.number, &version.id);
            writer.entry(before.as_ref().map(place), after.as_ref().map(place))?;
            touched.push(Touched::Version(id));
        }
        for (name, Edit { before, after }) in draft.aliases {
            alias_count += i64::from(after.is_some()) - i64::from(before.is_some());
            let hash = self.sealer.name("alias", name.as_str());
            writer.record(keys::alias(&hash), RecordType::Alias, after.as_ref())?;
            let place = |alias: &Alias| keys::alias_list(alias.created, &hash);
            writer.entry(before.as_ref().map(place), after.as_ref().map(place))?;
            let place = |alias: &Alias| keys::alias_list_by_key(&alias.key, alias.created, &hash);
            writer.entry(before.as_ref().map(place), after.as_ref().map(place))?;
            touched.push(Touched::Alias(name));
        }
        for (id, Edit { after, .. }) in draft.access_keys {
            let hash = self.sealer.name("access key", id.as_str());
            writer.record(keys::access_key(&hash), RecordType::AccessKey, after.as_ref())?;
            touched.push(Touched::AccessKey(id));
        }
        if let Some(owner) = draft.owner {
            writer.record(keys::SETTINGS.to_vec(), RecordType::Settings, Some(&owner))?;
            touched.push(Touched::Owner);
        }
        let writes = writer.writes;
        let (expect, census) = reader.read_set();
        Ok(Prepared {
            expect,
            census,
            writes,
            keys: key_count,
            aliases: alias_count,
            added_versions,
            doomed_before,
            doomed_after,
            touched,
            latest,
        })
    }

    /// Commits a plan's writes; on disk when this returns `Ok`. `invalidate` is told, on whichever thread leads the commit
    /// and before anybody is told of it, what caches must drop.
    ///
    /// # Errors
    /// [`CommitError`].
    pub fn commit(
        &self,
        prepared: Prepared,
        rng: &mut dyn Rng,
        invalidate: &dyn Fn(&[Touched]),
    ) -> Result<(), CommitError> {
        let surroundings = Surroundings { raw: self.raw.as_ref(), sealer: &self.sealer, invalidate };
        self.committer.commit(prepared, rng, &surroundings)
    }

    /// Records what the host has configured about the owner, and `latest` as [`Store::prepare`] does.
    ///
    /// # Errors
    /// The store's.
    pub fn put_owner(&self, owner: Owner, latest: Timestamp, rng: &mut dyn Rng) -> Result<(), KmsError> {
        let reader = self.reader();
        let _ = reader.owner()?;
        let mut writer = Writer { store: self, reader: &reader, writes: Vec::new(), rng };
        writer.record(keys::SETTINGS.to_vec(), RecordType::Settings, Some(&owner))?;
        let writes = writer.writes;
        let (expect, census) = reader.read_set();
        let prepared = Prepared {
            expect,
            census,
            writes,
            keys: 0,
            aliases: 0,
            added_versions: 0,
            doomed_before: Vec::new(),
            doomed_after: Vec::new(),
            touched: vec![Touched::Owner],
            latest,
        };
        self.commit(prepared, rng, &|_| {}).map_err(|error| match error {
            CommitError::Conflict => ErrorCode::InternalFailure.into(),
            CommitError::Failed(error) => error,
        })
    }
}

/// A record before and after all changes of a plan.
struct Edit<T> {
    before: Option<T>,
    after: Option<T>,
}

/// The net effect of a plan's changes.
#[derive(Default)]
struct Draft {
    keys: BTreeMap<KeyId, Edit<Key>>,
    versions: BTreeMap<KeyVersionId, Edit<VersionRecord>>,
    aliases: BTreeMap<AliasName, Edit<Alias>>,
    access_keys: BTreeMap<AccessKeyId, Edit<AccessKey>>,
    owner: Option<Owner>,
}

impl Draft {
    fn add(&mut self, change: Change, reader: &Reader<'_>) -> Result<(), KmsError> {
        match change {
            Change::PutKey(key) => {
                let edit = edit(&mut self.keys, key.id, |id| reader.key_record(id))?;
                edit.after = Some(*key);
            }
            Change::RemoveKey(id) => edit(&mut self.keys, id, |id| reader.key_record(id))?.after = None,
            Change::PutVersion(version) => {
                let edit = edit(&mut self.versions, version.id, |id| reader.version_record(id))?;
                edit.after = Some(*version);
            }
            Change::RemoveVersion(id) => {
                edit(&mut self.versions, id, |id| reader.version_record(id))?.after = None;
            }
            Change::PutAlias(alias) => {
                let edit = edit(&mut self.aliases, alias.name.clone(), |name| reader.alias_record(name))?;
                edit.after = Some(alias);
            }
            Change::RemoveAlias(name) => {
                edit(&mut self.aliases, name, |name| reader.alias_record(name))?.after = None;
            }
            Change::PutAccessKey(key) => {
                let edit = edit(&mut self.access_keys, key.id.clone(), |id| reader.access_key(id))?;
                edit.after = Some(*key);
            }
            Change::RemoveAccessKey(id) => {
                edit(&mut self.access_keys, id, |id| reader.access_key(id))?.after = None;
            }
            Change::PutAccountStatus(status) => self.owner = Some(Owner { status, ..reader.owner()? }),
            // `Change` grows by new kinds only together with this function.
            _ => return Err(ErrorCode::InternalFailure.into()),
        }
        Ok(())
    }
}

fn edit<K: Ord + Clone, T>(
    edits: &mut BTreeMap<K, Edit<T>>,
    id: K,
    read: impl FnOnce(&K) -> Result<Option<T>, KmsError>,
) -> Result<&mut Edit<T>, KmsError> {
    if !edits.contains_key(&id) {
        let before = read(&id)?;
        edits.insert(id.clone(), Edit { before, after: None });
    }
    edits.get_mut(&id).ok_or_else(|| ErrorCode::InternalFailure.into())
}

/// Collects sealed writes.
struct Writer<'a> {
    store: &'a Store,
    reader: &'a Reader<'a>,
    writes: Vec<Write>,
    rng: &'a mut dyn Rng,
}

impl Writer<'_> {
    /// Puts or removes the record under `key`. The reader has read what stands there.
    fn record<R: Record>(&mut self, key: Vec<u8>, kind: RecordType, record: Option<&R>) -> Result<(), KmsError> {
        let standing = self.reader.standing(&key);
        if let Some(Standing { front, pieces }) = standing {
            let old = |i| Write::Delete { key: keys::piece(&key, &front.incarnation, front.revision, i) };
            self.writes.extend((0..pieces).map(old));
        }
        let Some(record) = record else {
            if standing.is_some() {
                self.writes.push(Write::Delete { key });
            }
            return Ok(());
        };
        let front = match standing {
            Some(Standing { front, .. }) => Front { schema: R::SCHEMA, revision: front.revision + 1, ..front },
            None => Front::first(kind, R::SCHEMA, self.rng)?,
        };
        let payload = record.encode().map_err(|_| ErrorCode::InternalFailure)?;
        let sealed = self.store.sealer.seal(&key, &front, &payload, self.rng)?;
        self.writes.extend(value::lay_out(key, &front, &sealed, self.store.raw.caps().max_value)?);
        Ok(())
    }

    /// Moves a list entry from where it was to where it is.
    fn entry(&mut self, before: Option<Vec<u8>>, after: Option<Vec<u8>>) -> Result<(), KmsError> {
        if before == after {
            return Ok(());
        }
        if let Some(key) = before {
            self.writes.push(Write::Delete { key });
        }
        if let Some(key) = after {
            let front = Front::first(RecordType::Entry, V1, self.rng)?;
            let value = self.store.sealer.seal(&key, &front, &[], self.rng)?;
            self.writes.push(Write::Put { key, value });
        }
        Ok(())
    }
}

/// What a backend's failure means to a caller.
impl From<RawError> for KmsError {
    fn from(error: RawError) -> Self {
        match error {
            RawError::Locked => ErrorCode::StoreLocked.into(),
            RawError::Foreign(what) => Self::with_detail(ErrorCode::StoreForeign, what),
            RawError::Corrupt(what) => Self::with_detail(ErrorCode::StoreCorrupt, what),
            RawError::Full | RawError::TakenBack => ErrorCode::StoreFull.into(),
            RawError::Forked => {
                let why = "a forked child cannot open a store of this kind after its parent has";
                Self::with_detail(ErrorCode::Forked, why)
            }
            RawError::Poisoned => ErrorCode::StorePoisoned.into(),
            RawError::Io(error) => Self::with_detail(ErrorCode::StoreIo, error.to_string()),
            RawError::Conflict(_) | RawError::TooLarge => ErrorCode::InternalFailure.into(),
        }
    }
}
