//! The parameters of a call: names and texts, as the RPC form of the contract has them.
//!
//! Every door (JSON, HTTP query, HTTP form) brings its parameters into this one shape; how a text becomes a number, a flag
//! or a list is decided here, once.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::error::KmsError;

/// The parameters that are secrets of their sender's, in whichever action they stand: what is to be encrypted, and the value of
/// a secret. They belong on no command line and into no log. All others may be seen: names, settings, contexts, digests,
/// ciphertexts, and material and tokens, which are sealed.
pub const SECRETS: [&str; 2] = ["Plaintext", "SecretData"];

/// The parameters of one call. Texts are wiped when this goes: one of them may be a plaintext.
#[derive(Default)]
pub struct Params(BTreeMap<String, Zeroizing<String>>);

impl Params {
    /// Adds a parameter. `false`, and nothing is changed, when one of that name is there.
    #[must_use]
    pub fn insert(&mut self, name: String, text: Zeroizing<String>) -> bool {
        match self.0.entry(name) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(text);
                true
            }
        }
    }

    /// The text of a parameter; an empty one counts as absent (OP-39).
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.text_or_empty(name).filter(|text| !text.is_empty())
    }

    /// The text of a parameter for which empty is a value: descriptions.
    #[must_use]
    pub fn text_or_empty(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.as_str())
    }

    /// The text of a required parameter.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn required(&self, name: &'static str) -> Result<&str, KmsError> {
        self.text(name).ok_or_else(|| KmsError::missing(name))
    }

    /// Checks that a parameter is given. An empty Description is one: it removes what was there (OP-37, OP-39).
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn require(&self, name: &'static str) -> Result<(), KmsError> {
        let given = if name == "Description" { self.text_or_empty(name) } else { self.text(name) };
        given.map(|_| ()).ok_or_else(|| KmsError::missing(name))
    }

    /// A description: up to 8192 characters, empty when absent.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn description(&self, name: &'static str) -> Result<&str, KmsError> {
        let text = self.text_or_empty(name).unwrap_or("");
        if text.len() > 8192 && text.chars().count() > 8192 { Err(KmsError::invalid(name)) } else { Ok(text) }
    }

    /// A flag: `true` or `false`, upper and lower case alike (OP-07).
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, KmsError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(KmsError::invalid(name)),
        }
    }

    /// A whole number in decimal digits, from `min` to `max`.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn number(&self, name: &'static str, min: u64, max: u64) -> Result<Option<u64>, KmsError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
        match number {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(KmsError::invalid(name)),
        }
    }

    /// One of the texts that `read` knows.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn choice<T>(&self, name: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, KmsError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => read(text).map(Some).ok_or_else(|| KmsError::invalid(name)),
        }
    }

    /// Standard Base64 with padding, in its one canonical form.
    ///
    /// # Errors
    /// `MissingParameter` and `InvalidParameter`.
    pub fn base64(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        decode_base64(self.required(name)?).ok_or_else(|| KmsError::invalid(name))
    }
}

/// The bytes of a canonical Base64 text (RFC 4648, chapter 4): padded, no bits left over.
#[must_use]
pub fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    use base64::Engine as _;
    // Room for the whole before it is filled: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3 + 3));
    base64::engine::general_purpose::STANDARD.decode_vec(text, &mut bytes).ok()?;
    Some(bytes)
}

/// A JSON object inside a parameter, read as a struct. By itself a derived struct takes an array of its members' values too.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// The names alone: a text may be a secret.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
