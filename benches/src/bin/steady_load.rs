//! Keeps a `kms serve` as busy as it can be for a while: no request may fail, and its memory must not grow.
//!
//! Not a measurement, but a trial: what a server leaves behind by every request would show here.

#![expect(clippy::print_stdout, reason = "a command tells its user what it has found")]

use std::env;
use std::path::Path;
use std::process;
use std::time::Duration;

use kms_benches::http::{Jobs, Scheme, Server, drive};

const THREADS: usize = 1;
const CONNECTIONS: usize = 32;

/// Of the nonces of signed requests the server remembers so many at most, by its default; one takes 26 to 53 bytes. All
/// that come within the half hour in which a request's time stamp is let in are remembered, so that under load this
/// memory grows until it is full.
const NONCES: u64 = 4_000_000;
const NONCE: u64 = 53;
/// What else may come: buffers of the allocator that were not needed yet, and tables that double. A leak of 120 bytes
/// by each request is more than this in half a minute at 20,000 requests a second.
const GROWTH: u64 = 64 << 20;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [seconds, program] => match seconds.parse() {
            Ok(seconds @ 2..=100_000) => run(Path::new(program), seconds),
            _ => Err("SECONDS is a whole number from 2 on".to_owned()),
        },
        _ => Err("usage: steady_load SECONDS KMS".to_owned()),
    };
    if let Err(why) = done {
        println!("{why}");
        process::exit(1);
    }
}

fn run(program: &Path, seconds: u64) -> Result<(), String> {
    let server = Server::start(program);
    let jobs = Jobs::new(&server)?;
    let all = Scheme::ALL.map(|scheme| [jobs.encrypt(32, scheme), jobs.encrypt(1024, scheme), jobs.verify(scheme)]);
    let all: Vec<_> = all.iter().flatten().collect();

    let half = Duration::from_millis(1000 * seconds / 2);
    let mut memory = Vec::new();
    let mut answers = 0;
    // The first half also fills what fills once: it is the measure of the second.
    for _ in 0..2 {
        let tally = drive(&server, &all, THREADS, CONNECTIONS, half)?;
        answers = tally.latencies.len() as u64;
        memory.push(server.memory());
        println!(
            "{:.0} s: {answers} answers, {:.0} a second; half within {:.0} µs, 99 of 100 within {:.0} µs; the server holds {} MiB",
            tally.time.as_secs_f64(),
            tally.rate(),
            tally.latency(0.5),
            tally.latency(0.99),
            server.memory() >> 20
        );
    }
    server.stop();
    let (growth, bound) = (memory[1].saturating_sub(memory[0]), GROWTH + NONCE * answers.min(NONCES));
    let told =
        format!("the server's memory has grown by {} MiB in the second half; {} MiB may be", growth >> 20, bound >> 20);
    if growth > bound {
        return Err(told);
    }
    println!("{told}");
    Ok(())
}
