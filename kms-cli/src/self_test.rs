//! `kms self-test`: every kind of key, in memory, through the engine as everybody uses it.
//!
//! What is read back must be what went in, and what was tampered with must be refused. That the algorithms are the right ones
//! is for the library's own tests, which hold them against published vectors.

use kms_core::model::{EncryptionAlgorithm, KeySpec, KeyUsage, SigningAlgorithm};
use kms_core::{ErrorCode, KmsError};
use kms_engine::{BLOB_OVERHEAD, Config, Engine, MAX_SIGNATURE};
use serde_json::{Value, json};

use crate::{Failure, say};

const PLAINTEXT: &[u8] = b"what goes in comes out";
/// Some room behind the plaintext: what comes out need not be as long.
const ROOM: usize = 512;

/// Tries every kind of key, and stops at the first that does not do what it should.
pub(crate) fn run() -> Result<(), Failure> {
    let engine = Engine::open(Config::parse(r#"{"store":"memory:"}"#)?)?;
    for spec in KeySpec::ALL {
        for usage in KeyUsage::ALL.iter().filter(|usage| spec.allows(**usage)) {
            let what = format!("{spec} {usage}");
            let key = create(&engine, *spec, *usage)?;
            let works = match usage {
                KeyUsage::SignVerify => signs(&engine, &key, *spec),
                _ if spec.cipher().is_some() => encrypts(&engine, &key),
                _ => encrypts_to_public_key(&engine, &key, *spec),
            };
            if !works.map_err(|error| Failure::Cannot(format!("{what}: {error}")))? {
                return Err(Failure::Cannot(format!("{what}: the result is wrong")));
            }
            say(&format!("{what}: good"))?;
        }
    }
    Ok(())
}

/// Makes a key, and returns its id.
fn create(engine: &Engine, spec: KeySpec, usage: KeyUsage) -> Result<String, KmsError> {
    let params = json!({ "KeySpec": spec, "KeyUsage": usage });
    let reply = engine.call("CreateKey", &params.to_string()).result?;
    let reply: Value = serde_json::from_str(&reply).map_err(|_| ErrorCode::InternalFailure)?;
    Ok(reply["KeyMetadata"]["KeyId"].as_str().unwrap_or_default().to_owned())
}

fn encrypts(engine: &Engine, key: &str) -> Result<bool, KmsError> {
    let context = r#"{"for":"self-test"}"#;
    let mut blob = [0; PLAINTEXT.len() + BLOB_OVERHEAD];
    let len = engine.encrypt(key, PLAINTEXT, context, &mut blob)?;
    let mut out = [0; PLAINTEXT.len()];
    let opened = engine.decrypt(&blob[..len], context, &mut out)?;
    let good = out[..opened] == *PLAINTEXT && !holds(&blob, PLAINTEXT);
    let elsewhere = engine.decrypt(&blob[..len], "", &mut out);
    blob[len - 1] ^= 1;
    let altered = engine.decrypt(&blob[..len], context, &mut out);
    Ok(good && is_refused(elsewhere) && is_refused(altered))
}

fn encrypts_to_public_key(engine: &Engine, key: &str, spec: KeySpec) -> Result<bool, KmsError> {
    for algorithm in EncryptionAlgorithm::ALL.iter().filter(|algorithm| algorithm.fits(spec)) {
        let version = newest_version(engine, key)?;
        let mut sealed = [0; ROOM];
        let len = engine.asymmetric_encrypt(key, &version, algorithm.as_str(), PLAINTEXT, &mut sealed)?;
        let mut out = [0; ROOM];
        let opened = engine.asymmetric_decrypt(key, &version, algorithm.as_str(), &sealed[..len], &mut out)?;
        let good = out[..opened] == *PLAINTEXT && !holds(&sealed[..len], PLAINTEXT);
        sealed[len - 1] ^= 1;
        let altered = engine.asymmetric_decrypt(key, &version, algorithm.as_str(), &sealed[..len], &mut out);
        if !good || !is_refused(altered) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn signs(engine: &Engine, key: &str, spec: KeySpec) -> Result<bool, KmsError> {
    let digest = [0x5a; 32];
    let other = [0xa5; 32];
    for algorithm in SigningAlgorithm::ALL.iter().filter(|algorithm| algorithm.fits(spec)) {
        let version = newest_version(engine, key)?;
        let mut signature = [0; MAX_SIGNATURE];
        let len = engine.sign(key, &version, algorithm.as_str(), &digest, &mut signature)?;
        let verify = |digest: &[u8]| engine.verify(key, &version, algorithm.as_str(), digest, &signature[..len]);
        if !verify(&digest)? || verify(&other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn newest_version(engine: &Engine, key: &str) -> Result<String, KmsError> {
    let reply = engine.call("ListKeyVersions", &json!({ "KeyId": key }).to_string()).result?;
    let reply: Value = serde_json::from_str(&reply).map_err(|_| ErrorCode::InternalFailure)?;
    Ok(reply["KeyVersions"]["KeyVersion"][0]["KeyVersionId"].as_str().unwrap_or_default().to_owned())
}

fn is_refused<T>(result: Result<T, KmsError>) -> bool {
    result.is_err_and(|error| error.code() == ErrorCode::InvalidParameter)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
