//! The steps that import key material.

use kms_core::crypto::asymmetric::{EncryptionScheme, Kind, PublicKey};
use kms_engine::os_rng::OsRng;
use serde_json::{Value, json};

use super::choice::pick;
use super::step::KeyPick;
use super::{Due, World, Writes};
use crate::call::{base64, bytes, call, text};
use crate::model::Token;
use crate::story::Deed;

/// The most tokens that a history remembers.
const MAX_TOKENS: usize = 16;
/// When material expires, in seconds from now; `None` is never. Material of yesterday is refused.
const EXPIRES: [Option<i64>; 8] = [None, None, Some(3600), Some(86_400), Some(7 * 86_400), Some(1), Some(0), Some(-1)];

/// Parameters to be, and the key that they are of.
impl Due for (Value, usize) {
    fn told(&self) -> Value {
        let mut told = self.0.clone();
        told["..."] = "...".into();
        told
    }
}

fn wrap(token: &Token, material: &[u8]) -> Vec<u8> {
    let (kind, scheme) =
        if token.sm2 { (Kind::Sm2, EncryptionScheme::Sm2) } else { (Kind::Rsa2048, EncryptionScheme::OaepSha256) };
    let key = PublicKey::parse(kind, &token.public_key).expect("a wrapping key is one");
    let mut wrapped = vec![0; key.ciphertext_len(material.len())];
    key.encrypt(scheme, material, &mut OsRng, &mut wrapped).expect("it can be wrapped");
    wrapped
}

impl World {
    pub(super) fn import_parameters(&mut self, key: KeyPick, wrapping: u8) {
        let name = self.name(key);
        // RSA keys take long to make.
        let sm2 = !wrapping.is_multiple_of(16);
        let (algorithm, spec) = if sm2 { ("SM2PKE", "EC_SM2") } else { ("RSAES_OAEP_SHA_256", "RSA_2048") };
        let params = json!({
            "KeyId": self.model.written(&name), "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec,
        });
        let expected = self.model.import_parameters(&name, sm2);
        let deed = Deed::Call { action: "GetParametersForImport", params: params.clone() };
        let given = self.attempt(deed, Writes::Never, self.model.clone(), expected, |engine| {
            call(engine, "GetParametersForImport", &params)
        });
        let Some((mut reply, (due, key))) = given else { return };
        let token = text(&reply, "/ImportToken").to_owned();
        let public_key = bytes(&reply, "/PublicKey");
        for member in ["ImportToken", "PublicKey"] {
            reply.as_object_mut().expect("a reply is an object").remove(member);
        }
        self.compare("GetParametersForImport", &params, &reply, &due);
        if self.tokens.len() < MAX_TOKENS {
            let expires = self.model.now + 86_400;
            self.tokens.push(Token { key, expires, text: token, public_key, sm2 });
        }
    }

    /// Imports into the key of a token, mostly: the material that it wants, mostly.
    pub(super) fn import(&mut self, token: u8, key: Option<KeyPick>, material: u8, expires: u8) {
        let Some(token) = usize::from(token).checked_rem(self.tokens.len()).map(|at| self.tokens[at].clone()) else {
            return;
        };
        let name = key.map_or(crate::model::Name::Key(token.key), |key| self.name(key));
        let len = self.model.keys[token.key].material_len();
        let material = match material % 16 {
            15 => vec![1; len + 1],
            14 => vec![1; len - 1],
            13 => vec![2; len],
            _ => vec![1; len],
        };
        let expires = pick(&EXPIRES, expires).map_or(0, |after| self.model.now.saturating_add_signed(after));
        let params = json!({
            "KeyId": self.model.written(&name),
            "ImportToken": token.text,
            "EncryptedKeyMaterial": base64(&wrap(&token, &material)),
            "KeyMaterialExpireUnix": expires,
        });
        self.act("ImportKeyMaterial", params, Writes::IfChanged, |model| {
            model.import(&name, &token, &material, expires)
        });
    }
}
