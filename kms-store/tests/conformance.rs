//! What every backend must do, checked against each.
//!
//! Each check is a function over the trait; `conformance!` runs them all on a fresh store of every kind. The last one
//! compares long random histories with a plain model.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kms_store::fault::FaultKv;
use kms_store::mem_kv::MemKv;
use kms_store::raw::{Batch, Direction, Expect, RawError, RawKv, Rev, Stored, Write};
use kms_store::sled_kv::{SledKv, SledOptions};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

/// A backend together with whatever it lives in.
struct Subject<K> {
    kv: K,
    _dir: Option<TempDir>,
}

impl<K> Deref for Subject<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.kv
    }
}

fn mem() -> Subject<MemKv> {
    Subject { kv: MemKv::new(), _dir: None }
}

fn fault() -> Subject<FaultKv> {
    Subject { kv: FaultKv::new(), _dir: None }
}

fn sled() -> Subject<SledKv> {
    let dir = tempfile::tempdir().unwrap();
    Subject { kv: open(dir.path()), _dir: Some(dir) }
}

fn open(path: &Path) -> SledKv {
    SledKv::open(path, SledOptions::default()).unwrap()
}

macro_rules! conformance {
    ($($check:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $check() { super::$check(super::mem); })*
        }
        mod faulty {
            $(#[test] fn $check() { super::$check(super::fault); })*
        }
        mod sled {
            $(#[test] fn $check() { super::$check(super::sled); })*
        }
    };
}

conformance!(
    what_is_put_is_found,
    deleting_makes_absent,
    the_later_write_to_a_key_stands,
    revisions_increase,
    an_untouched_value_keeps_its_revision,
    a_key_put_again_has_a_new_revision,
    a_conflict_names_exactly_what_differs,
    a_rejected_batch_changes_nothing,
    expectations_are_about_the_state_before_the_batch,
    a_batch_without_writes_only_checks,
    sizes_are_limited_exactly,
    large_batches_are_taken_whole,
    scans_follow_the_key_order,
    scans_keep_to_their_prefix,
    scans_start_behind_any_key,
    scans_go_on_page_by_page,
    readers_see_whole_batches,
    increments_of_many_threads_add_up,
    random_histories_match_a_model,
);

fn put(key: &[u8], value: &[u8]) -> Write {
    Write::Put { key: key.to_vec(), value: value.to_vec() }
}

fn delete(key: &[u8]) -> Write {
    Write::Delete { key: key.to_vec() }
}

fn writes(writes: Vec<Write>) -> Batch {
    Batch { expect: Vec::new(), writes }
}

fn batch(expect: &[(&[u8], Expect)], writes: Vec<Write>) -> Batch {
    Batch { expect: expect.iter().map(|(key, expect)| (key.to_vec(), *expect)).collect(), writes }
}

fn value(kv: &impl RawKv, key: &[u8]) -> Option<Vec<u8>> {
    kv.get(key).unwrap().map(|stored| stored.value)
}

fn rev(kv: &impl RawKv, key: &[u8]) -> Rev {
    kv.get(key).unwrap().unwrap().rev
}

fn keys(page: &[(Vec<u8>, Stored)]) -> Vec<&[u8]> {
    page.iter().map(|(key, _)| key.as_slice()).collect()
}

fn everything(kv: &impl RawKv) -> Vec<(Vec<u8>, Stored)> {
    kv.scan(b"", None, usize::MAX, Direction::Forward).unwrap()
}

fn what_is_put_is_found<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    assert_eq!(kv.get(b"a").unwrap(), None);
    assert!(everything(&kv.kv).is_empty());
    let written = kv.commit(&writes(vec![put(b"a", b"1"), put(b"", b"empty key"), put(b"empty value", b"")])).unwrap();
    let stored = |value: &[u8]| Some(Stored { value: value.to_vec(), rev: written });
    assert_eq!(kv.get(b"a").unwrap(), stored(b"1"));
    assert_eq!(kv.get(b"").unwrap(), stored(b"empty key"));
    let many = kv.get_many(&[b"empty value".to_vec(), b"b".to_vec(), b"a".to_vec(), b"a".to_vec()]).unwrap();
    assert_eq!(many, [stored(b""), None, stored(b"1"), stored(b"1")]);
    assert_eq!(kv.get_many(&[]).unwrap(), []);
    assert_eq!(kv.get(&[7; 5000]).unwrap(), None, "no key is that long, and to ask for it is no error");
    kv.commit(&writes(vec![put(b"a", b"2")])).unwrap();
    assert_eq!(value(&kv.kv, b"a").unwrap(), b"2");
}

fn deleting_makes_absent<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    kv.commit(&writes(vec![put(b"a", b"1"), put(b"b", b"2")])).unwrap();
    kv.commit(&writes(vec![delete(b"a"), delete(b"never there")])).unwrap();
    assert_eq!(value(&kv.kv, b"a"), None);
    assert_eq!(keys(&everything(&kv.kv)), [b"b"]);
}

fn the_later_write_to_a_key_stands<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    kv.commit(&writes(vec![
        put(b"a", b"1"),
        put(b"a", b"2"),
        put(b"b", b"1"),
        delete(b"b"),
        delete(b"c"),
        put(b"c", b"3"),
    ]))
    .unwrap();
    assert_eq!(value(&kv.kv, b"a").unwrap(), b"2");
    assert_eq!(value(&kv.kv, b"b"), None);
    assert_eq!(value(&kv.kv, b"c").unwrap(), b"3");
}

fn revisions_increase<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let mut last = 0;
    for round in 0..50_u8 {
        // A commit that only deletes what was not there is a commit like any other.
        let write = if round % 5 == 4 { delete(b"nothing") } else { put(&[round % 7], &[round]) };
        let next = kv.commit(&writes(vec![write])).unwrap();
        assert!(next > last);
        last = next;
    }
}

fn an_untouched_value_keeps_its_revision<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let first = kv.commit(&writes(vec![put(b"a", b"1")])).unwrap();
    kv.commit(&writes(vec![put(b"b", b"1"), delete(b"c")])).unwrap();
    assert_eq!(rev(&kv.kv, b"a"), first);
    kv.commit(&batch(&[(b"a", Expect::Rev(first))], vec![put(b"d", b"1")])).unwrap();
}

fn a_key_put_again_has_a_new_revision<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let first = kv.commit(&writes(vec![put(b"a", b"1")])).unwrap();
    let same = kv.commit(&writes(vec![put(b"a", b"1")])).unwrap();
    assert_eq!(rev(&kv.kv, b"a"), same);
    kv.commit(&writes(vec![delete(b"a")])).unwrap();
    let again = kv.commit(&writes(vec![put(b"a", b"1")])).unwrap();
    assert_eq!(rev(&kv.kv, b"a"), again);
    let swapped = kv.commit(&writes(vec![delete(b"a"), put(b"a", b"1")])).unwrap();
    assert_eq!(rev(&kv.kv, b"a"), swapped);
    assert!(first < same && same < again && again < swapped);
}

fn a_conflict_names_exactly_what_differs<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let old = kv.commit(&writes(vec![put(b"changed", b"1"), put(b"deleted", b"1"), put(b"same", b"1")])).unwrap();
    let new = kv.commit(&writes(vec![put(b"changed", b"2"), delete(b"deleted"), put(b"made", b"1")])).unwrap();
    let stale = batch(
        &[
            (b"same", Expect::Rev(old)),
            (b"made", Expect::Absent),
            (b"absent", Expect::Absent),
            (b"changed", Expect::Rev(old)),
            (b"deleted", Expect::Rev(old)),
            (b"never", Expect::Rev(new)),
            (b"made", Expect::Rev(old)),
        ],
        vec![put(b"same", b"2")],
    );
    let Err(RawError::Conflict(differ)) = kv.commit(&stale) else { panic!("no conflict") };
    assert_eq!(differ, [b"made".to_vec(), b"changed".to_vec(), b"deleted".to_vec(), b"never".to_vec()]);
    assert_eq!(value(&kv.kv, b"same").unwrap(), b"1");
    // The same with the truth.
    let fresh = batch(
        &[
            (b"same", Expect::Rev(old)),
            (b"made", Expect::Rev(new)),
            (b"absent", Expect::Absent),
            (b"changed", Expect::Rev(new)),
            (b"deleted", Expect::Absent),
        ],
        vec![put(b"same", b"2")],
    );
    kv.commit(&fresh).unwrap();
    assert_eq!(value(&kv.kv, b"same").unwrap(), b"2");
}

fn a_rejected_batch_changes_nothing<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let first = kv.commit(&writes(vec![put(b"a", b"1"), put(b"b", b"1")])).unwrap();
    let before = everything(&kv.kv);
    let conflicting = batch(&[(b"a", Expect::Absent)], vec![put(b"a", b"2"), delete(b"b"), put(b"c", b"3")]);
    assert!(matches!(kv.commit(&conflicting), Err(RawError::Conflict(_))));
    let oversized = writes(vec![put(b"a", b"2"), delete(b"b"), put(b"c", &[0; 1 << 20])]);
    assert!(matches!(kv.commit(&oversized), Err(RawError::TooLarge)));
    assert_eq!(everything(&kv.kv), before);
    assert!(kv.commit(&writes(vec![put(b"a", b"2")])).unwrap() > first);
}

fn expectations_are_about_the_state_before_the_batch<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    kv.commit(&batch(&[(b"a", Expect::Absent), (b"a", Expect::Absent)], vec![put(b"a", b"1"), put(b"a", b"2")]))
        .unwrap();
    let current = rev(&kv.kv, b"a");
    kv.commit(&batch(&[(b"a", Expect::Rev(current))], vec![delete(b"a")])).unwrap();
    assert_eq!(value(&kv.kv, b"a"), None);
}

fn a_batch_without_writes_only_checks<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    assert_eq!(kv.commit(&Batch::default()).unwrap(), 0);
    let last = kv.commit(&writes(vec![put(b"a", b"1")])).unwrap();
    assert!(last > 0);
    assert_eq!(kv.commit(&Batch::default()).unwrap(), last);
    assert_eq!(kv.commit(&batch(&[(b"a", Expect::Rev(last)), (b"b", Expect::Absent)], vec![])).unwrap(), last);
    let Err(RawError::Conflict(differ)) = kv.commit(&batch(&[(b"a", Expect::Absent)], vec![])) else {
        panic!("no conflict")
    };
    assert_eq!(differ, [b"a"]);
    assert!(kv.commit(&writes(vec![put(b"a", b"2")])).unwrap() > last);
}

fn sizes_are_limited_exactly<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let caps = kv.caps();
    let longest_key = vec![0xab; caps.max_key];
    let longest_value = vec![0xcd; caps.max_value - caps.max_key];
    kv.commit(&writes(vec![put(&longest_key, &longest_value)])).unwrap();
    assert_eq!(value(&kv.kv, &longest_key).unwrap(), longest_value);
    kv.commit(&writes(vec![put(b"k", &vec![1; caps.max_value - 1])])).unwrap();
    kv.commit(&batch(&[(&longest_key, Expect::Rev(rev(&kv.kv, &longest_key)))], vec![delete(&longest_key)])).unwrap();
    assert_eq!(value(&kv.kv, &longest_key), None);

    let too_long = vec![0xab; caps.max_key + 1];
    let too_large = vec![1; caps.max_value];
    for bad in [
        writes(vec![put(&too_long, b"")]),
        writes(vec![put(b"fine", b""), put(b"k", &too_large)]),
        writes(vec![delete(&too_long)]),
        batch(&[(&too_long, Expect::Absent)], vec![put(b"fine", b"")]),
    ] {
        assert!(matches!(kv.commit(&bad), Err(RawError::TooLarge)));
        assert_eq!(value(&kv.kv, b"fine"), None);
    }
}

fn large_batches_are_taken_whole<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let key = |i: u32| [&i.to_be_bytes()[..], &[b'k'; 100]].concat();
    let big: Vec<Write> = (0..500_u32).map(|i| put(&key(i), &[i as u8; 3900])).collect();
    let written = kv.commit(&writes(big)).unwrap();
    let found = everything(&kv.kv);
    assert_eq!(found.len(), 500);
    for (i, (found_key, stored)) in found.iter().enumerate() {
        assert_eq!((found_key, stored.rev), (&key(i as u32), written));
        assert_eq!(stored.value, [i as u8; 3900]);
    }
    kv.commit(&writes((0..500_u32).map(|i| delete(&key(i))).collect())).unwrap();
    assert!(everything(&kv.kv).is_empty());
}

/// Keys around every edge of the byte order, in that order.
const EDGES: [&[u8]; 14] = [
    b"",
    b"\0",
    b"\0\0",
    b"\0\xff",
    b"a",
    b"a\0",
    b"a\xff",
    b"a\xff\xff",
    b"b",
    b"\xfe\xff",
    b"\xff",
    b"\xff\0",
    b"\xff\xff",
    b"\xff\xff\xff",
];

fn with_edges<K: RawKv>(make: impl Fn() -> Subject<K>) -> Subject<K> {
    let kv = make();
    // Not in order, so that it is the backend that sorts.
    kv.commit(&writes(EDGES.iter().rev().map(|key| put(key, key)).collect())).unwrap();
    kv
}

fn scans_follow_the_key_order<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = with_edges(make);
    assert_eq!(keys(&everything(&kv.kv)), EDGES);
    let backward = kv.scan(b"", None, usize::MAX, Direction::Backward).unwrap();
    assert!(keys(&backward).into_iter().rev().eq(EDGES));
    assert!(backward.iter().all(|(key, stored)| *key == stored.value));
    for limit in 0..=EDGES.len() + 1 {
        let page = kv.scan(b"", None, limit, Direction::Forward).unwrap();
        assert_eq!(keys(&page), EDGES[..limit.min(EDGES.len())]);
        let page = kv.scan(b"", None, limit, Direction::Backward).unwrap();
        assert!(keys(&page).into_iter().eq(EDGES.into_iter().rev().take(limit)));
    }
}

fn scans_keep_to_their_prefix<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = with_edges(make);
    for prefix in EDGES.into_iter().chain([&b"c"[..], b"a\xff\0", b"\xff\xff\xff\xff", b"\xfe"]) {
        let expected: Vec<&[u8]> = EDGES.into_iter().filter(|key| key.starts_with(prefix)).collect();
        let forward = kv.scan(prefix, None, usize::MAX, Direction::Forward).unwrap();
        assert_eq!(keys(&forward), expected, "prefix {prefix:?}");
        let backward = kv.scan(prefix, None, usize::MAX, Direction::Backward).unwrap();
        assert!(keys(&backward).iter().rev().eq(expected.iter()), "prefix {prefix:?}");
    }
}

fn scans_start_behind_any_key<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = with_edges(make);
    let others: [&[u8]; 5] = [b"\x01", b"aa", b"a\xff\xff\xff", b"\xff\x01", b"\xff\xff\xff\xff"];
    for prefix in EDGES {
        for after in EDGES.into_iter().chain(others) {
            let of_prefix = || EDGES.into_iter().filter(|key| key.starts_with(prefix));
            let expected: Vec<&[u8]> = of_prefix().filter(|key| *key > after).collect();
            let page = kv.scan(prefix, Some(after), usize::MAX, Direction::Forward).unwrap();
            assert_eq!(keys(&page), expected, "prefix {prefix:?} after {after:?}");
            let expected: Vec<&[u8]> = of_prefix().rev().filter(|key| *key < after).collect();
            let page = kv.scan(prefix, Some(after), usize::MAX, Direction::Backward).unwrap();
            assert_eq!(keys(&page), expected, "prefix {prefix:?} before {after:?}");
        }
    }
}

fn scans_go_on_page_by_page<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let key = |i: u16| [b"p", &i.to_be_bytes()[..]].concat();
    for chunk in 0..10_u16 {
        kv.commit(&writes((0..100).map(|i| put(&key(i * 10 + chunk), &[chunk as u8; 20])).collect())).unwrap();
    }
    kv.commit(&writes(vec![put(b"o", b""), put(b"q", b"")])).unwrap();
    for direction in [Direction::Forward, Direction::Backward] {
        let mut seen = Vec::new();
        loop {
            let after = seen.last().cloned();
            let page = kv.scan(b"p", after.as_deref(), 37, direction).unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|(key, _)| key));
        }
        if direction == Direction::Backward {
            seen.reverse();
        }
        assert!(seen.into_iter().eq((0..1000).map(key)));
    }
}

/// One thread rewrites three keys in one batch; whatever the others read of them must be of one batch.
fn readers_see_whole_batches<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let kv = make();
    let trio = [b"t1".to_vec(), b"t2".to_vec(), b"t3".to_vec()];
    let write = |round: u32| writes(trio.iter().map(|key| put(key, &round.to_be_bytes())).collect());
    kv.commit(&write(0)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..2 {
            let (kv, trio, done) = (&kv.kv, &trio, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let found: Vec<Stored> = if reader == 0 {
                        kv.get_many(trio).unwrap().into_iter().flatten().collect()
                    } else {
                        let page = kv.scan(b"t", None, 10, Direction::Backward).unwrap();
                        page.into_iter().map(|(_, stored)| stored).collect()
                    };
                    assert_eq!(found.len(), 3);
                    assert!(found.iter().all(|stored| *stored == found[0]));
                }
            });
        }
        for round in 1..300 {
            kv.commit(&write(round)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// The way the layers above write: read, compute, commit on condition, start over on conflict.
fn increments_of_many_threads_add_up<K: RawKv>(make: impl Fn() -> Subject<K>) {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 25;
    let kv = make();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let kv = &kv.kv;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    loop {
                        let found = kv.get(b"sum").unwrap();
                        let sum =
                            found.as_ref().map_or(0, |stored| u64::from_be_bytes(stored.value[..].try_into().unwrap()));
                        let expect = found.map_or(Expect::Absent, |stored| Expect::Rev(stored.rev));
                        let own = [&thread.to_be_bytes()[..], &round.to_be_bytes()].concat();
                        let next = (sum + 1).to_be_bytes();
                        match kv.commit(&batch(&[(b"sum", expect)], vec![put(b"sum", &next), put(&own, &next)])) {
                            Ok(_) => break,
                            Err(RawError::Conflict(differ)) => assert_eq!(differ, [b"sum"]),
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(value(&kv.kv, b"sum").unwrap(), (THREADS * ROUNDS).to_be_bytes());
    assert_eq!(everything(&kv.kv).len() as u64, THREADS * ROUNDS + 1);
}

#[derive(Clone, Debug)]
enum Step {
    Commit { writes: Vec<(Vec<u8>, Option<Vec<u8>>)>, stale: bool },
    Get(Vec<Vec<u8>>),
    Scan { prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize, direction: Direction },
}

fn key_strategy() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(vec![0_u8, 1, b'a', 0xfe, 0xff]);
    prop_oneof![
        4 => prop::collection::vec(byte, 0..4),
        // Enough different keys to make an engine split and merge its pages.
        4 => (0_u16..400).prop_map(|i| i.to_be_bytes().to_vec()),
        1 => (any::<u8>(), 300_usize..400).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn step_strategy() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 2000_usize..3600).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let write = (key_strategy(), prop::option::weighted(0.7, value));
    prop_oneof![
        5 => (prop::collection::vec(write, 0..24), prop::bool::weighted(0.1))
            .prop_map(|(writes, stale)| Step::Commit { writes, stale }),
        2 => prop::collection::vec(key_strategy(), 0..5).prop_map(Step::Get),
        3 => (
            prop::collection::vec(prop::sample::select(vec![0_u8, b'a', 0xff]), 0..3),
            prop::option::of(key_strategy()),
            0_usize..60,
            prop::sample::select(vec![Direction::Forward, Direction::Backward]),
        )
            .prop_map(|(prefix, after, limit, direction)| Step::Scan { prefix, after, limit, direction }),
    ]
}

fn random_histories_match_a_model<K: RawKv>(make: impl Fn() -> Subject<K>) {
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner
        .run(&prop::collection::vec(step_strategy(), 1..60), |steps| {
            let kv = make();
            let mut model: BTreeMap<Vec<u8>, Stored> = BTreeMap::new();
            let mut last = 0;
            for step in steps {
                match step {
                    Step::Commit { writes, stale } => {
                        last = commit_both(&kv.kv, &mut model, &writes, stale, last)?;
                    }
                    Step::Get(keys) => {
                        let expected: Vec<_> = keys.iter().map(|key| model.get(key).cloned()).collect();
                        prop_assert_eq!(kv.get_many(&keys).unwrap(), expected);
                        for key in &keys {
                            prop_assert_eq!(kv.get(key).unwrap(), model.get(key).cloned());
                        }
                    }
                    Step::Scan { prefix, after, limit, direction } => {
                        let mut expected: Vec<_> =
                            model.clone().into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
                        if direction == Direction::Backward {
                            expected.reverse();
                        }
                        expected.retain(|(key, _)| match (&after, direction) {
                            (None, _) => true,
                            (Some(after), Direction::Forward) => key > after,
                            (Some(after), Direction::Backward) => key < after,
                        });
                        expected.truncate(limit);
                        prop_assert_eq!(kv.scan(&prefix, after.as_deref(), limit, direction).unwrap(), expected);
                    }
                }
            }
            prop_assert_eq!(everything(&kv.kv), model.into_iter().collect::<Vec<_>>());
            Ok(())
        })
        .unwrap();
}

/// Commits the same to the store and to the model, with the truth expected of every key, or something else of the first.
fn commit_both(
    kv: &impl RawKv,
    model: &mut BTreeMap<Vec<u8>, Stored>,
    changes: &[(Vec<u8>, Option<Vec<u8>>)],
    stale: bool,
    last: Rev,
) -> Result<Rev, TestCaseError> {
    let mut expect: Vec<(Vec<u8>, Expect)> = Vec::new();
    for (key, _) in changes {
        let truth = model.get(key).map_or(Expect::Absent, |stored| Expect::Rev(stored.rev));
        expect.push((key.clone(), truth));
    }
    let wrong = stale.then(|| expect.first_mut()).flatten().map(|(key, expect)| {
        *expect = if *expect == Expect::Absent { Expect::Rev(1) } else { Expect::Absent };
        key.clone()
    });
    let writes = changes.iter().map(|(key, value)| match value {
        Some(value) => put(key, value),
        None => delete(key),
    });
    let result = kv.commit(&Batch { expect, writes: writes.collect() });
    match (wrong, result) {
        (Some(key), Err(RawError::Conflict(differ))) => {
            prop_assert_eq!(differ, vec![key]);
            Ok(last)
        }
        (None, Ok(rev)) => {
            prop_assert_eq!(rev > last, !changes.is_empty());
            prop_assert!(rev >= last);
            for (key, value) in changes {
                match value {
                    Some(value) => drop(model.insert(key.clone(), Stored { value: value.clone(), rev })),
                    None => drop(model.remove(key)),
                }
            }
            Ok(rev)
        }
        (wrong, result) => Err(TestCaseError::fail(format!("expected wrongly: {wrong:?}, got {result:?}"))),
    }
}
