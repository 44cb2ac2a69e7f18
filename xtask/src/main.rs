//! The commands of this repository: `cargo xtask test [--quick]`.

use std::env;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask test [--quick]\n\n  test      format, lints, documentation and every test\n  --quick   without the documentation and the tests of crashes and damage";

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
        if let Err(why) = cargo(step) {
            return fail(&why);
        }
    }
    ExitCode::SUCCESS
}

/// Runs cargo; what it has to say goes where ours goes.
fn cargo(arguments: &[&str]) -> Result<(), String> {
    let told = format!("cargo {}", arguments.join(" "));
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    match command.args(arguments).env("RUSTDOCFLAGS", "-D warnings").status() {
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
