//! Goal: each action answers in each key state as `contract/state-table.csv` says, leads to the state that the
//! contract's diagram draws, and changes nothing where it is refused.
//!
//! Method: for every row of an action that stands, and for every way in which a key gets into each of the four states,
//! a fresh engine; one call through the C interface with parameters that are good; the answer against the cell, the
//! state afterwards against the diagram (which is written out below, not taken from the code under test), and for a
//! refusal everything that can be seen of the account before against after.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, c_char};
use std::ptr::null;

use ::kms::{kms, kms_decrypt, kms_encrypt, kms_error, kms_sign, kms_status, kms_verify};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use common::batch::{Outputs, Row};
use common::*;
use kms_core::Action;
use kms_core::crypto::asymmetric::{EncryptionScheme, Kind, PublicKey};
use kms_engine::os_rng::OsRng;
use serde_json::{Value, json};

const TABLE: &str = include_str!("../../contract/state-table.csv");
const ERRORS: &str = include_str!("../../contract/errors.csv");
const SM2DSA: *const c_char = c"SM2DSA".as_ptr();
const ACCOUNT: &str = "acs:kms:cn-hangzhou:1000000000000000";

/// How the key came to the state that it is in. Those after the first four have a key of Origin EXTERNAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Created,
    SwitchedOff,
    Scheduled,
    SwitchedOffThenScheduled,
    CreatedExternal,
    CreatedExternalThenScheduled,
    Imported,
    ImportedThenSwitchedOff,
    ImportedThenScheduled,
    ImportedThenLost,
    ImportedThenLostThenScheduled,
}

impl Way {
    const ALL: [Self; 11] = [
        Self::Created,
        Self::SwitchedOff,
        Self::Scheduled,
        Self::SwitchedOffThenScheduled,
        Self::CreatedExternal,
        Self::CreatedExternalThenScheduled,
        Self::Imported,
        Self::ImportedThenSwitchedOff,
        Self::ImportedThenScheduled,
        Self::ImportedThenLost,
        Self::ImportedThenLostThenScheduled,
    ];

    /// The state, which is also the heading of a column.
    fn state(self) -> &'static str {
        match self {
            Self::Created | Self::Imported => "Enabled",
            Self::SwitchedOff | Self::ImportedThenSwitchedOff => "Disabled",
            Self::Scheduled
            | Self::SwitchedOffThenScheduled
            | Self::CreatedExternalThenScheduled
            | Self::ImportedThenScheduled
            | Self::ImportedThenLostThenScheduled => "PendingDeletion",
            Self::CreatedExternal | Self::ImportedThenLost => "PendingImport",
        }
    }

    fn is_external(self) -> bool {
        !matches!(self, Self::Created | Self::SwitchedOff | Self::Scheduled | Self::SwitchedOffThenScheduled)
    }

    /// Whether material was imported, be it lost since or not.
    fn is_imported(self) -> bool {
        self.is_external() && !matches!(self, Self::CreatedExternal | Self::CreatedExternalThenScheduled)
    }

    /// Whether material was imported and lost.
    fn is_lost(self) -> bool {
        matches!(self, Self::ImportedThenLost | Self::ImportedThenLostThenScheduled)
    }

    /// Whether the key has no material.
    fn is_empty(self) -> bool {
        self.is_lost() || (self.is_external() && !self.is_imported())
    }

    /// Whether the key is of the sort that the row is about. If it is not, an open gate leads to another error.
    fn fits(self, row: &str) -> bool {
        if row.ends_with(" (EXTERNAL keys only)") {
            return self.is_external();
        }
        !self.is_external() || (asymmetric_usage(row).is_none() && row != "UpdateRotationPolicy")
    }
}

/// The arrows of the diagram in chapter 1 of the contract, and its rules for EXTERNAL keys (OP-20, OP-23). An action that is not
/// drawn leaves the state as it is.
fn state_after(row: &str, way: Way) -> &'static str {
    match (action_of(row), way.state()) {
        ("EnableKey", "Disabled") => "Enabled",
        ("DisableKey", "Enabled") => "Disabled",
        ("ImportKeyMaterial", "PendingImport") => "Enabled",
        ("DeleteKeyMaterial", "Enabled" | "Disabled") => "PendingImport",
        ("ScheduleKeyDeletion", "Enabled" | "Disabled" | "PendingImport") => "PendingDeletion",
        ("CancelKeyDeletion", "PendingDeletion") if way.is_empty() => "PendingImport",
        ("CancelKeyDeletion", "PendingDeletion") => "Enabled",
        (_, state) => state,
    }
}

/// The key of a row, in its state, and what the calls need besides it.
struct Scene {
    engine: *mut kms,
    key: String,
    version: String,
    /// A ciphertext of the key; of an asymmetric one, what its usage is about: a ciphertext or a signature.
    blob: String,
    /// Another key, which is Enabled, and a ciphertext of it.
    other: String,
    other_blob: String,
    /// A public key of somebody else's: the Base64 of its SubjectPublicKeyInfo.
    receiver: String,
    /// The parameters of ImportKeyMaterial; good for an EXTERNAL key.
    import: Value,
}

/// The usage of the EC_SM2 key that a row is about; `None` for rows about symmetric keys.
fn asymmetric_usage(row: &str) -> Option<&'static str> {
    match row {
        "AsymmetricSign" | "AsymmetricVerify" | "GetPublicKey" | "CreateKeyVersion" => Some("SIGN/VERIFY"),
        "AsymmetricEncrypt" | "AsymmetricDecrypt" => Some("ENCRYPT/DECRYPT"),
        _ => None,
    }
}

/// How material is wrapped: the way that needs no RSA key pair, which takes long to make.
fn wrapping() -> Value {
    json!({ "WrappingAlgorithm": "SM2PKE", "WrappingKeySpec": "EC_SM2" })
}

/// The parameters that import the material of an EXTERNAL key; always the same material.
fn import(engine: *mut kms, key: &str) -> Value {
    let params = merged(&[json!({ "KeyId": key }), wrapping()]);
    let parameters = must(engine, "GetParametersForImport", &params);
    let public_key = BASE64_STANDARD.decode(parameters["PublicKey"].as_str().unwrap()).unwrap();
    let public_key = PublicKey::parse(Kind::Sm2, &public_key).unwrap();
    let material = [9; 32];
    let mut wrapped = vec![0; public_key.ciphertext_len(material.len())];
    public_key.encrypt(EncryptionScheme::Sm2, &material, &mut OsRng, &mut wrapped).unwrap();
    json!({
        "KeyId": key,
        "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": BASE64_STANDARD.encode(wrapped),
    })
}

/// A digest of 32 bytes.
fn digest() -> String {
    BASE64_STANDARD.encode([7; 32])
}

impl Drop for Scene {
    fn drop(&mut self) {
        close(self.engine);
    }
}

impl Scene {
    fn new(row: &str, way: Way) -> Self {
        let is_protected = row == "ScheduleKeyDeletion:deletion-protection-on";
        let engine = open(CONFIG);
        let other = create_key(engine, &json!({}));
        must(engine, "CreateAlias", &json!({ "AliasName": "alias/other", "KeyId": other }));
        let other_blob = encrypt(engine, &other);

        let receiver = create_key(engine, &json!({ "KeySpec": "EC_SM2", "KeyUsage": "ENCRYPT/DECRYPT" }));
        let receiver = public_key(engine, &receiver);

        // Only symmetric keys can be EXTERNAL: there the answer to the state comes before that to the kind.
        let usage = asymmetric_usage(row).filter(|_| !way.is_external());
        let key = match usage {
            Some(usage) => {
                create_key(engine, &json!({ "KeySpec": "EC_SM2", "KeyUsage": usage, "Description": "before" }))
            }
            None if way.is_external() => {
                let params = json!({ "Origin": "EXTERNAL", "ProtectionLevel": "HSM", "Description": "before" });
                create_key(engine, &params)
            }
            None => create_key(engine, &json!({ "Description": "before" })),
        };
        let only_key = json!({ "KeyId": key });
        let import = if way.is_external() {
            import(engine, &key)
        } else {
            // Nobody gets so far as to look at them.
            json!({ "KeyId": key, "ImportToken": "AAAA", "EncryptedKeyMaterial": "AAAA" })
        };
        if way.is_imported() {
            must(engine, "ImportKeyMaterial", &import);
        }
        must(engine, "CreateAlias", &json!({ "AliasName": "alias/key", "KeyId": key }));
        must(engine, "TagResource", &json!({ "KeyId": key, "Tags": [{ "TagKey": "k", "TagValue": "before" }] }));
        let versions = must(engine, "ListKeyVersions", &json!({ "KeyId": key }));
        let version = versions["KeyVersions"]["KeyVersion"][0]["KeyVersionId"].as_str().unwrap().to_owned();
        let pair = json!({ "KeyId": key, "KeyVersionId": version });
        let blob = if let Some(usage) = usage {
            let (action, input, algorithm, output) = match usage {
                "SIGN/VERIFY" => ("AsymmetricSign", json!({ "Digest": digest() }), "SM2DSA", "Value"),
                _ => ("AsymmetricEncrypt", json!({ "Plaintext": "AAAA" }), "SM2PKE", "CiphertextBlob"),
            };
            let reply = must(engine, action, &merged(&[pair, input, json!({ "Algorithm": algorithm })]));
            reply[output].as_str().unwrap().to_owned()
        } else if way.is_external() && !way.is_imported() {
            // A key that never had material has made no ciphertext, but one that names it can be put together: a blob
            // begins with the version's id, 36 characters, which are 48 of Base64.
            format!("{}{}", BASE64_STANDARD.encode(&version), &other_blob[48..])
        } else {
            encrypt(engine, &key)
        };

        if row == "CreateKeyVersion" {
            // A version is made a week after the one before at the earliest.
            clock_advance(engine, 7 * 24 * 60 * 60).ok();
        }
        if matches!(way, Way::SwitchedOff | Way::SwitchedOffThenScheduled | Way::ImportedThenSwitchedOff) {
            must(engine, "DisableKey", &only_key);
        }
        if way.is_lost() {
            must(engine, "DeleteKeyMaterial", &only_key);
        }
        if way.state() == "PendingDeletion" {
            must(engine, "ScheduleKeyDeletion", &json!({ "KeyId": key, "PendingWindowInDays": 10 }));
        } else if is_protected {
            // In PendingDeletion it can neither be switched on nor have stayed on; the cell is the same without it.
            let arn = format!("{ACCOUNT}:key/{key}");
            let params = json!({ "ProtectedResourceArn": arn, "EnableDeletionProtection": true });
            must(engine, "SetDeletionProtection", &params);
        }
        let scene = Self { engine, key, version, blob, other, other_blob, receiver, import };
        assert_eq!(scene.state(), way.state());
        scene
    }

    fn state(&self) -> String {
        let described = must(self.engine, "DescribeKey", &json!({ "KeyId": self.key }));
        described["KeyMetadata"]["KeyState"].as_str().unwrap().to_owned()
    }

    /// Everything that can be seen.
    fn sight(&self) -> Vec<Value> {
        let (key, other) = (json!({ "KeyId": self.key }), json!({ "KeyId": self.other }));
        let all = json!({ "PageSize": 100 });
        let calls = [
            ("DescribeKey", &key),
            ("ListKeyVersions", &key),
            ("ListAliasesByKeyId", &key),
            ("ListResourceTags", &key),
            ("DescribeKey", &other),
            ("ListKeyVersions", &other),
            ("ListAliasesByKeyId", &other),
            ("ListResourceTags", &other),
            ("ListKeys", &all),
            ("ListAliases", &all),
            ("DescribeAccountKmsStatus", &json!({})),
        ];
        calls.map(|(action, params)| must(self.engine, action, params)).into()
    }

    /// Good parameters for a row.
    fn params(&self, row: &str) -> Value {
        let Self { key, version, blob, other, other_blob, receiver, import, .. } = self;
        let pair = json!({ "KeyId": key, "KeyVersionId": version });
        let signing = json!({ "Algorithm": "SM2DSA", "Digest": digest() });
        let export = merged(&[json!({ "PublicKeyBlob": receiver }), wrapping()]);
        match row {
            "CreateKey" | "ListKeys" | "ListAliases" => json!({}),
            "DescribeKey"
            | "EnableKey"
            | "DisableKey"
            | "CancelKeyDeletion"
            | "ListResourceTags"
            | "ListKeyVersions"
            | "ListAliasesByKeyId"
            | "GenerateDataKey"
            | "GenerateDataKeyWithoutPlaintext"
            | "CreateKeyVersion" => json!({ "KeyId": key }),
            "Encrypt" => json!({ "KeyId": key, "Plaintext": "text" }),
            "Decrypt" => json!({ "CiphertextBlob": blob }),
            "ReEncrypt:source-key" => json!({ "CiphertextBlob": blob, "DestinationKeyId": other }),
            "ReEncrypt:destination-key" => json!({ "CiphertextBlob": other_blob, "DestinationKeyId": key }),
            "UpdateKeyDescription" => json!({ "KeyId": key, "Description": "after" }),
            "ScheduleKeyDeletion" | "ScheduleKeyDeletion:deletion-protection-on" => {
                json!({ "KeyId": key, "PendingWindowInDays": 7 })
            }
            "SetDeletionProtection" => {
                json!({ "ProtectedResourceArn": format!("{ACCOUNT}:key/{key}"), "EnableDeletionProtection": true })
            }
            "CreateAlias" => json!({ "AliasName": "alias/new", "KeyId": key }),
            "DeleteAlias" => json!({ "AliasName": "alias/key" }),
            "UpdateAlias:target-key" => json!({ "AliasName": "alias/other", "KeyId": key }),
            "UpdateAlias:currently-bound-key" => json!({ "AliasName": "alias/key", "KeyId": other }),
            "TagResource" => json!({ "KeyId": key, "Tags": [{ "TagKey": "k", "TagValue": "after" }] }),
            "UntagResource" => json!({ "KeyId": key, "TagKeys": ["k"] }),
            "DescribeKeyVersion" | "GetPublicKey" => pair,
            "AsymmetricSign" => merged(&[pair, signing]),
            "AsymmetricVerify" => merged(&[pair, signing, json!({ "Value": blob })]),
            "AsymmetricEncrypt" => merged(&[pair, json!({ "Algorithm": "SM2PKE", "Plaintext": "AAAA" })]),
            "AsymmetricDecrypt" => merged(&[pair, json!({ "Algorithm": "SM2PKE", "CiphertextBlob": blob })]),
            "UpdateRotationPolicy" => {
                json!({ "KeyId": key, "EnableAutomaticRotation": true, "RotationInterval": "30d" })
            }
            "GetParametersForImport (EXTERNAL keys only)" => merged(&[json!({ "KeyId": key }), wrapping()]),
            "ImportKeyMaterial (EXTERNAL keys only)" => import.clone(),
            "DeleteKeyMaterial (EXTERNAL keys only)" => json!({ "KeyId": key }),
            "GenerateAndExportDataKey" => merged(&[json!({ "KeyId": key }), export]),
            "ExportDataKey:key-of-CiphertextBlob" => merged(&[json!({ "CiphertextBlob": blob }), export]),
            row => panic!("{row} has no parameters here"),
        }
    }
}

/// The members of all of these objects in one.
fn merged(objects: &[Value]) -> Value {
    let members = objects.iter().flat_map(|object| object.as_object().unwrap().clone());
    Value::Object(members.collect())
}

/// The Base64 of a key's SubjectPublicKeyInfo: what stands between the first and the last line of its PEM.
fn public_key(engine: *mut kms, key: &str) -> String {
    let versions = must(engine, "ListKeyVersions", &json!({ "KeyId": key }));
    let version = &versions["KeyVersions"]["KeyVersion"][0]["KeyVersionId"];
    let reply = must(engine, "GetPublicKey", &json!({ "KeyId": key, "KeyVersionId": version }));
    reply["PublicKey"].as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect()
}

fn encrypt(engine: *mut kms, key: &str) -> String {
    let reply = must(engine, "Encrypt", &json!({ "KeyId": key, "Plaintext": "text" }));
    reply["CiphertextBlob"].as_str().unwrap().to_owned()
}

/// The action of a row: "ReEncrypt" of "ReEncrypt:source-key".
fn action_of(row: &str) -> &str {
    row.split([':', ' ']).next().unwrap()
}

fn stands(row: &str) -> bool {
    Action::parse(action_of(row)).expect("every row is about an action").stands()
}

fn http_status(code: &str) -> i32 {
    let line = ERRORS.lines().find(|line| line.split(',').next() == Some(code)).expect("the code is the contract's");
    line.split(',').nth(1).unwrap().parse().unwrap()
}

#[test]
fn every_cell_of_the_contract() {
    let mut lines = TABLE.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(columns[..5], ["api", "Enabled", "Disabled", "PendingDeletion", "PendingImport"]);

    let mut cells: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in lines {
        let line: Vec<&str> = line.split(',').collect();
        let row = line[0];
        if !stands(row) {
            continue;
        }
        for way in Way::ALL {
            let column = columns.iter().position(|column| *column == way.state()).unwrap();
            let expected = line[column];
            if expected == "Success" && !way.fits(row) {
                continue;
            }
            let told = format!("{row} with a key that is {} ({way:?})", way.state());

            let scene = Scene::new(row, way);
            let before = scene.sight();
            match call(scene.engine, action_of(row), &scene.params(row)) {
                Ok(_) => {
                    assert_eq!(expected, "Success", "{told}");
                    assert_eq!(scene.state(), state_after(row, way), "{told}");
                }
                Err(outcome) => {
                    assert_eq!(outcome.code, expected, "{told}");
                    assert_eq!(outcome.http, http_status(expected), "{told}");
                    assert_eq!(scene.sight(), before, "{told}: a refusal left a trace");
                }
            }
            cells.entry(row).or_default().insert(way.state());
        }
    }

    // Nothing was left out: the rows are those of the actions that stand, and each was looked at in all four states.
    let rows: BTreeSet<&str> = TABLE.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let expected: BTreeSet<&str> = rows.into_iter().filter(|row| stands(row)).collect();
    assert_eq!(cells.keys().copied().collect::<BTreeSet<_>>(), expected);
    assert!(cells.values().all(|states| states.len() == 4));
}

/// A single call that writes bytes.
fn alone(mut call: impl FnMut(*mut u8, usize, *mut usize, *mut *mut kms_error) -> kms_status) -> Outcome {
    let (mut out, mut len) = (vec![0; 8192], 0);
    run(|err| call(out.as_mut_ptr(), out.len(), &raw mut len, err))
}

/// The single calls of a row for a good item and for one that is bad in its form, and a batch: good, bad, good.
fn single_and_batch(row: &str, scene: &Scene, o: &mut Outputs) -> ([Outcome; 2], Outcome) {
    let key = CString::new(scene.key.as_str()).unwrap();
    let (engine, key) = (scene.engine, key.as_ptr());
    let blob = BASE64_STANDARD.decode(&scene.blob).unwrap();
    let items = match row {
        "Encrypt" => [vec![7; 32], vec![7; 6145]],
        "Decrypt" => [blob.clone(), blob[..76].to_vec()],
        _ => [vec![7; 32], vec![7; 31]],
    };
    let together = Row::of(&[&items[0], &items[1], &items[0]]);
    let singles = items.each_ref().map(|item| {
        let (at, len, none) = (item.as_ptr(), item.len(), null());
        // SAFETY: good arguments, in all four.
        unsafe {
            match row {
                "Encrypt" => {
                    alone(|out, cap, out_len, e| kms_encrypt(engine, key, at, len, none, out, cap, out_len, e))
                }
                "Decrypt" => alone(|out, cap, out_len, e| kms_decrypt(engine, at, len, none, out, cap, out_len, e)),
                "AsymmetricSign" => {
                    alone(|out, cap, out_len, e| kms_sign(engine, key, none, SM2DSA, at, len, out, cap, out_len, e))
                }
                "AsymmetricVerify" => {
                    let (mut valid, value) = (false, &blob);
                    let outcome = run(|e| {
                        let (value, value_len) = (value.as_ptr(), value.len());
                        kms_verify(engine, key, none, SM2DSA, at, len, value, value_len, &raw mut valid, e)
                    });
                    assert_eq!(outcome.is_ok(), valid);
                    outcome
                }
                row => panic!("{row} has no batch form"),
            }
        }
    });
    let batch = match row {
        "Encrypt" => o.encrypt(engine, key, &together).run(),
        "Decrypt" => o.decrypt(engine, &together).run(),
        "AsymmetricSign" => o.sign(engine, key, SM2DSA, &together).run(),
        _ => o.verify(engine, key, SM2DSA, &together, &Row::of(&[&blob, &blob, &blob])).run(),
    };
    (singles, batch)
}

/// Goal: a batch passes the gates that single calls pass, and is refused by them as they are. Method: the rows of the actions
/// that have a batch form, in every state: each item against a single call in the same scene.
#[test]
fn batches_answer_as_single_calls_in_every_state() {
    for row in ["Encrypt", "Decrypt", "AsymmetricSign", "AsymmetricVerify"] {
        for way in Way::ALL {
            let scene = Scene::new(row, way);
            let mut outputs = Outputs::new(3, 16384);
            let ([good, bad], batch) = single_and_batch(row, &scene, &mut outputs);
            let told = format!("{row} with a key that is {} ({way:?})", way.state());
            batch.ok();
            assert!(!bad.is_ok(), "{told}");
            assert_eq!(good.is_ok(), way.state() == "Enabled" && way.fits(row), "{told}: {good:?}");
            if row == "AsymmetricVerify" {
                assert_eq!(outputs.valid, [&good, &bad, &good].map(|outcome| u8::from(outcome.is_ok())), "{told}");
            }
            let nameless = |outcome: Outcome| Outcome { request_id: String::new(), ..outcome };
            let together: Vec<_> = outputs.outcomes().into_iter().map(nameless).collect();
            assert_eq!(together, [good.clone(), bad, good].map(nameless), "{told}");
        }
    }
}
