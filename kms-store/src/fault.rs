//! A backend that fails on demand: the disk under the tests of everything above [`RawKv`].
//!
//! It is part of the crate rather than of its tests because the tests, simulations and fuzz targets of other crates
//! build on it. It keeps everything in memory; no program that wants its data back opens it.
//!
//! A [`FaultDisk`] holds what has reached the disk and a schedule of what goes wrong at which sync and at which read. A
//! [`FaultKv`] is a running store on it: its commits are visible to readers as soon as they are applied and move to the
//! disk when their sync succeeds, which is how a real engine behaves and what makes bugs of the kind "replied before it
//! was safe" visible. [`FaultDisk::reopen`] is a machine that was switched off and on again: what was not synced is gone,
//! and every older handle is dead.
//!
//! ```text
//!   commit ──check──▶ visible ──(gate: hold_syncs)──▶ n-th sync ──Ok, FailKept──▶ durable ──reopen──▶ visible again
//!                                                        └──FailLost, Freeze, Full──▶ not durable
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kms_secmem::lock::{Condvar, Mutex, MutexGuard, RwLock};

use crate::mem_kv::Table;
use crate::raw::{Batch, Caps, Direction, RawError, RawKv, Rev, Stored};

/// What a sync does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncFault {
    /// It succeeds, as every sync does for which nothing else is scheduled.
    Ok,
    /// It fails and the batch is not on disk. The handle is poisoned.
    FailLost,
    /// It fails, yet the batch is on disk. The handle is poisoned.
    FailKept,
    /// The power is cut: the commit returns [`RawError::Poisoned`], the batch is not on disk, and nothing that this
    /// handle does later reaches it.
    Freeze,
    /// No space is left: the commit returns [`RawError::TakenBack`] and the batch vanishes, for readers too. Every later
    /// commit is refused with [`RawError::Full`], without a sync, until [`FaultDisk::make_space`].
    Full,
}

/// What a read does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// It fails with [`RawError::Io`].
    Error,
    /// It succeeds with one bit of the value inverted, and once only; what is on disk stays as it was. An absent or
    /// empty value has no bit to invert and is read as it is.
    FlipBit,
}

/// A disk, shared by the handles that were opened on it. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<DiskState>,
    /// Wakes syncs that a gate holds, and tests that wait for such a sync.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct DiskState {
    durable: Table,
    /// Counts the times the disk was powered on. A handle of an earlier period is dead.
    period: u64,
    full: bool,
    syncs: u64,
    reads: u64,
    sync_faults: BTreeMap<u64, SyncFault>,
    read_faults: BTreeMap<u64, ReadFault>,
    /// How many gates hold the syncs back.
    gates: usize,
    /// How many syncs a gate holds at this moment.
    held: usize,
}

impl FaultDisk {
    /// An empty disk on which nothing fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power, restores it and opens the store: a handle that sees what is on disk. Every earlier handle answers
    /// [`RawError::Poisoned`] from now on. The schedule and the counts go on; a full disk stays full.
    pub fn reopen(&self) -> FaultKv {
        let state = self.cut();
        FaultKv {
            period: state.period,
            visible: RwLock::new(state.durable.clone()),
            next: Mutex::new(state.durable.last + 1),
            poisoned: AtomicBool::new(false),
            disk: self.clone(),
        }
    }

    /// Cuts the power at once: nothing that a present handle does later reaches the disk, and a sync under way fails.
    pub fn cut_power(&self) {
        drop(self.cut());
    }

    fn cut(&self) -> MutexGuard<'_, DiskState> {
        let mut state = self.shared.state.lock();
        state.period += 1;
        self.shared.changed.notify_all();
        state
    }

    /// Schedules what the `n`-th sync of this disk does; the first one ever is number 1.
    pub fn at_sync(&self, n: u64, fault: SyncFault) {
        self.shared.state.lock().sync_faults.insert(n, fault);
    }

    /// Schedules what the next sync to start does.
    pub fn at_next_sync(&self, fault: SyncFault) {
        let mut state = self.shared.state.lock();
        let next = state.syncs + 1;
        state.sync_faults.insert(next, fault);
    }

    /// Schedules what the `n`-th read of this disk does; the first one ever is number 1. A key that is looked up, an
    /// entry that a scan returns and an expectation that a commit checks are one read each.
    pub fn at_read(&self, n: u64, fault: ReadFault) {
        self.shared.state.lock().read_faults.insert(n, fault);
    }

    /// Schedules what the next read does.
    pub fn at_next_read(&self, fault: ReadFault) {
        let mut state = self.shared.state.lock();
        let next = state.reads + 1;
        state.read_faults.insert(next, fault);
    }

    /// How many syncs have been started: one for each commit that had something to write and passed its checks.
    pub fn syncs(&self) -> u64 {
        self.shared.state.lock().syncs
    }

    /// How many reads there were, counted as in [`FaultDisk::at_read`].
    pub fn reads(&self) -> u64 {
        self.shared.state.lock().reads
    }

    /// Ends the state that [`SyncFault::Full`] began.
    pub fn make_space(&self) {
        self.shared.state.lock().full = false;
    }

    /// Holds every sync that starts from now on, until the gate is dropped. The batch of a held sync is visible to
    /// readers and not on disk.
    #[must_use = "syncs are held only as long as the gate lives"]
    pub fn hold_syncs(&self) -> SyncGate {
        self.shared.state.lock().gates += 1;
        SyncGate { disk: self.clone() }
    }

    /// What is on disk under `key`, past every handle, fault and count.
    pub fn durable(&self, key: &[u8]) -> Option<Stored> {
        self.shared.state.lock().durable.get(key).cloned()
    }

    /// Waits at the gate, takes the next number and decides what happens to the batch of a handle of `period`.
    fn sync(&self, period: u64, batch: &Batch, rev: Rev) -> SyncFault {
        let mut state = self.shared.state.lock();
        state.syncs += 1;
        let number = state.syncs;
        if state.gates > 0 {
            state.held += 1;
            self.shared.changed.notify_all();
            while state.gates > 0 && state.period == period {
                state = self.shared.changed.wait(state);
            }
            state.held -= 1;
        }
        if state.period != period {
            return SyncFault::Freeze;
        }
        let fault = state.sync_faults.remove(&number).unwrap_or(SyncFault::Ok);
        match fault {
            SyncFault::Ok | SyncFault::FailKept => state.durable.apply(batch, rev),
            SyncFault::Freeze => state.period += 1,
            SyncFault::Full => state.full = true,
            SyncFault::FailLost => {}
        }
        fault
    }
}

/// Holds the syncs of a disk while it lives; see [`FaultDisk::hold_syncs`].
#[derive(Debug)]
pub struct SyncGate {
    disk: FaultDisk,
}

impl SyncGate {
    /// Waits until a sync is being held, and tells whether one was within `timeout`.
    pub fn wait(&self, timeout: Duration) -> bool {
        let shared = &self.disk.shared;
        shared.changed.wait_while(shared.state.lock(), timeout, |state| state.held == 0).1
    }
}

impl Drop for SyncGate {
    fn drop(&mut self) {
        self.disk.shared.state.lock().gates -= 1;
        self.disk.shared.changed.notify_all();
    }
}

/// A store on a [`FaultDisk`], from its opening to the next power cut.
#[derive(Debug)]
pub struct FaultKv {
    disk: FaultDisk,
    period: u64,
    visible: RwLock<Table>,
    /// The revision of the next batch, and the right to commit. A batch that readers saw before the disk was found full
    /// has used its revision up.
    next: Mutex<Rev>,
    poisoned: AtomicBool,
}

impl FaultKv {
    /// A store on a new, empty disk.
    pub fn new() -> Self {
        FaultDisk::new().reopen()
    }

    /// The disk beneath.
    pub fn disk(&self) -> &FaultDisk {
        &self.disk
    }

    /// Shorthand for [`FaultDisk::reopen`].
    pub fn reopen(&self) -> Self {
        self.disk.reopen()
    }

    /// The state of the disk, unless this handle may no longer touch it.
    fn powered(&self) -> Result<MutexGuard<'_, DiskState>, RawError> {
        let state = self.disk.shared.state.lock();
        if state.period != self.period || self.poisoned.load(Ordering::Acquire) {
            return Err(RawError::Poisoned);
        }
        Ok(state)
    }

    /// Counts a read and lets it go wrong if that is scheduled.
    fn read(&self, mut stored: Option<Stored>) -> Result<Option<Stored>, RawError> {
        let mut state = self.powered()?;
        state.reads += 1;
        let number = state.reads;
        match state.read_faults.remove(&number) {
            None => {}
            Some(ReadFault::Error) => return Err(RawError::Io(io::Error::other("a read failed, as scheduled"))),
            Some(ReadFault::FlipBit) => {
                if let Some(Stored { value, .. }) = stored.as_mut().filter(|stored| !stored.value.is_empty()) {
                    // Any bit will do; this one differs from read to read and is the same in every run.
                    let at = number as usize % value.len();
                    value[at] ^= 1 << (number % 8);
                }
            }
        }
        Ok(stored)
    }

    fn try_commit(&self, batch: &Batch, next: &mut Rev) -> Result<Rev, RawError> {
        if self.powered()?.full && !batch.writes.is_empty() {
            return Err(RawError::Full);
        }
        for (key, _) in &batch.expect {
            let stored = self.visible.read().get(key).cloned();
            self.read(stored)?;
        }
        let rev = {
            let mut visible = self.visible.write();
            visible.check(batch)?;
            if batch.writes.is_empty() {
                return Ok(visible.last);
            }
            let rev = *next;
            *next += 1;
            visible.apply(batch, rev);
            rev
        };
        match self.disk.sync(self.period, batch, rev) {
            SyncFault::Ok => Ok(rev),
            SyncFault::FailLost | SyncFault::FailKept => {
                Err(RawError::Io(io::Error::other("a sync failed, as scheduled")))
            }
            SyncFault::Freeze => Err(RawError::Poisoned),
            SyncFault::Full => {
                // Before the batch, all that was visible was durable: commits are made one after another.
                let durable = self.powered()?.durable.clone();
                *self.visible.write() = durable;
                Err(RawError::TakenBack)
            }
        }
    }
}

impl Default for FaultKv {
    fn default() -> Self {
        Self::new()
    }
}

impl RawKv for FaultKv {
    fn get(&self, key: &[u8]) -> Result<Option<Stored>, RawError> {
        let stored = self.visible.read().get(key).cloned();
        self.read(stored)
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Stored>>, RawError> {
        drop(self.powered()?);
        let found: Vec<_> = {
            let visible = self.visible.read();
            keys.iter().map(|key| visible.get(key).cloned()).collect()
        };
        found.into_iter().map(|stored| self.read(stored)).collect()
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Vec<u8>, Stored)>, RawError> {
        drop(self.powered()?);
        let mut found = self.visible.read().scan(prefix, after, limit, direction);
        for (_, stored) in &mut found {
            if let Some(read) = self.read(Some(stored.clone()))? {
                *stored = read;
            }
        }
        Ok(found)
    }

    fn commit(&self, batch: &Batch) -> Result<Rev, RawError> {
        drop(self.powered()?);
        if !batch.fits(Caps::EMBEDDED) {
            return Err(RawError::TooLarge);
        }
        let mut next = self.next.lock();
        let result = self.try_commit(batch, &mut next);
        if !matches!(result, Ok(_) | Err(RawError::Conflict(_) | RawError::Full | RawError::TakenBack)) {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }

    fn caps(&self) -> Caps {
        Caps::EMBEDDED
    }
}
