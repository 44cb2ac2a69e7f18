//! The steps that encrypt and decrypt, each through JSON or through the typed functions, which read through the cache.

use kms_core::{ErrorCode, KmsError};
use kms_engine::{BLOB_OVERHEAD, Engine};
use kms_store::fault::SyncFault;
use serde_json::{Value, json};

use super::choice::plaintext;
use super::step::KeyPick;
use super::{Due, World, Writes, due, told};
use crate::call::{base64, bytes, call, text};
use crate::model::{Context, Expected, Model, Name, Payload, Refusal, Sealed};
use crate::story::{Answer, Deed};

/// The most blobs that a history remembers.
const MAX_BLOBS: usize = 24;
/// Seconds for which first uses make no version after one could not be committed.
const ROTATION_PAUSE: u64 = 60;

/// A blob to be, with what the reply says of the key.
impl Due for (Value, Sealed) {
    fn told(&self) -> Value {
        let mut told = self.0.clone();
        told["..."] = "...".into();
        told
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
    /// Remembers a blob and looks at what was said of it.
    fn made(&mut self, given: Option<(Value, (Value, Sealed))>) {
        let Some((mut reply, (used, mut sealed))) = given else { return };
        let blob = bytes(&reply, "/CiphertextBlob");
        let version = &self.model.keys[sealed.key].versions[sealed.version].id;
        assert!(blob.starts_with(version.as_bytes()), "a blob begins with the id of the version");
        assert_eq!(blob.len(), sealed.payload.len() + BLOB_OVERHEAD, "the length of a blob");
        if reply.get("Plaintext").is_some() {
            let data_key = bytes(&reply, "/Plaintext");
            assert_eq!(data_key.len(), sealed.payload.len(), "the length of a data key");
            sealed.payload = Payload::Bytes(data_key);
        }
        let members = reply.as_object_mut().expect("a reply is an object");
        members.remove("CiphertextBlob");
        members.remove("Plaintext");
        assert!(members.remove("...").is_some() || reply == used, "the blob is told to be of {reply}, not {used}");
        // A store that is poisoned answers nothing; it is asked when it has been opened again.
        if !self.poisoned {
            self.check_decrypt(&blob, &sealed);
        }
        if self.blobs.len() < MAX_BLOBS {
            self.blobs.push((blob, sealed));
        }
    }

    /// [`World::attempt`] of a call that encrypts. If the version of its key is due to be replaced, the call does that first; where
    /// it cannot, it goes on with the version that is there.
    fn attempt_sealing(
        &mut self,
        deed: Deed,
        key: &Name,
        plan: impl Fn(&Model) -> Expected<(Value, Sealed)>,
        make: impl FnOnce(&Engine) -> Result<Value, KmsError>,
    ) -> Option<(Value, (Value, Sealed))> {
        let expected = plan(&self.model);
        let rotates = self.model.find(key).is_ok_and(|key| self.model.rotation_is_due(key));
        let paused = self.model.now < self.rotation_paused;
        if expected.is_err() || !rotates || paused || self.poisoned {
            return self.attempt(deed, Writes::Never, self.model.clone(), expected, make);
        }
        let name = deed.name();
        let place = self.story.begin(deed, due(&expected));
        let before = self.disk.syncs();
        let result = make(self.engine());
        let syncs = self.disk.syncs() - before;
        let fault =
            if syncs == 1 { self.faults.remove(&(before + 1)).unwrap_or(SyncFault::Ok) } else { SyncFault::Full };
        assert!(syncs == 1 || syncs == 0 && self.full, "{name} writes {syncs} times when a version is due");
        let (_, sealed) = plan(&self.model).expect("it was");
        let mut rotated = self.model.clone();
        rotated.rotate(sealed.key);
        match fault {
            SyncFault::Ok => {
                let reply = result.unwrap_or_else(|error| panic!("{name}: {error:?} where a success is due"));
                let version = bytes(&reply, "/CiphertextBlob")[..36].to_vec();
                let version = String::from_utf8(version).expect("the id of a version");
                let versions = &mut rotated.keys[sealed.key].versions;
                assert!(versions.iter().all(|old| old.id != version), "{name} uses an old version where one is due");
                versions.last_mut().expect("it was made").id = version;
                self.model = rotated;
                self.census.done(name);
                self.census.done("rotation by use");
                self.story.end(place, Answer::Reply(reply.clone()));
                return Some((reply, plan(&self.model).expect("it was")));
            }
            SyncFault::Full => {
                self.full = true;
                self.rotation_paused = self.model.now + ROTATION_PAUSE;
            }
            SyncFault::FailLost | SyncFault::FailKept | SyncFault::Freeze => self.poisoned = true,
        }
        self.census.fault(fault);
        self.story.remark(format!("The version that was due could not be made: {fault:?}."));
        let before = plan(&self.model).expect("it was");
        if fault == SyncFault::FailKept {
            self.model = rotated;
        }
        match result {
            Ok(reply) => {
                self.story.end(place, Answer::Reply(reply.clone()));
                Some((reply, before))
            }
            // What it needs was not at hand, and the store answers nothing any more.
            Err(error) => {
                assert_eq!((self.poisoned, error.code()), (true, ErrorCode::StorePoisoned), "{name}");
                self.failed(place, ErrorCode::StorePoisoned, false);
                None
            }
        }
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
        let deed = Deed::Call { action: "Encrypt", params: params.clone() };
        let plan = |model: &Model| model.encrypt(&name, &payload, context, typed);
        let given = self.attempt_sealing(deed, &name, plan, |engine| match (&payload, typed) {
            (Payload::Bytes(plaintext), true) => {
                let mut out = vec![0; plaintext.len() + BLOB_OVERHEAD];
                let len = engine.encrypt(&written, plaintext, context.text(), &mut out);
                typed_blob(&out, len)
            }
            _ => call(engine, "Encrypt", &params),
        });
        self.made(given);
    }

    pub(super) fn data_key(&mut self, key: KeyPick, len: usize, context: Context, shown: bool, typed: bool) {
        let name = self.name(key);
        let written = self.model.written(&name);
        let action = if shown { "GenerateDataKey" } else { "GenerateDataKeyWithoutPlaintext" };
        let plan = |model: &Model| model.data_key(action, &name, len, context);
        let params = json!({ "KeyId": written, "NumberOfBytes": len });
        let params = call_context(params, "EncryptionContext", context);
        let deed = Deed::Call { action, params: params.clone() };
        let given = self.attempt_sealing(deed, &name, plan, |engine| {
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
        self.made(given);
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
        let plan = |model: &Model| model.reencrypt(&sealed, source, &name, context);
        let params = json!({ "CiphertextBlob": base64(&blob), "DestinationKeyId": written });
        let params = call_context(params, "SourceEncryptionContext", source);
        let params = call_context(params, "DestinationEncryptionContext", context);
        let deed = Deed::Call { action: "ReEncrypt", params: params.clone() };
        let given = self.attempt_sealing(deed, &name, plan, |engine| {
            if typed {
                let mut out = vec![0; blob.len()];
                let len = engine.reencrypt(&blob, source.text(), &written, context.text(), &mut out);
                return typed_blob(&out, len);
            }
            call(engine, "ReEncrypt", &params)
        });
        self.made(given);
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
