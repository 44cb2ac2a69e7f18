//! `cargo xtask fuzz`: builds the fuzz targets with AddressSanitizer, proves that it is on, and runs each target.

use std::fs;
use std::process::Command;

use crate::needs;
use crate::run::{cargo, command, finish, here, target};
use crate::tools::FUZZ;

/// The targets, and what libFuzzer should know about each.
const TARGETS: [(&str, &[&str]); 8] = [
    ("asymmetric", &[]),
    ("blob", &[]),
    ("ecdsa", &["-max_len=512"]),
    // Leaks are looked for at the end alone: the engine stays from input to input, and so each one seems to leave something.
    ("http_request", &["-dict=dictionaries/http_request.dict", "-max_len=8192", "-detect_leaks=0"]),
    ("json_call", &["-dict=dictionaries/json_call.dict", "-max_len=8192"]),
    ("record", &["-malloc_limit_mb=256"]),
    ("sm2", &["-max_len=512"]),
    // Long from the start: a fault needs a history.
    ("ops", &["-max_len=2048", "-len_control=0"]),
];

/// Runs each target for so long.
pub(crate) fn fuzz(seconds: u64) -> Result<(), String> {
    needs::install(&[needs::ASAN])?;
    let fuzz = Fuzz { tool: FUZZ.get()?, folder: here("fuzz")?.to_string_lossy().into_owned() };
    finish(&mut fuzz.command(&["build"]))?;
    for language in ["rust", "c"] {
        fuzz.prove_sanitizer(language)?;
    }
    for (target, flags) in TARGETS {
        fuzz.run(target, flags, seconds)?;
    }
    Ok(())
}

/// Format, lints, and every kept input, without a fuzzer. The package is a workspace of its own, which the library's tests
/// do not reach.
pub(crate) fn check() -> Result<(), String> {
    let manifest = ["--manifest-path", "fuzz/Cargo.toml"];
    let folder = target("fuzz-check")?;
    let built = ["--all-targets", "--locked", "--target-dir", &folder];
    finish(cargo(["fmt"]).args(manifest).arg("--check"))?;
    finish(cargo(["clippy"]).args(manifest).args(built).args(["--", "-D", "warnings"]))?;
    finish(cargo(["test"]).args(manifest).args(["--test", "seeds", "--locked", "--target-dir", &folder]))
}

struct Fuzz {
    tool: String,
    folder: String,
}

impl Fuzz {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.tool, arguments.iter().copied());
        command.current_dir(&self.folder);
        // The pinned compiler takes the sanitizer's flags with this; C code is watched too.
        command.env("RUSTC_BOOTSTRAP", "1").env("CC", "clang").env("CFLAGS", "-fsanitize=address");
        command
    }

    /// A memory error made on purpose must be reported.
    fn prove_sanitizer(&self, language: &str) -> Result<(), String> {
        let mut command = self.command(&["run", "blob", "--", "-runs=0"]);
        let told =
            command.env("KMS_FUZZ_ASAN_CHECK", language).output().map_err(|error| format!("{command:?}: {error}"))?;
        if !told.status.success() && String::from_utf8_lossy(&told.stderr).contains("heap-buffer-overflow") {
            return Ok(());
        }
        Err(format!("AddressSanitizer does not watch the {language} code: {command:?}"))
    }

    /// Runs one target. The corpus is kept from run to run, and the committed seeds are added to it.
    fn run(&self, target: &str, flags: &[&str], seconds: u64) -> Result<(), String> {
        let (corpus, seeds) = (format!("corpus/{target}"), format!("seeds/{target}"));
        let folder = format!("{}/{corpus}", self.folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
        let limit = format!("-max_total_time={seconds}");
        let mut arguments = vec!["run", target, &corpus];
        if fs::exists(format!("{}/{seeds}", self.folder)).unwrap_or(false) {
            arguments.push(&seeds);
        }
        arguments.extend(["--", &limit, "-print_final_stats=1", "-verbosity=0"]);
        arguments.extend(flags);
        finish(&mut self.command(&arguments))
    }
}
