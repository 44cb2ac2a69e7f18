//! `cargo xtask test`: the whole, and the part of it that takes a few minutes.

use crate::run::{cargo, command, finish, target};
use crate::tools::DENY;
use crate::{clients, demo, fuzz, generate, instructions, load, needs, readme, sanitize, walk};

/// Seconds for each fuzz target: long enough to replay what is known and to look around, no more.
const FUZZ_SECONDS: u64 = 24;

/// Seconds of load on a server: long enough that a leak of 1 kB by each request shows.
const LOAD_SECONDS: u64 = 10;

/// How the core is built besides its default: with both providers, which are then tested against each other, and with the
/// one that needs no C compiler.
const PROVIDERS: [&[&str]; 2] = [&["--all-features"], &["--no-default-features", "--features", "portable"]];

/// What to run before a commit.
pub(crate) fn quick() -> Result<(), String> {
    lints()?;
    finish(&mut cargo(["test", "--workspace", "--locked", "--lib"]))?;
    finish(&mut cargo(["test", "--locked", "--package", "kms-core", "--test", "docs"]))?;
    finish(&mut cargo(["test", "--locked", "--package", "kms-engine", "--test", "scenarios"]))
}

/// Everything.
pub(crate) fn whole() -> Result<(), String> {
    // All at once: what is missing and cannot be installed is told now, not half an hour later.
    needs::install(&[needs::C, needs::GO_AND_PYTHON, needs::CLIENTS, needs::ASAN, needs::MEMCHECK])?;
    lints()?;
    finish(&mut cargo(["test", "--workspace", "--locked"]))?;
    for features in PROVIDERS {
        finish(cargo(["test", "--package", "kms-core", "--locked"]).args(features))?;
    }
    finish(cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    finish(&mut cargo(["build", "--package", "kms-ffi", "--locked"]))?;
    c()?;
    go()?;
    python()?;
    readme::check()?;
    walk::check()?;
    clients::check()?;
    demo::demo()?;
    load::load(LOAD_SECONDS)?;
    instructions::instructions(false)?;
    finish(&mut command(&DENY.get()?, ["check", "bans", "licenses", "sources"]))?;
    sanitize::asan()?;
    sanitize::valgrind()?;
    fuzz::check()?;
    fuzz::fuzz(FUZZ_SECONDS)
}

fn lints() -> Result<(), String> {
    finish(&mut cargo(["fmt", "--all", "--check"]))?;
    finish(&mut cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    for features in PROVIDERS {
        let clippy = ["clippy", "--package", "kms-core", "--all-targets", "--locked"];
        finish(cargo(clippy).args(features).args(["--", "-D", "warnings"]))?;
    }
    let memcheck = ["clippy", "--package", "kms-gm", "--all-targets", "--features", "memcheck", "--locked"];
    finish(cargo(memcheck).args(["--", "-D", "warnings"]))?;
    generate::check_header()
}

/// The C programs of `bindings/c`, with libkms as it was built for debugging.
fn c() -> Result<(), String> {
    let library = format!("KMS_LIB={}", target("debug")?);
    let build = format!("BUILD={}", target("c")?);
    finish(&mut command("make", ["-C", "bindings/c", &library, &build, "ROUNDS=30", "check"]))?;
    // The static library is a product too.
    let (build, program) = (format!("BUILD={}", target("c-static")?), target("c-static/abi")?);
    finish(&mut command("make", ["-C", "bindings/c", &library, &build, "KMS_LINK=static", &program]))?;
    finish(&mut command(&program, []))
}

/// The Go package.
fn go() -> Result<(), String> {
    let library = target("debug")?;
    let link = format!("-L{library} -Wl,-rpath,{library}");
    let mut go = command("go", ["test", "-race", "-count=1", "-v", "./..."]);
    finish(go.current_dir("bindings/go").env("CGO_LDFLAGS", link))
}

/// The Python package.
fn python() -> Result<(), String> {
    let mut python = command(&needs::python()?, ["-m", "pytest", "-q"]);
    finish(python.current_dir("bindings/python").env("KMS_LIBRARY", target("debug/libkms.so")?))
}
