//! What the host wants of an engine: one JSON object, read into types.
//!
//! A misspelt member must not silently mean its default, so members that are not known, and members that stand twice,
//! are refused at every level. Every refusal is `KMS_INVALID_CONFIG` and names the member by its path (`root_key.hex`)
//! and what it must be. It never shows a value that may be secret, which is why serde's own messages, which quote what
//! they found, are not used. A member that is `null` counts as absent.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use kms_core::model::{AccountStatus, Limits, Settings};
use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::clock::ClockSetting;
use crate::json::{Malformed, Members, unquote};
use crate::root_key::{ROOT_KEY_LEN, RootKey, RootKeySource};

/// Cached records if the host does not say.
const DEFAULT_CACHE: u64 = 10_000;
/// The most cached records.
const MAX_CACHE: u64 = 10_000_000;
/// The most seconds between two sweeps: a year.
const MAX_SWEEP: u64 = 365 * 24 * 60 * 60;
/// The quotas of the cloud, for each account and region (OP-98).
const ALIBABA: Limits = Limits { keys: Some(200), aliases: Some(300), key_versions: 50 };

/// The configuration of an engine. Its root key may be a secret, so it cannot be printed; it is wiped when it goes.
pub struct Config {
    /// Where the records are kept.
    pub store: StoreLocation,
    /// Where the root key comes from; always there unless the store is in memory.
    pub root_key: Option<RootKeySource>,
    /// Account, region and limits.
    pub settings: Settings,
    /// The status that the account begins with (OP-97).
    pub account_status: AccountStatus,
    /// Which clock the engine goes by.
    pub clock: ClockSetting,
    /// Decides every byte that the engine draws; only with a store in memory and a manual clock.
    pub seed: Option<u64>,
    /// How many records are cached at most: 1 to 10,000,000.
    pub cache: usize,
    /// How often a thread of the engine's does what is due; `None` if the host calls for it.
    pub sweep: Option<Duration>,
}

/// Where an engine keeps its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// In memory, gone with the engine.
    Memory,
    /// In a sled database in this directory.
    Sled(PathBuf),
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// `KMS_INVALID_CONFIG`, naming the member; `InternalFailure` if no page can be had for a root key.
    pub fn parse(json: &str) -> Result<Self, KmsError> {
        Self::parse_with_root_key(json, None)
    }

    /// Reads a configuration whose root key may be given apart from it, as 32 bytes, so that it need not stand in a
    /// text. Then `root_key` must be absent. Clearing the original is the caller's.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with_root_key(json: &str, root_key: Option<&[u8]>) -> Result<Self, KmsError> {
        let mut object = Object::parse("", json)?;
        let store = object.take("store");
        let root_key_member = object.take("root_key");
        let account_id = object.take("account_id");
        let region = object.take("region");
        let regions = object.take("regions");
        let clock = object.take("clock");
        let seed = object.take("seed");
        let limits = object.take("limits");
        let account_status = object.take("account_status");
        let hsm = object.take("hsm");
        let cache = object.take("cache");
        let sweep = object.take("sweep");
        object.finish()?;

        let store = parse_store(&store.ok_or_else(|| invalid("store is missing"))?.text()?)?;
        let root_key = match (root_key, root_key_member) {
            (None, None) => None,
            (None, Some(member)) => Some(parse_root_key(&member)?),
            (Some(bytes), None) => Some(raw_root_key(bytes)?),
            (Some(_), Some(_)) => return Err(invalid("root_key is given by the host as bytes and in the text")),
        };
        if root_key.is_none() && store != StoreLocation::Memory {
            return Err(invalid("root_key is missing; only a store in memory needs none"));
        }

        let clock = clock.as_ref().map_or(Ok(ClockSetting::default()), parse_clock)?;
        let seed = seed.map(|value| value.integer(0..=u64::MAX)).transpose()?;
        if seed.is_some() && !(store == StoreLocation::Memory && matches!(clock, ClockSetting::Manual(_))) {
            return Err(invalid("seed is for a store in memory with a manual clock alone"));
        }

        let mut settings = Settings::default();
        if let Some(value) = account_id {
            settings.account =
                value.plain_text("16 digits", |text| text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit()))?;
        }
        if let Some(value) = region {
            settings.region = value.plain_text(REGION_FORM, is_region)?;
        }
        if let Some(value) = regions {
            settings.regions = parse_regions(&value)?;
        }
        if let Some(value) = hsm {
            settings.hsm = value.boolean()?;
        }
        if let Some(value) = limits {
            settings.limits = parse_limits(&value)?;
        }
        let account_status = match account_status {
            None => AccountStatus::Enabled,
            Some(value) => AccountStatus::parse(&value.text()?).ok_or_else(|| value.must_be(&one_of_statuses()))?,
        };
        let cache = cache.map_or(Ok(DEFAULT_CACHE), |value| value.integer(1..=MAX_CACHE))?;
        let sweep = sweep.map_or(Ok(0), |value| value.integer(0..=MAX_SWEEP))?;
        if sweep > 0 && seed.is_some() {
            return Err(invalid("seed goes with one thread that calls, and so without sweep"));
        }
        Ok(Self {
            store,
            root_key,
            settings,
            account_status,
            clock,
            seed,
            cache: usize::try_from(cache).map_err(|_| invalid("cache is more than this machine can count"))?,
            sweep: (sweep > 0).then(|| Duration::from_secs(sweep)),
        })
    }
}

/// `KMS_INVALID_CONFIG` with this explanation.
pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> KmsError {
    KmsError::with_detail(ErrorCode::InvalidConfig, detail)
}

fn parse_store(text: &str) -> Result<StoreLocation, KmsError> {
    if text.contains('\0') {
        return Err(invalid("store has a NUL character in its path"));
    }
    // A path may hold a colon, but what looks like a scheme is more likely a backend or a typing error, and a directory
    // of that name would be a surprise. `sled:` takes any path.
    let scheme = text.split_once(':').filter(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    });
    match scheme {
        Some(("memory", "")) => Ok(StoreLocation::Memory),
        Some(("memory", _)) => Err(invalid("store: nothing may follow memory:")),
        Some(("sled", path)) => sled_at(path),
        // A database's address may carry its password.
        Some((scheme, _)) => {
            Err(invalid(format!("store: this build has no backend {}; it has memory: and sled:PATH", shown(scheme))))
        }
        None => sled_at(text),
    }
}

fn sled_at(path: &str) -> Result<StoreLocation, KmsError> {
    if path.is_empty() { Err(invalid("store has an empty path")) } else { Ok(StoreLocation::Sled(path.into())) }
}

fn parse_root_key(value: &Value<'_>) -> Result<RootKeySource, KmsError> {
    let mut object = value.object()?;
    let passphrase = object.take("passphrase");
    let file = object.take("file");
    let create = object.take("create");
    let hex = object.take("hex");
    let env = object.take("env");
    object.finish()?;
    if create.is_some() && file.is_none() {
        return Err(invalid("root_key.create goes with root_key.file"));
    }
    match (passphrase, file, hex, env) {
        (Some(value), None, None, None) => {
            let passphrase = value.text()?;
            if passphrase.is_empty() {
                Err(invalid(format!("{} must not be empty", value.path)))
            } else {
                Ok(RootKeySource::Passphrase(passphrase))
            }
        }
        (None, Some(value), None, None) => {
            let path = value.plain_text("a path", |text| !text.is_empty() && !text.contains('\0'))?;
            let create = create.map_or(Ok(false), |value| value.boolean())?;
            Ok(RootKeySource::File { path: path.into(), create })
        }
        (None, None, Some(value), None) => {
            let key = RootKey::from_hex(&value.text()?)?;
            key.map(RootKeySource::Bytes).ok_or_else(|| value.must_be("64 hexadecimal digits"))
        }
        (None, None, None, Some(value)) => {
            let name = value.plain_text("the name of an environment variable", |text| {
                !text.is_empty() && !text.contains(['=', '\0'])
            })?;
            Ok(RootKeySource::Env(name))
        }
        _ => Err(invalid("root_key must have exactly one of passphrase, file, hex and env")),
    }
}

fn raw_root_key(bytes: &[u8]) -> Result<RootKeySource, KmsError> {
    let key: &[u8; ROOT_KEY_LEN] = bytes.try_into().map_err(|_| invalid("root_key must have 32 bytes"))?;
    Ok(RootKeySource::Bytes(RootKey::copied_from(key)?))
}

/// What a region looks like, for messages.
const REGION_FORM: &str = "lower-case letters, digits and hyphens";

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn parse_regions(value: &Value<'_>) -> Result<Vec<String>, KmsError> {
    let regions =
        value.list()?.iter().map(|region| region.plain_text(REGION_FORM, is_region)).collect::<Result<Vec<_>, _>>()?;
    let twice = regions.iter().enumerate().any(|(i, region)| regions[..i].contains(region));
    if twice { Err(value.must_be("a list in which no region stands twice")) } else { Ok(regions) }
}

fn parse_clock(value: &Value<'_>) -> Result<ClockSetting, KmsError> {
    const FORM: &str = "\"system\" or {\"manual\": a time}";
    if value.is_text() {
        return if value.text()?.as_str() == "system" { Ok(ClockSetting::System) } else { Err(value.must_be(FORM)) };
    }
    let mut object = value.object().map_err(|_| value.must_be(FORM))?;
    let manual = object.take("manual");
    object.finish()?;
    let manual = manual.ok_or_else(|| value.must_be(FORM))?;
    let time = manual.text()?.parse::<Timestamp>();
    time.map(ClockSetting::Manual).map_err(|bad| invalid(format!("{} is {bad}", manual.path)))
}

fn parse_limits(value: &Value<'_>) -> Result<Limits, KmsError> {
    const FORM: &str = "\"alibaba\" or {\"keys\": a number, \"aliases\": a number, \"key_versions\": a number}";
    if value.is_text() {
        return if value.text()?.as_str() == "alibaba" { Ok(ALIBABA) } else { Err(value.must_be(FORM)) };
    }
    let mut object = value.object().map_err(|_| value.must_be(FORM))?;
    let keys = object.take("keys");
    let aliases = object.take("aliases");
    let key_versions = object.take("key_versions");
    object.finish()?;
    let limit = |value: Option<Value<'_>>| value.map(|value| value.integer(0..=u64::MAX)).transpose();
    let key_versions = limit(key_versions)?.unwrap_or(Limits::default().key_versions);
    Ok(Limits { keys: limit(keys)?, aliases: limit(aliases)?, key_versions })
}

fn one_of_statuses() -> String {
    format!("one of {}", AccountStatus::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", "))
}

/// A name from the configuration as it may stand in a message: short, on one line.
fn shown(name: &str) -> String {
    const MOST: usize = 64;
    let mut shown: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A JSON object of the configuration whose members are taken out one by one, so that what is left is unknown.
struct Object<'j> {
    /// Where it stands: `root_key`; empty for the configuration itself.
    path: String,
    members: Members<'j>,
}

impl<'j> Object<'j> {
    fn parse(path: &str, json: &'j str) -> Result<Self, KmsError> {
        let path = path.to_owned();
        match Members::parse(json) {
            Ok(members) => Ok(Self { path, members }),
            Err(Malformed::Duplicate(name)) => Err(invalid(format!("{} stands twice", joined(&path, &shown(&name))))),
            Err(Malformed::NotAnObject) if path.is_empty() => Err(invalid("it is not a JSON object")),
            Err(Malformed::NotAnObject) => Err(invalid(format!("{path} must be an object"))),
            Err(Malformed::Syntax { line, column }) => {
                Err(invalid(format!("it is not JSON, see line {line}, column {column}")))
            }
        }
    }

    /// The value of a member; `null` is none.
    fn take(&mut self, name: &str) -> Option<Value<'j>> {
        let json = self.members.take(name).filter(|json| *json != "null")?;
        Some(Value { path: joined(&self.path, name), json })
    }

    /// Makes sure that nothing unknown is left.
    fn finish(self) -> Result<(), KmsError> {
        match self.members.any_name() {
            None => Ok(()),
            Some(name) => Err(invalid(format!("{} is not a known member", joined(&self.path, &shown(name))))),
        }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The value of a member, its JSON text not yet read.
struct Value<'j> {
    path: String,
    json: &'j str,
}

impl<'j> Value<'j> {
    fn must_be(&self, what: &str) -> KmsError {
        invalid(format!("{} must be {what}", self.path))
    }

    fn is_text(&self) -> bool {
        self.json.starts_with('"')
    }

    /// A text that may be secret.
    fn text(&self) -> Result<Zeroizing<String>, KmsError> {
        unquote(self.json).ok_or_else(|| self.must_be("a text"))
    }

    /// A text that is no secret and has a form.
    fn plain_text(&self, form: &str, has_form: impl FnOnce(&str) -> bool) -> Result<String, KmsError> {
        let text = self.text().map_err(|_| self.must_be(form))?;
        if has_form(&text) { Ok(text.as_str().to_owned()) } else { Err(self.must_be(form)) }
    }

    fn boolean(&self) -> Result<bool, KmsError> {
        match self.json {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.must_be("true or false")),
        }
    }

    /// A whole number, written in digits alone: a fraction or an exponent is refused even where its value is whole.
    fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, KmsError> {
        let number = self.json.parse::<u64>().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| self.must_be(&format!("a whole number from {} to {}", range.start(), range.end())))
    }

    fn list(&self) -> Result<Vec<Value<'j>>, KmsError> {
        let items = serde_json::from_str::<Vec<&'j RawValue>>(self.json).map_err(|_| self.must_be("a list"))?;
        let item = |(i, raw): (usize, &'j RawValue)| Value { path: format!("{}[{i}]", self.path), json: raw.get() };
        Ok(items.into_iter().enumerate().map(item).collect())
    }

    fn object(&self) -> Result<Object<'j>, KmsError> {
        Object::parse(&self.path, self.json)
    }
}

#[cfg(test)]
mod tests;
