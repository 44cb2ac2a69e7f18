//! The home folder of a KMS.
//!
//! ```text
//!   config.json   what kms_open takes, with paths from this folder; store and root_key may be left out
//!   root.key      32 bytes that the store is sealed with, unless there is a passphrase
//!   store/        the records
//!   tls/          a certificate for HTTPS and its CA, made by the first `kms serve` that needs them
//!   owner.sock    while `kms serve` runs: how the other commands reach the engine
//! ```

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use kms_engine::{Config, Engine};
use rustix::process::geteuid;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::arguments::{InitOptions, RootKeyKind};
use crate::{Failure, say, secret};

/// The value of `root_key` in config.json that stands for a passphrase which is not written down.
const ASK: &str = "passphrase";

/// A home folder, and where its passphrase comes from if it has one.
pub(crate) struct Home {
    folder: PathBuf,
    passphrase_file: Option<PathBuf>,
}

impl Home {
    pub(crate) fn new(folder: PathBuf, passphrase_file: Option<PathBuf>) -> Self {
        Self { folder, passphrase_file }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the folder, its configuration and its store.
    pub(crate) fn create(&self, options: &InitOptions) -> Result<(), Failure> {
        let place = self.file("config.json");
        if place.exists() {
            return Err(Failure::Cannot(format!("{} is there already: nothing was changed", place.display())));
        }
        if self.folder.exists() {
            self.is_mine()?;
        }
        let root_key = match options.root_key {
            RootKeyKind::File => json!({ "file": "root.key" }),
            RootKeyKind::Passphrase => json!(ASK),
        };
        let members: Map<String, Value> = [
            ("store", json!("sled:store")),
            ("root_key", root_key),
            ("account_id", json!(options.account_id)),
            ("region", json!(options.region)),
            ("sweep", json!(60)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
        let text = format!("{:#}\n", Value::Object(members.clone()));
        // Nothing is made before all is known.
        let config = Config::parse(&self.complete(members, true)?)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(Failure::at(self.folder.display()))?;
        self.is_mine()?;
        // The store first: a configuration that is there belongs to one that is.
        drop(Engine::open(config)?);
        self.write_new(&place, text.as_bytes()).map_err(Failure::at(place.display()))?;
        let (folder, root_key) = (self.folder.display(), self.file("root.key"));
        let precious = match options.root_key {
            RootKeyKind::File => root_key.display().to_string(),
            RootKeyKind::Passphrase => "its passphrase".to_owned(),
        };
        say(&format!(
            "A KMS is in {folder}. Keep a copy of {precious} somewhere else: without it nobody opens the store.\n\
             Next: kms --home {folder} access-key create, then kms --home {folder} serve"
        ))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration of the engine, its passphrase included.
    pub(crate) fn config(&self) -> Result<Zeroizing<String>, Failure> {
        let place = self.file("config.json");
        let text = match fs::read_to_string(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = self.folder.display();
                return Err(Failure::Cannot(format!("there is no KMS in {folder}: \"kms init\" makes one")));
            }
            read => read.map_err(Failure::at(place.display()))?,
        };
        self.is_mine()?;
        let members = serde_json::from_str::<Map<String, Value>>(&text);
        let members = members.map_err(|error| Failure::Cannot(format!("{}: {error}", place.display())))?;
        self.complete(members, false)
    }

    /// Who could write to the folder could put a socket of his own there; and what another user makes in it, its owner could
    /// not open.
    fn is_mine(&self) -> Result<(), Failure> {
        let folder = fs::metadata(&self.folder).map_err(Failure::at(self.folder.display()))?;
        if folder.uid() != geteuid().as_raw() {
            let (folder, owner) = (self.folder.display(), folder.uid());
            return Err(Failure::Cannot(format!("{folder} belongs to the user {owner}: run this as that user")));
        }
        if folder.mode() & 0o022 != 0 {
            let folder = self.folder.display();
            return Err(Failure::Cannot(format!("others may write to {folder}: chmod go-w {folder}")));
        }
        Ok(())
    }

    /// What the engine is opened with: the file's members, its paths taken from the home folder.
    fn complete(&self, mut members: Map<String, Value>, create: bool) -> Result<Zeroizing<String>, Failure> {
        members.entry("store").or_insert_with(|| json!("sled:store"));
        members.entry("root_key").or_insert_with(|| json!({ "file": "root.key" }));
        if let Some(Value::String(store)) = members.get("store") {
            let path = match store.split_once(':') {
                Some(("sled", path)) => path,
                Some(_) => return Err(Failure::Cannot("config.json: store must be on disk: sled:PATH".to_owned())),
                None => store,
            };
            let store = format!("sled:{}", self.file(path).display());
            members.insert("store".to_owned(), store.into());
        }
        if let Some(Value::Object(root_key)) = members.get_mut("root_key") {
            if let Some(Value::String(file)) = root_key.get("file") {
                let file = self.file(file).display().to_string();
                root_key.insert("file".to_owned(), file.into());
            }
            if create {
                root_key.insert("create".to_owned(), true.into());
            }
        }
        let asked = members.get("root_key").is_some_and(|value| *value == ASK);
        if asked {
            members.remove("root_key");
        }
        let mut config = Zeroizing::new(Value::Object(members).to_string());
        if asked {
            let passphrase = match &self.passphrase_file {
                Some(file) => secret::read(file, secret::PASSPHRASE)?,
                None => secret::passphrase(create)?,
            };
            let passphrase = secret::json(passphrase.as_str()).map_err(|error| Failure::Cannot(error.to_string()))?;
            let front = config.strip_suffix('}').unwrap_or_default();
            config = Zeroizing::new(format!("{front},\"root_key\":{{\"passphrase\":{}}}}}", *passphrase));
        }
        Ok(config)
    }

    /// Writes a file that must not be there yet, whole or not at all, and does not come back before it is on disk.
    fn write_new(&self, place: &Path, text: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(place)?;
        File::open(&self.folder)?.sync_all()
    }
}
