//! The command line that the benchmarks share.

use std::env;
use std::process;

use crate::rounds::Plan;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is timed: the contestants are made, which checks them. `cargo test` starts benchmarks in this way.
    Check,
    /// A few rounds, to see whether something is far off.
    Quick,
    /// Enough rounds to quote.
    Full,
    /// Nothing is timed: each contestant does its work so many times, for a profiler to watch.
    Count(u64),
}

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What is to be done.
    pub mode: Mode,
    filters: Vec<String>,
}

impl Arguments {
    /// Reads the command line of this program. One that cannot be understood ends the program.
    #[must_use]
    pub fn of_program() -> Self {
        Self::parse(env::args().skip(1)).unwrap_or_else(|why| {
            #[expect(clippy::print_stderr, reason = "a command tells its user what went wrong")]
            {
                eprintln!("{why}\nusage: [--quick | --count N] [TEXT ...]\n\n  --quick    a few rounds\n  --count N  without timing: each selected contestant works N times\n  TEXT       select what has each TEXT in its name");
            }
            process::exit(2)
        })
    }

    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut bench, mut quick, mut count, mut filters) = (false, false, None, Vec::new());
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // cargo bench says so, and cargo test says nothing.
                "--bench" => bench = true,
                "--quick" => quick = true,
                "--count" => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    count = Some(number.ok_or("--count wants a number")?);
                }
                option if option.starts_with('-') => return Err(format!("{option} is not known")),
                _ => filters.push(argument),
            }
        }
        let mode = match (count, bench, quick) {
            (Some(_), _, true) => return Err("--quick and --count exclude each other".to_owned()),
            (Some(count), ..) => Mode::Count(count),
            (None, true, true) => Mode::Quick,
            (None, true, false) => Mode::Full,
            (None, false, _) => Mode::Check,
        };
        Ok(Self { mode, filters })
    }

    /// Whether the user wants this one.
    #[must_use]
    pub fn select(&self, name: &str) -> bool {
        self.filters.iter().all(|filter| name.contains(filter.as_str()))
    }

    /// The numbers among what the user wants, for a benchmark of sizes; these if there are none.
    ///
    /// # Panics
    /// When something else stands there.
    #[must_use]
    pub fn numbers(&self, default: &[u64]) -> Vec<u64> {
        let read = |text: &String| text.parse().unwrap_or_else(|_| panic!("{text} is no number"));
        if self.filters.is_empty() { default.to_vec() } else { self.filters.iter().map(read).collect() }
    }

    /// The plan of a mode that times, from those of the quick and of the full one.
    #[must_use]
    pub fn plan(&self, quick: Plan, full: Plan) -> Option<Plan> {
        match self.mode {
            Mode::Quick => Some(quick),
            Mode::Full => Some(full),
            Mode::Check | Mode::Count(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn only_cargo_bench_times() {
        for (line, mode) in [
            ("", Mode::Check),
            ("--quick", Mode::Check),
            ("--bench", Mode::Full),
            ("--quick --bench", Mode::Quick),
            ("--count 5 --bench", Mode::Count(5)),
            ("--count 5", Mode::Count(5)),
        ] {
            assert_eq!(parse(line).map(|arguments| arguments.mode), Ok(mode), "{line}");
        }
        for line in ["--count", "--count x", "--quick --count 5", "--fast"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn numbers_stand_in_their_order() {
        assert_eq!(parse("5000 --bench 10").unwrap().numbers(&[1]), [5000, 10]);
        assert_eq!(parse("--bench").unwrap().numbers(&[1, 2]), [1, 2]);
    }

    #[test]
    fn every_text_must_be_in_the_name() {
        let arguments = parse("Encrypt --bench ABI").unwrap();
        assert!(arguments.select("Encrypt 32 B: C ABI"));
        assert!(!arguments.select("Encrypt 32 B: core"));
        assert!(parse("--bench").unwrap().select("anything"));
    }
}
