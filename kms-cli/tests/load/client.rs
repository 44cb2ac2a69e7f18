//! A client that signs its requests as SDKs do, keeps its connection, and knows how far an answer has come.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kms_core::time::Timestamp;
use serde_json::Value;

use crate::signing::{Moment, Pairs, Signer, Way};

#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
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
    way: Way,
}

impl<'k> Client<'k> {
    pub(crate) fn connect(address: SocketAddr, key: &'k AccessKey, way: Way) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, key, way }
    }

    /// Asks, and expects to be answered well or not at all.
    pub(crate) fn ask(&mut self, action: &str, params: &Value) -> Result<Value, End> {
        let params: Pairs = params
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        let signer = Signer { id: &self.key.id, secret: self.key.secret.as_bytes() };
        let request = signer.sign(self.way, action, &params, Moment { stamp: &now(), nonce: &nonce() });
        // A server that is going may close while this is written: then there is no answer either.
        self.stream.write_all(&request.bytes()).map_err(|_| End { cut: false })?;
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
}

fn now() -> String {
    Timestamp::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).to_string()
}

fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
