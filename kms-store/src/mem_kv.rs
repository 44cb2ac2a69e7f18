//! A store in plain memory.

use std::collections::BTreeMap;

use kms_secmem::lock::RwLock;

use crate::raw::{Batch, Caps, Direction, RawError, RawKv, Rev, Stored, Write, scan_bounds};

/// A store that lives as long as its handle. Nothing survives it, so a commit is as durable as it can be at once.
#[derive(Debug, Default)]
pub struct MemKv {
    table: RwLock<Table>,
}

impl MemKv {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl RawKv for MemKv {
    fn get(&self, key: &[u8]) -> Result<Option<Stored>, RawError> {
        Ok(self.table.read().get(key).cloned())
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Stored>>, RawError> {
        let table = self.table.read();
        Ok(keys.iter().map(|key| table.get(key).cloned()).collect())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Vec<u8>, Stored)>, RawError> {
        Ok(self.table.read().scan(prefix, after, limit, direction))
    }

    fn commit(&self, batch: &Batch) -> Result<Rev, RawError> {
        if !batch.fits(Caps::EMBEDDED) {
            return Err(RawError::TooLarge);
        }
        let mut table = self.table.write();
        table.check(batch)?;
        if batch.writes.is_empty() {
            return Ok(table.last);
        }
        let rev = table.last + 1;
        table.apply(batch, rev);
        Ok(rev)
    }

    fn caps(&self) -> Caps {
        Caps::EMBEDDED
    }
}

/// An ordered map with the revision of its latest batch: what every backend that keeps its entries in memory is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    entries: BTreeMap<Vec<u8>, Stored>,
    /// The revision of the latest batch, zero before the first.
    pub(crate) last: Rev,
}

impl Table {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Stored> {
        self.entries.get(key)
    }

    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Vec<(Vec<u8>, Stored)> {
        let Some(bounds) = scan_bounds(prefix, after, direction) else {
            return Vec::new();
        };
        let range = self.entries.range(bounds).map(|(key, stored)| (key.clone(), stored.clone()));
        match direction {
            Direction::Forward => range.take(limit).collect(),
            Direction::Backward => range.rev().take(limit).collect(),
        }
    }

    pub(crate) fn check(&self, batch: &Batch) -> Result<(), RawError> {
        let mut differ: Vec<Vec<u8>> = Vec::new();
        for (key, expect) in &batch.expect {
            if !expect.holds(self.get(key).map(|stored| stored.rev)) && !differ.contains(key) {
                differ.push(key.clone());
            }
        }
        if differ.is_empty() { Ok(()) } else { Err(RawError::Conflict(differ)) }
    }

    pub(crate) fn apply(&mut self, batch: &Batch, rev: Rev) {
        for write in &batch.writes {
            match write {
                Write::Put { key, value } => {
                    self.entries.insert(key.clone(), Stored { value: value.clone(), rev });
                }
                Write::Delete { key } => {
                    self.entries.remove(key);
                }
            }
        }
        self.last = rev;
    }
}
