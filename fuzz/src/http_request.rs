//! HTTP: bytes of a connection, which may be anybody's, and requests that are signed.
//!
//! An input is the bytes that a client sends, so that it can be read, seeded and mutated by its words
//! (`dictionaries/http_request.dict`); nobody can have signed them. One that begins with a zero byte is read the other way:
//! it says which request to sign, and what happens to it on its way. One that begins with a byte 1 goes to
//! [`crate::decoders`].
//!
//! What a request is answered with is read by [`crate::http_answers`]. Besides: a request that its sender has signed is let
//! in, however it is spelled, and means what it means to the engine without HTTP; one that nobody has signed, or that was
//! signed as another, changes nothing and is not answered with status 200.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::{Arbitrary, Result, Unstructured};
use kms_core::model::AccessKey;
use kms_core::time::Timestamp;
use kms_server::{Front, FrontOptions, Limits, serve_connection};
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::alter;
use crate::decoders;
use crate::http_answers::{Answer, find, read};
use crate::json_call::{Fixture, READ_ONLY, contract};
use crate::signing::{Moment, Pairs, Request, Signer, Way};

/// No input takes longer unless something waits for what does not come; the server's own limits are far behind it.
const PATIENCE: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_hours(1);
/// The names of parameters that are about the request itself: the contract's, and some that clients add.
const COMMON: [&str; 12] = [
    "AccessKeyId",
    "Action",
    "Format",
    "RegionId",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureType",
    "SignatureVersion",
    "Timestamp",
    "Version",
];

/// What happens to a signed request.
#[derive(Arbitrary, Debug)]
enum Fate<'a> {
    /// It arrives.
    Arrives,
    /// It arrives, but each character is spelled as these bytes choose, and the pairs come in another order.
    Respelled { choices: &'a [u8], rotation: u8 },
    /// It arrives twice.
    Replayed,
    /// Another secret was used.
    OtherSecret { secret: &'a [u8] },
    /// Another AccessKey is named.
    OtherKey { id: u64 },
    /// It was signed at another time.
    OtherTime { seconds: u32, later: bool },
    /// A parameter is altered.
    Altered { at: u8, in_name: bool, tail: char },
    /// A parameter is added.
    Added { name: String, text: String, in_form: bool },
    /// A parameter is taken away.
    Removed { at: u8 },
    /// A header is altered.
    Header { at: u8, tail: u8 },
    /// Its bytes are altered.
    Bytes(Vec<alter::Alteration<'a>>),
    /// Its bytes have others behind them.
    Followed { tail: &'a [u8] },
}

/// An engine, the front of it, and one who may use it. Made anew after a request that has changed it.
struct World {
    fixture: Fixture,
    front: Arc<Front>,
    key: AccessKey,
    written: u64,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    body: 1 << 16,
    header_time: NEVER,
    body_time: NEVER,
    idle_time: NEVER,
    write_time: NEVER,
    linger_time: NEVER,
    ..Limits::default()
});

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    if let Some((1, rest)) = data.split_first() {
        return decoders::run(&mut Unstructured::new(rest));
    }
    WORLD.with_borrow_mut(|place| {
        let world = place.get_or_insert_with(World::new);
        match data.split_first() {
            Some((0, rest)) => world.run_signed(&mut Unstructured::new(rest)).unwrap_or(()),
            _ => world.is_refused(data),
        }
        if world.has_written() {
            *place = None;
        }
    });
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::new();
        let key = fixture.engine.create_access_key("").unwrap();
        let front = Arc::new(Front::new(Arc::clone(&fixture.engine), FrontOptions::default()));
        let written = fixture.disk.syncs();
        Self { fixture, front, key, written }
    }

    fn has_written(&self) -> bool {
        self.fixture.disk.syncs() != self.written
    }

    /// What comes back when these bytes come over a connection and then its end. A connection passes on a few of them at a
    /// time if they say so.
    fn send(&self, bytes: &[u8]) -> Vec<Answer> {
        let at_once = if bytes.len().is_multiple_of(2) { 1 << 16 } else { 61 };
        let (ours, theirs) = tokio::io::duplex(at_once);
        let (front, bytes) = (Arc::clone(&self.front), bytes.to_vec());
        let conversation = async {
            let serving = tokio::spawn(serve_connection(front, theirs, &LIMITS, pending()));
            let (mut from, mut to) = tokio::io::split(ours);
            let sending = tokio::spawn(async move {
                // The server may have had enough before the end.
                let _ = to.write_all(&bytes).await;
                let _ = to.shutdown().await;
            });
            let mut answers = Vec::new();
            from.read_to_end(&mut answers).await.expect("the answers end");
            serving.await.expect("no panic");
            sending.await.expect("no panic");
            answers
        };
        let answers = RUNTIME.with(|runtime| {
            runtime.block_on(async { tokio::time::timeout(PATIENCE, conversation).await }).expect("it ends")
        });
        read(&answers)
    }

    /// Nobody has signed this.
    fn is_refused(&self, bytes: &[u8]) {
        for answer in self.send(bytes) {
            assert_ne!(answer.status, 200, "nobody has signed it");
        }
        assert!(!self.has_written(), "a refused request has left a trace");
    }

    fn run_signed(&self, u: &mut Unstructured<'_>) -> Result<()> {
        let (way, action) = (*u.choose(&Way::ALL)?, self.action(u)?);
        let parameters = self.parameters(u, &action)?;
        self.meets(&Fate::arbitrary(u)?, way, &action, &parameters);
        Ok(())
    }

    fn action(&self, u: &mut Unstructured<'_>) -> Result<String> {
        let known = &contract().parameters;
        if u.ratio(1, 16)? {
            // It stands in a header as well.
            let any: String = u.arbitrary()?;
            return Ok("X".chars().chain(any.chars().filter(char::is_ascii_graphic)).collect());
        }
        let index = u.choose_index(known.len())?;
        Ok(known.keys().nth(index).unwrap().clone())
    }

    fn parameters(&self, u: &mut Unstructured<'_>, action: &str) -> Result<Pairs> {
        let mut pairs = Pairs::new();
        let mut names: Vec<String> = Vec::new();
        for name in contract().parameters.get(action).into_iter().flatten() {
            if u.ratio(3, 4)? {
                names.push(name.clone());
            }
        }
        if u.ratio(1, 8)? {
            names.push(u.arbitrary()?);
        }
        if u.ratio(1, 8)? {
            names.push("Format".to_owned());
        }
        for name in names {
            if pairs.iter().any(|(other, _)| *other == name) || (name != "Format" && COMMON.contains(&name.as_str())) {
                continue;
            }
            let text = match self.fixture.value(u, 0)? {
                _ if name == "Format" => (*u.choose(&["XML", "json", "xMl", ""])?).to_owned(),
                Value::String(text) => text,
                value => value.to_string(),
            };
            pairs.push((name, text));
        }
        Ok(pairs)
    }

    fn meets(&self, fate: &Fate<'_>, way: Way, action: &str, parameters: &Pairs) {
        let (now, nonce) = (now(), nonce());
        let stamp = Timestamp::from_unix(now).to_string();
        let moment = Moment { stamp: &stamp, nonce: &nonce };
        let signer = Signer { id: self.key.id.as_str(), secret: self.key.secret.expose() };
        let sign = |signer: &Signer<'_>, moment| signer.sign(way, action, parameters, moment);
        let mut request = sign(&signer, moment);
        if request.query.len() > 60_000 || request.form.len() > LIMITS.body {
            return;
        }
        match *fate {
            Fate::Arrives => self.arrives(&request, action, parameters),
            Fate::Respelled { choices, rotation } => {
                request.query = respelled(&request.query, choices, rotation);
                if way != Way::Acs3Form {
                    request.form = respelled(&request.form, choices, rotation);
                }
                if request.query.len() < 60_000 && request.form.len() <= LIMITS.body {
                    self.arrives(&request, action, parameters);
                }
            }
            Fate::Replayed => {
                self.arrives(&request, action, parameters);
                let code = self.one(&request.bytes()).code;
                assert_eq!(code.as_deref(), Some("SignatureNonceUsed"));
            }
            Fate::OtherSecret { secret } => {
                self.refused(&sign(&Signer { secret, ..signer }, moment), "IncompleteSignature");
            }
            Fate::OtherKey { id } => {
                let id = format!("LTAI{id}");
                self.refused(&sign(&Signer { id: &id, ..signer }, moment), "InvalidAccessKeyId.NotFound");
            }
            Fate::OtherTime { seconds, later } => {
                let (near, far) = (u64::from(seconds) % 800, 1000 + u64::from(seconds));
                let off = |by: u64| if later { now + by } else { now.saturating_sub(by) };
                let [near, far] = [near, far].map(|by| Timestamp::from_unix(off(by)).to_string());
                self.refused(&sign(&signer, Moment { stamp: &far, nonce: &nonce }), "IllegalTimestamp");
                self.arrives(&sign(&signer, Moment { stamp: &near, nonce: &nonce }), action, parameters);
            }
            Fate::Altered { at, in_name, tail } => {
                let change = |pairs: &mut Vec<(String, String)>| {
                    let at = usize::from(at) % pairs.len();
                    let place = if in_name { &mut pairs[at].0 } else { &mut pairs[at].1 };
                    place.push(tail);
                };
                self.changed(request, change);
            }
            Fate::Removed { at } => self.changed(request, |pairs| {
                pairs.remove(usize::from(at) % pairs.len());
            }),
            Fate::Added { ref name, ref text, in_form } => {
                let pair = format!("{}={}", each_byte(name), each_byte(text));
                let in_form = in_form && request.method == "POST" && !request.form.is_empty();
                let place = if in_form { &mut request.form } else { &mut request.query };
                place.insert_str(0, &if place.is_empty() { pair } else { pair + "&" });
                self.is_refused(&request.bytes());
            }
            Fate::Header { at, tail } => {
                // The older signature has no header in it.
                if matches!(way, Way::Acs3Query | Way::Acs3Form) {
                    let at = usize::from(at) % request.headers.len();
                    request.headers[at].1.push(char::from(b'!' + tail % 94));
                    self.is_refused(&request.bytes());
                }
            }
            Fate::Bytes(ref alterations) => {
                let (mut bytes, before) = (request.bytes(), meaning(&request.bytes()));
                for alteration in alterations {
                    alteration.apply(&mut bytes);
                }
                let answers = self.send(&bytes);
                if answers.iter().any(|answer| answer.status == 200) {
                    assert_eq!(
                        meaning(&bytes),
                        before,
                        "it was signed as another: {}",
                        String::from_utf8_lossy(&bytes)
                    );
                } else {
                    assert!(!self.has_written(), "a refused request has left a trace");
                }
            }
            Fate::Followed { tail } => {
                let answers = self.send(&[&request.bytes(), tail].concat());
                assert!(answers.iter().skip(1).all(|answer| answer.status != 200), "nobody has signed it");
            }
        }
    }

    /// The answer to one request.
    fn one(&self, bytes: &[u8]) -> Answer {
        let mut answers = self.send(bytes);
        assert_eq!(answers.len(), 1, "one answer to one request: {}", String::from_utf8_lossy(bytes));
        answers.remove(0)
    }

    fn refused(&self, request: &Request, code: &str) {
        let answer = self.one(&request.bytes());
        assert_eq!(answer.code.as_deref(), Some(code));
        assert!(!self.has_written(), "a refused request has left a trace");
    }

    /// A good request is let in, and means what it means to the engine without HTTP.
    fn arrives(&self, request: &Request, action: &str, parameters: &Pairs) {
        let answer = self.one(&request.bytes());
        let code = answer.code.as_deref().unwrap_or_default();
        let of_the_door =
            ["IncompleteSignature", "IllegalTimestamp", "SignatureNonceUsed", "InvalidAccessKeyId.NotFound"];
        assert!(!of_the_door.contains(&code), "{code}: {request:?}");
        if answer.status != 200 {
            assert!(!self.has_written(), "a refused request has left a trace");
        }
        let only_json = parameters.iter().all(|(name, text)| name != "Format" || text.is_empty() || text == "json");
        let no_dots = parameters.iter().all(|(name, _)| !name.contains('.'));
        if only_json && no_dots && (answer.status != 200 || READ_ONLY.contains(&action)) {
            let members: Map<String, Value> = parameters
                .iter()
                .filter(|(name, _)| name != "Format")
                .map(|(name, text)| (name.clone(), text.as_str().into()))
                .collect();
            let direct = self.fixture.engine.call(action, &Value::Object(members).to_string()).result;
            assert_eq!(direct.err().map(|error| error.code().as_str().to_owned()), answer.code, "{action}");
        }
    }

    /// What is changed after it was signed is refused.
    fn changed(&self, mut request: Request, change: impl FnOnce(&mut Vec<(String, String)>)) {
        let place = if request.form.is_empty() { &mut request.query } else { &mut request.form };
        let mut pairs = decoders::pairs(place.as_bytes()).unwrap();
        if pairs.is_empty() {
            return;
        }
        change(&mut pairs);
        let spelled = pairs.iter().map(|(name, text)| format!("{}={}", each_byte(name), each_byte(text)));
        *place = spelled.collect::<Vec<_>>().join("&");
        self.is_refused(&request.bytes());
    }
}

/// What of a request decides what it asks for: its method, its path, its parameters and the action in its headers.
type Meaning = (String, BTreeSet<(String, String)>, BTreeSet<(String, String)>, Option<String>);

/// Read in the plainest way.
fn meaning(bytes: &[u8]) -> Option<Meaning> {
    let (mut rest, mut lines) = (bytes, Vec::new());
    loop {
        let end = find(rest, b"\n")?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        match (line, lines.is_empty()) {
            ([], true) => {}
            ([], false) => break,
            _ => lines.push(String::from_utf8_lossy(line).into_owned()),
        }
    }
    let header = |name: &str| {
        let named = |line: &String| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        lines[1..].iter().find_map(named)
    };
    let mut words = lines[0].split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let target = target.split_once('#').map_or(target, |(target, _)| target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let length = header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let pairs = |bytes| Some(decoders::pairs(bytes)?.into_iter().collect());
    Some((format!("{method} {path}"), pairs(query.as_bytes())?, pairs(rest.get(..length)?)?, header("x-acs-action")))
}

/// The same parameters in another order, each character spelled in one of the ways that mean it.
fn respelled(encoded: &str, choices: &[u8], rotation: u8) -> String {
    let mut pairs = decoders::pairs(encoded.as_bytes()).unwrap();
    let by = usize::from(rotation) % pairs.len().max(1);
    pairs.rotate_left(by);
    let mut choices = choices.iter().copied().cycle();
    let mut spell = |text: &str| {
        let spelled = text.bytes().map(|byte| match (byte, choices.next().unwrap_or(0) % 4) {
            (b' ', 0 | 1) => "+".to_owned(),
            (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'*' | b'/' | b':', 0 | 1) => {
                char::from(byte).to_string()
            }
            (byte, 2) => format!("%{byte:02x}"),
            (byte, _) => format!("%{byte:02X}"),
        });
        spelled.collect::<String>()
    };
    let spelled: Vec<String> = pairs.iter().map(|(name, text)| format!("{}={}", spell(name), spell(text))).collect();
    spelled.join("&")
}

fn each_byte(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// One that was not used before.
fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
