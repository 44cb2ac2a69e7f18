//! kill -9: whatever a process had acknowledged before it was killed is in the store afterwards.
//!
//! This program starts copies of itself that commit as fast as they can and print the number of each commit once it is
//! acknowledged, kills them at arbitrary times, and looks into the store. A killed process leaves the page cache of the
//! system behind, so this proves the order of things inside the process, not that they survive a power cut.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_store::raw::{Batch, Direction, Expect, RawError, RawKv, Write};
use kms_store::sled_kv::{SledKv, SledOptions};

/// Tells a copy of this program which store to write to.
const STORE: &str = "KMS_STORE_TEST_WRITER";

/// How many keys a commit writes besides the counter.
const PARTS: u64 = 4;

fn open(path: &Path) -> Result<SledKv, RawError> {
    SledKv::open(path, SledOptions { cache_capacity: 8 << 20 })
}

fn key(number: u64, part: u64) -> Vec<u8> {
    // Scattered, so that the pages of the tree are split and rewritten all over.
    format!("{:016x}-{part}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

fn content(number: u64, part: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(1 + (number * 7 + part * 13) as usize % 60)
}

fn counter(kv: &SledKv) -> (u64, Expect) {
    match kv.get(b"counter").unwrap() {
        None => (0, Expect::Absent),
        Some(stored) => (u64::from_be_bytes(stored.value.try_into().unwrap()), Expect::Rev(stored.rev)),
    }
}

/// Commit number n puts its own keys, counts, and removes what commit n - 200 put.
fn commit(kv: &SledKv, number: u64, expect: Expect) -> Result<Expect, RawError> {
    let put = |key: Vec<u8>, value: Vec<u8>| Write::Put { key, value };
    let mut writes = vec![put(b"counter".to_vec(), number.to_be_bytes().to_vec())];
    for part in 0..PARTS {
        writes.push(put(key(number, part), content(number, part)));
        if let Some(old) = number.checked_sub(KEPT).filter(|&old| old > 0) {
            writes.push(Write::Delete { key: key(old, part) });
        }
    }
    kv.commit(&Batch { expect: vec![(b"counter".to_vec(), expect)], writes }).map(Expect::Rev)
}

/// How many commits leave their keys in the store.
const KEPT: u64 = 200;

/// Not a test of its own: what the processes do that are killed.
#[test]
fn write_until_killed() {
    let Some(path) = env::var_os(STORE) else {
        return;
    };
    let kv = open(Path::new(&path)).unwrap();
    let (mut number, mut expect) = counter(&kv);
    let mut stdout = std::io::stdout().lock();
    loop {
        number += 1;
        expect = commit(&kv, number, expect).unwrap();
        writeln!(stdout, "\nacknowledged {number}").unwrap();
        stdout.flush().unwrap();
    }
}

/// Starts a writer and kills it `delay` after its start or, with `acks`, after its first acknowledgement.
fn run_and_kill(path: &Path, delay: Duration, acks: bool) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "write_until_killed", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let acknowledged = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            // A line that was cut off by the kill was never an acknowledgement.
            for line in output.split(b'\n').map_while(Result::ok) {
                let number = line.strip_prefix(b"acknowledged ").and_then(|number| str::from_utf8(number).ok());
                if let Some(number) = number.and_then(|number| number.parse().ok()) {
                    acknowledged.store(number, Ordering::Release);
                }
            }
        });
        if acks {
            await_first(&mut child, &acknowledged);
        }
        thread::sleep(delay);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), None, "the writer ended by itself: {status}");
    });
    acknowledged.into_inner()
}

fn await_first(child: &mut Child, acknowledged: &AtomicU64) {
    let start = Instant::now();
    while acknowledged.load(Ordering::Acquire) == 0 {
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("the writer has acknowledged nothing in 30 seconds");
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// The store must be where commit `count` left it, whole, for a count that is at least what was acknowledged.
fn verify(path: &Path, acknowledged: u64) -> u64 {
    let kv = open(path).unwrap();
    let (count, _) = counter(&kv);
    assert!(count >= acknowledged, "{acknowledged} commits were acknowledged, {count} are there");
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = (count.saturating_sub(KEPT) + 1..=count)
        .flat_map(|number| (0..PARTS).map(move |part| (key(number, part), content(number, part))))
        .collect();
    if count > 0 {
        expected.push((b"counter".to_vec(), count.to_be_bytes().to_vec()));
    }
    expected.sort();
    let found = kv.scan(b"", None, usize::MAX, Direction::Forward).unwrap();
    let found: Vec<(Vec<u8>, Vec<u8>)> = found.into_iter().map(|(key, stored)| (key, stored.value)).collect();
    assert_eq!(found, expected, "after {count} commits, of which {acknowledged} were acknowledged");
    count
}

/// A duration below `limit`, another one in every run: the kills are to hit every instant in the long run.
fn random_below(limit: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    limit.mul_f64(random as f64 / u64::MAX as f64)
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("store");
    let (mut round, mut last) = (0, 0);
    // Until there is far more than one segment of the log, or the rounds have tested little. On a busy disk that takes more of
    // them.
    while round < 36 || last <= 1000 {
        assert!(round < 360, "only {last} commits in all rounds");
        let acknowledged = run_and_kill(&path, random_below(Duration::from_millis(150)), true);
        assert!(acknowledged > last, "round {round}: {acknowledged} after {last}");
        last = verify(&path, acknowledged);
        round += 1;
    }
}

/// Two kills in a row without a look in between: recovery itself is interrupted too.
#[test]
fn a_writer_killed_while_it_opens_leaves_a_store_that_opens() {
    let temp = tempfile::tempdir().unwrap();
    for round in 0..12 {
        let path = temp.path().join(format!("store-{round}"));
        let mut acknowledged = 0;
        for _ in 0..4 {
            acknowledged = acknowledged.max(run_and_kill(&path, random_below(Duration::from_millis(40)), false));
        }
        let count = verify(&path, acknowledged);
        assert!(run_and_kill(&path, Duration::ZERO, true) > count);
    }
}
