//! That the faulty disk fails as its documentation says, since the tests of everything above trust it to.

use std::thread;
use std::time::Duration;

use kms_store::fault::{FaultDisk, FaultKv, ReadFault, SyncFault};
use kms_store::raw::{Batch, Direction, Expect, RawError, RawKv, Rev, Write};

const LONG: Duration = Duration::from_secs(10);

fn put(kv: &FaultKv, key: &[u8], value: &[u8]) -> Result<Rev, RawError> {
    let write = Write::Put { key: key.to_vec(), value: value.to_vec() };
    kv.commit(&Batch { expect: Vec::new(), writes: vec![write] })
}

fn value(kv: &FaultKv, key: &[u8]) -> Option<Vec<u8>> {
    kv.get(key).unwrap().map(|stored| stored.value)
}

#[track_caller]
fn assert_dead(kv: &FaultKv) {
    let syncs = kv.disk().syncs();
    assert!(matches!(kv.get(b"a"), Err(RawError::Poisoned)));
    assert!(matches!(kv.get_many(&[]), Err(RawError::Poisoned)));
    assert!(matches!(kv.scan(b"", None, 9, Direction::Forward), Err(RawError::Poisoned)));
    assert!(matches!(put(kv, b"dead", b"1"), Err(RawError::Poisoned)));
    assert!(matches!(kv.commit(&Batch::default()), Err(RawError::Poisoned)));
    assert_eq!(kv.disk().syncs(), syncs);
    assert_eq!(kv.disk().durable(b"dead"), None);
}

#[test]
fn what_is_committed_survives_a_power_cut() {
    let kv = FaultKv::new();
    let first = put(&kv, b"a", b"1").unwrap();
    put(&kv, b"b", b"1").unwrap();
    assert_eq!(kv.disk().syncs(), 2);
    let again = kv.reopen();
    assert_dead(&kv);
    assert_eq!(again.get(b"a").unwrap().unwrap().rev, first);
    assert!(put(&again, b"b", b"2").unwrap() > first + 1);
    assert_eq!(again.disk().syncs(), 3);
}

#[test]
fn only_commits_with_something_to_write_are_synced() {
    let kv = FaultKv::new();
    kv.commit(&Batch::default()).unwrap();
    let expect = vec![(b"a".to_vec(), Expect::Rev(7))];
    let conflicting = Batch { expect, writes: vec![Write::Delete { key: b"a".to_vec() }] };
    assert!(matches!(kv.commit(&conflicting), Err(RawError::Conflict(_))));
    assert!(matches!(put(&kv, b"a", &[0; 9999]), Err(RawError::TooLarge)));
    assert_eq!(kv.disk().syncs(), 0);
}

#[test]
fn a_failed_sync_poisons_and_may_or_may_not_have_written() {
    for (fault, kept) in [(SyncFault::FailLost, false), (SyncFault::FailKept, true)] {
        let disk = FaultDisk::new();
        let kv = disk.reopen();
        disk.at_sync(2, fault);
        put(&kv, b"a", b"1").unwrap();
        assert!(matches!(put(&kv, b"b", b"1"), Err(RawError::Io(_))));
        assert_dead(&kv);
        let kv = kv.reopen();
        assert_eq!(value(&kv, b"a").unwrap(), b"1");
        assert_eq!(value(&kv, b"b").is_some(), kept);
        put(&kv, b"c", b"1").unwrap();
    }
}

#[test]
fn a_power_cut_at_a_sync_loses_its_batch() {
    let kv = FaultKv::new();
    put(&kv, b"a", b"1").unwrap();
    kv.disk().at_next_sync(SyncFault::Freeze);
    assert!(matches!(put(&kv, b"a", b"2"), Err(RawError::Poisoned)));
    assert_dead(&kv);
    assert_eq!(value(&kv.reopen(), b"a").unwrap(), b"1");
}

#[test]
fn a_full_disk_is_readable_and_works_again_with_space() {
    let kv = FaultKv::new();
    let before = put(&kv, b"a", b"1").unwrap();
    kv.disk().at_next_sync(SyncFault::Full);
    assert!(matches!(put(&kv, b"a", b"2"), Err(RawError::TakenBack)));
    for _ in 0..3 {
        assert_eq!(value(&kv, b"a").unwrap(), b"1");
        assert!(matches!(put(&kv, b"a", b"2"), Err(RawError::Full)));
    }
    assert_eq!(kv.disk().syncs(), 2, "a disk known to be full is not tried again");
    assert_eq!(kv.commit(&Batch::default()).unwrap(), before, "checking takes no space");
    let kv = kv.reopen();
    assert!(matches!(put(&kv, b"a", b"2"), Err(RawError::Full)));
    kv.disk().make_space();
    put(&kv, b"a", b"2").unwrap();
    assert_eq!(value(&kv.reopen(), b"a").unwrap(), b"2");
}

/// A reader may have seen the batch that did not fit, so its revision must not come to mean another one.
#[test]
fn the_revision_of_a_batch_that_did_not_fit_is_not_used_again() {
    let kv = FaultKv::new();
    let gate = kv.disk().hold_syncs();
    kv.disk().at_next_sync(SyncFault::Full);
    let seen = thread::scope(|scope| {
        let writer = scope.spawn(|| put(&kv, b"a", b"1"));
        assert!(gate.wait(LONG));
        let seen = kv.get(b"a").unwrap().unwrap().rev;
        drop(gate);
        assert!(matches!(writer.join().unwrap(), Err(RawError::TakenBack)));
        seen
    });
    assert_eq!(value(&kv, b"a"), None);
    kv.disk().make_space();
    assert!(put(&kv, b"a", b"2").unwrap() > seen);
}

#[test]
fn a_batch_is_visible_before_it_is_on_disk() {
    let kv = FaultKv::new();
    put(&kv, b"a", b"1").unwrap();
    let gate = kv.disk().hold_syncs();
    assert!(!gate.wait(Duration::from_millis(1)), "nothing is being synced yet");
    thread::scope(|scope| {
        let writer = scope.spawn(|| put(&kv, b"a", b"2"));
        assert!(gate.wait(LONG));
        assert_eq!(value(&kv, b"a").unwrap(), b"2");
        assert_eq!(kv.disk().durable(b"a").unwrap().value, b"1");
        drop(gate);
        writer.join().unwrap().unwrap();
    });
    assert_eq!(kv.disk().durable(b"a").unwrap().value, b"2");
}

#[test]
fn a_power_cut_ends_a_sync_that_is_held() {
    let kv = FaultKv::new();
    let gate = kv.disk().hold_syncs();
    thread::scope(|scope| {
        let writer = scope.spawn(|| put(&kv, b"a", b"1"));
        assert!(gate.wait(LONG));
        kv.disk().cut_power();
        assert!(matches!(writer.join().unwrap(), Err(RawError::Poisoned)));
    });
    assert_dead(&kv);
    assert_eq!(kv.disk().durable(b"a"), None);
}

#[test]
fn the_read_that_is_to_fail_fails_and_no_other() {
    let kv = FaultKv::new();
    put(&kv, b"a", b"1").unwrap();
    put(&kv, b"b", b"2").unwrap();
    let reads = kv.disk().reads();
    kv.disk().at_read(reads + 2, ReadFault::Error);
    assert_eq!(value(&kv, b"a").unwrap(), b"1");
    assert!(matches!(kv.get(b"a"), Err(RawError::Io(_))));
    assert_eq!(value(&kv, b"a").unwrap(), b"1");
    assert_eq!(kv.disk().reads(), reads + 3);

    kv.disk().at_read(reads + 5, ReadFault::Error);
    assert!(matches!(kv.scan(b"", None, 9, Direction::Forward), Err(RawError::Io(_))));
    assert_eq!(kv.scan(b"", None, 9, Direction::Forward).unwrap().len(), 2);
}

#[test]
fn a_flipped_bit_is_one_bit_of_one_read() {
    let kv = FaultKv::new();
    put(&kv, b"a", &[0; 32]).unwrap();
    for _ in 0..100 {
        kv.disk().at_next_read(ReadFault::FlipBit);
        let read = kv.get_many(&[b"a".to_vec()]).unwrap()[0].clone().unwrap().value;
        assert_eq!(read.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert_eq!(value(&kv, b"a").unwrap(), [0; 32]);
    }
    kv.disk().at_next_read(ReadFault::FlipBit);
    assert_eq!(value(&kv, b"absent"), None);
}

/// If a commit cannot even check its expectations the caller cannot know more than after a failed sync.
#[test]
fn a_commit_that_cannot_read_poisons() {
    let kv = FaultKv::new();
    kv.disk().at_next_read(ReadFault::Error);
    let expect = vec![(b"a".to_vec(), Expect::Absent)];
    let batch = Batch { expect, writes: vec![Write::Put { key: b"a".to_vec(), value: Vec::new() }] };
    assert!(matches!(kv.commit(&batch), Err(RawError::Io(_))));
    assert_dead(&kv);
    assert_eq!(kv.disk().durable(b"a"), None);
}
