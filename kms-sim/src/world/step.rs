//! One step of a history: what it does to the engine, and what the model says to it.

use arbitrary::Arbitrary;
use kms_engine::Engine;
use serde_json::{Value, json};

use super::choice::{
    DAYS, FAULTS, INTERVALS, JUMPS, LENGTHS, LEVELS, NUMBERS, ORIGINS, SIZES, SPECS, USAGES, alias, description, pick,
    tag_key, tag_value,
};
use super::{MAX_KEYS, World, Writes};
use crate::call::{call, text};
use crate::model::{Context, Model, Name, NewKey, Page, State};
use crate::story::Deed;

/// A key, named somehow.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct KeyPick {
    pub(crate) form: u8,
    pub(crate) index: u8,
}

/// A page of a list.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct PagePick {
    pub(crate) number: u8,
    pub(crate) size: u8,
}

/// A step of a history. Numbers choose from the lists below.
#[derive(Arbitrary, Debug)]
pub(crate) enum Op {
    CreateKey {
        spec: u8,
        origin: u8,
        level: u8,
        description: u8,
        usage: u8,
        /// Zero for a key that does not rotate, the others choose the interval.
        rotation: u8,
    },
    Enable {
        key: KeyPick,
        on: bool,
    },
    Schedule {
        key: KeyPick,
        days: u8,
    },
    Cancel {
        key: KeyPick,
    },
    Protect {
        key: KeyPick,
        on: bool,
        description: u8,
    },
    Describe {
        key: KeyPick,
        description: u8,
    },
    DescribeKey {
        key: KeyPick,
    },
    ListKeys {
        page: PagePick,
        state: u8,
    },
    DescribeVersion {
        key: KeyPick,
        of: u8,
    },
    ListVersions {
        key: KeyPick,
        page: PagePick,
    },
    Encrypt {
        key: KeyPick,
        plaintext: u8,
        context: u8,
        typed: bool,
    },
    DataKey {
        key: KeyPick,
        len: u8,
        context: u8,
        shown: bool,
        typed: bool,
    },
    Decrypt {
        blob: u8,
        context: u8,
        typed: bool,
    },
    ReEncrypt {
        blob: u8,
        source: u8,
        key: KeyPick,
        context: u8,
        typed: bool,
    },
    CreateAlias {
        alias: u8,
        key: KeyPick,
    },
    UpdateAlias {
        alias: u8,
        key: KeyPick,
    },
    DeleteAlias {
        alias: u8,
    },
    ListAliases {
        page: PagePick,
    },
    ListAliasesByKey {
        key: KeyPick,
        page: PagePick,
    },
    /// `count` tags with consecutive keys, and one that is odd.
    Tag {
        key: KeyPick,
        first: u8,
        count: u8,
        value: u8,
        odd: u8,
    },
    Untag {
        key: KeyPick,
        keys: [u8; 3],
        count: u8,
    },
    ListTags {
        key: KeyPick,
    },
    Advance {
        by: u8,
    },
    RunDue,
    Reopen,
    /// A fault at a sync that is to come.
    Fault {
        ahead: u8,
        fault: u8,
    },
    MakeSpace,
    Rotation {
        key: KeyPick,
        on: bool,
        interval: u8,
    },
    CreateVersion {
        key: KeyPick,
    },
    ImportParameters {
        key: KeyPick,
        wrapping: u8,
    },
    Import {
        token: u8,
        /// The key, instead of that of the token.
        key: KeyPick,
        stray: bool,
        material: u8,
        expiry: u8,
    },
    DeleteMaterial {
        key: KeyPick,
    },
    Sign {
        key: KeyPick,
        version: u8,
        algorithm: u8,
        digest: u8,
    },
    Verify {
        signature: u8,
        alter: bool,
    },
    PairEncrypt {
        key: KeyPick,
        version: u8,
        algorithm: u8,
        len: u8,
    },
    PairDecrypt {
        ciphertext: u8,
    },
    PublicKey {
        key: KeyPick,
        version: u8,
    },
}

fn page(pick_of: PagePick) -> (Page, Value) {
    let page = Page { number: pick(&NUMBERS, pick_of.number), size: pick(&SIZES, pick_of.size) };
    (page, json!({ "PageNumber": page.number, "PageSize": page.size }))
}

fn with(mut params: Value, name: &str, value: impl Into<Value>) -> Value {
    params[name] = value.into();
    params
}

impl Op {
    /// CreateKey of an Enabled key that encrypts, for a history to begin with.
    pub(crate) fn plain_key(spec: u8) -> Self {
        Self::CreateKey { spec, origin: 0, level: 0, description: 4, usage: 0, rotation: 0 }
    }
}

impl World {
    pub(crate) fn name(&self, key: KeyPick) -> Name {
        // A key that was never made has an id that no key has.
        let index = usize::from(key.index) % self.model.keys.len().max(1);
        match key.form % 16 {
            15 => Name::Malformed,
            14 => Name::Unknown,
            13 => Name::ForeignArn(index),
            12 | 11 => Name::Alias(alias(key.index % 12)),
            8..=10 => Name::Arn(index),
            _ => Name::Key(index),
        }
    }

    /// Does one step.
    pub(crate) fn step(&mut self, op: &Op) {
        self.census.steps += 1;
        use Writes::{IfChanged, Never};
        let id = |world: &Self, key: KeyPick| {
            let name = world.name(key);
            let written = world.model.written(&name);
            (name, json!({ "KeyId": written }))
        };
        match op {
            Op::CreateKey { spec, origin, level, description: about, usage, rotation } => self.create_key(&NewKey {
                spec: pick(&SPECS, *spec),
                usage: pick(&USAGES, *usage),
                origin: pick(&ORIGINS, *origin),
                level: pick(&LEVELS, *level),
                description: description(*about),
                rotates: *rotation != 0,
                interval: pick(&INTERVALS, rotation.wrapping_sub(1)),
            }),
            Op::Enable { key, on } => {
                let (name, params) = id(self, *key);
                let action = if *on { "EnableKey" } else { "DisableKey" };
                self.act(action, params, IfChanged, |model| model.enable(&name, *on));
            }
            Op::Schedule { key, days } => {
                let (name, mut params) = id(self, *key);
                let days = pick(&DAYS, *days);
                if let Some(days) = days {
                    params["PendingWindowInDays"] = days.into();
                }
                self.act("ScheduleKeyDeletion", params, IfChanged, |model| model.schedule_deletion(&name, days));
            }
            Op::Cancel { key } => {
                let (name, params) = id(self, *key);
                self.act("CancelKeyDeletion", params, IfChanged, |model| model.cancel_deletion(&name));
            }
            Op::Protect { key, on, description: text } => {
                let name = self.name(*key);
                let text = description(*text);
                let params = json!({
                    "ProtectedResourceArn": self.model.written(&name),
                    "EnableDeletionProtection": on,
                    "DeletionProtectionDescription": text,
                });
                self.act("SetDeletionProtection", params, IfChanged, |model| model.set_protection(&name, *on, &text));
            }
            Op::Describe { key, description: text } => {
                let (name, params) = id(self, *key);
                let text = description(*text);
                let params = with(params, "Description", text.as_str());
                self.act("UpdateKeyDescription", params, IfChanged, |model| model.describe(&name, &text));
            }
            Op::DescribeKey { key } => {
                let (name, params) = id(self, *key);
                self.act("DescribeKey", params, Never, |model| model.describe_key(&name));
            }
            Op::ListKeys { page: of, state } => {
                let (page, mut params) = page(*of);
                let state = State::ALL.get(usize::from(*state % 8)).copied();
                if let Some(state) = state {
                    params["Filters"] = json!([{ "Key": "KeyState", "Values": [state.text()] }]);
                }
                self.act("ListKeys", params, Never, |model| model.list_keys(page, state));
            }
            Op::DescribeVersion { key, of } => {
                let (name, params) = id(self, *key);
                let version = self.version(&name, *of);
                let params = with(params, "KeyVersionId", self.model.written_version(version));
                self.act("DescribeKeyVersion", params, Never, |model| model.describe_version(&name, version));
            }
            Op::ListVersions { key, page: of } => {
                let name = self.name(*key);
                let (page, params) = page(*of);
                let params = with(params, "KeyId", self.model.written(&name));
                self.act("ListKeyVersions", params, Never, |model| model.list_versions(&name, page));
            }
            Op::Encrypt { key, plaintext, context, typed } => self.encrypt(*key, *plaintext, Context(*context), *typed),
            Op::DataKey { key, len, context, shown, typed } => {
                self.data_key(*key, pick(&LENGTHS, *len), Context(*context), *shown, *typed);
            }
            Op::Decrypt { blob, context, typed } => self.decrypt(*blob, Context(*context), *typed),
            Op::ReEncrypt { blob, source, key, context, typed } => {
                self.reencrypt(*blob, Context(*source), *key, Context(*context), *typed);
            }
            Op::CreateAlias { alias: choice, key } => {
                let (name, params) = id(self, *key);
                let alias = alias(*choice);
                let params = with(params, "AliasName", alias.as_str());
                self.act("CreateAlias", params, IfChanged, |model| model.create_alias(&alias, &name));
            }
            Op::UpdateAlias { alias: choice, key } => {
                let (name, params) = id(self, *key);
                let alias = alias(*choice);
                let params = with(params, "AliasName", alias.as_str());
                self.act("UpdateAlias", params, IfChanged, |model| model.update_alias(&alias, &name));
            }
            Op::DeleteAlias { alias: choice } => {
                let alias = alias(*choice);
                self.act("DeleteAlias", json!({ "AliasName": alias }), IfChanged, |model| model.delete_alias(&alias));
            }
            Op::ListAliases { page: of } => {
                let (page, params) = page(*of);
                self.act("ListAliases", params, Never, |model| model.list_aliases(page));
            }
            Op::ListAliasesByKey { key, page: of } => {
                let name = self.name(*key);
                let (page, params) = page(*of);
                let params = with(params, "KeyId", self.model.written(&name));
                self.act("ListAliasesByKeyId", params, Never, |model| model.list_aliases_by_key(&name, page));
            }
            Op::Tag { key, first, count, value, odd } => {
                let (name, params) = id(self, *key);
                let mut tags: Vec<_> =
                    (0..*count % 8).map(|i| (tag_key(first.wrapping_add(i) % 14), tag_value(*value))).collect();
                if odd % 4 == 0 {
                    tags.push((tag_key(odd / 4), tag_value(odd / 4)));
                }
                let entry = |(key, value): &(String, String)| json!({ "TagKey": key, "TagValue": value });
                let params = with(params, "Tags", tags.iter().map(entry).collect::<Vec<_>>());
                self.act("TagResource", params, IfChanged, |model| model.tag(&name, &tags));
            }
            Op::Untag { key, keys, count } => {
                let (name, params) = id(self, *key);
                let keys: Vec<_> = keys.iter().take(usize::from(*count % 4)).map(|key| tag_key(*key)).collect();
                let params = with(params, "TagKeys", keys.clone());
                self.act("UntagResource", params, IfChanged, |model| model.untag(&name, &keys));
            }
            Op::ListTags { key } => {
                let name = self.name(*key);
                if !self.poisoned {
                    self.check_tags(&name);
                    self.census.done("ListResourceTags");
                }
            }
            Op::Advance { by } => {
                let by = pick(&JUMPS, *by);
                let mut after = self.model.clone();
                let expected = after.advance(by);
                self.attempt(Deed::Advance(by), IfChanged, after, expected, |engine| {
                    engine.advance_clock(by).map(|()| Value::Null)
                });
            }
            Op::RunDue => self.sweep(),
            Op::Reopen => self.reopen(),
            Op::Fault { ahead, fault } => {
                let (at, fault) = (self.disk.syncs() + 1 + u64::from(*ahead % 4), pick(&FAULTS, *fault));
                self.story.remark(format!("The disk will answer the write number {at} with {fault:?}."));
                self.disk.at_sync(at, fault);
                self.faults.insert(at, fault);
            }
            Op::MakeSpace => self.make_space(),
            Op::Rotation { key, on, interval } => {
                let (name, mut params) = id(self, *key);
                let every = pick(&INTERVALS, *interval);
                params["EnableAutomaticRotation"] = (*on).into();
                params["RotationInterval"] = every.into();
                let plan = |model: &mut Model| model.update_rotation(&name, *on, every);
                self.act("UpdateRotationPolicy", params, IfChanged, plan);
            }
            Op::CreateVersion { key } => self.create_version(*key),
            Op::ImportParameters { key, wrapping } => self.import_parameters(*key, *wrapping),
            Op::Import { token, key, stray, material, expiry } => {
                self.import(*token, *key, *stray, *material, *expiry);
            }
            Op::DeleteMaterial { key } => {
                let (name, params) = id(self, *key);
                self.act("DeleteKeyMaterial", params, IfChanged, |model| model.delete_material(&name));
            }
            Op::Sign { key, version, algorithm, digest } => self.sign(*key, *version, *algorithm, *digest),
            Op::Verify { signature, alter } => self.verify(*signature, *alter),
            Op::PairEncrypt { key, version, algorithm, len } => self.pair_encrypt(*key, *version, *algorithm, *len),
            Op::PairDecrypt { ciphertext } => self.pair_decrypt(*ciphertext),
            Op::PublicKey { key, version } => self.public_key(*key, *version),
        }
    }

    fn create_key(&mut self, new: &NewKey) {
        if self.model.live().count() >= MAX_KEYS || self.poisoned {
            return;
        }
        let mut params = json!({
            "KeySpec": new.spec,
            "Origin": new.origin,
            "ProtectionLevel": new.level,
            "Description": new.description,
        });
        if let Some(usage) = new.usage {
            params["KeyUsage"] = usage.into();
        }
        if new.rotates {
            params["EnableAutomaticRotation"] = true.into();
            params["RotationInterval"] = new.interval.into();
        }
        let mut after = self.model.clone();
        let expected = after.create_key(new);
        let deed = Deed::Call { action: "CreateKey", params: params.clone() };
        let make = |engine: &Engine| call(engine, "CreateKey", &params);
        let Some((reply, ())) = self.attempt(deed, Writes::IfChanged, after, expected, make) else { return };
        let index = self.model.keys.len() - 1;
        text(&reply, "/KeyMetadata/KeyId").clone_into(&mut self.model.keys[index].id);
        self.learn();
        let due = self.model.metadata(index, false);
        assert_eq!(reply, due, "CreateKey {params}");
    }
}
