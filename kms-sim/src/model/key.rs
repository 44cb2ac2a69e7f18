//! Keys, their states and tags (contract, 8.1 to 8.12 and chapter 11).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    DAY, Expected, Key, Model, Name, Page, Refusal, State, Version, arn, is_asymmetric, refuse, step, time_text,
};

/// The parameters of CreateKey.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    pub(crate) spec: &'static str,
    pub(crate) usage: Option<&'static str>,
    pub(crate) origin: &'static str,
    pub(crate) level: &'static str,
    pub(crate) description: String,
    pub(crate) rotates: bool,
    /// Empty for none.
    pub(crate) interval: &'static str,
}

const SYMMETRIC: [&str; 4] = ["Aliyun_AES_256", "Aliyun_AES_128", "Aliyun_AES_192", "Aliyun_SM4"];
const ASYMMETRIC: [&str; 5] = ["RSA_2048", "RSA_3072", "EC_P256", "EC_P256K", "EC_SM2"];

/// An interval of 7 to 730 days in seconds: digits and a unit.
pub(super) fn interval(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        'd' => DAY,
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    let seconds = text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit)?;
    (7 * DAY..=730 * DAY).contains(&seconds).then_some(seconds)
}

fn bad_description(text: &str, parameter: &str) -> Option<Refusal> {
    (text.chars().count() > 8192).then(|| Refusal::invalid(parameter))
}

impl Model {
    /// CreateKey. The ids are the engine's to draw: the key that is added has none yet.
    pub(crate) fn create_key(&mut self, new: &NewKey) -> Expected<()> {
        step([(new.rotates && new.interval.is_empty()).then(|| Refusal::missing("RotationInterval"))])?;
        let one_of = |name, value, values: &[&str]| (!values.contains(&value)).then(|| Refusal::invalid(name));
        let asymmetric = ASYMMETRIC.contains(&new.spec);
        let usage = new.usage.unwrap_or(if asymmetric { "SIGN/VERIFY" } else { "ENCRYPT/DECRYPT" });
        let usages: &[&str] = match new.spec {
            "EC_P256" | "EC_P256K" => &["SIGN/VERIFY"],
            spec if SYMMETRIC.contains(&spec) => &["ENCRYPT/DECRYPT"],
            _ => &["ENCRYPT/DECRYPT", "SIGN/VERIFY"],
        };
        let external = new.origin == "EXTERNAL";
        let rotation = if new.rotates { interval(new.interval) } else { None };
        step([
            one_of("KeySpec", new.spec, &[&SYMMETRIC[..], &ASYMMETRIC[..]].concat()),
            one_of("KeyUsage", usage, usages),
            one_of("Origin", new.origin, if asymmetric { &["Aliyun_KMS"] } else { &["Aliyun_KMS", "EXTERNAL"] }),
            one_of("ProtectionLevel", new.level, &["SOFTWARE", "HSM"]),
            bad_description(&new.description, "Description"),
            (new.rotates && (external || asymmetric)).then(|| Refusal::invalid("EnableAutomaticRotation")),
            (new.rotates && rotation.is_none()).then(|| Refusal::invalid("RotationInterval")),
        ])?;
        step([(new.level == "HSM" && !self.hsm).then(|| Refusal::new("Unsupported.ProtectionLevel"))])?;
        let full = self.max_keys.is_some_and(|max| self.live().count() >= max);
        step([full.then(|| Refusal::new("Rejected.LimitExceeded"))])?;
        self.keys.push(Key {
            id: String::new(),
            versions: vec![Version { id: String::new(), created: self.now }],
            spec: new.spec,
            usage,
            external,
            level: new.level,
            created: self.now,
            description: new.description.clone(),
            state: if external { State::PendingImport } else { State::Enabled },
            delete_at: None,
            protection: None,
            rotation,
            material: !external,
            first_material: None,
            expires: None,
            unswept_expiry: false,
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
            "KeyUsage": key.usage,
            "KeyState": key.state.text(),
            "Origin": if key.external { "EXTERNAL" } else { "Aliyun_KMS" },
            "ProtectionLevel": key.level,
            "PrimaryKeyVersion": if is_asymmetric(key.spec) { "" } else { &key.newest().id },
            "LastRotationDate": time_text(key.newest().created),
            "DeleteDate": key.delete_at.map(time_text).unwrap_or_default(),
            "MaterialExpireTime": self.expiry_text(index),
            "AutomaticRotation": match key.rotation {
                None => "Disabled",
                Some(_) if key.state == State::Enabled => "Enabled",
                Some(_) => "Suspended",
            },
        });
        if let (Some(every), Some(next)) = (key.rotation, self.next_rotation(index)) {
            metadata["RotationInterval"] = format!("{every}s").into();
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
        self.rotate_if_due(index);
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
        key.state = if key.material { State::Enabled } else { State::PendingImport };
        key.delete_at = None;
        self.rotate_if_due(index);
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
}
