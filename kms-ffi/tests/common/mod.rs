//! What the tests of the C interface share: its functions with their arguments as structures, so that a test can spoil
//! one argument and keep the rest; and outputs that show whether they were written.

#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod batch;

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use ::kms::*;
use batch::{Outputs, Row};
use serde_json::{Value, json};

/// Fills outputs before a call.
pub(crate) const UNTOUCHED: u8 = 0xa5;
pub(crate) const UNTOUCHED_LEN: usize = 0x5ea5_a5a5;

/// The configuration of a fresh engine whose ids and clock are the same in each run.
pub(crate) const CONFIG: &CStr = cr#"{"store":"memory:","clock":{"manual":"2030-01-01T00:00:00Z"},"seed":1}"#;

/// What a function of the interface answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: kms_status,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) request_id: String,
    pub(crate) http: i32,
}

impl Outcome {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == KMS_OK
    }

    #[track_caller]
    pub(crate) fn ok(&self) {
        assert!(self.is_ok(), "{self:?}");
    }

    /// Refused with this status; the message names `name`.
    #[track_caller]
    pub(crate) fn refused(&self, status: kms_status, name: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.message.split(|c: char| c.is_whitespace() || c == '"').any(|word| word == name), "{self:?}");
    }
}

/// Runs a function twice: with a place for the error, and without; both must answer the same. What the error object
/// says must fit the status.
#[track_caller]
pub(crate) fn run(mut function: impl FnMut(*mut *mut kms_error) -> kms_status) -> Outcome {
    let outcome = run_once(&mut function);
    if !outcome.is_ok() {
        assert_eq!(function(ptr::null_mut()), outcome.status);
    }
    outcome
}

#[track_caller]
pub(crate) fn run_once(function: impl FnOnce(*mut *mut kms_error) -> kms_status) -> Outcome {
    let mut error = ptr::null_mut();
    let status = function(&raw mut error);
    outcome_of(status, error)
}

/// What a status and the error object that came with it say. The object is freed.
#[track_caller]
pub(crate) fn outcome_of(status: kms_status, error: *mut kms_error) -> Outcome {
    assert_eq!(status == KMS_OK, error.is_null(), "an error object comes with a failure, and only with one");
    let text = |text: *const c_char| {
        assert!(!text.is_null());
        // SAFETY: the accessors return texts that end with NUL and live as long as the error, which is freed below.
        unsafe { CStr::from_ptr(text) }.to_str().expect("texts are UTF-8").to_owned()
    };
    // SAFETY: `error` is NULL or an error object, freed once, at the end.
    unsafe {
        assert_eq!(kms_error_status(error), status);
        let outcome = Outcome {
            status,
            code: text(kms_error_code(error)),
            message: text(kms_error_message(error)),
            request_id: text(kms_error_request_id(error)),
            http: kms_error_http_status(error),
        };
        kms_error_free(error);
        outcome
    }
}

/// Arguments of kms_open.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    pub(crate) abi_version: u32,
    pub(crate) config: *const c_char,
    pub(crate) host: *const kms_host,
    pub(crate) out: *mut *mut kms,
}

impl Open {
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        // SAFETY: each pointer is NULL or good: the tests below make them so.
        run_once(|err| unsafe { kms_open(self.abi_version, self.config, self.host, self.out, err) })
    }
}

/// Opens an engine.
#[track_caller]
pub(crate) fn open(config: &CStr) -> *mut kms {
    let mut engine = ptr::null_mut();
    Open { abi_version: KMS_ABI_VERSION, config: config.as_ptr(), host: ptr::null(), out: &raw mut engine }.run().ok();
    engine
}

pub(crate) fn close(engine: *mut kms) {
    // SAFETY: the tests pass handles of `open`.
    unsafe { kms_close(engine) }
}

pub(crate) fn host() -> kms_host {
    kms_host { size: size_of::<kms_host>(), context: ptr::null_mut::<c_void>(), root_key: ptr::null(), root_key_len: 0 }
}

/// Arguments of kms_call.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) engine: *mut kms,
    pub(crate) action: *const c_char,
    pub(crate) params: *const c_char,
    pub(crate) reply: *mut *mut c_char,
}

impl Call {
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        // SAFETY: each pointer is NULL or good: the tests below make them so.
        run_once(|err| unsafe { kms_call(self.engine, self.action, self.params, self.reply, err) })
    }
}

/// Takes a text that the library gave.
pub(crate) fn take(text: *mut c_char) -> String {
    // SAFETY: `text` came from the library, is read before it is freed, and is freed once.
    unsafe {
        let copy = CStr::from_ptr(text).to_str().expect("texts are UTF-8").to_owned();
        kms_string_free(text);
        copy
    }
}

/// Calls an action; the reply comes without its RequestId, which must be there.
#[track_caller]
pub(crate) fn call(engine: *mut kms, action: &str, params: &Value) -> Result<Value, Outcome> {
    let action = CString::new(action).unwrap();
    let params = CString::new(params.to_string()).unwrap();
    let mut reply = ptr::null_mut();
    let outcome = Call { engine, action: action.as_ptr(), params: params.as_ptr(), reply: &raw mut reply }.run();
    if !outcome.is_ok() {
        assert!(reply.is_null(), "a failure gives no reply");
        return Err(outcome);
    }
    let mut reply: Value = serde_json::from_str(&take(reply)).expect("a reply is JSON");
    let id = reply.as_object_mut().expect("a reply is an object").remove("RequestId");
    assert_eq!(id.as_ref().and_then(Value::as_str).map(str::len), Some(36));
    Ok(reply)
}

#[track_caller]
pub(crate) fn must(engine: *mut kms, action: &str, params: &Value) -> Value {
    call(engine, action, params).unwrap_or_else(|outcome| panic!("{action} {params}: {outcome:?}"))
}

/// Makes a key and returns its id.
#[track_caller]
pub(crate) fn create_key(engine: *mut kms, params: &Value) -> String {
    must(engine, "CreateKey", params)["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

/// Arguments of kms_encrypt.
#[derive(Clone, Copy)]
pub(crate) struct Encrypt {
    pub(crate) engine: *mut kms,
    pub(crate) key_id: *const c_char,
    pub(crate) plaintext: *const u8,
    pub(crate) plaintext_len: usize,
    pub(crate) context: *const c_char,
    pub(crate) out: *mut u8,
    pub(crate) out_cap: usize,
    pub(crate) out_len: *mut usize,
}

impl Encrypt {
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        let Self { engine, key_id, plaintext, plaintext_len, context, out, out_cap, out_len } = self;
        // SAFETY: each pointer is NULL or good for its length: the tests below make them so.
        run(|err| unsafe { kms_encrypt(engine, key_id, plaintext, plaintext_len, context, out, out_cap, out_len, err) })
    }
}

/// Arguments of kms_decrypt.
#[derive(Clone, Copy)]
pub(crate) struct Decrypt {
    pub(crate) engine: *mut kms,
    pub(crate) blob: *const u8,
    pub(crate) blob_len: usize,
    pub(crate) context: *const c_char,
    pub(crate) out: *mut u8,
    pub(crate) out_cap: usize,
    pub(crate) out_len: *mut usize,
}

impl Decrypt {
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        let Self { engine, blob, blob_len, context, out, out_cap, out_len } = self;
        // SAFETY: each pointer is NULL or good for its length: the tests below make them so.
        run(|err| unsafe { kms_decrypt(engine, blob, blob_len, context, out, out_cap, out_len, err) })
    }
}

/// Arguments of kms_reencrypt.
#[derive(Clone, Copy)]
pub(crate) struct ReEncrypt {
    pub(crate) engine: *mut kms,
    pub(crate) blob: *const u8,
    pub(crate) blob_len: usize,
    pub(crate) source_context: *const c_char,
    pub(crate) key_id: *const c_char,
    pub(crate) destination_context: *const c_char,
    pub(crate) out: *mut u8,
    pub(crate) out_cap: usize,
    pub(crate) out_len: *mut usize,
}

impl ReEncrypt {
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        let Self { engine, blob, blob_len, source_context, key_id, destination_context, out, out_cap, out_len } = self;
        // SAFETY: each pointer is NULL or good for its length: the tests below make them so.
        run(|err| unsafe {
            kms_reencrypt(
                engine,
                blob,
                blob_len,
                source_context,
                key_id,
                destination_context,
                out,
                out_cap,
                out_len,
                err,
            )
        })
    }
}

/// Arguments of kms_generate_data_key.
#[derive(Clone, Copy)]
pub(crate) struct DataKey {
    pub(crate) engine: *mut kms,
    pub(crate) key_id: *const c_char,
    pub(crate) number_of_bytes: usize,
    pub(crate) context: *const c_char,
    pub(crate) plaintext: *mut u8,
    pub(crate) plaintext_cap: usize,
    pub(crate) plaintext_len: *mut usize,
    pub(crate) blob: *mut u8,
    pub(crate) blob_cap: usize,
    pub(crate) blob_len: *mut usize,
}

impl DataKey {
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        let Self { engine, key_id, number_of_bytes, context, plaintext, plaintext_cap, plaintext_len, .. } = self;
        let Self { blob, blob_cap, blob_len, .. } = self;
        // SAFETY: each pointer is NULL or good for its length: the tests below make them so.
        run(|err| unsafe {
            kms_generate_data_key(
                engine,
                key_id,
                number_of_bytes,
                context,
                plaintext,
                plaintext_cap,
                plaintext_len,
                blob,
                blob_cap,
                blob_len,
                err,
            )
        })
    }
}

#[track_caller]
pub(crate) fn clock_advance(engine: *mut kms, seconds: i64) -> Outcome {
    // SAFETY: `engine` is NULL or a handle.
    run(|err| unsafe { kms_clock_advance(engine, seconds, err) })
}

#[track_caller]
pub(crate) fn run_due(engine: *mut kms, report: *mut *mut c_char) -> Outcome {
    // SAFETY: `engine` is NULL or a handle, `report` NULL or a place for a pointer.
    run_once(|err| unsafe { kms_run_due(engine, report, err) })
}

/// An engine with a key and a blob, and a set of outputs that show whether they were written.
pub(crate) struct World {
    pub(crate) engine: *mut kms,
    pub(crate) key_id: CString,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) context: CString,
    /// A ciphertext of `plaintext` with `context`.
    pub(crate) blob: Vec<u8>,
    pub(crate) out: Vec<u8>,
    pub(crate) out_len: usize,
    pub(crate) second: Vec<u8>,
    pub(crate) second_len: usize,
    pub(crate) text: *mut c_char,
}

impl World {
    #[track_caller]
    pub(crate) fn new(config: &CStr) -> Self {
        let engine = open(config);
        let mut world = Self {
            engine,
            key_id: CString::new(create_key(engine, &json!({}))).unwrap(),
            plaintext: b"the quick brown fox".to_vec(),
            context: c"{\"a\":\"b\"}".into(),
            blob: Vec::new(),
            out: vec![UNTOUCHED; 8192],
            out_len: UNTOUCHED_LEN,
            second: vec![UNTOUCHED; 2048],
            second_len: UNTOUCHED_LEN,
            text: ptr::null_mut(),
        };
        world.encrypt().run().ok();
        world.blob = world.out[..world.out_len].to_vec();
        world.taint();
        world
    }

    pub(crate) fn taint(&mut self) {
        self.out.fill(UNTOUCHED);
        self.second.fill(UNTOUCHED);
        self.out_len = UNTOUCHED_LEN;
        self.second_len = UNTOUCHED_LEN;
    }

    /// No output was written.
    #[track_caller]
    pub(crate) fn untouched(&self) {
        self.bytes_untouched();
        assert_eq!(self.out_len, UNTOUCHED_LEN);
        assert_eq!(self.second_len, UNTOUCHED_LEN);
    }

    /// No output was written but the lengths.
    #[track_caller]
    pub(crate) fn bytes_untouched(&self) {
        assert!(self.out.iter().chain(&self.second).all(|byte| *byte == UNTOUCHED));
        assert!(self.text.is_null());
    }

    pub(crate) fn call(&mut self, action: &CStr, params: &CStr) -> Call {
        Call { engine: self.engine, action: action.as_ptr(), params: params.as_ptr(), reply: &raw mut self.text }
    }

    pub(crate) fn encrypt(&mut self) -> Encrypt {
        Encrypt {
            engine: self.engine,
            key_id: self.key_id.as_ptr(),
            plaintext: self.plaintext.as_ptr(),
            plaintext_len: self.plaintext.len(),
            context: self.context.as_ptr(),
            out: self.out.as_mut_ptr(),
            out_cap: self.out.len(),
            out_len: &raw mut self.out_len,
        }
    }

    pub(crate) fn decrypt(&mut self) -> Decrypt {
        Decrypt {
            engine: self.engine,
            blob: self.blob.as_ptr(),
            blob_len: self.blob.len(),
            context: self.context.as_ptr(),
            out: self.out.as_mut_ptr(),
            out_cap: self.out.len(),
            out_len: &raw mut self.out_len,
        }
    }

    pub(crate) fn reencrypt(&mut self) -> ReEncrypt {
        ReEncrypt {
            engine: self.engine,
            blob: self.blob.as_ptr(),
            blob_len: self.blob.len(),
            source_context: self.context.as_ptr(),
            key_id: self.key_id.as_ptr(),
            destination_context: self.context.as_ptr(),
            out: self.out.as_mut_ptr(),
            out_cap: self.out.len(),
            out_len: &raw mut self.out_len,
        }
    }

    pub(crate) fn data_key(&mut self) -> DataKey {
        DataKey {
            engine: self.engine,
            key_id: self.key_id.as_ptr(),
            number_of_bytes: 32,
            context: self.context.as_ptr(),
            plaintext: self.second.as_mut_ptr(),
            plaintext_cap: self.second.len(),
            plaintext_len: &raw mut self.second_len,
            blob: self.out.as_mut_ptr(),
            blob_cap: self.out.len(),
            blob_len: &raw mut self.out_len,
        }
    }

    /// Every function that works with an engine, with good arguments.
    pub(crate) fn every_function(&mut self) -> Vec<(&'static str, Outcome)> {
        let report = &raw mut self.text;
        vec![
            ("kms_call", self.call(c"ListKeys", c"{}").run()),
            ("kms_encrypt", self.encrypt().run()),
            ("kms_decrypt", self.decrypt().run()),
            ("kms_generate_data_key", self.data_key().run()),
            ("kms_reencrypt", self.reencrypt().run()),
            ("kms_clock_advance", clock_advance(self.engine, 1)),
            ("kms_run_due", run_due(self.engine, report)),
        ]
        .into_iter()
        .chain(self.asymmetric_functions())
        .chain(self.batch_functions())
        .collect()
    }

    /// The functions of batches among them, each with one item.
    fn batch_functions(&mut self) -> Vec<(&'static str, Outcome)> {
        let (engine, key, algorithm) = (self.engine, self.key_id.as_ptr(), c"ECDSA_SHA_256".as_ptr());
        let (plaintexts, blobs, digests) = (Row::of(&[&self.plaintext]), Row::of(&[&self.blob]), Row::of(&[[7; 32]]));
        let mut outputs = Outputs::new(1, 1024);
        let outcomes = vec![
            ("kms_encrypt_batch", outputs.encrypt(engine, key, &plaintexts).run()),
            ("kms_decrypt_batch", outputs.decrypt(engine, &blobs).run()),
            ("kms_sign_batch", outputs.sign(engine, key, algorithm, &digests).run()),
            ("kms_verify_batch", outputs.verify(engine, key, algorithm, &digests, &digests).run()),
        ];
        outputs.untouched();
        outcomes
    }

    /// The functions of asymmetric keys among them. The key is none of those: no answer depends on it where the handle is
    /// looked at first.
    fn asymmetric_functions(&mut self) -> Vec<(&'static str, Outcome)> {
        let (engine, key, version) = (self.engine, self.key_id.as_ptr(), ptr::null());
        let (input, len) = (self.blob.as_ptr(), 32);
        let (out, cap, out_len) = (self.out.as_mut_ptr(), self.out.len(), &raw mut self.out_len);
        let text = &raw mut self.text;
        let (signing, encryption) = (c"ECDSA_SHA_256".as_ptr(), c"SM2PKE".as_ptr());
        let (mut valid, mut digester) = (false, ptr::null_mut());
        let user = ptr::null();
        // SAFETY: the engine is a handle; texts end with NUL; inputs and outputs are as long as is said, and are not used
        // by anybody else meanwhile.
        let outcomes = unsafe {
            vec![
                ("kms_sign", run_once(|e| kms_sign(engine, key, version, signing, input, len, out, cap, out_len, e))),
                (
                    "kms_verify",
                    run_once(|e| kms_verify(engine, key, version, signing, input, len, input, len, &raw mut valid, e)),
                ),
                (
                    "kms_asymmetric_encrypt",
                    run_once(|e| {
                        kms_asymmetric_encrypt(engine, key, version, encryption, input, len, out, cap, out_len, e)
                    }),
                ),
                (
                    "kms_asymmetric_decrypt",
                    run_once(|e| {
                        kms_asymmetric_decrypt(engine, key, version, encryption, input, len, out, cap, out_len, e)
                    }),
                ),
                ("kms_get_public_key", run_once(|e| kms_get_public_key(engine, key, version, text, e))),
                ("kms_digest", run_once(|e| kms_digest(engine, key, version, signing, input, len, user, out, e))),
                (
                    "kms_digest_init",
                    run_once(|e| kms_digest_init(engine, key, version, signing, user, &raw mut digester, e)),
                ),
            ]
        };
        assert!(!valid && digester.is_null());
        outcomes
    }
}

impl Drop for World {
    fn drop(&mut self) {
        close(self.engine);
    }
}
