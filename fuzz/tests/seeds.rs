//! Replays the kept inputs of every target, with the compiler as it is and without a fuzzer: `cargo test` in this folder.
//!
//! `seeds/<target>/` holds one input a file: what a corpus begins with, and what once crashed.

use std::fs;
use std::path::Path;

#[allow(clippy::print_stderr, reason = "the last name printed is that of the input that fails")]
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        eprintln!("{}", path.display());
        run(&input);
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn asymmetric() {
    replay("asymmetric", kms_fuzz::asymmetric::run);
}

#[test]
fn blob() {
    replay("blob", kms_fuzz::blob::run);
}

#[test]
fn ecdsa() {
    replay("ecdsa", kms_fuzz::ecdsa::run);
}

#[test]
fn http_request() {
    replay("http_request", kms_fuzz::http_request::run);
}

#[test]
fn json_call() {
    replay("json_call", kms_fuzz::json_call::run);
}

#[test]
fn record() {
    replay("record", kms_fuzz::record::run);
}

#[test]
fn sm2() {
    replay("sm2", kms_fuzz::sm2::run);
}

#[test]
fn ops() {
    replay("ops", kms_sim::run);
}
