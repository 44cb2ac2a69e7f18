//! Random histories of the KMS: an engine on a disk that fails, held against a plain model after every step.
//!
//! ```text
//!   seed ──► history (chance) ──► Op ─┐        ┌─► Engine on kms_store::fault ─┐
//!   bytes ──► arbitrary ────────► Op ─┴► World ┤                               ├─► equal, or a Failure with its story
//!                                              └─► Model (contract/) ──────────┘
//! ```
//!
//! A seed decides a whole history, so [`simulate`] does the same again for it; its failure prints as a scenario of
//! `scenarios/README.md`. `cargo xtask simulate` runs many seeds, `tests/` some hundreds, and the fuzz target `ops` makes
//! histories out of a fuzzer's bytes by [`run`].
//!
//! The invariants, after each step: an Enabled key works, and any other refuses with the code of its state; what was
//! acknowledged is there, after a crash too; what was refused or lost has left no trace; and every ciphertext of a key
//! that is left decrypts.

#![forbid(unsafe_code)]

pub mod call;
mod census;
mod chance;
mod history;
mod model;
mod story;
mod world;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use arbitrary::{Arbitrary, Unstructured};

pub use census::Census;
use chance::Chance;
use world::{Op, Settings, World};

/// The longest history of [`run`].
const MAX_OPS: usize = 64;

/// A history in which engine and model do not agree.
#[derive(Debug)]
pub struct Failure {
    /// The seed that makes it again.
    pub seed: u64,
    /// The step at which it was noticed, counted from 1.
    pub step: u64,
    /// What was expected, and what came.
    pub why: String,
    /// What had happened until then, as a scenario that ends with what failed.
    pub scenario: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, why, scenario } = self;
        writeln!(f, "seed {seed} fails at step {step}: {why}")?;
        writeln!(f, "again: cargo xtask simulate --seeds 1 --from {seed}")?;
        write!(f, "so far:\n\n{scenario}")
    }
}

impl std::error::Error for Failure {}

/// Makes the history of a seed, and tells what came about in it.
///
/// # Errors
/// [`Failure`] where engine and model do not agree; a panic of the engine is one too.
pub fn simulate(seed: u64) -> Result<Census, Box<Failure>> {
    simulate_with(seed, |_| {})
}

fn simulate_with(seed: u64, meddle: impl FnMut(&mut World)) -> Result<Census, Box<Failure>> {
    let mut chance = Chance::new(seed);
    let settings = Settings { seed, quotas: chance.percent(20), hsm: chance.percent(85) };
    let mut world = World::new(settings);
    match catch_unwind(AssertUnwindSafe(|| history::run(&mut world, &mut chance, meddle))) {
        Ok(()) => Ok(world.census),
        Err(panic) => {
            let why = message(&*panic);
            Err(Box::new(Failure { seed, step: world.census.steps, why, scenario: world.story.to_string() }))
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

/// Makes a history out of bytes: one of settings, then the steps.
///
/// # Panics
/// Where engine and model do not agree; the story is printed before that.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(settings) = u8::arbitrary(&mut input) else { return };
    let mut world = World::new(Settings { seed: 0, quotas: settings & 1 != 0, hsm: settings & 2 == 0 });
    let history = catch_unwind(AssertUnwindSafe(|| {
        for n in 0..settings >> 2 & 3 {
            world.step(&Op::plain_key(n));
        }
        for _ in 0..MAX_OPS {
            if input.is_empty() {
                break;
            }
            // What is missing of the last step is taken for zeros.
            let Ok(op) = Op::arbitrary(&mut input) else { break };
            world.step(&op);
            world.check();
        }
        world.finish();
    }));
    if let Err(panic) = history {
        print_story(&world);
        resume_unwind(panic);
    }
}

#[allow(clippy::print_stderr, reason = "whoever looks into a failure wants to know what led to it")]
fn print_story(world: &World) {
    eprintln!("{}", world.story);
}

#[cfg(test)]
mod tests;
