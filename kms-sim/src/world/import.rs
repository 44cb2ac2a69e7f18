//! The steps that bring material along: wrapped as a caller would, under the public key that the engine gives.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kms_core::crypto::asymmetric::{EncryptionScheme, Kind, PublicKey};
use kms_core::rng::{EntropyError, Rng};
use serde_json::{Value, json};

use super::choice::{EXPIRIES, WRAPPINGS, pick};
use super::step::KeyPick;
use super::{Due, World, Writes};
use crate::call::{base64, call, text};
use crate::model::{Name, Token, Wrapped};
use crate::story::Deed;

/// The most tokens that a history remembers.
const MAX_TOKENS: usize = 12;

/// The key and the end of a token.
impl Due for (usize, u64) {
    fn told(&self) -> Value {
        json!({ "...": "..." })
    }
}

/// Bytes that look random, and are the same for the same start: nothing here needs to be secret.
struct Bytes(u64);

impl Rng for Bytes {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        for byte in out {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.secret(out)
    }
}

fn wrap(token: &Token, material: &[u8]) -> Vec<u8> {
    let (kind, scheme) = match token.spec {
        "EC_SM2" => (Kind::Sm2, EncryptionScheme::Sm2),
        _ => (Kind::Rsa2048, EncryptionScheme::OaepSha256),
    };
    let spki = STANDARD.decode(&token.public_key).expect("a public key in Base64");
    let key = PublicKey::parse(kind, &spki).expect("a public key of the kind that was asked for");
    let mut wrapped = vec![0; key.ciphertext_len(material.len())];
    let mut start = DefaultHasher::new();
    (spki, material).hash(&mut start);
    key.encrypt(scheme, material, &mut Bytes(start.finish()), &mut wrapped).expect("material is short");
    wrapped
}

impl World {
    pub(super) fn import_parameters(&mut self, key: KeyPick, wrapping: u8) {
        let name = self.name(key);
        let (spec, algorithm) = pick(&WRAPPINGS, wrapping);
        let written = self.model.written(&name);
        let params = json!({ "KeyId": written, "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec });
        let expected = self.model.import_parameters(&name, spec, algorithm);
        let action = "GetParametersForImport";
        let deed = Deed::Call { action, params: params.clone() };
        let make = |engine: &kms_engine::Engine| call(engine, action, &params);
        let given = self.attempt(deed, Writes::Never, self.model.clone(), expected, make);
        let Some((reply, (key, expires))) = given else { return };
        assert_eq!(text(&reply, "/KeyId"), self.model.keys[key].id, "{action}");
        assert_eq!(text(&reply, "/TokenExpireTime"), crate::model::time_text(expires), "{action}");
        let [token, public_key] = ["/ImportToken", "/PublicKey"].map(|path| text(&reply, path).to_owned());
        if self.tokens.len() == MAX_TOKENS {
            self.tokens.remove(0);
        }
        self.tokens.push(Token { key, spec, text: token, public_key, expires });
    }

    /// Imports with a token: mostly the key's own material, into the token's own key.
    pub(super) fn import(&mut self, token: u8, key: KeyPick, stray: bool, material: u8, expiry: u8) {
        let Some(index) = usize::from(token).checked_rem(self.tokens.len()) else { return };
        let token = self.tokens[index].clone();
        let name = if stray { self.name(key) } else { Name::Key(token.key) };
        let len = self.model.keys[token.key].material_len();
        // Each key has its own, in every history.
        let own = |extra: usize| vec![0x40 + token.key as u8; len + extra];
        let wrapped = match material % 16 {
            15 => Wrapped::NoBase64,
            14 => Wrapped::Garbage,
            13 => Wrapped::Material(own(1)),
            12 => Wrapped::Material(own(0).iter().map(|byte| byte ^ 1).collect()),
            _ => Wrapped::Material(own(0)),
        };
        let expires = pick(&EXPIRIES, expiry).map(|from_now| match from_now {
            // Zero is never; the clock is not.
            i64::MIN => 0,
            seconds => self.model.now.cast_signed() + seconds,
        });
        let sent = match &wrapped {
            Wrapped::Material(material) => base64(&wrap(&token, material)),
            Wrapped::Garbage => base64(&[4; 140]),
            Wrapped::NoBase64 => "no base64".to_owned(),
        };
        let no_token = expiry % 64 == 63;
        let text = if no_token { base64(b"no token") } else { token.text.clone() };
        let written = self.model.written(&name);
        let mut params = json!({ "KeyId": written, "ImportToken": text, "EncryptedKeyMaterial": sent });
        if let Some(expires) = expires {
            params["KeyMaterialExpireUnix"] = expires.into();
        }
        let told = match &wrapped {
            Wrapped::Material(material) => {
                Some((token.public_key.clone(), material.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
            _ => None,
        };
        let mut after = self.model.clone();
        let expected = after.import(&name, (!no_token).then_some(&token), &wrapped, expires);
        let action = "ImportKeyMaterial";
        let deed = Deed::Import { params: params.clone(), wrapped: told };
        let make = |engine: &kms_engine::Engine| call(engine, action, &params);
        if let Some((reply, due)) = self.attempt(deed, Writes::IfChanged, after, expected, make) {
            self.compare(action, &params, &reply, &due);
        }
    }
}
