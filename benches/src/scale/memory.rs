//! What a process needs to have a store open and to use its keys. It is asked in a process of its own, which has done
//! nothing else.

use std::fs;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::filled::{Filled, RARE, call};
use crate::machine::process_time;

/// What a store costs who opens it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Costs {
    /// How long it takes to open, several times.
    pub open: Vec<Took>,
    /// How long it takes to close without having written.
    pub close: Vec<Took>,
    /// Resident memory, in bytes, of the process before it opens the store.
    pub before: u64,
    /// When it is open.
    pub opened: u64,
    /// When so many keys were used, each for the first time.
    pub used: Vec<(usize, u64)>,
    /// When all keys were looked through for a filter.
    pub filtered: u64,
    /// The most that it ever was.
    pub peak: u64,
}

/// How long something took, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Took {
    /// From beginning to end.
    pub wall: f64,
    /// Of the processor's time.
    pub processor: f64,
}

impl Took {
    /// Does it, and returns what it returns.
    pub fn of<T>(work: impl FnOnce() -> T) -> (Self, T) {
        let (began, worked) = (Instant::now(), process_time());
        let result = work();
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        (Self { wall: millis(began.elapsed()), processor: millis(process_time() - worked) }, result)
    }
}

const OPENINGS: usize = 7;
/// After how many keys memory is asked for.
const STEPS: [usize; 3] = [10_000, 50_000, 150_000];

impl Costs {
    /// Measures them in this process.
    ///
    /// # Panics
    /// When the store does not work.
    #[must_use]
    pub fn of(store: &Filled) -> Self {
        let before = status("VmRSS");
        let (took, mut engine) = Took::of(|| store.open(&json!({})));
        let (mut open, mut close) = (vec![took], Vec::new());
        let opened = status("VmRSS");
        let mut blob = [0; 200];
        let mut used = Vec::new();
        for (i, key) in store.sample.iter().enumerate() {
            let _ = engine.encrypt(key, &[0; 32], "", &mut blob).expect("the key is there");
            if STEPS.contains(&(i + 1)) {
                used.push((i + 1, status("VmRSS")));
            }
        }
        let filter = json!([{ "Key": "KeySpec", "Values": [RARE] }]).to_string();
        assert_eq!(call(&engine, "ListKeys", &json!({ "Filters": filter }))["TotalCount"], 1);
        let (filtered, peak) = (status("VmRSS"), status("VmHWM"));
        for _ in 1..OPENINGS {
            close.push(Took::of(|| drop(engine)).0);
            let (took, again) = Took::of(|| store.open(&json!({})));
            open.push(took);
            engine = again;
        }
        Self { open, close, before, opened, used, filtered, peak }
    }
}

/// A number of bytes that the system tells of this process.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells of a process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("it is a number of KiB") << 10
}
