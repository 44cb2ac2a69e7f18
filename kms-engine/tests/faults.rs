//! The disk fails, fills up or loses power at each sync in turn. After a restart every call that was acknowledged is there,
//! and one that failed is there as a whole or not at all.

use std::thread;
use std::time::Duration;

use kms_core::ErrorCode;
use kms_engine::{Config, Engine};
use kms_store::fault::{FaultDisk, ReadFault, SyncFault};
use serde_json::{Value, json};

/// How many calls the work makes, each with one sync.
const CALLS: u64 = 12;

fn open(disk: &FaultDisk) -> Result<Engine, kms_core::KmsError> {
    open_with(disk, json!({}))
}

fn open_with(disk: &FaultDisk, more: Value) -> Result<Engine, kms_core::KmsError> {
    let root_key = "07".repeat(32);
    let mut config = json!({
        "store": "memory:",
        "root_key": { "hex": root_key },
        "clock": { "manual": "2030-01-01T00:00:00Z" },
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Engine::open_on(Box::new(disk.reopen()), Config::parse(&config.to_string()).unwrap())
}

fn call(engine: &Engine, action: &str, params: Value) -> Result<Value, ErrorCode> {
    let answer = engine.call(action, &params.to_string()).result;
    answer.map(|text| serde_json::from_str(&text).unwrap()).map_err(|error| error.code())
}

/// The n-th call: keys, aliases and descriptions in turn. Returns the key that it made.
fn work(engine: &Engine, n: u64, keys: &[String]) -> Result<Option<String>, ErrorCode> {
    match (n % 3, keys.last()) {
        (1, Some(key)) => {
            call(engine, "CreateAlias", json!({ "KeyId": key, "AliasName": format!("alias/{n}") })).map(|_| None)
        }
        (2, Some(key)) => {
            // More than one value of the backend holds, so that the record lies in pieces.
            let description = format!("{n}{}", "x".repeat(8000));
            call(engine, "UpdateKeyDescription", json!({ "KeyId": key, "Description": description })).map(|_| None)
        }
        _ => {
            let reply = call(engine, "CreateKey", json!({}))?;
            Ok(Some(reply["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()))
        }
    }
}

/// Everything the engine tells of its keys and aliases, read through the API.
fn everything(engine: &Engine) -> Vec<Value> {
    let aliases = call(engine, "ListAliases", json!({ "PageSize": 100 })).unwrap();
    let keys = call(engine, "ListKeys", json!({ "PageSize": 100 })).unwrap();
    let listed = keys["Keys"]["Key"].as_array().unwrap();
    assert_eq!(keys["TotalCount"], listed.len(), "the total is that of the list");
    assert_eq!(aliases["TotalCount"], aliases["Aliases"]["Alias"].as_array().unwrap().len());
    let mut all = vec![aliases["Aliases"].clone(), keys["Keys"].clone()];
    for key in listed {
        let id = &key["KeyId"];
        all.push(call(engine, "DescribeKey", json!({ "KeyId": id })).unwrap()["KeyMetadata"].clone());
        all.push(call(engine, "ListAliasesByKeyId", json!({ "KeyId": id })).unwrap()["Aliases"].clone());
        all.push(call(engine, "Encrypt", json!({ "KeyId": id, "Plaintext": "x" })).unwrap()["KeyVersionId"].clone());
    }
    all
}

/// Works until a call fails. Returns what was there before that call, and its error.
fn work_until_failure(engine: &Engine) -> (Vec<Value>, Option<ErrorCode>) {
    let mut keys = Vec::new();
    for n in 0..CALLS {
        let before = everything(engine);
        match work(engine, n, &keys) {
            Ok(key) => keys.extend(key),
            Err(code) => return (before, Some(code)),
        }
    }
    (everything(engine), None)
}

#[test]
fn a_failing_sync_loses_nothing_that_was_acknowledged() {
    for fault in [SyncFault::FailLost, SyncFault::FailKept, SyncFault::Freeze] {
        for n in 1..=CALLS {
            let disk = FaultDisk::new();
            let engine = open(&disk).unwrap();
            disk.at_sync(disk.syncs() + n, fault);
            let (before, error) = work_until_failure(&engine);
            // The call that meets the failure tells of it; after a power cut there is nothing to tell.
            let told = if fault == SyncFault::Freeze { ErrorCode::StorePoisoned } else { ErrorCode::StoreIo };
            assert_eq!(error, Some(told), "{fault:?} at {n}");
            let refused = call(&engine, "ListKeys", json!({})).unwrap_err();
            assert_eq!(refused, ErrorCode::StorePoisoned, "{fault:?} at {n}: a poisoned store answers nothing");
            drop(engine);
            let after = everything(&open(&disk).unwrap());
            match fault {
                SyncFault::FailKept => assert_ne!(after, before, "{fault:?} at {n}: the whole call is there"),
                _ => assert_eq!(after, before, "{fault:?} at {n}: nothing of the call is there"),
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    for n in 1..=CALLS {
        let disk = FaultDisk::new();
        let engine = open(&disk).unwrap();
        disk.at_sync(disk.syncs() + n, SyncFault::Full);
        let (before, error) = work_until_failure(&engine);
        assert_eq!(error, Some(ErrorCode::StoreFull), "at {n}");
        assert_eq!(everything(&engine), before, "at {n}: a refused call changes nothing");
        disk.make_space();
        call(&engine, "CreateKey", json!({})).unwrap();
        let after = everything(&engine);
        drop(engine);
        assert_eq!(everything(&open(&disk).unwrap()), after, "at {n}");
    }
}

/// A store whose making was interrupted is made anew; one that was made is never taken for a new one.
#[test]
fn an_interrupted_creation_is_begun_again() {
    let disk = FaultDisk::new();
    disk.at_next_sync(SyncFault::Freeze);
    assert!(open(&disk).is_err());
    let engine = open(&disk).unwrap();
    call(&engine, "CreateKey", json!({})).unwrap();
    drop(engine);
    assert_eq!(call(&open(&disk).unwrap(), "ListKeys", json!({})).unwrap()["TotalCount"], 1);
}

/// What uses a key finds it in the cache, by whichever door it came: the disk may fail, the key works on.
#[test]
fn a_key_in_use_needs_no_disk() {
    let disk = FaultDisk::new();
    let engine = open(&disk).unwrap();
    let created = call(&engine, "CreateKey", json!({})).unwrap();
    let key = created["KeyMetadata"]["KeyId"].clone();
    call(&engine, "CreateAlias", json!({ "KeyId": key, "AliasName": "alias/a" })).unwrap();
    let uses = |engine: &Engine| {
        let blob = call(engine, "Encrypt", json!({ "KeyId": "alias/a", "Plaintext": "x" }))?["CiphertextBlob"].clone();
        call(engine, "Decrypt", json!({ "CiphertextBlob": blob }))?;
        call(engine, "ReEncrypt", json!({ "CiphertextBlob": blob, "DestinationKeyId": "alias/a" }))?;
        call(engine, "GenerateDataKey", json!({ "KeyId": "alias/a" }))?;
        call(engine, "GenerateDataKeyWithoutPlaintext", json!({ "KeyId": "alias/a" }))
    };
    uses(&engine).unwrap();
    disk.at_next_read(ReadFault::Error);
    uses(&engine).unwrap();
    assert_eq!(call(&engine, "DescribeKey", json!({ "KeyId": key })).unwrap_err(), ErrorCode::StoreIo);
}

/// A clock that could not record where it goes has not moved: what it made due would come back when the store is reopened.
#[test]
fn a_clock_that_cannot_be_recorded_stays() {
    let disk = FaultDisk::new();
    let engine = open(&disk).unwrap();
    let created = call(&engine, "CreateKey", json!({})).unwrap();
    let key = json!({ "KeyId": created["KeyMetadata"]["KeyId"] });
    call(&engine, "ScheduleKeyDeletion", json!({ "KeyId": key["KeyId"], "PendingWindowInDays": 7 })).unwrap();
    disk.at_next_sync(SyncFault::Full);
    assert_eq!(engine.advance_clock(8 * 86_400).unwrap_err().code(), ErrorCode::StoreFull);
    call(&engine, "DescribeKey", key.clone()).unwrap();
    disk.make_space();
    engine.advance_clock(8 * 86_400).unwrap();
    assert_eq!(call(&engine, "DescribeKey", key).unwrap_err(), ErrorCode::KeyNotFound);
}

/// Runs `reader` while what `writer` commits is visible and not yet on disk.
fn beside<R: Send>(disk: &FaultDisk, writer: impl FnOnce() + Send, reader: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let gate = disk.hold_syncs();
        scope.spawn(writer);
        assert!(gate.wait(Duration::from_secs(60)), "the writer reaches its sync");
        let reader = scope.spawn(reader);
        // It reads now what is not on disk, and then has to wait.
        thread::sleep(Duration::from_millis(100));
        drop(gate);
        reader.join().unwrap()
    })
}

/// A list and its total are of one instant, also beside a commit; a key that is being swept counts for no limit.
#[test]
fn totals_fit_what_is_listed() {
    let disk = FaultDisk::new();
    let engine = open(&disk).unwrap();
    let create = || call(&engine, "CreateKey", json!({})).unwrap()["KeyMetadata"]["KeyId"].clone();
    let list = || {
        let keys = call(&engine, "ListKeys", json!({})).unwrap();
        assert_eq!(keys["TotalCount"], keys["Keys"]["Key"].as_array().unwrap().len());
        let aliases = call(&engine, "ListAliases", json!({})).unwrap();
        assert_eq!(aliases["TotalCount"], aliases["Aliases"]["Alias"].as_array().unwrap().len());
        (keys["TotalCount"].clone(), aliases["TotalCount"].clone())
    };
    let created = beside(&disk, || drop(create()), list);
    assert_eq!(created, (json!(1), json!(0)));

    let doomed = create();
    call(&engine, "CreateAlias", json!({ "KeyId": doomed, "AliasName": "alias/a" })).unwrap();
    call(&engine, "ScheduleKeyDeletion", json!({ "KeyId": doomed, "PendingWindowInDays": 7 })).unwrap();
    engine.advance_clock(7 * 86_400).unwrap();
    let swept = beside(&disk, || drop(engine.run_due().unwrap()), list);
    assert_eq!(swept, (json!(1), json!(0)));
}

#[test]
fn a_key_that_is_being_swept_counts_for_no_limit() {
    let disk = FaultDisk::new();
    let limits = json!({ "keys": 2, "aliases": 1 });
    let engine = open_with(&disk, json!({ "limits": limits })).unwrap();
    let kept = call(&engine, "CreateKey", json!({})).unwrap()["KeyMetadata"]["KeyId"].clone();
    let doomed = call(&engine, "CreateKey", json!({})).unwrap()["KeyMetadata"]["KeyId"].clone();
    call(&engine, "CreateAlias", json!({ "KeyId": doomed, "AliasName": "alias/a" })).unwrap();
    call(&engine, "ScheduleKeyDeletion", json!({ "KeyId": doomed, "PendingWindowInDays": 7 })).unwrap();
    engine.advance_clock(7 * 86_400).unwrap();
    beside(
        &disk,
        || drop(engine.run_due().unwrap()),
        || {
            call(&engine, "CreateKey", json!({})).unwrap();
            call(&engine, "CreateAlias", json!({ "KeyId": kept, "AliasName": "alias/b" })).unwrap();
        },
    );
    assert_eq!(call(&engine, "CreateKey", json!({})).unwrap_err(), ErrorCode::LimitExceeded);
}
