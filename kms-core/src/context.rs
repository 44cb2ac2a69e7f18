//! EncryptionContext: pairs of text that are authenticated with a message but not stored in it (OP-43).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use smallvec::SmallVec;

/// Not a flat JSON object of texts, a name given twice, or more than 8192 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadContext;

/// Bytes of a canonical form, and pairs, that are kept without allocating: more than most contexts have.
pub(crate) const FEW_BYTES: usize = 208;
const FEW_PAIRS: usize = 8;

/// An encryption context in its canonical form: the pairs sorted by the bytes of their names, each text with its length
/// in bytes (u32, big-endian) before it. Equal maps have equal forms, and different maps different ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(SmallVec<[u8; FEW_BYTES]>);

impl EncryptionContext {
    /// The most characters that the JSON text of a context may have.
    pub const MAX_CHARS: usize = 8192;

    /// Reads the JSON text of a context; empty text is the empty context. A small context without escapes in its texts is read
    /// without allocating.
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
        let Pairs(mut pairs) = serde_json::from_str(json).map_err(|_| BadContext)?;
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(BadContext);
        }
        let mut canonical = SmallVec::with_capacity(pairs.iter().map(|(k, v)| k.0.len() + v.0.len() + 8).sum());
        for Text(text) in pairs.iter().flat_map(|(name, value)| [name, value]) {
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

/// A text, borrowed from the JSON where it stands there as it is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// The members of a JSON object of texts, as they stand there; a map would keep the last of two with one name.
struct Pairs<'de>(SmallVec<[(Text<'de>, Text<'de>); FEW_PAIRS]>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = SmallVec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
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

    /// Goal: order and escapes make no difference where the pairs and their bytes no longer fit on the stack either.
    #[test]
    fn many_pairs_are_sorted_too() {
        let pair = |i: usize| format!("\"name {i:03}\":\"value {i}\"");
        for count in [FEW_PAIRS - 1, FEW_PAIRS, FEW_PAIRS + 1, 100] {
            let forwards: Vec<_> = (0..count).map(pair).collect();
            let backwards: Vec<_> = (0..count).rev().map(|i| pair(i).replace("name", "n\\u0061me")).collect();
            let one = EncryptionContext::parse(&format!("{{{}}}", forwards.join(","))).unwrap();
            assert_eq!(EncryptionContext::parse(&format!("{{{}}}", backwards.join(","))).unwrap(), one);
            let expected: Vec<u8> = (0..count)
                .flat_map(|i| [format!("name {i:03}"), format!("value {i}")])
                .flat_map(|text| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat())
                .collect();
            assert_eq!(one.as_bytes(), expected);
            let twice = [forwards.join(","), pair(count / 2)].join(",");
            assert_eq!(EncryptionContext::parse(&format!("{{{twice}}}")), Err(BadContext));
        }
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
