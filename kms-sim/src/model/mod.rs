//! A plain model of the KMS, written from `contract/API.md` and `contract/state-table.csv` and from nothing else.
//!
//! It holds what a caller can know, in vectors and maps, and answers each operation with what the contract says: a reply, or
//! the refusals that the contract allows. Where two checks of one step of OP-10 fail, either may be told. An operation works
//! on a copy; whoever runs it decides which of the two stands.

mod alias;
mod asymmetric;
mod crypt;
mod import;
mod key;
mod state_table;
mod version;

use std::collections::BTreeMap;

use kms_core::KmsError;
use serde_json::{Value, json};

pub(crate) use crypt::{Context, Made, Payload, Sealed};
pub(crate) use import::{Token, Wrapped};
pub(crate) use key::NewKey;

/// Account and region of every engine here: the defaults.
const ACCOUNT: &str = "1000000000000000";
const REGION: &str = "cn-hangzhou";
const DAY: u64 = 86_400;

/// A refusal: its code, and the parameter that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) parameter: Option<String>,
}

impl Refusal {
    fn new(code: impl Into<String>) -> Self {
        Self { code: code.into(), parameter: None }
    }

    pub(crate) fn invalid(parameter: &str) -> Self {
        Self { code: "InvalidParameter".to_owned(), parameter: Some(parameter.to_owned()) }
    }

    fn missing(parameter: &str) -> Self {
        Self { code: "MissingParameter".to_owned(), parameter: Some(parameter.to_owned()) }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.code == "MissingParameter"
    }

    /// What an error of the engine says.
    pub(crate) fn of(error: &KmsError) -> Self {
        Self { code: error.code().as_str().to_owned(), parameter: error.detail().map(str::to_owned) }
    }
}

/// What must happen: a success with what is known of its reply, or one of these refusals.
pub(crate) type Expected<T = Value> = Result<T, Vec<Refusal>>;

fn refuse<T>(refusal: Refusal) -> Expected<T> {
    Err(vec![refusal])
}

/// Ends a step of OP-10 whose checks may have failed together.
fn step(failed: impl IntoIterator<Item = Option<Refusal>>) -> Expected<()> {
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

/// Takes one value out of two that were looked for in one step.
fn both<A, B>(a: Result<A, Refusal>, b: Result<B, Refusal>) -> Expected<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (a, b) => Err([a.err(), b.err()].into_iter().flatten().collect()),
    }
}

/// The states of a key (contract, chapter 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Enabled,
    Disabled,
    PendingDeletion,
    PendingImport,
}

impl State {
    pub(crate) const ALL: [Self; 4] = [Self::Enabled, Self::Disabled, Self::PendingDeletion, Self::PendingImport];

    pub(crate) fn text(self) -> &'static str {
        ["Enabled", "Disabled", "PendingDeletion", "PendingImport"][self as usize]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: String,
    /// The oldest first; never none.
    pub(crate) versions: Vec<Version>,
    pub(crate) spec: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) external: bool,
    pub(crate) level: &'static str,
    created: u64,
    description: String,
    pub(crate) state: State,
    delete_at: Option<u64>,
    protection: Option<String>,
    /// Seconds after which a version is followed by the next, while the policy is on.
    pub(crate) rotation: Option<u64>,
    /// Whether there is material; an EXTERNAL key may have none.
    material: bool,
    /// What was imported first.
    first_material: Option<Vec<u8>>,
    /// When the material that is there expires.
    expires: Option<u64>,
    /// Material has expired, and no sweep has counted it.
    unswept_expiry: bool,
    tags: Vec<(String, String)>,
    /// It is gone, and a sweep has counted it.
    swept: bool,
}

/// A version of a key. One that time has made has no id until somebody has asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) id: String,
    created: u64,
}

impl Key {
    fn newest(&self) -> &Version {
        self.versions.last().expect("a key has a version")
    }

    /// Bytes of a symmetric key's material.
    pub(crate) fn material_len(&self) -> usize {
        match self.spec {
            "Aliyun_AES_256" => 32,
            "Aliyun_AES_192" => 24,
            _ => 16,
        }
    }
}

fn is_asymmetric(spec: &str) -> bool {
    !spec.starts_with("Aliyun_")
}

#[cfg(test)]
impl Key {
    /// Forgets that it was to be deleted.
    pub(crate) fn revive(&mut self) {
        self.state = State::Enabled;
        self.delete_at = None;
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Alias {
    key: usize,
    created: u64,
}

/// How an operation names a key.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    /// The id of a key that was made, gone or not.
    Key(usize),
    /// Its ARN.
    Arn(usize),
    /// Its ARN in another account.
    ForeignArn(usize),
    Alias(String),
    /// An id that no key has.
    Unknown,
    /// No id at all.
    Malformed,
}

/// Everything there is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) keys: Vec<Key>,
    aliases: BTreeMap<String, Alias>,
    pub(crate) max_keys: Option<usize>,
    pub(crate) max_aliases: Option<usize>,
    pub(crate) max_versions: usize,
    pub(crate) hsm: bool,
}

impl Model {
    pub(crate) fn new(now: u64, max: Option<usize>, hsm: bool) -> Self {
        Self {
            now,
            keys: Vec::new(),
            aliases: BTreeMap::new(),
            max_keys: max,
            max_aliases: max,
            max_versions: max.unwrap_or(50),
            hsm,
        }
    }

    /// A key is gone at its DeleteDate, swept away or not (OP-26).
    pub(crate) fn is_live(&self, index: usize) -> bool {
        self.keys[index].delete_at.is_none_or(|at| at > self.now)
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.keys.len()).filter(|index| self.is_live(*index))
    }

    /// How a name is written in a parameter.
    pub(crate) fn written(&self, name: &Name) -> String {
        let id = |index: &usize| self.keys.get(*index).map_or("86a9efd9-3d16-4894-bd4f-1fc43f3f2abf", |key| &key.id);
        match name {
            Name::Key(index) => id(index).to_owned(),
            Name::Arn(index) => arn(&format!("key/{}", id(index))),
            Name::ForeignArn(index) => format!("acs:kms:{REGION}:2000000000000000:key/{}", id(index)),
            Name::Alias(name) => name.clone(),
            Name::Unknown => "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf".to_owned(),
            Name::Malformed => "no id".to_owned(),
        }
    }

    /// The key that a name stands for, where aliases are taken (OP-33, OP-38).
    pub(crate) fn find(&self, name: &Name) -> Result<usize, Refusal> {
        match name {
            Name::Key(index) | Name::Arn(index) if *index < self.keys.len() && self.is_live(*index) => Ok(*index),
            Name::Alias(name) => self.find_alias(name).map(|alias| alias.key),
            _ => Err(Refusal::new("Forbidden.KeyNotFound")),
        }
    }

    fn find_alias(&self, name: &str) -> Result<&Alias, Refusal> {
        let alias = self.aliases.get(name).filter(|alias| self.is_live(alias.key));
        alias.ok_or_else(|| Refusal::new("Forbidden.AliasNotFound"))
    }

    /// Where aliases are refused, that is a matter of form.
    fn no_alias(name: &Name) -> Option<Refusal> {
        matches!(name, Name::Alias(_)).then(|| Refusal::new("Unsupported.Alias"))
    }

    /// Lets an action pass the cell of its row for the state of a key.
    fn gate(&self, row: &str, index: usize) -> Option<Refusal> {
        state_table::refusal(row, self.keys[index].state).map(Refusal::new)
    }

    /// The key of an action that refuses aliases and has no other form to check.
    fn enter(&self, name: &Name, row: &str) -> Expected<usize> {
        step([Self::no_alias(name)])?;
        let index = self.find(name).map_err(|refusal| vec![refusal])?;
        step([self.gate(row, index)])?;
        Ok(index)
    }

    /// Moves the clock; the time goes no further than the year 9999.
    pub(crate) fn advance(&mut self, seconds: i64) -> Expected<()> {
        match u64::try_from(seconds).ok().and_then(|seconds| self.now.checked_add(seconds)) {
            Some(then) if then <= 253_402_300_799 => {
                self.now = then;
                self.expire();
                Ok(())
            }
            _ => refuse(Refusal::invalid("seconds")),
        }
    }

    /// The sweep, one commit after the other: what is so behind each, and the report.
    pub(crate) fn sweep(&self) -> (Vec<Self>, Value) {
        let mut stages = vec![self.clone()];
        let mut report = Vec::new();
        for work in [Self::sweep_gone, Self::sweep_expired, Self::sweep_rotations] {
            let mut after = stages[stages.len() - 1].clone();
            report.push(work(&mut after));
            stages.push(after);
        }
        stages.dedup();
        stages.remove(0);
        (stages, json!({ "DeletedKeys": report[0], "ExpiredMaterials": report[1], "RotatedKeys": report[2] }))
    }

    /// How many keys are found gone.
    fn sweep_gone(&mut self) -> u64 {
        let gone: Vec<usize> = (0..self.keys.len()).filter(|index| !self.is_live(*index)).collect();
        let mut count = 0;
        for index in gone {
            count += u64::from(!std::mem::replace(&mut self.keys[index].swept, true));
        }
        self.aliases.retain(|_, alias| !self.keys[alias.key].swept);
        count
    }

    /// How many keys get their next version.
    fn sweep_rotations(&mut self) -> u64 {
        let live: Vec<usize> = self.live().collect();
        live.into_iter().filter(|index| self.rotate_if_due(*index)).count() as u64
    }
}

fn arn(resource: &str) -> String {
    format!("acs:kms:{REGION}:{ACCOUNT}:{resource}")
}

/// One page of a list (OP-11 to OP-13); the whole when no page is asked for would be the first ten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) number: i64,
    pub(crate) size: i64,
}

impl Page {
    fn check(self) -> Expected<()> {
        step([
            (self.number < 1).then(|| Refusal::invalid("PageNumber")),
            (!(1..=100).contains(&self.size)).then(|| Refusal::invalid("PageSize")),
        ])
    }

    fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let (number, size) = (self.number as usize, self.size as usize);
        all.into_iter().skip((number - 1) * size).take(size).collect()
    }

    /// The members that a list's reply has besides the list.
    fn reply(self, name: &str, list: Value, total: usize) -> Value {
        let mut reply = serde_json::Map::new();
        reply.insert(name.to_owned(), list);
        reply.insert("PageNumber".to_owned(), self.number.into());
        reply.insert("PageSize".to_owned(), self.size.into());
        reply.insert("TotalCount".to_owned(), total.into());
        Value::Object(reply)
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`, by the civil calendar reckoned from the days since 1970.
pub(crate) fn time_text(seconds: u64) -> String {
    let (mut days, of_day) = (seconds / DAY, seconds % DAY);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", month + 1, days + 1)
}
