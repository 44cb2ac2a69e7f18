//! Imported material (contract, 8.2, 8.3 and 8.9).

use serde_json::{Value, json};

use super::{DAY, Expected, Model, Name, Refusal, State, refuse, step, time_text};

/// Where in the state table a row for EXTERNAL keys stands.
fn row(action: &str) -> String {
    format!("{action} (EXTERNAL keys only)")
}

/// What came of GetParametersForImport.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) key: usize,
    pub(crate) spec: &'static str,
    pub(crate) text: String,
    /// The SubjectPublicKeyInfo in Base64.
    pub(crate) public_key: String,
    pub(crate) expires: u64,
}

/// What is sent as EncryptedKeyMaterial.
#[derive(Clone, Debug)]
pub(crate) enum Wrapped {
    /// Bytes, wrapped as they should be.
    Material(Vec<u8>),
    /// Bytes that do not open.
    Garbage,
    NoBase64,
}

impl Model {
    fn enter_external(&self, name: &Name, action: &str) -> Expected<usize> {
        let index = self.enter(name, &row(action))?;
        step([(!self.keys[index].external).then(|| Refusal::new("Unsupported.Origin"))])?;
        Ok(index)
    }

    /// GetParametersForImport: the key, and until when the token is good.
    pub(crate) fn import_parameters(&self, name: &Name, spec: &str, algorithm: &str) -> Expected<(usize, u64)> {
        let fits = match spec {
            "RSA_2048" => ["RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"].contains(&algorithm),
            "EC_SM2" => algorithm == "SM2PKE",
            _ => false,
        };
        let unknown = !["RSA_2048", "EC_SM2"].contains(&spec);
        step([
            Self::no_alias(name),
            unknown.then(|| Refusal::invalid("WrappingKeySpec")),
            (!fits).then(|| Refusal::invalid("WrappingAlgorithm")),
        ])?;
        let index = self.enter_external(name, "GetParametersForImport")?;
        let software = spec == "EC_SM2" && self.keys[index].level != "HSM";
        step([software.then(|| Refusal::new("Unsupported.ProtectionLevel"))])?;
        Ok((index, self.now + DAY))
    }

    /// ImportKeyMaterial; `token` is `None` for a text that is none.
    pub(crate) fn import(
        &mut self,
        name: &Name,
        token: Option<&Token>,
        wrapped: &Wrapped,
        expires: Option<i64>,
    ) -> Expected {
        let past = expires.is_some_and(|at| at != 0 && at < self.now.cast_signed());
        step([
            Self::no_alias(name),
            past.then(|| Refusal::invalid("KeyMaterialExpireUnix")),
            matches!(wrapped, Wrapped::NoBase64).then(|| Refusal::invalid("EncryptedKeyMaterial")),
        ])?;
        let index = self.enter_external(name, "ImportKeyMaterial")?;
        let Some(token) = token.filter(|token| token.key == index) else {
            return refuse(Refusal::new("InvalidImportToken"));
        };
        step([(token.expires <= self.now).then(|| Refusal::new("ExpiredImportToken"))])?;
        let key = &mut self.keys[index];
        let material = match wrapped {
            Wrapped::Material(material) if material.len() == key.material_len() => material,
            _ => return refuse(Refusal::new("InvalidKeyMaterial")),
        };
        // Only the same again, also after it was lost (OP-21).
        if key.first_material.get_or_insert_with(|| material.clone()) != material {
            return refuse(Refusal::new("InvalidKeyMaterial"));
        }
        key.material = true;
        key.expires = expires.filter(|at| *at != 0).map(|at| at as u64);
        key.unswept_expiry = false;
        if key.state == State::PendingImport {
            key.state = State::Enabled;
        }
        self.expire();
        Ok(json!({}))
    }

    pub(crate) fn delete_material(&mut self, name: &Name) -> Expected {
        let index = self.enter_external(name, "DeleteKeyMaterial")?;
        self.keys[index].unswept_expiry = false;
        self.lose_material(index);
        Ok(json!({}))
    }

    fn lose_material(&mut self, index: usize) {
        let key = &mut self.keys[index];
        key.material = false;
        key.expires = None;
        if key.state != State::PendingDeletion {
            key.state = State::PendingImport;
        }
    }

    /// Takes the material whose time has come, from keys that are not gone.
    pub(super) fn expire(&mut self) {
        let expired = |model: &Self, index: usize| model.keys[index].expires.is_some_and(|at| at <= model.now);
        let expired: Vec<usize> = self.live().filter(|index| expired(self, *index)).collect();
        for index in expired {
            self.lose_material(index);
            self.keys[index].unswept_expiry = true;
        }
    }

    /// What the sweep destroys of expired material: of how many keys.
    pub(super) fn sweep_expired(&mut self) -> u64 {
        let live: Vec<usize> = self.live().collect();
        let swept = live.into_iter().filter(|index| std::mem::take(&mut self.keys[*index].unswept_expiry));
        swept.count() as u64
    }

    /// MaterialExpireTime.
    pub(super) fn expiry_text(&self, index: usize) -> Value {
        self.keys[index].expires.map(time_text).unwrap_or_default().into()
    }
}
