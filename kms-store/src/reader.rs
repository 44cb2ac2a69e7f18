//! Reading records: opens seals, remembers what was read, and waits until it may be acted on.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use kms_core::id::{KeyId, KeyVersionId};
use kms_core::model::{AccessKey, AccessKeyId, AccountStatus, Alias, AliasName, Key, KeyVersion, VersionRecord};
use kms_core::time::Timestamp;
use kms_core::view::{AliasScope, Counts, Due, DuePlace, Held, ImportKeys, KeyPlace, Totals, View};
use kms_core::{ErrorCode, KmsError};

use crate::codec::{Owner, Record, why};
use crate::commit::{CommitError, Committer};
use crate::count::{Census, Doomed, Gone};
use crate::keys::{self, NameHash};
use crate::raw::{Direction, Expect, RawKv, Rev, Stored};
use crate::seal::{Front, RecordType, Sealer};
use crate::value::{Layout, read_layout};

/// The record that stands under a key: what its successor must know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) front: Front,
    /// In how many pieces its rest lies; none for a record that fits one value.
    pub(crate) pieces: u16,
}

/// What was found under a key.
type Read = (Expect, Option<Standing>);

/// A view of a store for one plan. Every record that it reads, present or absent, becomes a precondition of what the plan
/// writes. Lists do not: a set is read through the key that heads it.
pub struct Reader<'s> {
    raw: &'s dyn RawKv,
    sealer: &'s Sealer,
    committer: &'s Committer,
    reads: RefCell<HashMap<Vec<u8>, Read>>,
    census: Cell<Option<Census>>,
    /// The newest revision read.
    latest: Cell<Rev>,
    /// Something was not there, or was one of many: its revision says nothing about a removal that is under way.
    absent: Cell<bool>,
    /// How many batches had been taken back when this began to read.
    taken_back: u64,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("reads", &self.reads.borrow().len()).finish_non_exhaustive()
    }
}

fn damaged(what: &'static str) -> KmsError {
    KmsError::with_detail(ErrorCode::StoreCorrupt, what)
}

/// How many list entries are read at a time.
const CHUNK: usize = 256;
/// How often a record in pieces is read again when it changes under the reader's eyes.
const READS: usize = 16;

impl<'s> Reader<'s> {
    pub(crate) fn new(raw: &'s dyn RawKv, sealer: &'s Sealer, committer: &'s Committer) -> Self {
        Self {
            raw,
            sealer,
            committer,
            reads: RefCell::default(),
            census: Cell::new(None),
            latest: Cell::new(0),
            absent: Cell::new(false),
            taken_back: committer.taken_back(),
        }
    }

    /// Returns when everything that was read is on disk, so that it may be acted on.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] if some of it may have come to nothing: read again, through a new reader. Otherwise
    /// `KMS_STORE_POISONED`.
    pub fn settle(&self) -> Result<(), CommitError> {
        self.committer.settle(self.latest.get(), self.absent.get(), self.taken_back)
    }

    /// What [`Self::settle`] would return, if that needs no waiting for anybody's commit.
    #[must_use]
    pub fn try_settle(&self) -> Option<Result<(), CommitError>> {
        self.committer.try_settle(self.latest.get(), self.absent.get(), self.taken_back)
    }

    /// Whether records came or went since they were counted, so that counts and lists may be of two instants. What writes
    /// need not ask: its commit is checked against the counts that it has read.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        let changed = |read: Census| {
            let now = self.committer.census();
            now.recorded != read.recorded || (now.gone.until == read.gone.until && now.gone.of != read.gone.of)
        };
        self.census.get().is_some_and(changed)
    }

    /// Whom the store belongs to.
    ///
    /// # Errors
    /// The store's.
    pub fn owner(&self) -> Result<Owner, KmsError> {
        self.record(keys::SETTINGS.to_vec(), RecordType::Settings)?.ok_or_else(|| damaged("its owner is missing"))
    }

    /// What a writer is checked against.
    pub(crate) fn read_set(&self) -> (Vec<(Vec<u8>, Expect)>, Option<Census>) {
        let expect = self.reads.borrow().iter().map(|(key, (expect, _))| (key.clone(), *expect)).collect();
        (expect, self.census.get())
    }

    /// What stands under a key that was read.
    pub(crate) fn standing(&self, key: &[u8]) -> Option<Standing> {
        self.reads.borrow().get(key).and_then(|(_, standing)| *standing)
    }

    pub(crate) fn key_record(&self, id: &KeyId) -> Result<Option<Key>, KmsError> {
        self.record(keys::key(id), RecordType::Key)
    }

    pub(crate) fn version_record(&self, id: &KeyVersionId) -> Result<Option<VersionRecord>, KmsError> {
        self.record(keys::version(id), RecordType::Version)
    }

    pub(crate) fn alias_record(&self, name: &AliasName) -> Result<Option<Alias>, KmsError> {
        self.alias_by_hash(&self.sealer.name("alias", name.as_str()))
    }

    fn alias_by_hash(&self, hash: &NameHash) -> Result<Option<Alias>, KmsError> {
        self.record(keys::alias(hash), RecordType::Alias)
    }

    /// Reads, opens and remembers a record.
    fn record<R: Record>(&self, key: Vec<u8>, kind: RecordType) -> Result<Option<R>, KmsError> {
        let (record, read) = match self.glimpse(&key, kind)? {
            Some((record, rev, standing)) => (Some(record), (Expect::Rev(rev), Some(standing))),
            None => (None, (Expect::Absent, None)),
        };
        // The first reading stands: what a plan saw later is the same, or the commit finds out.
        self.reads.borrow_mut().entry(key).or_insert(read);
        Ok(record)
    }

    /// Reads and opens a record. It becomes no precondition, and takes no memory: lists look at very many.
    fn glimpse<R: Record>(&self, key: &[u8], kind: RecordType) -> Result<Option<(R, Rev, Standing)>, KmsError> {
        for _ in 0..READS {
            let Some(stored) = self.raw.get(key)? else {
                self.absent.set(true);
                return Ok(None);
            };
            self.latest.set(self.latest.get().max(stored.rev));
            let layout = read_layout(&stored.value).ok_or_else(|| damaged("a value has no form of ours"))?;
            let (sealed, pieces) = match layout {
                Layout::Whole(sealed) => (sealed.to_vec(), 0),
                Layout::Split(front, pieces) => match self.gather(key, front, pieces)? {
                    Some(sealed) => (sealed, pieces),
                    None if self.raw.get(key)?.is_some_and(|now| now.rev == stored.rev) => {
                        return Err(damaged("a piece of a record is missing"));
                    }
                    // Replaced between the two reads: the pieces are those of its successor now.
                    None => continue,
                },
            };
            let (front, payload) = self.sealer.open(key, &sealed).map_err(|_| damaged("a record does not open"))?;
            if front.kind != kind {
                return Err(damaged("a record is of another kind"));
            }
            let record = R::decode(front.schema, &payload).map_err(|_| damaged(why::<R>(front.schema)))?;
            return Ok(Some((record, stored.rev, Standing { front, pieces })));
        }
        Err(ErrorCode::ServiceUnavailableTemporary.into())
    }

    /// Puts a record together from its front and its pieces; `None` when one is not there.
    fn gather(&self, key: &[u8], front: &[u8], pieces: u16) -> Result<Option<Vec<u8>>, KmsError> {
        let read = Front::decode(front).ok_or_else(|| damaged("a record has no front"))?;
        let names: Vec<_> = (0..pieces).map(|i| keys::piece(key, &read.incarnation, read.revision, i)).collect();
        let mut sealed = front.to_vec();
        for piece in self.raw.get_many(&names)? {
            let Some(piece) = piece else { return Ok(None) };
            sealed.extend_from_slice(&piece.value);
        }
        Ok(Some(sealed))
    }

    /// Up to `limit` keys of list entries behind `after`, each opened and so known to be ours.
    fn entries(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Vec<u8>>, KmsError> {
        self.absent.set(true);
        let entries = self.raw.scan(prefix, after, limit, direction)?;
        entries.into_iter().map(|(key, stored)| self.open_entry(key, &stored)).collect()
    }

    fn open_entry(&self, key: Vec<u8>, stored: &Stored) -> Result<Vec<u8>, KmsError> {
        let (front, _) =
            self.sealer.open(&key, &stored.value).map_err(|_| damaged("an entry of a list does not open"))?;
        if front.kind == RecordType::Entry { Ok(key) } else { Err(damaged("an entry of a list is none")) }
    }

    /// Goes on counting what is gone, towards `end`: by a portion, if that is later than it was counted to.
    fn count(&self, mut gone: Gone, end: DuePlace) -> Result<Gone, KmsError> {
        let doomed = |place: DuePlace| {
            let key = self.glimpse::<Key>(&keys::key(&place.id), RecordType::Key)?;
            let of = key.and_then(|(key, ..)| Doomed::of(&key)).map_or(Totals::default(), |doomed| doomed.of);
            Ok::<_, KmsError>(Doomed { place, of })
        };
        if gone.covers(end) {
            // The clock has been set back, by some seconds mostly.
            let mut after = end;
            while let Some(until) = gone.until.filter(|until| after < *until) {
                let places = self.due(Due::Deletion, until.at, Some(after), CHUNK)?;
                for place in places.iter().filter(|place| **place <= until) {
                    gone.take(&doomed(*place)?);
                }
                after = places.last().filter(|_| places.len() == CHUNK).map_or(until, |last| *last);
            }
            gone.until = Some(end);
        } else {
            let places = self.due(Due::Deletion, end.at, gone.until, CHUNK)?;
            for place in &places {
                gone.add(&doomed(*place)?);
            }
            gone.until = places.last().filter(|_| places.len() == CHUNK).map_or(Some(end), |last| Some(*last));
        }
        Ok(gone)
    }

    /// All aliases of one second, behind `prefix`, in the order of their names.
    fn aliases_of_second(&self, prefix: &[u8]) -> Result<Vec<Arc<Alias>>, KmsError> {
        let (mut aliases, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let entries = self.entries(prefix, after.as_deref(), CHUNK, Direction::Forward)?;
            let Some(last) = entries.last() else { break };
            after = Some(last.clone());
            for key in &entries {
                let hash = key.get(prefix.len()..).and_then(|hash| NameHash::try_from(hash).ok());
                let hash = hash.ok_or_else(|| damaged("a list of aliases has an entry of another form"))?;
                aliases.extend(self.alias_by_hash(&hash)?.map(Arc::new));
            }
        }
        aliases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(aliases)
    }
}

impl View for Reader<'_> {
    fn key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError> {
        Ok(self.key_record(id)?.map(|key| Held::Shared(Arc::new(key))))
    }

    fn version(&self, id: &KeyVersionId) -> Result<Option<Held<'_, KeyVersion>>, KmsError> {
        let Some(record) = self.version_record(id)? else { return Ok(None) };
        let version = KeyVersion::expand(record).ok_or_else(|| damaged("the material of a key is not of its kind"))?;
        Ok(Some(Held::Shared(Arc::new(version))))
    }

    fn alias(&self, name: &AliasName) -> Result<Option<Held<'_, Alias>>, KmsError> {
        Ok(self.alias_record(name)?.map(|alias| Held::Shared(Arc::new(alias))))
    }

    fn glimpse_key(&self, id: &KeyId) -> Result<Option<Held<'_, Key>>, KmsError> {
        let found = self.glimpse(&keys::key(id), RecordType::Key)?;
        Ok(found.map(|(key, ..)| Held::Shared(Arc::new(key))))
    }

    fn counts(&self, now: Timestamp) -> Result<Counts, KmsError> {
        let census = self.committer.census_at(now, |gone, end| self.count(gone, end))?;
        self.census.set(Some(census));
        Ok(census.counts())
    }

    fn keys(&self, after: Option<KeyPlace>, limit: usize) -> Result<Vec<KeyPlace>, KmsError> {
        let after = after.map(|place| keys::key_list(place.created, &place.id));
        let entries = self.entries(keys::KEY_LIST, after.as_deref(), limit, Direction::Forward)?;
        let read = |key: &Vec<u8>| {
            let (created, id) = keys::read_entry(key, keys::KEY_LIST.len())?;
            Some(KeyPlace { created, id: KeyId::from_bytes(id) })
        };
        entries
            .iter()
            .map(|key| read(key).ok_or_else(|| damaged("the list of keys has an entry of another form")))
            .collect()
    }

    fn due(
        &self,
        due: Due,
        until: Timestamp,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Result<Vec<DuePlace>, KmsError> {
        self.absent.set(true);
        let after = after.map(|place| keys::due_list(due, place.at, &place.id));
        let mut places = Vec::new();
        for (key, stored) in self.raw.scan(&keys::due_list_of(due), after.as_deref(), limit, Direction::Forward)? {
            let (at, id) = keys::read_entry(&key, keys::DUE_PREFIX)
                .ok_or_else(|| damaged("a list of due keys has an entry of another form"))?;
            // What comes later is not asked for, and not opened.
            if at > until {
                break;
            }
            self.open_entry(key, &stored)?;
            places.push(DuePlace { at, id: KeyId::from_bytes(id) });
        }
        Ok(places)
    }

    fn versions(&self, key: &KeyId, newest: u32, limit: usize) -> Result<Vec<KeyVersionId>, KmsError> {
        let prefix = keys::version_list_of(key);
        // Backwards, from behind the last version that could have this number.
        let after = keys::version_list(key, newest, &KeyVersionId::from_bytes([0xff; 16]));
        let entries = self.entries(&prefix, Some(&after), limit, Direction::Backward)?;
        let read = |entry: &Vec<u8>| {
            let id = entry.get(prefix.len()..)?.split_first_chunk::<4>()?.1;
            Some(KeyVersionId::from_bytes(id.try_into().ok()?))
        };
        let bad = || damaged("a list of versions has an entry of another form");
        entries.iter().map(|entry| read(entry).ok_or_else(bad)).collect()
    }

    fn aliases(&self, scope: AliasScope, after: Option<&Alias>, limit: usize) -> Result<Vec<Arc<Alias>>, KmsError> {
        let list = match scope {
            AliasScope::All => keys::ALIAS_LIST.to_vec(),
            AliasScope::Key(id) => keys::alias_list_of(&id),
        };
        let second = |at: Timestamp| [list.as_slice(), &at.unix().to_be_bytes()].concat();
        let mut aliases = Vec::new();
        // The store orders the names of one second by their hash; a second is therefore read as a whole.
        let mut at = after.map(|alias| alias.created);
        loop {
            if let Some(at) = at {
                let behind = |alias: &Arc<Alias>| {
                    after.is_none_or(|after| (alias.created, &alias.name) > (after.created, &after.name))
                };
                aliases.extend(self.aliases_of_second(&second(at))?.into_iter().filter(behind));
                if aliases.len() >= limit {
                    aliases.truncate(limit);
                    return Ok(aliases);
                }
            }
            let last_of_second = at.map(|at| [second(at).as_slice(), &[0xff; 33]].concat());
            let next = self.entries(&list, last_of_second.as_deref(), 1, Direction::Forward)?;
            let Some(next) = next.first() else { return Ok(aliases) };
            let (created, _) = keys::read_entry::<32>(next, list.len())
                .ok_or_else(|| damaged("a list of aliases has an entry of another form"))?;
            at = Some(created);
        }
    }

    fn access_key(&self, id: &AccessKeyId) -> Result<Option<AccessKey>, KmsError> {
        self.record(keys::access_key(&self.sealer.name("access key", id.as_str())), RecordType::AccessKey)
    }

    fn access_keys(&self) -> Result<Vec<AccessKey>, KmsError> {
        self.absent.set(true);
        let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let records = self.raw.scan(keys::ACCESS_KEYS, after.as_deref(), CHUNK, Direction::Forward)?;
            let Some((last, _)) = records.last() else { return Ok(found) };
            after = Some(last.clone());
            for (key, _) in records {
                found.extend(self.record(key, RecordType::AccessKey)?);
            }
        }
    }

    fn account_status(&self) -> Result<AccountStatus, KmsError> {
        Ok(self.owner()?.status)
    }

    fn import_keys(&self) -> Option<&dyn ImportKeys> {
        Some(self.sealer)
    }
}
