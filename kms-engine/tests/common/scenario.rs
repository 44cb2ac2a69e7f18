//! The language of `scenarios/README.md`: reads the files, makes their calls on a surface, and compares. Everything but the
//! calls themselves is the same for each surface that is reached from Rust.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kms_core::crypto::asymmetric::{EncryptionScheme, Kind, PublicKey};
use kms_engine::os_rng::OsRng;
use kms_engine::{Config, Engine};
use serde_json::{Map, Value};

/// A way to an engine.
pub(crate) trait Surface {
    /// The engine behind it, for what is not called: its clock, and what is due.
    fn engine(&self) -> &Engine;

    /// Calls an action with parameters in JSON, or with a text that need not be JSON. `None` if requests of this surface
    /// cannot be such a text.
    ///
    /// # Errors
    /// What is wrong with the answer in itself.
    fn call(&mut self, action: &str, params: Params<'_>) -> Result<Option<Told>, String>;
}

/// What a call is made with.
pub(crate) enum Params<'p> {
    /// JSON.
    Json(&'p str),
    /// Anything.
    Raw(&'p str),
}

/// An answer.
pub(crate) struct Told {
    pub(crate) request_id: String,
    /// The JSON text of the reply.
    pub(crate) result: Result<String, Failure>,
}

/// An error of the contract.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) http_status: u16,
    pub(crate) message: String,
}

/// How much was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) files: usize,
    pub(crate) sections: usize,
    pub(crate) steps: usize,
}

/// What was captured in a section.
type Captured = HashMap<String, String>;

/// One section: a fresh engine and what was captured since it was opened.
struct Section<S> {
    surface: S,
    captured: Captured,
}

/// Runs all files, each section on the surface that `open` makes of a fresh engine, and tells how much that was.
///
/// # Panics
/// If a step fails, or there is none.
pub(crate) fn run_all<S: Surface>(mut open: impl FnMut(Engine) -> S) -> Counts {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut failures = Vec::new();
    let mut counts = Counts { files: files.len(), ..Counts::default() };
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        run_file(&file.file_name().unwrap().to_string_lossy(), &text, &mut open, &mut counts, &mut failures);
    }
    assert!(failures.is_empty(), "{} of {} steps fail:\n{}", failures.len(), counts.steps, failures.join("\n"));
    assert!(counts.files > 0 && counts.steps > 0, "no scenario was found");
    counts
}

/// Tells how much was run, for a person to compare with what other surfaces tell.
#[allow(clippy::print_stdout, reason = "shown on request")]
pub(crate) fn report(counts: Counts) {
    let Counts { files, sections, steps } = counts;
    println!("{files} files, {sections} sections, {steps} steps");
}

fn run_file<S: Surface>(
    name: &str,
    text: &str,
    open: &mut impl FnMut(Engine) -> S,
    counts: &mut Counts,
    failures: &mut Vec<String>,
) {
    let mut section: Option<Section<S>> = None;
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let (line, number) = (lines[at].trim_end(), at + 1);
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(opening) = line.strip_prefix("@ ") {
            // The engine of the section before is closed first.
            drop(section.take());
            section = Some(Section { surface: open(engine(opening)), captured: Captured::new() });
            counts.sections += 1;
            continue;
        }
        let section = section.as_mut().unwrap_or_else(|| panic!("{name}:{number}: a step before any section"));
        if let Some(seconds) = line.strip_prefix("+ ") {
            section.surface.engine().advance_clock(seconds.parse().unwrap()).unwrap();
            continue;
        }
        if let Some(expected) = line.strip_prefix("* ") {
            counts.steps += 1;
            let report: Value = serde_json::from_str(&section.surface.engine().run_due().unwrap()).unwrap();
            if report != serde_json::from_str::<Value>(expected).unwrap() {
                failures.push(format!("{name}:{number}: {line}\n    got {report}"));
            }
            continue;
        }
        let mut request = line.to_owned();
        while lines[at] != "----" {
            request.push('\n');
            request.push_str(lines[at]);
            at += 1;
        }
        at += 1;
        let mut expected = Vec::new();
        while at < lines.len() && !lines[at].trim().is_empty() {
            expected.push(lines[at]);
            at += 1;
        }
        counts.steps += 1;
        if let Err(why) = run_step(section, &request, &expected.join("\n")) {
            failures.push(format!("{name}:{number}: {line}\n    {why}"));
        }
    }
}

fn engine(opening: &str) -> Engine {
    let mut words = opening.splitn(3, ' ');
    let (time, seed) = (words.next().unwrap(), words.next().unwrap());
    let mut config: Map<String, Value> =
        words.next().map_or_else(Map::new, |members| serde_json::from_str(members).unwrap());
    config.insert("store".to_owned(), "memory:".into());
    config.insert("clock".to_owned(), serde_json::json!({ "manual": time }));
    config.insert("seed".to_owned(), seed.parse::<u64>().unwrap().into());
    Engine::open(Config::parse(&Value::Object(config).to_string()).unwrap()).unwrap()
}

fn run_step<S: Surface>(section: &mut Section<S>, request: &str, expected: &str) -> Result<(), String> {
    let (action, params) = request.split_once(char::is_whitespace).unwrap_or((request, ""));
    let told = match params.trim_start().strip_prefix('!') {
        Some(raw) => section.surface.call(action, Params::Raw(raw.strip_prefix(' ').unwrap_or(raw))),
        None => section.surface.call(action, Params::Json(&replace(params, &section.captured, true))),
    };
    let Some(answer) = told? else { return Ok(()) };
    let told = match &answer.result {
        Ok(text) => text.clone(),
        Err(failure) => format!("{failure:?}"),
    };
    if let Some(error) = expected.strip_prefix("error ") {
        let words: Vec<&str> = error.split_whitespace().collect();
        let Err(actual) = &answer.result else { return Err(format!("expected {expected}, got {told}")) };
        let same = actual.code == words[0]
            && actual.http_status.to_string() == words[1]
            && words.get(2).is_none_or(|name| actual.message.contains(&format!("\"{name}\"")));
        return if same { Ok(()) } else { Err(format!("expected {expected}, got {told}")) };
    }
    let Ok(text) = &answer.result else { return Err(format!("expected a reply, got {told}")) };
    let mut actual: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {told}"))?;
    let request_id = actual.as_object_mut().and_then(|reply| reply.remove("RequestId"));
    if request_id != Some(answer.request_id.clone().into()) {
        return Err(format!("the RequestId is {request_id:?}"));
    }
    let mut template: Value =
        serde_json::from_str(expected).map_err(|error| format!("the expectation is no JSON: {error}"))?;
    capture(&template, &actual, &mut section.captured)?;
    substitute(&mut template, &section.captured);
    if matches(&template, &actual) { Ok(()) } else { Err(format!("expected {template}\n    got      {actual}")) }
}

/// The name in a text `<name>` that captures.
fn capture_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('<')?.strip_suffix('>')?;
    name.starts_with(|c: char| c.is_ascii_lowercase()).then_some(name)
}

/// Binds the captures of an expectation. A name that is bound already must be bound to the same text.
fn capture(template: &Value, actual: &Value, captured: &mut Captured) -> Result<(), String> {
    match (template, actual) {
        (Value::String(name), Value::String(text)) => {
            if let Some(name) = capture_name(name) {
                let bound = captured.entry(name.to_owned()).or_insert_with(|| text.clone());
                if bound != text {
                    return Err(format!("<{name}> is {bound} and not {text}"));
                }
            }
        }
        (Value::Object(template), Value::Object(actual)) => {
            for (name, value) in template {
                if let Some(actual) = actual.get(name) {
                    capture(value, actual, captured)?;
                }
            }
        }
        (Value::Array(template), Value::Array(actual)) => {
            for (value, actual) in template.iter().zip(actual) {
                capture(value, actual, captured)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Encrypts with RSAES-OAEP-SHA-256 under a SubjectPublicKeyInfo in Base64.
fn wrap(public_key: &str, bytes: &[u8]) -> String {
    let key = PublicKey::parse(Kind::Rsa2048, &BASE64.decode(public_key).unwrap()).unwrap();
    let mut wrapped = vec![0; key.ciphertext_len(bytes.len())];
    key.encrypt(EncryptionScheme::OaepSha256, bytes, &mut OsRng, &mut wrapped).unwrap();
    BASE64.encode(wrapped)
}

/// Replaces `$name`, `$$`, `%repeat(x,n)`, `%wrap(name,hex)` and `%%` in a text.
fn replace(text: &str, captured: &Captured, is_json: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        out.push_str(&rest[..at]);
        let sign = &rest[at..=at];
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix(sign) {
            out.push_str(sign);
            rest = after;
        } else if sign == "$" {
            let run = tail.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
            let name = &tail[..run.unwrap_or(tail.len())];
            let text = captured.get(name).unwrap_or_else(|| panic!("${name} was not captured"));
            out.push_str(&if is_json {
                Value::from(text.as_str()).to_string()[1..].trim_end_matches('"').to_owned()
            } else {
                text.clone()
            });
            rest = &tail[name.len()..];
        } else {
            let (function, arguments) = tail.split_once('(').expect("% begins %% or a function");
            let (arguments, after) = arguments.split_once(')').unwrap();
            let (first, second) = arguments.rsplit_once(',').unwrap();
            out.push_str(&match function {
                "repeat" => first.repeat(second.trim().parse().unwrap()),
                "wrap" => wrap(&captured[first], &hex::decode(second).unwrap()),
                other => panic!("no function {other}"),
            });
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn substitute(value: &mut Value, captured: &Captured) {
    match value {
        Value::String(text) if capture_name(text).is_none() => *text = replace(text, captured, false),
        Value::Array(values) => values.iter_mut().for_each(|value| substitute(value, captured)),
        Value::Object(members) => members.values_mut().for_each(|value| substitute(value, captured)),
        _ => {}
    }
}

fn matches(template: &Value, actual: &Value) -> bool {
    match (template, actual) {
        (Value::String(text), Value::String(actual)) => text == "<*>" || capture_name(text).is_some() || text == actual,
        (Value::Object(template), Value::Object(actual)) => {
            let open = template.contains_key("...");
            template
                .iter()
                .filter(|(name, _)| *name != "...")
                .all(|(name, value)| actual.get(name).is_some_and(|actual| matches(value, actual)))
                && (open || actual.len() == template.len())
        }
        (Value::Array(template), Value::Array(actual)) => {
            template.len() == actual.len() && template.iter().zip(actual).all(|(value, actual)| matches(value, actual))
        }
        _ => template == actual,
    }
}
