//! Calls by name with JSON parameters: whatever comes in, the answer is one of the contract, and an error leaves no trace.
//!
//! An input is text, so that it can be read, seeded and mutated by its words (`dictionaries/json_call.dict`):
//!
//! ```text
//! UpdateAlias                                              the action; one single byte picks it by its number
//! {"AliasName":"alias/a","KeyId":"$disabled"}              its parameters; $names stand for what the fixture has
//!                                                          a blank line, and the next call
//! ```
//!
//! An input that begins with a zero byte is read the other way: the rest of it chooses an action, and a value for each of
//! the parameters that the contract's `actions.json` lists for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use arbitrary::{Result, Unstructured};
use kms_core::{Action, ErrorCode, KmsError};
use kms_engine::{Config, Engine};
use kms_store::fault::FaultDisk;
use serde_json::{Map, Value, json};

use crate::call::{call, call_text, is_id, text};

/// The most calls of one input: enough to build on one another.
const MAX_CALLS: usize = 6;

/// Actions that only look, or compute: their success changes nothing either.
pub(crate) const READ_ONLY: [&str; 14] = [
    "DescribeKey",
    "ListKeys",
    "DescribeKeyVersion",
    "ListKeyVersions",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "Decrypt",
    "ReEncrypt",
    "ListAliases",
    "ListAliasesByKeyId",
    "ListResourceTags",
    "DescribeRegions",
    "DescribeAccountKmsStatus",
];

/// What the contract says of the calls.
pub(crate) struct Contract {
    /// The parameters of each action.
    pub(crate) parameters: BTreeMap<String, Vec<String>>,
    /// Each code with its HTTP status.
    pub(crate) errors: BTreeSet<(String, u16)>,
}

pub(crate) fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let actions: Vec<Value> = serde_json::from_str(include_str!("../../contract/actions.json")).unwrap();
        let names = |action: &Value| {
            let request = action["request"].as_array().unwrap();
            request.iter().map(|parameter| text(parameter, "/name").to_owned()).collect()
        };
        let parameters = actions.iter().map(|action| (text(action, "/action").to_owned(), names(action))).collect();
        let errors = include_str!("../../contract/errors.csv").lines().skip(1).map(|line| {
            let mut cells = line.split(',');
            (cells.next().unwrap().to_owned(), cells.next().unwrap().parse().unwrap())
        });
        Contract { parameters, errors: errors.collect() }
    })
}

/// An engine with one key in each state, and what `$names` in an input stand for.
pub(crate) struct Fixture {
    pub(crate) engine: Arc<Engine>,
    /// Where the engine keeps its records, in memory; it counts what is written.
    pub(crate) disk: FaultDisk,
    names: Vec<(&'static str, String)>,
    /// What the engine shows of itself.
    shown: Vec<Value>,
}

thread_local! {
    /// The fixture is made anew after a call that has changed it: an input then means the same whatever came before.
    static FIXTURE: RefCell<Option<Fixture>> = const { RefCell::new(None) };
}

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    FIXTURE.with_borrow_mut(|place| {
        let fixture = place.get_or_insert_with(Fixture::new);
        let before = fixture.disk.syncs();
        match data.split_first() {
            Some((0, rest)) => fixture.run_chosen(&mut Unstructured::new(rest)).unwrap_or(()),
            _ => fixture.run_text(&String::from_utf8_lossy(data)),
        }
        if fixture.disk.syncs() == before {
            assert!(show(&fixture.engine) == fixture.shown, "nothing was written, and something has changed");
        } else {
            *place = None;
        }
    });
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let config = r#"{"store":"memory:","clock":{"manual":"2030-01-01T00:00:00Z"},"seed":2,"cache":64,
            "limits":{"keys":6,"aliases":4}}"#;
        let disk = FaultDisk::new();
        let engine = Arc::new(Engine::open_on(Box::new(disk.reopen()), Config::parse(config).unwrap()).unwrap());
        let mut names = Vec::new();
        for (name, params) in [
            ("enabled", json!({ "Description": "fixture" })),
            ("disabled", json!({ "KeySpec": "Aliyun_SM4", "ProtectionLevel": "HSM" })),
            ("pending", json!({})),
            ("import", json!({ "Origin": "EXTERNAL" })),
            ("protected", json!({ "KeySpec": "Aliyun_AES_128" })),
        ] {
            let reply = call(&engine, "CreateKey", &params).unwrap();
            names.push((name, text(&reply, "/KeyMetadata/KeyId").to_owned()));
            if name == "enabled" {
                names.push(("arn", text(&reply, "/KeyMetadata/Arn").to_owned()));
                names.push(("version", text(&reply, "/KeyMetadata/PrimaryKeyVersion").to_owned()));
            }
        }
        let mut fixture = Self { engine, disk, names, shown: Vec::new() };
        for (action, params) in [
            ("Encrypt", r#"{"KeyId":"$enabled","Plaintext":"SGVsbG8=","EncryptionContext":{"a":"1"}}"#),
            ("CreateAlias", r#"{"KeyId":"$enabled","AliasName":"alias/a"}"#),
            ("CreateAlias", r#"{"KeyId":"$pending","AliasName":"alias/p"}"#),
            ("TagResource", r#"{"KeyId":"$enabled","Tags":[{"TagKey":"k","TagValue":"v"}]}"#),
            ("DisableKey", r#"{"KeyId":"$disabled"}"#),
            ("ScheduleKeyDeletion", r#"{"KeyId":"$pending"}"#),
        ] {
            let reply = call_text(&fixture.engine, action, &fixture.replace(params)).unwrap();
            if action == "Encrypt" {
                fixture.names.push(("blob", text(&reply, "/CiphertextBlob").to_owned()));
            }
        }
        let protected = &fixture.names.iter().find(|(name, _)| *name == "protected").unwrap().1;
        let arn = format!("acs:kms:cn-hangzhou:1000000000000000:key/{protected}");
        let params = json!({ "ProtectedResourceArn": arn, "EnableDeletionProtection": true });
        call(&fixture.engine, "SetDeletionProtection", &params).unwrap();
        fixture.names.push(("parn", arn));
        fixture.shown = show(&fixture.engine);
        fixture
    }

    pub(crate) fn replace(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.names {
            text = text.replace(&format!("${name}"), value);
        }
        text
    }

    fn run_text(&self, input: &str) {
        for block in input.split("\n\n").take(MAX_CALLS) {
            let (action, params) = block.split_once('\n').unwrap_or((block, "{}"));
            let action = match action.as_bytes() {
                [number] => Action::ALL[usize::from(*number) % Action::ALL.len()].as_str(),
                _ => action,
            };
            self.call(action, &self.replace(params));
        }
    }

    /// Runs one call whose action and parameters are chosen from the contract.
    fn run_chosen(&self, u: &mut Unstructured<'_>) -> Result<()> {
        let (action, names) = {
            let parameters = &contract().parameters;
            let index = u.choose_index(parameters.len())?;
            parameters.iter().nth(index).unwrap()
        };
        let mut params = Map::new();
        for name in names {
            if u.ratio(3, 4)? {
                let value = self.value(u, 0)?;
                params.insert(name.clone(), value);
            }
        }
        if u.ratio(1, 8)? {
            let value = self.value(u, 0)?;
            params.insert(u.arbitrary()?, value);
        }
        self.call(action, &Value::Object(params).to_string());
        Ok(())
    }

    /// A value: one of those that something depends on, or an arbitrary one.
    pub(crate) fn value(&self, u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
        let texts = [
            "",
            "true",
            "False",
            "Aliyun_AES_256",
            "RSA_2048",
            "EXTERNAL",
            "HSM",
            "ENCRYPT/DECRYPT",
            "AES_128",
            "alias/a",
            "alias/new",
            "alias/acs",
            r#"[{"Key":"KeyState","Values":["Enabled"]}]"#,
            r#"[{"TagKey":"k2","TagValue":"v"}]"#,
            r#"["k"]"#,
            "SGVsbG8=",
            r#"{"a":"1"}"#,
            "7d",
            "00000000-0000-0000-0000-000000000000",
        ];
        Ok(match u.int_in_range(0..=9)? {
            0..=2 => self.names[u.choose_index(self.names.len())?].1.clone().into(),
            3 | 4 => (*u.choose(&texts)?).into(),
            5 => (*u.choose(&[0_i64, 1, 7, 30, 31, 100, 101, 1024, 1025, -1, i64::MAX])?).into(),
            6 => u.arbitrary::<bool>()?.into(),
            7 => u.arbitrary::<String>()?.into(),
            8 if depth < 4 => {
                let values = (0..u.int_in_range(0..=3)?).map(|_| self.value(u, depth + 1)).collect::<Result<_>>()?;
                Value::Array(values)
            }
            9 if depth < 4 => {
                let mut members = Map::new();
                for _ in 0..u.int_in_range(0..=3)? {
                    let name = (*u.choose(&["TagKey", "TagValue", "Key", "Values", "a", ""])?).to_owned();
                    members.insert(name, self.value(u, depth + 1)?);
                }
                Value::Object(members)
            }
            _ => "é".repeat(*u.choose(&[128_usize, 129, 255, 6144, 8192, 8193])?).into(),
        })
    }

    /// Makes one call and checks its answer. One that is refused, or that only looks, writes nothing.
    fn call(&self, action: &str, params: &str) {
        let before = self.disk.syncs();
        let answer = self.engine.call(action, params);
        let failed = answer.result.is_err();
        match answer.result {
            Ok(reply) => check_reply(action, &answer.request_id.to_string(), &reply),
            Err(error) => check_error(action, &error),
        }
        if failed || READ_ONLY.contains(&action) {
            assert_eq!(self.disk.syncs(), before, "{action} has left a trace");
        }
    }
}

fn check_reply(action: &str, request_id: &str, reply: &str) {
    let Ok(Value::Object(members)) = serde_json::from_str(reply) else { panic!("{action} answers no object") };
    assert!(is_id(request_id.as_bytes()));
    assert_eq!(members.get("RequestId").and_then(Value::as_str), Some(request_id));
    assert!(!members.contains_key("Code"), "{action} answers a Code");
}

/// The code is in the contract's table with this status, is none that means a fault of ours, and names a parameter of the
/// action where it names one.
fn check_error(action: &str, error: &KmsError) {
    let (code, http) = (error.code().as_str(), error.code().http_status());
    assert!(contract().errors.contains(&(code.to_owned(), http)), "{action} answers {code} {http}");
    let ours = [ErrorCode::InternalFailure, ErrorCode::ServiceUnavailableTemporary];
    assert!(!ours.contains(&error.code()), "{action} answers {code}");
    if matches!(error.code(), ErrorCode::InvalidParameter | ErrorCode::MissingParameter) {
        let named = error.detail().unwrap_or_else(|| panic!("{action} answers {code} and names no parameter"));
        match contract().parameters.get(action) {
            Some(parameters) => {
                // Where one of several is to be given, the contract names them all.
                let known = |part: &str| parameters.iter().any(|name| name == part);
                assert!(named.split('/').all(known), "{action} has no parameter {named}");
            }
            // A call without a name lacks its first parameter (OP-09); no other is known of a name that is no action.
            None => assert_eq!((action, named), ("", "Action")),
        }
        assert!(error.to_string().contains(&format!("\"{named}\"")));
    }
}

/// All that the engine shows of keys, aliases, tags and the account.
fn show(engine: &Engine) -> Vec<Value> {
    let ask = |action, params| call(engine, action, &params).unwrap();
    let keys = ask("ListKeys", json!({ "PageSize": 100 }));
    let mut shown = vec![ask("ListAliases", json!({ "PageSize": 100 })), ask("DescribeAccountKmsStatus", json!({}))];
    for key in keys["Keys"]["Key"].as_array().unwrap() {
        let id = &key["KeyId"];
        shown.push(ask("DescribeKey", json!({ "KeyId": id })));
        shown.push(ask("ListResourceTags", json!({ "KeyId": id })));
    }
    shown.push(keys);
    shown
}
