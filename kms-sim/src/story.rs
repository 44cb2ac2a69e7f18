//! What a history did, told in the language of `scenarios/`, so that a person can read it, cut it down and run it again.
//!
//! Ids, ciphertexts and the like are captured where they first appear and named from then on. What the language has no word
//! for (a restart, a fault of the disk) is a comment, and so is a call that failed with the store and left
//! nothing. The language wraps material under RSA keys only; so what was wrapped under an SM2 key is told as if it had been
//! under one of RSA. A rotation or a sweep that the disk has stopped half way goes through when the story is run again; and keys that were
//! made in one second are listed in the order of their ids, which are others then.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::mem;

use kms_core::ErrorCode;
use serde_json::{Value, json};

use crate::model::Refusal;

/// How often a text must be repeated to be told as `%repeat`.
const REPEATED: usize = 20;

/// What a call was answered, or must be.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Reply(Value),
    Refused(Refusal),
    /// The store failed. If the disk has kept the change all the same, what a success would have said.
    Failed {
        code: ErrorCode,
        kept: Option<Value>,
    },
}

/// What is done to an engine.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Call {
        action: &'static str,
        params: Value,
    },
    /// ImportKeyMaterial, with the public key under which the material is wrapped, and the material as hex.
    Import {
        params: Value,
        wrapped: Option<(String, String)>,
    },
    Advance(i64),
    Sweep,
}

impl Deed {
    /// The action, or what stands for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Call { action, .. } => action,
            Self::Import { .. } => "ImportKeyMaterial",
            Self::Advance(_) => "the clock",
            Self::Sweep => "the sweep",
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { params, .. } | Self::Import { params, .. } => write!(f, "{} {params}", self.name()),
            other => f.write_str(other.name()),
        }
    }
}

#[derive(Debug)]
enum Item {
    Open { seed: u64, config: Value },
    Remark(String),
    Deed { deed: Deed, answer: Answer },
}

/// A history so far. What it shows ends with the deed that failed, if one has, and what was due then.
#[derive(Debug, Default)]
pub(crate) struct Story(Vec<Item>);

impl Story {
    pub(crate) fn open(&mut self, seed: u64, config: Value) {
        self.0.push(Item::Open { seed, config });
    }

    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.0.push(Item::Remark(text.into()));
    }

    /// Tells of a deed before it is done, with what is due. Returns its place.
    pub(crate) fn begin(&mut self, deed: Deed, due: Answer) -> usize {
        self.0.push(Item::Deed { deed, answer: due });
        self.0.len() - 1
    }

    /// Tells how a deed ended.
    pub(crate) fn end(&mut self, place: usize, told: Answer) {
        if let Item::Deed { answer, .. } = &mut self.0[place] {
            *answer = told;
        }
    }

    /// Gives the last deed the reply that it should have had.
    pub(crate) fn amend(&mut self, due: Value) {
        self.end(self.0.len() - 1, Answer::Reply(due));
    }

    /// What was due to a deed, for one that failed and yet was done.
    pub(crate) fn due(&self, place: usize) -> Option<Value> {
        match &self.0[place] {
            Item::Deed { answer: Answer::Reply(reply), .. } => Some(reply.clone()),
            _ => None,
        }
    }

    /// Gives the last deed that failed and yet was done the reply that it would have had.
    pub(crate) fn reveal(&mut self, reply: Value) {
        let kept = self.0.iter_mut().rev().find_map(|item| match item {
            Item::Deed { answer: Answer::Failed { kept: Some(kept), .. }, .. } => Some(kept),
            _ => None,
        });
        if let Some(kept) = kept {
            *kept = reply;
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Names::default();
        for item in &self.0 {
            match item {
                Item::Open { seed, config } => writeln!(f, "@ 2030-01-01T00:00:00Z {seed} {config}\n")?,
                Item::Remark(text) => writeln!(f, "{}\n", commented(text))?,
                Item::Deed { deed: deed @ (Deed::Advance(_) | Deed::Sweep), answer } => {
                    let told = outcome(answer, &mut names);
                    if let Answer::Failed { code, kept: Some(_) } = answer {
                        writeln!(f, "{}\n", kept_although(*code))?;
                    }
                    let done = matches!(answer, Answer::Reply(_) | Answer::Failed { kept: Some(_), .. });
                    match deed {
                        Deed::Advance(seconds) if done => writeln!(f, "+ {seconds}\n")?,
                        Deed::Advance(seconds) => writeln!(f, "# The clock, by {seconds} seconds: {told}\n")?,
                        _ if done => writeln!(f, "* {told}\n")?,
                        _ => writeln!(f, "# The sweep: {told}\n")?,
                    }
                }
                Item::Deed { deed: deed @ (Deed::Call { .. } | Deed::Import { .. }), answer } => {
                    let called = called(deed, answer, &mut names);
                    let told = outcome(answer, &mut names);
                    match answer {
                        Answer::Failed { code, kept: Some(_) } => {
                            writeln!(f, "{}\n\n{called}\n----\n{told}\n", kept_although(*code))?;
                        }
                        Answer::Failed { .. } => writeln!(f, "{}\n", commented(&format!("{called}\n{told}")))?,
                        _ => writeln!(f, "{called}\n----\n{told}\n")?,
                    }
                }
            }
        }
        Ok(())
    }
}

fn kept_although(code: ErrorCode) -> String {
    format!("# The answer was {}; the disk has kept what it did.", code.as_str())
}

/// A call as it was made, but for two things: the language has one way to wrap material, so that is what is told; and an empty
/// plaintext, which the typed functions take, is told as one that actions take too.
fn called(deed: &Deed, answer: &Answer, names: &mut Names) -> String {
    match deed {
        Deed::Import { params, wrapped: Some((public_key, material)) } => {
            let mut params = params.clone();
            params["EncryptedKeyMaterial"] = "@".into();
            let wrapped = format!("\"%wrap({},{material})\"", names.of.get(public_key).map_or("?", String::as_str));
            format!("ImportKeyMaterial {}", names.params(&params).replace("\"@\"", &wrapped))
        }
        Deed::Call { action: action @ "GetParametersForImport", params } if matches!(answer, Answer::Reply(_)) => {
            let mut params = params.clone();
            params["WrappingKeySpec"] = "RSA_2048".into();
            params["WrappingAlgorithm"] = "RSAES_OAEP_SHA_256".into();
            format!("{action} {}", names.params(&params))
        }
        Deed::Call { action: action @ "Encrypt", params }
            if params["Plaintext"] == "" && !matches!(answer, Answer::Refused(refusal) if refusal.is_missing()) =>
        {
            let mut params = params.clone();
            params["Plaintext"] = "AA==".into();
            format!("{action} {}", names.params(&params))
        }
        Deed::Call { params, .. } | Deed::Import { params, .. } => format!("{} {}", deed.name(), names.params(params)),
        Deed::Advance(_) | Deed::Sweep => deed.to_string(),
    }
}

fn commented(text: &str) -> String {
    text.lines().map(|line| format!("# {line}")).collect::<Vec<_>>().join("\n")
}

fn outcome(answer: &Answer, names: &mut Names) -> String {
    match answer {
        Answer::Reply(reply) | Answer::Failed { kept: Some(reply), .. } => names.reply(reply),
        Answer::Failed { code, kept: None } => format!("error {}", code.as_str()),
        Answer::Refused(Refusal { code, parameter }) => {
            let known = ErrorCode::ALL.iter().find(|known| known.as_str() == code);
            let mut line = format!("error {code} {}", known.map_or(0, |code| code.http_status()));
            if let Some(parameter) = parameter {
                let _ = write!(line, " {parameter}");
            }
            line
        }
    }
}

/// The texts that are another one in each run, and what they are called.
#[derive(Default)]
struct Names {
    of: HashMap<String, String>,
    /// Those that the reply at hand is the first to show.
    new: HashSet<String>,
    counts: HashMap<&'static str, usize>,
    /// Plaintexts that a caller gave. Others are data keys.
    given: HashSet<String>,
    /// Whether a reply is being written.
    replying: bool,
}

impl Names {
    fn params(&mut self, params: &Value) -> String {
        if let Some(text) = params.get("Plaintext").and_then(Value::as_str) {
            self.given.insert(text.to_owned());
        }
        self.new.clear();
        self.write(params, "")
    }

    fn reply(&mut self, reply: &Value) -> String {
        self.new.clear();
        self.learn(reply, "");
        self.replying = true;
        let text = self.write(reply, "");
        self.replying = false;
        self.new.clear();
        text
    }

    /// Names what a reply shows for the first time.
    fn learn(&mut self, value: &Value, member: &str) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| self.learn(value, name)),
            Value::Array(values) => values.iter().for_each(|value| self.learn(value, member)),
            Value::String(text) if !text.is_empty() && text != "..." && !self.of.contains_key(text) => {
                let kind = match member {
                    "KeyId" => "key",
                    "KeyVersionId" | "PrimaryKeyVersion" => "version",
                    "CiphertextBlob" => "blob",
                    "ImportToken" => "token",
                    "PublicKey" if !text.starts_with('-') => "wrapping",
                    "Value" => "signature",
                    "Plaintext" if !self.given.contains(text) => "data",
                    _ => return,
                };
                let count = self.counts.entry(kind).or_default();
                *count += 1;
                self.of.insert(text.clone(), format!("{kind}{count}"));
                self.new.insert(text.clone());
            }
            _ => {}
        }
    }

    fn write(&mut self, value: &Value, member: &str) -> String {
        let list = |parts: Vec<String>| parts.join(",");
        match value {
            Value::Object(members) => {
                let write = |(name, value): (&String, &Value)| format!("{}:{}", json!(name), self.write(value, name));
                format!("{{{}}}", list(members.iter().map(write).collect()))
            }
            Value::Array(values) => {
                format!("[{}]", list(values.iter().map(|value| self.write(value, member)).collect()))
            }
            // See `called`.
            Value::String(text) if member == "Plaintext" && text.is_empty() && self.replying => "\"<*>\"".to_owned(),
            Value::String(text) if text.starts_with("-----BEGIN") => "\"<*>\"".to_owned(),
            Value::String(text) => format!("\"{}\"", self.text(text, member)),
            other => other.to_string(),
        }
    }

    fn text(&mut self, text: &str, member: &str) -> String {
        if let Some(name) = self.of.get(text) {
            let captured = member != "KeyArn" && self.new.contains(text);
            return if captured { format!("<{name}>") } else { format!("${name}") };
        }
        if let Some((account, id)) = text.split_once(":key/")
            && let Some(name) = self.of.get(id)
        {
            return format!("{account}:key/${name}");
        }
        short(text)
    }
}

/// A text as JSON string content of a scenario, one that repeats itself shortly.
fn short(text: &str) -> String {
    for unit in 1..=8 {
        let Some((end, _)) = text.char_indices().nth(unit) else { break };
        let unit = &text[..end];
        if unit.contains([',', ')', '"', '\\', '$', '%']) || unit.chars().any(char::is_control) {
            break;
        }
        let mut rest = text;
        let mut count = 0;
        while let Some(shorter) = rest.strip_prefix(unit) {
            (rest, count) = (shorter, count + 1);
        }
        if count >= REPEATED {
            return format!("%repeat({unit},{count}){}", escaped(rest));
        }
    }
    escaped(text)
}

fn escaped(text: &str) -> String {
    let mut content = Value::from(text.replace('$', "$$").replace('%', "%%")).to_string();
    content.pop();
    mem::take(&mut content).split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_the_language_wants_them() {
        for (text, written) in [
            ("", ""),
            ("a \"b\" \\ $5 100%\n", r#"a \"b\" \\ $$5 100%%\n"#),
            (&"é".repeat(8192), "%repeat(é,8192)"),
            (&format!("{}==", "long ".repeat(1000)), "%repeat(long ,1000)=="),
            (&"x".repeat(19), &"x".repeat(19)),
        ] {
            assert_eq!(short(text), written);
        }
    }

    // Goal: what one call shows is named in the next. Method: a story of each kind of item, against its text.
    #[test]
    fn a_story_is_a_scenario() {
        let call = |action, params| Deed::Call { action, params };
        let mut story = Story::default();
        story.open(7, json!({ "hsm": true }));
        let at = story.begin(call("CreateKey", json!({})), Answer::Reply(json!({ "...": "..." })));
        story.end(at, Answer::Reply(json!({ "KeyMetadata": { "KeyId": "k", "Arn": "acs:kms:r:a:key/k" } })));
        let at = story.begin(Deed::Advance(60), Answer::Reply(Value::Null));
        story.end(at, Answer::Reply(Value::Null));
        story.begin(Deed::Sweep, Answer::Reply(json!({ "DeletedKeys": 0 })));
        let at = story.begin(call("DisableKey", json!({ "KeyId": "k" })), Answer::Reply(json!({})));
        story.end(at, Answer::Failed { code: ErrorCode::StoreIo, kept: None });
        story.remark("The engine is opened again.");
        let refusal = Refusal { code: "InvalidParameter".to_owned(), parameter: Some("Plaintext".to_owned()) };
        story.begin(call("Encrypt", json!({ "KeyId": "acs:kms:r:a:key/k" })), Answer::Refused(refusal));
        let expected = r#"@ 2030-01-01T00:00:00Z 7 {"hsm":true}

CreateKey {}
----
{"KeyMetadata":{"Arn":"acs:kms:r:a:key/$key1","KeyId":"<key1>"}}

+ 60

* {"DeletedKeys":0}

# DisableKey {"KeyId":"$key1"}
# error KMS_STORE_IO

# The engine is opened again.

Encrypt {"KeyId":"acs:kms:r:a:key/$key1"}
----
error InvalidParameter 400 Plaintext

"#;
        assert_eq!(story.to_string(), expected);
    }
}
