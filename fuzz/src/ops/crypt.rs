//! The steps that encrypt and decrypt, each through JSON or through the typed functions, which read through the cache.

use std::mem;

use kms_core::KmsError;
use kms_engine::{BLOB_OVERHEAD, Engine};
use serde_json::{Value, json};

use super::choice::plaintext;
use super::step::KeyPick;
use super::{World, Writes};
use crate::call::{base64, bytes, call, text};
use crate::model::{Context, Name, Payload, Refusal, Sealed};

/// The most blobs that a history remembers.
const MAX_BLOBS: usize = 24;

/// What a call that makes a blob gave: the blob, what it says of the key, and a data key if it shows one.
struct Given {
    blob: Vec<u8>,
    used: Option<Value>,
    shown: Option<Vec<u8>>,
}

impl Given {
    fn typed(mut blob: Vec<u8>, len: Result<usize, KmsError>) -> Result<Self, KmsError> {
        assert_eq!(len?, blob.len());
        Ok(Self { blob: mem::take(&mut blob), used: None, shown: None })
    }

    /// Reads a reply: CiphertextBlob, the key and its version, and Plaintext where there is one.
    fn reply(mut reply: Value) -> Self {
        let blob = bytes(&reply, "/CiphertextBlob");
        let shown = reply.get("Plaintext").map(|_| bytes(&reply, "/Plaintext"));
        let members = reply.as_object_mut().expect("a reply is an object");
        members.remove("CiphertextBlob");
        members.remove("Plaintext");
        Self { blob, used: Some(reply), shown }
    }
}

fn call_context(mut params: Value, name: &str, context: Context) -> Value {
    // An empty text counts as absent (OP-39).
    params[name] = context.text().into();
    params
}

impl World {
    /// Remembers a blob and looks at what was said of it.
    fn made(&mut self, given: Option<(Given, (Value, Sealed))>) {
        let Some((given, (used, mut sealed))) = given else { return };
        let version = &self.model.keys[sealed.key].version;
        assert!(given.blob.starts_with(version.as_bytes()), "a blob begins with the id of the version");
        assert_eq!(given.blob.len(), sealed.payload.len() + BLOB_OVERHEAD);
        if let Some(told) = given.used {
            assert_eq!(told, used);
        }
        if let Some(data_key) = given.shown {
            assert_eq!(data_key.len(), sealed.payload.len());
            sealed.payload = Payload::Bytes(data_key);
        }
        self.check_decrypt(&given.blob, &sealed);
        if self.blobs.len() < MAX_BLOBS {
            self.blobs.push((given.blob, sealed));
        }
    }

    pub(super) fn encrypt(&mut self, key: KeyPick, choice: u8, context: Context, typed: bool) {
        let (name, payload) = (self.name(key), plaintext(choice));
        let written = self.model.written(&name);
        // Bytes are the typed form's own, a text is given to JSON.
        let expected = self.model.encrypt(&name, &payload, context, typed);
        let given =
            self.attempt("Encrypt", Writes::Never, self.model.clone(), expected, |engine| match (&payload, typed) {
                (Payload::Bytes(plaintext), true) => {
                    let mut out = vec![0; plaintext.len() + BLOB_OVERHEAD];
                    let len = engine.encrypt(&written, plaintext, context.text(), &mut out);
                    Given::typed(out, len)
                }
                (payload, _) => {
                    let plaintext = match payload {
                        Payload::Bytes(bytes) => base64(bytes),
                        Payload::Text(text) => text.clone(),
                        Payload::Unseen(_) => unreachable!("a plaintext is known"),
                    };
                    let params = json!({ "KeyId": written, "Plaintext": plaintext });
                    call(engine, "Encrypt", &call_context(params, "EncryptionContext", context)).map(Given::reply)
                }
            });
        self.made(given);
    }

    pub(super) fn data_key(&mut self, key: KeyPick, len: usize, context: Context, shown: bool, typed: bool) {
        let name = self.name(key);
        let written = self.model.written(&name);
        let action = if shown { "GenerateDataKey" } else { "GenerateDataKeyWithoutPlaintext" };
        let expected = self.model.data_key(action, &name, len, context);
        let given = self.attempt(action, Writes::Never, self.model.clone(), expected, |engine| {
            if !typed {
                let params = json!({ "KeyId": written, "NumberOfBytes": len });
                return call(engine, action, &call_context(params, "EncryptionContext", context)).map(Given::reply);
            }
            let mut out = vec![0; len + BLOB_OVERHEAD];
            if !shown {
                let len = engine.generate_data_key_without_plaintext(&written, len, context.text(), &mut out);
                return Given::typed(out, len);
            }
            let mut data_key = vec![0; len];
            let len = engine.generate_data_key(&written, &mut data_key, context.text(), &mut out);
            Ok(Given { shown: Some(data_key), ..Given::typed(out, len)? })
        });
        self.made(given);
    }

    pub(super) fn decrypt(&mut self, choice: u8, context: Context, typed: bool) {
        let Some((blob, sealed)) = self.blob(choice) else { return };
        let expected = self.model.decrypt(&sealed, context);
        let opened = self.attempt("Decrypt", Writes::Never, self.model.clone(), expected, |engine| {
            open(engine, &blob, context, typed)
        });
        if let Some(((told, plaintext), used)) = opened {
            assert!(told.is_none_or(|told| told == used), "Decrypt names another key");
            check_plaintext(&sealed.payload, &plaintext);
        }
    }

    pub(super) fn reencrypt(&mut self, choice: u8, source: Context, key: KeyPick, context: Context, typed: bool) {
        let Some((blob, sealed)) = self.blob(choice) else { return };
        let name = self.name(key);
        let written = self.model.written(&name);
        let expected = self.model.reencrypt(&sealed, source, &name, context);
        let given = self.attempt("ReEncrypt", Writes::Never, self.model.clone(), expected, |engine| {
            if typed {
                let mut out = vec![0; blob.len()];
                let len = engine.reencrypt(&blob, source.text(), &written, context.text(), &mut out);
                return Given::typed(out, len);
            }
            let params = json!({ "CiphertextBlob": base64(&blob), "DestinationKeyId": written });
            let params = call_context(params, "SourceEncryptionContext", source);
            let params = call_context(params, "DestinationEncryptionContext", context);
            call(engine, "ReEncrypt", &params).map(Given::reply)
        });
        self.made(given);
    }

    fn blob(&self, choice: u8) -> Option<(Vec<u8>, Sealed)> {
        let index = usize::from(choice).checked_rem(self.blobs.len())?;
        Some(self.blobs[index].clone())
    }

    /// A blob of a live key that is Enabled opens to what it holds; another is refused as the state of its key asks.
    pub(super) fn check_decrypt(&self, blob: &[u8], sealed: &Sealed) {
        for typed in [false, true] {
            match (open(self.engine(), blob, sealed.context, typed), self.model.decrypt(sealed, sealed.context)) {
                (Ok((told, plaintext)), Ok(used)) => {
                    assert!(told.is_none_or(|told| told == used), "Decrypt names another key");
                    check_plaintext(&sealed.payload, &plaintext);
                }
                (Err(error), Err(refusals)) => {
                    assert!(refusals.contains(&Refusal::of(&error)), "Decrypt: {error:?} where {refusals:?} is due");
                }
                (opened, expected) => panic!("Decrypt gives {:?} where {expected:?} is due", opened.map(|_| ())),
            }
        }
    }

    pub(super) fn check_tags(&self, name: &Name) {
        let reply = call(self.engine(), "ListResourceTags", &json!({ "KeyId": self.model.written(name) }));
        match (reply, self.model.list_tags(name)) {
            (Ok(reply), Ok(expected)) => {
                let listed = reply["Tags"]["Tag"].as_array().expect("a list of tags").iter();
                let mut listed: Vec<_> =
                    listed.map(|tag| (text(tag, "/TagKey").to_owned(), text(tag, "/TagValue").to_owned())).collect();
                listed.sort();
                assert_eq!(listed, expected);
            }
            (Err(error), Err(refusals)) => {
                assert!(refusals.contains(&Refusal::of(&error)), "ListResourceTags: {error:?}, {refusals:?} is due");
            }
            (reply, expected) => panic!("ListResourceTags: {reply:?} where {expected:?} is due"),
        }
    }
}

/// What a decryption gave.
enum Plaintext {
    Bytes(Vec<u8>),
    Text(String),
}

/// Decrypts: what JSON says of the key, and the plaintext.
fn open(engine: &Engine, blob: &[u8], context: Context, typed: bool) -> Result<(Option<Value>, Plaintext), KmsError> {
    if typed {
        let mut out = vec![0; blob.len() - BLOB_OVERHEAD];
        let len = engine.decrypt(blob, context.text(), &mut out)?;
        out.truncate(len);
        return Ok((None, Plaintext::Bytes(out)));
    }
    let params = call_context(json!({ "CiphertextBlob": base64(blob) }), "EncryptionContext", context);
    let mut reply = call(engine, "Decrypt", &params)?;
    let plaintext = text(&reply, "/Plaintext").to_owned();
    reply.as_object_mut().expect("a reply is an object").remove("Plaintext");
    Ok((Some(reply), Plaintext::Text(plaintext)))
}

fn check_plaintext(payload: &Payload, opened: &Plaintext) {
    match (payload, opened) {
        (Payload::Bytes(bytes), Plaintext::Bytes(opened)) => assert!(bytes == opened, "another plaintext"),
        (Payload::Bytes(bytes), Plaintext::Text(opened)) => assert!(base64(bytes) == *opened, "another plaintext"),
        (Payload::Text(text), Plaintext::Bytes(opened)) => assert!(text.as_bytes() == opened, "another plaintext"),
        (Payload::Text(text), Plaintext::Text(opened)) => assert!(text == opened, "another plaintext"),
        (Payload::Unseen(len), Plaintext::Bytes(opened)) => assert_eq!(opened.len(), *len),
        (Payload::Unseen(len), Plaintext::Text(opened)) => assert_eq!(opened.len(), len.div_ceil(3) * 4),
    }
}
