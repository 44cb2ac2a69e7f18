//! What clients ask for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::Value;

use super::client::ask;
use super::{Scheme, Server};

type Parameters = Vec<(&'static str, String)>;

/// One kind of request.
pub struct Job {
    /// What is asked for.
    pub action: &'static str,
    /// With what.
    pub parameters: Parameters,
    /// How it is signed.
    pub scheme: Scheme,
    name: String,
    /// A member of the answer, and its value if that is known beforehand.
    told: (&'static str, Option<Value>),
}

impl Job {
    /// Something of which any answer is right that is one.
    pub(super) fn unchecked(action: &'static str, parameters: Parameters) -> Self {
        Self { action, parameters, scheme: Scheme::Acs3, name: action.to_owned(), told: ("RequestId", None) }
    }

    /// Whether this answers it.
    #[must_use]
    pub fn is_right(&self, reply: &Value) -> bool {
        let (name, value) = &self.told;
        reply["RequestId"].is_string()
            && value.as_ref().map_or(reply[*name].is_string(), |value| reply[*name] == *value)
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.name, self.scheme.name())
    }
}

/// The keys of a server, and what can be done with them.
pub struct Jobs {
    encrypting: String,
    verifying: Parameters,
    /// A ciphertext of 32 bytes.
    blob: Value,
}

impl Jobs {
    /// Makes the keys.
    ///
    /// # Errors
    /// What the server has refused.
    pub fn new(server: &Server) -> Result<Self, String> {
        let key = |spec: &str, usage: &str| {
            let parameters = [("KeySpec", spec.to_owned()), ("KeyUsage", usage.to_owned())];
            Ok::<_, String>(text(&ask(server, "CreateKey", &parameters)?["KeyMetadata"]["KeyId"]))
        };
        let encrypting = key("Aliyun_AES_256", "ENCRYPT/DECRYPT")?;
        let blob = ask(server, "Encrypt", &[("KeyId", encrypting.clone()), ("Plaintext", plaintext(32))])?;

        let pair = key("EC_P256", "SIGN/VERIFY")?;
        let versions = ask(server, "ListKeyVersions", &[("KeyId", pair.clone())])?;
        let version = text(&versions["KeyVersions"]["KeyVersion"][0]["KeyVersionId"]);
        let digest = STANDARD.encode(digest::digest(&digest::SHA256, b"what is signed"));
        let mut verifying = vec![
            ("KeyId", pair),
            ("KeyVersionId", version),
            ("Algorithm", "ECDSA_SHA_256".to_owned()),
            ("Digest", digest),
        ];
        let signature = text(&ask(server, "AsymmetricSign", &verifying)?["Value"]);
        verifying.push(("Value", signature));
        Ok(Self { encrypting, verifying, blob: blob["CiphertextBlob"].clone() })
    }

    /// Encrypts so many bytes.
    #[must_use]
    pub fn encrypt(&self, len: usize, scheme: Scheme) -> Job {
        Job {
            action: "Encrypt",
            parameters: vec![("KeyId", self.encrypting.clone()), ("Plaintext", plaintext(len))],
            scheme,
            name: format!("Encrypt {len} B"),
            told: ("CiphertextBlob", None),
        }
    }

    /// Decrypts 32 bytes.
    #[must_use]
    pub fn decrypt(&self, scheme: Scheme) -> Job {
        Job {
            action: "Decrypt",
            parameters: vec![("CiphertextBlob", text(&self.blob))],
            scheme,
            name: "Decrypt 32 B".to_owned(),
            told: ("Plaintext", Some(plaintext(32).into())),
        }
    }

    /// Verifies a signature by a key of EC_P256.
    #[must_use]
    pub fn verify(&self, scheme: Scheme) -> Job {
        Job {
            action: "AsymmetricVerify",
            parameters: self.verifying.clone(),
            scheme,
            name: "AsymmetricVerify P-256".to_owned(),
            told: ("Value", Some(true.into())),
        }
    }
}

fn plaintext(len: usize) -> String {
    STANDARD.encode((0..len).map(|i| (i * 7 + i / 256) as u8).collect::<Vec<_>>())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
