//! The steps that encrypt and decrypt, each through JSON or through the typed functions, which read through the cache.

use kms_core::{ErrorCode, KmsError};
use kms_engine::{BLOB_OVERHEAD, Engine};
use kms_store::fault::SyncFault;
use serde_json::{Value, json};

use super::choice::plaintext;
use super::step::KeyPick;
use super::{Due, World, Writes, code_of, due, told};
use crate::call::{base64, bytes, call, text};
use crate::model::{Context, Expected, Made, Name, Payload, Refusal, Sealed};
use crate::story::{Answer, Deed};

/// The most blobs that a history remembers: enough for one of each version, mostly.
const MAX_BLOBS: usize = 32;
/// Seconds for which an engine may do without a rotation that has failed.
const ROTATION_PAUSE: u64 = 60;

/// A blob to be. Which version makes it, the reply tells.
impl Due for Made {
    fn told(&self) -> Value {
        json!({ "...": "..." })
    }
}

/// The reply of a typed function, which tells no more than it has to.
fn typed_blob(blob: &[u8], len: Result<usize, KmsError>) -> Result<Value, KmsError> {
    assert_eq!(len?, blob.len());
    Ok(json!({ "CiphertextBlob": base64(blob), "...": "..." }))
}

fn call_context(mut params: Value, name: &str, context: Context) -> Value {
    // An empty text counts as absent (OP-39).
    params[name] = context.text().into();
    params
}

impl World {
    /// A deed that encrypts. Where the next version of the key is due it is made first; if it cannot be, the present one goes
    /// on. Nothing else is written.
    fn seal(&mut self, deed: Deed, expected: Expected<Made>, make: impl FnOnce(&Engine) -> Result<Value, KmsError>) {
        let key = expected.as_ref().ok().map(|made| made.sealed.key);
        let mut after = self.model.clone();
        if self.poisoned || !key.is_some_and(|key| after.rotate_if_due(key)) {
            let given = self.attempt(deed, Writes::Never, self.model.clone(), expected, make);
            return self.made(given);
        }
        let Ok(mut made) = expected else { unreachable!("a refused call makes no version") };
        let name = deed.name();
        let place = self.story.begin(deed, Answer::Reply(made.told()));
        let before = self.disk.syncs();
        let result = make(self.engine());
        let syncs = self.disk.syncs() - before;
        assert!(syncs <= 1, "{name}: {syncs} syncs");
        let fault = if syncs == 1 { self.faults.remove(&(before + 1)) } else { None };
        match fault {
            _ if syncs == 0 => {
                assert!(self.full || self.model.now < self.rotation_paused, "{name} does not rotate a key that is due");
                self.census.done("a rotation is put off");
                if self.full {
                    self.rotation_paused = self.model.now + ROTATION_PAUSE;
                }
            }
            None => {
                self.model = after;
                made.sealed.version += 1;
                self.census.done("a rotation at use");
                self.learn();
            }
            Some(SyncFault::Full) => {
                self.census.fault(SyncFault::Full);
                self.story.remark("The disk is full: no version is made.");
                self.full = true;
                self.rotation_paused = self.model.now + ROTATION_PAUSE;
            }
            Some(fault) => {
                let kept = (fault == SyncFault::FailKept).then_some(after);
                // Whether it can still encrypt is up to the cache.
                let code = told(&result).err().unwrap_or(code_of(fault));
                assert!([ErrorCode::StorePoisoned, code_of(fault)].contains(&code), "{name}: {code:?}");
                self.store_failed(place, fault, kept);
                if let Ok(reply) = result {
                    let blob = bytes(&reply, "/CiphertextBlob");
                    let version = self.model.written_version((made.sealed.key, made.sealed.version));
                    assert!(blob.starts_with(version.as_bytes()), "{name}: a version that is not there");
                }
                return;
            }
        }
        let reply = result.unwrap_or_else(|error| panic!("{name}: {error:?} where the present version goes on"));
        self.census.done(name);
        self.story.end(place, Answer::Reply(reply.clone()));
        self.made(Some((reply, made)));
    }

    /// Remembers a blob and looks at what was said of it.
    fn made(&mut self, given: Option<(Value, Made)>) {
        let Some((mut reply, Made { told, mut sealed })) = given else { return };
        let blob = bytes(&reply, "/CiphertextBlob");
        let version = self.model.written_version((sealed.key, sealed.version));
        assert!(blob.starts_with(version.as_bytes()), "a blob begins with the id of the version {version}");
        assert_eq!(blob.len(), sealed.payload.len() + BLOB_OVERHEAD, "the length of a blob");
        if reply.get("Plaintext").is_some() {
            let data_key = bytes(&reply, "/Plaintext");
            assert_eq!(data_key.len(), sealed.payload.len(), "the length of a data key");
            sealed.payload = Payload::Bytes(data_key);
        }
        let members = reply.as_object_mut().expect("a reply is an object");
        members.remove("CiphertextBlob");
        members.remove("Plaintext");
        let used = self.model.used(told.unwrap_or((sealed.key, sealed.version)));
        assert!(members.remove("...").is_some() || reply == used, "the blob is told to be of {reply}, not {used}");
        self.check_decrypt(&blob, &sealed);
        if self.blobs.len() == MAX_BLOBS {
            self.forget_a_blob();
        }
        self.blobs.push((blob, sealed));
    }

    /// Makes room: for one of a key that is gone, or of a version with another blob, or else the oldest.
    fn forget_a_blob(&mut self) {
        let of = |index: usize| (self.blobs[index].1.key, self.blobs[index].1.version);
        let spare = |index: &usize| {
            !self.model.is_live(of(*index).0) || (index + 1..self.blobs.len()).any(|other| of(other) == of(*index))
        };
        let index = (0..self.blobs.len()).find(spare).unwrap_or(0);
        self.blobs.remove(index);
    }

    pub(super) fn encrypt(&mut self, key: KeyPick, choice: u8, context: Context, typed: bool) {
        let (name, payload) = (self.name(key), plaintext(choice));
        let written = self.model.written(&name);
        let text = match &payload {
            Payload::Bytes(bytes) => base64(bytes),
            Payload::Text(text) => text.clone(),
            Payload::Unseen(_) => unreachable!("a plaintext is known"),
        };
        let params = json!({ "KeyId": written, "Plaintext": text });
        let params = call_context(params, "EncryptionContext", context);
        // Bytes are the typed form's own, a text is given to JSON.
        let expected = self.model.encrypt(&name, &payload, context, typed);
        let deed = Deed::Call { action: "Encrypt", params: params.clone() };
        self.seal(deed, expected, |engine| match (&payload, typed) {
            (Payload::Bytes(plaintext), true) => {
                let mut out = vec![0; plaintext.len() + BLOB_OVERHEAD];
                let len = engine.encrypt(&written, plaintext, context.text(), &mut out);
                typed_blob(&out, len)
            }
            _ => call(engine, "Encrypt", &params),
        });
    }

    pub(super) fn data_key(&mut self, key: KeyPick, len: usize, context: Context, shown: bool, typed: bool) {
        let name = self.name(key);
        let written = self.model.written(&name);
        let action = if shown { "GenerateDataKey" } else { "GenerateDataKeyWithoutPlaintext" };
        let expected = self.model.data_key(action, &name, len, context);
        let params = json!({ "KeyId": written, "NumberOfBytes": len });
        let params = call_context(params, "EncryptionContext", context);
        let deed = Deed::Call { action, params: params.clone() };
        self.seal(deed, expected, |engine| {
            if !typed {
                return call(engine, action, &params);
            }
            let mut out = vec![0; len + BLOB_OVERHEAD];
            if !shown {
                let len = engine.generate_data_key_without_plaintext(&written, len, context.text(), &mut out);
                return typed_blob(&out, len);
            }
            let mut data_key = vec![0; len];
            let len = engine.generate_data_key(&written, &mut data_key, context.text(), &mut out);
            let mut reply = typed_blob(&out, len)?;
            reply["Plaintext"] = base64(&data_key).into();
            Ok(reply)
        });
    }

    pub(super) fn decrypt(&mut self, choice: u8, context: Context, typed: bool) {
        let Some((blob, sealed)) = self.blob(choice) else { return };
        let expected = self.model.decrypt(&sealed, context);
        let deed = Deed::Call { action: "Decrypt", params: decrypt_params(&blob, context) };
        let opened = self
            .attempt(deed, Writes::Never, self.model.clone(), expected, |engine| open(engine, &blob, context, typed));
        if let Some((reply, used)) = opened {
            check_opened(&sealed.payload, reply, &used);
        }
    }

    pub(super) fn reencrypt(&mut self, choice: u8, source: Context, key: KeyPick, context: Context, typed: bool) {
        let Some((blob, sealed)) = self.blob(choice) else { return };
        let name = self.name(key);
        let written = self.model.written(&name);
        let expected = self.model.reencrypt(&sealed, source, &name, context);
        let params = json!({ "CiphertextBlob": base64(&blob), "DestinationKeyId": written });
        let params = call_context(params, "SourceEncryptionContext", source);
        let params = call_context(params, "DestinationEncryptionContext", context);
        let deed = Deed::Call { action: "ReEncrypt", params: params.clone() };
        self.seal(deed, expected, |engine| {
            if typed {
                let mut out = vec![0; blob.len()];
                let len = engine.reencrypt(&blob, source.text(), &written, context.text(), &mut out);
                return typed_blob(&out, len);
            }
            call(engine, "ReEncrypt", &params)
        });
    }

    fn blob(&self, choice: u8) -> Option<(Vec<u8>, Sealed)> {
        let index = usize::from(choice).checked_rem(self.blobs.len())?;
        Some(self.blobs[index].clone())
    }

    /// A blob of a live key that is Enabled opens to what it holds; another is refused as the state of its key asks.
    pub(super) fn check_decrypt(&mut self, blob: &[u8], sealed: &Sealed) {
        for typed in [false, true] {
            let expected = self.model.decrypt(sealed, sealed.context);
            match (open(self.engine(), blob, sealed.context, typed), &expected) {
                (Ok(reply), Ok(used)) => check_opened(&sealed.payload, reply, used),
                (Err(error), Err(refusals)) if refusals.contains(&Refusal::of(&error)) => {}
                (opened, expected) => {
                    let params = decrypt_params(blob, sealed.context);
                    self.story.begin(Deed::Call { action: "Decrypt", params }, due(expected));
                    panic!("Decrypt gives {:?} where {expected:?} is due", told(&opened));
                }
            }
        }
    }

    pub(super) fn check_tags(&mut self, name: &Name) {
        let params = json!({ "KeyId": self.model.written(name) });
        let reply = call(self.engine(), "ListResourceTags", &params);
        match (&reply, self.model.list_tags(name)) {
            (Ok(reply), Ok(expected)) => {
                let listed = reply["Tags"]["Tag"].as_array().expect("a list of tags").iter();
                let mut listed: Vec<_> =
                    listed.map(|tag| (text(tag, "/TagKey").to_owned(), text(tag, "/TagValue").to_owned())).collect();
                listed.sort();
                assert_eq!(listed, expected, "the tags of {params}");
            }
            (Err(error), Err(refusals)) if refusals.contains(&Refusal::of(error)) => {}
            (reply, expected) => panic!("ListResourceTags {params} gives {reply:?} where {expected:?} is due"),
        }
    }
}

fn decrypt_params(blob: &[u8], context: Context) -> Value {
    call_context(json!({ "CiphertextBlob": base64(blob) }), "EncryptionContext", context)
}

/// Decrypts. A typed function tells the plaintext alone, as bytes.
fn open(engine: &Engine, blob: &[u8], context: Context, typed: bool) -> Result<Value, KmsError> {
    if typed {
        let mut out = vec![0; blob.len() - BLOB_OVERHEAD];
        let len = engine.decrypt(blob, context.text(), &mut out)?;
        return Ok(json!({ "Plaintext": base64(&out[..len]), "...": "..." }));
    }
    call(engine, "Decrypt", &decrypt_params(blob, context))
}

/// A decryption must give what was encrypted, and name the key.
fn check_opened(payload: &Payload, mut reply: Value, used: &Value) {
    let opened = text(&reply, "/Plaintext").to_owned();
    let members = reply.as_object_mut().expect("a reply is an object");
    members.remove("Plaintext");
    let typed = members.remove("...").is_some();
    assert!(typed || reply == *used, "Decrypt names {reply}, not {used}");
    let good = match payload {
        Payload::Bytes(bytes) => opened == base64(bytes),
        Payload::Text(text) if typed => opened == base64(text.as_bytes()),
        Payload::Text(text) => opened == *text,
        Payload::Unseen(len) => opened.len() == len.div_ceil(3) * 4,
    };
    assert!(good, "Decrypt gives another plaintext than {payload:?}: {opened}");
}
