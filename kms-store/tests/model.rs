//! Long random histories, against each backend and a plain model of it.

mod common;

use std::collections::BTreeMap;

use common::{Subject, delete, everything, for_every_backend, put};
use kms_store::raw::{Batch, Direction, Expect, RawError, RawKv, Rev, Stored};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

for_every_backend!(random_histories_match_a_model);

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
