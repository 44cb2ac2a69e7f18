//! Loads that end on a disk: keys that are created, and beneath them what the disk does by itself.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::abi::Kms;
use crate::contestant::Contestant;
use crate::layer::SPEC;

/// A store in a sled database, in which keys are made.
#[derive(Debug)]
pub struct KeyStore {
    path: PathBuf,
    kms: Arc<Kms>,
    /// How many CreateKey calls have succeeded.
    made: Arc<AtomicU64>,
}

fn open(path: &Path) -> Arc<Kms> {
    let store = [b"sled:", path.as_os_str().as_bytes()].concat();
    Arc::new(Kms::open(&CString::new(store).expect("a path has no NUL")))
}

fn keys(kms: &Kms) -> u64 {
    let reply = kms.call("ListKeys", &json!({ "PageSize": 1 }));
    reply["TotalCount"].as_u64().expect("ListKeys tells how many there are")
}

impl KeyStore {
    /// Makes a store in a directory that does not exist yet, and checks that a key that is made is there when the store
    /// is opened again.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let store = Self { kms: open(&path), path, made: Arc::default() };
        store.worker().repeat(1);
        store.reopen()
    }

    /// Closes the store and opens it again; all keys must be there.
    ///
    /// # Panics
    /// When they are not, or a worker is still there.
    #[must_use]
    pub fn reopen(self) -> Self {
        let Self { path, kms, made } = self;
        drop(Arc::into_inner(kms).expect("no worker is left"));
        let kms = open(&path);
        assert_eq!(keys(&kms), made.load(Ordering::Relaxed), "the keys that were made are those that are there");
        Self { path, kms, made }
    }

    /// Someone who makes keys.
    #[must_use]
    pub fn worker(&self) -> Contestant {
        let (kms, made) = (Arc::clone(&self.kms), Arc::clone(&self.made));
        Contestant::of("CreateKey", move || {
            let _ = kms.create_key(SPEC);
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

/// Someone who appends `len` bytes to a file of his own and syncs it, over and over.
///
/// # Panics
/// When the file cannot be made, or does not hold what was written.
#[must_use]
pub fn appender(path: &Path, len: usize) -> Contestant {
    let mut options = OpenOptions::new();
    let file = options.append(true).create_new(true).open(path).expect("the file can be made");
    let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let append = move |mut file: &File| {
        file.write_all(&bytes).expect("there is space");
        file.sync_data().expect("the disk works");
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
        let store = KeyStore::new(directory.path().join("store"));
        assert!(store.bytes_per_key(3) > 100);
        store.made.fetch_add(1, Ordering::Relaxed);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.reopen())).is_err());

        let file = directory.path().join("file");
        appender(&file, 1000).repeat(2);
        assert_eq!(fs::metadata(&file).unwrap().len(), 3000);
    }
}
