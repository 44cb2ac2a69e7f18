//! `simulate SEEDS FROM`: runs so many seeds, on all processors, and stops at the first that fails. `cargo xtask simulate`
//! builds it with optimisations and calls it.

use std::env;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use kms_sim::{Census, simulate};

fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = env::args().skip(1).map(|number| number.parse().ok()).collect();
    let Some([seeds, from]) = numbers.as_deref() else {
        return tell_failure("usage: simulate SEEDS FROM");
    };
    let Some(end) = from.checked_add(*seeds) else { return tell_failure("these seeds are too large") };
    let next = AtomicU64::new(*from);
    let failed = AtomicBool::new(false);
    let census = Mutex::new(Census::default());
    let work = || {
        let mut mine = Census::default();
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            match simulate(seed) {
                Ok(history) => mine.add(history),
                Err(failure) => {
                    // The first that fails is told; one is enough to look into.
                    if !failed.swap(true, Ordering::Relaxed) {
                        tell_failure(&failure.to_string());
                    }
                }
            }
        }
        census.lock().expect("no thread panics here").add(mine);
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    tell(&census.into_inner().expect("no thread panics here"));
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[allow(clippy::print_stdout, reason = "a command tells its user what it did")]
fn tell(census: &Census) {
    print!("{census}");
}

#[allow(clippy::print_stderr, reason = "a command tells its user what went wrong")]
fn tell_failure(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
