//! Every layer at every task, in alternating rounds: nanoseconds, and the speed in proportion to ring's.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::sync::Arc;
use std::time::Duration;

use kms_benches::abi::{Kms, library_path};
use kms_benches::arguments::{Arguments, Mode};
use kms_benches::layer::InEngine;
use kms_benches::rounds::{Plan, time};
use kms_benches::{Contestant, Operation, Task, machine};

const QUICK: Plan = Plan { rounds: 15, turn: Duration::from_millis(1) };
const FULL: Plan = Plan { rounds: 201, turn: Duration::from_millis(2) };

fn main() {
    let arguments = Arguments::of_program();
    let kms = Arc::new(Kms::open(c"memory:"));
    let mut groups: Vec<_> = Task::ALL.into_iter().map(|task| (task.to_string(), task.contestants(&kms))).collect();
    for len in [32, 6144] {
        let task = Task { operation: Operation::Encrypt, len };
        let specs = ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128", "Aliyun_SM4"];
        let contestants = specs.map(|spec| Contestant::new(task, InEngine::new(spec)));
        groups.push((format!("{task} by key spec"), contestants.into()));
    }
    for (group, contestants) in &mut groups {
        contestants.retain(|contestant| arguments.select(&format!("{group}: {}", contestant.name())));
    }
    groups.retain(|(_, contestants)| !contestants.is_empty());

    if let Mode::Count(times) = arguments.mode {
        groups.iter_mut().flat_map(|(_, contestants)| contestants).for_each(|contestant| contestant.repeat(times));
    }
    let Some(plan) = arguments.plan(QUICK, FULL) else { return };
    println!("{}\n{}", machine::description(), library_path().display());
    println!("{} rounds with turns of {} ms; medians", plan.rounds, plan.turn.as_millis());
    for (group, mut contestants) in groups {
        println!("\n{group:<28}   ns/op   middle half     speed");
        let series = time(&mut contestants, plan);
        for (contestant, own) in contestants.iter().zip(&series) {
            let (low, high) = own.quartiles();
            let speed = series[0].over(own).median();
            println!("  {:<24} {:>9.1} {low:>8.1}..{high:<8.1} {speed:>5.2}", contestant.name(), own.median());
        }
    }
}
