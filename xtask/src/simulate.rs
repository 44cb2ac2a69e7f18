//! `cargo xtask simulate`: many seeds of kms-sim, in an optimised build, on all processors.

use crate::run::{cargo, finish};

/// How many seeds when nobody says.
const SEEDS: u64 = 20_000;

/// Runs the seeds that the options ask for.
pub(crate) fn simulate(options: &[&str]) -> Result<(), String> {
    let (mut seeds, mut from) = (SEEDS, 0);
    let mut rest = options;
    while let [name, value, more @ ..] = rest {
        let number: u64 = value.parse().map_err(|_| format!("{name} takes a whole number"))?;
        match *name {
            "--seeds" => seeds = number,
            "--from" => from = number,
            _ => return Err(format!("simulate knows --seeds and --from, not {name}")),
        }
        rest = more;
    }
    if let [name] = rest {
        return Err(format!("simulate does not know what {name} is to be"));
    }
    let run = ["run", "--release", "--locked", "--package", "kms-sim", "--bin", "simulate", "--"];
    finish(cargo(run).args([seeds, from].map(|number| number.to_string())))
}
