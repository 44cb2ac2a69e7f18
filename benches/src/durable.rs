//! Loads that end on a disk: keys that are created, and beneath them what the disk does by itself.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kms_engine::Engine;
use kms_store::raw::{Batch, Caps, Direction, RawError, RawKv, Rev, Stored};
use kms_store::sled_kv::{SledKv, SledOptions};
use serde_json::json;

use crate::contestant::Contestant;
use crate::layer::SPEC;
use crate::scale::{config, create_key, total};

/// A store whose disk takes longer to flush: a commit returns so much later than the disk beneath has it. Nobody else's
/// commit is written meanwhile, since there is one leader at a time; and who reads what is being committed waits for it.
#[derive(Debug)]
struct SlowFlush {
    below: SledKv,
    longer: Duration,
}

impl RawKv for SlowFlush {
    fn get(&self, key: &[u8]) -> Result<Option<Stored>, RawError> {
        self.below.get(key)
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Stored>>, RawError> {
        self.below.get_many(keys)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Vec<u8>, Stored)>, RawError> {
        self.below.scan(prefix, after, limit, direction)
    }

    fn commit(&self, batch: &Batch) -> Result<Rev, RawError> {
        let rev = self.below.commit(batch)?;
        if !batch.writes.is_empty() {
            thread::sleep(self.longer);
        }
        Ok(rev)
    }

    fn caps(&self) -> Caps {
        self.below.caps()
    }
}

/// A store in a sled database, in which keys are made.
#[derive(Debug)]
pub struct KeyStore {
    path: PathBuf,
    engine: Arc<Engine>,
    /// How much longer than the disk's a flush takes.
    longer: Duration,
    /// How many CreateKey calls have succeeded.
    made: Arc<AtomicU64>,
}

fn open(path: &Path, longer: Duration) -> Arc<Engine> {
    let config = config(path, &json!({}));
    let opened = if longer.is_zero() {
        Engine::open(config)
    } else {
        let below = SledKv::open(path, SledOptions::default()).expect("the store opens");
        Engine::open_on(Box::new(SlowFlush { below, longer }), config)
    };
    Arc::new(opened.expect("the engine opens"))
}

impl KeyStore {
    /// Makes a store in a directory that does not exist yet, and checks that a key that is made is there when the store
    /// is opened again. A flush takes so much longer than the disk's.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn new(path: PathBuf, longer: Duration) -> Self {
        let store = Self { engine: open(&path, longer), longer, path, made: Arc::default() };
        store.worker().repeat(1);
        store.reopen()
    }

    /// Closes the store and opens it again; all keys must be there.
    ///
    /// # Panics
    /// When they are not, or a worker is still there.
    #[must_use]
    pub fn reopen(self) -> Self {
        let Self { path, engine, longer, made } = self;
        drop(Arc::into_inner(engine).expect("no worker is left"));
        let engine = open(&path, longer);
        assert_eq!(total(&engine), made.load(Ordering::Relaxed), "the keys that were made are those that are there");
        Self { path, engine, longer, made }
    }

    /// Someone who makes keys.
    #[must_use]
    pub fn worker(&self) -> Contestant {
        let (engine, made) = (Arc::clone(&self.engine), Arc::clone(&self.made));
        Contestant::of("CreateKey", move || {
            let _ = create_key(&engine, SPEC);
            made.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// How many bytes the store writes for one key, on average over `times` of them.
    ///
    /// # Panics
    /// When the system does not tell.
    #[must_use]
    pub fn bytes_per_key(&self, times: u64) -> usize {
        let before = written();
        self.worker().repeat(times);
        usize::try_from((written() - before) / times).expect("a key is small")
    }
}

/// How many bytes this process has given to write(2) and its kin.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("Linux tells what a process writes");
    let count = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    count.and_then(|count| count.parse().ok()).expect("wchar is a number")
}

/// Someone who appends `len` bytes to a file of his own and syncs it, over and over. The sync takes so much longer than
/// the disk's.
///
/// # Panics
/// When the file cannot be made, or does not hold what was written.
#[must_use]
pub fn appender(path: &Path, len: usize, longer: Duration) -> Contestant {
    let mut options = OpenOptions::new();
    let file = options.append(true).create_new(true).open(path).expect("the file can be made");
    let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let append = move |mut file: &File| {
        file.write_all(&bytes).expect("there is space");
        file.sync_data().expect("the disk works");
        if !longer.is_zero() {
            thread::sleep(longer);
        }
    };
    append(&file);
    let held = fs::read(path).expect("the file can be read");
    assert!(held.len() == len && held.iter().enumerate().all(|(i, byte)| *byte == (i % 251) as u8));
    Contestant::of("write + fdatasync", move || append(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: both loads do what they say, and a lost key would be seen.
    #[test]
    fn loads_are_right() {
        let directory = tempfile::tempdir().unwrap();
        let longer = Duration::from_millis(1);
        let slow = KeyStore::new(directory.path().join("slow"), longer);
        let began = std::time::Instant::now();
        slow.worker().repeat(3);
        assert!(began.elapsed() >= 3 * longer, "each waits for a flush of its own");
        drop(slow.reopen());

        let store = KeyStore::new(directory.path().join("store"), Duration::ZERO);
        assert!(store.bytes_per_key(3) > 100);
        store.made.fetch_add(1, Ordering::Relaxed);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.reopen())).is_err());

        let file = directory.path().join("file");
        appender(&file, 1000, Duration::ZERO).repeat(2);
        assert_eq!(fs::metadata(&file).unwrap().len(), 3000);
    }
}
