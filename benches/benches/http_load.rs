//! Signed requests over loopback HTTP, to a `kms serve` of its own process: how many a second, and how long each takes.
//!
//! `KMS_PROGRAM` names the `kms`; without it, the one that `cargo build --release --package kms-cli` has built is taken. Server
//! and clients share the processors. The kinds of requests take turns, and the medians of the turns are told.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::time::Duration;

use kms_benches::arguments::{Arguments, Mode};
use kms_benches::http::{Job, Jobs, Scheme, Server, Tally, drive, server};
use kms_benches::machine;
use kms_benches::rounds::{Plan, Series};

const QUICK: Plan = Plan { rounds: 3, turn: Duration::from_millis(500) };
const FULL: Plan = Plan { rounds: 11, turn: Duration::from_secs(1) };
const CHECK: Plan = Plan { rounds: 1, turn: Duration::from_millis(20) };

const THREADS: usize = 1;
const CONNECTIONS: usize = 16;

fn main() {
    let arguments = Arguments::of_program();
    let plan = match arguments.mode {
        Mode::Count(_) => return,
        _ => arguments.plan(QUICK, FULL).unwrap_or(CHECK),
    };
    let server = Server::start(&server::program());
    let jobs = Jobs::new(&server).expect("the keys can be made");
    let mut all: Vec<Job> = Vec::new();
    for scheme in Scheme::ALL {
        all.extend([jobs.encrypt(32, scheme), jobs.encrypt(1024, scheme), jobs.decrypt(scheme), jobs.verify(scheme)]);
    }
    all.retain(|job| arguments.select(&job.to_string()));
    let turn = |job| drive(&server, &[job], THREADS, CONNECTIONS, plan.turn).unwrap_or_else(|why| panic!("{why}"));

    let before = server.memory();
    let mut tallies: Vec<Vec<Tally>> = all.iter().map(|job| vec![turn(job)]).collect();
    // That was to warm up.
    tallies.iter_mut().for_each(Vec::clear);
    for _ in 0..plan.rounds {
        all.iter().zip(&mut tallies).for_each(|(job, own)| own.push(turn(job)));
    }
    let after = server.memory();
    server.stop();

    println!("{}\n{}", machine::description(), server::program().display());
    println!(
        "{} rounds with turns of {} ms, {THREADS} thread with {CONNECTIONS} connections; medians",
        plan.rounds,
        plan.turn.as_millis()
    );
    println!("memory of the server: {} MiB before, {} MiB after", before >> 20, after >> 20);
    println!("\n{:<34} answers/s     middle half   µs: half  99 of 100   server's processor", "");
    for (job, own) in all.iter().zip(&tallies) {
        let series = |of: fn(&Tally) -> f64| own.iter().map(of).collect::<Series>();
        let (rate, cost) = (series(Tally::rate), series(Tally::cost));
        let (half, most) = (series(|tally| tally.latency(0.5)), series(|tally| tally.latency(0.99)));
        let (low, high) = rate.quartiles();
        let name = job.to_string();
        print!("{name:<34} {:>9.0} {low:>7.0}..{high:<7.0} {:>9.0}", rate.median(), half.median());
        println!(" {:>10.0} {:>20.1}", most.median(), cost.median());
    }
}
