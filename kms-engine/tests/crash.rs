//! kill -9 at any instant: what an engine had acknowledged is there when its store is opened again, and nothing is there by
//! halves.
//!
//! This program starts copies of itself. Each opens an engine on a sled store with a key file, works on it from several
//! threads, and writes down every call before it makes it and again when it has returned. It is killed in the midst of it,
//! and the store is read through a new engine: everything must be as the last answered call left it, or as the one call in
//! flight of each thread would have. A killed process leaves the page cache of the system behind, so this proves the order
//! of things inside the process, not that they survive a power cut.

mod common;
#[path = "common/in_flight.rs"]
mod in_flight;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::panic;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use common::{Blob, Call, Model, NewKey, State, open, random};
use in_flight::apply_if_done;

/// Tells a copy of this program where to work.
const HOME: &str = "KMS_ENGINE_TEST_WORKER";
/// What the worker is told of the keys and aliases that are there.
const MODEL: &str = "model.json";
/// How many threads work at once.
const THREADS: usize = 3;
/// How long a worker may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a worker writes down.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    /// It is about to open the engine.
    Opening,
    /// A thread is about to make this call.
    Calling { thread: usize, call: Call },
    /// The thread's call was acknowledged.
    Done { thread: usize, new_key: Option<NewKey> },
    /// It was given this ciphertext.
    Encrypted(Blob),
}

impl Line {
    /// Writes the line in one piece, so that a kill cuts at most the last one short.
    fn write(&self) {
        let line = serde_json::to_string(self).unwrap();
        let mut stdout = std::io::stdout().lock();
        // Not at the start of a line: the test harness has begun one.
        writeln!(stdout, "\n{line}").unwrap();
        stdout.flush().unwrap();
    }
}

/// Not a test of its own: what the processes do that are killed.
#[test]
fn work_until_killed() {
    let Some(home) = env::var_os(HOME) else {
        return;
    };
    let home = Path::new(&home);
    // One thread's failure ends all of them, in another way than a kill does.
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        process::exit(101);
    }));
    let model: Model = serde_json::from_slice(&fs::read(home.join(MODEL)).unwrap()).unwrap();
    Line::Opening.write();
    let engine = open(home).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, mut model) = (&engine, model.clone());
            scope.spawn(move || {
                for number in 0.. {
                    let call = model.next_call(thread, &format!("{}-{number}", process::id()));
                    Line::Calling { thread, call: call.clone() }.write();
                    let new_key = call.make(engine).unwrap_or_else(|error| panic!("{call:?}: {error}"));
                    Line::Done { thread, new_key: new_key.clone() }.write();
                    model.apply(&call, new_key);
                    encrypt(engine, &model, thread, number);
                }
            });
        }
    });
}

/// Encrypts under a key of the thread that is enabled, if there is one.
fn encrypt(engine: &kms_engine::Engine, model: &Model, thread: usize, number: usize) {
    let owner = format!("t{thread}-");
    let enabled = model.keys.iter().filter(|(_, facts)| facts.state == State::Enabled);
    let mut own = enabled.filter(|(_, facts)| facts.description.label.starts_with(&owner)).skip(number % 7);
    if let Some((key, _)) = own.next() {
        let blob = Blob::make(engine, key, number.is_multiple_of(2), vec![number as u8; 1 + number % 64]).unwrap();
        Line::Encrypted(blob).write();
    }
}

/// When a worker is killed: so long after it began to open the engine, or after its first call was acknowledged.
#[derive(Clone, Copy, Debug)]
enum Kill {
    AfterOpening(Duration),
    AfterFirstDone(Duration),
}

/// Has a worker work in `home`, kills it, and returns what it had written down.
fn run_and_kill(home: &Path, kill: Kill) -> Vec<Line> {
    let mut worker = Command::new(env::current_exe().unwrap())
        .args(["--exact", "work_until_killed", "--nocapture"])
        .env(HOME, home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(worker.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        // What is not one of our lines is the harness's, or was cut short.
        let lines = output.split(b'\n').map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_slice(&line).ok()).try_for_each(|line| sender.send(line))
    });
    let mut seen = Vec::new();
    let delay = loop {
        let Ok(line) = lines.recv_timeout(PATIENCE) else {
            worker.kill().unwrap();
            panic!("the worker does nothing, after {seen:?}");
        };
        let delay = match (kill, &line) {
            (Kill::AfterOpening(delay), Line::Opening) | (Kill::AfterFirstDone(delay), Line::Done { .. }) => {
                Some(delay)
            }
            _ => None,
        };
        seen.push(line);
        if let Some(delay) = delay {
            break delay;
        }
    };
    thread::sleep(delay);
    worker.kill().unwrap();
    let status = worker.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "the worker ended by itself: {status}");
    seen.extend(lines);
    reader.join().unwrap().unwrap();
    seen
}

/// Everything that the workers in one directory have been told.
#[derive(Default)]
struct Acknowledged {
    model: Model,
    blobs: Vec<Blob>,
    calls: usize,
    /// What the last worker was about when it was killed.
    in_flight: BTreeMap<usize, Call>,
}

impl Acknowledged {
    /// Has a worker work in `home` until it is killed. If it came to make calls, [`Self::compare`] is next.
    fn work(&mut self, home: &Path, kill: Kill) -> bool {
        fs::write(home.join(MODEL), serde_json::to_vec(&self.model).unwrap()).unwrap();
        assert!(self.in_flight.is_empty());
        let lines = run_and_kill(home, kill);
        let worked = lines.len() > 1;
        for line in lines {
            match line {
                Line::Opening => {}
                Line::Calling { thread, call } => assert!(self.in_flight.insert(thread, call).is_none()),
                Line::Done { thread, new_key } => {
                    self.model.apply(&self.in_flight.remove(&thread).unwrap(), new_key);
                    self.calls += 1;
                }
                Line::Encrypted(blob) => self.blobs.push(blob),
            }
        }
        worked
    }

    /// Opens the store and compares it with what was told.
    fn compare(&mut self, home: &Path) {
        let engine = open(home).unwrap();
        let found = Model::read(&engine);
        for call in self.in_flight.values() {
            apply_if_done(&mut self.model, call, &found);
        }
        assert_eq!(found, self.model, "in flight: {:?}", self.in_flight);
        self.in_flight.clear();
        for blob in &self.blobs {
            blob.check(&engine, found.keys[&blob.key].state);
        }
    }
}

fn up_to(limit: Duration) -> Duration {
    limit.mul_f64(random(1 << 20) as f64 / f64::from(1 << 20))
}

/// The key file is there as a whole or not at all, and nobody else may read it or what its making has left.
fn assert_key_file_is_whole(home: &Path) {
    for entry in fs::read_dir(home).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.contains("root.key") {
            let metadata = entry.metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
            assert!(metadata.len() == 32 || name != "root.key", "{name} has {} bytes", metadata.len());
        }
    }
}

/// How long it takes to open a store that is not there.
fn time_to_make() -> Duration {
    let home = tempfile::tempdir().unwrap();
    let start = Instant::now();
    open(home.path()).unwrap();
    start.elapsed()
}

#[test]
fn a_killed_engine_loses_nothing_that_it_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let opening = time_to_make() * 2;
    let mut acknowledged = Acknowledged::default();
    for round in 0..24 {
        // Recovery is interrupted too, and then begun by a worker that may be killed again, before anybody looks.
        let worked = match round % 4 {
            3 => acknowledged.work(home.path(), Kill::AfterOpening(up_to(opening))),
            _ => acknowledged.work(home.path(), Kill::AfterFirstDone(up_to(Duration::from_millis(150)))),
        };
        if worked {
            acknowledged.compare(home.path());
        }
    }
    acknowledged.compare(home.path());
    let (calls, keys, blobs) = (acknowledged.calls, acknowledged.model.keys.len(), acknowledged.blobs.len());
    assert!(calls > 300 && keys > 30 && blobs > 100, "only {calls} calls, {keys} keys and {blobs} ciphertexts");
}

/// The making of the store and of its root key is interrupted, several times before anybody looks.
#[test]
fn an_engine_killed_while_its_store_is_made_leaves_one_that_can_be_made() {
    let making = time_to_make() * 3 / 2;
    let mut interrupted = 0;
    for _ in 0..8 {
        let home = tempfile::tempdir().unwrap();
        let mut acknowledged = Acknowledged::default();
        for _ in 0..3 {
            if acknowledged.work(home.path(), Kill::AfterOpening(up_to(making))) {
                acknowledged.compare(home.path());
            } else {
                interrupted += 1;
            }
            assert_key_file_is_whole(home.path());
        }
        acknowledged.compare(home.path());
        assert_key_file_is_whole(home.path());
        acknowledged.work(home.path(), Kill::AfterFirstDone(Duration::ZERO));
        acknowledged.compare(home.path());
    }
    assert!(interrupted > 0, "no kill came before the store was made");
}
