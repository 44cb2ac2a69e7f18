//! Histories: a sequence of operations on an engine whose disk fails, against the plain model of [`crate::model`].
//!
//! After every step engine and model agree on the outcome (a reply, or the exact code and parameter of a refusal), on the
//! lists and totals of keys and aliases, and on the keys; at each reopening and at the end on everything, and every
//! ciphertext of a key that is left decrypts. What was acknowledged is there after a restart; of what failed there is nothing, or
//! (when the disk kept what it said it had lost) the whole.

mod choice;
mod crypt;
mod step;

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use kms_core::{ErrorCode, KmsError};
use kms_engine::{Config, Engine};
use kms_store::fault::{FaultDisk, SyncFault};
use serde_json::{Value, json};

use crate::call::call;
use crate::model::{Expected, Model, Name, Page, Refusal, Sealed};
use step::Op;

/// 2030-01-01T00:00:00Z, where every history begins.
const START: u64 = 1_893_456_000;
/// The longest history.
const MAX_OPS: usize = 64;
/// The most keys that an engine without a quota makes; more would only slow the comparisons.
const MAX_KEYS: usize = 8;
/// A page with everything.
const ALL: Page = Page { number: 1, size: 100 };

/// How many steps a store stays poisoned or full before it is mended: long enough to see that it refuses.
const PATIENCE: usize = 3;

/// Runs the target on one input: a byte of settings, then the steps.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(settings) = u8::arbitrary(&mut input) else { return };
    let mut world = World::new(settings & 1 != 0, settings & 2 == 0);
    for n in 0..settings >> 2 & 3 {
        world.step(&Op::plain_key(n));
    }
    let mut ailing = 0;
    for _ in 0..MAX_OPS {
        if input.is_empty() {
            break;
        }
        // What is missing of the last step is taken for zeros.
        let Ok(op) = Op::arbitrary(&mut input) else { break };
        world.step(&op);
        world.check_lists();
        ailing = if world.poisoned || world.full { ailing + 1 } else { 0 };
        if ailing > PATIENCE {
            world.mend();
        }
    }
    world.mend();
    world.check_everything();
}

/// Whether an operation writes to the store when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    /// It only looks.
    Never,
    /// It does when something changes, and may when nothing does.
    IfChanged,
}

struct World {
    disk: FaultDisk,
    config: String,
    engine: Option<Engine>,
    /// What is so; after a failure that poisons, what will be so when the store is opened again.
    model: Model,
    blobs: Vec<(Vec<u8>, Sealed)>,
    /// What goes wrong at which sync.
    faults: BTreeMap<u64, SyncFault>,
    full: bool,
    poisoned: bool,
}

impl World {
    /// A new store: with quotas of three keys and three aliases or without, and where keys of level HSM can be made or not.
    fn new(quotas: bool, hsm: bool) -> Self {
        let mut config = json!({
            "store": "memory:",
            "root_key": { "hex": "2a".repeat(32) },
            "clock": { "manual": "2030-01-01T00:00:00Z" },
            "hsm": hsm,
            "cache": 64,
        });
        if quotas {
            config["limits"] = json!({ "keys": 3, "aliases": 3 });
        }
        let mut world = Self {
            disk: FaultDisk::new(),
            config: config.to_string(),
            engine: None,
            model: Model::new(START, quotas.then_some(3), hsm),
            blobs: Vec::new(),
            faults: BTreeMap::new(),
            full: false,
            poisoned: false,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        self.engine = None;
        let engine = Engine::open_on(Box::new(self.disk.reopen()), Config::parse(&self.config).unwrap());
        self.engine = Some(engine.expect("a store that failed opens again"));
        self.poisoned = false;
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an engine is open")
    }

    /// Makes the store whole again if it is not.
    fn mend(&mut self) {
        if self.full {
            self.disk.make_space();
            self.full = false;
        }
        if self.poisoned {
            self.reopen();
        }
    }

    /// Closes the engine, or cuts its power, and opens it again.
    fn reopen(&mut self) {
        self.open();
        self.learn_ids();
        self.check_everything();
    }

    /// A key that is there although the engine could not say so has ids that nobody was told.
    fn learn_ids(&mut self) {
        let Some(index) = self.model.keys.iter().position(|key| key.id.is_empty()) else { return };
        let listed = call(self.engine(), "ListKeys", &json!({ "PageSize": 100 })).unwrap();
        let known = |id: &Value| self.model.keys.iter().any(|key| key.id == *id);
        let id = listed["Keys"]["Key"].as_array().unwrap().iter().map(|key| &key["KeyId"]).find(|id| !known(id));
        let id = id.expect("the disk kept the key").clone();
        let described = call(self.engine(), "DescribeKey", &json!({ "KeyId": id })).unwrap();
        self.model.keys[index].id = id.as_str().unwrap().to_owned();
        let version = described["KeyMetadata"]["PrimaryKeyVersion"].as_str().unwrap();
        self.model.keys[index].version = version.to_owned();
    }

    /// Makes a call and holds its outcome against what is expected. `after` is the model if it succeeds. Returns the reply of
    /// a success.
    fn attempt<T, E: std::fmt::Debug>(
        &mut self,
        action: &str,
        writes: Writes,
        after: Model,
        expected: Expected<E>,
        make: impl FnOnce(&Engine) -> Result<T, KmsError>,
    ) -> Option<(T, E)> {
        let before = self.disk.syncs();
        let result = make(self.engine());
        let syncs = self.disk.syncs() - before;
        if self.poisoned {
            assert_eq!(told(result), Err(ErrorCode::StorePoisoned), "{action} on a poisoned store");
            return None;
        }
        let expected = match expected {
            Ok(expected) => expected,
            Err(refusals) => {
                let error = result.err().unwrap_or_else(|| panic!("{action} succeeds where {refusals:?} is due"));
                let refusal = Refusal::of(&error);
                assert!(refusals.contains(&refusal), "{action}: {refusal:?} where {refusals:?} is due");
                assert_eq!(syncs, 0, "{action} was refused and has written");
                return None;
            }
        };
        if self.full && syncs == 0 && (after != self.model || result.is_err()) {
            assert_eq!(told(result), Err(ErrorCode::StoreFull), "{action} on a full disk");
            assert_eq!(writes, Writes::IfChanged, "{action} wants space");
            return None;
        }
        match writes {
            Writes::Never => assert_eq!(syncs, 0, "{action} has written"),
            Writes::IfChanged => assert!(syncs == 1 || syncs == 0 && after == self.model, "{action}: {syncs} syncs"),
        }
        let fault = if syncs == 1 { self.faults.remove(&(before + 1)) } else { None };
        match fault.unwrap_or(SyncFault::Ok) {
            SyncFault::Ok => {
                let reply = result.unwrap_or_else(|error| panic!("{action}: {error:?} where a success is due"));
                self.model = after;
                return Some((reply, expected));
            }
            SyncFault::FailLost => {
                assert_eq!(told(result), Err(ErrorCode::StoreIo), "{action}");
                self.poisoned = true;
            }
            SyncFault::FailKept => {
                assert_eq!(told(result), Err(ErrorCode::StoreIo), "{action}");
                self.poisoned = true;
                self.model = after;
            }
            SyncFault::Freeze => {
                assert_eq!(told(result), Err(ErrorCode::StorePoisoned), "{action}");
                self.poisoned = true;
            }
            SyncFault::Full => {
                assert_eq!(told(result), Err(ErrorCode::StoreFull), "{action}");
                self.full = true;
            }
        }
        None
    }

    /// [`World::attempt`] for an action whose whole reply is known.
    fn act(&mut self, action: &str, params: &Value, writes: Writes, plan: impl FnOnce(&mut Model) -> Expected) {
        let mut after = self.model.clone();
        let expected = plan(&mut after);
        if let Some((reply, expected)) =
            self.attempt(action, writes, after, expected, |engine| call(engine, action, params))
        {
            assert_eq!(reply, expected, "{action} {params}");
        }
    }

    /// A question to the engine while it can answer.
    fn ask(&self, action: &str, params: &Value, expected: Expected) {
        match (call(self.engine(), action, params), expected) {
            (Ok(reply), Ok(expected)) => assert_eq!(reply, expected, "{action} {params}"),
            (Err(error), Err(refusals)) => {
                assert!(refusals.contains(&Refusal::of(&error)), "{action}: {error:?} where {refusals:?} is due");
            }
            (found, expected) => panic!("{action} {params}: {found:?} where {expected:?} is due"),
        }
    }

    /// The lists and totals, and each key, are the model's.
    fn check_lists(&self) {
        if self.poisoned {
            let error = call(self.engine(), "ListKeys", &json!({})).expect_err("a poisoned store answers");
            return assert_eq!(error.code(), ErrorCode::StorePoisoned);
        }
        let page = json!({ "PageSize": ALL.size });
        self.ask("ListKeys", &page, self.model.list_keys(ALL, None));
        self.ask("ListAliases", &page, self.model.list_aliases(ALL));
        for index in self.model.live() {
            let params = json!({ "KeyId": self.model.keys[index].id });
            self.ask("DescribeKey", &params, self.model.describe_key(&Name::Key(index)));
        }
    }

    fn check_everything(&self) {
        self.check_lists();
        for index in 0..self.model.keys.len() {
            let name = Name::Key(index);
            let params = json!({ "KeyId": self.model.keys[index].id, "PageSize": ALL.size });
            self.ask("DescribeKey", &params, self.model.describe_key(&name));
            self.ask("ListAliasesByKeyId", &params, self.model.list_aliases_by_key(&name, ALL));
            self.ask("ListKeyVersions", &params, self.model.list_versions(&name, ALL));
            self.check_tags(&name);
        }
        for (blob, sealed) in &self.blobs {
            self.check_decrypt(blob, sealed);
        }
    }
}

fn told<T>(result: Result<T, KmsError>) -> Result<(), ErrorCode> {
    result.map(|_| ()).map_err(|error| error.code())
}
