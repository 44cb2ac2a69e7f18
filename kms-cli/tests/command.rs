//! The command as its users have it: exit status, output, files; with the engine opened by itself and behind a server.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::Value;
use tempfile::TempDir;

fn kms(home: &Path) -> Command {
    let mut kms = Command::new(env!("CARGO_BIN_EXE_kms"));
    kms.arg("--home").arg(home).stdin(Stdio::null()).env_remove("KMS_HOME").env_remove("KMS_PASSPHRASE_FILE");
    kms
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    kms(home).args(arguments).output().unwrap()
}

#[track_caller]
fn done(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(home: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(home, arguments)).unwrap()
}

/// That a command fails with this status, says this on standard error, and nothing on standard output.
#[track_caller]
fn fails(home: &Path, arguments: &[&str], status: i32, says: &str) {
    let output = run(home, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}");
    assert!(told.contains(says), "{arguments:?}: {told}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
}

fn fresh() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    done(&home, &["init"]);
    (folder, home)
}

fn create_key(home: &Path) -> String {
    json(home, &["call", "CreateKey"])["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

/// Every file below a folder: its path from there, and what is in it.
fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    files
}

/// A server of a home folder, ended by SIGKILL if a test has not ended it better.
struct Served(Child, Vec<String>);

fn serve(home: &Path, options: &[&str]) -> Served {
    let mut serve = kms(home);
    serve.arg("serve").args(options).stdout(Stdio::piped());
    let mut child = serve.spawn().unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        if line == "Ready." {
            return Served(child, lines);
        }
        lines.push(line);
    }
    panic!("it ended: {:?}", child.wait());
}

impl Served {
    fn line(&self, name: &str) -> &str {
        self.1.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {:?}", self.1))
    }

    fn stop(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that the owner can do, whoever has the engine open.
fn own(home: &Path) {
    let made = json(home, &["access-key", "create", "--comment", "c", "--output", "json"]);
    let id = made["AccessKeyId"].as_str().unwrap();
    assert_eq!(made["AccessKeySecret"].as_str().unwrap().len(), 30);
    let find = || {
        let list = json(home, &["access-key", "list", "--output", "json"]);
        assert!(!list.to_string().contains("AccessKeySecret"));
        let rows = list["AccessKeys"]["AccessKey"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["AccessKeyId"] == id).map(|row| row["Status"].as_str().unwrap().to_owned())
    };
    assert_eq!(find().as_deref(), Some("Active"));
    assert_eq!(done(home, &["access-key", "disable", id]), "");
    assert_eq!(find().as_deref(), Some("Inactive"));
    assert_eq!(done(home, &["access-key", "enable", id]), "");
    assert_eq!(find().as_deref(), Some("Active"));
    assert_eq!(done(home, &["access-key", "delete", id]), "");
    assert_eq!(find(), None);
    fails(home, &["access-key", "delete", id], 1, "InvalidAccessKeyId.NotFound (404)");

    let key = json(home, &["call", "CreateKey", "Description=made by the command"]);
    let key = key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let key_id = format!("KeyId={key}");
    let table = done(home, &["call", "DescribeKey", &key_id, "--output", "table"]);
    let shown = |name: &str| table.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(shown("KeyMetadata.KeyId"), Some(key.as_str()));
    assert_eq!(shown("KeyMetadata.Description"), Some("made by the command"));

    // A secret comes from standard input, and from a file.
    let mut encrypt = kms(home);
    encrypt.args(["call", "Encrypt", &key_id, "Plaintext@-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut encrypt = encrypt.spawn().unwrap();
    encrypt.stdin.take().unwrap().write_all(b"from a pipe\n").unwrap();
    let sealed: Value = serde_json::from_slice(&encrypt.wait_with_output().unwrap().stdout).unwrap();
    let file = home.join("sealed");
    fs::write(&file, sealed["CiphertextBlob"].as_str().unwrap()).unwrap();
    let opened = json(home, &["call", "Decrypt", &format!("CiphertextBlob@{}", file.display())]);
    assert_eq!(opened["Plaintext"], "from a pipe");

    assert_eq!(json(home, &["run-due"])["DeletedKeys"], 0);
    done(home, &["call", "DisableKey", &key_id]);
    fails(home, &["call", "Encrypt", &key_id, &format!("Plaintext@{}", file.display())], 1, "Rejected.Disabled (409)");
    fails(home, &["call", "NoSuchAction"], 1, "UnsupportedOperation (400)");
    fails(home, &["call", "DescribeKey"], 1, "\"KeyId\"");
}

#[test]
fn the_owner_is_served_with_and_without_a_server() {
    let (_folder, home) = fresh();
    own(&home);
    let server = serve(&home, &["--http", "127.0.0.1:0"]);
    assert!(server.line("HTTP: ").starts_with("http://127.0.0.1:"));
    own(&home);
    let mode = fs::metadata(home.join("owner.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fails(&home, &["serve", "--http", "127.0.0.1:0"], 3, "is being served already");
    own(&home);
    server.stop();
    assert!(!home.join("owner.sock").exists());
    own(&home);

    // One that is killed leaves its socket, which is in nobody's way.
    let mut server = serve(&home, &["--http", "127.0.0.1:0"]);
    server.0.kill().unwrap();
    server.0.wait().unwrap();
    assert!(home.join("owner.sock").exists());
    own(&home);
    let server = serve(&home, &["--http", "127.0.0.1:0"]);
    own(&home);
    server.stop();
}

// Goal: a server that starts and commands beside it get on, whoever comes first to the store.
#[test]
fn who_comes_too_early_waits_a_moment() {
    let (_folder, home) = fresh();
    for _ in 0..4 {
        let early: Vec<_> = (0..3)
            .map(|_| {
                let mut early = kms(&home);
                early.args(["access-key", "create"]).stdout(Stdio::piped()).stderr(Stdio::piped());
                early.spawn().unwrap()
            })
            .collect();
        let server = serve(&home, &["--http", "127.0.0.1:0"]);
        for early in early {
            let output = early.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        server.stop();
    }
    let keys = json(&home, &["access-key", "list", "--output", "json"]);
    assert_eq!(keys["AccessKeys"]["AccessKey"].as_array().unwrap().len(), 12);
}

// Goal: nobody on the owner's socket keeps another command from its answer. Method: connections that say nothing, more than
// are answered at a time; those beyond are told so.
#[test]
fn a_command_that_dawdles_holds_up_no_other() {
    let (_folder, home) = fresh();
    let server = serve(&home, &["--http", "127.0.0.1:0"]);
    let connect = || UnixStream::connect(home.join("owner.sock")).unwrap();
    let mut silent: Vec<_> = (0..10).map(|_| connect()).collect();
    done(&home, &["access-key", "list"]);
    silent.extend((0..10).map(|_| connect()));
    fails(&home, &["access-key", "list"], 3, "");
    drop(silent);
    // The server has to see first that they are gone.
    let start = Instant::now();
    while !run(&home, &["access-key", "list"]).status.success() {
        assert!(start.elapsed() < Duration::from_secs(30), "the server stays busy");
    }
    own(&home);
    let mut garbage = connect();
    garbage.write_all(b"what?").unwrap();
    garbage.shutdown(std::net::Shutdown::Write).unwrap();
    let mut told = String::new();
    garbage.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("!the server does not know this question"), "{told}");
    server.stop();
}

#[test]
fn a_home_may_lie_deep() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("x".repeat(100)).join("y".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    let home = deep.join("home");
    done(&home, &["init"]);
    let server = serve(&home, &["--http", "127.0.0.1:0"]);
    own(&home);
    server.stop();
}

#[test]
fn a_home_that_others_may_write_to_is_refused() {
    let (_folder, home) = fresh();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o770)).unwrap();
    fails(&home, &["call", "ListKeys"], 3, "chmod go-w");
    fails(&home, &["serve"], 3, "chmod go-w");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    done(&home, &["call", "ListKeys"]);
    let shared = home.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    fails(&shared, &["init"], 3, "chmod go-w");
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);
}

#[test]
fn a_home_is_made_once() {
    let (_folder, home) = fresh();
    let files = || (fs::read(home.join("config.json")).unwrap(), fs::read(home.join("root.key")).unwrap());
    let before = files();
    fails(&home, &["init"], 3, "is there already");
    assert_eq!(files(), before);
    let mode = |name: &str| fs::metadata(home.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("root.key"), mode("store")), (0o700, 0o600, 0o700));
    let config: Value = serde_json::from_slice(&before.0).unwrap();
    assert_eq!(config["region"], "cn-hangzhou");
}

#[test]
fn a_passphrase_opens_what_it_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let (right, wrong) = (folder.path().join("right"), folder.path().join("wrong"));
    fs::write(&right, "correct horse\n").unwrap();
    fs::write(&wrong, "battery staple\n").unwrap();
    let by = |file: &Path, rest: &[&str]| {
        let arguments = [&["--passphrase-file", file.to_str().unwrap()], rest].concat();
        run(&home, &arguments)
    };
    assert!(by(&right, &["init", "--root-key", "passphrase", "--region", "eu-central-1"]).status.success());
    assert!(!home.join("root.key").exists());
    let made = by(&right, &["call", "CreateKey"]);
    assert!(String::from_utf8_lossy(&made.stdout).contains("acs:kms:eu-central-1:"));
    let refused = by(&wrong, &["call", "ListKeys"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("KMS_WRONG_ROOT_KEY"));
    let config = fs::read_to_string(home.join("config.json")).unwrap();
    assert!(!config.contains("horse"));
}

#[test]
fn what_cannot_be_done_is_told() {
    let (folder, home) = fresh();
    let nowhere = folder.path().join("nowhere");
    fails(&nowhere, &["call", "ListKeys"], 3, "kms init");
    fails(&nowhere, &["serve"], 3, "kms init");
    assert!(!nowhere.exists());
    fails(&nowhere, &["call", "Encrypt", "KeyId"], 2, "NAME=VALUE");
    fails(&nowhere, &["call", "Encrypt", "KeyId=x", "Plaintext=hush"], 2, "Plaintext@FILE, or Plaintext@-");
    fails(&home, &["call", "Encrypt", "Plaintext@/no/such/file"], 3, "/no/such/file");
    fails(&home, &["no-such-command"], 2, "no-such-command");
    fails(&home, &["serve", "--skew", "0"], 2, "--skew");
    fails(&nowhere, &["serve", "--http", "0.0.0.0:0"], 2, "--allow-plain-http");
    fails(&nowhere, &["serve", "--dev", "--http", "0.0.0.0:0"], 2, "--allow-plain-http");
    fails(&nowhere, &["serve", "--http", "127.0.0.1:0", "--tls-name", "kms"], 2, "--https");
    fails(&home, &["serve", "--https", "127.0.0.1:0", "--tls-name", "k\u{fc}ms"], 2, "for these names");
    fails(&nowhere, &["init", "--account-id", "abc"], 2, "account_id must be 16 digits");
    fails(&nowhere, &["init", "--region", "Hang zhou"], 2, "region");
    fails(&nowhere, &["--passphrase-file", "/no/such/file", "init", "--root-key", "passphrase"], 3, "/no/such/file");
    assert!(!nowhere.exists());
    let few = "ulimit -n 300 && exec \"$0\" --home \"$1\" serve --http 127.0.0.1:0";
    let output = Command::new("sh").args(["-c", few, env!("CARGO_BIN_EXE_kms")]).arg(&home).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("open files"), "{output:?}");
    fs::write(home.join("config.json"), r#"{"store":"sled:store","rot_key":{}}"#).unwrap();
    fails(&home, &["call", "ListKeys"], 3, "rot_key is not a known member");
    fs::write(home.join("config.json"), r#"{"store":"memory:"}"#).unwrap();
    fails(&home, &["call", "ListKeys"], 3, "store must be on disk");
    // What is usual may be left out.
    fs::write(home.join("config.json"), "{}").unwrap();
    done(&home, &["call", "ListKeys"]);
}

#[test]
fn the_help_tells_what_is_asked_for_and_then_what_is_the_same_everywhere() {
    let nowhere = Path::new("/nowhere");
    let help = done(nowhere, &["serve", "--help"]);
    for option in ["--dev", "--tls-name", "--connections", "--help"] {
        assert!(help.find(option) < help.find("--home") && help.contains(option), "{option} in {help}");
    }
    assert!(help.contains("--passphrase-file"), "{help}");
    for (command, example) in [
        ("serve", "kms --home /var/lib/kms serve --https 0.0.0.0:8443 --tls-name kms.example.org"),
        ("init", "kms init --root-key passphrase"),
        ("access-key", "kms access-key disable LKMS"),
    ] {
        let help = done(nowhere, &[command, "--help"]);
        assert!(help.contains(example), "{help}");
    }
}

// Goal: who types a secret at a terminal is asked for it, and it is not shown. Method: a terminal of the test's own, on which what
// is typed shows until the command forbids it.
#[test]
fn a_terminal_is_asked_and_shows_no_secret() {
    let (folder, home) = fresh();
    let key_id = format!("KeyId={}", create_key(&home));
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let keyboard = fs::File::options().read(true).write(true).open(name).unwrap();
    let shows = || tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO);
    assert!(shows());

    let mut encrypt = Command::new("setsid");
    encrypt.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_kms"), "--home"]).arg(&home);
    encrypt.args(["call", "Encrypt", &key_id, "Plaintext@-"]).stdin(keyboard).stdout(Stdio::piped());
    let child = encrypt.spawn().unwrap();
    // It holds the last other end of the terminal.
    drop(encrypt);
    let begun = Instant::now();
    while shows() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on showing what is typed");
        thread::sleep(Duration::from_millis(5));
    }
    let mut terminal = fs::File::from(terminal);
    terminal.write_all(b"hushed by kms\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut shown = Vec::new();
    // A terminal that nobody has open any more ends in an error.
    let _ = terminal.read_to_end(&mut shown);
    let shown = String::from_utf8(shown).unwrap();
    assert_eq!(shown.trim_end(), "Plaintext:");

    let sealed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = folder.path().join("sealed");
    fs::write(&file, sealed["CiphertextBlob"].as_str().unwrap()).unwrap();
    let opened = json(&home, &["call", "Decrypt", &format!("CiphertextBlob@{}", file.display())]);
    assert_eq!(opened["Plaintext"], "hushed by kms");
}

// Goal: who has the store alone learns of no AccessKey. Method: look for the texts in every file of the home, and in the same
// way for what does stand there in clear.
#[test]
fn an_access_key_lies_sealed_in_the_store() {
    let (_folder, home) = fresh();
    let key = json(&home, &["access-key", "create", "--comment", "the billing service", "--output", "json"]);
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let files = files_below(&home);
    let holders = |text: &str| -> Vec<String> {
        let holds = |content: &[u8]| content.windows(text.len()).any(|window| window == text.as_bytes());
        files.iter().filter(|(_, content)| holds(content)).map(|(name, _)| name.clone()).collect()
    };
    // How records begin: what is looked at is the store, with records in it (docs/store-format.md).
    assert_eq!(holders("KMSR"), ["store/db"]);
    assert_eq!(holders("cn-hangzhou"), ["config.json"]);
    for told in [text("AccessKeySecret"), text("AccessKeyId"), "the billing service".to_owned()] {
        assert!(told.len() >= 19, "{told}");
        assert_eq!(holders(&told), [""; 0], "{told}");
    }
    // It is there all the same.
    let list = json(&home, &["access-key", "list", "--output", "json"]);
    assert_eq!(list["AccessKeys"]["AccessKey"][0]["AccessKeyId"], key["AccessKeyId"]);
}

#[test]
fn a_try_out_prints_what_a_client_needs() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let server = serve(&home, &["--dev", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"]);
    assert!(server.line("AccessKeyId: ").starts_with("LKMS"));
    assert_eq!(server.line("AccessKeySecret: ").len(), 30);
    assert!(server.line("HTTP: ").starts_with("http://127.0.0.1:"));
    assert!(server.line("HTTPS: ").starts_with("https://127.0.0.1:"));
    let ca = Path::new(server.line("CA certificate: ")).to_owned();
    assert!(fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    server.stop();
    assert!(!ca.exists(), "what it made is gone with it");
    assert!(!home.exists());
}

#[test]
fn the_actions_and_the_kinds_of_keys_are_those_of_the_engine() {
    let home = Path::new("/nowhere");
    let actions = done(home, &["actions"]);
    let standing: Vec<&str> =
        kms_core::Action::ALL.iter().filter(|action| action.stands()).map(|action| action.as_str()).collect();
    assert_eq!(actions.lines().collect::<Vec<_>>(), standing);
    let tried = done(home, &["self-test"]);
    for spec in kms_core::model::KeySpec::ALL {
        assert!(tried.lines().any(|line| line.starts_with(spec.as_str()) && line.ends_with(": good")), "{spec}");
    }
}
