//! Clients that keep a server busy, and cost little themselves.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kms_core::time::Timestamp;
use serde_json::Value;

use super::request::Template;
use super::{Credentials, Job, Server};

/// For which an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of so many answers one is read whole.
const SAMPLE: usize = 64;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How long each answer took, in nanoseconds; sorted.
    pub latencies: Vec<u32>,
    /// From the first request to the last answer.
    pub time: Duration,
    /// The processor time that the server has used meanwhile.
    pub server: Duration,
}

impl Tally {
    /// Answers per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// The time, in microseconds, that this share of the answers did not exceed.
    #[must_use]
    pub fn latency(&self, share: f64) -> f64 {
        let at = (self.latencies.len() as f64 * share) as usize;
        self.latencies
            .get(at.min(self.latencies.len().saturating_sub(1)))
            .map_or(f64::NAN, |time| f64::from(*time) / 1e3)
    }

    /// The processor time of the server for one answer, in microseconds.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.latencies.len() as f64
    }
}

/// Has `threads` clients of `connections` connections each ask for `time`. The connections take the jobs in turn, and each
/// always has one request with the server.
///
/// # Errors
/// The first answer that is not what it should be, or the failure of a connection.
pub fn drive(
    server: &Server,
    jobs: &[&Job],
    threads: usize,
    connections: usize,
    time: Duration,
) -> Result<Tally, String> {
    let (before, start) = (server.time(), Instant::now());
    let tallies = thread::scope(|scope| {
        let clients: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut client = Client::new(server, jobs, thread, connections)?;
                    client.ask_until(start + time)?;
                    Ok(client.latencies)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("clients do not panic"))
            .collect::<Result<Vec<_>, String>>()
    })?;
    let mut tally =
        Tally { latencies: tallies.concat(), time: start.elapsed(), server: server.time().saturating_sub(before) };
    tally.latencies.sort_unstable();
    Ok(tally)
}

/// Asks once.
///
/// # Errors
/// The answer, if it is not one of success.
pub(super) fn ask(
    server: &Server,
    action: &'static str,
    parameters: &[(&'static str, String)],
) -> Result<Value, String> {
    let job = Job::unchecked(action, parameters.to_vec());
    let jobs = [&job];
    let mut client = Client::new(server, &jobs, 0, 1)?;
    client.send(0)?;
    let body = client.receive(0)?;
    serde_json::from_slice(&client.response[body]).map_err(|why| format!("{job}: {why}"))
}

/// One connection, with the job that it does.
struct Connection<'j> {
    stream: TcpStream,
    job: usize,
    what: &'j Job,
    sent: Instant,
}

/// One thread. It looks at its connections in turn and waits for each: while it waits, the others' requests are with the
/// server, so that nothing is gained by asking the system which one has been answered.
struct Client<'j> {
    connections: Vec<Connection<'j>>,
    credentials: &'j Credentials,
    jobs: &'j [&'j Job],
    templates: Vec<Template>,
    /// The second that the templates are for.
    second: u64,
    /// The last half is counted up.
    nonce: String,
    number: u64,
    request: Vec<u8>,
    response: Vec<u8>,
    latencies: Vec<u32>,
}

impl<'j> Client<'j> {
    fn new(server: &'j Server, jobs: &'j [&'j Job], thread: usize, connections: usize) -> Result<Self, String> {
        let connect = |at: usize| {
            let stream = TcpStream::connect(server.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let job = (thread + at) % jobs.len();
            Ok(Connection { stream, job, what: jobs[job], sent: Instant::now() })
        };
        let connections = (0..connections).map(connect).collect::<std::io::Result<_>>();
        let mut own = [0; 8];
        getrandom::fill(&mut own).map_err(|why| why.to_string())?;
        Ok(Self {
            connections: connections.map_err(|why| format!("connecting: {why}"))?,
            credentials: &server.credentials,
            jobs,
            templates: Vec::new(),
            second: 0,
            nonce: format!("{:016x}", u64::from_ne_bytes(own)),
            number: 0,
            request: Vec::new(),
            response: vec![0; 16 << 10],
            latencies: Vec::with_capacity(1 << 16),
        })
    }

    fn ask_until(&mut self, end: Instant) -> Result<(), String> {
        for at in 0..self.connections.len() {
            self.send(at)?;
        }
        loop {
            for at in 0..self.connections.len() {
                self.receive(at)?;
                self.send(at)?;
            }
            if Instant::now() >= end {
                break;
            }
        }
        (0..self.connections.len()).try_for_each(|at| self.receive(at).map(|_| ()))
    }

    fn send(&mut self, at: usize) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|why| why.to_string())?.as_secs();
        if now != self.second {
            let template = |job: &&Job| {
                Template::new(job.scheme, self.credentials, job.action, &job.parameters, Timestamp::from_unix(now))
            };
            self.templates = self.jobs.iter().map(template).collect();
            self.second = now;
        }
        self.number += 1;
        self.nonce.truncate(16);
        write!(self.nonce, "{:016x}", self.number).map_err(|why| why.to_string())?;
        let connection = &mut self.connections[at];
        self.templates[connection.job].write(&self.nonce, &mut self.request);
        connection.sent = Instant::now();
        connection.stream.write_all(&self.request).map_err(|why| format!("sending: {why}"))
    }

    /// Where in the response the body stands.
    fn receive(&mut self, at: usize) -> Result<Range<usize>, String> {
        let connection = &mut self.connections[at];
        let mut filled = 0;
        let body = loop {
            let room = self.response.get_mut(filled..).filter(|room| !room.is_empty()).ok_or("a long answer")?;
            match connection.stream.read(room).map_err(|why| format!("receiving: {why}"))? {
                0 => return Err("the server has closed a connection".to_owned()),
                read => filled += read,
            }
            if let Some((start, len)) = body(&self.response[..filled])
                && start + len <= filled
            {
                break start..start + len;
            }
        };
        let took = connection.sent.elapsed().as_nanos();
        self.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        let job = connection.what;
        let is_right =
            || serde_json::from_slice::<Value>(&self.response[body.clone()]).is_ok_and(|reply| job.is_right(&reply));
        let looked_at = self.latencies.len().is_multiple_of(SAMPLE);
        if self.response.starts_with(b"HTTP/1.1 200 ") && (!looked_at || is_right()) {
            return Ok(body);
        }
        Err(format!("{job}: {}", String::from_utf8_lossy(&self.response[..body.end])))
    }
}

/// Where the body of an answer begins, and how long it is, when its head is there.
fn body(answer: &[u8]) -> Option<(usize, usize)> {
    const LENGTH: &[u8] = b"content-length: ";
    let mut at = 0;
    let mut len = 0;
    loop {
        let line = &answer[at..];
        let end = line.windows(2).position(|two| two == b"\r\n")?;
        if end == 0 {
            return Some((at + 2, len));
        }
        if let Some(digits) = line[..end].strip_prefix(LENGTH) {
            len = digits.iter().fold(0, |len, digit| len * 10 + usize::from(digit - b'0'));
        }
        at += end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_found_when_the_head_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{\"a\":\"b\\r\"}";
        for end in 0..answer.len() {
            let found = body(&answer[..end]);
            assert_eq!(found, (end >= answer.len() - 11).then_some((answer.len() - 11, 12)), "{end}");
        }
    }

    #[test]
    fn shares_of_latencies() {
        let tally = Tally {
            latencies: (1..=1000).map(|n| n * 1000).collect(),
            time: Duration::from_secs(2),
            ..Tally::default()
        };
        assert_eq!(
            (tally.rate(), tally.latency(0.5), tally.latency(0.99), tally.latency(1.0)),
            (500.0, 501.0, 991.0, 1000.0)
        );
    }
}
