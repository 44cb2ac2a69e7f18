//! What a writer costs those who only use keys: one thread encrypts, decrypts or verifies with cached keys, and another
//! commits all the while, beside the same with nobody there and with somebody who shares nothing (ring).
//!
//! The store on disk lies where `KMS_BENCH_DIR` says; without it in cargo's own directory for temporary files.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kms_benches::abi::{Kms, library_path};
use kms_benches::arguments::{Arguments, Mode};
use kms_benches::layer::{CAbi, RingAead, SPEC};
use kms_benches::rounds::{Plan, beside};
use kms_benches::{Contestant, Operation, Task, asymmetric, machine};
use serde_json::json;

const QUICK: Plan = Plan { rounds: 5, turn: Duration::from_millis(20) };
const FULL: Plan = Plan { rounds: 51, turn: Duration::from_millis(50) };

const ENCRYPT: Task = Task { operation: Operation::Encrypt, len: 32 };
const DECRYPT: Task = Task { operation: Operation::Decrypt, len: 32 };

/// Somebody who commits: each time another description for a key that nobody else uses.
fn writer(kms: &Arc<Kms>) -> Contestant {
    let key = kms.create_key(SPEC).into_string().expect("an id is a text");
    let kms = Arc::clone(kms);
    let mut times = 0_u64;
    Contestant::of("writer", move || {
        times += 1;
        let _ = kms.call("UpdateKeyDescription", &json!({ "KeyId": key, "Description": times.to_string() }));
    })
}

/// Those who use keys.
fn readers(kms: &Arc<Kms>) -> Vec<(String, Contestant)> {
    let messages = [ENCRYPT, DECRYPT]
        .map(|task| (format!("{task}: C ABI"), Contestant::new(task, CAbi::new(kms, SPEC))))
        .into_iter();
    let signatures = asymmetric::on_curves(kms).into_iter().flat_map(|(group, contestants)| {
        contestants.into_iter().map(move |contestant| (format!("{group}: {}", contestant.name()), contestant))
    });
    messages.chain(signatures.filter(|(name, _)| name.ends_with("C ABI"))).collect()
}

fn main() {
    let arguments = Arguments::of_program();
    let parent = env::var_os("KMS_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = tempfile::tempdir_in(&parent).expect("KMS_BENCH_DIR can be written to");
    let on_disk = [b"sled:", directory.path().join("store").as_os_str().as_bytes()].concat();
    let stores = [("memory", c"memory:".to_owned()), ("sled", CString::new(on_disk).expect("a path has no NUL"))];
    for (index, (store, location)) in stores.into_iter().enumerate() {
        let kms = Arc::new(Kms::open(&location));
        let mut neighbours = [None, Some(Contestant::new(ENCRYPT, RingAead::new())), Some(writer(&kms))];
        let mut readers = readers(&kms);
        readers.retain(|(name, _)| arguments.select(&format!("{store}: {name}")));

        if let Mode::Count(times) = arguments.mode {
            readers.iter_mut().for_each(|(_, reader)| reader.repeat(times));
        }
        let Some(plan) = arguments.plan(QUICK, FULL) else { continue };
        if index == 0 {
            println!("{}\n{}", machine::description(), library_path().display());
            println!("{} rounds with turns of {} ms; medians", plan.rounds, plan.turn.as_millis());
        }
        println!(
            "\n{:<34}            processor ns/op beside            speed beside the writer",
            format!("store: {store}")
        );
        println!("{:<34}     nobody       ring    a writer            over beside ring", "");
        for (name, mut reader) in readers {
            let series = beside(&mut reader, &mut neighbours, plan);
            let [nobody, ring, writer] = [0, 1, 2].map(|who| series[who].cost.median());
            let speed = series[1].cost.over(&series[2].cost);
            let (low, high) = speed.quartiles();
            print!("{name:<34} {nobody:>10.0} {ring:>10.0} {writer:>11.0}");
            println!("            {:>5.2}  {low:.2}..{high:.2}", speed.median());
        }
    }
}
