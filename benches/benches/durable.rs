//! Keys that are on disk when CreateKey answers: how many a second with one thread and with sixteen, beside what the disk
//! does without us. Commits that wait at the same time share a sync; the gain shows against the appends. Once more with a
//! flush that takes a millisecond longer than this disk's: a sleep behind the sync, before anybody is told of the commit.
//!
//! `KMS_BENCH_DIR` names the directory; without it cargo's own for temporary files is taken.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use kms_benches::arguments::{Arguments, Mode};
use kms_benches::durable::{KeyStore, appender};
use kms_benches::machine::{self, FileSystem};
use kms_benches::rounds::{Load, Plan, Throughput, rates};

const QUICK: Plan = Plan { rounds: 3, turn: Duration::from_millis(200) };
const FULL: Plan = Plan { rounds: 21, turn: Duration::from_millis(500) };

const THREADS: [usize; 2] = [1, 16];
const MOST: usize = 16;
/// How much longer than this disk's a flush is to take.
const LONGER: [Duration; 2] = [Duration::ZERO, Duration::from_millis(1)];

fn main() {
    let arguments = Arguments::of_program();
    let parent = env::var_os("KMS_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = tempfile::tempdir_in(&parent).expect("KMS_BENCH_DIR can be written to");
    let stores =
        LONGER.map(|longer| KeyStore::new(directory.path().join(format!("store-{}", longer.as_millis())), longer));
    let len = stores[0].bytes_per_key(20);
    let appenders = |longer: Duration| {
        let path = |i| directory.path().join(format!("plain-{}-{i}", longer.as_millis()));
        (0..MOST).map(|i| appender(&path(i), len, longer)).collect()
    };
    let keys = |store: &KeyStore| (0..MOST).map(|_| store.worker()).collect();

    if let Mode::Count(times) = arguments.mode {
        stores[0].worker().repeat(times);
    }
    let Some(plan) = arguments.plan(QUICK, FULL) else { return };
    let kind = FileSystem::of(directory.path()).expect("the directory is there");
    println!("{}\n{}, {kind:?}", machine::description(), parent.display());
    assert_ne!(kind, FileSystem::Memory, "nothing is durable there: KMS_BENCH_DIR must name a directory on a disk");
    println!("{} rounds with turns of {} ms; medians", plan.rounds, plan.turn.as_millis());
    println!("a key takes {len} bytes of the log");

    for (store, longer) in stores.into_iter().zip(LONGER) {
        let mut loads = [Load::long(appenders(longer)), Load::long(keys(&store))];
        let series = rates(&mut loads, &THREADS, plan);
        println!("\n{:<32} threads    op/s   middle half   over 1 thread   over plain, 1 thread", "");
        println!("a flush takes {} ms longer than this disk's", longer.as_millis());
        for (name, load) in ["write + fdatasync, a file each", "CreateKey, one store"].iter().zip(&series) {
            for (threads, Throughput { rate, .. }) in THREADS.iter().zip(load) {
                let (low, high) = rate.quartiles();
                let (gain, share) = (rate.over(&load[0].rate).median(), rate.over(&series[0][0].rate).median());
                print!("{name:<32} {threads:>7} {:>7.0} {low:>7.0}..{high:<7.0}", rate.median());
                println!(" {gain:>12.2} {share:>23.2}");
            }
        }
        drop(loads);
        // What was counted must also be there.
        drop(store.reopen());
    }
}
