//! Groups of contestants, timed side by side and printed as tables.

use std::time::Duration;

use crate::abi::library_path;
use crate::arguments::{Arguments, Mode};
use crate::rounds::{Plan, time};
use crate::{Contestant, machine};

const QUICK: Plan = Plan { rounds: 15, turn: Duration::from_millis(1) };
const FULL: Plan = Plan { rounds: 201, turn: Duration::from_millis(2) };

/// Does with the groups what the command line says: times those that it selects and prints nanoseconds, and each one's
/// speed in proportion to the first of its group and to the fastest yardstick, if it has any.
#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
pub fn run(mut groups: Vec<(String, Vec<Contestant>)>) {
    let arguments = Arguments::of_program();
    for (group, contestants) in &mut groups {
        contestants.retain(|contestant| arguments.select(&format!("{group}: {}", contestant.name())));
    }
    groups.retain(|(_, contestants)| !contestants.is_empty());

    if let Mode::Count(times) = arguments.mode {
        groups.iter_mut().flat_map(|(_, contestants)| contestants).for_each(|contestant| contestant.repeat(times));
    }
    let Some(plan) = arguments.plan(QUICK, FULL) else { return };
    println!("{}\n{}", machine::description(), library_path().display());
    println!("{} rounds with turns of {} ms or one operation; medians", plan.rounds, plan.turn.as_millis());
    for (group, mut contestants) in groups {
        let series = time(&mut contestants, plan);
        let yardsticks = contestants.iter().zip(&series).filter(|(contestant, _)| contestant.is_yardstick());
        let yardstick = yardsticks.min_by(|(_, a), (_, b)| a.median().total_cmp(&b.median()));
        let title = yardstick.map_or(String::new(), |(contestant, _)| format!("   to {}", contestant.name()));
        println!("\n{group:<46}   ns/op    middle half      speed{title}");
        for (contestant, own) in contestants.iter().zip(&series) {
            let (low, high) = own.quartiles();
            let speed = series[0].over(own).median();
            let (name, own_median) = (contestant.name(), own.median());
            print!("  {name:<42} {own_median:>9.1} {low:>9.1}..{high:<9.1} {speed:>5.2}");
            match yardstick {
                Some((_, yardstick)) => println!("   {:>5.2}", yardstick.over(own).median()),
                None => println!(),
            }
        }
    }
}
