//! `kms serve` ended in the midst of its work: what a client was told is done is in the store, and nothing is there by halves.
//!
//! Several clients make calls that change things, each over one connection that it keeps, with requests that are really signed.
//! Then the server is told to stop, or it is killed, and the store is read through an engine: everything must be as the last
//! answered call left it, or as the one call in flight of each client would have.

mod client;
#[path = "../../../kms-engine/tests/common/mod.rs"]
#[allow(dead_code, reason = "not every test has a use for all of it")]
mod common;
#[path = "../../../kms-engine/tests/common/in_flight.rs"]
mod in_flight;
#[allow(dead_code, reason = "clients go by two ways here")]
#[path = "../../../kms-server/tests/common/signing.rs"]
mod signing;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use client::{AccessKey, Client};
use common::{Blob, Call, Model, State, open, random};
use in_flight::apply_if_done;
use signing::Way;

/// How many clients work at once.
const CLIENTS: usize = 4;
/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn kms(home: &Path) -> Command {
    let mut kms = Command::new(env!("CARGO_BIN_EXE_kms"));
    kms.arg("--home").arg(home).stdin(Stdio::null()).env_remove("KMS_HOME").env_remove("KMS_PASSPHRASE_FILE");
    kms
}

/// A KMS on disk, and what its clients have been told.
struct Kms {
    _folder: TempDir,
    home: PathBuf,
    key: AccessKey,
    model: Model,
    blobs: Vec<Blob>,
    calls: usize,
    rounds: usize,
}

/// What one client has been told, and the call to which it has no answer.
#[derive(Default)]
struct Told {
    done: Vec<(Call, Option<common::NewKey>)>,
    blobs: Vec<Blob>,
    in_flight: Option<Call>,
    /// Whether the answer to it had begun.
    cut: bool,
}

impl Kms {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        assert!(kms(&home).arg("init").output().unwrap().status.success());
        let made = kms(&home).args(["access-key", "create", "--output", "json"]).output().unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let key = AccessKey { id: text("AccessKeyId"), secret: text("AccessKeySecret") };
        let (model, blobs) = (Model::default(), Vec::new());
        Self { _folder: folder, home, key, model, blobs, calls: 0, rounds: 0 }
    }

    /// Serves, lets the clients work, and sends the server this signal when they have got so far and some more time has
    /// passed. Says what the server ended with, how long it took to, and whether an answer was cut.
    fn serve(&mut self, signal: Signal, calls: usize, more: Duration) -> (ExitStatus, Duration, bool) {
        self.rounds += 1;
        let (mut server, address) = start(&self.home);
        let (kms, done) = (&*self, AtomicUsize::new(0));
        let (told, status, took) = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|at| {
                    scope.spawn({
                        let done = &done;
                        move || kms.work(at, address, done)
                    })
                })
                .collect();
            let begun = Instant::now();
            while done.load(Ordering::Relaxed) < calls {
                assert!(begun.elapsed() < PATIENCE, "the clients get no answers");
                assert!(server.try_wait().unwrap().is_none(), "the server ended by itself");
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(more);
            let sent = Instant::now();
            kill_process(Pid::from_child(&server), signal).unwrap();
            let status = server.wait().unwrap();
            let took = sent.elapsed();
            (clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>(), status, took)
        });
        assert!(TcpStream::connect(address).is_err(), "nobody listens there any more");
        let cut = told.iter().any(|told| told.cut);
        self.compare(told);
        (status, took, cut)
    }

    /// One client, until its connection ends.
    fn work(&self, at: usize, address: SocketAddr, all: &AtomicUsize) -> Told {
        let way = if at.is_multiple_of(2) { Way::PostForm } else { Way::Acs3Query };
        let mut client = Client::connect(address, &self.key, way);
        let (mut model, mut told) = (self.model.clone(), Told::default());
        for number in 0.. {
            let call = model.next_call(at, &format!("{}-{number}", self.rounds));
            let (action, params) = call.request();
            match client.ask(action, &params) {
                Ok(mut reply) => {
                    let new_key = call.new_key(&mut reply);
                    model.apply(&call, new_key.clone());
                    told.done.push((call, new_key));
                    all.fetch_add(1, Ordering::Relaxed);
                }
                Err(end) => {
                    (told.in_flight, told.cut) = (Some(call), end.cut);
                    break;
                }
            }
            match encrypt(&mut client, &model, at, number) {
                Ok(blob) => told.blobs.extend(blob),
                Err(end) => {
                    told.cut = end.cut;
                    break;
                }
            }
        }
        told
    }

    /// Opens the store and compares it with what was told.
    fn compare(&mut self, told: Vec<Told>) {
        let engine = open(&self.home).unwrap();
        let found = Model::read(&engine);
        let mut in_flight = Vec::new();
        // Each client has keys and aliases of its own, so that the order among clients does not matter.
        for Told { done, blobs, in_flight: call, .. } in told {
            self.calls += done.len();
            done.into_iter().for_each(|(call, new_key)| self.model.apply(&call, new_key));
            self.blobs.extend(blobs);
            in_flight.extend(call);
        }
        for call in &in_flight {
            apply_if_done(&mut self.model, call, &found);
        }
        assert_eq!(found, self.model, "in flight: {in_flight:?}");
        for blob in &self.blobs {
            blob.check(&engine, found.keys[&blob.key].state);
        }
    }
}

/// Starts the server, and says where it is.
fn start(home: &Path) -> (Child, SocketAddr) {
    let mut server = kms(home);
    let mut server = server.args(["serve", "--http", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = None;
    for line in BufReader::new(server.stdout.as_mut().unwrap()).lines() {
        match line.unwrap().split_once("http://") {
            Some((_, text)) => address = Some(text.parse().unwrap()),
            None => break,
        }
    }
    (server, address.expect("the server tells where it is"))
}

/// Encrypts under a key of the client that is enabled, if there is one.
fn encrypt(client: &mut Client<'_>, model: &Model, at: usize, number: usize) -> Result<Option<Blob>, client::End> {
    let owner = format!("t{at}-");
    let enabled = model.keys.iter().filter(|(_, facts)| facts.state == State::Enabled);
    let mut own = enabled.filter(|(_, facts)| facts.description.label.starts_with(&owner)).skip(number % 7);
    let Some((key, _)) = own.next() else { return Ok(None) };
    let plaintext = vec![number as u8; 1 + number % 64];
    let reply = client.ask("Encrypt", &json!({ "KeyId": key, "Plaintext": STANDARD.encode(&plaintext) }))?;
    let blob = STANDARD.decode(reply["CiphertextBlob"].as_str().unwrap()).unwrap();
    Ok(Some(Blob { key: key.clone(), blob, plaintext }))
}

fn up_to(milliseconds: usize) -> Duration {
    Duration::from_millis(random(milliseconds) as u64)
}

#[test]
fn a_server_that_is_stopped_loses_nothing_and_cuts_no_answer() {
    let mut kms = Kms::new();
    for _ in 0..5 {
        let (status, took, cut) = kms.serve(Signal::TERM, 60, up_to(200));
        assert_eq!(status.code(), Some(0));
        assert!(!cut, "an answer was cut");
        // What is in progress takes no time worth mentioning; a request that never ends would have 10 s.
        assert!(took < Duration::from_secs(8), "stopping took {took:?}");
    }
    assert!(kms.calls >= 300 && kms.blobs.len() > 50, "only {} calls and {} ciphertexts", kms.calls, kms.blobs.len());
}

#[test]
fn a_server_that_is_killed_loses_nothing() {
    let mut kms = Kms::new();
    for _ in 0..10 {
        let (status, ..) = kms.serve(Signal::KILL, 30, up_to(150));
        assert_eq!(status.signal(), Some(9));
    }
    assert!(kms.calls >= 300 && kms.blobs.len() > 50, "only {} calls and {} ciphertexts", kms.calls, kms.blobs.len());
}
