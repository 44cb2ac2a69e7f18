//! A client that signs its requests as SDKs do, keeps its connection, and knows how far an answer has come.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kms_core::time::Timestamp;
use ring::{digest, hmac};
use serde_json::Value;

#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    HmacSha1,
    Acs3,
}

/// The connection has ended before an answer was there.
#[derive(Debug)]
pub(crate) struct End {
    /// Whether a part of the answer was.
    pub(crate) cut: bool,
}

pub(crate) struct Client<'k> {
    stream: TcpStream,
    key: &'k AccessKey,
    scheme: Scheme,
}

impl<'k> Client<'k> {
    pub(crate) fn connect(address: SocketAddr, key: &'k AccessKey, scheme: Scheme) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, key, scheme }
    }

    /// Asks, and expects to be answered well or not at all.
    pub(crate) fn ask(&mut self, action: &str, params: &Value) -> Result<Value, End> {
        let params: Vec<(&str, String)> = params
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        let request = match self.scheme {
            Scheme::HmacSha1 => self.hmac_sha1(action, &params),
            Scheme::Acs3 => self.acs3(action, &params),
        };
        // A server that is going may close while this is written: then there is no answer either.
        self.stream.write_all(request.as_bytes()).map_err(|_| End { cut: false })?;
        let answer = self.receive()?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{action}: {answer}");
        Ok(serde_json::from_str(body).unwrap())
    }

    fn receive(&mut self) -> Result<String, End> {
        let mut answer = Vec::new();
        loop {
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(read @ 1..) => answer.extend_from_slice(&piece[..read]),
                Ok(0) => return Err(End { cut: !answer.is_empty() }),
                Err(why) => {
                    assert_eq!(why.kind(), std::io::ErrorKind::ConnectionReset);
                    return Err(End { cut: !answer.is_empty() });
                }
            }
            let text = str::from_utf8(&answer).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == len.parse::<usize>().unwrap() {
                    return Ok(text.to_owned());
                }
            }
        }
    }

    /// The common parameters in the query, those of the action in a form.
    fn hmac_sha1(&self, action: &str, params: &[(&str, String)]) -> String {
        let common = [
            ("AccessKeyId", self.key.id.clone()),
            ("Action", action.to_owned()),
            ("Format", "JSON".to_owned()),
            ("SignatureMethod", "HMAC-SHA1".to_owned()),
            ("SignatureNonce", nonce()),
            ("SignatureVersion", "1.0".to_owned()),
            ("Timestamp", now()),
            ("Version", "2016-01-20".to_owned()),
        ];
        let text = format!("POST&%2F&{}", percent(&joined(&[&common, params].concat())));
        let key = format!("{}&", self.key.secret);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        let signature = percent(&STANDARD.encode(hmac::sign(&key, text.as_bytes())));
        let form = joined(params);
        format!(
            "POST /?{}&Signature={signature} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            joined(&common),
            form.len()
        )
    }

    /// What is about the request in headers, the parameters in the query.
    fn acs3(&self, action: &str, params: &[(&str, String)]) -> String {
        let query = joined(params);
        let of_nothing = hex(digest::digest(&digest::SHA256, b"").as_ref());
        let headers = [
            ("host", "localhost"),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &of_nothing),
            ("x-acs-date", &now()),
            ("x-acs-signature-nonce", &nonce()),
            ("x-acs-version", "2016-01-20"),
        ];
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let list = headers.map(|(name, _)| name).join(";");
        let text = format!("POST\n/\n{query}\n{lines}\n{list}\n{of_nothing}");
        let text = format!("ACS3-HMAC-SHA256\n{}", hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.secret.as_bytes());
        let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
        let id = &self.key.id;
        let sent: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "POST /?{query} HTTP/1.1\r\n{sent}content-length: 0\r\n\
             authorization: ACS3-HMAC-SHA256 Credential={id},SignedHeaders={list},Signature={signature}\r\n\r\n"
        )
    }
}

fn now() -> String {
    Timestamp::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).to_string()
}

fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn joined(params: &[(&str, String)]) -> String {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort_unstable();
    sorted.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&")
}

fn percent(text: &str) -> String {
    let spelled = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    spelled.collect()
}
