//! Signatures, encryption to a public key, and public keys (contract, 8.24 to 8.28).

use serde_json::{Value, json};

use super::{Expected, Model, Name, Refusal, is_asymmetric, step};

/// Whether an algorithm signs, and with what keys; `None` for none.
fn algorithm(name: &str) -> Option<(&'static str, &'static [&'static str])> {
    const RSA: &[&str] = &["RSA_2048", "RSA_3072"];
    Some(match name {
        "RSA_PSS_SHA_256" | "RSA_PKCS1_SHA_256" => ("SIGN/VERIFY", RSA),
        "ECDSA_SHA_256" => ("SIGN/VERIFY", &["EC_P256", "EC_P256K"]),
        "SM2DSA" => ("SIGN/VERIFY", &["EC_SM2"]),
        "RSAES_OAEP_SHA_256" | "RSAES_OAEP_SHA_1" => ("ENCRYPT/DECRYPT", RSA),
        "SM2PKE" => ("ENCRYPT/DECRYPT", &["EC_SM2"]),
        _ => return None,
    })
}

impl Model {
    /// The checks of the actions of a key pair, but for their own parameters, whose form `bad` has checked: key and version
    /// that do it. `usage` and `name` of the algorithm are empty where there is none.
    pub(crate) fn pair(
        &self,
        action: &str,
        key: &Name,
        version: (usize, usize),
        (usage, name): (&str, &str),
        bad: Option<Refusal>,
    ) -> Expected<(usize, usize)> {
        let named = algorithm(name).filter(|(of, _)| *of == usage);
        let unknown = !name.is_empty() && named.is_none();
        step([unknown.then(|| Refusal::invalid("Algorithm")), bad])?;
        let index = self.find(key).map_err(|refusal| vec![refusal])?;
        let number = self.find_version(index, version).map_err(|refusal| vec![refusal])?;
        step([self.gate(action, index)])?;
        let key = &self.keys[index];
        let other = !is_asymmetric(key.spec) || !usage.is_empty() && key.usage != usage;
        step([other.then(|| Refusal::new("Rejected.UnsupportedOperation"))])?;
        let misfit = named.is_some_and(|(_, specs)| !specs.contains(&key.spec));
        step([misfit.then(|| Refusal::invalid("Algorithm"))])?;
        Ok((index, number))
    }

    /// What a reply says of the key and the version that did the work.
    pub(crate) fn used(&self, (key, version): (usize, usize)) -> Value {
        json!({ "KeyId": self.keys[key].id, "KeyVersionId": self.keys[key].versions[version].id })
    }
}
