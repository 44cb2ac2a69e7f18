//! Queries, forms, names with dots and XML, beside plainer ways to read the same.

use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use crate::encoding::{self, Speller, Spelling};
use crate::rpc::Parameters;
use crate::{xml, xml_reader};

/// What is read.
#[derive(Arbitrary, Debug)]
pub(crate) enum Input<'a> {
    /// A query and a form.
    Parameters { query: &'a str, form: &'a [u8] },
    /// Names, for folding.
    Names { pairs: Vec<(Vec<Part>, &'a str)> },
    /// A JSON text, as an answer in XML.
    Text { json: &'a str },
    /// Members, likewise.
    Members { members: Vec<(Part, Node<'a>)> },
}

/// A part of a name.
#[derive(Arbitrary, Debug)]
pub(crate) enum Part {
    Number(u8),
    Word(u8),
    Any(String),
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Node<'a> {
    Text(&'a str),
    Number(i64),
    Flag(bool),
    List(Vec<Part>),
    Members(Vec<(Part, Node<'a>)>),
}

impl Part {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Word(word) => {
                ["A", "b", "Key", "Value", "EncryptionContext", "Format"][usize::from(*word) % 6].to_owned()
            }
            Self::Any(text) => text.clone(),
        }
    }
}

/// Runs the decoders on one input.
pub(crate) fn run(u: &mut Unstructured<'_>) {
    let Ok(input) = Input::arbitrary(u) else { return };
    match input {
        Input::Parameters { query, form } => {
            for bytes in [query.as_bytes(), form] {
                let read: Option<Vec<(String, String)>> = encoding::pairs(bytes)
                    .map(|pair| pair.ok().map(|(name, text)| (name, text.as_str().to_owned())))
                    .collect();
                assert_eq!(read, pairs(bytes));
            }
            fold(query, form);
        }
        Input::Names { pairs } => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(parts, text)| {
                    let parts: Vec<String> = parts.iter().map(Part::text).collect();
                    format!("{}={}", spelled(&parts.join(".")), spelled(text))
                })
                .collect();
            fold(&pairs.join("&"), b"");
        }
        Input::Text { json } => {
            if let Ok(value @ Value::Object(_)) = serde_json::from_str(json) {
                in_xml(&value);
            }
        }
        Input::Members { members } => in_xml(&Value::Object(object(&members))),
    }
}

/// Decodes the pairs of a query or of a form, byte by byte.
pub(crate) fn pairs(encoded: &[u8]) -> Option<Vec<(String, String)>> {
    let pieces = encoded.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let at = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
            Some((decoded(&piece[..at])?, decoded(piece.get(at + 1..).unwrap_or_default())?))
        })
        .collect()
}

fn decoded(encoded: &[u8]) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), encoded.iter());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                u8::try_from(16 * digit()? + digit()?).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn spelled(text: &str) -> String {
    let mut out = Vec::new();
    let mut speller = Speller::new(|piece: &[u8]| out.extend_from_slice(piece));
    speller.spell(Spelling::ONCE, text);
    speller.finish();
    String::from_utf8(out).expect("ASCII")
}

/// Reads parameters and folds them. Nothing is lost on the way, and what is folded is JSON.
fn fold(query: &str, form: &[u8]) {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
    let Ok(parameters) = Parameters::read(&Method::POST, query, &headers, form) else { return };
    let all: Vec<(String, String)> =
        parameters.iter().map(|each| (each.name.clone(), each.text.as_str().to_owned())).collect();
    let mut expected = [pairs(query.as_bytes()), pairs(form)].map(Option::unwrap).concat();
    expected.sort();
    assert_eq!(all, expected);
    for text in all.iter().flat_map(|(name, text)| [name, text]) {
        assert_eq!(decoded(spelled(text).as_bytes()).as_ref(), Some(text));
    }
    let Ok(params) = parameters.into_params() else { return };
    let firsts: BTreeSet<&str> = all.iter().filter_map(|(name, _)| Some(name.split_once('.')?.0)).collect();
    for first in &firsts {
        let folded: Value = serde_json::from_str(params.text(first).unwrap()).unwrap();
        let prefix = format!("{first}.");
        let mut texts: Vec<&str> =
            all.iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(_, text)| text.as_str()).collect();
        let mut leaves = Vec::new();
        collect(&folded, &mut leaves);
        texts.sort_unstable();
        leaves.sort_unstable();
        assert_eq!(leaves, texts, "below {first}");
    }
}

fn collect<'v>(value: &'v Value, leaves: &mut Vec<&'v str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, leaves)),
        Value::Object(members) => members.values().for_each(|value| collect(value, leaves)),
        value => leaves.push(value.as_str().expect("leaves are texts")),
    }
}

fn object(members: &[(Part, Node<'_>)]) -> Map<String, Value> {
    members.iter().map(|(name, node)| (name.text(), node.value())).collect()
}

impl Node<'_> {
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => (*text).into(),
            Self::Number(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::List(parts) => parts.iter().map(Part::text).collect(),
            Self::Members(members) => Value::Object(object(members)),
        }
    }
}

/// An answer in XML says what it says in JSON, or cannot be had.
fn in_xml(value: &Value) {
    match xml::document(&value.to_string()) {
        Some(document) => {
            assert!(xml_reader::can_hold_all(value), "{value}");
            if is_plain(value) {
                xml_reader::compare(&document, value).unwrap_or_else(|why| panic!("{why}: {value}: {}", *document));
            }
        }
        None => assert!(!xml_reader::can_hold_all(value) || !is_plain(value), "{value}"),
    }
}

/// Whether the value is such as answers are: with names that are letters and digits, lists of no lists, and no null.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => values.iter().all(|value| !value.is_array() && is_plain(value)),
        Value::Object(members) => members.iter().all(|(name, value)| {
            name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.chars().all(|char| char.is_ascii_alphanumeric())
                && is_plain(value)
        }),
        _ => true,
    }
}
