//! The C programs of `bindings/c` and libkms under them, watched by AddressSanitizer and by valgrind; and kms-gm's secrets.
//!
//! A quiet run proves something only if a fault would have been heard. So each run begins with faults made on purpose
//! (`bindings/c/tests/probe.c`, `kms-gm/tests/constant_time.rs`), and ends there if one of them is not reported.

use std::process::Command;

use crate::needs;
use crate::run::{cargo, command, finish, target};

/// Fewer rounds of the threads' test than a plain run has: all is many times slower here.
const ROUNDS: &str = "ROUNDS=8";
const CHECKS: [&str; 3] = [ROUNDS, "check", "check-example"];

/// A fault made on purpose, and what is to be heard of it.
struct Fault {
    /// The probe's argument.
    name: &'static str,
    /// What the report says.
    report: &'static str,
    /// A frame of the report's first stack, and what stands in its line.
    frame: (&'static str, &'static str),
}

/// Frames are told by their file. Frame 0 in libkms.so is a check that was compiled into the library: the functions that
/// AddressSanitizer wraps, such as memcpy and malloc, are in the program.
const ASAN_FAULTS: [Fault; 4] = [
    Fault { name: "c", report: "WRITE of size 1", frame: ("#0 0x", "/probe+0x") },
    Fault { name: "read", report: "READ of size 1", frame: ("#0 0x", "/libkms.so+0x") },
    Fault { name: "write", report: "WRITE of size 1", frame: ("#0 0x", "/libkms.so+0x") },
    Fault { name: "leak", report: "detected memory leaks", frame: ("#1 0x", "/libkms.so+0x") },
];

/// memcheck watches machine code, whoever compiled it; frames are told by their function.
const VALGRIND_FAULTS: [Fault; 4] = [
    Fault { name: "c", report: "Invalid write of size 1", frame: (" at 0x", "fault_in_c") },
    Fault { name: "read", report: "Invalid read of size 1", frame: (" at 0x", "kms_core::crypto::blob") },
    Fault { name: "write", report: "Invalid write of size 1", frame: (" at 0x", "kms_core::crypto::blob") },
    Fault {
        name: "undefined",
        report: "depends on uninitialised value",
        frame: (" by 0x", "kms_core::id::parse_uuid"),
    },
];

/// The same of secrets in kms-gm's own program.
const CONSTANT_TIME_FAULTS: [Fault; 2] = [
    Fault { name: "branch", report: "depends on uninitialised value", frame: (" at 0x", "constant_time::branch") },
    Fault { name: "address", report: "Use of uninitialised value", frame: (" at 0x", "constant_time::address") },
];

/// Runs the C tests and the example with AddressSanitizer compiled into them and into libkms, its C code included;
/// LeakSanitizer looks at the end of each process.
pub(crate) fn asan() -> Result<(), String> {
    needs::install(&[needs::C, needs::ASAN])?;
    let machine = machine()?;
    let folder = target("asan")?;
    // The flags reach what runs on the target, not the build scripts, only if the target is named. The library leaves the
    // sanitizer's functions open; the programs bring them, so that there is one runtime, clang's.
    let build = ["build", "--package", "kms-ffi", "--locked", "--target", &machine, "--target-dir", &folder];
    let name = |variable: &str| format!("{variable}_{}", machine.replace('-', "_"));
    let mut build = cargo(build);
    // The pinned compiler takes the sanitizer's flag with this.
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    build.env(name("CC"), "clang").env(name("CFLAGS"), "-fsanitize=address -fno-omit-frame-pointer");
    finish(&mut build)?;

    let library = format!("KMS_LIB={folder}/{machine}/debug");
    let programs = format!("{folder}/c");
    let make = |goals: &[&str]| {
        let into = format!("BUILD={programs}");
        let mut make = command("make", ["-C", "bindings/c", &library, &into, "CC=clang", "LDFLAGS=-fsanitize=address"]);
        make.arg("CFLAGS=-O1 -g -fsanitize=address -fno-omit-frame-pointer").args(goals);
        make
    };
    finish(&mut make(&["probe"]))?;
    for fault in &ASAN_FAULTS {
        let mut probe = command(&format!("{programs}/probe"), [fault.name]);
        fault.is_reported(probe.env("ASAN_OPTIONS", "symbolize=0"))?;
    }
    let options = "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:allow_addr2line=1";
    finish(make(&CHECKS).env("ASAN_OPTIONS", options))
}

/// Runs the C tests and the example under valgrind's memcheck, with libkms as it is built for debugging.
///
/// A release build would not do: where a value matters to no result, the optimiser may branch on it before it is known
/// to be there, and memcheck cannot tell that from a fault.
pub(crate) fn valgrind() -> Result<(), String> {
    needs::install(&[needs::C, needs::MEMCHECK])?;
    finish(&mut cargo(["build", "--package", "kms-ffi", "--locked"]))?;
    let library = format!("KMS_LIB={}", target("debug")?);
    let programs = target("valgrind")?;
    let into = format!("BUILD={programs}");
    let make = |goals: &[&str]| {
        let mut make = command("make", ["-C", "bindings/c", &library, &into, "CFLAGS=-O1 -g"]);
        make.args(goals);
        make
    };
    finish(&mut make(&["probe"]))?;
    let program = format!("{programs}/probe");
    for fault in &VALGRIND_FAULTS {
        let options = ["-q", "--error-exitcode=9", "--exit-on-first-error=yes", &program, fault.name];
        fault.is_reported(&mut command("valgrind", options))?;
    }
    let run = "RUN=valgrind -q --fair-sched=yes --num-callers=40 --error-exitcode=9";
    finish(make(&CHECKS).arg(run))?;
    constant_time()
}

/// Runs what has secrets in kms-gm with the secrets marked undefined, as it is built for use: what the optimiser makes of it is
/// what counts.
fn constant_time() -> Result<(), String> {
    let runner = format!("CARGO_TARGET_{}_RUNNER", machine()?.replace('-', "_").to_uppercase());
    let program = |argument: &str| {
        let mut run =
            cargo(["test", "--release", "--quiet", "--locked", "--package", "kms-gm", "--features", "memcheck"]);
        run.args(["--test", "constant_time", "--", argument]);
        run.env(&runner, "valgrind -q --num-callers=20 --error-exitcode=9");
        run
    };
    for fault in &CONSTANT_TIME_FAULTS {
        fault.is_reported(&mut program(fault.name))?;
    }
    finish(&mut program("all"))
}

impl Fault {
    /// Runs the probe, which must fail with the right report.
    fn is_reported(&self, probe: &mut Command) -> Result<(), String> {
        let told = probe.output().map_err(|error| format!("{probe:?}: {error}"))?;
        let report = String::from_utf8_lossy(&told.stderr);
        let (number, place) = self.frame;
        let line = report.lines().find(|line| line.contains(number));
        if !told.status.success() && report.contains(self.report) && line.is_some_and(|line| line.contains(place)) {
            return Ok(());
        }
        Err(format!("the fault {:?} is not reported as it should be: {probe:?}: {}\n{report}", self.name, told.status))
    }
}

/// What cargo and rustc call the machine that they run on.
fn machine() -> Result<String, String> {
    let mut rustc = command("rustc", ["--print", "host-tuple"]);
    let told = rustc.output().map_err(|error| format!("{rustc:?}: {error}"))?;
    let name = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    if told.status.success() && !name.is_empty() { Ok(name) } else { Err(format!("{rustc:?}: {}", told.status)) }
}
