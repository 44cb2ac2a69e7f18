//! An engine on a disk that fails, beside the plain model of [`crate::model`].
//!
//! After every step engine and model agree on the outcome (a reply, or the exact code and parameter of a refusal), on the
//! lists and totals of keys and aliases, and on the keys; at each reopening and at the end on everything, and every
//! ciphertext of a key that is left decrypts. What was acknowledged is there after a restart; of what failed there is nothing, or
//! (when the disk kept what it said it had lost) the whole.

mod choice;
mod crypt;
mod due;
mod import;
mod pair;
mod step;

use std::collections::BTreeMap;
use std::fmt;

use kms_core::{ErrorCode, KmsError};
use kms_engine::{Config, Engine};
use kms_store::fault::{FaultDisk, SyncFault};
use serde_json::{Value, json};

use self::pair::Pairs;
pub(crate) use self::step::{KeyPick, Op, PagePick};
use crate::call::call;
use crate::census::Census;
use crate::model::{Expected, Model, Name, Page, Refusal, Sealed, Token};
use crate::story::{Answer, Deed, Story};

/// 2030-01-01T00:00:00Z, where every history begins.
const START: u64 = 1_893_456_000;
/// The most keys that an engine without a quota holds; more would only slow the comparisons.
const MAX_KEYS: usize = 8;
/// A page with everything.
const ALL: Page = Page { number: 1, size: 100 };
/// How many steps a store stays poisoned or full before it is mended: long enough to see that it refuses.
const PATIENCE: usize = 3;

/// Whether an operation writes to the store when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    /// It only looks.
    Never,
    /// It does when something changes, and may when nothing does.
    IfChanged,
}

/// What is known of a call's reply before it comes.
trait Due {
    /// As a scenario expects it.
    fn told(&self) -> Value;
}

impl Due for () {
    fn told(&self) -> Value {
        json!({ "...": "..." })
    }
}

impl Due for Value {
    fn told(&self) -> Value {
        self.clone()
    }
}

/// The settings of an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Decides what the engine draws.
    pub(crate) seed: u64,
    /// With quotas of three keys, aliases and versions of key pairs.
    pub(crate) quotas: bool,
    /// Whether keys of level HSM can be made.
    pub(crate) hsm: bool,
}

/// The engine, the model, and what has happened to them.
pub(crate) struct World {
    pub(crate) disk: FaultDisk,
    settings: Settings,
    engine: Option<Engine>,
    /// How often it was opened.
    opened: u64,
    /// What is so; after a failure that poisons, what will be so when the store is opened again.
    pub(crate) model: Model,
    pub(crate) blobs: Vec<(Vec<u8>, Sealed)>,
    /// Until when a key that is due need not rotate when it encrypts, because it could not.
    rotation_paused: u64,
    pub(crate) tokens: Vec<Token>,
    pairs: Pairs,
    /// What goes wrong at which sync.
    faults: BTreeMap<u64, SyncFault>,
    full: bool,
    poisoned: bool,
    /// For how many steps it has been full or poisoned.
    ailing: usize,
    pub(crate) story: Story,
    pub(crate) census: Census,
}

impl World {
    /// A new store.
    pub(crate) fn new(settings: Settings) -> Self {
        let max = settings.quotas.then_some(3);
        let mut world = Self {
            disk: FaultDisk::new(),
            settings,
            engine: None,
            opened: 0,
            model: Model::new(START, max, settings.hsm),
            blobs: Vec::new(),
            rotation_paused: 0,
            tokens: Vec::new(),
            pairs: Pairs::default(),
            faults: BTreeMap::new(),
            full: false,
            poisoned: false,
            ailing: 0,
            story: Story::default(),
            census: Census::default(),
        };
        let mut config = json!({ "root_key": { "hex": "2a".repeat(32) }, "hsm": settings.hsm, "cache": 64 });
        if settings.quotas {
            config["limits"] = json!({ "keys": 3, "aliases": 3, "key_versions": 3 });
        }
        world.story.open(settings.seed, config);
        world.open();
        world
    }

    fn open(&mut self) {
        self.engine = None;
        let mut config = json!({
            "store": "memory:",
            "root_key": { "hex": "2a".repeat(32) },
            "clock": { "manual": "2030-01-01T00:00:00Z" },
            "hsm": self.settings.hsm,
            "cache": 64,
            // One that draws what its predecessor drew would find its own ids taken.
            "seed": self.settings.seed.wrapping_add(self.opened << 48),
        });
        if self.settings.quotas {
            config["limits"] = json!({ "keys": 3, "aliases": 3, "key_versions": 3 });
        }
        let config = Config::parse(&config.to_string()).expect("the configuration is good");
        self.engine =
            Some(Engine::open_on(Box::new(self.disk.reopen()), config).expect("a store that failed opens again"));
        self.opened += 1;
        self.rotation_paused = 0;
        self.poisoned = false;
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an engine is open")
    }

    /// Whether the store refuses to write.
    #[cfg(test)]
    pub(crate) fn is_ailing(&self) -> bool {
        self.poisoned || self.full
    }

    /// Holds everything that a step can have touched against the model, and mends what has been broken for long.
    pub(crate) fn check(&mut self) {
        self.check_lists();
        self.ailing = if self.poisoned || self.full { self.ailing + 1 } else { 0 };
        if self.ailing > PATIENCE {
            self.mend();
        }
    }

    /// Ends the history: the store is whole, and everything in it is the model's.
    pub(crate) fn finish(&mut self) {
        self.mend();
        self.use_every_key();
        self.mend();
        self.check_everything();
        self.census.histories += 1;
    }

    /// Makes the store whole again if it is not.
    fn mend(&mut self) {
        if self.full {
            self.make_space();
        }
        if self.poisoned {
            self.reopen();
        }
    }

    /// Closes the engine, or cuts its power, and opens it again.
    fn reopen(&mut self) {
        self.story.remark("The engine is opened again.");
        self.census.reopened += 1;
        self.open();
        self.learn_key();
        self.learn();
        self.check_everything();
    }

    fn make_space(&mut self) {
        self.story.remark("There is space on the disk.");
        self.disk.make_space();
        self.full = false;
    }

    /// Does a deed and holds its outcome against what is expected. `after` is the model if it succeeds. Returns the reply of
    /// a success.
    fn attempt<E: Due>(
        &mut self,
        deed: Deed,
        writes: Writes,
        after: Model,
        expected: Expected<E>,
        make: impl FnOnce(&Engine) -> Result<Value, KmsError>,
    ) -> Option<(Value, E)> {
        let name = deed.name();
        let place = self.story.begin(deed, due(&expected));
        let before = self.disk.syncs();
        let result = make(self.engine());
        let syncs = self.disk.syncs() - before;
        if self.poisoned {
            assert_eq!(told(&result), Err(ErrorCode::StorePoisoned), "{name} on a poisoned store");
            self.failed(place, ErrorCode::StorePoisoned, None);
            return None;
        }
        let expected = match expected {
            Ok(expected) => expected,
            Err(refusals) => {
                let error = result.err().unwrap_or_else(|| panic!("{name} succeeds where {refusals:?} is due"));
                let refusal = Refusal::of(&error);
                assert!(refusals.contains(&refusal), "{name}: {refusal:?} where {refusals:?} is due");
                assert_eq!(syncs, 0, "{name} was refused and has written");
                self.census.refused(&refusal.code);
                self.story.end(place, Answer::Refused(refusal));
                return None;
            }
        };
        if self.full && syncs == 0 && (after != self.model || result.is_err()) {
            assert_eq!(told(&result), Err(ErrorCode::StoreFull), "{name} on a full disk");
            assert_eq!(writes, Writes::IfChanged, "{name} wants space");
            self.failed(place, ErrorCode::StoreFull, None);
            return None;
        }
        match writes {
            Writes::Never => assert_eq!(syncs, 0, "{name} has written"),
            Writes::IfChanged => assert!(syncs == 1 || syncs == 0 && after == self.model, "{name}: {syncs} syncs"),
        }
        let fault = if syncs == 1 { self.faults.remove(&(before + 1)) } else { None };
        let fault = fault.unwrap_or(SyncFault::Ok);
        if fault == SyncFault::Ok {
            let reply = result.unwrap_or_else(|error| panic!("{name}: {error:?} where a success is due"));
            self.model = after;
            self.census.done(name);
            self.story.end(place, Answer::Reply(reply.clone()));
            return Some((reply, expected));
        }
        assert_eq!(told(&result), Err(code_of(fault)), "{name}");
        self.store_failed(place, fault, (fault == SyncFault::FailKept).then_some(after));
        None
    }

    /// Takes note of a fault of the disk, and of what it has kept all the same.
    fn store_failed(&mut self, place: usize, fault: SyncFault, kept: Option<Model>) {
        self.census.fault(fault);
        let reply = kept.as_ref().and_then(|_| self.story.due(place));
        self.failed(place, code_of(fault), reply);
        if let Some(after) = kept {
            self.model = after;
        }
        if fault == SyncFault::Full {
            self.full = true;
        } else {
            self.poisoned = true;
        }
    }

    /// Tells of a deed that failed with the store.
    fn failed(&mut self, place: usize, code: ErrorCode, kept: Option<Value>) {
        self.story.end(place, Answer::Failed { code, kept });
    }

    /// [`World::attempt`] for an action whose whole reply is known.
    fn act(&mut self, action: &'static str, params: Value, writes: Writes, plan: impl FnOnce(&mut Model) -> Expected) {
        let mut after = self.model.clone();
        let expected = plan(&mut after);
        let deed = Deed::Call { action, params: params.clone() };
        if let Some((reply, due)) = self.attempt(deed, writes, after, expected, |engine| call(engine, action, &params))
        {
            self.compare(action, &params, &reply, &due);
            self.learn();
        }
    }

    /// Holds a reply against the one that is due.
    fn compare(&mut self, action: &str, params: &Value, reply: &Value, due: &Value) {
        if reply != due {
            self.story.amend(due.clone());
            panic!("{action} {params} answers {reply} where {due} is due");
        }
    }

    /// A question to the engine while it can answer.
    fn ask(&mut self, action: &'static str, params: Value, expected: Expected) {
        let answer = call(self.engine(), action, &params);
        let good = match (&answer, &expected) {
            (Ok(reply), Ok(due)) => reply == due,
            (Err(error), Err(refusals)) => refusals.contains(&Refusal::of(error)),
            _ => false,
        };
        if !good {
            let due = due(&expected);
            match answer {
                Ok(reply) => panic!("{}", self.told_wrong(action, params, &reply, due)),
                Err(error) => panic!("{}", self.told_wrong(action, params, &format_args!("{error:?}"), due)),
            }
        }
    }

    /// Ends the story with a question that was answered wrongly, and says so.
    fn told_wrong(&mut self, action: &'static str, params: Value, told: &dyn fmt::Display, due: Answer) -> String {
        let deed = Deed::Call { action, params };
        let why = match &due {
            Answer::Reply(reply) => format!("{deed} gives {told} where {reply} is due"),
            other => format!("{deed} gives {told} where {other:?} is due"),
        };
        self.story.begin(deed, due);
        why
    }

    /// The lists and totals, and each key, are the model's.
    fn check_lists(&mut self) {
        if self.poisoned {
            let error = call(self.engine(), "ListKeys", &json!({})).expect_err("a poisoned store answers");
            return assert_eq!(error.code(), ErrorCode::StorePoisoned);
        }
        let page = json!({ "PageSize": ALL.size });
        self.ask("ListKeys", page.clone(), self.model.list_keys(ALL, None));
        self.ask("ListAliases", page, self.model.list_aliases(ALL));
        let live: Vec<usize> = self.model.live().collect();
        for index in live {
            let params = json!({ "KeyId": self.model.keys[index].id });
            self.ask("DescribeKey", params, self.model.describe_key(&Name::Key(index)));
        }
    }

    fn check_everything(&mut self) {
        self.check_lists();
        for index in 0..self.model.keys.len() {
            let name = Name::Key(index);
            let params = json!({ "KeyId": self.model.keys[index].id, "PageSize": ALL.size });
            self.ask("DescribeKey", params.clone(), self.model.describe_key(&name));
            self.ask("ListAliasesByKeyId", params.clone(), self.model.list_aliases_by_key(&name, ALL));
            self.ask("ListKeyVersions", params, self.model.list_versions(&name, ALL));
            self.check_tags(&name);
        }
        let blobs = self.blobs.clone();
        for (blob, sealed) in &blobs {
            self.check_decrypt(blob, sealed);
        }
        self.check_pairs();
    }
}

/// What a call is told when the disk does this to its write.
fn code_of(fault: SyncFault) -> ErrorCode {
    match fault {
        SyncFault::FailLost | SyncFault::FailKept => ErrorCode::StoreIo,
        SyncFault::Freeze => ErrorCode::StorePoisoned,
        SyncFault::Full => ErrorCode::StoreFull,
        SyncFault::Ok => unreachable!("no fault"),
    }
}

/// What must come, for the story. Of several refusals that may come any will do.
fn due<E: Due>(expected: &Expected<E>) -> Answer {
    match expected {
        Ok(due) => Answer::Reply(due.told()),
        Err(refusals) => Answer::Refused(refusals[0].clone()),
    }
}

fn told<T>(result: &Result<T, KmsError>) -> Result<(), ErrorCode> {
    result.as_ref().map(|_| ()).map_err(KmsError::code)
}
