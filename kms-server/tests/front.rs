//! Requests through the front into an engine: what comes back, in which form, and in which order things are looked at.

#[allow(dead_code, reason = "the other signature is made by hand here, with parameters that a test gets wrong")]
#[path = "common/signing.rs"]
mod signing;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use kms_core::model::{AccessKey, AccountStatus};
use kms_core::rng::{EntropyError, Rng};
use kms_core::secret::SecretBytes;
use kms_core::time::Timestamp;
use kms_core::view::View as _;
use kms_core::{Change, ErrorCode, KmsError};
use kms_engine::{Config, Engine};
use kms_server::{Front, FrontOptions, Incoming, Reply};
use kms_store::fault::FaultDisk;
use kms_store::{Owner, Store};
use serde_json::{Value, json};
use signing::{Moment, Signer};

const NOW: &str = "2026-11-24T12:00:00Z";

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn joined(pairs: &[(String, String)]) -> String {
    let mut pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    // By the bytes of the names; '=' would sort before '.'.
    pairs.sort_by_key(|pair| pair.split('=').next().unwrap_or_default().to_owned());
    pairs.join("&")
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A server with an engine of its own, and one who may use it.
struct World {
    engine: Arc<Engine>,
    front: Front,
    key: AccessKey,
}

impl World {
    fn new() -> Self {
        let config = Config::parse(r#"{"store":"memory:"}"#).unwrap();
        let engine = Arc::new(Engine::open(config).unwrap());
        let key = engine.create_access_key("").unwrap();
        Self { front: Front::new(Arc::clone(&engine), FrontOptions::default()), engine, key }
    }

    /// The parameters that the older signature wants, with the signature: over `parameters` and these.
    fn signed(&self, method: &Method, parameters: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut all = named(&[
            ("Version", "2016-01-20"),
            ("AccessKeyId", self.key.id.as_str()),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", NOW),
        ]);
        // What a test gives stands in the place of the usual.
        all.retain(|(name, _)| parameters.iter().all(|(given, _)| given != name));
        all.extend(named(parameters));
        let secret = [self.key.secret.expose(), b"&"].concat();
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&secret).unwrap();
        mac.update(format!("{method}&%2F&{}", percent(&joined(&all))).as_bytes());
        all.push(("Signature".to_owned(), STANDARD.encode(mac.finalize().into_bytes())));
        all
    }

    fn get(&self, parameters: &[(&str, &str)]) -> Reply {
        self.ask(&Method::GET, "/", &joined(&self.signed(&Method::GET, parameters)), &HeaderMap::new(), "")
    }

    fn post(&self, parameters: &[(&str, &str)]) -> Reply {
        let form = joined(&self.signed(&Method::POST, parameters));
        let headers = headers(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
        self.ask(&Method::POST, "/", "", &headers, &form)
    }

    /// The newer signature, over all headers.
    fn acs3(&self, action: &str, query: &[(&str, &str)], form: &[(&str, &str)]) -> Reply {
        let signer = Signer { id: self.key.id.as_str(), secret: self.key.secret.expose() };
        // A blank nonce is none: the same request may come again.
        let request = signer.acs3(action, &named(query), &named(form), Moment { stamp: NOW, nonce: "" });
        let named: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.ask(&Method::POST, "/", &request.query, &headers(&named), &request.form)
    }

    fn ask(&self, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: &str) -> Reply {
        let incoming = Incoming { method, path, query, headers, body: body.as_bytes() };
        match self.front.admit(&incoming, NOW.parse().unwrap()) {
            Ok(call) => self.front.perform(call),
            Err(reply) => reply,
        }
    }

    fn keys(&self) -> u64 {
        let list: Value = serde_json::from_str(&self.engine.call("ListKeys", "{}").result.unwrap()).unwrap();
        list["TotalCount"].as_u64().unwrap()
    }
}

fn headers(named: &[(&str, &str)]) -> HeaderMap {
    named
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

/// The members of an answer in JSON. It is an answer, and its request id is that of the reply.
fn answer(reply: &Reply) -> Value {
    assert_eq!((reply.status, reply.content_type), (200, "application/json; charset=utf-8"), "{}", *reply.body);
    let members: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(members["RequestId"], reply.request_id.to_string());
    assert_eq!(members["Code"], Value::Null);
    members
}

/// The code of a refusal in JSON, and the parameter that it names. Its status is that of the code.
fn refusal(reply: &Reply) -> String {
    assert_eq!(reply.content_type, "application/json; charset=utf-8");
    let members: Value = serde_json::from_str(&reply.body).unwrap();
    let names: Vec<&str> = members.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(members["HttpStatus"], reply.status);
    assert_eq!(members["RequestId"], reply.request_id.to_string());
    let code = members["Code"].as_str().unwrap();
    let known = ErrorCode::ALL.iter().find(|known| known.as_str() == code).unwrap();
    assert_eq!(known.http_status(), reply.status);
    let named = members["Message"].as_str().unwrap().split('"').nth(1);
    let named = named.filter(|_| matches!(code, "MissingParameter" | "InvalidParameter"));
    named.map_or(code.to_owned(), |named| format!("{code} {named}"))
}

#[test]
fn a_text_goes_in_by_one_way_and_comes_out_by_another() {
    let world = World::new();
    let created = answer(&world.get(&[("Action", "CreateKey"), ("Description", "it's (a) *!~ é中 +&=")]));
    let id = created["KeyMetadata"]["KeyId"].as_str().unwrap();
    assert_eq!(created["KeyMetadata"]["Description"], "it's (a) *!~ é中 +&=");
    assert_eq!(created["KeyMetadata"]["Creator"], "1000000000000000");

    // A context flattened, in JSON, and in a form.
    let flattened = world.post(&[
        ("Action", "Encrypt"),
        ("KeyId", id),
        ("Plaintext", "SGVsbG8+d29ybGQ/Cg=="),
        ("EncryptionContext.a", "1 +"),
        ("EncryptionContext.b", "中"),
    ]);
    let blob = answer(&flattened)["CiphertextBlob"].as_str().unwrap().to_owned();
    let context = r#"{"b":"中","a":"1 +"}"#;
    let back = world.acs3("Decrypt", &[("CiphertextBlob", &blob), ("EncryptionContext", context)], &[]);
    assert_eq!(answer(&back)["Plaintext"], "SGVsbG8+d29ybGQ/Cg==");
    let back = world.acs3("Decrypt", &[("EncryptionContext", context)], &[("CiphertextBlob", &blob)]);
    assert_eq!(answer(&back)["Plaintext"], "SGVsbG8+d29ybGQ/Cg==");
    let back = world.get(&[("Action", "Decrypt"), ("CiphertextBlob", &blob), ("EncryptionContext", "")]);
    assert_eq!(refusal(&back), "InvalidParameter CiphertextBlob");
}

// Goal: who calls is decided by the AccessKey, not by the owner's handle, whichever way the request is signed. Method: a store with an
// AccessKey of another account than its own. No call makes one today; it is written beneath the engine.
#[test]
fn the_account_is_that_of_the_access_key() {
    const OTHER: &str = "2000000000000002";
    let disk = FaultDisk::new();
    let open = || {
        let config = json!({ "store": "memory:", "root_key": { "hex": "07".repeat(32) } });
        Engine::open_on(Box::new(disk.reopen()), Config::parse(&config.to_string()).unwrap()).unwrap()
    };
    let made = open().create_access_key("").unwrap();
    let key = AccessKey { account: OTHER.to_owned(), ..made };
    put(&disk, key.duplicate());

    let engine = Arc::new(open());
    let world = World { front: Front::new(Arc::clone(&engine), FrontOptions::default()), engine, key };
    let creator = |answer: &Value| answer["KeyMetadata"]["Creator"].as_str().unwrap().to_owned();
    assert_eq!(creator(&answer(&world.get(&[("Action", "CreateKey")]))), OTHER);
    assert_eq!(creator(&answer(&world.post(&[("Action", "CreateKey")]))), OTHER);
    let created = answer(&world.acs3("CreateKey", &[], &[]));
    assert_eq!(creator(&created), OTHER);
    let id = created["KeyMetadata"]["KeyId"].as_str().unwrap();
    assert_eq!(creator(&answer(&world.get(&[("Action", "DescribeKey"), ("KeyId", id)]))), OTHER);
    // The owner himself is of the store's account.
    let owners: Value = serde_json::from_str(&world.engine.call("CreateKey", "{}").result.unwrap()).unwrap();
    assert_eq!(creator(&owners), "1000000000000000");
}

/// Writes an AccessKey into a store whose root key is 32 times 7.
fn put(disk: &FaultDisk, key: AccessKey) {
    struct Sevens;
    impl kms_store::RootKey for Sevens {
        fn establish(&self) -> Result<(SecretBytes, Vec<u8>), KmsError> {
            Err(ErrorCode::InternalFailure.into())
        }

        fn recall(&self, _recipe: &[u8]) -> Result<SecretBytes, KmsError> {
            Ok(SecretBytes::copied_from(&[7; 32]))
        }
    }

    /// Bytes that never come again.
    struct Counting(u64);
    impl Rng for Counting {
        fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            self.public(out)
        }

        fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            for chunk in out.chunks_mut(8) {
                self.0 += 1;
                chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }

    let mut rng = Counting(0);
    let status = AccountStatus::Enabled;
    // What a store has already it keeps.
    let owner = Owner { account: String::new(), region: String::new(), status, configured: status };
    let now = key.created;
    let store = Store::open(Box::new(disk.reopen()), &Sevens, &owner, now, &mut rng).unwrap();
    let reader = store.reader();
    assert!(reader.access_key(&key.id).unwrap().is_some());
    let prepared = store.prepare(&reader, vec![Change::PutAccessKey(Box::new(key))], now, &mut rng).unwrap();
    store.commit(prepared, &mut rng, &|_| ()).unwrap();
}

#[test]
fn unknown_and_blank_parameters_do_no_harm() {
    let world = World::new();
    let reply = world.get(&[
        ("Action", "ListKeys"),
        ("RegionId", "cn-hangzhou"),
        ("SecurityToken", "x"),
        ("SignatureType", ""),
        ("DryRun", "false"),
        ("KeyStorageMechanism", ""),
        ("format", "x"),
    ]);
    assert_eq!(answer(&reply)["TotalCount"], 0);
}

// What newer SDKs can send beside the contract's parameters.
#[test]
fn newer_parameters_do_no_harm() {
    let world = World::new();
    for (number, (name, text)) in [
        ("DKMSInstanceId", "kst-1"),
        ("Policy", r#"{"Version":"1","Statement":[]}"#),
        ("Recipient", r#"{"AttestationDocument":"eA=="}"#),
        ("Recipient.AttestationDocument", "eA=="),
    ]
    .into_iter()
    .enumerate()
    {
        let created = answer(&world.get(&[("Action", "CreateKey"), (name, text)]));
        let id = created["KeyMetadata"]["KeyId"].as_str().unwrap();
        let made = answer(&world.acs3("GenerateDataKey", &[("KeyId", id)], &[(name, text)]));
        assert_eq!(STANDARD.decode(made["Plaintext"].as_str().unwrap()).unwrap().len(), 32, "{name}");
        assert_eq!(world.keys(), number as u64 + 1, "{name}");
    }
}

// Lists into an action: each spelling stands for what the contract has as JSON.
#[test]
fn a_list_may_come_flattened() {
    let world = World::new();
    let created = answer(&world.get(&[("Action", "CreateKey")]));
    let id = created["KeyMetadata"]["KeyId"].as_str().unwrap();
    let tags = || answer(&world.get(&[("Action", "ListResourceTags"), ("KeyId", id)]))["Tags"]["Tag"].clone();
    let tag = |key: &str, value: &str| json!({ "KeyId": id, "TagKey": key, "TagValue": value });
    let flattened = [
        ("KeyId", id),
        ("Tags.1.TagKey", "team"),
        ("Tags.1.TagValue", "billing & co"),
        ("Tags.2.TagKey", "stage"),
        ("Tags.2.TagValue", ""),
    ];
    answer(&world.post(&[&[("Action", "TagResource")], &flattened[..]].concat()));
    let mut found = tags();
    found.as_array_mut().unwrap().sort_by_key(|tag| tag["TagKey"].to_string());
    assert_eq!(found, json!([tag("stage", ""), tag("team", "billing & co")]));

    let untag = [("KeyId", id), ("TagKeys.1", "stage"), ("TagKeys.2", "none such")];
    answer(&world.acs3("UntagResource", &untag, &[]));
    assert_eq!(tags(), json!([tag("team", "billing & co")]));

    let filtered = |state: &str| {
        let filter = [("Filters.1.Key", "KeyState"), ("Filters.1.Values.1", state)];
        answer(&world.get(&[("Action", "ListKeys"), filter[0], filter[1]]))["TotalCount"].clone()
    };
    assert_eq!((filtered("Enabled"), filtered("Disabled")), (json!(1), json!(0)));

    // A number that is missing makes it no list.
    let holed = [("Action", "TagResource"), ("KeyId", id), ("Tags.2.TagKey", "x"), ("Tags.2.TagValue", "")];
    assert_eq!(refusal(&world.get(&holed)), "InvalidParameter Tags");
    assert_eq!(tags(), json!([tag("team", "billing & co")]));
}

/// OP-10: each row is wrong in what it shows and in all that is looked at later.
#[test]
fn checks_come_in_the_contracts_order() {
    let world = World::new();
    let none = HeaderMap::new();
    let broken = "Format=yaml&Version=1&Action=Nothing&a=%";
    assert_eq!(refusal(&world.ask(&Method::PUT, "/x", broken, &none, "body")), "UnsupportedHTTPMethod");
    for method in [Method::HEAD, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        assert_eq!(refusal(&world.ask(&method, "/", "", &none, "")), "UnsupportedHTTPMethod");
    }
    assert_eq!(refusal(&world.ask(&Method::POST, "/x", broken, &none, "body")), "InvalidAction.NotFound");
    assert_eq!(refusal(&world.ask(&Method::POST, "/", broken, &none, "body")), "ParseRequestParameterException");
    let query = "Format=yaml&Version=1&Action=Nothing";
    assert_eq!(refusal(&world.ask(&Method::GET, "", query, &none, "")), "InvalidParameter Format");
    let query = "Version=1&Action=Nothing";
    assert_eq!(refusal(&world.ask(&Method::GET, "", query, &none, "")), "InvalidParameter Version");

    let forged = joined(&world.signed(&Method::POST, &[("Action", "Nothing")]));
    assert_eq!(refusal(&world.ask(&Method::GET, "/", &forged, &none, "")), "IncompleteSignature");
    let stranger = [("Action", "Nothing"), ("AccessKeyId", "LKMS0000000000000000")];
    assert_eq!(refusal(&world.get(&stranger)), "InvalidAccessKeyId.NotFound");
    assert_eq!(refusal(&world.get(&[("Action", "Nothing"), ("X.", "1")])), "ParseRequestParameterException");
    assert_eq!(refusal(&world.get(&[("Action", "Nothing")])), "UnsupportedOperation");
    assert_eq!(refusal(&world.get(&[])), "MissingParameter Action");
    assert_eq!(refusal(&world.get(&[("Action", "")])), "MissingParameter Action");
    assert_eq!(refusal(&world.get(&[("Action", "Encrypt")])), "MissingParameter KeyId");
    assert_eq!(refusal(&world.acs3("Nothing", &[("Action", "ListKeys")], &[])), "UnsupportedOperation");
}

#[test]
fn an_access_key_can_be_taken_back() {
    let world = World::new();
    let list = [("Action", "ListKeys")];
    answer(&world.get(&list));
    world.engine.enable_access_key(world.key.id.as_str(), false).unwrap();
    assert_eq!(refusal(&world.get(&list)), "Forbidden.AccessKey");
    assert_eq!(refusal(&world.acs3("ListKeys", &[], &[])), "Forbidden.AccessKey");
    world.engine.enable_access_key(world.key.id.as_str(), true).unwrap();
    answer(&world.get(&list));
    world.engine.delete_access_key(world.key.id.as_str()).unwrap();
    assert_eq!(refusal(&world.get(&list)), "InvalidAccessKeyId.NotFound");
    assert_eq!(refusal(&world.acs3("ListKeys", &[], &[])), "InvalidAccessKeyId.NotFound");
}

#[test]
fn a_recorded_request_is_of_no_use() {
    let world = World::new();
    let once = [("Action", "CreateKey"), ("SignatureNonce", "n")];
    answer(&world.get(&once));
    assert_eq!(refusal(&world.get(&once)), "SignatureNonceUsed");
    assert_eq!(refusal(&world.post(&once)), "SignatureNonceUsed");
    assert_eq!(world.keys(), 1);
    let lenient = FrontOptions { check_nonces: false, ..FrontOptions::default() };
    let world = World { front: Front::new(Arc::clone(&world.engine), lenient), ..world };
    answer(&world.get(&once));
    answer(&world.get(&once));
    assert_eq!(world.keys(), 3);
}

#[test]
fn time_is_the_callers() {
    let world = World::new();
    let query = joined(&world.signed(&Method::GET, &[("Action", "ListKeys")]));
    let headers = HeaderMap::new();
    let incoming = Incoming { method: &Method::GET, path: "/", query: &query, headers: &headers, body: b"" };
    let noon = NOW.parse::<Timestamp>().unwrap().unix();
    for (now, let_in) in [(noon - 901, false), (noon - 900, true), (noon + 900, true), (noon + 901, false)] {
        let admitted = world.front.admit(&incoming, Timestamp::from_unix(now));
        assert_eq!(admitted.is_ok(), let_in, "{now}");
        if let Err(reply) = admitted {
            assert_eq!(refusal(&reply), "IllegalTimestamp");
        }
    }
}

#[test]
fn xml_is_answered_to_those_who_ask_for_it() {
    let world = World::new();
    let xml = |reply: &Reply| {
        assert_eq!(reply.content_type, "text/xml; charset=utf-8");
        let body = reply.body.strip_prefix("<?xml version='1.0' encoding='UTF-8'?><KMS>").unwrap();
        let tail = format!("<RequestId>{}</RequestId></KMS>", reply.request_id);
        (reply.status, body.strip_suffix(tail.as_str()).unwrap().to_owned())
    };
    let list = world.get(&[("Action", "ListKeys"), ("Format", "xml")]);
    let empty = "<Keys></Keys><PageNumber>1</PageNumber><PageSize>10</PageSize><TotalCount>0</TotalCount>";
    assert_eq!(xml(&list), (200, empty.to_owned()));

    let refused = |code: &str, status: u16| format!("<HttpStatus>{status}</HttpStatus><Code>{code}</Code><Message>");
    for (reply, code, status) in [
        (world.get(&[("Action", "Nothing"), ("Format", "XML")]), "UnsupportedOperation", 400),
        (world.get(&[("Action", "ListKeys"), ("Format", "XML"), ("Timestamp", "")]), "IllegalTimestamp", 400),
        (world.get(&[("AccessKeyId", "LKMS0000000000000000"), ("Format", "XML")]), "InvalidAccessKeyId.NotFound", 404),
        (world.acs3("Nothing", &[("Format", "XML")], &[]), "UnsupportedOperation", 400),
    ] {
        let (http, body) = xml(&reply);
        assert_eq!(http, status);
        assert!(body.starts_with(&refused(code, status)), "{body}");
    }
    // Whoever has not said in a way that can be read what he wants gets JSON.
    assert_eq!(refusal(&world.get(&[("Action", "ListKeys"), ("Format", "yaml")])), "InvalidParameter Format");
    assert_eq!(
        refusal(&world.ask(&Method::GET, "/", "Format=XML&Format=XML", &HeaderMap::new(), "")),
        "ParseRequestParameterException"
    );
    assert_eq!(refusal(&world.ask(&Method::PUT, "/", "Format=XML", &HeaderMap::new(), "")), "UnsupportedHTTPMethod");
}

#[test]
fn what_xml_cannot_hold_is_asked_for_in_json() {
    let world = World::new();
    let create = [("Action", "CreateKey"), ("Description", "a\u{1}b")];
    let reply = world.get(&[create[0], create[1], ("Format", "XML")]);
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("<Code>InvalidParameter</Code>") && reply.body.contains("\"Format\""));
    assert_eq!(world.keys(), 0);
    let created = answer(&world.get(&create));
    let id = created["KeyMetadata"]["KeyId"].as_str().unwrap();
    let describe = [("Action", "DescribeKey"), ("KeyId", id)];
    let reply = world.get(&[describe[0], describe[1], ("Format", "XML")]);
    assert!(reply.body.contains("<Code>InvalidParameter</Code>") && reply.body.contains("\"Format\""));
    assert_eq!(answer(&world.get(&describe))["KeyMetadata"]["Description"], "a\u{1}b");
}

#[test]
fn what_is_short_is_done_at_once() {
    let world = World::new();
    for (action, short) in [
        ("Encrypt", true),
        ("Decrypt", true),
        ("CreateKey", false),
        ("ListKeys", false),
        ("Nothing", false),
        ("", false),
    ] {
        let query = joined(&world.signed(&Method::GET, &[("Action", action), ("Plaintext", "c2VjcmV0")]));
        let headers = HeaderMap::new();
        let incoming = Incoming { method: &Method::GET, path: "/", query: &query, headers: &headers, body: b"" };
        let call = world.front.admit(&incoming, NOW.parse().unwrap()).unwrap_or_else(|reply| panic!("{}", *reply.body));
        assert!(!format!("{call:?}").contains("c2VjcmV0"));
        assert_eq!(world.front.try_perform(call).is_ok(), short, "{action}");
    }
}

#[test]
fn an_engine_that_has_failed_still_answers() {
    let world = World::new();
    world.engine.poison();
    assert_eq!(refusal(&world.get(&[("Action", "ListKeys")])), "InternalFailure");
    let reply = world.front.refuse(&KmsError::from(ErrorCode::QpsLimitExceeded));
    assert_eq!(refusal(&reply), "Rejected.Throttling");
    let again = world.front.refuse(&KmsError::from(ErrorCode::StoreFull));
    assert_eq!(refusal(&again), "ServiceUnavailableTemporary");
    assert_ne!(reply.request_id, again.request_id);
}
