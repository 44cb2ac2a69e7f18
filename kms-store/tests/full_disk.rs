//! A full disk: commits fail with [`RawError::Full`], nothing that was acknowledged is lost, reading goes on, and commits
//! go on once there is space.
//!
//! The disk is a small tmpfs; see [`SmallDisk`] for what that takes.

mod small_disk;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kms_store::raw::{Batch, Direction, Expect, RawError, RawKv, Rev, Write};
use kms_store::sled_kv::{SledKv, SledOptions};

use small_disk::SmallDisk;

/// What was acknowledged: the value and the revision under each key.
#[derive(Default)]
struct Acknowledged {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, Rev)>,
    last: Rev,
    commits: u64,
}

impl Acknowledged {
    /// Commits `count` entries at a time until the disk is full, and tells how many commits there were.
    fn commit_until_full(&mut self, kv: &SledKv, count: u64, size: usize) -> u64 {
        let before = self.commits;
        loop {
            match self.commit(kv, count, size) {
                Ok(()) => assert!(self.commits < 100_000, "the disk does not fill"),
                Err(RawError::Full | RawError::TakenBack) => return self.commits - before,
                Err(other) => panic!("after {} commits: {other:?}", self.commits),
            }
        }
    }

    /// Commits entries of about `size` bytes under keys that are new, except for one in ten.
    fn commit(&mut self, kv: &SledKv, count: u64, size: usize) -> Result<(), RawError> {
        let entry = |i: u64| {
            let number = self.commits * 1000 + i;
            let number = if number % 10 == 7 { number / 2 } else { number };
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
            (key, self.commits.to_be_bytes().repeat(size / 8))
        };
        let entries: BTreeMap<_, _> = (0..count).map(entry).collect();
        let writes = entries.iter().map(|(key, value)| Write::Put { key: key.clone(), value: value.clone() });
        let rev = kv.commit(&Batch { expect: Vec::new(), writes: writes.collect() })?;
        assert!(rev > self.last);
        self.last = rev;
        self.commits += 1;
        self.entries.extend(entries.into_iter().map(|(key, value)| (key, (value, rev))));
        Ok(())
    }

    #[track_caller]
    fn assert_is_all_of(&self, kv: &SledKv) {
        let found = kv.scan(b"", None, usize::MAX, Direction::Forward).unwrap();
        let found: BTreeMap<_, _> = found.into_iter().map(|(key, stored)| (key, (stored.value, stored.rev))).collect();
        let differ = self.entries.iter().filter(|(key, entry)| found.get(*key) != Some(entry)).count();
        assert_eq!(differ, 0, "acknowledged entries are lost or changed");
        assert_eq!(found.len(), self.entries.len(), "there is more than was acknowledged");
    }
}

fn open(path: &Path) -> Result<SledKv, RawError> {
    SledKv::open(path, SledOptions { cache_capacity: 4 << 20 })
}

fn put(kv: &SledKv, key: &[u8]) -> Result<Rev, RawError> {
    let write = Write::Put { key: key.to_vec(), value: b"value".to_vec() };
    kv.commit(&Batch { expect: Vec::new(), writes: vec![write] })
}

#[track_caller]
fn assert_full(result: Result<Rev, RawError>) {
    assert!(matches!(result, Err(RawError::Full | RawError::TakenBack)), "{result:?}");
}

#[test]
fn a_full_disk_loses_nothing_and_reading_goes_on() {
    // Different sizes meet the end of the disk at different steps of what sled does.
    for (round, (count, size)) in
        [(1, 100), (1, 4000), (3, 400), (10, 1000), (40, 2000), (200, 3000)].into_iter().enumerate()
    {
        let disk = SmallDisk::new(16 * 1024);
        let kv = open(&disk.path().join("store")).unwrap();
        let mut acknowledged = Acknowledged::default();
        acknowledged.commit(&kv, count, size).unwrap();
        let filler = disk.fill_except((1 << 20) * (3 + round as u64 / 2) + 4096 * round as u64);
        assert!(acknowledged.commit_until_full(&kv, count, size) > 0);

        acknowledged.assert_is_all_of(&kv);
        // Recovery may have left a little over; then the disk fills once more.
        for _ in 0..3 {
            acknowledged.commit_until_full(&kv, count, size);
        }
        let expect = vec![(b"more".to_vec(), Expect::Absent)];
        assert_eq!(kv.commit(&Batch { expect, writes: Vec::new() }).unwrap(), acknowledged.last);
        acknowledged.assert_is_all_of(&kv);

        // Space is made: the same handle goes on, and nothing that failed comes back.
        filler.remove();
        acknowledged.commit(&kv, count, size).unwrap();
        acknowledged.assert_is_all_of(&kv);
        drop(kv);
        let kv = open(&disk.path().join("store")).unwrap();
        acknowledged.assert_is_all_of(&kv);
        acknowledged.commit(&kv, count, size).unwrap();
    }
}

/// The disk fills again and again, with and without reopening, as it does when somebody makes a little space at a time.
#[test]
fn a_disk_that_fills_again_and_again_loses_nothing() {
    let disk = SmallDisk::new(64 * 1024);
    let mut kv = open(&disk.path().join("store")).unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..6_u64 {
        let filler = disk.fill_except((4 << 20) + 37 * 4096 * round);
        acknowledged.commit_until_full(&kv, 5, 1500);
        acknowledged.assert_is_all_of(&kv);
        if round % 2 == 0 {
            drop(kv);
            kv = open(&disk.path().join("store")).unwrap();
            acknowledged.assert_is_all_of(&kv);
            acknowledged.commit_until_full(&kv, 5, 1500);
        }
        filler.remove();
        acknowledged.commit(&kv, 5, 1500).unwrap();
    }
    drop(kv);
    acknowledged.assert_is_all_of(&open(&disk.path().join("store")).unwrap());
}

/// Readers go on through all of it; at most they wait.
#[test]
fn readers_do_not_notice_that_the_disk_is_full() {
    let disk = SmallDisk::new(16 * 1024);
    let kv = open(&disk.path().join("store")).unwrap();
    let mut acknowledged = Acknowledged::default();
    for _ in 0..50 {
        acknowledged.commit(&kv, 10, 1000).unwrap();
    }
    let known = acknowledged.entries.clone();
    disk.fill_except(5 << 20);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..3 {
            let (kv, known, done) = (&kv, &known, &done);
            scope.spawn(move || {
                for (key, entry) in known.iter().cycle().skip(reader * 100) {
                    let stored = kv.get(key).unwrap().unwrap();
                    assert!(stored.rev > entry.1 || (stored.value, stored.rev) == *entry);
                    assert_eq!(kv.scan(key, None, 5, Direction::Backward).unwrap().len(), 1);
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        acknowledged.commit_until_full(&kv, 7, 2000);
        for _ in 0..20 {
            acknowledged.commit_until_full(&kv, 1, 100);
        }
        done.store(true, Ordering::Relaxed);
    });
    acknowledged.assert_is_all_of(&kv);
}

/// Another program takes the last block, reserve and all, while the store is closed. It opens, or says that the disk is
/// full; either way all is there once there is space.
#[test]
fn a_store_on_a_disk_without_a_free_block_is_not_harmed_by_opening_it() {
    let disk = SmallDisk::new(16 * 1024);
    let kv = open(&disk.path().join("store")).unwrap();
    let mut acknowledged = Acknowledged::default();
    acknowledged.commit(&kv, 10, 1000).unwrap();
    let filler = disk.fill_except(4 << 20);
    acknowledged.commit_until_full(&kv, 2, 3000);
    disk.fill_except(0);
    acknowledged.assert_is_all_of(&kv);
    assert_full(put(&kv, b"more"));
    drop(kv);
    for _ in 0..3 {
        match open(&disk.path().join("store")) {
            Ok(kv) => {
                acknowledged.assert_is_all_of(&kv);
                assert_full(put(&kv, b"more"));
            }
            Err(RawError::Full) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    filler.remove();
    let kv = open(&disk.path().join("store")).unwrap();
    acknowledged.assert_is_all_of(&kv);
    acknowledged.commit(&kv, 10, 1000).unwrap();
}

#[test]
fn a_store_that_does_not_fit_is_not_made() {
    let disk = SmallDisk::new(2048);
    let filler = disk.fill_except(4096);
    for _ in 0..2 {
        assert!(matches!(open(&disk.path().join("store")), Err(RawError::Full)));
    }
    filler.remove();
    // There is space for the store now, but not for its reserve, without which it takes no commits.
    let kv = open(&disk.path().join("store")).unwrap();
    assert_full(put(&kv, b"a"));
    assert_eq!(kv.get(b"a").unwrap(), None);
}

/// A child that was forked while space was being set aside has that file open for as long as it lives. The space is had
/// again all the same.
#[test]
fn a_child_does_not_keep_the_space_that_was_set_aside() {
    let disk = SmallDisk::new(16 * 1024);
    let kv = open(&disk.path().join("store")).unwrap();
    let mut acknowledged = Acknowledged::default();
    acknowledged.commit(&kv, 10, 1000).unwrap();
    let _inherited = File::open(disk.path().join("store/KMS-STORE.reserve")).unwrap();
    // Less than what is set aside would need to grow, so that it is sled that meets the end of the disk.
    let filler = disk.fill_except(64 << 10);
    assert!(acknowledged.commit_until_full(&kv, 1, 3000) > 0);
    acknowledged.assert_is_all_of(&kv);
    filler.remove();
    acknowledged.commit(&kv, 10, 1000).unwrap();
    acknowledged.assert_is_all_of(&kv);
}
