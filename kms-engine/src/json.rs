//! The JSON of a call: its parameters in, its reply out.
//!
//! A parameter may be a plaintext and a reply may hold one, so no text passes through a buffer that is not wiped.
//! serde_json finds where the values begin and end and checks their grammar; it decodes only member names. A value is
//! taken over as it was sent, because limits count its characters as sent, and a text's escapes are decoded here:
//! serde_json decodes them in a buffer of its own that it frees as it is.

use std::collections::BTreeMap;
use std::fmt;

use kms_core::id::RequestId;
use kms_core::params::Params;
use kms_core::{ErrorCode, KmsError};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// How deep a parameter may nest. It is as far as serde_json follows, so that whoever reads the parameter later can.
const MAX_DEPTH: usize = 127;

/// Reads the parameters of a call from a JSON object.
///
/// A value may be a text, a number, a boolean, an array or an object, whichever is natural. Numbers and booleans count
/// as the text that was written (`1.0` stays `1.0`), arrays and objects as their JSON text, spaces included. `null` is
/// absent.
///
/// # Errors
/// `ParseRequestParameterException` for what is not a JSON object, for a member that stands twice (also where one of
/// the two is `null`), and for a value that nests deeper than 127 levels. Members that stand twice inside a value are
/// that parameter's own affair.
pub fn params(json: &str) -> Result<Params, KmsError> {
    let Members(members) = Members::parse(json).map_err(|_| ErrorCode::ParseRequestParameter)?;
    let mut params = Params::default();
    for (name, value) in members {
        let text = match value.as_bytes().first() {
            Some(b'n') => continue,
            Some(b'"') => unquote(value),
            Some(b'[' | b'{') if depth(value) > MAX_DEPTH => None,
            _ => Some(Zeroizing::new(value.to_owned())),
        };
        // No name stands twice in the members, so each finds its place free.
        if !text.is_some_and(|text| params.insert(name, text)) {
            return Err(ErrorCode::ParseRequestParameter.into());
        }
    }
    Ok(params)
}

/// Adds `RequestId` as the last member to the JSON object `body`, which ends with its closing brace.
///
/// Whatever buffer is given up on the way is wiped.
///
/// # Panics
/// If `body` is not the text of an object: replies are rendered from structs, so that would be a defect of this
/// library.
#[must_use]
pub fn reply(mut body: Zeroizing<String>, request_id: &RequestId) -> Zeroizing<String> {
    let id = request_id.to_string();
    assert!(body.starts_with('{') && body.ends_with('}'), "a reply is a JSON object");
    let separator = if body.len() == "{}".len() { "" } else { "," };
    body.pop();

    let tail = [separator, "\"RequestId\":\"", &id, "\"}"];
    let needed = body.len() + tail.iter().map(|part| part.len()).sum::<usize>();
    if needed > body.capacity() {
        // A string that grows by itself frees its old place unwiped.
        let mut larger = Zeroizing::new(String::with_capacity(needed));
        larger.push_str(&body);
        body = larger;
    }
    for part in tail {
        body.push_str(part);
    }
    body
}

/// The members of a JSON object, by name; each value is the JSON text as it was written.
pub(crate) struct Members<'j>(BTreeMap<String, &'j str>);

/// Why a text is not an object whose members have different names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is not JSON, seen at this line and column, both counted from 1.
    Syntax { line: usize, column: usize },
    /// It is another JSON value.
    NotAnObject,
    /// This member stands twice.
    Duplicate(String),
}

impl<'j> Members<'j> {
    /// Reads one object and nothing after it. The grammar of every value is checked, its texts are not decoded.
    pub(crate) fn parse(json: &'j str) -> Result<Self, Malformed> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let pairs = deserializer
            .deserialize_map(PairsVisitor)
            .and_then(|pairs| deserializer.end().map(|()| pairs))
            // The error's own text quotes the input, of which a secret may be part.
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => Malformed::NotAnObject,
                _ => Malformed::Syntax { line: error.line(), column: error.column() },
            })?;
        let mut members = BTreeMap::new();
        for (name, value) in pairs {
            match members.entry(name) {
                std::collections::btree_map::Entry::Vacant(place) => place.insert(value.get()),
                std::collections::btree_map::Entry::Occupied(place) => {
                    return Err(Malformed::Duplicate(place.key().clone()));
                }
            };
        }
        Ok(Self(members))
    }

    /// Takes the value of a member out.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'j str> {
        self.0.remove(name)
    }

    /// The name of a member that is still there.
    pub(crate) fn any_name(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }
}

/// Collects the members of an object in their order, those that stand twice included.
struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// The text that a JSON string stands for, in a buffer that never moves. `None` if it is not a string, or if it names
/// half of a surrogate pair.
#[must_use]
pub fn unquote(json: &str) -> Option<Zeroizing<String>> {
    let mut rest = json.strip_prefix('"')?.strip_suffix('"')?;
    // Every escape is longer than what it stands for.
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (kind, after) = escape.split_at_checked(1)?;
        let (char, after) = match kind {
            "\"" | "\\" | "/" => (kind.chars().next()?, after),
            "b" => ('\u{8}', after),
            "f" => ('\u{c}', after),
            "n" => ('\n', after),
            "r" => ('\r', after),
            "t" => ('\t', after),
            "u" => escaped_char(after)?,
            _ => return None,
        };
        text.push(char);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// Reads what follows `\u`: four digits, or eight in two escapes for a character beyond 16 bits.
fn escaped_char(text: &str) -> Option<(char, &str)> {
    let (unit, after) = code_unit(text)?;
    if let Some(char) = char::from_u32(u32::from(unit)) {
        return Some((char, after));
    }
    let (second, after) = code_unit(after.strip_prefix("\\u")?)?;
    let char = char::decode_utf16([unit, second]).next()?.ok()?;
    Some((char, after))
}

fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    // `from_str_radix` would take a sign as well.
    let all_digits = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if all_digits { Some((u16::from_str_radix(digits, 16).ok()?, after)) } else { None }
}

/// How deep arrays and objects nest in a JSON text whose grammar is known to be right.
fn depth(json: &str) -> usize {
    let (mut deepest, mut open) = (0_usize, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(json: &str) -> Option<String> {
        params(json).unwrap_or_else(|error| panic!("{json}: {error}")).text_or_empty("A").map(str::to_owned)
    }

    fn refused(json: &str) -> bool {
        params(json).is_err_and(|error| error.code() == ErrorCode::ParseRequestParameter)
    }

    #[test]
    fn values_keep_the_text_that_was_sent() {
        for (json, text) in [
            (r#"{"A":"plain"}"#, "plain"),
            (r#"{"A":""}"#, ""),
            (r#"{"A":"null"}"#, "null"),
            (r#"{"A":1.0}"#, "1.0"),
            (r#"{"A":1e3}"#, "1e3"),
            (r#"{"A":-0}"#, "-0"),
            (r#"{"A":123456789012345678901234567890}"#, "123456789012345678901234567890"),
            (r#"{"A":true}"#, "true"),
            (r#"{"A" : false }"#, "false"),
            (r#"{"A":{ "x" : [1, "é"] }}"#, r#"{ "x" : [1, "é"] }"#),
            (r#"{"A":[]}"#, "[]"),
            (r#"{"A":{"x":1,"x":2}}"#, r#"{"x":1,"x":2}"#),
            (r#"{"A":{"x":"\u0041\""}}"#, r#"{"x":"\u0041\""}"#),
            (" \n{\t\"A\":\"x\"} ", "x"),
            (r#"{"\u0041":"x"}"#, "x"),
        ] {
            assert_eq!(one(json).as_deref(), Some(text), "{json}");
        }
    }

    #[test]
    fn null_is_absent() {
        assert_eq!(one(r#"{"A":null}"#), None);
        assert_eq!(one("{}"), None);
    }

    #[test]
    fn escapes_are_decoded() {
        for (json, text) in [
            (r#"{"A":"\"\\\/\b\f\n\r\t"}"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#"{"A":"a\u0000b\u00e9\u4E2d"}"#, "a\0bé中"),
            (r#"{"A":"\ud83d\ude00!"}"#, "😀!"),
            (r#"{"A":"\\u0041"}"#, r"\u0041"),
            (r#"{"A":"{\"k\":\"v\\n\"}"}"#, r#"{"k":"v\n"}"#),
        ] {
            assert_eq!(one(json).as_deref(), Some(text), "{json}");
        }
    }

    #[test]
    fn everything_but_an_object_of_different_names_is_refused() {
        for json in [
            "",
            " ",
            "null",
            "[]",
            "1",
            "\"A\"",
            "{",
            "{}{}",
            "{} x",
            "\u{feff}{}",
            r#"{"A"}"#,
            r#"{"A":}"#,
            r#"{"A":1,}"#,
            r#"{A:1}"#,
            r#"{'A':1}"#,
            r#"{"A":01}"#,
            r#"{"A":+1}"#,
            r#"{"A":.5}"#,
            r#"{"A":NaN}"#,
            r#"{"A":nul}"#,
            r#"{"A":"x}"#,
            r#"{"A":"\x"}"#,
            r#"{"A":"\u12g4"}"#,
            r#"{"A":"\u+123"}"#,
            r#"{"A":"\ud83d"}"#,
            r#"{"A":"\ud83d\u0041"}"#,
            r#"{"A":"\ude00"}"#,
            "{\"A\":\"a\nb\"}",
            r#"{"A":[1,}"#,
            r#"{"A":"1","A":"1"}"#,
            r#"{"A":null,"A":"1"}"#,
            r#"{"A":"1","A":null}"#,
            r#"{"A":"1","\u0041":"1"}"#,
            "{/**/}",
        ] {
            assert!(refused(json), "{json}");
        }
    }

    // Goal: what is let through can be read by serde_json later, and nothing deeper is. Method: both sides of the
    // limit; braces inside texts do not count; a million levels must not overflow the stack.
    #[test]
    fn nesting_is_limited() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let call = |value: &str| format!(r#"{{"A":{value}}}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH)).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH + 1)).is_err());
        assert_eq!(one(&call(&nested(MAX_DEPTH))), Some(nested(MAX_DEPTH)));
        assert!(refused(&call(&nested(MAX_DEPTH + 1))));
        assert!(refused(&call(&nested(1_000_000))));
        let text = format!(r#"["\"{}"]"#, "[".repeat(500));
        assert_eq!(one(&call(&text)), Some(text));
        let wide = format!("[{}[]]", "[],".repeat(500));
        assert_eq!(one(&call(&wide)), Some(wide));
    }

    #[test]
    fn the_request_id_is_the_last_member() {
        let id = RequestId::parse("86a9efd9-3d16-4894-bd4f-1fc43f3f2abf").unwrap();
        for (body, expected) in [
            ("{}", r#"{"RequestId":"86a9efd9-3d16-4894-bd4f-1fc43f3f2abf"}"#),
            (r#"{"A":{}}"#, r#"{"A":{},"RequestId":"86a9efd9-3d16-4894-bd4f-1fc43f3f2abf"}"#),
        ] {
            for room in [0, 1000] {
                let mut given = String::with_capacity(body.len() + room);
                given.push_str(body);
                assert_eq!(*reply(Zeroizing::new(given), &id), expected);
            }
        }
    }

    // Goal: a reply that has room for its tail stays where it is, so that no copy is made.
    #[test]
    fn a_reply_with_room_is_not_copied() {
        let id = RequestId::parse("86a9efd9-3d16-4894-bd4f-1fc43f3f2abf").unwrap();
        let mut body = Zeroizing::new(String::with_capacity(200));
        body.push_str(r#"{"Plaintext":"x"}"#);
        let place = body.as_ptr();
        assert_eq!(reply(body, &id).as_ptr(), place);
    }

    proptest! {
        // Our decoding of texts against serde_json's, on texts that it wrote and on arbitrary ones full of escapes.
        #[test]
        fn texts_decode_as_serde_json_decodes_them(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unquote(&json).map(|t| t.to_string()), Some(text));
        }

        #[test]
        fn odd_escapes_decode_as_serde_json_decodes_them(
            parts in prop::collection::vec(r#"\\["\\/bfnrtux]|\\u[dD][89a-fA-F][0-9]{2}|\\u[0-9a-fA-F]{4}|[ -~]|é"#, 0..8)
        ) {
            let call = format!(r#"{{"A":"{}"}}"#, parts.concat());
            let theirs = serde_json::from_str::<BTreeMap<String, String>>(&call);
            match (params(&call), theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours.text_or_empty("A"), theirs.get("A").map(String::as_str)),
                (ours, theirs) => prop_assert_eq!(ours.is_err(), theirs.is_err(), "{}", call),
            }
        }

        #[test]
        fn arbitrary_input_is_read_as_serde_json_reads_it(json in r#"[{}\[\]",:0-9a-z\\ .-]{0,40}"#) {
            let object = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&json);
            prop_assert!(params(&json).is_err() || object.is_ok());
        }
    }
}
