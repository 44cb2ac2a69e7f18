//! Answers in XML (contract, chapter 3): root `<KMS>` (OP-04), an element per member, a list as its element repeated.
//!
//! The text is made straight from the JSON text of the answer, in its order. A value is a plaintext as likely as not, so it is
//! taken from the text itself and passes through no buffer that is not wiped; serde_json finds where values begin and end.
//!
//! XML 1.0 has no way to write control characters (but tab, line feed and carriage return) nor U+FFFE and U+FFFF, and our texts
//! may have them. An answer that holds one is refused with `InvalidParameter` "Format": nothing is lost, since the caller can
//! ask again in JSON. A call that would change something must not come to that, so a request for XML is refused likewise if one
//! of its parameters holds such a character.

use std::fmt;

use kms_engine::json::unquote;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::wiped::Wiped;

const DECLARATION: &str = "<?xml version='1.0' encoding='UTF-8'?>";
const ROOT: &str = "KMS";

/// Whether XML 1.0 can hold all characters of the text.
pub(crate) fn can_hold(text: &str) -> bool {
    text.chars().all(|char| match char {
        '\t' | '\n' | '\r' => true,
        _ => char >= ' ' && !matches!(char, '\u{fffe}' | '\u{ffff}'),
    })
}

/// The XML document for the JSON text of an object. `None` if it has characters that XML cannot hold.
pub(crate) fn document(json: &str) -> Option<Zeroizing<String>> {
    let mut out = Wiped::with_capacity(2 * json.len() + 128);
    out.push(DECLARATION);
    element(&mut out, ROOT, json)?;
    Some(out.into_text())
}

/// Writes a value as the element of that name; a list as one for each of its values.
fn element(out: &mut Wiped, name: &str, json: &str) -> Option<()> {
    let mut read = serde_json::Deserializer::from_str(json);
    match json.as_bytes().first()? {
        b'[' => return read.deserialize_seq(List { out, name }).ok(),
        b'n' => return Some(()),
        _ if !is_name(name) => return None,
        _ => {}
    }
    out.push("<");
    out.push(name);
    out.push(">");
    match json.as_bytes().first()? {
        b'{' => read.deserialize_map(Members { out }).ok()?,
        b'"' => text(out, &unquote(json)?)?,
        _ => out.push(json),
    }
    out.push("</");
    out.push(name);
    out.push(">");
    Some(())
}

fn text(out: &mut Wiped, text: &str) -> Option<()> {
    if !can_hold(text) {
        return None;
    }
    out.push_escaped(text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        // Read back, a bare one would be a line feed.
        b'\r' => Some("&#13;"),
        _ => None,
    });
    Some(())
}

/// Whether a member's name can be that of an element. All names of the contract can.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

struct Members<'o> {
    out: &'o mut Wiped,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&str, &RawValue>()? {
            element(self.out, name, value.get()).ok_or_else(|| A::Error::custom("XML cannot hold it"))?;
        }
        Ok(())
    }
}

struct List<'o, 'n> {
    out: &'o mut Wiped,
    name: &'n str,
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<&RawValue>()? {
            element(self.out, self.name, value.get()).ok_or_else(|| A::Error::custom("XML cannot hold it"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(json: &str) -> Option<String> {
        let document = document(json)?;
        Some(document.strip_prefix(DECLARATION)?.strip_prefix("<KMS>")?.strip_suffix("</KMS>")?.to_owned())
    }

    #[test]
    fn answers_have_the_contracts_form() {
        for (json, xml) in [
            ("{}", ""),
            // The samples of chapter 3.
            (
                r#"{"Keys":{"Key":[{"KeyId":"1","KeyArn":"2"},{"KeyId":"3","KeyArn":"4"}]},"TotalCount":2,"RequestId":"r"}"#,
                "<Keys><Key><KeyId>1</KeyId><KeyArn>2</KeyArn></Key><Key><KeyId>3</KeyId><KeyArn>4</KeyArn></Key></Keys>\
                <TotalCount>2</TotalCount><RequestId>r</RequestId>",
            ),
            (
                r#"{"VersionIds":{"VersionId":[{"CreateTime":"c","VersionId":"v1","VersionStages":{"VersionStage":["ACSCurrent"]}}]}}"#,
                "<VersionIds><VersionId><CreateTime>c</CreateTime><VersionId>v1</VersionId><VersionStages>\
                <VersionStage>ACSCurrent</VersionStage></VersionStages></VersionId></VersionIds>",
            ),
            (r#"{"Keys":{"Key":[]},"TotalCount":0}"#, "<Keys></Keys><TotalCount>0</TotalCount>"),
            (
                r#"{"Value":true,"Other":false,"Empty":"","Null":null}"#,
                "<Value>true</Value><Other>false</Other><Empty></Empty>",
            ),
            (r#"{"B":1,"A":-2}"#, "<B>1</B><A>-2</A>"),
            (r#"{"A":"<a href=\"x\">&amp;'</a>"}"#, "<A>&lt;a href=\"x\"&gt;&amp;amp;'&lt;/a&gt;</A>"),
            (r#"{"A":"l1\r\nl2\tend\/\u4e2d\ud83d\ude00"}"#, "<A>l1&#13;\nl2\tend/中😀</A>"),
            (r#"{ "A" : [ "x" , "y" ] }"#, "<A>x</A><A>y</A>"),
        ] {
            assert_eq!(body(json).as_deref(), Some(xml), "{json}");
        }
    }

    #[test]
    fn what_xml_cannot_hold_is_not_written() {
        for json in [
            r#"{"A":"\u0000"}"#,
            r#"{"A":"x\u001fy"}"#,
            r#"{"A":"\u000b"}"#,
            r#"{"A":"\ufffe"}"#,
            r#"{"A":{"B":["x","\uffff"]}}"#,
            "{\"A\":\"\u{ffff}\"}",
            r#"{"a b":"x"}"#,
            r#"{"":"x"}"#,
            r#"{"1":"x"}"#,
            r#"{"a><":"x"}"#,
            r#"{"A":"x""#,
            "",
        ] {
            assert_eq!(body(json), None, "{json}");
        }
        assert!(can_hold("\t\r\n \u{7f}\u{85}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}"));
    }

    /// What a parser makes of the text of an element: references resolved, line ends as one line feed.
    fn parsed(text: &str) -> String {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&#13;", "\r").replace("&amp;", "&")
    }

    proptest! {
        #[test]
        fn texts_come_back(text in any::<String>()) {
            let json = format!(r#"{{"A":{}}}"#, serde_json::to_string(&text).unwrap());
            match body(&json) {
                None => prop_assert!(!can_hold(&text)),
                Some(xml) => {
                    let inner = xml.strip_prefix("<A>").unwrap().strip_suffix("</A>").unwrap();
                    prop_assert!(!inner.contains(['<', '>']));
                    prop_assert_eq!(parsed(inner), text);
                }
            }
        }
    }
}
