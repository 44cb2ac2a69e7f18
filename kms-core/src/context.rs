//! EncryptionContext: pairs of text that are authenticated with a message but not stored in it (OP-43).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

/// Not a flat JSON object of texts, a name given twice, or more than 8192 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadContext;

/// An encryption context in its canonical form: the pairs sorted by the bytes of their names, each text with its length
/// in bytes (u32, big-endian) before it. Equal maps have equal forms, and different maps different ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(Vec<u8>);

impl EncryptionContext {
    /// The most characters that the JSON text of a context may have.
    pub const MAX_CHARS: usize = 8192;

    /// Reads the JSON text of a context; empty text is the empty context.
    ///
    /// # Errors
    /// [`BadContext`].
    pub fn parse(json: &str) -> Result<Self, BadContext> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        if json.len() > Self::MAX_CHARS && json.chars().count() > Self::MAX_CHARS {
            return Err(BadContext);
        }
        let Pairs(pairs) = serde_json::from_str(json).map_err(|_| BadContext)?;
        let mut canonical = Vec::with_capacity(pairs.iter().map(|(k, v)| k.len() + v.len() + 8).sum());
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            let len = u32::try_from(text.len()).map_err(|_| BadContext)?;
            canonical.extend_from_slice(&len.to_be_bytes());
            canonical.extend_from_slice(text.as_bytes());
        }
        Ok(Self(canonical))
    }

    /// The canonical form; empty for the empty context.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A JSON object of texts in which no name stands twice; plain maps would keep the last of two.
struct Pairs(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if pairs.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name stands twice"));
                    }
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_maps_are_equal_contexts() {
        let one = EncryptionContext::parse(r#"{"b":"2","a":"1"}"#).unwrap();
        assert_eq!(one, EncryptionContext::parse(" { \"a\" : \"1\", \"\\u0062\" : \"2\" } ").unwrap());
        assert_eq!(one.as_bytes(), b"\0\0\0\x01a\0\0\0\x011\0\0\0\x01b\0\0\0\x012");
        assert_eq!(EncryptionContext::parse("{}").unwrap(), EncryptionContext::parse("").unwrap());
    }

    #[test]
    fn different_maps_are_different_contexts() {
        let texts = [r#"{"a":"bc"}"#, r#"{"ab":"c"}"#, r#"{"a":"b","c":""}"#, r#"{"a":"","b":"c"}"#, r#"{"":"abc"}"#];
        let mut forms: Vec<_> = texts.iter().map(|text| EncryptionContext::parse(text).unwrap().0).collect();
        forms.sort();
        forms.dedup();
        assert_eq!(forms.len(), texts.len());
    }

    #[test]
    fn only_flat_maps_of_texts_are_contexts() {
        for bad in ["[]", "1", "null", "x", "{", r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":["b"]}"#] {
            assert_eq!(EncryptionContext::parse(bad), Err(BadContext), "{bad}");
        }
        for twice in [r#"{"a":"1","a":"2"}"#, r#"{"a":"1","a":"1"}"#, r#"{"a":"1","\u0061":"1"}"#, r#"{"a":"1"}{}"#] {
            assert_eq!(EncryptionContext::parse(twice), Err(BadContext), "{twice}");
        }
    }

    #[test]
    fn the_limit_counts_characters() {
        let frame = r#"{"":""}"#.len();
        let text = |n: usize| format!(r#"{{"":"{}"}}"#, "é".repeat(n - frame));
        assert!(EncryptionContext::parse(&text(8192)).is_ok());
        assert_eq!(EncryptionContext::parse(&text(8193)), Err(BadContext));
    }
}
