//! libkms, SoftHSM2 and OpenSSL at the same work, in alternating rounds. `cargo xtask peers` does all set-up.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::sync::Arc;

use kms_benches::abi::Kms;
use kms_benches::table;
use kms_peers::softhsm::Token;
use kms_peers::{aead, signature};

fn main() {
    let folder = tempfile::tempdir().expect("a folder for the token");
    // SAFETY: nothing has started a thread.
    let token = unsafe { Token::in_folder(folder.path()) };
    let kms = Arc::new(Kms::open(c"memory:"));
    let mut groups = aead::groups(&kms, &token);
    groups.extend(signature::groups(&kms, &token));
    println!("{}; {}", openssl::version::version(), token.version());
    table::run(groups);
}
