//! `cargo xtask peers`: libkms as it is shipped beside SoftHSM2, OpenSSL and libsecp256k1, in one run.

use std::process::Command;

use crate::needs;
use crate::run::{cargo, finish, target};

/// Measures; quickly for a first look.
pub(crate) fn peers(quick: bool) -> Result<(), String> {
    needs::install(&[needs::PEERS])?;
    finish(&mut cargo(["build", "--release", "--locked", "--package", "kms-ffi"]))?;
    let mut bench = package("bench")?;
    if quick {
        bench.args(["--", "--quick"]);
    }
    finish(bench.env("KMS_LIBRARY", target("release/libkms.so")?))
}

/// Format and lints, and that every contestant is right, without timing any.
pub(crate) fn check() -> Result<(), String> {
    needs::install(&[needs::PEERS])?;
    finish(&mut cargo(["fmt", "--manifest-path", MANIFEST, "--check"]))?;
    // In release, so that nothing is built for this alone.
    finish(package("clippy")?.args(["--release", "--all-targets", "--", "-D", "warnings"]))?;
    finish(package("test")?.args(["--release", "--benches"]))
}

/// The package is a workspace of its own, which the library's commands do not reach.
const MANIFEST: &str = "benches/peers/Cargo.toml";

/// A command of cargo for the package, which builds in a folder of its own.
fn package(command: &str) -> Result<Command, String> {
    let folder = target("peers")?;
    Ok(cargo([command, "--locked", "--manifest-path", MANIFEST, "--target-dir", &folder]))
}
