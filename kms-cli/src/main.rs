//! The `kms` command: makes a KMS, serves it, and asks it.
//!
//! ```text
//!   init ───────► home: config.json, root.key, store/
//!   serve ──────► engine ──► kms-server ──► HTTP, HTTPS
//!                    ▲
//!   access-key, call, run-due ── owner ──┤ opens the engine itself,
//!                                        └ or asks the server that has it open, through home/owner.sock
//! ```
//!
//! No secret stands on a command line, where every user of the machine can read it: passphrases, and the parameters that are
//! secrets, come from a file, from standard input, or are asked for, and are not taken otherwise.

#![forbid(unsafe_code)]

mod arguments;
mod home;
mod owner;
mod secret;
mod self_test;
mod serve;
mod show;
mod socket;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use kms_core::{Action, KmsError};
use zeroize::Zeroizing;

use crate::arguments::{AccessKeyCommand, Arguments, Command, Output};
use crate::home::Home;
use crate::owner::{Owner, Refusal, Request};

/// Why a command fails; each has an exit status of its own.
enum Failure {
    /// The KMS has refused what was asked: 1.
    Refused(Refusal),
    /// The command line makes no sense: 2. What clap finds has this status, too.
    Usage(String),
    /// It could not be asked: 3.
    Cannot(String),
}

impl From<KmsError> for Failure {
    fn from(error: KmsError) -> Self {
        Refusal::of(&error, None).into()
    }
}

/// A code of this library's own is about the store, the configuration or the machine: nothing was decided by the KMS.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        if refusal.http_status == 0 { Self::Cannot(refusal.to_string()) } else { Self::Refused(refusal) }
    }
}

impl Failure {
    fn at(place: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Cannot(format!("{place}: {error}"))
    }
}

fn main() -> ExitCode {
    let Arguments { home, passphrase_file, command } = Arguments::parse();
    let home = Home::new(home, passphrase_file);
    let (told, status) = match run(&home, command) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(refusal)) => (refusal.to_string(), 1),
        Err(Failure::Usage(why)) => (why, 2),
        Err(Failure::Cannot(why)) => (why, 3),
    };
    // With nobody left to read it, the status says enough.
    let _ = writeln!(io::stderr(), "kms: {told}");
    ExitCode::from(status)
}

fn run(home: &Home, command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(options) => home.create(&options),
        Command::Serve(options) => serve::serve(home, *options),
        Command::AccessKey(command) => access_key(home, command),
        Command::Call { action, parameters, output } => {
            let params = secret::parameters(&parameters)?;
            let reply = Owner::of(home)?.ask(&Request::Call { action, params })?;
            print(&reply, output)
        }
        Command::RunDue { output } => print(&Owner::of(home)?.ask(&Request::RunDue)?, output),
        Command::Actions => {
            let standing = Action::ALL.iter().filter(|action| action.stands());
            say(&standing.map(|action| action.as_str()).collect::<Vec<_>>().join("\n"))
        }
        Command::SelfTest => self_test::run(),
    }
}

fn access_key(home: &Home, command: AccessKeyCommand) -> Result<(), Failure> {
    let (request, output) = match command {
        AccessKeyCommand::Create { comment, output } => (Request::CreateAccessKey { comment }, Some(output)),
        AccessKeyCommand::List { output } => (Request::ListAccessKeys, Some(output)),
        AccessKeyCommand::Enable { id } => (Request::EnableAccessKey { id, enabled: true }, None),
        AccessKeyCommand::Disable { id } => (Request::EnableAccessKey { id, enabled: false }, None),
        AccessKeyCommand::Delete { id } => (Request::DeleteAccessKey { id }, None),
    };
    let reply = Owner::of(home)?.ask(&request)?;
    // Those that have nothing to tell say nothing.
    output.map_or(Ok(()), |output| print(&reply, output))
}

fn print(json: &str, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => say(json),
        Output::Table => say(&show::table(json).map_err(|error| Failure::Cannot(format!("the answer: {error}")))?),
    }
}

/// Writes a line to standard output, at once.
fn say(line: &str) -> Result<(), Failure> {
    let line = Zeroizing::new(format!("{line}\n"));
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(Failure::at("standard output"))
}
