//! The engine over real and failing stores: what was acknowledged is there, what was refused left nothing, and a state
//! change ends the use of what was cached before it returns.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use kms_core::{ErrorCode, KmsError};
use kms_engine::{BLOB_OVERHEAD, Config, Engine};
use serde_json::{Value, json};

const ROOT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn config(store: &Path, root_key: &str) -> Config {
    let config = json!({
        "store": format!("sled:{}", store.display()),
        "root_key": { "hex": root_key },
        "clock": { "manual": "2030-01-01T00:00:00Z" },
    });
    Config::parse(&config.to_string()).unwrap()
}

fn memory() -> Engine {
    Engine::open(Config::parse(r#"{"store":"memory:","clock":{"manual":"2030-01-01T00:00:00Z"}}"#).unwrap()).unwrap()
}

fn call(engine: &Engine, action: &str, params: Value) -> Result<Value, KmsError> {
    engine.call(action, &params.to_string()).result.map(|text| serde_json::from_str(&text).unwrap())
}

fn create(engine: &Engine) -> String {
    let reply = call(engine, "CreateKey", json!({})).unwrap();
    reply["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

fn encrypt(engine: &Engine, key: &str, plaintext: &[u8]) -> Result<Vec<u8>, KmsError> {
    let mut blob = vec![0; plaintext.len() + BLOB_OVERHEAD];
    let len = engine.encrypt(key, plaintext, "", &mut blob)?;
    assert_eq!(len, blob.len());
    Ok(blob)
}

fn decrypt(engine: &Engine, blob: &[u8]) -> Result<Vec<u8>, KmsError> {
    let mut plaintext = vec![0; blob.len().saturating_sub(BLOB_OVERHEAD)];
    let len = engine.decrypt(blob, "", &mut plaintext)?;
    plaintext.truncate(len);
    Ok(plaintext)
}

/// What a store is told is there after it was closed: keys, aliases, tags, long descriptions, ciphertexts, the clock.
#[test]
fn reopening_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let description = "ü".repeat(8192);
    let (key, blob) = {
        let engine = Engine::open(config(&path, ROOT)).unwrap();
        let key = create(&engine);
        call(&engine, "CreateAlias", json!({ "KeyId": key, "AliasName": "alias/a" })).unwrap();
        call(&engine, "TagResource", json!({ "KeyId": key, "Tags": [{ "TagKey": "k", "TagValue": "v" }] })).unwrap();
        call(&engine, "UpdateKeyDescription", json!({ "KeyId": key, "Description": "soon replaced" })).unwrap();
        call(&engine, "UpdateKeyDescription", json!({ "KeyId": key, "Description": description })).unwrap();
        engine.advance_clock(60).unwrap();
        let blob = encrypt(&engine, "alias/a", b"hello").unwrap();
        (key, blob)
    };
    let engine = Engine::open(config(&path, ROOT)).unwrap();
    let reply = call(&engine, "DescribeKey", json!({ "KeyId": "alias/a" })).unwrap();
    assert_eq!(reply["KeyMetadata"]["KeyId"], key);
    assert_eq!(reply["KeyMetadata"]["Description"], description);
    assert_eq!(decrypt(&engine, &blob).unwrap(), b"hello");
    let tags = call(&engine, "ListResourceTags", json!({ "KeyId": key })).unwrap();
    assert_eq!(tags["Tags"]["Tag"][0]["TagValue"], "v");
    assert_eq!(call(&engine, "ListKeys", json!({})).unwrap()["TotalCount"], 1);
    assert_eq!(call(&engine, "ListAliases", json!({})).unwrap()["TotalCount"], 1);
    let later = create(&engine);
    let reply = call(&engine, "DescribeKey", json!({ "KeyId": later })).unwrap();
    assert_eq!(reply["KeyMetadata"]["CreationDate"], "2030-01-01T00:01:00Z", "the clock goes on where it stood");
}

#[test]
fn a_store_opens_for_its_own_root_key_and_for_one_engine_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engine = Engine::open(config(&path, ROOT)).unwrap();
    assert_eq!(Engine::open(config(&path, ROOT)).unwrap_err().code(), ErrorCode::StoreLocked);
    drop(engine);
    assert_eq!(Engine::open(config(&path, &"ab".repeat(32))).unwrap_err().code(), ErrorCode::WrongRootKey);
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter.txt"), "dear diary").unwrap();
    assert_eq!(Engine::open(config(&foreign, ROOT)).unwrap_err().code(), ErrorCode::StoreForeign);
    assert!(Engine::open(config(&path, ROOT)).is_ok(), "the refused have changed nothing");
}

/// Every bit of a blob counts, and its context does.
#[test]
fn an_altered_blob_does_not_open() {
    let engine = memory();
    let key = create(&engine);
    let blob = encrypt(&engine, &key, b"secret").unwrap();
    for bit in 36 * 8..blob.len() * 8 {
        let mut altered = blob.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decrypt(&engine, &altered).unwrap_err(), KmsError::invalid("CiphertextBlob"), "bit {bit}");
    }
    for len in 0..blob.len() {
        let mut out = [7; 64];
        assert!(engine.decrypt(&blob[..len], "", &mut out).is_err());
        assert_eq!(out, [7; 64], "output is written only on success");
    }
    let mut out = [0; 64];
    assert_eq!(engine.decrypt(&blob, r#"{"a":"b"}"#, &mut out).unwrap_err(), KmsError::invalid("CiphertextBlob"));
}

/// Many threads encrypt while one switches the key off and on: what begins after DisableKey has returned is refused, and
/// what begins after EnableKey works, however the cache is being filled meanwhile.
#[test]
fn a_state_change_ends_the_use_of_what_was_cached() {
    let engine = memory();
    let key = create(&engine);
    let (stop, engine, key) = (&AtomicBool::new(false), &engine, key.as_str());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match encrypt(engine, key, b"x") {
                        Ok(_) => {}
                        Err(error) => assert_eq!(error.code(), ErrorCode::KeyDisabled),
                    }
                }
            });
        }
        for _ in 0..2000 {
            call(engine, "DisableKey", json!({ "KeyId": key })).unwrap();
            assert_eq!(encrypt(engine, key, b"x").unwrap_err().code(), ErrorCode::KeyDisabled);
            call(engine, "EnableKey", json!({ "KeyId": key })).unwrap();
            encrypt(engine, key, b"x").unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Many threads create keys under a quota: exactly as many as it allows come to be.
#[test]
fn a_quota_holds_under_contention() {
    let config = r#"{"store":"memory:","limits":{"keys":20}}"#;
    let engine = &Engine::open(Config::parse(config).unwrap()).unwrap();
    let made: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..10).filter(|_| call(engine, "CreateKey", json!({})).is_ok()).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(made, 20);
    assert_eq!(call(engine, "ListKeys", json!({})).unwrap()["TotalCount"], 20);
}

/// The sweep removes what is gone already, and nothing else.
#[test]
fn the_sweep_removes_what_is_due() {
    let engine = memory();
    let (kept, due) = (create(&engine), create(&engine));
    call(&engine, "CreateAlias", json!({ "KeyId": due, "AliasName": "alias/due" })).unwrap();
    call(&engine, "ScheduleKeyDeletion", json!({ "KeyId": due, "PendingWindowInDays": 7 })).unwrap();
    assert_eq!(engine.run_due().unwrap(), r#"{"DeletedKeys":0,"ExpiredMaterials":0,"RotatedKeys":0}"#);
    engine.advance_clock(7 * 86_400).unwrap();
    assert_eq!(engine.run_due().unwrap(), r#"{"DeletedKeys":1,"ExpiredMaterials":0,"RotatedKeys":0}"#);
    assert_eq!(engine.run_due().unwrap(), r#"{"DeletedKeys":0,"ExpiredMaterials":0,"RotatedKeys":0}"#);
    assert_eq!(call(&engine, "ListKeys", json!({})).unwrap()["TotalCount"], 1);
    assert_eq!(call(&engine, "ListAliases", json!({})).unwrap()["TotalCount"], 0);
    assert!(call(&engine, "DescribeKey", json!({ "KeyId": kept })).is_ok());
    assert_eq!(call(&engine, "DescribeKey", json!({ "KeyId": due })).unwrap_err().code(), ErrorCode::KeyNotFound);
}

/// The typed functions check in the same order as the actions (OP-10): the account, then what is required, then its form.
#[test]
fn typed_functions_check_in_order() {
    let config = r#"{"store":"memory:","clock":{"manual":"2030-01-01T00:00:00Z"},"account_status":"NotEnabled"}"#;
    let closed = Engine::open(Config::parse(config).unwrap()).unwrap();
    let open = memory();
    let mut out = [0; 2048];
    let mut data_key = [0; 32];
    let mut check = |engine: &Engine, key: &str, context: &str, expected: KmsError| {
        assert_eq!(engine.encrypt(key, b"x", context, &mut out).unwrap_err(), expected);
        assert_eq!(engine.generate_data_key(key, &mut data_key, context, &mut out).unwrap_err(), expected);
        let hidden = engine.generate_data_key_without_plaintext(key, 1025, context, &mut out);
        assert_eq!(hidden.unwrap_err(), expected);
        if expected.code() == ErrorCode::KmsServiceNotEnabled {
            assert_eq!(engine.decrypt(b"", context, &mut out).unwrap_err(), expected);
            assert_eq!(engine.reencrypt(b"", context, key, context, &mut out).unwrap_err(), expected);
        }
    };
    check(&closed, "", "[]", ErrorCode::KmsServiceNotEnabled.into());
    check(&open, "", "[]", KmsError::missing("KeyId"));
}

#[test]
fn a_call_without_an_action_misses_it() {
    let absent = memory().call("", "{}").result.unwrap_err();
    assert_eq!(absent, KmsError::missing("Action"));
}

/// Goal: a blob that names a version of an asymmetric key, which anybody can put together, is a bad blob (OP-42) and no
/// alarm about the store.
#[test]
fn a_blob_in_the_name_of_a_key_pair_is_a_bad_one() {
    use base64::Engine as _;
    let engine = memory();
    let destination = create(&engine);
    for (spec, usage) in [("EC_SM2", "ENCRYPT/DECRYPT"), ("EC_P256", "SIGN/VERIFY")] {
        let reply = call(&engine, "CreateKey", json!({ "KeySpec": spec, "KeyUsage": usage })).unwrap();
        let listed = call(&engine, "ListKeyVersions", json!({ "KeyId": reply["KeyMetadata"]["KeyId"] })).unwrap();
        let version = listed["KeyVersions"]["KeyVersion"][0]["KeyVersionId"].as_str().unwrap();
        let blob = [version.as_bytes(), &[0x10], &[7; 60]].concat();
        let bad = Err(KmsError::invalid("CiphertextBlob"));
        assert_eq!(decrypt(&engine, &blob).map(|_| ()), bad);
        let text = base64::engine::general_purpose::STANDARD.encode(&blob);
        assert_eq!(call(&engine, "Decrypt", json!({ "CiphertextBlob": text })).map(|_| ()), bad);
        let reencrypt = json!({ "CiphertextBlob": text, "DestinationKeyId": destination });
        assert_eq!(call(&engine, "ReEncrypt", reencrypt).map(|_| ()), bad);
    }
    assert!(encrypt(&engine, &destination, b"the engine still works").is_ok());
}
