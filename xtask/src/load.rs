//! `cargo xtask load`: `kms serve` as it is shipped, kept as busy as it can be, must answer every request well and hold its
//! memory.

use crate::run::{cargo, finish, target};

/// Keeps a server busy for so long.
pub(crate) fn load(seconds: u64) -> Result<(), String> {
    finish(&mut cargo(["build", "--release", "--locked", "--package", "kms-cli"]))?;
    let run = ["run", "--release", "--locked", "--package", "kms-benches", "--bin", "steady_load", "--"];
    finish(cargo(run).args([seconds.to_string(), target("release/kms")?]))
}
