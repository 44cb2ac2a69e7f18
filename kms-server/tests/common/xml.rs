//! XML, read by a parser that is not ours, beside the JSON of the same answer.

use roxmltree::{Document, Node};
use serde_json::Value;

/// Whether XML 1.0 has a way to write all characters of a text (its production `Char`).
pub(crate) fn can_hold(text: &str) -> bool {
    text.chars().all(|char| {
        matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
    })
}

/// [`can_hold`] for all texts in a value.
pub(crate) fn can_hold_all(value: &Value) -> bool {
    match value {
        Value::String(text) => can_hold(text),
        Value::Array(values) => values.iter().all(can_hold_all),
        Value::Object(members) => members.values().all(can_hold_all),
        _ => true,
    }
}

/// Compares a document with the members of the same answer in JSON.
pub(crate) fn compare(document: &str, members: &Value) -> Result<(), String> {
    let document = Document::parse(document).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "KMS" || root.attributes().len() > 0 {
        return Err("the root is another".to_owned());
    }
    same(root, members)
}

/// An element per member; a list as its element repeated, and no element if it is empty; everything else as text.
fn same(node: Node<'_, '_>, value: &Value) -> Result<(), String> {
    let name = node.tag_name().name();
    let elements: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    let texts: String = node.children().filter_map(|child| child.text().filter(|_| child.is_text())).collect();
    let text = match value {
        Value::Object(members) => {
            if !texts.is_empty() {
                return Err(format!("{name} has text beside its members"));
            }
            let mut expected = 0;
            for (member, value) in members {
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                let found: Vec<_> = elements.iter().filter(|element| element.has_tag_name(member.as_str())).collect();
                if found.len() != values.len() {
                    return Err(format!("{name} has {} of {member}, not {}", found.len(), values.len()));
                }
                for (element, value) in found.into_iter().zip(values) {
                    same(*element, value)?;
                }
                expected += values.len();
            }
            return if expected == elements.len() { Ok(()) } else { Err(format!("{name} has more than its members")) };
        }
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Array(_) | Value::Null => return Err(format!("{name} is {value}, which no answer has there")),
    };
    if elements.is_empty() && texts == text { Ok(()) } else { Err(format!("{name} is {texts:?} and not {text:?}")) }
}

#[test]
fn a_difference_is_noticed() {
    let members = serde_json::json!({ "A": { "B": ["x", "y"], "C": [] }, "N": 1, "T": true, "E": "", "S": " <\r\n&" });
    let good = "<?xml version='1.0' encoding='UTF-8'?><KMS><A><B>x</B><B>y</B></A><N>1</N><T>true</T><E></E>\
        <S> &lt;&#13;\n&amp;</S></KMS>";
    assert_eq!(compare(good, &members), Ok(()));
    for (from, to) in [
        ("KMS>", "Kms>"),
        ("<B>x</B><B>y</B>", "<B>y</B><B>x</B>"),
        ("<B>x</B>", ""),
        ("<B>x</B>", "<B>x</B><B>x</B>"),
        ("</A>", "<C></C></A>"),
        ("<N>1", "<N>1.0"),
        ("<E></E>", ""),
        ("<E></E>", "<E> </E>"),
        ("<E></E>", "<E/><F/>"),
        ("<A>", "<A>a"),
        ("&#13;", "\r"),
        ("<S>", "<S"),
    ] {
        assert!(compare(&good.replace(from, to), &members).is_err(), "{from} {to}");
    }
}
