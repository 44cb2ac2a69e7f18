//! Encrypt, Decrypt, ReEncrypt and data keys (contract, 8.17 to 8.23). A blob is known by the key that made it, by its context
//! and by what it holds.

use super::{Expected, Model, Name, Refusal, both, is_asymmetric, refuse, step};
use crate::call::canonical_base64;

/// What is known of a blob.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) key: usize,
    /// The number of its version.
    pub(crate) version: usize,
    pub(crate) context: Context,
    pub(crate) payload: Payload,
}

/// What comes of a call that encrypts.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The key and the version that the reply tells, if not those that encrypt.
    pub(crate) told: Option<(usize, usize)>,
    pub(crate) sealed: Sealed,
}

/// What a blob holds (OP-40).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Bytes(Vec<u8>),
    Text(String),
    /// A data key whose bytes nobody was shown; its length.
    Unseen(usize),
}

impl Made {
    fn of(sealed: Sealed) -> Self {
        Self { told: None, sealed }
    }
}

impl Payload {
    pub(crate) fn of_text(text: &str) -> Self {
        canonical_base64(text).map_or_else(|| Self::Text(text.to_owned()), Self::Bytes)
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Unseen(len) => *len,
        }
    }
}

/// The contexts of these histories: a few texts, some of one meaning, some that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context(pub(crate) u8);

impl Context {
    const TEXTS: [(&str, Option<u8>); 8] = [
        ("", Some(0)),
        ("{}", Some(0)),
        (r#"{"a":"1"}"#, Some(1)),
        (r#" { "\u0061" : "1" }"#, Some(1)),
        (r#"{"a":"1","b":"2"}"#, Some(2)),
        (r#"{"b":"2","a":"1"}"#, Some(2)),
        (r#"{"a":1}"#, None),
        (r#"{"a":"1","a":"1"}"#, None),
    ];

    pub(crate) fn text(self) -> &'static str {
        Self::TEXTS[usize::from(self.0 % 8)].0
    }

    /// Equal maps have equal numbers; `None` for what is no map of texts.
    fn meaning(self) -> Option<u8> {
        Self::TEXTS[usize::from(self.0 % 8)].1
    }

    fn bad(self, parameter: &str) -> Option<Refusal> {
        self.meaning().is_none().then(|| Refusal::invalid(parameter))
    }
}

impl Model {
    /// A key that encrypts: symmetric, with its newest version. Whether the next is due is another question.
    fn sealing(&self, key: usize, context: Context, payload: Payload) -> Expected<Sealed> {
        if is_asymmetric(self.keys[key].spec) {
            return refuse(Refusal::new("Rejected.UnsupportedOperation"));
        }
        Ok(Sealed { key, version: self.keys[key].versions.len() - 1, context, payload })
    }

    /// Encrypt; `typed` is the form for bytes, in which an empty plaintext is one.
    pub(crate) fn encrypt(&self, key: &Name, payload: &Payload, context: Context, typed: bool) -> Expected<Made> {
        if !typed && payload.len() == 0 {
            return refuse(Refusal::missing("Plaintext"));
        }
        let too_long = payload.len() > 6144;
        step([context.bad("EncryptionContext"), too_long.then(|| Refusal::invalid("Plaintext"))])?;
        let key = self.find(key).map_err(|refusal| vec![refusal])?;
        step([self.gate("Encrypt", key)])?;
        Ok(Made::of(self.sealing(key, context, payload.clone())?))
    }

    /// GenerateDataKey and GenerateDataKeyWithoutPlaintext.
    pub(crate) fn data_key(&self, action: &str, key: &Name, len: usize, context: Context) -> Expected<Made> {
        let bad_len = !(1..=1024).contains(&len);
        step([context.bad("EncryptionContext"), bad_len.then(|| Refusal::invalid("NumberOfBytes"))])?;
        let key = self.find(key).map_err(|refusal| vec![refusal])?;
        step([self.gate(action, key)])?;
        Ok(Made::of(self.sealing(key, context, Payload::Unseen(len))?))
    }

    fn source(&self, sealed: &Sealed) -> Result<usize, Refusal> {
        if self.is_live(sealed.key) { Ok(sealed.key) } else { Err(Refusal::new("Forbidden.KeyNotFound")) }
    }

    fn same_context(sealed: &Sealed, context: Context) -> Option<Refusal> {
        (sealed.context.meaning() != context.meaning()).then(|| Refusal::invalid("CiphertextBlob"))
    }

    pub(crate) fn decrypt(&self, sealed: &Sealed, context: Context) -> Expected {
        step([context.bad("EncryptionContext")])?;
        let key = self.source(sealed).map_err(|refusal| vec![refusal])?;
        step([self.gate("Decrypt", key)])?;
        step([Self::same_context(sealed, context)])?;
        Ok(self.used((key, sealed.version)))
    }

    pub(crate) fn reencrypt(&self, sealed: &Sealed, source: Context, to: &Name, context: Context) -> Expected<Made> {
        step([source.bad("SourceEncryptionContext"), context.bad("DestinationEncryptionContext")])?;
        let (from, to) = both(self.source(sealed), self.find(to))?;
        step([self.gate("ReEncrypt:source-key", from), self.gate("ReEncrypt:destination-key", to)])?;
        let new = self.sealing(to, context, sealed.payload.clone())?;
        step([Self::same_context(sealed, source)])?;
        // The reply names the key that decrypted (OP-44).
        Ok(Made { told: Some((from, sealed.version)), sealed: new })
    }
}
