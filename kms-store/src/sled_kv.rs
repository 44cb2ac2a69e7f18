//! A store on disk, kept by sled 0.34.
//!
//! sled is fast and survives the death of its process, but not the loss of power: its `flush` neither writes metadata
//! nor empties the disk's cache. Nor does it survive every error. So it is used with these precautions.
//!
//! - **Durable commits.** One writer at a time checks the expectations, applies the batch to one tree in one
//!   `apply_batch`, flushes, and then calls `fdatasync` on a descriptor of its own, opened before sled wrote its first
//!   byte: it learns of every write-back error that sled did not see. sled's transactions are not used, since every read
//!   would wait on their lock.
//! - **No background thread.** sled's own would write, reclaim segments and swallow errors between commits, and all it
//!   syncs is synced by each commit. Segments are reclaimed while pages are replaced, as part of commits.
//!   A thread of ours watches for errors, since sled does not always wake who waits for a write that has failed.
//! - **Small records.** sled puts a page of more than 128 KiB into a file of its own and never syncs that. A leaf has at
//!   most some 20 entries and an inner page 256 keys, so entries of 4 KiB and keys of 400 bytes keep every page below.
//! - **Errors end the handle.** After a failed write or a panic out of sled nobody knows what is on disk. The handle then
//!   answers [`RawError::Poisoned`]; opening the store again recovers what is there.
//! - **A full disk does not.** Space set aside in the directory is given back, sled is started anew within the handle,
//!   and its latest revision tells whether the batch is on disk. The store can be read on, since sled needs little space
//!   for that and mostly none, and takes commits again once the reserve can be had again. Where that proof fails, the
//!   error is [`RawError::Io`] with the kind `StorageFull`, and the handle is poisoned.
//! - **Damage is noticed.** The marker of the directory knows that the store was made and a revision that it had; less
//!   than that is [`RawError::Corrupt`]. Within the log sled checks every page that it reads; but the part of the log
//!   that it replays when it starts it believes to be torn wherever it cannot read it, and goes on with older pages. It
//!   replays what was written since it was last started, so it is started once more when the store is closed. Damage to
//!   a store that was not closed, and everything that takes a key to prove, is for the layers above to notice.
//!
//! What stands under a key is the revision, 8 bytes big-endian, then the value. Keys get a prefix byte, so that the
//! latest revision stands in the same tree, in the same batch, where no scan comes.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use kms_secmem::lock::{Mutex, RwLock, RwLockWriteGuard};
use sled::{Db, IVec};

use crate::raw::{Batch, Caps, Direction, RawError, RawKv, Rev, Stored, Write, scan_bounds};
use crate::sled_dir::{State, StoreDir, from_io, is_full};
use crate::sled_engine::{Engine, Failure, LATEST, claim_threads, start, start_with_reserve};

/// Stands before every key of the caller.
const USER: u8 = 1;

/// The least space that is set aside: sled rounds the end of its log up to a segment of 512 KiB when it recovers.
const RESERVE: u64 = 2 << 20;
/// The reserve grows with the database by this part of it: when sled recovers it writes a table of all pages, which is
/// about a hundredth of them.
const RESERVE_SHARE: u64 = 64;
/// The reserve is sized in steps of this many bytes, so that it is seldom resized.
const RESERVE_STEP: u64 = 1 << 20;

/// How a [`SledKv`] is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SledOptions {
    /// The size of the page cache, in bytes. Less than a mebibyte counts as one.
    pub cache_capacity: u64,
}

impl Default for SledOptions {
    /// A cache of 128 MiB.
    fn default() -> Self {
        Self { cache_capacity: 128 << 20 }
    }
}

/// A store in a directory of its own, open in one handle at a time.
///
/// Dropping the handle closes the store. What is on disk does not depend on that. In a forked child a handle of the
/// parent must not be used; dropping it there does nothing.
pub struct SledKv {
    dir: StoreDir,
    /// Our own descriptor of the database file: what makes a commit durable.
    database: File,
    /// The size of sled's page cache, in bytes.
    cache_capacity: u64,
    /// Held shared by readers and exclusively while a batch is applied, so that readers never see half of one.
    /// Stopped only while it is started anew, and after that has failed.
    engine: RwLock<Engine>,
    writer: Mutex<Writer>,
    /// The latest revision when the handle was opened.
    opened_at: Rev,
    poisoned: AtomicBool,
}

#[derive(Debug)]
struct Writer {
    /// The revision of the latest commit.
    last: Rev,
    /// The revision of the next batch. One that readers saw before the disk was found full is not used again.
    next: Rev,
    /// How many bytes are set aside.
    reserve: u64,
}

impl SledKv {
    /// Opens the store in the directory `path`, or makes one if the directory is absent (its parent must exist) or empty.
    ///
    /// # Errors
    /// - [`RawError::Locked`]: another handle, of this or another process, has it open.
    /// - [`RawError::Foreign`]: there is a file, a directory that was filled by others, or a store of another format.
    /// - [`RawError::Corrupt`]: it is a store of ours, but cannot be read, or has less in it than it had.
    /// - [`RawError::Full`]: there is no space for a new store, or not even the reserve sufficed to recover an old one.
    /// - [`RawError::Forked`]: this process was forked from one that has opened such a store, this one or another.
    /// - [`RawError::Io`]: the operating system refused.
    pub fn open(path: &Path, options: SledOptions) -> Result<Self, RawError> {
        let (dir, state) = StoreDir::enter(path)?;
        claim_threads()?;
        let mut database = dir.open_database(state)?;
        let mut started = start_with_reserve(&dir, &database, options.cache_capacity);
        if state == State::New && matches!(started, Err(RawError::Corrupt(_))) {
            // A creation was cut short. Nothing was ever committed, so there is nothing to lose.
            dir.clear().map_err(from_io)?;
            database = dir.open_database(state)?;
            started = start_with_reserve(&dir, &database, options.cache_capacity);
        }
        let (engine, found) = started?;
        let last = match (state, found) {
            (State::New, None | Some(0)) => {
                let genesis = engine.call(|db| db.insert(LATEST, &0_u64.to_be_bytes()).and_then(|_| db.flush()));
                genesis.map_err(Failure::harmless)?;
                0
            }
            (State::New, Some(_)) => {
                return Err(RawError::Corrupt("it holds commits, but its marker says that it never had any".into()));
            }
            (State::Ready(_), None) => return Err(RawError::Corrupt("its database is empty".into())),
            (State::Ready(known), Some(found)) if found < known => {
                return Err(RawError::Corrupt(format!("it ends at revision {found}, but had revision {known}")));
            }
            (State::Ready(_), Some(found)) => found,
        };
        database.sync_data().and_then(|()| dir.sync_files()).map_err(from_io)?;
        if state != State::Ready(last) {
            match dir.write_marker(State::Ready(last)) {
                // The marker of a store that exists holds a lower bound; the old one is as true as it was.
                Err(error) if state != State::New && is_full(&error) => {}
                written => written.map_err(from_io)?,
            }
        }
        let store = Self {
            dir,
            database,
            cache_capacity: options.cache_capacity,
            engine: RwLock::new(engine),
            writer: Mutex::new(Writer { last, next: last + 1, reserve: 0 }),
            opened_at: last,
            poisoned: AtomicBool::new(false),
        };
        match store.hold_reserve(&mut store.writer.lock()) {
            // The store can be read. Commits ask for the reserve again.
            Ok(()) | Err(RawError::Full) => {}
            Err(error) => return Err(error),
        }
        Ok(store)
    }

    fn usable(&self) -> Result<(), RawError> {
        if self.poisoned.load(Ordering::Acquire) { Err(RawError::Poisoned) } else { Ok(()) }
    }

    fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Runs a read once, and answers as sled does.
    fn attempt<T>(&self, read: impl FnOnce(&Db) -> sled::Result<T>) -> Result<T, Failure> {
        self.engine.read().call(read).inspect_err(|failure| {
            if matches!(failure, Failure::Panic(_)) {
                self.poison();
            }
        })
    }

    /// Runs a read, and once more if sled cannot answer because it met a full disk. Reads do write at times: those
    /// that come between a batch and the splits and merges of pages that it calls for.
    fn read<T>(&self, read: impl Fn(&Db) -> sled::Result<T>) -> Result<T, RawError> {
        self.usable()?;
        match self.attempt(&read) {
            Err(failure) if failure.wants_restart() => {
                // If it was a commit that met the full disk, it has put things right by the time it lets go of the lock.
                let mut writer = self.writer.lock();
                self.usable()?;
                self.read_locked(&mut writer, read)
            }
            result => result.map_err(Failure::harmless),
        }
    }

    /// Runs a read while no commit is under way, starting sled anew if it met a full disk before.
    fn read_locked<T>(&self, writer: &mut Writer, read: impl Fn(&Db) -> sled::Result<T>) -> Result<T, RawError> {
        let mut result = self.attempt(&read);
        if matches!(&result, Err(failure) if failure.wants_restart()) {
            // No batch is in doubt here. If there is not even the space to start sled, the next call tries again.
            self.restart(writer).map_err(|failure| {
                if !failure.wants_restart() {
                    self.poison();
                }
                failure.harmless()
            })?;
            result = self.attempt(&read);
        }
        result.map_err(Failure::harmless)
    }

    fn try_commit(&self, writer: &mut Writer, batch: &Batch) -> Result<Rev, RawError> {
        self.check(writer, batch)?;
        if batch.writes.is_empty() {
            return Ok(writer.last);
        }
        self.hold_reserve(writer)?;
        let rev = writer.next;
        writer.next += 1;
        match self.write(batch, rev) {
            Ok(()) => {
                writer.last = rev;
                Ok(rev)
            }
            Err(Failure::Full(_)) => {
                // Whether the batch is on disk must be known now: later the caller could not be told.
                let found = self.restart(writer).map_err(Failure::into_error)?;
                if found == rev { Ok(rev) } else { Err(RawError::TakenBack) }
            }
            Err(failure) => Err(failure.into_error()),
        }
    }

    fn check(&self, writer: &mut Writer, batch: &Batch) -> Result<(), RawError> {
        let found: Vec<Option<IVec>> =
            self.read_locked(writer, |db| batch.expect.iter().map(|(key, _)| db.get(user_key(key))).collect())?;
        let mut differ = Vec::new();
        for ((key, expect), found) in batch.expect.iter().zip(found) {
            let rev = found.map(|record| split(&record).map(|(rev, _)| rev)).transpose()?;
            if !expect.holds(rev) && !differ.contains(key) {
                differ.push(key.clone());
            }
        }
        if differ.is_empty() { Ok(()) } else { Err(RawError::Conflict(differ)) }
    }

    /// Applies a batch and brings it to disk.
    fn write(&self, batch: &Batch, rev: Rev) -> Result<(), Failure> {
        let keys: Vec<Vec<u8>> = batch.writes.iter().map(|write| user_key(write.key())).collect();
        let mut engine = self.engine.write();
        if let Err(failure) = engine.call(|db| db.apply_batch(encode(batch, rev))) {
            // Half of the batch may be in the tree, where nobody is to read it.
            engine.stop();
            return Err(failure);
        }
        let engine = RwLockWriteGuard::downgrade(engine);
        // sled splits and merges pages when next it comes by, and that may be a read. Looking up what was written does it
        // now, as part of the commit, so that reads find nothing to write.
        engine.call(|db| keys.iter().try_for_each(|key| db.get(key).map(drop)))?;
        engine.call(|db| db.flush())?;
        drop(engine);
        // A full disk that shows only here has lost pages that the system had accepted: nothing proves what is on disk.
        self.database.sync_data().map_err(Failure::Io)
    }

    /// Starts sled anew after it met a full disk, and answers the revision it then has, which becomes the latest.
    ///
    /// What it recovers is what a later opening of the store would find, since our descriptor tells of every page that
    /// did not reach the disk.
    fn restart(&self, writer: &mut Writer) -> Result<Rev, Failure> {
        let mut engine = self.engine.write();
        engine.stop();
        self.dir.release_reserve().map_err(Failure::Io)?;
        writer.reserve = 0;
        let (started, found) = start(&self.dir, &self.database, self.cache_capacity)?;
        self.database.sync_data().and_then(|()| self.dir.sync_files()).map_err(Failure::Io)?;
        match found {
            Some(found) if found == writer.last || found == writer.next - 1 => {
                writer.last = found;
                *engine = started;
                // Half of it, to start sled once more. Commits want the whole, and the margin that comes with taking it:
                // they are not to try their luck with every block that recovery has left over.
                writer.reserve = self.dir.hold_remains(self.reserve_wanted().map_err(Failure::Io)? / 2);
                Ok(found)
            }
            _ => Err(Failure::Corrupt(format!("after a full disk it is at revision {found:?}, not {}", writer.last))),
        }
    }

    /// How many bytes it may take to recover.
    fn reserve_wanted(&self) -> io::Result<u64> {
        let size = self.database.metadata()?.len();
        Ok((RESERVE + size / RESERVE_SHARE).next_multiple_of(RESERVE_STEP))
    }

    /// Makes sure that there is enough space set aside to recover from a full disk.
    fn hold_reserve(&self, writer: &mut Writer) -> Result<(), RawError> {
        let wanted = self.reserve_wanted().map_err(RawError::Io)?;
        if wanted > writer.reserve {
            self.dir.hold_reserve(wanted, RESERVE).map_err(from_io)?;
            writer.reserve = wanted;
        }
        Ok(())
    }
}

impl RawKv for SledKv {
    fn get(&self, key: &[u8]) -> Result<Option<Stored>, RawError> {
        let key = user_key(key);
        self.read(|db| db.get(&key))?.map(|record| decode(&record)).transpose()
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Stored>>, RawError> {
        let found: Vec<Option<IVec>> = self.read(|db| keys.iter().map(|key| db.get(user_key(key))).collect())?;
        found.into_iter().map(|record| record.map(|record| decode(&record)).transpose()).collect()
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Vec<u8>, Stored)>, RawError> {
        let Some(range) = scan_bounds(&user_key(prefix), after.map(user_key).as_deref(), direction) else {
            self.usable()?;
            return Ok(Vec::new());
        };
        let found: Vec<(IVec, IVec)> = self.read(|db| {
            let entries = db.range(range.clone());
            match direction {
                Direction::Forward => entries.take(limit).collect(),
                Direction::Backward => entries.rev().take(limit).collect(),
            }
        })?;
        found.into_iter().map(|(key, record)| Ok((key[1..].to_vec(), decode(&record)?))).collect()
    }

    fn commit(&self, batch: &Batch) -> Result<Rev, RawError> {
        self.usable()?;
        if !batch.fits(Caps::EMBEDDED) {
            return Err(RawError::TooLarge);
        }
        let mut writer = self.writer.lock();
        self.usable()?;
        let result = self.try_commit(&mut writer, batch);
        if !matches!(result, Ok(_) | Err(RawError::Conflict(_) | RawError::Full | RawError::TakenBack)) {
            self.poison();
        }
        result
    }

    fn caps(&self) -> Caps {
        Caps::EMBEDDED
    }
}

impl fmt::Debug for SledKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledKv")
            .field("path", &self.dir.path())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

impl Drop for SledKv {
    fn drop(&mut self) {
        if self.dir.is_inherited() {
            // The files are the parent's, and sled's threads have stayed with it.
            self.engine.get_mut().abandon();
            return;
        }
        self.engine.get_mut().stop();
        let last = self.writer.get_mut().last;
        if *self.poisoned.get_mut() || last == self.opened_at {
            return;
        }
        // Nobody is left to hear of an error, and none does harm: both are for the next opening, which can do without.
        if let Ok((engine, _)) = start(&self.dir, &self.database, self.cache_capacity) {
            drop(engine);
            let _ = self.dir.write_marker(State::Ready(last));
        }
    }
}

fn user_key(key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(key.len() + 1);
    full.push(USER);
    full.extend_from_slice(key);
    full
}

/// The batch as sled gets it, with the latest revision in it.
fn encode(batch: &Batch, rev: Rev) -> sled::Batch {
    let mut encoded = sled::Batch::default();
    for write in &batch.writes {
        match write {
            Write::Put { key, value } => {
                let mut record = Vec::with_capacity(8 + value.len());
                record.extend_from_slice(&rev.to_be_bytes());
                record.extend_from_slice(value);
                encoded.insert(user_key(key), record);
            }
            Write::Delete { key } => encoded.remove(user_key(key)),
        }
    }
    encoded.insert(LATEST, &rev.to_be_bytes());
    encoded
}

fn decode(record: &[u8]) -> Result<Stored, RawError> {
    let (rev, value) = split(record)?;
    Ok(Stored { value: value.to_vec(), rev })
}

fn split(record: &[u8]) -> Result<(Rev, &[u8]), RawError> {
    let (rev, value) =
        record.split_first_chunk().ok_or_else(|| RawError::Corrupt("a record is too short for its revision".into()))?;
    Ok((Rev::from_be_bytes(*rev), value))
}
