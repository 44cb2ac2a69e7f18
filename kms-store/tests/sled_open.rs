//! Opening an embedded store: whose directory it is, who has it open, what an interrupted creation left, and damage.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use kms_store::raw::{Batch, Direction, Expect, RawError, RawKv, Rev, Stored, Write};
use kms_store::sled_kv::{SledKv, SledOptions};

/// Tells a copy of this test program, started by a test, which store to hold open.
const HOLD: &str = "KMS_STORE_TEST_HOLD";

fn open(path: &Path) -> Result<SledKv, RawError> {
    SledKv::open(path, SledOptions { cache_capacity: 8 << 20 })
}

fn put(kv: &SledKv, key: &[u8], value: &[u8]) -> Rev {
    let write = Write::Put { key: key.to_vec(), value: value.to_vec() };
    kv.commit(&Batch { expect: Vec::new(), writes: vec![write] }).unwrap()
}

fn everything(kv: &SledKv) -> Result<Vec<(Vec<u8>, Stored)>, RawError> {
    kv.scan(b"", None, usize::MAX, Direction::Forward)
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for name in names(from) {
        if from.join(&name).is_dir() {
            copy(&from.join(&name), &to.join(&name));
        } else {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

#[track_caller]
fn assert_foreign(result: Result<SledKv, RawError>, says: &str) {
    match result {
        Err(RawError::Foreign(text)) => assert!(text.contains(says), "{text:?} does not say {says:?}"),
        other => panic!("not foreign: {other:?}"),
    }
}

#[track_caller]
fn assert_corrupt(result: Result<SledKv, RawError>, says: &str) {
    match result {
        Err(RawError::Corrupt(text)) => assert!(text.contains(says), "{text:?} does not say {says:?}"),
        other => panic!("not corrupt: {other:?}"),
    }
}

#[test]
fn reopening_finds_everything() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("store");
    let mut expected = Vec::new();
    let mut last = 0;
    for round in 0..5_u32 {
        let kv = open(&path).unwrap();
        assert_eq!(everything(&kv).unwrap(), expected);
        assert_eq!(kv.commit(&Batch::default()).unwrap(), last);
        for i in 0..40_u32 {
            let key = (round * 100 + i).to_be_bytes();
            last = put(&kv, &key, &[round as u8; 300]);
            expected.push((key.to_vec(), Stored { value: vec![round as u8; 300], rev: last }));
        }
        // What a revision says holds beyond the life of a handle.
        let (key, stored) = &expected[0];
        let expect = vec![(key.clone(), Expect::Rev(stored.rev))];
        assert_eq!(kv.commit(&Batch { expect, writes: Vec::new() }).unwrap(), last);
    }
}

#[test]
fn a_new_directory_is_private_and_needs_its_parent() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("store");
    drop(open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);

    let empty = temp.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&empty).unwrap());
    assert_eq!(fs::metadata(&empty).unwrap().permissions().mode() & 0o777, 0o700);

    assert!(matches!(open(&temp.path().join("no/parent")), Err(RawError::Io(_))));
    assert!(!temp.path().join("no").exists());
}

#[test]
fn a_second_opener_in_this_process_is_locked_out() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(temp.path()).unwrap();
    put(&first, b"a", b"1");
    for _ in 0..3 {
        assert!(matches!(open(temp.path()), Err(RawError::Locked)));
    }
    put(&first, b"a", b"2");
    drop(first);
    assert_eq!(everything(&open(temp.path()).unwrap()).unwrap()[0].1.value, b"2");
}

/// Not a test of its own: what another process does that holds the store named by `HOLD`.
#[test]
fn hold_the_store_for_another_test() {
    let Some(path) = env::var_os(HOLD) else {
        return;
    };
    let kv = open(Path::new(&path)).unwrap();
    put(&kv, b"held", b"1");
    writeln!(std::io::stdout(), "\nholding").unwrap();
    // Until the parent closes the pipe.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_second_opener_in_another_process_is_locked_out() {
    let temp = tempfile::tempdir().unwrap();
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "hold_the_store_for_another_test", "--nocapture"])
        .env(HOLD, temp.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"), "the holder did not open the store");
    assert!(matches!(open(temp.path()), Err(RawError::Locked)));
    drop(holder.stdin.take());
    assert!(lines.all(|line| line.is_ok()));
    assert!(holder.wait().unwrap().success());
    assert_eq!(everything(&open(temp.path()).unwrap()).unwrap()[0].0, b"held");
}

/// sled's own lock is respected too: somebody may have opened our database with another tool.
#[test]
fn a_database_that_sled_has_open_is_locked() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(temp.path()).unwrap());
    let stranger = OpenOptions::new().read(true).open(temp.path().join("db")).unwrap();
    stranger.lock().unwrap();
    assert!(matches!(open(temp.path()), Err(RawError::Locked)));
    drop(stranger);
    open(temp.path()).unwrap();
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    fs::write(&file, b"text").unwrap();
    assert_foreign(open(&file), "file");
    assert_eq!(fs::read(&file).unwrap(), b"text");

    let full = temp.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter.txt"), b"text").unwrap();
    assert_foreign(open(&full), "letter.txt");
    assert_eq!(names(&full), ["letter.txt"]);

    // A sled database of somebody else is a directory like any other.
    let sled = temp.path().join("sled");
    drop(open(&sled).unwrap());
    for name in ["KMS-STORE", "KMS-STORE.lock", "KMS-STORE.reserve"] {
        fs::remove_file(sled.join(name)).unwrap();
    }
    let before = names(&sled);
    assert_foreign(open(&sled), "KMS-STORE");
    assert_eq!(names(&sled), before);
}

#[test]
fn a_marker_of_another_format_is_foreign() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(temp.path()).unwrap());
    let marker = temp.path().join("KMS-STORE");
    for (text, says) in
        [("KMS-STORE 2\nwhatever comes then\n", "format 2"), ("something else\n", "begin"), ("", "begin")]
    {
        fs::write(&marker, text).unwrap();
        assert_foreign(open(temp.path()), says);
        assert_eq!(fs::read(&marker).unwrap(), text.as_bytes());
    }
}

/// Stands for a crash at each step of the creation: whatever is there by then, the store is made.
#[test]
fn an_interrupted_creation_is_resumed() {
    let temp = tempfile::tempdir().unwrap();
    let template = temp.path().join("template");
    drop(open(&template).unwrap());

    type Step = fn(&Path);
    let steps: [(&str, Step); 9] = [
        ("nothing", |path| fs::remove_file(path.join("KMS-STORE")).unwrap()),
        ("a lock", |path| fs::write(path.join("KMS-STORE.lock"), b"").unwrap()),
        ("half a marker", |path| {
            fs::remove_file(path.join("KMS-STORE")).unwrap();
            fs::write(path.join("KMS-STORE.tmp"), b"KMS-ST").unwrap();
        }),
        ("directories", |path| fs::create_dir(path.join("blobs")).unwrap()),
        ("half a configuration", |path| fs::write(path.join("conf"), b"segment_size: 5").unwrap()),
        ("an empty configuration", |path| fs::write(path.join("conf"), b"").unwrap()),
        ("an empty database", |path| fs::write(path.join("db"), b"").unwrap()),
        ("half a database", |path| fs::write(path.join("db"), vec![0xa5; 70_000]).unwrap()),
        ("a damaged table of pages", |path| fs::write(path.join("snap.0000000000000010"), b"x").unwrap()),
    ];
    for (name, step) in steps {
        let path = temp.path().join("store");
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("KMS-STORE"), new_marker()).unwrap();
        step(&path);
        let kv = open(&path).unwrap_or_else(|error| panic!("after a crash that left {name}: {error}"));
        put(&kv, b"a", b"1");
        drop(kv);
        assert_eq!(everything(&open(&path).unwrap()).unwrap().len(), 1, "after a crash that left {name}");
    }

    // All of the engine's files are there, and only the marker is not yet the last one.
    fs::write(template.join("KMS-STORE"), new_marker()).unwrap();
    put(&open(&template).unwrap(), b"a", b"1");
}

/// The marker as it stands while a store is being made.
fn new_marker() -> String {
    let body = "KMS-STORE 1\nengine sled-0.34\nstate new\n";
    let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
    format!("{body}check {}\n", hex::encode(&digest.as_ref()[..8]))
}

#[test]
fn commits_under_the_marker_of_a_new_store_are_not_thrown_away() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("store");
    put(&open(&path).unwrap(), b"a", b"1");
    let ready = fs::read(path.join("KMS-STORE")).unwrap();
    fs::write(path.join("KMS-STORE"), new_marker()).unwrap();
    assert_corrupt(open(&path), "never had");
    fs::write(path.join("KMS-STORE"), ready).unwrap();
    assert_eq!(everything(&open(&path).unwrap()).unwrap().len(), 1);
}

#[test]
fn a_store_that_lost_its_data_is_not_a_new_one() {
    let temp = tempfile::tempdir().unwrap();
    let (good, bad) = (temp.path().join("good"), temp.path().join("bad"));
    drop(open(&good).unwrap());
    // An empty store stands for an old backup of the database under today's marker.
    let old = temp.path().join("old");
    copy(&good, &old);
    for i in 0..5_u8 {
        put(&open(&good).unwrap(), &[i], &[1; 500]);
    }

    copy(&good, &bad);
    fs::remove_file(bad.join("db")).unwrap();
    assert_corrupt(open(&bad), "db is missing");
    assert!(!bad.join("db").exists(), "the evidence stays as it is");

    copy(&good, &bad);
    fs::write(bad.join("db"), b"").unwrap();
    assert_corrupt(open(&bad), "db is empty");

    copy(&good, &bad);
    fs::remove_file(bad.join("conf")).unwrap();
    assert_corrupt(open(&bad), "conf is missing");

    copy(&old, &bad);
    fs::copy(good.join("KMS-STORE"), bad.join("KMS-STORE")).unwrap();
    assert_corrupt(open(&bad), "revision");
}

/// Entries of the largest size, put, replaced and deleted in all orders: no page of theirs may outgrow the log, because
/// what sled keeps beside the log is never synced.
#[test]
fn the_largest_entries_stay_in_the_log() {
    let temp = tempfile::tempdir().unwrap();
    let kv = open(temp.path()).unwrap();
    let caps = kv.caps();
    let key = |number: u64| {
        // Long common beginnings, and differences at the end and in the middle, so that inner pages get long keys.
        let mut key = vec![b'k'; caps.max_key];
        key[200..202].copy_from_slice(&((number % 50) as u16).to_be_bytes());
        key[caps.max_key - 8..].copy_from_slice(&number.to_be_bytes());
        key
    };
    for round in 0..3_u64 {
        for group in 0..60_u64 {
            let writes = (0..40_u64).map(|i| {
                let number = (group * 40 + i) * 7919 % 2400;
                if round == 1 && number % 3 != 0 {
                    Write::Delete { key: key(number) }
                } else {
                    Write::Put { key: key(number), value: vec![number as u8; caps.max_value - caps.max_key] }
                }
            });
            kv.commit(&Batch { expect: Vec::new(), writes: writes.collect() }).unwrap();
            assert_eq!(names(&temp.path().join("blobs")), [""; 0]);
        }
    }
    assert_eq!(everything(&kv).unwrap().len(), 2400);
}

/// sled takes a table of pages that a crash left half-written for the newest one. The store opens all the same.
#[test]
fn a_crash_while_the_table_of_pages_is_written_is_survived() {
    let temp = tempfile::tempdir().unwrap();
    let expected = sample(temp.path());
    let table = names(temp.path()).into_iter().find(|name| name.starts_with("snap.")).unwrap();
    let whole = fs::read(temp.path().join(&table)).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len()] {
        for name in [format!("{table}.generating"), "snap.7FFFFFFFFFFFFFFF.generating".to_owned()] {
            fs::write(temp.path().join(name), &whole[..length]).unwrap();
            assert_eq!(everything(&open(temp.path()).unwrap()).unwrap(), expected, "{length} bytes were written");
        }
    }
}

/// A store of several segments, closed, and what it holds.
fn sample(path: &Path) -> Vec<(Vec<u8>, Stored)> {
    let kv = open(path).unwrap();
    for round in 0..3_u32 {
        for group in 0..40_u32 {
            let writes = (0..10_u32).map(|i| Write::Put {
                key: format!("key-{:05}", group * 10 + i).into_bytes(),
                value: (round * 1000 + group * 10 + i).to_be_bytes().repeat(300),
            });
            kv.commit(&Batch { expect: Vec::new(), writes: writes.collect() }).unwrap();
        }
    }
    everything(&kv).unwrap()
}

/// How many damaged stores met which end.
#[derive(Debug, Default)]
struct Outcomes {
    /// Opening them failed.
    refused: u32,
    /// Reading all of them failed.
    unreadable: u32,
    /// The damage was in nothing that is in use.
    intact: u32,
}

impl Outcomes {
    #[track_caller]
    fn judge(&mut self, path: &Path, expected: &[(Vec<u8>, Stored)], what: &str) {
        let found = match open(path) {
            Ok(kv) => everything(&kv),
            Err(RawError::Corrupt(_)) => return self.refused += 1,
            Err(other) => panic!("{what}: opening failed with {other:?}"),
        };
        match found {
            Ok(found) if found == expected => self.intact += 1,
            Ok(found) => {
                let lost = expected.iter().filter(|entry| !found.contains(entry)).count();
                panic!("{what}: nobody noticed that {lost} records were lost or set back");
            }
            Err(RawError::Corrupt(_)) => self.unreadable += 1,
            Err(other) => panic!("{what}: reading failed with {other:?}"),
        }
    }
}

/// Numbers that are spread over the range below `bound` and the same in every run.
fn spread(count: u64, bound: u64) -> impl Iterator<Item = (u64, u64)> {
    (1..=count).map(move |i| (i, i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % bound))
}

fn invert_bit(path: &Path, at: u64, bit: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, at).unwrap();
}

/// Inverts bits of the database and cuts it short: what is found then is the truth or [`RawError::Corrupt`].
#[test]
fn a_damaged_database_is_corrupt_or_intact() {
    let temp = tempfile::tempdir().unwrap();
    let (good, bad) = (temp.path().join("good"), temp.path().join("bad"));
    let expected = sample(&good);
    let length = fs::metadata(good.join("db")).unwrap().len();
    let mut inverted = Outcomes::default();
    for (trial, at) in spread(120, length) {
        copy(&good, &bad);
        invert_bit(&bad.join("db"), at, trial);
        inverted.judge(&bad, &expected, &format!("a bit of byte {at} inverted"));
    }
    assert!(inverted.unreadable > 0 && inverted.intact > 0, "the damage was all of one kind: {inverted:?}");
    let mut cut = Outcomes::default();
    for (_, at) in spread(30, length) {
        copy(&good, &bad);
        OpenOptions::new().write(true).open(bad.join("db")).unwrap().set_len(at).unwrap();
        cut.judge(&bad, &expected, &format!("cut to {at} bytes"));
    }
    assert!(cut.refused > 0, "{cut:?}");
}

/// A commit that meets damage cannot say what is on disk, so the handle ends with it, and reads end too.
#[test]
fn a_commit_that_meets_damage_ends_the_handle() {
    let temp = tempfile::tempdir().unwrap();
    let (good, bad) = (temp.path().join("good"), temp.path().join("bad"));
    let expected = sample(&good);
    let length = fs::metadata(good.join("db")).unwrap().len();
    let mut met = 0;
    for (trial, at) in spread(40, length) {
        copy(&good, &bad);
        invert_bit(&bad.join("db"), at, trial);
        let Ok(kv) = open(&bad) else {
            continue;
        };
        let expect = expected.iter().map(|(key, stored)| (key.clone(), Expect::Rev(stored.rev))).collect();
        match kv.commit(&Batch { expect, writes: vec![Write::Delete { key: expected[0].0.clone() }] }) {
            Ok(_) => {}
            Err(RawError::Corrupt(_)) => {
                met += 1;
                assert!(matches!(kv.get(b"absent"), Err(RawError::Poisoned)));
                assert!(matches!(kv.get_many(&[]), Err(RawError::Poisoned)));
                assert!(matches!(kv.scan(b"x", None, 1, Direction::Forward), Err(RawError::Poisoned)));
                assert!(matches!(kv.commit(&Batch::default()), Err(RawError::Poisoned)));
            }
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(met > 0, "no commit met the damage");
}

#[test]
fn damage_to_the_small_files_is_corrupt_or_intact() {
    let temp = tempfile::tempdir().unwrap();
    let (good, bad) = (temp.path().join("good"), temp.path().join("bad"));
    let expected = sample(&good);
    let small = |name: &String| name == "conf" || name.starts_with("snap.");
    let small: Vec<String> = names(&good).into_iter().filter(small).collect();
    assert_eq!(small.len(), 2);
    let mut outcomes = Outcomes::default();
    for name in &small {
        let length = fs::metadata(good.join(name)).unwrap().len();
        for (trial, at) in spread(40, length) {
            copy(&good, &bad);
            invert_bit(&bad.join(name), at, trial);
            outcomes.judge(&bad, &expected, &format!("a bit of byte {at} of {name} inverted"));
            copy(&good, &bad);
            OpenOptions::new().write(true).open(bad.join(name)).unwrap().set_len(at).unwrap();
            outcomes.judge(&bad, &expected, &format!("{name} cut to {at} bytes"));
        }
        copy(&good, &bad);
        fs::remove_file(bad.join(name)).unwrap();
        outcomes.judge(&bad, &expected, &format!("{name} removed"));
    }
}

/// A child that was forked while the store was open, and lives on, has copies of all descriptors; the locks are its
/// parent's all the same.
#[test]
fn a_child_that_lives_on_does_not_keep_the_store_locked() {
    let temp = tempfile::tempdir().unwrap();
    let kv = open(temp.path()).unwrap();
    put(&kv, b"a", b"1");
    let (mut waiting, mut end) = std::io::pipe().unwrap();
    let child = fork(|| matches!(waiting.read(&mut [0]), Ok(1)));
    drop(kv);
    let reopened = open(temp.path()).map(|kv| everything(&kv).unwrap().len());
    end.write_all(&[0]).unwrap();
    assert!(ended_well(child));
    assert_eq!(reopened.unwrap(), 1);
}

/// sled's threads are not in the child. It must be told so instead of waiting for them.
#[test]
fn a_child_of_a_process_with_a_store_opens_none() {
    let temp = tempfile::tempdir().unwrap();
    let (first, second) = (temp.path().join("first"), temp.path().join("second"));
    let kv = open(&first).unwrap();
    let child =
        fork(|| matches!(open(&second), Err(RawError::Forked)) && matches!(open(&first), Err(RawError::Locked)));
    assert!(ended_well(child));
    put(&kv, b"a", b"1");
    drop(kv);
    drop(open(&second).unwrap());
}

/// Forks. The child does this, which must be little, since the threads of the harness are not there; it is given a minute.
fn fork(child: impl FnOnce() -> bool) -> libc::pid_t {
    // SAFETY: the child leaves by _exit, and so runs nothing of its parent's afterwards.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: touches no memory.
        unsafe { libc::alarm(60) };
        let code = i32::from(!child());
        // SAFETY: ends this process.
        unsafe { libc::_exit(code) };
    }
    pid
}

fn ended_well(child: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: `status` is ours; `child` is our child and is waited for once.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status == 0
}
