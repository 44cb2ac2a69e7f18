//! Calls that must not wait: a thread that serves many cannot stand still for one of them.

use std::time::Duration;

use kms_core::ErrorCode;
use kms_core::params::Params;
use kms_engine::{Config, Engine};
use kms_store::fault::FaultDisk;
use serde_json::{Value, json};
use zeroize::Zeroizing;

fn open(disk: &FaultDisk) -> Engine {
    let config = json!({
        "store": "memory:",
        "root_key": { "hex": "07".repeat(32) },
        "clock": { "manual": "2030-01-01T00:00:00Z" },
    });
    Engine::open_on(Box::new(disk.reopen()), Config::parse(&config.to_string()).unwrap()).unwrap()
}

fn create(engine: &Engine, params: Value) -> String {
    let reply: Value = serde_json::from_str(&engine.call("CreateKey", &params.to_string()).result.unwrap()).unwrap();
    reply["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

/// What is answered at once: the code, empty for a success; or nothing.
fn at_once(engine: &Engine, action: &str, pairs: &[(&str, &str)]) -> Option<String> {
    let mut params = Params::default();
    for (name, text) in pairs {
        assert!(params.insert((*name).to_owned(), Zeroizing::new((*text).to_owned())));
    }
    let answer = engine.call_at_once(action, &params)?;
    Some(answer.result.map_or_else(|error| error.code().as_str().to_owned(), |_| String::new()))
}

const GOOD: Option<&str> = Some("");

#[test]
fn what_uses_keys_is_answered_and_nothing_else() {
    let engine = open(&FaultDisk::new());
    let key = create(&engine, json!({}));
    let encrypt = |key: &str| at_once(&engine, "Encrypt", &[("KeyId", key), ("Plaintext", "x")]);
    assert_eq!(encrypt(&key).as_deref(), GOOD);
    assert_eq!(encrypt("alias/none").as_deref(), Some("Forbidden.AliasNotFound"));
    assert_eq!(at_once(&engine, "Encrypt", &[]).as_deref(), Some("MissingParameter"));
    for action in ["CreateKey", "ListKeys", "DisableKey", "Nothing", ""] {
        assert_eq!(at_once(&engine, action, &[("KeyId", &key)]), None, "{action}");
    }
    engine.call("DisableKey", &json!({ "KeyId": key }).to_string()).result.unwrap();
    assert_eq!(encrypt(&key).as_deref(), Some(ErrorCode::KeyDisabled.as_str()));
}

// Goal: nobody's slow disk holds up a call that must not wait. Method: a commit whose sync is held. What is cached is used
// beside it; what is not there could be what the commit brings, so that there is no answer yet.
#[test]
fn nobody_waits_for_a_commit() {
    let disk = FaultDisk::new();
    let engine = open(&disk);
    let key = create(&engine, json!({}));
    let encrypt = |key: &str| at_once(&engine, "Encrypt", &[("KeyId", key), ("Plaintext", "x")]);
    assert_eq!(encrypt(&key).as_deref(), GOOD);
    let gate = disk.hold_syncs();
    let params = json!({ "AliasName": "alias/new", "KeyId": key }).to_string();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| engine.call("CreateAlias", &params).result.map(|_| ()));
        assert!(gate.wait(Duration::from_secs(10)), "the commit has come to its sync");
        assert_eq!(encrypt(&key).as_deref(), GOOD, "its key is cached");
        assert_eq!(encrypt("alias/none"), None, "it may be on its way");
        assert_eq!(encrypt("alias/new"), None, "it is not on disk");
        drop(gate);
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
    assert_eq!(encrypt("alias/none").as_deref(), Some("Forbidden.AliasNotFound"));
    assert_eq!(encrypt("alias/new").as_deref(), GOOD);
}

// A version that is due takes a commit, which whoever may wait makes; then it is as before.
#[test]
fn a_rotation_is_left_to_who_may_wait() {
    let engine = open(&FaultDisk::new());
    let key = create(&engine, json!({ "EnableAutomaticRotation": true, "RotationInterval": "7d" }));
    let pairs = [("KeyId", key.as_str()), ("Plaintext", "x")];
    assert_eq!(at_once(&engine, "Encrypt", &pairs).as_deref(), GOOD);
    engine.advance_clock(8 * 86_400).unwrap();
    assert_eq!(at_once(&engine, "Encrypt", &pairs), None);
    let versions = || {
        let reply = engine.call("ListKeyVersions", &json!({ "KeyId": key }).to_string()).result.unwrap();
        serde_json::from_str::<Value>(&reply).unwrap()["TotalCount"].clone()
    };
    assert_eq!(versions(), 1, "nothing was done");
    engine.call("Encrypt", &json!({ "KeyId": key, "Plaintext": "x" }).to_string()).result.unwrap();
    assert_eq!(versions(), 2);
    assert_eq!(at_once(&engine, "Encrypt", &pairs).as_deref(), GOOD);
}
