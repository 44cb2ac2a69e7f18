//! Stores with a given number of keys, made by the engine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use kms_engine::{Config, Engine};
use kms_store::sled_kv::{SledKv, SledOptions};
use serde_json::{Value, json};

use super::bulk::Bulk;
use crate::layer::SPEC;

/// The spec of the one key that is not like the others.
pub const RARE: &str = "Aliyun_SM4";
/// Of how many keys the ids are kept, at most.
const SAMPLE: u64 = 200_000;
/// sled's cache while a store is filled: enough for a store of some millions, so that filling does not read.
const FILLING_CACHE: u64 = 6 << 30;

/// A store on disk in which so many keys were made.
#[derive(Debug)]
pub struct Filled {
    directory: PathBuf,
    /// How many keys it was made with.
    pub keys: u64,
    /// The ids of some of them, in the order of their creation.
    pub sample: Vec<String>,
}

/// The configuration of an engine on the store in `path`, with further members.
///
/// # Panics
/// When the path is no UTF-8, or a member is not good.
#[must_use]
pub fn config(path: &Path, more: &Value) -> Config {
    let path = path.to_str().expect("the path is UTF-8");
    let mut config = json!({ "store": format!("sled:{path}"), "root_key": { "hex": "5a".repeat(32) } });
    let members = config.as_object_mut().expect("it is an object");
    members.extend(more.as_object().expect("it is an object").clone());
    Config::parse(&config.to_string()).expect("the configuration is good")
}

/// An engine on a store that is filled by the thousand. When the engine is dropped, all is on disk.
///
/// # Panics
/// When the store cannot be made.
#[must_use]
pub fn filler(path: &Path, more: &Value) -> Engine {
    let below = SledKv::open(path, SledOptions { cache_capacity: FILLING_CACHE }).expect("a store can be made");
    let bulk = Bulk::new(below).expect("the store works");
    Engine::open_on(Box::new(bulk), config(path, more)).expect("the engine opens")
}

/// Calls an action that must succeed.
///
/// # Panics
/// When it does not.
#[expect(clippy::must_use_candidate, reason = "some are called for what they do")]
pub fn call(engine: &Engine, action: &str, params: &Value) -> Value {
    let reply = engine.call(action, &params.to_string()).result.unwrap_or_else(|why| panic!("{action}: {why}"));
    serde_json::from_str(&reply).expect("a reply is JSON")
}

/// Makes a key and returns its id.
///
/// # Panics
/// When that fails.
#[must_use]
pub fn create_key(engine: &Engine, spec: &str) -> String {
    let reply = call(engine, "CreateKey", &json!({ "KeySpec": spec }));
    reply["KeyMetadata"]["KeyId"].as_str().expect("the reply names the key").to_owned()
}

/// How many keys there are.
///
/// # Panics
/// When the engine does not tell.
#[must_use]
pub fn total(engine: &Engine) -> u64 {
    call(engine, "ListKeys", &json!({}))["TotalCount"].as_u64().expect("ListKeys tells how many there are")
}

impl Filled {
    /// The store of this size in `parent`, if it was filled before.
    ///
    /// # Errors
    /// The file system's.
    pub fn find(parent: &Path, keys: u64) -> io::Result<Option<Self>> {
        let directory = directory(parent, keys);
        match fs::read(directory.join(LIST)) {
            Ok(list) => Ok(Some(Self { directory, keys, sample: serde_json::from_slice(&list)? })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fills the store of this size in `parent`, and ends the process without closing it, as a crash would.
    ///
    /// # Errors
    /// The file system's.
    pub fn fill_and_crash(parent: &Path, keys: u64) -> io::Result<()> {
        let directory = directory(parent, keys);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let engine = filler(&directory.join(STORE), &json!({}));
        let stride = keys.div_ceil(SAMPLE).max(1);
        let mut sample = Vec::new();
        for i in 0..keys {
            let spec = if i == keys / 2 { RARE } else { SPEC };
            let id = create_key(&engine, spec);
            if i % stride == 0 && spec == SPEC {
                sample.push(id);
            }
        }
        // A list makes the backend write what it has kept back.
        assert_eq!(total(&engine), keys, "all keys are there");
        // Written when all else is, so that a store that was not filled to the end is not taken for one.
        fs::write(directory.join(LIST), serde_json::to_vec(&sample)?)?;
        process::exit(0)
    }

    /// Where the store is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(STORE)
    }

    /// How many bytes its files have.
    ///
    /// # Errors
    /// The file system's.
    pub fn size(&self) -> io::Result<u64> {
        fs::read_dir(self.path())?.map(|entry| Ok(entry?.metadata()?.len())).sum()
    }

    /// Reads its files once, so that the system has them in memory as far as it has room.
    ///
    /// # Errors
    /// The file system's.
    pub fn warm(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                io::copy(&mut fs::File::open(entry.path())?, &mut io::sink())?;
            }
        }
        Ok(())
    }

    /// Opens an engine on it.
    ///
    /// # Panics
    /// When it does not open, or has lost keys.
    #[must_use]
    pub fn open(&self, more: &Value) -> Engine {
        Engine::open(config(&self.path(), more)).expect("the store opens")
    }
}

const LIST: &str = "sample.json";
const STORE: &str = "store";

fn directory(parent: &Path, keys: u64) -> PathBuf {
    parent.join(format!("keys-{keys}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what was filled by the thousand is a store like any other, with everything in it.
    #[test]
    fn a_filled_store_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let engine = filler(&path, &json!({}));
        let keys: Vec<String> = (0..1100).map(|_| create_key(&engine, SPEC)).collect();
        call(&engine, "DisableKey", &json!({ "KeyId": keys[1050] }));
        let mut blob = [0; 200];
        let len = engine.encrypt(&keys[3], b"text", "", &mut blob).unwrap();
        drop(engine);

        let engine = Engine::open(config(&path, &json!({}))).unwrap();
        assert_eq!(total(&engine), 1100);
        for key in &keys {
            call(&engine, "DescribeKey", &json!({ "KeyId": key }));
        }
        assert!(engine.encrypt(&keys[1050], b"text", "", &mut [0; 200]).is_err());
        let mut text = [0; 4];
        assert_eq!(engine.decrypt(&blob[..len], "", &mut text).unwrap(), 4);
        assert_eq!(&text, b"text");
    }
}
