//! Calls with JSON values, and what their texts are made of.

use std::collections::BTreeMap;

pub(crate) use kms_sim::call::{base64, bytes, call, call_text, canonical_base64, text};

/// The JSON text of an encryption context.
pub(crate) fn context_json(context: &BTreeMap<String, String>) -> String {
    serde_json::to_string(context).expect("a map of texts is JSON")
}

/// Whether a text is the one form of an identifier: a hyphenated UUID in lower case.
pub(crate) fn is_id(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
