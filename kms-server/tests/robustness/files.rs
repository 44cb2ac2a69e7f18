//! A process that has run out of files.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::harness::{SHORT, USUAL, limits, start};

/// Processor time that this process has used, in ticks of a hundredth of a second, from its open `/proc/self/stat`.
fn ticks(file: &mut File) -> u64 {
    let mut stat = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut stat).unwrap();
    // Behind the name, which ends with the last parenthesis: user and system time are the 12th and the 13th.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Goal: when there is no file for a connection, the server neither ends nor burns time, and goes on when there is. Method:
/// this test again, in a process of its own that may have 64 files.
#[test]
fn accepting_survives_the_want_of_files() {
    const INSIDE: &str = "KMS_TEST_FEW_FILES";
    if std::env::var_os(INSIDE).is_none() {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact files::accepting_survives_the_want_of_files --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    }
    let server = start(limits());
    server.is_well();
    let mut stat = File::open("/proc/self/stat").unwrap();
    let spare = File::open("/dev/null").unwrap();
    let mut first = server.connect();
    first.send(server.quick());
    first.answer();
    let mut clients = Vec::new();
    let error = loop {
        match TcpStream::connect(server.http) {
            Ok(client) => clients.push(client),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "Too many open files (os error 24)");
    // The file that this gives back goes to one more client, for which the server has none left, or to the server, for a
    // client for which it had none until now.
    drop(spare);
    clients.extend(TcpStream::connect(server.http));
    std::thread::sleep(SHORT);
    let before = ticks(&mut stat);
    std::thread::sleep(Duration::from_secs(1));
    let used = ticks(&mut stat) - before;
    assert!(used < 20, "{used} ticks for nothing");
    first.send(server.quick());
    assert_eq!(first.answer().status, USUAL);
    drop(clients);
    server.is_well();
}
