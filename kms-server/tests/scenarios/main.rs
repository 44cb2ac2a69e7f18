//! Runs the scenarios of `scenarios/` over HTTP: each section is an engine behind a server of its own, on a real socket, and
//! each step a signed request. Steps on an action take turns between the ways in which a request can be made.
//!
//! What leaves no trace (a call that only reads, and one that is refused) is asked for again in XML, and must tell the same.

#[allow(dead_code, reason = "raw texts cannot be sent over HTTP")]
#[path = "../../../kms-engine/tests/common/scenario.rs"]
mod scenario;
#[path = "../common/signing.rs"]
mod signing;
#[path = "../common/xml.rs"]
mod xml;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kms_core::model::AccessKey;
use kms_core::time::Timestamp;
use kms_engine::Engine;
use kms_server::{Front, FrontOptions, ServeOptions, Server};
use scenario::{Failure, Params, Surface, Told};
use serde_json::Value;
use serde_json::value::RawValue;
use signing::{Moment, Pairs, Signer, Way};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A target has at most 65,534 bytes; what could be longer goes into a form.
const MOST_IN_QUERY: usize = 60_000;

/// What all sections share.
struct Test {
    runtime: Runtime,
    tally: RefCell<Tally>,
}

#[derive(Default)]
struct Tally {
    /// How often an action was asked for.
    asked: HashMap<String, usize>,
    /// How many requests there were.
    requests: usize,
    /// How often XML was compared with JSON.
    xml: usize,
}

impl Tally {
    /// The way of the next request, and its nonce.
    fn next(&mut self, action: &str) -> (Way, String) {
        let asked = self.asked.entry(action.to_owned()).or_default();
        *asked += 1;
        self.requests += 1;
        (Way::ALL[*asked % Way::ALL.len()], self.requests.to_string())
    }
}

/// An engine behind a server, and a client that has an AccessKey and one connection.
struct Http {
    test: Rc<Test>,
    engine: Arc<Engine>,
    key: AccessKey,
    client: Option<BufReader<TcpStream>>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Http {
    fn open(test: Rc<Test>, engine: Engine) -> Self {
        let engine = Arc::new(engine);
        let key = engine.create_access_key("").unwrap();
        let front = Arc::new(Front::new(Arc::clone(&engine), FrontOptions::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let guard = test.runtime.enter();
        let options = ServeOptions { http: vec!["127.0.0.1:0".parse().unwrap()], ..ServeOptions::default() };
        let server = Server::bind(front, options).unwrap();
        let client = TcpStream::connect(server.http_addresses()[0]).unwrap();
        drop(guard);
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let serving = test.runtime.spawn(async { server.run(async { drop(stopped.await) }).await.unwrap() });
        Self { test, engine, key, client: Some(BufReader::new(client)), stop: Some(stop), serving: Some(serving) }
    }

    /// Sends a request and returns what was answered.
    fn ask(&mut self, action: &str, parameters: &Pairs) -> Answer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (way, nonce) = self.test.tally.borrow_mut().next(action);
        let stamp = Timestamp::from_unix(now).to_string();
        let moment = Moment { stamp: &stamp, nonce: &nonce };
        let signer = Signer { id: self.key.id.as_str(), secret: self.key.secret.expose() };
        let mut request = signer.sign(way, action, parameters, moment);
        if request.query.len() > MOST_IN_QUERY {
            request = signer.sign(way.in_form(), action, parameters, moment);
        }
        let client = self.client.as_mut().unwrap();
        client.get_mut().write_all(&request.bytes()).unwrap();
        Answer::read(client)
    }
}

/// An answer as it came.
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Answer {
    fn read(from: &mut impl BufRead) -> Self {
        let mut line = || {
            let mut line = String::new();
            from.read_line(&mut line).unwrap();
            line.strip_suffix("\r\n").expect("a line of the head").to_owned()
        };
        let status = line()["HTTP/1.1 ".len()..][..3].parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(": ") else { break };
            assert!(headers.insert(name.to_owned(), value.to_owned()).is_none(), "{name} is there twice");
        }
        assert!(!headers.contains_key("connection"), "the connection stays open");
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        from.read_exact(&mut body).unwrap();
        Self { status, headers, body: String::from_utf8(body).unwrap() }
    }

    fn request_id(&self) -> &str {
        let id = &self.headers["x-acs-request-id"];
        assert!(kms_core::id::RequestId::parse(id).is_some_and(|parsed| parsed.to_string() == *id), "{id}");
        id
    }

    fn content_type(&self) -> &str {
        &self.headers["content-type"]
    }
}

impl Surface for Http {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn call(&mut self, action: &str, params: Params<'_>) -> Result<Option<Told>, String> {
        let Params::Json(params) = params else { return Ok(None) };
        let parameters = parameters(params);
        let answer = self.ask(action, &parameters);
        if answer.content_type() != "application/json; charset=utf-8" {
            return Err(format!("the answer is {}", answer.content_type()));
        }
        let members: Value = serde_json::from_str(&answer.body).map_err(|error| format!("{error}: {}", answer.body))?;
        if answer.status != 200 || leaves_no_trace(action) {
            self.xml_tells_the_same(action, parameters, &answer, members.clone())?;
        }
        let request_id = answer.request_id().to_owned();
        if answer.status == 200 {
            return Ok(Some(Told { request_id, result: Ok(answer.body) }));
        }
        if (&members["HttpStatus"], &members["RequestId"]) != (&answer.status.into(), &request_id.as_str().into()) {
            return Err(format!("with status {}: {members}", answer.status));
        }
        let text = |name: &str| members[name].as_str().unwrap_or_default().to_owned();
        let failure = Failure { code: text("Code"), http_status: answer.status, message: text("Message") };
        Ok(Some(Told { request_id, result: Err(failure) }))
    }
}

impl Http {
    /// Asks once more, for XML.
    fn xml_tells_the_same(
        &mut self,
        action: &str,
        mut parameters: Pairs,
        in_json: &Answer,
        mut members: Value,
    ) -> Result<(), String> {
        let fits = parameters.iter().all(|(name, text)| xml::can_hold(name) && xml::can_hold(text));
        parameters.push(("Format".to_owned(), "XML".to_owned()));
        let in_xml = self.ask(action, &parameters);
        if in_xml.content_type() != "text/xml; charset=utf-8" {
            return Err(format!("instead of XML there comes {}", in_xml.content_type()));
        }
        if !fits || !xml::can_hold_all(&members) {
            let named = in_xml.status == 400 && in_xml.body.contains("<Code>InvalidParameter</Code>");
            return if named && in_xml.body.contains("\"Format\"") {
                Ok(())
            } else {
                Err(format!("XML cannot hold it, and yet: {}", in_xml.body))
            };
        }
        self.test.tally.borrow_mut().xml += 1;
        members["RequestId"] = in_xml.request_id().into();
        if in_xml.status != in_json.status {
            return Err(format!("in JSON {members}, in XML {}", in_xml.body));
        }
        xml::compare(&in_xml.body, &members).map_err(|why| format!("{why}: in JSON {members}, in XML {}", in_xml.body))
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        drop(self.client.take());
        drop(self.stop.take());
        if let Some(serving) = self.serving.take()
            && !std::thread::panicking()
        {
            self.test.runtime.block_on(serving).unwrap();
        }
    }
}

/// Whether a call that succeeds changes nothing, and answers the same when it is made again.
fn leaves_no_trace(action: &str) -> bool {
    ["Describe", "List"].iter().any(|first| action.starts_with(first))
        || ["Decrypt", "AsymmetricDecrypt", "AsymmetricVerify", "GetPublicKey"].contains(&action)
}

/// The members of a JSON object as parameters (`scenarios/README.md`, "Over HTTP").
fn parameters(json: &str) -> Pairs {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap();
    let text = |value: &RawValue| match value.get().as_bytes()[0] {
        b'n' => None,
        b'"' => Some(serde_json::from_str(value.get()).unwrap()),
        _ => Some(without_white_space(value.get())),
    };
    members.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

fn without_white_space(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let keep = |char: &char| {
        let kept = in_text || !char.is_ascii_whitespace();
        in_text ^= *char == '"' && !escaped;
        escaped = in_text && *char == '\\' && !escaped;
        kept
    };
    json.chars().filter(keep).collect()
}

#[test]
fn every_scenario_holds_over_http() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let test = Rc::new(Test { runtime, tally: RefCell::default() });
    let counts = scenario::run_all(|engine| Http::open(Rc::clone(&test), engine));
    scenario::report(counts);
    assert!(test.tally.borrow().xml > counts.steps / 2, "most answers were asked for in XML as well");
}
