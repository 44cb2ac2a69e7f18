//! What time does by itself, beside other callers, failing disks and restarts: rotation, expiry, the sweep.

use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use kms_core::{ErrorCode, KmsError};
use kms_engine::{BLOB_OVERHEAD, Config, Engine};
use kms_store::fault::{FaultDisk, SyncFault};
use serde_json::{Value, json};

const WEEK: i64 = 7 * 24 * 60 * 60;

fn config(more: Value) -> Config {
    let mut config = json!({
        "store": "memory:",
        "root_key": { "hex": "07".repeat(32) },
        "clock": { "manual": "2030-01-01T00:00:00Z" },
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Config::parse(&config.to_string()).unwrap()
}

fn open(disk: &FaultDisk) -> Engine {
    Engine::open_on(Box::new(disk.reopen()), config(json!({}))).unwrap()
}

fn memory() -> Engine {
    Engine::open(config(json!({}))).unwrap()
}

fn call(engine: &Engine, action: &str, params: Value) -> Result<Value, KmsError> {
    engine.call(action, &params.to_string()).result.map(|text| serde_json::from_str(&text).unwrap())
}

/// A key that rotates every seven days.
fn rotating(engine: &Engine) -> String {
    let params = json!({ "EnableAutomaticRotation": true, "RotationInterval": "7d" });
    call(engine, "CreateKey", params).unwrap()["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

fn encrypt(engine: &Engine, key: &str) -> Result<Vec<u8>, KmsError> {
    let mut blob = vec![0; 4 + BLOB_OVERHEAD];
    engine.encrypt(key, b"text", "", &mut blob).map(|_| blob)
}

/// The version that stands in front of a blob.
fn version_of(blob: &[u8]) -> &[u8] {
    &blob[..36]
}

fn decrypts(engine: &Engine, blob: &[u8]) -> bool {
    let mut plaintext = [0; 4];
    engine.decrypt(blob, "", &mut plaintext).unwrap() == 4 && plaintext == *b"text"
}

fn versions(engine: &Engine, key: &str) -> u64 {
    call(engine, "ListKeyVersions", json!({ "KeyId": key })).unwrap()["TotalCount"].as_u64().unwrap()
}

fn report(engine: &Engine) -> Value {
    serde_json::from_str(&engine.run_due().unwrap()).unwrap()
}

/// Goal: many callers at the due instant cause one rotation, and all of them use its version. Method: threads that begin
/// together, with the sweep among them.
#[test]
fn many_callers_at_the_due_instant_cause_one_rotation() {
    for round in 0..20 {
        let engine = memory();
        let key = rotating(&engine);
        let before = encrypt(&engine, &key).unwrap();
        engine.advance_clock(WEEK).unwrap();
        let start = Barrier::new(8);
        let blobs: Vec<Vec<u8>> = thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|caller| {
                    let (engine, key, start) = (&engine, &key, &start);
                    scope.spawn(move || {
                        start.wait();
                        if caller == 0 {
                            report(engine);
                        }
                        encrypt(engine, key).unwrap()
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert_eq!(versions(&engine, &key), 2, "round {round}");
        let used: HashSet<_> = blobs.iter().map(|blob| version_of(blob)).collect();
        assert_eq!(used.len(), 1, "round {round}");
        assert!(!used.contains(version_of(&before)), "round {round}");
        assert!(blobs.iter().chain([&before]).all(|blob| decrypts(&engine, blob)), "round {round}");
    }
}

/// Goal: a rotation that cannot be committed does not keep anybody from encrypting, and is made up for later: by a call after a
/// pause of a minute, by the sweep at once.
#[test]
fn encrypt_goes_on_with_the_present_version_while_the_disk_is_full() {
    for by_sweep in [false, true] {
        let disk = FaultDisk::new();
        let engine = open(&disk);
        let key = rotating(&engine);
        let before = encrypt(&engine, &key).unwrap();
        engine.advance_clock(WEEK).unwrap();
        disk.at_next_sync(SyncFault::Full);
        let syncs = disk.syncs();
        for _ in 0..10 {
            assert_eq!(version_of(&encrypt(&engine, &key).unwrap()), version_of(&before));
        }
        assert_eq!(disk.syncs(), syncs + 1, "one attempt, and then a pause");
        assert_eq!(versions(&engine, &key), 1);
        disk.make_space();
        if by_sweep {
            assert_eq!(report(&engine)["RotatedKeys"], 1);
        } else {
            engine.advance_clock(59).unwrap();
            assert_eq!(version_of(&encrypt(&engine, &key).unwrap()), version_of(&before));
            engine.advance_clock(1).unwrap();
        }
        assert_ne!(version_of(&encrypt(&engine, &key).unwrap()), version_of(&before));
        assert_eq!(versions(&engine, &key), 2);
        assert!(decrypts(&engine, &before));
    }
}

/// Goal: a power cut during a rotation leaves all of it or nothing, and no ciphertext that was given out is lost.
#[test]
fn a_power_cut_during_a_rotation_loses_no_ciphertext() {
    for fault in [SyncFault::FailLost, SyncFault::FailKept, SyncFault::Freeze] {
        let disk = FaultDisk::new();
        let engine = open(&disk);
        let key = rotating(&engine);
        let before = encrypt(&engine, &key).unwrap();
        engine.advance_clock(WEEK).unwrap();
        disk.at_next_sync(fault);
        // The call that meets the failure goes on with the version that it has; then the store is poisoned.
        let during = encrypt(&engine, &key).unwrap();
        assert_eq!(version_of(&during), version_of(&before), "{fault:?}");
        assert_eq!(encrypt(&engine, &key).unwrap_err().code(), ErrorCode::StorePoisoned, "{fault:?}");
        drop(engine);
        let engine = open(&disk);
        assert!(decrypts(&engine, &before) && decrypts(&engine, &during), "{fault:?}");
        let after = encrypt(&engine, &key).unwrap();
        assert_ne!(version_of(&after), version_of(&before), "{fault:?}");
        assert_eq!(versions(&engine, &key), 2, "{fault:?}");
    }
}

/// Goal: what is due is done however much of it there is. Method: more keys than one commit of the sweep takes.
#[test]
fn a_sweep_does_all_that_is_due() {
    let engine = memory();
    let keys: Vec<String> = (0..300).map(|_| rotating(&engine)).collect();
    engine.advance_clock(WEEK).unwrap();
    assert_eq!(report(&engine), json!({ "DeletedKeys": 0, "ExpiredMaterials": 0, "RotatedKeys": 300 }));
    assert!(keys.iter().all(|key| versions(&engine, key) == 2));
    for key in &keys {
        call(&engine, "ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).unwrap();
    }
    engine.advance_clock(WEEK).unwrap();
    assert_eq!(report(&engine), json!({ "DeletedKeys": 300, "ExpiredMaterials": 0, "RotatedKeys": 0 }));
    assert_eq!(report(&engine), json!({ "DeletedKeys": 0, "ExpiredMaterials": 0, "RotatedKeys": 0 }));
}

/// Every entry of a list, by the ids of the keys; the total that each page tells is the number of entries.
fn listed(engine: &Engine, action: &str, list: &str, entry: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut totals = HashSet::new();
    for number in 1.. {
        let reply = call(engine, action, json!({ "PageNumber": number, "PageSize": 100 })).unwrap();
        totals.insert(reply["TotalCount"].as_u64().unwrap());
        let page = reply[list][entry].as_array().unwrap();
        ids.extend(page.iter().map(|entry| entry["KeyId"].as_str().unwrap().to_owned()));
        if page.len() < 100 {
            break;
        }
    }
    assert_eq!(totals, HashSet::from([ids.len() as u64]), "{action}");
    ids
}

/// Goal: lists and their totals are without the keys that are gone, however many and wherever they stand, before the sweep,
/// in the middle of it, and after a restart. Method: more of them than are read at a time, hundreds in one second, with aliases,
/// one of which is taken by another key.
#[test]
fn lists_are_without_keys_that_are_gone() {
    let disk = FaultDisk::new();
    let mut engine = open(&disk);
    let mut live = Vec::new();
    let mut doomed = Vec::new();
    for i in 0..900 {
        let key = call(&engine, "CreateKey", json!({})).unwrap()["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
        call(&engine, "CreateAlias", json!({ "KeyId": key, "AliasName": format!("alias/{i}") })).unwrap();
        let of = if i % 300 < 20 { &mut live } else { &mut doomed };
        of.push(key);
        if i % 100 == 0 {
            engine.advance_clock(1).unwrap();
        }
    }
    for (i, key) in doomed.iter().enumerate() {
        // 600 at once, and then one each second.
        call(&engine, "ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).unwrap();
        if i >= 600 {
            engine.advance_clock(1).unwrap();
        }
    }
    let mut left: HashSet<&String> = live.iter().chain(&doomed).collect();
    let check = |engine: &Engine, left: &HashSet<&String>, aliases: usize| {
        assert_eq!(listed(engine, "ListKeys", "Keys", "Key").iter().collect::<HashSet<_>>(), *left);
        let by_alias = listed(engine, "ListAliases", "Aliases", "Alias");
        assert_eq!(by_alias.len(), aliases);
        assert_eq!(by_alias.iter().collect::<HashSet<_>>(), *left);
    };
    check(&engine, &left, 900);
    engine.advance_clock(WEEK - 240).unwrap();
    doomed[..=600].iter().for_each(|key| assert!(left.remove(key)));
    check(&engine, &left, left.len());
    for key in &doomed[601..610] {
        engine.advance_clock(1).unwrap();
        left.remove(key);
        check(&engine, &left, left.len());
    }
    // The alias of a key that is gone is free.
    call(&engine, "CreateAlias", json!({ "KeyId": live[0], "AliasName": "alias/100" })).unwrap();
    check(&engine, &left, left.len() + 1);
    drop(engine);
    engine = open(&disk);
    check(&engine, &left, left.len() + 1);
    assert_eq!(report(&engine)["DeletedKeys"], 610);
    check(&engine, &left, left.len() + 1);
    engine.advance_clock(2 * WEEK).unwrap();
    left.retain(|key| live.contains(*key));
    check(&engine, &left, live.len() + 1);
}

/// Goal: an engine with `sweep` does what is due by itself, and closing it does not wait for its next turn.
#[test]
fn a_thread_of_the_engines_own_does_what_is_due() {
    let engine = Engine::open(config(json!({ "sweep": 1 }))).unwrap();
    let key = rotating(&engine);
    engine.advance_clock(WEEK).unwrap();
    let begin = Instant::now();
    while versions(&engine, &key) == 1 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nobody has made the version that is due");
        thread::sleep(Duration::from_millis(20));
    }
    drop(engine);

    let engine = Engine::open(config(json!({ "sweep": 86_400 }))).unwrap();
    let begin = Instant::now();
    drop(engine);
    assert!(begin.elapsed() < Duration::from_secs(60));
}
