//! What every backend must do, checked against each on a fresh store.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{Subject, delete, everything, for_every_backend, put};
use kms_store::raw::{Batch, Direction, Expect, RawError, RawKv, Rev, Stored, Write};

for_every_backend!(
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
);

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
