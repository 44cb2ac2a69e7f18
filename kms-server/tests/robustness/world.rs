//! What stands behind the server: an engine whose writes take as long as a test wants, and somebody who may use it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use kms_core::model::AccessKey;
use kms_core::time::Timestamp;
use kms_engine::{Config, Engine};
use kms_server::{Front, FrontOptions};
use kms_store::mem_kv::MemKv;
use kms_store::raw::{Batch, Caps, Direction, RawError, RawKv, Rev, Stored};
use serde_json::{Value, json};

use crate::harness::Answer;

/// A store in memory that is slow to write, and does not survive it when told so.
#[derive(Debug)]
struct SlowKv {
    kv: MemKv,
    orders: Arc<Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    commit_millis: AtomicU64,
    panics: AtomicBool,
}

impl RawKv for SlowKv {
    fn get(&self, key: &[u8]) -> Result<Option<Stored>, RawError> {
        self.kv.get(key)
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Stored>>, RawError> {
        self.kv.get_many(keys)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Vec<u8>, Stored)>, RawError> {
        self.kv.scan(prefix, after, limit, direction)
    }

    fn commit(&self, batch: &Batch) -> Result<Rev, RawError> {
        std::thread::sleep(Duration::from_millis(self.orders.commit_millis.load(Ordering::Relaxed)));
        assert!(!self.orders.panics.load(Ordering::Relaxed), "as the test has ordered");
        self.kv.commit(batch)
    }

    fn caps(&self) -> Caps {
        self.kv.caps()
    }
}

/// An engine with one key in it, the front of it, and who signs the requests.
pub(super) struct World {
    pub(super) front: Arc<Front>,
    engine: Arc<Engine>,
    access_key: AccessKey,
    /// The id of the key.
    key: String,
    orders: Arc<Orders>,
}

impl World {
    pub(super) fn new() -> Self {
        let orders = Arc::<Orders>::default();
        let slow = SlowKv { kv: MemKv::new(), orders: Arc::clone(&orders) };
        let config = Config::parse(r#"{"store":"memory:"}"#).unwrap();
        let engine = Arc::new(Engine::open_on(Box::new(slow), config).unwrap());
        let access_key = engine.create_access_key("").unwrap();
        let front = Arc::new(Front::new(Arc::clone(&engine), FrontOptions::default()));
        let mut world = Self { front, engine, access_key, key: String::new(), orders };
        world.key = world.create_key("");
        world
    }

    /// Makes another key, and tells its id.
    pub(super) fn create_key(&self, description: &str) -> String {
        let created = self.call("CreateKey", &json!({ "Description": description }));
        created["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    fn call(&self, action: &str, params: &Value) -> Value {
        serde_json::from_str(&self.engine.call(action, &params.to_string()).result.unwrap()).unwrap()
    }

    /// From now on, a write takes so long.
    pub(super) fn writes_take(&self, time: Duration) {
        self.orders.commit_millis.store(time.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    /// From now on, a write ends in a panic.
    pub(super) fn writes_panic(&self) {
        self.orders.panics.store(true, Ordering::Relaxed);
    }

    /// These parameters with all that a request by `method` needs, signed: a query or a form. Without a nonce, so that the
    /// same request can be sent again and again.
    pub(super) fn signed(&self, method: &str, parameters: &[(&str, &str)]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let now = Timestamp::from_unix(now).to_string();
        let mut all = vec![
            ("Version", "2016-01-20"),
            ("AccessKeyId", self.access_key.id.as_str()),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &now),
        ];
        all.extend(parameters);
        all.sort_unstable();
        let pairs: Vec<_> = all.iter().map(|(name, text)| format!("{name}={}", percent(text))).collect();
        let pairs = pairs.join("&");
        let secret = [self.access_key.secret.expose(), b"&"].concat();
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&secret).unwrap();
        mac.update(format!("{method}&%2F&{}", percent(&pairs)).as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        // Every character encoded, so that all signatures are of one length.
        let signature: String = signature.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("{pairs}&Signature={signature}")
    }

    /// A `POST` with its parameters in a form.
    pub(super) fn post(&self, parameters: &[(&str, &str)]) -> String {
        posted(&self.signed("POST", parameters))
    }

    /// A request to encrypt a text of Base64, which is done at once.
    pub(super) fn encrypt(&self, plaintext: &str) -> String {
        self.post(&[("Action", "Encrypt"), ("KeyId", &self.key), ("Plaintext", plaintext)])
    }

    /// The same as a query or a form of so many bytes.
    pub(super) fn encrypt_in(&self, len: usize, method: &str, plaintext: &str) -> String {
        let with_filling = |filling: &str| {
            let parameters =
                [("Action", "Encrypt"), ("KeyId", &self.key), ("Plaintext", plaintext), ("Unknown", filling)];
            self.signed(method, &parameters)
        };
        let signed = with_filling(&"x".repeat(len - with_filling("").len()));
        assert_eq!(signed.len(), len);
        signed
    }

    /// The plaintext of what was encrypted.
    pub(super) fn decrypted(&self, answer: &Answer) -> String {
        assert_eq!(answer.status, 200, "{answer:?}");
        let decrypted = self.call("Decrypt", &json!({ "CiphertextBlob": answer.member("CiphertextBlob") }));
        decrypted["Plaintext"].as_str().unwrap().to_owned()
    }

    /// A request that writes.
    pub(super) fn write(&self) -> String {
        self.write_to(&self.key)
    }

    /// The same for a key other than the one that everything else is done with.
    pub(super) fn write_to(&self, key: &str) -> String {
        let description = "x".repeat(1000);
        self.post(&[("Action", "UpdateKeyDescription"), ("KeyId", key), ("Description", &description)])
    }
}

/// The head of a `POST` with a form, but for what tells the length of the form and for its end.
pub(super) const POST: &str = "POST / HTTP/1.1\r\nHost: kms\r\nContent-Type: application/x-www-form-urlencoded\r\n";

/// A `POST` with this form.
pub(super) fn posted(form: &str) -> String {
    format!("{POST}Content-Length: {}\r\n\r\n{form}", form.len())
}

/// The head of a request and its body.
pub(super) fn in_two(request: &str) -> (&str, &str) {
    request.split_at(request.find("\r\n\r\n").unwrap() + 4)
}

fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").unwrap(),
        }
    }
    encoded
}
