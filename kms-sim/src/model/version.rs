//! Versions of a key, made by time or by CreateKeyVersion (contract, 8.13 to 8.16).

use serde_json::{Value, json};

use super::key::interval;
use super::{DAY, Expected, Model, Name, Page, Refusal, State, Version, is_asymmetric, refuse, step, time_text};

impl Model {
    fn version_of(&self, key: usize, version: usize) -> Value {
        let Version { id, created } = &self.keys[key].versions[version];
        json!({ "KeyId": self.keys[key].id, "KeyVersionId": id, "CreationDate": time_text(*created) })
    }

    /// The version with this number of the key `of`, asked for as one of the key `key`.
    pub(super) fn find_version(&self, key: usize, (of, number): (usize, usize)) -> Result<usize, Refusal> {
        let found = key == of && number < self.keys[key].versions.len();
        found.then_some(number).ok_or_else(|| Refusal::new("Forbidden.KeyVersionNotFound"))
    }

    /// How the version with this number of a key is written.
    pub(crate) fn written_version(&self, (of, number): (usize, usize)) -> &str {
        let version = self.keys.get(of).and_then(|key| key.versions.get(number));
        version.map_or("86a9efd9-3d16-4894-bd4f-1fc43f3f2abf", |version| &version.id)
    }

    /// DescribeKeyVersion.
    pub(crate) fn describe_version(&self, name: &Name, version: (usize, usize)) -> Expected {
        let key = self.find(name).map_err(|refusal| vec![refusal])?;
        let number = self.find_version(key, version).map_err(|refusal| vec![refusal])?;
        step([self.gate("DescribeKeyVersion", key)])?;
        Ok(json!({ "KeyVersion": self.version_of(key, number) }))
    }

    /// ListKeyVersions: the newest first (OP-14).
    pub(crate) fn list_versions(&self, name: &Name, page: Page) -> Expected {
        page.check()?;
        let key = self.find(name).map_err(|refusal| vec![refusal])?;
        step([self.gate("ListKeyVersions", key)])?;
        let total = self.keys[key].versions.len();
        let all: Vec<Value> = (0..total).rev().map(|number| self.version_of(key, number)).collect();
        Ok(page.reply("KeyVersions", json!({ "KeyVersion": page.of(all) }), total))
    }

    /// CreateKeyVersion. The id is the engine's to draw: the version that is added has none yet.
    pub(crate) fn create_version(&mut self, name: &Name) -> Expected<()> {
        let index = self.find(name).map_err(|refusal| vec![refusal])?;
        step([self.gate("CreateKeyVersion", index)])?;
        let key = &self.keys[index];
        if !is_asymmetric(key.spec) || self.now < key.newest().created + 7 * DAY {
            return refuse(Refusal::new("Rejected.UnsupportedOperation"));
        }
        // Those of keys that are gone are gone too; the first version of a key does not count (OP-31).
        let added: usize = self
            .live()
            .map(|index| &self.keys[index])
            .filter(|key| is_asymmetric(key.spec))
            .map(|key| key.versions.len() - 1)
            .sum();
        step([(added >= self.max_versions).then(|| Refusal::new("Rejected.LimitExceeded"))])?;
        self.add_version(index);
        Ok(())
    }

    /// What CreateKeyVersion replies of the newest version.
    pub(crate) fn created_version(&self, name: &Name) -> Value {
        let Ok(key) = self.find(name) else { return Value::Null };
        json!({ "KeyVersion": self.version_of(key, self.keys[key].versions.len() - 1) })
    }

    pub(super) fn add_version(&mut self, key: usize) {
        let created = self.now;
        self.keys[key].versions.push(Version { id: String::new(), created });
    }

    /// When the next version of a key is due, while its policy is on.
    pub(super) fn next_rotation(&self, key: usize) -> Option<u64> {
        let key = &self.keys[key];
        Some(key.newest().created + key.rotation?)
    }

    /// Gives a key its next version if that is due: not while it is not Enabled (OP-28). However much time has passed, it is
    /// one version, made now.
    pub(crate) fn rotate_if_due(&mut self, key: usize) -> bool {
        let due = self.keys[key].state == State::Enabled && self.next_rotation(key).is_some_and(|at| at <= self.now);
        if due {
            self.add_version(key);
        }
        due
    }

    /// UpdateRotationPolicy. A policy whose date has passed rotates at once.
    pub(crate) fn update_rotation(&mut self, name: &Name, on: bool, every: &str) -> Expected {
        let rotation = if on {
            step([every.is_empty().then(|| Refusal::missing("RotationInterval"))])?;
            interval(every)
        } else {
            None
        };
        let bad_interval = on && rotation.is_none();
        step([Self::no_alias(name), bad_interval.then(|| Refusal::invalid("RotationInterval"))])?;
        let index = self.enter(name, "UpdateRotationPolicy")?;
        let key = &mut self.keys[index];
        step([
            is_asymmetric(key.spec).then(|| Refusal::new("Rejected.UnsupportedOperation")),
            key.external.then(|| Refusal::new("Unsupported.Origin")),
        ])?;
        key.rotation = rotation;
        self.rotate_if_due(index);
        Ok(json!({}))
    }
}
