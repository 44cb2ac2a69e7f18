//! A model of what an engine has acknowledged, and the comparison of an engine with it. For the suites that end an engine
//! by force.
//!
//! Every call that changes something is a [`Call`]: data that can be written down before it is made. [`Call::make`] makes
//! it, [`Model::apply`] does the same to a model. What an engine holds is read back by [`Model::read`], through the API
//! alone, and on the way each thing is checked against the others: half of a call would show.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;

use kms_core::{ErrorCode, KmsError};
use kms_engine::{BLOB_OVERHEAD, Config, Engine};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Opens the engine on the store and the key file in `home`, making what is not there.
pub(crate) fn open(home: &Path) -> Result<Engine, KmsError> {
    let config = json!({
        "store": format!("sled:{}", home.join("store").display()),
        "root_key": { "file": home.join("root.key"), "create": true },
    });
    Engine::open(Config::parse(&config.to_string()).unwrap())
}

/// Calls an action.
pub(crate) fn call(engine: &Engine, action: &str, params: &Value) -> Result<Value, KmsError> {
    engine.call(action, &params.to_string()).result.map(|text| serde_json::from_str(&text).unwrap())
}

/// Calls an action that only reads, which must not fail.
#[track_caller]
fn ask(engine: &Engine, action: &str, params: &Value) -> Value {
    call(engine, action, params).unwrap_or_else(|error| panic!("{action} {params}: {error}"))
}

/// A number below `limit`, another one each time.
pub(crate) fn random(limit: usize) -> usize {
    (RandomState::new().build_hasher().finish() % limit as u64) as usize
}

/// One of them, by chance.
fn one<T>(of: impl Iterator<Item = T>) -> Option<T> {
    let mut of: Vec<T> = of.collect();
    (!of.is_empty()).then(|| of.swap_remove(random(of.len())))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Enabled,
    Disabled,
    PendingDeletion,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) description: Text,
    pub(crate) created: String,
    pub(crate) state: State,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A long text that is named shortly: `label`, then dots up to `len` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) label: String,
    pub(crate) len: usize,
}

impl Text {
    pub(crate) fn new(label: impl Into<String>, len: usize) -> Self {
        let label = label.into();
        Self { len: len.max(label.len()), label }
    }

    fn full(&self) -> String {
        format!("{:.<1$}", self.label, self.len)
    }

    pub(crate) fn read(full: &str) -> Self {
        Self { label: full.trim_end_matches('.').to_owned(), len: full.len() }
    }
}

/// What CreateKey has told of the key that it made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewKey {
    pub(crate) key: String,
    pub(crate) created: String,
}

/// A call that changes something. Keys are named by their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    CreateKey { spec: String, description: Text },
    CreateAlias { alias: String, key: String },
    UpdateAlias { alias: String, key: String },
    DeleteAlias { alias: String },
    Describe { key: String, description: Text },
    Tag { key: String, tag: String, value: String },
    Untag { key: String, tag: String },
    Disable { key: String },
    Enable { key: String },
    Schedule { key: String },
    Cancel { key: String },
}

impl Call {
    /// Makes the call.
    pub(crate) fn make(&self, engine: &Engine) -> Result<Option<NewKey>, KmsError> {
        let (action, params) = self.request();
        call(engine, action, &params).map(|mut reply| self.new_key(&mut reply))
    }

    /// The action, and its parameters.
    pub(crate) fn request(&self) -> (&'static str, Value) {
        match self {
            Self::CreateKey { spec, description } => {
                ("CreateKey", json!({ "KeySpec": spec, "Description": description.full() }))
            }
            Self::CreateAlias { alias, key } => ("CreateAlias", json!({ "AliasName": alias, "KeyId": key })),
            Self::UpdateAlias { alias, key } => ("UpdateAlias", json!({ "AliasName": alias, "KeyId": key })),
            Self::DeleteAlias { alias } => ("DeleteAlias", json!({ "AliasName": alias })),
            Self::Describe { key, description } => {
                ("UpdateKeyDescription", json!({ "KeyId": key, "Description": description.full() }))
            }
            Self::Tag { key, tag, value } => {
                ("TagResource", json!({ "KeyId": key, "Tags": [{ "TagKey": tag, "TagValue": value }] }))
            }
            Self::Untag { key, tag } => ("UntagResource", json!({ "KeyId": key, "TagKeys": [tag] })),
            Self::Disable { key } => ("DisableKey", json!({ "KeyId": key })),
            Self::Enable { key } => ("EnableKey", json!({ "KeyId": key })),
            Self::Schedule { key } => ("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })),
            Self::Cancel { key } => ("CancelKeyDeletion", json!({ "KeyId": key })),
        }
    }

    /// The key that the answer tells of, if the call has made one.
    pub(crate) fn new_key(&self, reply: &mut Value) -> Option<NewKey> {
        matches!(self, Self::CreateKey { .. }).then(|| {
            let metadata = reply["KeyMetadata"].take();
            NewKey { key: text(&metadata["KeyId"]), created: text(&metadata["CreationDate"]) }
        })
    }
}

/// A ciphertext and what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(crate) key: String,
    pub(crate) blob: Vec<u8>,
    pub(crate) plaintext: Vec<u8>,
}

impl Blob {
    /// Encrypts with a key, or has it make a data key.
    pub(crate) fn make(engine: &Engine, key: &str, data_key: bool, plaintext: Vec<u8>) -> Result<Self, KmsError> {
        let mut made = Self { key: key.to_owned(), blob: vec![0; plaintext.len() + BLOB_OVERHEAD], plaintext };
        if data_key {
            engine.generate_data_key(key, &mut made.plaintext, "", &mut made.blob)?;
        } else {
            engine.encrypt(key, &made.plaintext, "", &mut made.blob)?;
        }
        Ok(made)
    }

    /// Decrypts if the key's state allows that, and else sees to it that it is refused.
    #[track_caller]
    pub(crate) fn check(&self, engine: &Engine, state: State) {
        let mut plaintext = vec![0; self.plaintext.len()];
        let opened = engine.decrypt(&self.blob, "", &mut plaintext).map(|len| plaintext[..len].to_vec());
        assert_eq!(
            opened.map_err(|error| error.code()),
            refusal(state).map_or_else(|| Ok(self.plaintext.clone()), Err)
        );
    }
}

/// What the contract's state table says to cryptography under a key of this state.
fn refusal(state: State) -> Option<ErrorCode> {
    match state {
        State::Enabled => None,
        State::Disabled => Some(ErrorCode::KeyDisabled),
        State::PendingDeletion => Some(ErrorCode::KeyPendingDeletion),
    }
}

/// The keys and aliases of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Model {
    pub(crate) keys: BTreeMap<String, Facts>,
    /// Each alias with the key that it stands for.
    pub(crate) aliases: BTreeMap<String, String>,
}

impl Model {
    /// Does to the model what the call has done to the engine.
    pub(crate) fn apply(&mut self, call: &Call, new_key: Option<NewKey>) {
        match call {
            Call::CreateKey { description, .. } => {
                let NewKey { key, created } = new_key.expect("CreateKey tells of its key");
                let facts =
                    Facts { description: description.clone(), created, state: State::Enabled, tags: BTreeMap::new() };
                assert!(self.keys.insert(key, facts).is_none(), "one key was made twice");
            }
            Call::CreateAlias { alias, key } | Call::UpdateAlias { alias, key } => {
                self.aliases.insert(alias.clone(), key.clone());
            }
            Call::DeleteAlias { alias } => {
                self.aliases.remove(alias);
            }
            Call::Describe { key, description } => self.facts(key).description = description.clone(),
            Call::Tag { key, tag, value } => {
                self.facts(key).tags.insert(tag.clone(), value.clone());
            }
            Call::Untag { key, tag } => {
                self.facts(key).tags.remove(tag);
            }
            Call::Disable { key } => self.facts(key).state = State::Disabled,
            Call::Enable { key } | Call::Cancel { key } => self.facts(key).state = State::Enabled,
            Call::Schedule { key } => self.facts(key).state = State::PendingDeletion,
        }
    }

    fn facts(&mut self, key: &str) -> &mut Facts {
        self.keys.get_mut(key).unwrap_or_else(|| panic!("no key {key}"))
    }

    /// A call that thread number `thread` may make next, of a kind that chance decides. It is about the thread's own keys
    /// and aliases; `label`, given to no other call, goes into what it writes.
    pub(crate) fn next_call(&self, thread: usize, label: &str) -> Call {
        let owner = format!("t{thread}-");
        let keys = || self.keys.iter().filter(|(_, facts)| facts.description.label.starts_with(&owner));
        let live = || one(keys().filter(|(_, facts)| facts.state != State::PendingDeletion));
        let alias = || one(self.aliases.keys().filter(|name| name["alias/".len()..].starts_with(&owner)));
        let label = format!("{owner}{label}");
        loop {
            let call = match random(16) {
                0..3 => {
                    let spec = ["Aliyun_AES_256", "Aliyun_AES_128", "Aliyun_SM4"][random(3)].to_owned();
                    Some(Call::CreateKey { spec, description: Text::new(&label, random(400)) })
                }
                3..6 => live().map(|(key, _)| Call::CreateAlias { alias: format!("alias/{label}"), key: key.clone() }),
                6 => alias()
                    .zip(live())
                    .map(|(alias, (key, _))| Call::UpdateAlias { alias: alias.clone(), key: key.clone() }),
                7 => alias().map(|alias| Call::DeleteAlias { alias: alias.clone() }),
                // A record this long lies in several values of the backend.
                8..10 => live()
                    .map(|(key, _)| Call::Describe { key: key.clone(), description: Text::new(&label, random(8193)) }),
                10..12 => live().map(|(key, _)| Call::Tag {
                    key: key.clone(),
                    tag: format!("k{}", random(6)),
                    value: label.clone(),
                }),
                12 => live().and_then(|(key, facts)| {
                    one(facts.tags.keys()).map(|tag| Call::Untag { key: key.clone(), tag: tag.clone() })
                }),
                13 => one(keys()).map(|(key, facts)| match facts.state {
                    State::Enabled => Call::Disable { key: key.clone() },
                    State::Disabled => Call::Enable { key: key.clone() },
                    State::PendingDeletion => Call::Cancel { key: key.clone() },
                }),
                14 => live().map(|(key, _)| Call::Schedule { key: key.clone() }),
                _ => one(keys().filter(|(_, facts)| facts.state == State::PendingDeletion))
                    .map(|(key, _)| Call::Cancel { key: key.clone() }),
            };
            if let Some(call) = call {
                return call;
            }
        }
    }

    /// Reads everything that an engine tells of its keys and aliases. What it tells in several places must agree.
    pub(crate) fn read(engine: &Engine) -> Self {
        let mut model = Self::default();
        let listed: Vec<String> =
            list(engine, "ListKeys", "Keys", "Key").iter().map(|key| text(&key["KeyId"])).collect();
        for key in &listed {
            assert!(model.keys.insert(key.clone(), read_key(engine, key)).is_none(), "{key} is listed twice");
        }
        let mut sorted: Vec<&String> = listed.iter().collect();
        sorted.sort_by_key(|key| (&model.keys[*key].created, *key));
        assert!(listed.iter().eq(sorted), "keys are listed in the order of their creation");

        let mut of_key: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for alias in list(engine, "ListAliases", "Aliases", "Alias") {
            let (name, key) = (text(&alias["AliasName"]), text(&alias["KeyId"]));
            assert!(model.keys.contains_key(&key), "{name} stands for {key}, which is not there");
            let described = ask(engine, "DescribeKey", &json!({ "KeyId": name }));
            assert_eq!(described["KeyMetadata"]["KeyId"], *key, "{name}");
            of_key.entry(key.clone()).or_default().push(alias);
            assert!(model.aliases.insert(name, key).is_none(), "an alias is listed twice");
        }
        for key in model.keys.keys() {
            let aliases = list_of(engine, "ListAliasesByKeyId", "Aliases", "Alias", Some(key));
            assert_eq!(aliases, of_key.remove(key).unwrap_or_default(), "the aliases of {key}");
        }
        model
    }
}

/// Reads one key: its metadata, its tags, its one version, and whether it does cryptography.
fn read_key(engine: &Engine, key: &str) -> Facts {
    let metadata = ask(engine, "DescribeKey", &json!({ "KeyId": key }))["KeyMetadata"].take();
    assert_eq!(metadata["KeyId"], *key);
    let state: State = serde_json::from_value(metadata["KeyState"].clone()).unwrap();
    assert_eq!(metadata["DeleteDate"] != "", state == State::PendingDeletion, "{metadata}");
    let tags = ask(engine, "ListResourceTags", &json!({ "KeyId": key }))["Tags"]["Tag"].take();
    let tags = tags.as_array().unwrap().iter().map(|tag| (text(&tag["TagKey"]), text(&tag["TagValue"]))).collect();

    let versions = list_of(engine, "ListKeyVersions", "KeyVersions", "KeyVersion", Some(key));
    let [version] = &versions[..] else { panic!("{key} has the versions {versions:?}") };
    assert_eq!(version["KeyVersionId"], metadata["PrimaryKeyVersion"]);
    let described = json!({ "KeyId": key, "KeyVersionId": version["KeyVersionId"] });
    assert_eq!(ask(engine, "DescribeKeyVersion", &described)["KeyVersion"], *version);

    match Blob::make(engine, key, false, b"probe".to_vec()) {
        Ok(blob) => {
            assert_eq!(&blob.blob[..36], text(&version["KeyVersionId"]).as_bytes());
            blob.check(engine, state);
        }
        Err(error) => assert_eq!(Some(error.code()), refusal(state)),
    }
    let description = Text::read(metadata["Description"].as_str().unwrap());
    Facts { description, created: text(&metadata["CreationDate"]), state, tags }
}

fn list(engine: &Engine, action: &str, outer: &str, inner: &str) -> Vec<Value> {
    list_of(engine, action, outer, inner, None)
}

/// All pages of a list, which must have as many entries as each page says that there are.
fn list_of(engine: &Engine, action: &str, outer: &str, inner: &str, key: Option<&str>) -> Vec<Value> {
    let mut entries = Vec::new();
    for page in 1.. {
        let params = json!({ "KeyId": key, "PageNumber": page, "PageSize": 100 });
        let mut reply = ask(engine, action, &params);
        let total = reply["TotalCount"].as_u64().unwrap();
        let Value::Array(of_page) = reply[outer][inner].take() else { panic!("{reply}") };
        let last = of_page.len() < 100;
        entries.extend(of_page);
        if last {
            assert_eq!(entries.len() as u64, total, "{action} {params}: the total is that of the list");
            break;
        }
    }
    entries
}
