//! What a second thread adds: each has its own key and buffers, and all share one engine. The libraries, which share
//! nothing, show what the machine itself adds.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::sync::Arc;
use std::time::Duration;

use kms_benches::abi::{Kms, library_path};
use kms_benches::arguments::{Arguments, Mode};
use kms_benches::layer::{CAbi, RingAead, SPEC};
use kms_benches::rounds::{Load, Plan, rates};
use kms_benches::{Contestant, Operation, Task, asymmetric, machine};

const QUICK: Plan = Plan { rounds: 5, turn: Duration::from_millis(20) };
const FULL: Plan = Plan { rounds: 51, turn: Duration::from_millis(50) };

const TASKS: [Task; 4] = [
    Task { operation: Operation::Encrypt, len: 32 },
    Task { operation: Operation::Encrypt, len: 6144 },
    Task { operation: Operation::Decrypt, len: 32 },
    Task { operation: Operation::Decrypt, len: 6144 },
];

fn main() {
    let arguments = Arguments::of_program();
    let kms = Arc::new(Kms::open(c"memory:"));
    let mut pairs = Vec::new();
    for task in TASKS {
        pairs.push((task.to_string(), [(); 2].map(|()| Contestant::new(task, RingAead::new()))));
        pairs.push((task.to_string(), [(); 2].map(|()| Contestant::new(task, CAbi::new(&kms, SPEC)))));
    }
    for ((group, ones), (_, others)) in asymmetric::on_curves(&kms).into_iter().zip(asymmetric::on_curves(&kms)) {
        pairs.extend(ones.into_iter().zip(others).map(|(one, other)| (group.clone(), [one, other])));
    }
    let named = pairs.into_iter().map(|(group, workers)| (format!("{group}: {}", workers[0].name()), workers));
    let (names, mut pairs): (Vec<_>, Vec<_>) = named.filter(|(name, _)| arguments.select(name)).unzip();

    if let Mode::Count(times) = arguments.mode {
        pairs.iter_mut().flatten().for_each(|worker| worker.repeat(times));
    }
    let Some(plan) = arguments.plan(QUICK, FULL) else { return };
    println!("{}\n{}", machine::description(), library_path().display());
    println!("{} rounds with turns of {} ms; medians", plan.rounds, plan.turn.as_millis());
    println!("\n{:<42}       op/s with       2 over 1                   processor ns/op with", "");
    println!("{:<42}  1 thread   2 threads            middle half   1 thread   2 threads", "");
    let mut loads: Vec<Load> = pairs.into_iter().map(|workers| Load::short(workers.into())).collect();
    for (name, series) in names.iter().zip(rates(&mut loads, &[1, 2], plan)) {
        let [one, two] = [&series[0], &series[1]];
        let gain = two.rate.over(&one.rate);
        let (low, high) = gain.quartiles();
        print!("{name:<42} {:>9.0} {:>11.0} {:>10.2}", one.rate.median(), two.rate.median(), gain.median());
        println!("  {low:.2}..{high:.2} {:>10.0} {:>11.0}", one.cost.median(), two.cost.median());
    }
}
