//! A whole store with one record altered: every question to it gets the answer that it had before, or `KMS_STORE_CORRUPT`.
//!
//! One store is made and asked everything once. Each input copies its entries to a new backend with one of them altered,
//! opens an engine there and asks again, first reading and then writing.

use std::sync::OnceLock;

use arbitrary::Arbitrary;
use kms_core::{ErrorCode, KmsError};
use kms_engine::{Config, Engine};
use kms_store::fault::{FaultDisk, ReadFault};
use kms_store::mem_kv::MemKv;
use kms_store::raw::{Batch, Direction, RawError, RawKv, Write};
use serde_json::{Value, json};

use crate::call::{call, text};

/// Which record is altered, and how.
#[derive(Arbitrary, Debug)]
pub(crate) enum Input<'a> {
    Flip {
        entry: u16,
        at: u16,
        bit: u8,
    },
    Truncate {
        entry: u16,
        len: u16,
    },
    Extend {
        entry: u16,
        tail: &'a [u8],
    },
    Overwrite {
        entry: u16,
        at: u16,
        bytes: &'a [u8],
    },
    /// The value of another entry.
    Replace {
        entry: u16,
        by: u16,
    },
    /// The values of two entries, exchanged.
    Exchange {
        entry: u16,
        with: u16,
    },
    /// The disk is whole, and one read of it is not.
    BadRead {
        read: u16,
    },
    /// The disk is whole, and one read of it fails.
    FailedRead {
        read: u16,
    },
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

struct World {
    entries: Entries,
    keys: Vec<Value>,
    questions: Questions,
    answers: Vec<Result<Value, KmsError>>,
    /// How many reads the opening and all questions take.
    reads: u64,
}

fn config() -> Config {
    let root_key = "17".repeat(32);
    let config = json!({
        "store": "memory:",
        "root_key": { "hex": root_key },
        "clock": { "manual": "2030-01-01T00:00:00Z" },
        "cache": 64,
    });
    Config::parse(&config.to_string()).unwrap()
}

/// A backend that holds these entries.
fn loaded<K: RawKv>(raw: K, entries: &Entries) -> Result<K, RawError> {
    let put = |(key, value): &(Vec<u8>, Vec<u8>)| Write::Put { key: key.clone(), value: value.clone() };
    raw.commit(&Batch { expect: Vec::new(), writes: entries.iter().map(put).collect() })?;
    Ok(raw)
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let disk = FaultDisk::new();
        let (keys, questions, answers) = {
            let engine = Engine::open_on(Box::new(disk.reopen()), config()).unwrap();
            let (keys, questions) = furnish(&engine);
            let answers = questions.iter().map(|(action, params)| call(&engine, action, params)).collect();
            (keys, questions, answers)
        };
        let entries = disk.reopen().scan(b"", None, usize::MAX, Direction::Forward).unwrap();
        let entries = entries.into_iter().map(|(key, stored)| (key, stored.value)).collect();
        let mut world = World { entries, keys, questions, answers, reads: 0 };
        let before = disk.reads();
        let engine = Engine::open_on(Box::new(disk.reopen()), config()).unwrap();
        assert!(world.ask(&engine, &[]), "nothing is altered yet");
        world.reads = disk.reads() - before;
        world
    })
}

/// What can be asked of an engine: actions and their parameters.
type Questions = Vec<(&'static str, Value)>;

/// Makes three keys (Enabled, Disabled, PendingDeletion) with aliases, tags and a description that lies in pieces. Returns
/// their ids and what can be asked about them.
fn furnish(engine: &Engine) -> (Vec<Value>, Questions) {
    let mut keys = Vec::new();
    let ask = |action, params: Value| call(engine, action, &params).unwrap();
    let mut questions = vec![
        ("ListKeys", json!({ "PageSize": 100 })),
        ("ListKeys", json!({ "Filters": [{ "Key": "KeyState", "Values": ["Enabled", "Disabled"] }] })),
        ("ListAliases", json!({ "PageSize": 2 })),
        ("ListAliases", json!({ "PageSize": 2, "PageNumber": 2 })),
        ("DescribeAccountKmsStatus", json!({})),
        ("DescribeKey", json!({ "KeyId": "alias/k0-1" })),
        ("DescribeKey", json!({ "KeyId": "alias/none" })),
    ];
    for (i, spec) in ["Aliyun_AES_256", "Aliyun_SM4", "Aliyun_AES_128"].into_iter().enumerate() {
        let id = ask("CreateKey", json!({ "KeySpec": spec }))["KeyMetadata"]["KeyId"].clone();
        for j in 0..=i {
            ask("CreateAlias", json!({ "KeyId": id, "AliasName": format!("alias/k{i}-{j}") }));
        }
        ask("TagResource", json!({ "KeyId": id, "Tags": [{ "TagKey": "n", "TagValue": i.to_string() }] }));
        let blob = ask("Encrypt", json!({ "KeyId": id, "Plaintext": "hello, world" }));
        questions.push(("Decrypt", json!({ "CiphertextBlob": text(&blob, "/CiphertextBlob") })));
        match i {
            0 => ask("UpdateKeyDescription", json!({ "KeyId": id, "Description": "long ".repeat(1600) })),
            1 => ask("DisableKey", json!({ "KeyId": id })),
            _ => ask("ScheduleKeyDeletion", json!({ "KeyId": id })),
        };
        for action in ["DescribeKey", "ListKeyVersions", "ListAliasesByKeyId", "ListResourceTags"] {
            questions.push((action, json!({ "KeyId": id })));
        }
        keys.push(id);
    }
    (keys, questions)
}

/// Runs the target on one input.
pub(crate) fn run(input: &Input<'_>) {
    let world = world();
    let mut entries = world.entries.clone();
    let index = |pick: u16| usize::from(pick) % world.entries.len();
    match input {
        Input::Flip { entry, at, bit } => {
            let value = &mut entries[index(*entry)].1;
            let at = usize::from(*at) % value.len();
            value[at] ^= 1 << (bit % 8);
        }
        Input::Truncate { entry, len } => {
            let value = &mut entries[index(*entry)].1;
            value.truncate(usize::from(*len) % value.len());
        }
        Input::Extend { entry, tail } => entries[index(*entry)].1.extend_from_slice(tail),
        Input::Overwrite { entry, at, bytes } => {
            let value = &mut entries[index(*entry)].1;
            let at = usize::from(*at) % value.len();
            let len = bytes.len().min(value.len() - at);
            value[at..at + len].copy_from_slice(&bytes[..len]);
        }
        Input::Replace { entry, by } => entries[index(*entry)].1 = world.entries[index(*by)].1.clone(),
        Input::Exchange { entry, with } => {
            entries[index(*entry)].1 = world.entries[index(*with)].1.clone();
            entries[index(*with)].1 = world.entries[index(*entry)].1.clone();
        }
        Input::BadRead { read } => return world.read_badly(*read, ReadFault::FlipBit, ErrorCode::StoreCorrupt),
        Input::FailedRead { read } => return world.read_badly(*read, ReadFault::Error, ErrorCode::StoreIo),
    }
    let altered = entries != world.entries;
    // What no backend can hold need not be read from one.
    let Ok(raw) = loaded(MemKv::new(), &entries) else { return };
    match Engine::open_on(Box::new(raw), config()) {
        Err(error) => {
            assert!(altered, "{error:?}: a whole store does not open");
            assert!([ErrorCode::StoreCorrupt, ErrorCode::StoreForeign].contains(&error.code()), "{error:?}");
        }
        Ok(engine) => {
            let damage: &[_] = if altered { &[ErrorCode::StoreCorrupt] } else { &[] };
            world.ask(&engine, damage);
            write(&engine, &world.keys, damage);
        }
    }
}

impl World {
    /// Asks everything. An answer is what it was, or one of these errors; whether all were the former.
    fn ask(&self, engine: &Engine, damage: &[ErrorCode]) -> bool {
        let mut whole = true;
        for ((action, params), answer) in self.questions.iter().zip(&self.answers) {
            match call(engine, action, params) {
                Err(error) if damage.contains(&error.code()) => whole = false,
                found => assert!(found == *answer, "{action} gives a wrong answer: {found:?}"),
            }
        }
        whole
    }

    /// One read goes wrong. The next is right again, so only what was being read may fail.
    fn read_badly(&self, read: u16, fault: ReadFault, told: ErrorCode) {
        let disk = FaultDisk::new();
        loaded(disk.reopen(), &self.entries).expect("every entry was in a store before");
        disk.at_read(disk.reads() + 1 + u64::from(read) % self.reads, fault);
        match Engine::open_on(Box::new(disk.reopen()), config()) {
            Err(error) => assert_eq!(error.code(), told, "{error:?}"),
            Ok(engine) => {
                self.ask(&engine, &[told]);
                assert!(self.ask(&engine, &[]), "the disk is whole");
            }
        }
    }
}

/// Changes what there is. Each change is made or meets the damage, and what is said to be done is done.
fn write(engine: &Engine, keys: &[Value], damage: &[ErrorCode]) {
    let attempt = |action, params: Value| match call(engine, action, &params) {
        Ok(reply) => Some(reply),
        Err(error) if damage.contains(&error.code()) => None,
        Err(error) => panic!("{action} on an altered store: {error:?}"),
    };
    let refused = |action, params: Value, code| {
        let error = call(engine, action, &params).expect_err(action);
        assert!(error.code() == code || damage.contains(&error.code()), "{action}: {error:?}");
    };
    if let Some(reply) = attempt("CreateKey", json!({ "Description": "new" })) {
        let described = call(engine, "DescribeKey", &json!({ "KeyId": reply["KeyMetadata"]["KeyId"] })).unwrap();
        assert_eq!(described["KeyMetadata"]["Description"], "new");
    }
    // The long description lies in pieces, which go with it.
    if attempt("UpdateKeyDescription", json!({ "KeyId": keys[0], "Description": "short" })).is_some() {
        let described = call(engine, "DescribeKey", &json!({ "KeyId": keys[0] })).unwrap();
        assert_eq!(described["KeyMetadata"]["Description"], "short");
    }
    if attempt("DisableKey", json!({ "KeyId": keys[0] })).is_some() {
        refused("Encrypt", json!({ "KeyId": keys[0], "Plaintext": "x" }), ErrorCode::KeyDisabled);
    }
    if attempt("DeleteAlias", json!({ "AliasName": "alias/k1-0" })).is_some() {
        refused("DescribeKey", json!({ "KeyId": "alias/k1-0" }), ErrorCode::AliasNotFound);
    }
    engine.advance_clock(31 * 86_400).unwrap();
    match engine.run_due() {
        Ok(report) => assert_eq!(report, r#"{"DeletedKeys":1,"ExpiredMaterials":0,"RotatedKeys":0}"#),
        Err(error) => assert!(damage.contains(&error.code()), "{error:?}"),
    }
    refused("DescribeKey", json!({ "KeyId": keys[2] }), ErrorCode::KeyNotFound);
}
