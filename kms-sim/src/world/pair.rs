//! The steps of key pairs: signatures, encryption to a public key, and public keys.

use kms_engine::Engine;
use serde_json::{Value, json};

use super::choice::{ALGORITHMS, pick};
use super::step::KeyPick;
use super::{Due, World, Writes};
use crate::call::{base64, bytes, call, text};
use crate::model::{Name, Refusal};
use crate::story::Deed;

/// The most signatures, ciphertexts and public keys that a history remembers, of each.
const MAX: usize = 16;

/// The key and the version that did the work.
impl Due for (usize, usize) {
    fn told(&self) -> Value {
        json!({ "...": "..." })
    }
}

/// What a key pair has made, with its key and the number of its version.
#[derive(Clone, Debug)]
struct Work {
    of: (usize, usize),
    algorithm: &'static str,
    /// The digest, or the plaintext.
    input: Vec<u8>,
    /// The signature, or the ciphertext.
    output: Vec<u8>,
}

/// What key pairs have made.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    signatures: Vec<Work>,
    ciphertexts: Vec<Work>,
    public_keys: Vec<((usize, usize), String)>,
}

fn remember<T>(list: &mut Vec<T>, one: T) {
    if list.len() == MAX {
        list.remove(0);
    }
    list.push(one);
}

fn digest(choice: u8) -> Vec<u8> {
    // One in 32 is no digest.
    vec![choice; if choice % 32 == 31 { 31 } else { 32 }]
}

impl World {
    /// The version that a step names: of the key, mostly.
    pub(super) fn version(&self, name: &Name, choice: u8) -> (usize, usize) {
        let key = match choice % 16 {
            15 => usize::MAX,
            14 => usize::from(choice / 16) % self.model.keys.len().max(1),
            _ => self.model.find(name).unwrap_or(usize::MAX),
        };
        let versions = self.model.keys.get(key).map_or(1, |key| key.versions.len());
        (key, usize::from(choice / 16) % versions)
    }

    /// An action of a key pair; `bad` is what is wrong with the form of its own parameters.
    fn pair(
        &mut self,
        action: &'static str,
        (key, version): (&Name, (usize, usize)),
        (usage, algorithm): (&str, &str),
        mut params: Value,
        bad: Option<Refusal>,
    ) -> Option<(Value, (usize, usize))> {
        params["KeyId"] = self.model.written(key).into();
        params["KeyVersionId"] = self.model.written_version(version).into();
        if !algorithm.is_empty() {
            params["Algorithm"] = algorithm.into();
        }
        let expected = self.model.pair(action, key, version, (usage, algorithm), bad);
        let deed = Deed::Call { action, params: params.clone() };
        let make = |engine: &Engine| call(engine, action, &params);
        let (mut reply, of) = self.attempt(deed, Writes::Never, self.model.clone(), expected, make)?;
        let members = reply.as_object_mut().expect("a reply is an object");
        let told = json!({ "KeyId": members.remove("KeyId"), "KeyVersionId": members.remove("KeyVersionId") });
        assert_eq!(told, self.model.used(of), "{action}");
        Some((reply, of))
    }

    pub(super) fn sign(&mut self, key: KeyPick, version: u8, algorithm: u8, input: u8) {
        let name = self.name(key);
        let version = self.version(&name, version);
        let algorithm = self.fitting(&name, algorithm);
        let input = digest(input);
        let bad = (input.len() != 32).then(|| Refusal::invalid("Digest"));
        let params = json!({ "Digest": base64(&input) });
        let signed = self.pair("AsymmetricSign", (&name, version), ("SIGN/VERIFY", algorithm), params, bad);
        if let Some((reply, of)) = signed {
            let work = Work { of, algorithm, input, output: bytes(&reply, "/Value") };
            self.check_signature(&work);
            remember(&mut self.pairs.signatures, work);
        }
    }

    /// Verifies a signature, as it was made or with one bit changed.
    pub(super) fn verify(&mut self, signature: u8, alter: bool) {
        let Some(index) = usize::from(signature).checked_rem(self.pairs.signatures.len()) else { return };
        let Work { of, algorithm, mut input, output } = self.pairs.signatures[index].clone();
        if alter {
            input[usize::from(signature) % 32] ^= 1;
        }
        let params = json!({ "Digest": base64(&input), "Value": base64(&output) });
        let key = Name::Key(of.0);
        if let Some((reply, _)) = self.pair("AsymmetricVerify", (&key, of), ("SIGN/VERIFY", algorithm), params, None) {
            assert_eq!(reply, json!({ "Value": !alter }), "AsymmetricVerify");
        }
    }

    pub(super) fn pair_encrypt(&mut self, key: KeyPick, version: u8, algorithm: u8, len: u8) {
        let name = self.name(key);
        let version = self.version(&name, version);
        let algorithm = self.fitting(&name, algorithm);
        let input = vec![len; usize::from(len).max(1)];
        let params = json!({ "Plaintext": base64(&input) });
        let usage = ("ENCRYPT/DECRYPT", algorithm);
        if let Some((reply, of)) = self.pair("AsymmetricEncrypt", (&name, version), usage, params, None) {
            let work = Work { of, algorithm, input, output: bytes(&reply, "/CiphertextBlob") };
            remember(&mut self.pairs.ciphertexts, work);
        }
    }

    pub(super) fn pair_decrypt(&mut self, ciphertext: u8) {
        let Some(index) = usize::from(ciphertext).checked_rem(self.pairs.ciphertexts.len()) else { return };
        let Work { of, algorithm, input, output } = self.pairs.ciphertexts[index].clone();
        let params = json!({ "CiphertextBlob": base64(&output) });
        let usage = ("ENCRYPT/DECRYPT", algorithm);
        if let Some((reply, _)) = self.pair("AsymmetricDecrypt", (&Name::Key(of.0), of), usage, params, None) {
            assert_eq!(reply, json!({ "Plaintext": base64(&input) }), "AsymmetricDecrypt");
        }
    }

    pub(super) fn public_key(&mut self, key: KeyPick, version: u8) {
        let name = self.name(key);
        let version = self.version(&name, version);
        let Some((reply, of)) = self.pair("GetPublicKey", (&name, version), ("", ""), json!({}), None) else { return };
        let pem = text(&reply, "/PublicKey").to_owned();
        for (other, known) in &self.pairs.public_keys {
            assert_eq!(*other == of, *known == pem, "the public keys of {other:?} and {of:?}");
        }
        if !self.pairs.public_keys.iter().any(|(known, _)| *known == of) {
            remember(&mut self.pairs.public_keys, (of, pem));
        }
    }

    pub(super) fn create_version(&mut self, key: KeyPick) {
        let name = self.name(key);
        let params = json!({ "KeyId": self.model.written(&name) });
        let mut after = self.model.clone();
        let expected = after.create_version(&name);
        let action = "CreateKeyVersion";
        let deed = Deed::Call { action, params: params.clone() };
        let make = |engine: &Engine| call(engine, action, &params);
        let Some((reply, ())) = self.attempt(deed, Writes::IfChanged, after, expected, make) else { return };
        self.learn();
        let due = self.model.created_version(&name);
        assert_eq!(reply, due, "{action} {params}");
    }

    /// An algorithm of the key's, mostly.
    fn fitting(&self, name: &Name, choice: u8) -> &'static str {
        let key = self.model.find(name).ok().map(|index| &self.model.keys[index]);
        match key.map(|key| (key.spec, key.usage)) {
            _ if choice % 8 == 7 => pick(&ALGORITHMS, choice / 8),
            Some(("EC_SM2", "ENCRYPT/DECRYPT")) => "SM2PKE",
            Some(("EC_SM2", _)) => "SM2DSA",
            Some((_, "ENCRYPT/DECRYPT")) => "RSAES_OAEP_SHA_256",
            _ => "ECDSA_SHA_256",
        }
    }

    /// A signature of an Enabled key is good.
    fn check_signature(&mut self, work: &Work) {
        let Work { of, algorithm, input, output } = work;
        let (key, version) = (Name::Key(of.0), *of);
        let params = json!({
            "KeyId": self.model.written(&key),
            "KeyVersionId": self.model.written_version(version),
            "Algorithm": algorithm,
            "Digest": base64(input),
            "Value": base64(output),
        });
        let expected = self.model.pair("AsymmetricVerify", &key, version, ("SIGN/VERIFY", algorithm), None);
        let expected = expected.map(|of| {
            let mut reply = self.model.used(of);
            reply["Value"] = true.into();
            reply
        });
        self.ask("AsymmetricVerify", params, expected);
    }

    /// Every signature is good, and every ciphertext decrypts, where the key is Enabled.
    pub(super) fn check_pairs(&mut self) {
        for work in self.pairs.signatures.clone() {
            self.check_signature(&work);
        }
        for Work { of, algorithm, input, output } in self.pairs.ciphertexts.clone() {
            let key = Name::Key(of.0);
            let params = json!({
                "KeyId": self.model.written(&key),
                "KeyVersionId": self.model.written_version(of),
                "Algorithm": algorithm,
                "CiphertextBlob": base64(&output),
            });
            let expected = self.model.pair("AsymmetricDecrypt", &key, of, ("ENCRYPT/DECRYPT", algorithm), None);
            let expected = expected.map(|of| {
                let mut reply = self.model.used(of);
                reply["Plaintext"] = base64(&input).into();
                reply
            });
            self.ask("AsymmetricDecrypt", params, expected);
        }
    }
}
