//! Keys: making, describing and listing them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::page::{CHUNK, Page, PageReply};
use super::{Ctx, KeyRef, Nothing, Operation, Outcome, Step, rotation};
use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::{KeyId, KeyVersionId};
use crate::model::{Key, KeySpec, KeyUsage, Origin, ProtectionLevel, Settings, Tags, VersionRecord};
use crate::params::{Object, Params};
use crate::state::KeyState;
use crate::time::{Interval, Timestamp};
use crate::view::{Counts, Due, DuePlace};

/// CreateKey.
#[derive(Debug)]
pub struct CreateKey;

/// The parameters of CreateKey.
#[derive(Debug)]
pub struct CreateKeyRequest<'p> {
    description: &'p str,
    spec: KeySpec,
    usage: KeyUsage,
    origin: Origin,
    protection: ProtectionLevel,
    rotation: Option<Interval>,
}

impl Operation for CreateKey {
    const REQUIRED: &'static [&'static str] = &[];
    type Request<'p> = CreateKeyRequest<'p>;
    type Reply = KeyReply;

    fn parse<'p>(params: &'p Params, _: &Settings) -> Result<CreateKeyRequest<'p>, KmsError> {
        let rotation = rotation::parse(params)?;
        let description = params.description("Description")?;
        let spec = params.choice("KeySpec", KeySpec::parse)?.unwrap_or(KeySpec::Aes256);
        let usage = params.choice("KeyUsage", KeyUsage::parse)?.unwrap_or(spec.default_usage());
        if !spec.allows(usage) {
            return Err(KmsError::invalid("KeyUsage"));
        }
        let origin = params.choice("Origin", Origin::parse)?.unwrap_or(Origin::AliyunKms);
        if origin == Origin::External && spec.cipher().is_none() {
            return Err(KmsError::invalid("Origin"));
        }
        let protection = params.choice("ProtectionLevel", ProtectionLevel::parse)?.unwrap_or(ProtectionLevel::Software);
        if rotation.is_some() && (origin == Origin::External || spec.cipher().is_none()) {
            return Err(KmsError::invalid("EnableAutomaticRotation"));
        }
        Ok(CreateKeyRequest { description, spec, usage, origin, protection, rotation })
    }

    fn plan(request: CreateKeyRequest<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<KeyReply>, KmsError> {
        ctx.reach(Step::Kind);
        if request.protection == ProtectionLevel::Hsm && !ctx.settings.hsm {
            return Err(ErrorCode::UnsupportedProtectionLevel.into());
        }
        ctx.reach(Step::Limits);
        if let Some(limit) = ctx.settings.limits.keys
            && ctx.view.counts(ctx.now)?.live.keys >= limit
        {
            return Err(ErrorCode::LimitExceeded.into());
        }
        ctx.reach(Step::Operation);
        let (id, version) = (KeyId::random(ctx.rng)?, KeyVersionId::random(ctx.rng)?);
        let (state, material) = match request.origin {
            Origin::AliyunKms => (KeyState::Enabled, Some(ctx.draw(request.spec)?)),
            Origin::External => (KeyState::PendingImport, None),
        };
        let key = Key {
            id,
            spec: request.spec,
            usage: request.usage,
            origin: request.origin,
            protection: request.protection,
            creator: ctx.account().to_owned(),
            created: ctx.now,
            description: request.description.to_owned(),
            state,
            delete_at: None,
            deletion_protection: None,
            primary: Some(version),
            versions: 1,
            last_rotation: ctx.now,
            rotation: request.rotation,
            imported: None,
            aliases: 0,
            tags: Tags::default(),
        };
        let reply = KeyReply { key_metadata: Metadata::new(&key, ctx) };
        let version = VersionRecord { id: version, key: id, number: 1, created: ctx.now, spec: request.spec, material };
        Ok(Outcome { reply, changes: vec![Change::PutKey(Box::new(key)), Change::PutVersion(Box::new(version))] })
    }
}

/// The answer of CreateKey and DescribeKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyReply {
    key_metadata: Metadata,
}

/// `KeyMetadata`: which members are empty and which are left out is OP-29.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    key_id: KeyId,
    arn: String,
    creator: String,
    creation_date: Timestamp,
    description: String,
    key_spec: KeySpec,
    key_usage: KeyUsage,
    key_state: &'static str,
    origin: Origin,
    protection_level: ProtectionLevel,
    primary_key_version: String,
    last_rotation_date: Timestamp,
    delete_date: String,
    material_expire_time: String,
    automatic_rotation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_protection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_protection_description: Option<String>,
}

impl Metadata {
    fn new(key: &Key, ctx: &Ctx<'_>) -> Self {
        let state = key.state_at(ctx.now);
        Self {
            key_id: key.id,
            arn: ctx.settings.arn(format_args!("key/{}", key.id)),
            creator: key.creator.clone(),
            creation_date: key.created,
            description: key.description.clone(),
            key_spec: key.spec,
            key_usage: key.usage,
            key_state: state.as_str(),
            origin: key.origin,
            protection_level: key.protection,
            primary_key_version: match key.primary {
                Some(id) if key.spec.cipher().is_some() => id.to_string(),
                _ => String::new(),
            },
            last_rotation_date: key.last_rotation,
            delete_date: key.delete_at.map(|at| at.to_string()).unwrap_or_default(),
            material_expire_time: key.expiry().filter(|at| *at > ctx.now).map(|at| at.to_string()).unwrap_or_default(),
            automatic_rotation: match (key.rotation, state) {
                (None, _) => "Disabled",
                (Some(_), KeyState::Enabled) => "Enabled",
                (Some(_), _) => "Suspended",
            },
            rotation_interval: key.rotation.map(|interval| interval.to_string()),
            next_rotation_date: key.next_rotation(),
            deletion_protection: None,
            deletion_protection_description: None,
        }
    }

    /// The members that DescribeKey has and CreateKey has not.
    fn with_protection(self, key: &Key) -> Self {
        let (protection, description) = match &key.deletion_protection {
            None => ("Disabled", None),
            Some(text) => ("Enabled", Some(text.clone()).filter(|text| !text.is_empty())),
        };
        Self { deletion_protection: Some(protection), deletion_protection_description: description, ..self }
    }
}

/// DescribeKey.
#[derive(Debug)]
pub struct DescribeKey;

impl Operation for DescribeKey {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = KeyRef<'p>;
    type Reply = KeyReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<KeyRef<'p>, KmsError> {
        Ok(KeyRef::parse(params.required("KeyId")?, settings))
    }

    fn plan(request: KeyRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<KeyReply>, KmsError> {
        let key = ctx.enter(&request, Gate::DescribeKey)?;
        Ok(Outcome::read(KeyReply { key_metadata: Metadata::new(&key, ctx).with_protection(&key) }))
    }
}

/// UpdateKeyDescription.
#[derive(Debug)]
pub struct UpdateKeyDescription;

impl Operation for UpdateKeyDescription {
    const REQUIRED: &'static [&'static str] = &["Description", "KeyId"];
    type Request<'p> = (KeyRef<'p>, &'p str);
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let key = KeyRef::parse_no_alias(params.required("KeyId")?, settings)?;
        Ok((key, params.description("Description")?))
    }

    fn plan((key, description): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&key, Gate::UpdateKeyDescription)?;
        let key = Key { description: description.to_owned(), ..(*key).clone() };
        Ok(Outcome { reply: Nothing {}, changes: vec![Change::PutKey(Box::new(key))] })
    }
}

/// ListKeys.
#[derive(Debug)]
pub struct ListKeys;

/// The parameters of ListKeys.
#[derive(Debug)]
pub struct ListKeysRequest {
    page: Page,
    filters: Filters,
}

/// The answer of ListKeys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeysReply {
    keys: KeyList,
    #[serde(flatten)]
    page: PageReply,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyList {
    key: Vec<ListedKey>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedKey {
    key_id: KeyId,
    key_arn: String,
}

impl Operation for ListKeys {
    const REQUIRED: &'static [&'static str] = &[];
    type Request<'p> = ListKeysRequest;
    type Reply = ListKeysReply;

    fn parse(params: &Params, _: &Settings) -> Result<ListKeysRequest, KmsError> {
        let filters = params.choice("Filters", Filters::parse)?.unwrap_or_default();
        Ok(ListKeysRequest { page: Page::parse(params)?, filters })
    }

    fn plan(request: ListKeysRequest, ctx: &mut Ctx<'_>) -> Result<Outcome<ListKeysReply>, KmsError> {
        let counts = ctx.view.counts(ctx.now)?;
        let mut gone = GoneKeys::new(counts);
        let (skip, size) = (request.page.skip(), request.page.size());
        let (mut key, mut seen, mut after) = (Vec::new(), 0, None);
        loop {
            let limit = if after.is_none() { request.page.first_portion() } else { CHUNK };
            let places = ctx.view.keys(after, limit)?;
            let Some(last) = places.last().copied() else { break };
            after = Some(last);
            for place in places {
                // What a filter admits is not gone.
                let listed = if request.filters.is_empty() {
                    !gone.contain(&place.id, ctx)?
                } else {
                    request.filters.admit(&place.id, ctx)?
                };
                if !listed {
                    continue;
                }
                if seen >= skip && key.len() < size {
                    let key_arn = ctx.settings.arn(format_args!("key/{}", place.id));
                    key.push(ListedKey { key_id: place.id, key_arn });
                }
                seen += 1;
            }
            // Without a filter the total is known beforehand, so that a page costs what stands before it.
            if request.filters.is_empty() && key.len() == size {
                break;
            }
        }
        // Keys that came while the list was read may be in it; then the total counts them too.
        let total = if request.filters.is_empty() { counts.live.keys.max(seen) } else { seen };
        Ok(Outcome::read(ListKeysReply { keys: KeyList { key }, page: request.page.reply(total) }))
    }
}

/// The keys that are gone but not yet swept away: a list passes them over.
///
/// A page is asked about few of them or about many, and there may be few of them or very many. So each key is looked up,
/// until that has cost about as much as to read them all; then they are read.
pub(super) struct GoneKeys {
    /// How many there are.
    number: u64,
    /// How many keys were looked up.
    asked: u64,
    /// All of them, once they are read.
    all: Option<HashSet<KeyId>>,
}

impl GoneKeys {
    /// To read one of the list costs so many times less than to look up a key.
    const CHEAPER: u64 = 4;

    pub(super) const fn new(counts: Counts) -> Self {
        Self { number: counts.gone.keys, asked: 0, all: None }
    }

    pub(super) fn contain(&mut self, id: &KeyId, ctx: &Ctx<'_>) -> Result<bool, KmsError> {
        if self.number == 0 {
            return Ok(false);
        }
        if self.all.is_none() && self.asked * Self::CHEAPER >= self.number {
            self.all = Some(Self::read(ctx)?);
        }
        if let Some(all) = &self.all {
            return Ok(all.contains(id));
        }
        self.asked += 1;
        Ok(ctx.view.glimpse_key(id)?.is_some_and(|key| key.is_gone(ctx.now)))
    }

    fn read(ctx: &Ctx<'_>) -> Result<HashSet<KeyId>, KmsError> {
        let (mut all, mut after): (_, Option<DuePlace>) = (HashSet::new(), None);
        loop {
            let due = ctx.view.due(Due::Deletion, ctx.now, after, CHUNK)?;
            let Some(last) = due.last() else { return Ok(all) };
            after = Some(*last);
            all.extend(due.iter().map(|place| place.id));
        }
    }
}

/// The filters of ListKeys: values of one name are alternatives, different names must all hold (OP-36).
#[derive(Debug, Default)]
struct Filters {
    states: Vec<KeyState>,
    specs: Vec<KeySpec>,
    usages: Vec<KeyUsage>,
    levels: Vec<ProtectionLevel>,
    creators: Vec<Creator>,
}

/// CreatorType: whether the account or the service made a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creator {
    User,
    Service,
}

/// One entry of the Filters parameter. A member that is spelt wrong is refused: without it the entry would list everything.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Filters {
    fn parse(json: &str) -> Option<Self> {
        let entries: Vec<Object<Filter>> = serde_json::from_str(json).ok()?;
        if entries.len() > 10 {
            return None;
        }
        let mut filters = Self::default();
        for Object(Filter { key, values }) in entries {
            if values.len() > 10 {
                return None;
            }
            match key.as_str() {
                "KeyState" => extend(&mut filters.states, &values, KeyState::parse),
                "KeySpec" => extend(&mut filters.specs, &values, KeySpec::parse),
                "KeyUsage" => extend(&mut filters.usages, &values, KeyUsage::parse),
                "ProtectionLevel" => extend(&mut filters.levels, &values, ProtectionLevel::parse),
                "CreatorType" => extend(&mut filters.creators, &values, |text| match text {
                    "User" => Some(Creator::User),
                    "Service" => Some(Creator::Service),
                    _ => None,
                }),
                _ => None,
            }?;
        }
        Some(filters)
    }

    fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.specs.is_empty()
            && self.usages.is_empty()
            && self.levels.is_empty()
            && self.creators.is_empty()
    }

    fn admit(&self, id: &KeyId, ctx: &Ctx<'_>) -> Result<bool, KmsError> {
        if self.is_empty() {
            return Ok(true);
        }
        // A key that went away since its place was read is in no list.
        let Some(key) = ctx.view.glimpse_key(id)?.filter(|key| !key.is_gone(ctx.now)) else { return Ok(false) };
        // Every key is the account's own until the service makes one for itself.
        Ok(holds(&self.states, key.state_at(ctx.now))
            && holds(&self.specs, key.spec)
            && holds(&self.usages, key.usage)
            && holds(&self.levels, key.protection)
            && holds(&self.creators, Creator::User))
    }
}

fn extend<T>(into: &mut Vec<T>, values: &[String], read: impl Fn(&str) -> Option<T>) -> Option<()> {
    for value in values {
        into.push(read(value)?);
    }
    Some(())
}

fn holds<T: PartialEq>(alternatives: &[T], value: T) -> bool {
    alternatives.is_empty() || alternatives.contains(&value)
}
