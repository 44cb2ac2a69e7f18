//! Ciphertext blobs: what this engine did not make does not open, and the refusal is the contract's (OP-42).
//!
//! The oracle knows every blob that was made in a run, and the form of one: so it can say for any bytes and any context what
//! Decrypt must answer. Each input goes through Decrypt in its typed and in its JSON form and through ReEncrypt; all must
//! agree, and a refused call must leave the caller's buffer as it was.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use kms_core::{ErrorCode, KmsError};
use kms_engine::{BLOB_OVERHEAD, Config, Engine};
use serde_json::json;

use crate::alter;
use crate::call::{base64, bytes, call, canonical_base64, context_json, is_id, text};

/// The most bytes that a blob holds (contract, chapter 5).
const MAX_PAYLOAD: usize = 6144;
/// What stands where a refused call must not write.
const UNTOUCHED: u8 = 0xa5;

type Context = BTreeMap<String, String>;

/// What is done with the engine.
#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// Bytes that nobody encrypted.
    Foreign { blob: &'a [u8], context: Context },
    /// Nobody's bytes behind the id of a version that exists.
    Framed { key: u8, header: u8, rest: &'a [u8], context: Context },
    /// A plaintext there and back.
    RoundTrip { key: u8, plaintext: &'a [u8], context: Context },
    /// The same through JSON, where the plaintext is a text.
    TextRoundTrip { key: u8, plaintext: &'a str, context: Context },
    /// Any text in the place of a context.
    RawContext { key: u8, context: &'a str },
    /// A good blob, altered; or another context beside it.
    Altered { key: u8, plaintext: &'a [u8], context: Context, alterations: Vec<Alteration<'a>> },
}

#[derive(Arbitrary, Debug)]
enum Alteration<'a> {
    Bytes(alter::Alteration<'a>),
    /// Bytes of a second blob over those of the first.
    Splice {
        key: u8,
        from: u16,
        to: u16,
        len: u16,
    },
    /// The version id of another key.
    Version {
        key: u8,
    },
    /// Another context.
    Context {
        context: Context,
    },
}

/// A blob that the engine made.
struct Made {
    blob: Vec<u8>,
    context: Context,
    plaintext: Vec<u8>,
}

struct World {
    engine: Engine,
    keys: Vec<Key>,
}

struct Key {
    id: String,
    version: String,
    enabled: bool,
}

/// One engine for all inputs: nothing here changes it.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let config = r#"{"store":"memory:","clock":{"manual":"2030-01-01T00:00:00Z"},"seed":1}"#;
        let engine = Engine::open(Config::parse(config).unwrap()).unwrap();
        let mut keys = Vec::new();
        for spec in ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128", "Aliyun_SM4", "Aliyun_AES_256"] {
            let reply = call(&engine, "CreateKey", &json!({ "KeySpec": spec })).unwrap();
            let text = |path| text(&reply, path).to_owned();
            let (id, version) = (text("/KeyMetadata/KeyId"), text("/KeyMetadata/PrimaryKeyVersion"));
            keys.push(Key { id, version, enabled: true });
        }
        let last = keys.last_mut().unwrap();
        call(&engine, "DisableKey", &json!({ "KeyId": last.id })).unwrap();
        last.enabled = false;
        World { engine, keys }
    })
}

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let world = world();
    match input {
        Input::Foreign { blob, context } => world.decrypt(blob, &context, &[]),
        Input::Framed { key, header, rest, context } => {
            let version = &world.keys[usize::from(key) % world.keys.len()].version;
            let blob = [version.as_bytes(), &[header], rest].concat();
            world.decrypt(&blob, &context, &[]);
        }
        Input::RoundTrip { key, plaintext, context } => {
            if let Some(made) = world.encrypt(key, plaintext, &context) {
                world.decrypt(&made.blob, &made.context, std::slice::from_ref(&made));
            }
        }
        Input::TextRoundTrip { key, plaintext, context } => world.text_round_trip(key, plaintext, &context),
        Input::RawContext { key, context } => world.raw_context(key, context),
        Input::Altered { key, plaintext, context, alterations } => {
            world.altered(key, plaintext, &context, &alterations);
        }
    }
}

impl World {
    fn enabled_key(&self, pick: u8) -> &Key {
        let enabled = || self.keys.iter().filter(|key| key.enabled);
        enabled().nth(usize::from(pick) % enabled().count()).unwrap()
    }

    /// A blob; `None` for a plaintext or a context that is too long, which must be said.
    fn encrypt(&self, key: u8, plaintext: &[u8], context: &Context) -> Option<Made> {
        let key = self.enabled_key(key);
        let json = context_json(context);
        let mut blob = vec![UNTOUCHED; plaintext.len() + BLOB_OVERHEAD];
        let result = self.engine.encrypt(&key.id, plaintext, &json, &mut blob);
        if json.chars().count() > 8192 {
            assert_eq!(result.unwrap_err(), KmsError::invalid("EncryptionContext"));
            return None;
        }
        if plaintext.len() > MAX_PAYLOAD {
            assert_eq!(result.unwrap_err(), KmsError::invalid("Plaintext"));
            return None;
        }
        assert_eq!(result.unwrap(), blob.len());
        assert!(blob.starts_with(key.version.as_bytes()), "a blob begins with the id of the version");
        Some(Made { blob, context: context.clone(), plaintext: plaintext.to_vec() })
    }

    /// What Decrypt must answer: the plaintext of a blob that was made with this context, or the contract's refusal.
    fn expected<'m>(&self, blob: &[u8], context: &Context, made: &'m [Made]) -> Result<&'m [u8], KmsError> {
        if context_json(context).chars().count() > 8192 {
            return Err(KmsError::invalid("EncryptionContext"));
        }
        // What stands behind the version id is looked at with the key, not before.
        let form = blob.len() >= BLOB_OVERHEAD && is_id(&blob[..36]);
        if !form {
            return Err(KmsError::invalid("CiphertextBlob"));
        }
        let Some(key) = self.keys.iter().find(|key| blob.starts_with(key.version.as_bytes())) else {
            return Err(ErrorCode::KeyNotFound.into());
        };
        if !key.enabled {
            return Err(ErrorCode::KeyDisabled.into());
        }
        match made.iter().find(|made| made.blob == blob && made.context == *context) {
            Some(made) => Ok(&made.plaintext),
            None => Err(KmsError::invalid("CiphertextBlob")),
        }
    }

    /// Decrypts in every way there is and compares each with what is expected.
    fn decrypt(&self, blob: &[u8], context: &Context, made: &[Made]) {
        let expected = self.expected(blob, context, made);
        let json = context_json(context);
        let mut out = vec![UNTOUCHED; blob.len()];
        let opened = self.engine.decrypt(blob, &json, &mut out);
        match (&expected, opened) {
            (Ok(plaintext), Ok(len)) => assert_eq!(&out[..len], *plaintext),
            (Err(expected), Err(error)) => {
                assert_eq!(error, *expected);
                assert!(out.iter().all(|byte| *byte == UNTOUCHED), "a refused call has written");
            }
            (expected, opened) => panic!("Decrypt gives {opened:?} where {expected:?} is due"),
        }
        if !blob.is_empty() {
            let params = json!({ "CiphertextBlob": base64(blob), "EncryptionContext": json });
            match (&expected, call(&self.engine, "Decrypt", &params)) {
                (Ok(plaintext), Ok(reply)) => assert_eq!(bytes(&reply, "/Plaintext"), *plaintext),
                (Err(expected), Err(error)) => assert_eq!(error, *expected),
                (expected, reply) => panic!("Decrypt answers {:?} where {expected:?} is due", reply.map(|_| ())),
            }
        }
        self.reencrypt(blob, &json, expected);
    }

    fn reencrypt(&self, blob: &[u8], json: &str, expected: Result<&[u8], KmsError>) {
        let destination = &self.keys[0];
        let mut out = vec![UNTOUCHED; blob.len()];
        let result = self.engine.reencrypt(blob, json, &destination.id, r#"{"to":"there"}"#, &mut out);
        // The parameter has another name here; the contract's name for a bad blob is the same.
        let expected = expected.map_err(|error| match error.detail() {
            Some("EncryptionContext") => KmsError::invalid("SourceEncryptionContext"),
            _ => error,
        });
        match (expected, result) {
            (Ok(plaintext), Ok(len)) => {
                assert!(out[..len].starts_with(destination.version.as_bytes()));
                let mut again = vec![0; len];
                let len = self.engine.decrypt(&out[..len], r#"{"to":"there"}"#, &mut again).unwrap();
                assert_eq!(&again[..len], plaintext);
            }
            (Err(expected), Err(error)) => {
                assert_eq!(error, expected);
                assert!(out.iter().all(|byte| *byte == UNTOUCHED), "a refused call has written");
            }
            (expected, result) => panic!("ReEncrypt gives {result:?} where {expected:?} is due"),
        }
    }

    /// The text that was given comes back as it was, whatever it is (OP-40); typed functions see its bytes.
    fn text_round_trip(&self, key: u8, plaintext: &str, context: &Context) {
        let payload = canonical_base64(plaintext).unwrap_or_else(|| plaintext.as_bytes().to_vec());
        let json = context_json(context);
        let params = json!({ "KeyId": self.enabled_key(key).id, "Plaintext": plaintext, "EncryptionContext": json });
        let expected = if plaintext.is_empty() {
            Some(KmsError::missing("Plaintext"))
        } else if json.chars().count() > 8192 && payload.len() > MAX_PAYLOAD {
            None
        } else if json.chars().count() > 8192 {
            Some(KmsError::invalid("EncryptionContext"))
        } else if payload.len() > MAX_PAYLOAD {
            Some(KmsError::invalid("Plaintext"))
        } else {
            None
        };
        let reply = match (call(&self.engine, "Encrypt", &params), expected) {
            (Ok(reply), None) => reply,
            (Err(error), Some(expected)) => return assert_eq!(error, expected),
            // Both are wrong and of one step: either may be named.
            (Err(error), None) => return assert!(payload.len() > MAX_PAYLOAD, "Encrypt answers {error:?}"),
            (Ok(_), Some(expected)) => panic!("Encrypt succeeds where {expected:?} is due"),
        };
        let params = json!({ "CiphertextBlob": text(&reply, "/CiphertextBlob"), "EncryptionContext": json });
        assert_eq!(text(&call(&self.engine, "Decrypt", &params).unwrap(), "/Plaintext"), plaintext);
        let mut out = vec![0; payload.len()];
        let len = self.engine.decrypt(&bytes(&reply, "/CiphertextBlob"), &json, &mut out).unwrap();
        assert_eq!(&out[..len], payload);
    }

    /// A text that is taken for a context is a flat map of texts for everybody else too, and any text of an equal map opens
    /// what was made with it (OP-43).
    fn raw_context(&self, key: u8, context: &str) {
        let mut blob = [UNTOUCHED; 3 + BLOB_OVERHEAD];
        match self.engine.encrypt(&self.enabled_key(key).id, b"abc", context, &mut blob) {
            Err(error) => assert_eq!(error, KmsError::invalid("EncryptionContext")),
            Ok(len) => {
                let map = match context {
                    "" => Context::new(),
                    json => serde_json::from_str(json).expect("a map of texts"),
                };
                let mut out = [0; 3];
                let canonical = context_json(&map);
                // The limit counts characters as sent, and this text escapes in its own way.
                if canonical.chars().count() <= 8192 {
                    assert_eq!(self.engine.decrypt(&blob[..len], &canonical, &mut out), Ok(3));
                    assert_eq!(out, *b"abc");
                }
                let other = context_json(&[("another".to_owned(), canonical)].into());
                assert!(self.engine.decrypt(&blob[..len], &other, &mut out).is_err());
            }
        }
    }

    fn altered(&self, key: u8, plaintext: &[u8], context: &Context, alterations: &[Alteration<'_>]) {
        let Some(original) = self.encrypt(key, plaintext, context) else { return };
        let (mut blob, mut context) = (original.blob.clone(), context.clone());
        let mut made = vec![original];
        for alteration in alterations.iter().take(4) {
            match alteration {
                Alteration::Bytes(alteration) => alteration.apply(&mut blob),
                Alteration::Splice { key, from, to, len } => {
                    let Some(other) = self.encrypt(*key, b"another", &context) else { continue };
                    let from = usize::from(*from) % other.blob.len();
                    let to = usize::from(*to) % (blob.len() + 1);
                    let len = usize::from(*len).min(other.blob.len() - from).min(blob.len() - to);
                    blob[to..to + len].copy_from_slice(&other.blob[from..from + len]);
                    made.push(other);
                }
                Alteration::Version { key } => {
                    let version = &self.keys[usize::from(*key) % self.keys.len()].version;
                    let len = version.len().min(blob.len());
                    blob[..len].copy_from_slice(&version.as_bytes()[..len]);
                }
                Alteration::Context { context: other } => context = other.clone(),
            }
        }
        self.decrypt(&blob, &context, &made);
    }
}
