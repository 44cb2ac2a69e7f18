//! The commands of this repository: `cargo xtask test [--quick]`.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask test [--quick]\n\n  test      format, lints, documentation, every test, and those of C, Go and Python\n  --quick   without the documentation, the long tests and the other languages";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // From wherever it is called, the work is done at the top of the repository.
    if let Err(why) = env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")) {
        return fail(&format!("the top of the repository: {why}"));
    }
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
    if !quick {
        for tests in [c_tests, go_tests, python_tests] {
            if let Err(why) = tests() {
                return fail(&why);
            }
        }
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

/// Tests the Go package against the libkms that [`c_tests`] has built.
fn go_tests() -> Result<(), String> {
    let library = library_folder()?;
    let link = format!("-L{library} -Wl,-rpath,{library}");
    let mut go = Command::new("go");
    go.current_dir("bindings/go").env("CGO_LDFLAGS", link).args(["test", "-race", "-count=1", "-v", "./..."]);
    finish(&mut go).map_err(|why| format!("{why}\nthe Go tests need Go 1.19 or later: apt-get install golang-go"))
}

/// Tests the Python package against the libkms that [`c_tests`] has built, in an environment of its own.
fn python_tests() -> Result<(), String> {
    let library = format!("{}/libkms.so", library_folder()?);
    run("python3", &["-m", "venv", "target/python"])
        .map_err(|why| format!("{why}\nthe Python tests need venv: apt-get install python3-venv"))?;
    run("target/python/bin/pip", &["install", "--quiet", "-r", "bindings/python/requirements-test.txt"])?;
    let mut python = Command::new("../../target/python/bin/python");
    python.current_dir("bindings/python").env("KMS_LIBRARY", library).args(["-m", "pytest", "-q"]);
    finish(&mut python)
}

/// Where cargo puts libkms, as an absolute path.
fn library_folder() -> Result<String, String> {
    let here = env::current_dir().map_err(|error| format!("this folder: {error}"))?;
    Ok(here.join("target/debug").to_string_lossy().into_owned())
}

/// Runs a program; what it has to say goes where ours goes.
fn run(program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<(), String> {
    finish(Command::new(program).args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

fn finish(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

#[allow(clippy::print_stderr, reason = "a command tells its user what went wrong")]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
