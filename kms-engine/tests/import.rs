//! Import of key material through the engine: every way of wrapping, tokens across restarts and stores, and what a refused
//! import leaves.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kms_core::crypto::asymmetric::{EncryptionScheme, Kind, PublicKey};
use kms_core::{ErrorCode, KmsError};
use kms_engine::os_rng::OsRng;
use kms_engine::{Config, Engine};
use kms_store::fault::FaultDisk;
use serde_json::{Value, json};

/// Every way of wrapping: its name, the kind of the wrapping key, and the scheme.
const WRAPPINGS: [(&str, &str, Kind, EncryptionScheme); 4] = [
    ("RSAES_PKCS1_V1_5", "RSA_2048", Kind::Rsa2048, EncryptionScheme::RsaPkcs1),
    ("RSAES_OAEP_SHA_1", "RSA_2048", Kind::Rsa2048, EncryptionScheme::OaepSha1),
    ("RSAES_OAEP_SHA_256", "RSA_2048", Kind::Rsa2048, EncryptionScheme::OaepSha256),
    ("SM2PKE", "EC_SM2", Kind::Sm2, EncryptionScheme::Sm2),
];

fn open(disk: &FaultDisk) -> Engine {
    let config = json!({
        "store": "memory:",
        "root_key": { "hex": "07".repeat(32) },
        "clock": { "manual": "2030-01-01T00:00:00Z" },
    });
    Engine::open_on(Box::new(disk.reopen()), Config::parse(&config.to_string()).unwrap()).unwrap()
}

fn call(engine: &Engine, action: &str, params: Value) -> Result<Value, KmsError> {
    engine.call(action, &params.to_string()).result.map(|text| serde_json::from_str(&text).unwrap())
}

fn external(engine: &Engine, spec: &str) -> String {
    let params = json!({ "KeySpec": spec, "Origin": "EXTERNAL", "ProtectionLevel": "HSM" });
    call(engine, "CreateKey", params).unwrap()["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

fn state(engine: &Engine, key: &str) -> String {
    let reply = call(engine, "DescribeKey", json!({ "KeyId": key })).unwrap();
    reply["KeyMetadata"]["KeyState"].as_str().unwrap().to_owned()
}

/// What GetParametersForImport has answered.
struct Parameters {
    token: String,
    kind: Kind,
    scheme: EncryptionScheme,
    wrapping_key: PublicKey,
}

impl Parameters {
    fn get(engine: &Engine, key: &str, of: (&str, &str, Kind, EncryptionScheme)) -> Self {
        let (algorithm, spec, kind, scheme) = of;
        let params = json!({ "KeyId": key, "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec });
        let reply = call(engine, "GetParametersForImport", params).unwrap();
        let public_key = BASE64.decode(reply["PublicKey"].as_str().unwrap()).unwrap();
        let wrapping_key = PublicKey::parse(kind, &public_key).unwrap();
        Self { token: reply["ImportToken"].as_str().unwrap().to_owned(), kind, scheme, wrapping_key }
    }

    fn wrap(&self, material: &[u8]) -> Vec<u8> {
        let mut wrapped = vec![0; self.wrapping_key.ciphertext_len(material.len())];
        self.wrapping_key.encrypt(self.scheme, material, &mut OsRng, &mut wrapped).unwrap();
        wrapped
    }

    fn import_wrapped(&self, engine: &Engine, key: &str, wrapped: &[u8]) -> Result<(), ErrorCode> {
        let params = json!({
            "KeyId": key, "ImportToken": self.token, "EncryptedKeyMaterial": BASE64.encode(wrapped),
        });
        call(engine, "ImportKeyMaterial", params).map(|_| ()).map_err(|error| error.code())
    }

    fn import(&self, engine: &Engine, key: &str, material: &[u8]) -> Result<(), ErrorCode> {
        self.import_wrapped(engine, key, &self.wrap(material))
    }
}

/// Goal: material of every spec comes in by every way of wrapping, and is the key: two keys with the same material are still
/// two keys.
#[test]
fn every_spec_by_every_wrapping() {
    let engine = open(&FaultDisk::new());
    for of in WRAPPINGS {
        for (spec, len) in [("Aliyun_AES_256", 32), ("Aliyun_AES_192", 24), ("Aliyun_AES_128", 16), ("Aliyun_SM4", 16)]
        {
            let (key, other) = (external(&engine, spec), external(&engine, spec));
            let material: Vec<u8> = (0..len).collect();
            for key in [&key, &other] {
                let parameters = Parameters::get(&engine, key, of);
                for wrong in [len - 1, len + 1] {
                    let refused = parameters.import(&engine, key, &vec![7; usize::from(wrong)]);
                    assert_eq!(refused, Err(ErrorCode::InvalidKeyMaterial), "{} {spec}", of.0);
                }
                assert_eq!(state(&engine, key), "PendingImport", "{} {spec}", of.0);
                assert_eq!(parameters.import(&engine, key, &material), Ok(()), "{} {spec}", of.0);
                assert_eq!(state(&engine, key), "Enabled", "{} {spec}", of.0);
            }
            let sealed = call(&engine, "Encrypt", json!({ "KeyId": key, "Plaintext": "text" })).unwrap();
            let blob = &sealed["CiphertextBlob"];
            let opened = call(&engine, "Decrypt", json!({ "CiphertextBlob": blob })).unwrap();
            assert_eq!((&opened["Plaintext"], &opened["KeyId"]), (&json!("text"), &json!(key)), "{} {spec}", of.0);
            call(&engine, "DeleteKeyMaterial", json!({ "KeyId": key })).unwrap();
            let refused = call(&engine, "Decrypt", json!({ "CiphertextBlob": blob })).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::KeyPendingImport, "the other key does not open it");
        }
    }
}

/// Goal: whatever is wrong with wrapped material, it is one error that names nothing, and the key is as it was.
#[test]
fn bad_material_is_one_error() {
    let engine = open(&FaultDisk::new());
    let key = external(&engine, "Aliyun_AES_256");
    let material = [9; 32];
    for of in WRAPPINGS {
        let parameters = Parameters::get(&engine, &key, of);
        let good = parameters.wrap(&material);
        let mut bad: Vec<Vec<u8>> = vec![Vec::new(), vec![0], vec![0; good.len()], vec![0xff; good.len()]];
        bad.extend([0, good.len() / 2, good.len() - 1].map(|at| {
            let mut altered = good.clone();
            altered[at] ^= 1;
            altered
        }));
        bad.push(good[1..].to_vec());
        bad.push([good.as_slice(), &[0]].concat());
        bad.push(parameters.wrap(&[9; 31]));
        for wrapped in bad {
            let params = json!({
                "KeyId": key, "ImportToken": parameters.token, "EncryptedKeyMaterial": BASE64.encode(&wrapped),
            });
            let refused = call(&engine, "ImportKeyMaterial", params).unwrap_err();
            let expected = if wrapped.is_empty() {
                KmsError::missing("EncryptedKeyMaterial")
            } else {
                ErrorCode::InvalidKeyMaterial.into()
            };
            assert_eq!(refused, expected, "{}: {} bytes", of.0, wrapped.len());
            assert_eq!(state(&engine, &key), "PendingImport");
        }
    }
    // None of them has become what the key is for ever.
    assert_eq!(Parameters::get(&engine, &key, WRAPPINGS[3]).import(&engine, &key, &material), Ok(()));
}

/// Goal: a token outlives a restart, serves its own store, key and algorithm only, and no bit of it can be changed. What was
/// imported first is remembered for the life of the key, deleted or not.
#[test]
fn tokens_and_fingerprints_outlive_restarts() {
    let (disk, other_disk) = (FaultDisk::new(), FaultDisk::new());
    let engine = open(&disk);
    let (key, second) = (external(&engine, "Aliyun_SM4"), external(&engine, "Aliyun_SM4"));
    let parameters = Parameters::get(&engine, &key, WRAPPINGS[3]);
    drop(engine);
    let engine = open(&disk);
    assert_eq!(parameters.import(&engine, &second, &[1; 16]), Err(ErrorCode::InvalidImportToken));
    let other = open(&other_disk);
    let elsewhere = external(&other, "Aliyun_SM4");
    assert_eq!(parameters.import(&other, &elsewhere, &[1; 16]), Err(ErrorCode::InvalidImportToken));
    let token = BASE64.decode(&parameters.token).unwrap();
    for bit in 0..8 * token.len() {
        let mut altered = token.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let altered = Parameters { token: BASE64.encode(altered), ..Parameters::get(&engine, &key, WRAPPINGS[3]) };
        let refused = altered.import(&engine, &key, &[1; 16]);
        assert_eq!(refused, Err(ErrorCode::InvalidImportToken), "{:?} bit {bit}", parameters.kind);
    }
    assert_eq!(parameters.import(&engine, &key, &[1; 16]), Ok(()));
    call(&engine, "DeleteKeyMaterial", json!({ "KeyId": key })).unwrap();
    drop(engine);
    let engine = open(&disk);
    assert_eq!(state(&engine, &key), "PendingImport");
    assert_eq!(parameters.import(&engine, &key, &[2; 16]), Err(ErrorCode::InvalidKeyMaterial));
    assert_eq!(parameters.import(&engine, &key, &[1; 16]), Ok(()));
    drop(engine);
    assert_eq!(state(&open(&disk), &key), "Enabled");
}

/// Goal: a use beside DeleteKeyMaterial and ImportKeyMaterial works or is told that the material is not there; never that the store
/// is damaged. Method: two threads that use, one that takes the material away and brings it back.
#[test]
fn a_use_beside_a_loss_is_no_damage() {
    let engine = open(&FaultDisk::new());
    let key = external(&engine, "Aliyun_SM4");
    let parameters = Parameters::get(&engine, &key, WRAPPINGS[3]);
    parameters.import(&engine, &key, &[1; 16]).unwrap();
    let sealed = call(&engine, "Encrypt", json!({ "KeyId": key, "Plaintext": "text" })).unwrap();
    let blob = sealed["CiphertextBlob"].clone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (action, params) in
            [("Encrypt", json!({ "KeyId": key, "Plaintext": "text" })), ("Decrypt", json!({ "CiphertextBlob": blob }))]
        {
            let (engine, done) = (&engine, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    if let Err(error) = call(engine, action, params.clone()) {
                        assert_eq!(error.code(), ErrorCode::KeyPendingImport, "{action}");
                    }
                }
            });
        }
        for _ in 0..300 {
            call(&engine, "DeleteKeyMaterial", json!({ "KeyId": key })).unwrap();
            parameters.import(&engine, &key, &[1; 16]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(state(&engine, &key), "Enabled");
}
