//! Starting sled, calling it and stopping it, without letting its panics out.

use std::any::Any;
use std::fs::{File, TryLockError};
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_secmem::descriptor::ForeignLock;
use kms_secmem::fork;
use sled::Db;

use crate::raw::{RawError, Rev};
use crate::sled_dir::{StoreDir, is_full};
use crate::sled_watch::Watch;

/// The key of the latest revision, 8 bytes big-endian.
pub(crate) const LATEST: &[u8] = &[0];
/// How long to wait for the last threads of a closed sled to let go of its file. They need microseconds to milliseconds.
const RELEASE: Duration = Duration::from_secs(5);
/// How often to look whether they have.
const PAUSE: Duration = Duration::from_micros(200);

/// The fork generation of the process that has sled's threads, plus one; zero before there are any.
static THREADS: AtomicU32 = AtomicU32::new(0);

/// Must be called before sled is started. All databases of a process share sled's threads, which it starts once and for
/// all. A forked child has the note that they run, but not the threads, and would wait for them for ever.
pub(crate) fn claim_threads() -> Result<(), RawError> {
    let mine = fork::generation() + 1;
    match THREADS.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed) {
        Err(theirs) if theirs != mine => Err(RawError::Forked),
        _ => Ok(()),
    }
}

/// A sled whose panics stay inside; none once it is stopped.
pub(crate) struct Engine {
    db: Option<Db>,
    /// Ends waits that sled forgets to end.
    watch: Option<Watch>,
    /// The lock that sled has on its file. A child that was forked meanwhile has it too, until it is released.
    lock: Option<ForeignLock>,
}

impl Engine {
    pub(crate) fn call<T>(&self, call: impl FnOnce(&Db) -> sled::Result<T>) -> Result<T, Failure> {
        let db = self.db.as_ref().ok_or(Failure::Stopped)?;
        guarded(|| call(db))
    }

    /// Closes sled. It flushes once more on its way out, which is needless after commits and hopeless after errors.
    pub(crate) fn stop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.stop();
        }
        let db = self.db.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        let Some(lock) = self.lock.take() else { return };
        // The last of its threads may take a moment to let go of the file, and until then they may write to it.
        let deadline = Instant::now() + RELEASE;
        while lock.is_held_by_them().unwrap_or(true) {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(PAUSE);
        }
        // If that fails the lock goes when the last descriptor does.
        let _ = lock.release();
    }

    /// Leaves sled as it is, for ever.
    pub(crate) fn abandon(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abandon();
        }
        let _ = ManuallyDrop::new(self.db.take());
        self.lock = None;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why sled did not do it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no space left.
    Full(String),
    /// The operating system refused.
    Io(io::Error),
    /// What is on disk makes no sense to sled.
    Corrupt(String),
    /// A defect of sled, or damage that it does not check for.
    Panic(String),
    /// Somebody else has sled's file open.
    Locked,
    /// sled is not running, because there was no space to start it anew.
    Stopped,
}

impl Failure {
    /// Whether it takes a new start of sled to go on, and space for that.
    pub(crate) fn wants_restart(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Stopped)
    }

    /// The error of an operation that may be repeated as if it had not been tried.
    pub(crate) fn harmless(self) -> RawError {
        if self.wants_restart() { RawError::Full } else { self.into_error() }
    }

    /// The error of an operation that may have changed what is on disk.
    pub(crate) fn into_error(self) -> RawError {
        match self {
            Self::Full(what) => RawError::Io(io::Error::new(io::ErrorKind::StorageFull, what)),
            Self::Io(error) => RawError::Io(error),
            Self::Corrupt(what) => RawError::Corrupt(what),
            Self::Panic(what) => RawError::Corrupt(format!("the engine gave up: {what}")),
            Self::Locked => RawError::Locked,
            Self::Stopped => RawError::Poisoned,
        }
    }
}

impl From<sled::Error> for Failure {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if is_full(&error) => Self::Full(error.to_string()),
            sled::Error::Io(error) => match error.kind() {
                // sled's own words for a log that does not read as it should.
                io::ErrorKind::Other | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                    Self::Corrupt(error.to_string())
                }
                _ => Self::Io(error),
            },
            other => Self::Corrupt(other.to_string()),
        }
    }
}

/// Calls sled, which panics on much of what it does not expect.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Failure::from),
        Err(panic) => Err(Failure::Panic(panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word").to_owned()
}

/// Starts sled and reads the latest revision; gives the reserve back if the disk is too full for it.
pub(crate) fn start_with_reserve(
    dir: &StoreDir,
    database: &File,
    cache_capacity: u64,
) -> Result<(Engine, Option<Rev>), RawError> {
    let mut started = start(dir, database, cache_capacity);
    if matches!(started, Err(Failure::Full(_))) {
        dir.release_reserve().map_err(RawError::Io)?;
        started = start(dir, database, cache_capacity);
    }
    started.map_err(Failure::harmless)
}

/// Starts sled and reads the latest revision, which is absent from an empty database.
pub(crate) fn start(dir: &StoreDir, database: &File, cache_capacity: u64) -> Result<(Engine, Option<Rev>), Failure> {
    wait_for_release(database)?;
    dir.discard_unfinished().map_err(Failure::Io)?;
    let config = sled::Config::new().path(dir.path()).cache_capacity(cache_capacity.max(1 << 20)).flush_every_ms(None);
    let db = guarded(|| config.open())?;
    let watch = Watch::start(&db);
    let mut engine = Engine { db: Some(db), watch: None, lock: None };
    engine.watch = Some(watch.map_err(Failure::Io)?);
    engine.lock = ForeignLock::find(database).map_err(Failure::Io)?;
    let Some(record) = engine.call(|db| db.get(LATEST))? else {
        return Ok((engine, None));
    };
    match <[u8; 8]>::try_from(record.as_ref()) {
        Ok(rev) => Ok((engine, Some(Rev::from_be_bytes(rev)))),
        Err(_) => Err(Failure::Corrupt("its latest revision is unreadable".into())),
    }
}

/// Waits until nobody has sled's own lock on its file. Ours keeps other stores out; but the threads of a sled that this
/// process has closed may take a moment to let go, and sled itself would report that as an error like any other.
fn wait_for_release(database: &File) -> Result<(), Failure> {
    let deadline = Instant::now() + RELEASE;
    loop {
        match database.try_lock() {
            Ok(()) => return database.unlock().map_err(Failure::Io),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(Failure::Locked),
            Err(TryLockError::Error(error)) => return Err(Failure::Io(error)),
        }
    }
}
