//! Running other programs: what they print goes where ours goes, and a failure names the whole command.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The cargo that runs us.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    command(&env::var("CARGO").unwrap_or_else(|_| "cargo".into()), arguments)
}

/// A program with its arguments. What cargo puts into the search path of libraries for us is taken out again: there lies
/// a libkms, and programs are to load the one that they were linked with.
pub(crate) fn command<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("LD_LIBRARY_PATH");
    command
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

/// The absolute path of something in the repository: programs that run in another folder get it.
pub(crate) fn here(path: &str) -> Result<PathBuf, String> {
    Ok(env::current_dir().map_err(|error| format!("this folder: {error}"))?.join(path))
}

/// Where cargo builds: `target`, unless its user has said otherwise.
pub(crate) fn target(path: &str) -> Result<String, String> {
    let folder = env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    Ok(here(&folder)?.join(path).to_string_lossy().into_owned())
}
