//! Import of key material (contract, 8.2, 8.3 and 8.9).

use serde_json::{Value, json};

use super::{DAY, Expected, Key, Model, Name, Refusal, State, refuse, step, time_text};

/// What GetParametersForImport has given.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) key: usize,
    pub(crate) expires: u64,
    pub(crate) text: String,
    /// The wrapping key, a SubjectPublicKeyInfo, and whether it is one of SM2.
    pub(crate) public_key: Vec<u8>,
    pub(crate) sm2: bool,
}

impl Key {
    /// Bytes of its material.
    pub(crate) fn material_len(&self) -> usize {
        match self.spec {
            "Aliyun_AES_256" => 32,
            "Aliyun_AES_192" => 24,
            _ => 16,
        }
    }

    pub(super) fn lose_material(&mut self) {
        self.material = false;
        if self.state != State::PendingDeletion {
            self.state = State::PendingImport;
        }
    }
}

impl Model {
    fn enter_external(&self, name: &Name, row: &str) -> Expected<usize> {
        let index = self.enter(name, row)?;
        let external = self.keys[index].external;
        step([(!external).then(|| Refusal::new("Unsupported.Origin"))])?;
        Ok(index)
    }

    /// GetParametersForImport, with a wrapping key of SM2 or RSA. What is known of the reply, and the key.
    pub(crate) fn import_parameters(&self, name: &Name, sm2: bool) -> Expected<(Value, usize)> {
        let index = self.enter_external(name, "GetParametersForImport (EXTERNAL keys only)")?;
        let key = &self.keys[index];
        step([(sm2 && key.level != "HSM").then(|| Refusal::new("Unsupported.ProtectionLevel"))])?;
        Ok((json!({ "KeyId": key.id, "TokenExpireTime": time_text(self.now + DAY) }), index))
    }

    pub(crate) fn import(&mut self, name: &Name, token: &Token, material: &[u8], expires: u64) -> Expected {
        let past = expires != 0 && expires < self.now;
        step([Self::no_alias(name), past.then(|| Refusal::invalid("KeyMaterialExpireUnix"))])?;
        let index = self.enter_external(name, "ImportKeyMaterial (EXTERNAL keys only)")?;
        if token.key != index {
            return refuse(Refusal::new("InvalidImportToken"));
        }
        if token.expires <= self.now {
            return refuse(Refusal::new("ExpiredImportToken"));
        }
        let key = &mut self.keys[index];
        let same = key.first.as_deref().is_none_or(|first| first == material);
        if !same || material.len() != key.material_len() {
            return refuse(Refusal::new("InvalidKeyMaterial"));
        }
        key.first = Some(material.to_vec());
        key.material = true;
        key.expires = (expires != 0).then_some(expires);
        if key.state == State::PendingImport {
            key.state = State::Enabled;
        }
        self.expire();
        Ok(json!({}))
    }

    pub(crate) fn delete_material(&mut self, name: &Name) -> Expected {
        let index = self.enter_external(name, "DeleteKeyMaterial (EXTERNAL keys only)")?;
        self.keys[index].lose_material();
        self.keys[index].expires = None;
        Ok(json!({}))
    }
}
