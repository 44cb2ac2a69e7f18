//! AccessKeys through the engine: their life, what survives a restart, and who is the creator of what a caller makes.

use kms_core::ErrorCode;
use kms_core::model::{AccessKey, Principal};
use kms_core::params::Params;
use kms_engine::{Config, Engine};
use kms_store::fault::{FaultDisk, SyncFault};
use serde_json::{Value, json};

fn open(disk: &FaultDisk) -> Engine {
    let config = json!({
        "store": "memory:",
        "root_key": { "hex": "07".repeat(32) },
        "clock": { "manual": "2030-01-01T00:00:00Z" },
    });
    Engine::open_on(Box::new(disk.reopen()), Config::parse(&config.to_string()).unwrap()).unwrap()
}

/// What can be said of the AccessKeys of an engine: their ids, whether they may be used, and what they are for.
fn list(engine: &Engine) -> Vec<(String, bool, String)> {
    let row = |key: std::sync::Arc<AccessKey>| (key.id.to_string(), key.enabled, key.comment.clone());
    engine.access_keys().into_iter().map(row).collect()
}

#[test]
fn an_access_key_lives_until_it_is_deleted() {
    let disk = FaultDisk::new();
    let engine = open(&disk);
    assert_eq!(list(&engine), []);
    let first = engine.create_access_key("for the tests").unwrap();
    engine.advance_clock(1).unwrap();
    let second = engine.create_access_key("").unwrap();
    assert_ne!(first.id, second.id);
    assert_ne!(first.secret, second.secret);
    assert_eq!((first.id.as_str().len(), first.secret.len()), (24, 30));
    assert!(first.id.as_str().starts_with("LKMS"));
    assert_eq!(first.account, "1000000000000000");

    let (one, two) = (first.id.to_string(), second.id.to_string());
    let row = |id: &str, enabled, comment: &str| (id.to_owned(), enabled, comment.to_owned());
    assert_eq!(list(&engine), [row(&one, true, "for the tests"), row(&two, true, "")]);
    assert_eq!(*engine.access_key(&one).unwrap(), first);

    engine.enable_access_key(&one, false).unwrap();
    engine.enable_access_key(&one, false).unwrap();
    assert!(!engine.access_key(&one).unwrap().enabled);
    engine.delete_access_key(&two).unwrap();
    assert_eq!(engine.access_key(&two), None);
    drop(engine);

    let engine = open(&disk);
    assert_eq!(list(&engine), [row(&one, false, "for the tests")]);
    assert_eq!(engine.access_key(&one).unwrap().secret, first.secret);
    engine.enable_access_key(&one, true).unwrap();
    assert!(engine.access_key(&one).unwrap().enabled);
}

#[test]
fn what_is_refused_changes_nothing() {
    let disk = FaultDisk::new();
    let engine = open(&disk);
    let key = engine.create_access_key("kept").unwrap();
    let before = list(&engine);
    for id in ["", "LKMS00000000000000000000", "no id at all", &key.id.as_str().to_lowercase()] {
        let refused = [engine.enable_access_key(id, false), engine.delete_access_key(id)];
        for refused in refused {
            assert_eq!(refused.unwrap_err().code(), ErrorCode::AccessKeyNotFound, "{id}");
        }
        assert_eq!(engine.access_key(id), None);
    }
    for comment in ["\u{e9}".repeat(AccessKey::MAX_COMMENT + 1), "two\nlines".to_owned()] {
        assert_eq!(engine.create_access_key(&comment).unwrap_err().code(), ErrorCode::InvalidParameter);
    }
    assert_eq!(list(&engine), before);
    assert!(engine.create_access_key(&"\u{e9}".repeat(AccessKey::MAX_COMMENT)).is_ok());
}

#[test]
fn there_are_at_most_a_thousand() {
    let disk = FaultDisk::new();
    let engine = open(&disk);
    for _ in 0..AccessKey::MOST {
        engine.create_access_key("").unwrap();
    }
    assert_eq!(engine.create_access_key("").unwrap_err().code(), ErrorCode::LimitExceeded);
    let before = list(&engine);
    drop(engine);
    let engine = open(&disk);
    assert_eq!(list(&engine), before, "all of them are read again");
    engine.delete_access_key(engine.access_keys()[0].id.as_str()).unwrap();
    engine.create_access_key("").unwrap();
}

// Goal: a caller's account is the creator of what it makes; the embedded handle acts for the store's own.
#[test]
fn the_caller_is_the_creator() {
    let engine = open(&FaultDisk::new());
    let creator = |text: &str| -> Value {
        let reply: Value = serde_json::from_str(text).unwrap();
        reply["KeyMetadata"]["Creator"].clone()
    };
    let caller = Principal { account: "1234567890123456".to_owned() };
    let made = engine.call_as(&caller, "CreateKey", &Params::default()).result.unwrap();
    assert_eq!(creator(&made), "1234567890123456");
    let made = engine.call("CreateKey", "{}").result.unwrap();
    assert_eq!(creator(&made), "1000000000000000");
}

// Goal: an AccessKey that its owner could not store is none, and one that he could not delete still is.
#[test]
fn a_failing_disk_changes_nothing() {
    let disk = FaultDisk::new();
    let engine = open(&disk);
    let key = engine.create_access_key("").unwrap();
    disk.at_next_sync(SyncFault::Full);
    assert_eq!(engine.create_access_key("").unwrap_err().code(), ErrorCode::StoreFull);
    assert_eq!(engine.delete_access_key(key.id.as_str()).unwrap_err().code(), ErrorCode::StoreFull);
    assert_eq!(list(&engine).len(), 1);
}
