//! Requests that carry an Encrypt: read, checked and made a call of, by the front; beside the signature's own digest, which
//! nothing that checks it can do without.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use kms_core::time::Timestamp;
use kms_engine::{Config, Engine};
use kms_server::{Front, FrontOptions, Incoming};
use ring::{digest, hmac};
use serde_json::Value;

use crate::contestant::Contestant;

const LENGTHS: [usize; 3] = [32, 1024, 6144];
const NOW: &str = "2026-11-24T12:00:00Z";
const KEY_ID: &str = "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf";

/// A request, and the text that its signature is made over.
struct Signed {
    query: String,
    headers: HeaderMap,
    text: Vec<u8>,
}

/// For each length of a plaintext: the bare digest and the front, with each of the two signatures; and requests that the front
/// refuses, for which it must not take more time in one case than in the other.
///
/// # Panics
/// When the front does not let the requests in, or lets one in that was changed.
#[must_use]
pub fn groups() -> Vec<(String, Vec<Contestant>)> {
    let config = Config::parse(r#"{"store":"memory:"}"#).expect("the configuration is right");
    let engine = Arc::new(Engine::open(config).expect("memory can be had"));
    let key = engine.create_access_key("benchmark").expect("it is the first one");
    // The same request comes again and again.
    let options = FrontOptions { check_nonces: false, ..FrontOptions::default() };
    let front = Arc::new(Front::new(engine, options));
    let holder = Holder::new(key.id.as_str(), key.secret.expose());
    let mut groups: Vec<_> = LENGTHS
        .into_iter()
        .map(|len| {
            let (rpc, acs3) = holder.encrypt(len);
            let contestants = vec![
                bare("HMAC-SHA1 alone (ring)", &rpc, holder.older.clone()),
                admitted("front, HMAC-SHA1", rpc, &front),
                bare("HMAC-SHA256 alone (ring)", &acs3, holder.newer.clone()),
                admitted("front, ACS3-HMAC-SHA256", acs3, &front),
            ];
            (format!("signed Encrypt {len} B"), contestants)
        })
        .collect();

    // Whoever does not hold an AccessKey must not learn by a clock whether it exists.
    let wrong = Holder::new(key.id.as_str(), b"another secret of thirty bytes");
    let unknown = Holder::new("LKMSnobodyhasthis", b"another secret of thirty bytes");
    let ((wrong_rpc, wrong_acs3), (unknown_rpc, unknown_acs3)) = (wrong.encrypt(32), unknown.encrypt(32));
    let (signature, id) = ("IncompleteSignature", "InvalidAccessKeyId.NotFound");
    let contestants = vec![
        refused("HMAC-SHA1, a wrong signature", wrong_rpc, &front, signature),
        refused("HMAC-SHA1, an unknown AccessKey", unknown_rpc, &front, id),
        refused("ACS3, a wrong signature", wrong_acs3, &front, signature),
        refused("ACS3, an unknown AccessKey", unknown_acs3, &front, id),
    ];
    groups.push(("refused Encrypt 32 B".to_owned(), contestants));
    groups
}

/// One who signs.
struct Holder<'h> {
    id: &'h str,
    older: hmac::Key,
    newer: hmac::Key,
}

impl<'h> Holder<'h> {
    fn new(id: &'h str, secret: &[u8]) -> Self {
        let older = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[secret, b"&"].concat());
        Self { id, older, newer: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// A request to encrypt so many bytes, with each of the two signatures.
    fn encrypt(&self, len: usize) -> (Signed, Signed) {
        let plaintext: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
        let mut parameters = vec![
            ("KeyId", KEY_ID.to_owned()),
            ("Plaintext", STANDARD.encode(plaintext)),
            ("RegionId", "cn-hangzhou".to_owned()),
        ];
        let acs3 = acs3(&parameters, self.id, &self.newer);
        parameters.extend(
            [
                ("AccessKeyId", self.id),
                ("Action", "Encrypt"),
                ("Format", "JSON"),
                ("SignatureMethod", "HMAC-SHA1"),
                ("SignatureNonce", KEY_ID),
                ("SignatureType", ""),
                ("SignatureVersion", "1.0"),
                ("Timestamp", NOW),
                ("Version", "2016-01-20"),
            ]
            .map(|(name, value)| (name, value.to_owned())),
        );
        (rpc(parameters, &self.older), acs3)
    }
}

/// Signed as the contract has it, chapter 2.
fn rpc(parameters: Vec<(&str, String)>, key: &hmac::Key) -> Signed {
    let canonical = joined(&parameters);
    let text = format!("POST&%2F&{}", percent(&canonical)).into_bytes();
    let signature = STANDARD.encode(hmac::sign(key, &text));
    Signed { query: format!("{canonical}&Signature={}", percent(&signature)), headers: HeaderMap::new(), text }
}

/// Signed as newer SDKs do.
fn acs3(parameters: &[(&str, String)], id: &str, key: &hmac::Key) -> Signed {
    let query = joined(parameters);
    let of_nothing = hex(digest::digest(&digest::SHA256, b"").as_ref());
    let mut named = vec![
        ("accept", "application/json"),
        ("host", "127.0.0.1:8080"),
        ("user-agent", "AlibabaCloud (linux; x86_64) Python/3.11.7 Core/0.4.6 TeaDSL/2"),
        ("x-acs-action", "Encrypt"),
        ("x-acs-content-sha256", &of_nothing),
        ("x-acs-date", NOW),
        ("x-acs-signature-nonce", KEY_ID),
        ("x-acs-version", "2016-01-20"),
    ];
    let lines: String = named.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let list = named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let text = format!("POST\n/\n{query}\n{lines}\n{list}\n{of_nothing}").into_bytes();
    let hash = hex(digest::digest(&digest::SHA256, &text).as_ref());
    let signature = hex(hmac::sign(key, format!("ACS3-HMAC-SHA256\n{hash}").as_bytes()).as_ref());
    let authorization = format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={list},Signature={signature}");
    named.push(("authorization", &authorization));
    let headers = named.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header is visible ASCII"))
    });
    Signed { query, headers: headers.collect(), text }
}

/// The digest of a text that stands ready.
fn bare(name: &str, signed: &Signed, key: hmac::Key) -> Contestant {
    let text = signed.text.clone();
    Contestant::of(name, move || {
        std::hint::black_box(hmac::sign(&key, std::hint::black_box(&text)));
    })
}

/// From the request to the call.
fn admitted(name: &str, signed: Signed, front: &Arc<Front>) -> Contestant {
    let (answer, changed) =
        (through(signed.query.clone(), signed.headers.clone(), front), format!("{}&X=", signed.query));
    assert_eq!(answer(), None, "{name} refuses a request that is right");
    let altered = through(changed, signed.headers, front);
    assert!(altered().is_some(), "{name} lets a changed request in");
    Contestant::of(name, move || assert!(answer().is_none()))
}

/// From the request to its refusal.
fn refused(name: &str, signed: Signed, front: &Arc<Front>, code: &'static str) -> Contestant {
    let answer = through(signed.query, signed.headers, front);
    let body = answer().unwrap_or_else(|| panic!("{name} is let in"));
    let told = serde_json::from_str::<Value>(&body).expect("a refusal is JSON");
    assert_eq!(told["Code"], code, "{name}");
    Contestant::of(name, move || assert!(answer().is_some()))
}

/// What the front does with a request: the body of its refusal, if it refuses.
fn through(query: String, headers: HeaderMap, front: &Arc<Front>) -> impl Fn() -> Option<String> + Send + use<> {
    let now: Timestamp = NOW.parse().expect("it is a time");
    let front = Arc::clone(front);
    move || {
        let query = std::hint::black_box(&query);
        let request = Incoming { method: &Method::POST, path: "/", query, headers: &headers, body: b"" };
        front.admit(&request, now).err().map(|refusal| refusal.body.to_string())
    }
}

fn joined(parameters: &[(&str, String)]) -> String {
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort_unstable();
    let pairs: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    pairs.join("&")
}

pub(crate) fn percent(text: &str) -> String {
    let spelled = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    spelled.collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
