//! Goal: an engine opens for programs of this version and of later ones, and for nobody else; and what the host brings
//! along arrives. Method: versions and structures of every size.

mod common;

use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

use ::kms::*;
use common::*;

fn try_open(config: &CStr, host: *const kms_host) -> Outcome {
    let mut engine = null_mut();
    let outcome = Open { abi_version: KMS_ABI_VERSION, config: config.as_ptr(), host, out: &raw mut engine }.run();
    assert_eq!(outcome.is_ok(), !engine.is_null());
    close(engine);
    outcome
}

/// The version comes first: a program of another version may mean something else by every other argument.
#[test]
fn another_version_is_refused_before_anything_is_looked_at() {
    for abi_version in [0, 2, u32::MAX] {
        let outcome = Open { abi_version, config: null(), host: null(), out: null_mut() }.run();
        assert_eq!((outcome.status, outcome.code.as_str()), (KMS_ABI_MISMATCH, "KMS_ABI_MISMATCH"));
        assert_eq!((outcome.http, outcome.request_id.as_str()), (0, ""));
    }
}

#[test]
fn the_version_of_the_library_is_that_of_the_package() {
    // SAFETY: the text lives as long as the library.
    let version = unsafe { CStr::from_ptr(kms_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_configuration_is_checked() {
    for config in [c"", c"[]", c"{}", c"{\"store\":\"memory:\",\"colour\":\"blue\"}"] {
        assert_eq!(try_open(config, null()).status, KMS_INVALID_CONFIG);
    }
}

/// A structure of the future: ours, and something behind it.
#[repr(C)]
struct Later {
    host: kms_host,
    more: [usize; 4],
}

#[test]
fn a_host_of_any_version_is_understood() {
    let ok = |size: usize, more: [usize; 4]| {
        let later = Later { host: kms_host { size, ..host() }, more };
        try_open(CONFIG, (&raw const later).cast()).status
    };
    let whole = size_of::<kms_host>();
    let word = size_of::<usize>();
    for size in (word..=whole + 4 * word).step_by(word) {
        assert_eq!(ok(size, [0; 4]), KMS_OK, "{size}");
    }
    // What a later version asks for is not ignored; what lies behind its end is.
    assert_eq!(ok(whole + 2 * word, [0, 1, 0, 0]), KMS_ABI_MISMATCH);
    assert_eq!(ok(whole + 2 * word, [0, 0, 1, 0]), KMS_OK);
    // No size of a kms_host: forgotten, cut through a member, wild.
    for size in [0, 1, word - 1, whole - 1, whole + 1, 4096 + word, usize::MAX] {
        assert_eq!(ok(size, [0; 4]), KMS_ABI_MISMATCH, "{size}");
    }
}

#[test]
fn members_behind_the_end_of_a_smaller_host_are_not_read() {
    let key = [7; 32];
    // With the root key, a store in memory would be given one; the length says that it is no good.
    let wrong = kms_host { root_key: key.as_ptr(), root_key_len: 31, ..host() };
    assert_eq!(try_open(CONFIG, &raw const wrong).status, KMS_INVALID_CONFIG);
    let smaller = kms_host { size: 2 * size_of::<usize>(), ..wrong };
    assert_eq!(try_open(CONFIG, &raw const smaller).status, KMS_OK);
}

#[test]
fn the_host_may_bring_the_root_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let config = CString::new(serde_json::json!({ "store": format!("sled:{}", path.display()) }).to_string()).unwrap();
    let both = CString::new(
        serde_json::json!({ "store": format!("sled:{}", path.display()), "root_key": { "hex": "07".repeat(32) } })
            .to_string(),
    )
    .unwrap();
    let key = [7; 32];
    let other = [8; 32];
    let good = kms_host { root_key: key.as_ptr(), root_key_len: 32, ..host() };
    assert_eq!(try_open(&config, null()).status, KMS_INVALID_CONFIG, "a store on disk needs a root key");
    try_open(&config, &raw const good).ok();
    try_open(&config, &raw const good).ok();
    try_open(&both, null()).ok();
    assert_eq!(try_open(&both, &raw const good).status, KMS_INVALID_CONFIG, "one root key is enough");
    let wrong = kms_host { root_key: other.as_ptr(), ..good };
    assert_eq!(try_open(&config, &raw const wrong).status, KMS_WRONG_ROOT_KEY);

    let missing = kms_host { root_key: null(), ..good };
    try_open(&config, &raw const missing).refused(KMS_NULL_ARGUMENT, "host->root_key");
    for root_key_len in [0, 31, 33, usize::MAX] {
        let key = [7; 33];
        let odd = kms_host { root_key: key.as_ptr(), root_key_len, ..host() };
        assert_eq!(try_open(&config, &raw const odd).status, KMS_INVALID_CONFIG, "{root_key_len}");
    }
}

#[test]
fn a_store_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sled:{}", directory.path().join("store").display());
    let config = serde_json::json!({ "store": store, "root_key": { "hex": "07".repeat(32) } });
    let config = CString::new(config.to_string()).unwrap();
    let engine = open(&config);
    assert_eq!(try_open(&config, null()).status, KMS_STORE_LOCKED);
    close(engine);
    try_open(&config, null()).ok();
}
