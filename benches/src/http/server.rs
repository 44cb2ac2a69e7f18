//! The server that is measured: the command `kms`, as it is shipped.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::Credentials;

/// Names the program to measure, if it is not the one beside the benchmark.
pub const PROGRAM: &str = "KMS_PROGRAM";

/// A server on a store in memory, which ends with this.
pub struct Server {
    child: Child,
    /// Where it answers HTTP.
    pub address: SocketAddr,
    /// Its AccessKey.
    pub credentials: Credentials,
    // It would be ended by writing to a pipe that nobody holds.
    _output: BufReader<ChildStdout>,
    _folder: TempDir,
}

/// The `kms` that the user has named, or that cargo has built in the same way as this program.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn program() -> PathBuf {
    let beside = || {
        let own = env::current_exe().expect("a program has a name");
        // A benchmark lies in a folder below the programs.
        own.ancestors().skip(1).take(2).map(|folder| folder.join("kms")).find(|program| program.is_file())
    };
    let program = env::var_os(PROGRAM).map(PathBuf::from).or_else(beside);
    program.expect("there is a kms to measure: cargo build --release --package kms-cli")
}

impl Server {
    /// Starts the program, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let mut command = Command::new(program);
        command.args(["serve", "--dev", "--http", "127.0.0.1:0"]).current_dir(&folder);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{}: {why}", program.display()));
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (mut address, mut id, mut secret) = (None, None, None);
        loop {
            let mut line = String::new();
            let len = output.read_line(&mut line).expect("it tells what it does in text");
            assert_ne!(len, 0, "kms serve ended before it was ready");
            match line.trim_end().split_once(": ") {
                Some(("AccessKeyId", text)) => id = Some(text.to_owned()),
                Some(("AccessKeySecret", text)) => secret = Some(text.to_owned()),
                Some(("HTTP", text)) => address = text.strip_prefix("http://").and_then(|text| text.parse().ok()),
                _ if line == "Ready.\n" => break,
                _ => {}
            }
        }
        let (Some(address), Some(id), Some(secret)) = (address, id, secret) else {
            panic!("kms serve does not tell where it is and who may ask")
        };
        Self { child, address, credentials: Credentials { id, secret }, _output: output, _folder: folder }
    }

    /// The memory that it holds, in bytes.
    ///
    /// # Panics
    /// When the system does not tell.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
        kilobytes * 1024
    }

    /// The processor time that it has used, in steps of the system's clock.
    ///
    /// # Panics
    /// When the system does not tell.
    #[must_use]
    pub fn time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        // Behind the name, which may hold anything: state, then ten numbers, then the time for itself and in the system.
        let behind = stat.rsplit_once(") ").expect("there is a name").1;
        let ticks: u64 = behind.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
        // Linux counts in hundredths of a second here, whatever its own clock does.
        Duration::from_millis(10 * ticks)
    }

    /// Stops it as its owner would.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn stop(mut self) {
        let id = libc::pid_t::try_from(self.child.id()).expect("it is a process id");
        // SAFETY: kill has no conditions; the child was not waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0, "it runs");
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "kms serve: {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever has stopped it has waited for it: then this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
