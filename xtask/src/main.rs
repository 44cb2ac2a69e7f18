//! The commands of this repository: `cargo xtask test [--quick]`.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask test [--quick]\n\n  test      format, lints, documentation, every test, and the C programs\n  --quick   without the documentation, the long tests and C";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let quick = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => false,
        ["test", "--quick"] => true,
        _ => return fail(USAGE),
    };
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    let mut steps: Vec<&[&str]> = vec![&["fmt", "--all", "--check"], &clippy];
    if quick {
        steps.push(&["test", "--workspace", "--locked", "--lib"]);
    } else {
        steps.push(&["test", "--workspace", "--locked"]);
        steps.push(&["doc", "--workspace", "--no-deps", "--locked"]);
    }
    for step in steps {
        if let Err(why) = run(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), step) {
            return fail(&why);
        }
    }
    if !quick && let Err(why) = c_tests() {
        return fail(&why);
    }
    ExitCode::SUCCESS
}

/// Builds libkms and runs the C programs of `bindings/c` against it.
fn c_tests() -> Result<(), String> {
    run("pkg-config", &["--print-errors", "--exists", "jansson", "libcrypto"]).map_err(|why| {
        format!("{why}\nthe C tests need jansson and OpenSSL: apt-get install pkg-config libjansson-dev libssl-dev")
    })?;
    run(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), &["build", "--package", "kms-ffi", "--locked"])?;
    run("make", &["-C", "bindings/c", "KMS_LIB=../../target/debug", "BUILD=../../target/c", "ROUNDS=30", "check"])
}

/// Runs a program; what it has to say goes where ours goes.
fn run(program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<(), String> {
    let program = program.as_ref();
    let told = format!("{} {}", program.to_string_lossy(), arguments.join(" "));
    match Command::new(program).args(arguments).env("RUSTDOCFLAGS", "-D warnings").status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{told}: {status}")),
        Err(error) => Err(format!("{told}: {error}")),
    }
}

#[allow(clippy::print_stderr, reason = "a command tells its user what went wrong")]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
