//! Keys, their states, tags and versions (contract, 8.1 to 8.14 and chapter 11).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{DAY, Expected, Key, Model, Name, Page, Refusal, State, Version, arn, refuse, step, time_text};

/// The parameters of CreateKey.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    pub(crate) spec: &'static str,
    pub(crate) origin: &'static str,
    pub(crate) level: &'static str,
    pub(crate) description: String,
    /// The interval of a key that is to rotate.
    pub(crate) rotation: Option<&'static str>,
}

/// The seconds of an interval; `None` for one that is no interval of a rotation.
fn interval(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "d" => DAY,
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    Some(digits.parse::<u64>().unwrap() * unit).filter(|seconds| (7 * DAY..=730 * DAY).contains(seconds))
}

fn bad_interval(rotation: Option<&str>) -> Option<Refusal> {
    rotation.is_some_and(|text| interval(text).is_none()).then(|| Refusal::invalid("RotationInterval"))
}

fn bad_description(text: &str, parameter: &str) -> Option<Refusal> {
    (text.chars().count() > 8192).then(|| Refusal::invalid(parameter))
}

impl Model {
    /// CreateKey. The ids are the engine's to draw: the key that is added has none yet.
    pub(crate) fn create_key(&mut self, new: &NewKey) -> Expected<()> {
        let one_of = |name, value, values: &[&str]| (!values.contains(&value)).then(|| Refusal::invalid(name));
        step([
            one_of("KeySpec", new.spec, &["Aliyun_AES_256", "Aliyun_AES_128", "Aliyun_AES_192", "Aliyun_SM4"]),
            one_of("Origin", new.origin, &["Aliyun_KMS", "EXTERNAL"]),
            one_of("ProtectionLevel", new.level, &["SOFTWARE", "HSM"]),
            bad_description(&new.description, "Description"),
            bad_interval(new.rotation),
            (new.rotation.is_some() && new.origin != "Aliyun_KMS").then(|| Refusal::invalid("EnableAutomaticRotation")),
        ])?;
        step([(new.level == "HSM" && !self.hsm).then(|| Refusal::new("Unsupported.ProtectionLevel"))])?;
        let full = self.max_keys.is_some_and(|max| self.live().count() >= max);
        step([full.then(|| Refusal::new("Rejected.LimitExceeded"))])?;
        let external = new.origin == "EXTERNAL";
        self.keys.push(Key {
            id: String::new(),
            versions: vec![Version { id: String::new(), created: self.now }],
            spec: new.spec,
            external,
            level: new.level,
            created: self.now,
            description: new.description.clone(),
            state: if external { State::PendingImport } else { State::Enabled },
            delete_at: None,
            protection: None,
            rotation: new.rotation.and_then(interval),
            first: None,
            material: false,
            expires: None,
            tags: Vec::new(),
            swept: false,
        });
        Ok(())
    }

    /// KeyMetadata; DescribeKey shows the deletion protection too (OP-29).
    pub(crate) fn metadata(&self, index: usize, described: bool) -> Value {
        let key = &self.keys[index];
        let mut metadata = json!({
            "KeyId": key.id,
            "Arn": arn(&format!("key/{}", key.id)),
            "Creator": super::ACCOUNT,
            "CreationDate": time_text(key.created),
            "Description": key.description,
            "KeySpec": key.spec,
            "KeyUsage": "ENCRYPT/DECRYPT",
            "KeyState": key.state.text(),
            "Origin": if key.external { "EXTERNAL" } else { "Aliyun_KMS" },
            "ProtectionLevel": key.level,
            "PrimaryKeyVersion": key.primary().id,
            "LastRotationDate": time_text(key.primary().created),
            "DeleteDate": key.delete_at.map(time_text).unwrap_or_default(),
            "MaterialExpireTime": key.expires.filter(|_| key.material).map(time_text).unwrap_or_default(),
            "AutomaticRotation": match (key.rotation, key.state) {
                (None, _) => "Disabled",
                (Some(_), State::Enabled) => "Enabled",
                (Some(_), _) => "Suspended",
            },
        });
        if let Some((interval, next)) = key.rotation.zip(key.next_rotation()) {
            metadata["RotationInterval"] = format!("{interval}s").into();
            metadata["NextRotationDate"] = time_text(next).into();
        }
        if described {
            metadata["DeletionProtection"] = if key.protection.is_some() { "Enabled" } else { "Disabled" }.into();
            if let Some(description) = key.protection.as_deref().filter(|text| !text.is_empty()) {
                metadata["DeletionProtectionDescription"] = description.into();
            }
        }
        json!({ "KeyMetadata": metadata })
    }

    pub(crate) fn describe_key(&self, name: &Name) -> Expected {
        let index = self.find(name).map_err(|refusal| vec![refusal])?;
        step([self.gate("DescribeKey", index)])?;
        Ok(self.metadata(index, true))
    }

    pub(crate) fn list_keys(&self, page: Page, state: Option<State>) -> Expected {
        page.check()?;
        let mut found: Vec<_> = self
            .live()
            .map(|index| &self.keys[index])
            .filter(|key| state.is_none_or(|state| state == key.state))
            .collect();
        found.sort_by_key(|key| (key.created, &key.id));
        let total = found.len();
        let show = |key: &Key| json!({ "KeyId": key.id, "KeyArn": arn(&format!("key/{}", key.id)) });
        let list: Vec<Value> = page.of(found).into_iter().map(show).collect();
        Ok(page.reply("Keys", json!({ "Key": list }), total))
    }

    pub(crate) fn enable(&mut self, name: &Name, on: bool) -> Expected {
        let index = self.enter(name, if on { "EnableKey" } else { "DisableKey" })?;
        self.keys[index].state = if on { State::Enabled } else { State::Disabled };
        self.rotate(index);
        Ok(json!({}))
    }

    pub(crate) fn schedule_deletion(&mut self, name: &Name, days: Option<i64>) -> Expected {
        let days = days.unwrap_or(30);
        let bad_days = !(7..=30).contains(&days);
        step([Self::no_alias(name), bad_days.then(|| Refusal::invalid("PendingWindowInDays"))])?;
        let index = self.enter(name, "ScheduleKeyDeletion")?;
        if self.keys[index].protection.is_some() {
            step([self.gate("ScheduleKeyDeletion:deletion-protection-on", index)])?;
        }
        let key = &mut self.keys[index];
        key.state = State::PendingDeletion;
        key.delete_at = Some(self.now + days as u64 * DAY);
        Ok(json!({}))
    }

    pub(crate) fn cancel_deletion(&mut self, name: &Name) -> Expected {
        let index = self.enter(name, "CancelKeyDeletion")?;
        let key = &mut self.keys[index];
        // OP-23.
        key.state = if key.external && !key.material { State::PendingImport } else { State::Enabled };
        key.delete_at = None;
        self.rotate(index);
        Ok(json!({}))
    }

    /// UpdateRotationPolicy: on with an interval, or off.
    pub(crate) fn update_rotation(&mut self, name: &Name, rotation: Option<&str>) -> Expected {
        step([Self::no_alias(name), bad_interval(rotation)])?;
        let index = self.enter(name, "UpdateRotationPolicy")?;
        step([self.keys[index].external.then(|| Refusal::new("Unsupported.Origin"))])?;
        self.keys[index].rotation = rotation.and_then(interval);
        self.rotate(index);
        Ok(json!({}))
    }

    pub(crate) fn set_protection(&mut self, name: &Name, on: bool, description: &str) -> Expected {
        let bad_arn = !matches!(name, Name::Arn(_) | Name::ForeignArn(_));
        step([
            bad_arn.then(|| Refusal::invalid("ProtectedResourceArn")),
            // Without protection the description is not used (8.6).
            if on { bad_description(description, "DeletionProtectionDescription") } else { None },
        ])?;
        let index = self.enter(name, "SetDeletionProtection")?;
        self.keys[index].protection = on.then(|| description.to_owned());
        Ok(json!({}))
    }

    pub(crate) fn describe(&mut self, name: &Name, description: &str) -> Expected {
        step([Self::no_alias(name), bad_description(description, "Description")])?;
        let index = self.enter(name, "UpdateKeyDescription")?;
        self.keys[index].description = description.to_owned();
        Ok(json!({}))
    }

    /// TagResource (OP-92): nothing changes when more than ten would result.
    pub(crate) fn tag(&mut self, name: &Name, tags: &[(String, String)]) -> Expected {
        let mut seen = HashSet::new();
        let good = !tags.is_empty()
            && tags.iter().all(|(key, value)| {
                let reserved = key.starts_with("aliyun") || key.starts_with("acs:");
                (1..=128).contains(&key.len()) && !reserved && value.chars().count() <= 128 && seen.insert(key)
            });
        step([Self::no_alias(name), (!good).then(|| Refusal::invalid("Tags"))])?;
        let index = self.enter(name, "TagResource")?;
        let mut all = self.keys[index].tags.clone();
        for (key, value) in tags {
            match all.iter_mut().find(|(old, _)| old == key) {
                Some((_, old)) => old.clone_from(value),
                None => all.push((key.clone(), value.clone())),
            }
        }
        if all.len() > 10 {
            return refuse(Refusal::new("Rejected.LimitExceeded"));
        }
        self.keys[index].tags = all;
        Ok(json!({}))
    }

    pub(crate) fn untag(&mut self, name: &Name, keys: &[String]) -> Expected {
        let good = !keys.is_empty() && keys.iter().all(|key| (1..=128).contains(&key.len()));
        step([Self::no_alias(name), (!good).then(|| Refusal::invalid("TagKeys"))])?;
        let index = self.enter(name, "UntagResource")?;
        self.keys[index].tags.retain(|(key, _)| !keys.contains(key));
        Ok(json!({}))
    }

    /// ListResourceTags. The contract gives no order; the reply is compared sorted by key.
    pub(crate) fn list_tags(&self, name: &Name) -> Expected<Vec<(String, String)>> {
        let index = self.enter(name, "ListResourceTags")?;
        let mut tags = self.keys[index].tags.clone();
        tags.sort();
        Ok(tags)
    }

    fn version_of(&self, index: usize, version: &Version) -> Value {
        json!({
            "KeyId": self.keys[index].id, "KeyVersionId": version.id, "CreationDate": time_text(version.created),
        })
    }

    /// DescribeKeyVersion of the newest version of another key, `of`, or of this one.
    pub(crate) fn describe_version(&self, name: &Name, of: usize) -> Expected {
        let index = self.find(name).map_err(|refusal| vec![refusal])?;
        if index != of {
            return refuse(Refusal::new("Forbidden.KeyVersionNotFound"));
        }
        step([self.gate("DescribeKeyVersion", index)])?;
        Ok(json!({ "KeyVersion": self.version_of(index, self.keys[index].primary()) }))
    }

    pub(crate) fn list_versions(&self, name: &Name, page: Page) -> Expected {
        page.check()?;
        let index = self.find(name).map_err(|refusal| vec![refusal])?;
        step([self.gate("ListKeyVersions", index)])?;
        let versions = &self.keys[index].versions;
        let all = versions.iter().rev().map(|version| self.version_of(index, version)).collect();
        Ok(page.reply("KeyVersions", json!({ "KeyVersion": page.of(all) }), versions.len()))
    }
}
