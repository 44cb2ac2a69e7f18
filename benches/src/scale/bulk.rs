//! A backend that makes a big store in minutes: it keeps commits back and writes a thousand of them with one sync.
//!
//! Above it works the engine itself, so that every record is made, sealed and placed as always, and below it the same
//! [`SledKv`] as always, so that the store which it leaves is opened like any other. Only the promise that a commit is on
//! disk when it returns is not kept: a process that dies loses its last thousand commits. So it is part of the benchmarks
//! and not of the engine.

use std::collections::BTreeMap;

use kms_secmem::lock::Mutex;
use kms_store::raw::{Batch, Caps, Direction, Expect, RawError, RawKv, Rev, Stored, Write};
use kms_store::sled_kv::SledKv;

/// How many commits are written together.
const GROUP: usize = 1000;

/// The backend. For one thread that plans and commits: all commits of a group have the revision under which the group
/// is written, so that a change between two of them is not noticed by a third.
#[derive(Debug)]
pub struct Bulk {
    below: SledKv,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// What is to be put, or removed, under each key.
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    commits: usize,
    /// The revision that the group will have.
    rev: Rev,
}

impl Bulk {
    /// On a store that is open.
    ///
    /// # Errors
    /// The store's.
    pub fn new(below: SledKv) -> Result<Self, RawError> {
        let rev = below.commit(&Batch::default())? + 1;
        Ok(Self { below, waiting: Mutex::new(Waiting { writes: BTreeMap::new(), commits: 0, rev }) })
    }

    fn find(&self, waiting: &Waiting, key: &[u8]) -> Result<Option<Stored>, RawError> {
        match waiting.writes.get(key) {
            Some(value) => Ok(value.clone().map(|value| Stored { value, rev: waiting.rev })),
            None => self.below.get(key),
        }
    }

    /// Writes what waits.
    fn flush(&self, waiting: &mut Waiting) -> Result<(), RawError> {
        if waiting.commits == 0 {
            return Ok(());
        }
        let writes = std::mem::take(&mut waiting.writes).into_iter().map(|(key, value)| match value {
            Some(value) => Write::Put { key, value },
            None => Write::Delete { key },
        });
        let rev = self.below.commit(&Batch { expect: Vec::new(), writes: writes.collect() })?;
        assert_eq!(rev, waiting.rev, "nobody else writes");
        (waiting.commits, waiting.rev) = (0, rev + 1);
        Ok(())
    }
}

impl RawKv for Bulk {
    fn get(&self, key: &[u8]) -> Result<Option<Stored>, RawError> {
        self.find(&self.waiting.lock(), key)
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Stored>>, RawError> {
        let waiting = self.waiting.lock();
        keys.iter().map(|key| self.find(&waiting, key)).collect()
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Vec<u8>, Stored)>, RawError> {
        self.flush(&mut self.waiting.lock())?;
        self.below.scan(prefix, after, limit, direction)
    }

    fn commit(&self, batch: &Batch) -> Result<Rev, RawError> {
        let mut waiting = self.waiting.lock();
        let mut differ = Vec::new();
        for (key, expect) in &batch.expect {
            let found = self.find(&waiting, key)?.map(|stored| stored.rev);
            let expected = match expect {
                Expect::Absent => None,
                Expect::Rev(rev) => Some(*rev),
            };
            if found != expected {
                differ.push(key.clone());
            }
        }
        if !differ.is_empty() {
            return Err(RawError::Conflict(differ));
        }
        let rev = waiting.rev;
        for write in &batch.writes {
            let (key, value) = match write {
                Write::Put { key, value } => (key, Some(value.clone())),
                Write::Delete { key } => (key, None),
            };
            waiting.writes.insert(key.clone(), value);
        }
        waiting.commits += 1;
        if waiting.commits == GROUP {
            self.flush(&mut waiting)?;
        }
        Ok(rev)
    }

    fn caps(&self) -> Caps {
        self.below.caps()
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        // Who counts the keys afterwards finds out if this fails.
        let _ = self.flush(&mut self.waiting.lock());
    }
}
