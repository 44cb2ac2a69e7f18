//! The commands of this repository. Each does all that it needs on a fresh machine, and stops at the first thing that
//! fails; nothing is left out in silence.

mod clients;
mod demo;
mod fuzz;
mod generate;
mod install;
mod instructions;
mod load;
mod needs;
mod peers;
mod readme;
mod run;
mod sanitize;
mod simulate;
mod test;
mod tools;
mod walk;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo              builds libkms and shows it at work: a C, a Go and a Python program share one store
  test              everything that can be tested: format, lints, documentation, Rust, C, Go, Python, and the server's SDKs
  test --quick      a few minutes' part of it: format, lints, generated files, unit tests and scenarios
  clients           the part of it that drives the server with the SDKs for Python and Node.js
  simulate [--seeds N] [--from S]
                    random histories on a failing disk against a plain model: N seeds (20000), from S on (0)
  fuzz MINUTES      runs each fuzz target for so long, under AddressSanitizer
  load SECONDS      keeps a kms serve as busy as it can be: no request may fail, and its memory must not grow; 60 say much
  instructions [--update]
                    counts the instructions of the most frequent calls and compares them with benches/instructions.txt, or
                    writes that anew
  peers [--quick]   libkms beside SoftHSM2, OpenSSL and libsecp256k1: times and proportions
  peers --check     the same without times: everyone's results are right
  asan, valgrind    the C programs and libkms under AddressSanitizer, or under valgrind's memcheck; that one also watches what
                    kms-gm does with secrets
  generate          writes include/kms.h, docs/states.md and docs/errors.md anew
  install PREFIX    builds libkms and puts it there, with its header and a file for pkg-config";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // From wherever it is called, the work is done at the top of the repository.
    if let Err(why) = env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")) {
        return fail(&format!("the top of the repository: {why}"));
    }
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo"] => demo::demo(),
        ["test"] => test::whole(),
        ["test", "--quick"] => test::quick(),
        ["clients"] => clients::check(),
        ["asan"] => sanitize::asan(),
        ["valgrind"] => sanitize::valgrind(),
        ["instructions"] => instructions::instructions(false),
        ["instructions", "--update"] => instructions::instructions(true),
        ["peers"] => peers::peers(false),
        ["peers", "--quick"] => peers::peers(true),
        ["peers", "--check"] => peers::check(),
        ["simulate", ref options @ ..] => simulate::simulate(options),
        ["fuzz", minutes] => match minutes.parse::<u64>() {
            Ok(minutes @ 1..=10_000) => fuzz::fuzz(60 * minutes),
            _ => Err("MINUTES is a whole number from 1 to 10000".to_owned()),
        },
        ["load", seconds] => match seconds.parse::<u64>() {
            Ok(seconds @ 2..=100_000) => load::load(seconds),
            _ => Err("SECONDS is a whole number from 2 to 100000".to_owned()),
        },
        ["generate"] => generate::write(),
        ["install", prefix] => install::install(prefix),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

#[allow(clippy::print_stderr, reason = "a command tells its user what went wrong")]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
