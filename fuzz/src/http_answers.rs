//! What comes back over a connection: each answer as the contract has it (chapter 3), and nothing beside answers.

use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use crate::call::is_id;
use crate::json_call::contract;

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The code of a refusal.
    pub(crate) code: Option<String>,
}

/// Reads all that came over a connection and checks each answer.
pub(crate) fn read(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = find(bytes, b"\r\n\r\n").expect("a head that ends");
        let head = std::str::from_utf8(&bytes[..end]).expect("a head that is text");
        bytes = &bytes[end + 4..];
        let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| status_line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .unwrap_or_else(|| panic!("{head:?}"));
        if status == 100 {
            continue;
        }
        let header = |name: &str| {
            let mut values = headers.split("\r\n").filter_map(|line| line.split_once(": ")).filter(|(n, _)| *n == name);
            let value = values.next().unwrap_or_else(|| panic!("no {name}: {head:?}")).1;
            assert!(values.next().is_none(), "{name} is there twice: {head:?}");
            value
        };
        let length: usize = header("content-length").parse().expect("a length");
        assert!(length > 0, "an empty answer: {head:?}");
        // The answer to HEAD tells the length of what it leaves out.
        let has_body = !bytes.is_empty() && !bytes.starts_with(b"HTTP/1.");
        let code = if has_body {
            assert!(bytes.len() >= length, "an answer that is cut: {head:?}");
            let (body, rest) = bytes.split_at(length);
            bytes = rest;
            let body = std::str::from_utf8(body).expect("a body that is text");
            check(status, header("content-type"), header("x-acs-request-id"), body)
        } else {
            assert!(status >= 400, "an answer without its body: {head:?}");
            None
        };
        answers.push(Answer { status, code });
    }
    answers
}

/// The code of a refusal; none if it is none.
fn check(status: u16, content_type: &str, request_id: &str, body: &str) -> Option<String> {
    let members: Map<String, Value> = match content_type {
        "application/json; charset=utf-8" => serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}")),
        "text/xml; charset=utf-8" => {
            let document = Document::parse(body).unwrap_or_else(|error| panic!("{error}: {body}"));
            let elements = document.root_element().children().filter(Node::is_element);
            elements.map(|each| (each.tag_name().name().to_owned(), each.text().unwrap_or_default().into())).collect()
        }
        other => panic!("an answer of the type {other}"),
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    assert!(is_id(request_id.as_bytes()), "{request_id}");
    assert_eq!(text("RequestId").as_deref(), Some(request_id), "{body}");
    let code = text("Code");
    assert_eq!(code.is_some(), status != 200, "status {status}: {body}");
    if let Some(code) = &code {
        assert!(contract().errors.contains(&(code.clone(), status)), "{code} {status}");
        // A fault of ours.
        assert!(status < 500, "{body}");
        assert_eq!(members["HttpStatus"].to_string().trim_matches('"'), status.to_string(), "{body}");
        assert!(members.contains_key("Message") && members.len() == 4, "{body}");
    }
    code
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
