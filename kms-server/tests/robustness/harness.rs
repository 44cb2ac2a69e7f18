//! A server on loopback addresses, and a client that speaks to it byte by byte, without any HTTP library.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kms_core::time::Timestamp;
use kms_server::{Limits, ServeOptions, Server, tls};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::world::World;

/// The status that a good request is answered with.
pub(super) const USUAL: u16 = 200;

/// Limits that tests can wait for; those that a test is not about are out of its way.
pub(super) fn limits() -> Limits {
    Limits { linger_time: SHORT, ..Limits::default() }
}

pub(super) const SHORT: Duration = Duration::from_millis(300);

/// How long a client waits for something that is to come.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) struct Running {
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) world: World,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Instant>>,
}

pub(super) fn start(limits: Limits) -> Running {
    let (stop, stopped) = oneshot::channel();
    let (bound, addresses) = mpsc::channel();
    let world = World::new();
    let front = Arc::clone(&world.front);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let any = || vec!["127.0.0.1:0".parse().unwrap()];
            let tls = Some(tls::from_files(&certificate().1.chain, &certificate().1.key).unwrap());
            let server = Server::bind(front, ServeOptions { http: any(), https: any(), tls, limits }).unwrap();
            bound.send((server.http_addresses()[0], server.https_addresses()[0])).unwrap();
            server.run(async { drop(stopped.await) }).await.unwrap();
            // Before the runtime is dropped, which waits for its threads whatever the server did.
            Instant::now()
        })
    });
    let (http, https) = addresses.recv().unwrap();
    Running { http, https, world, stop: Some(stop), thread: Some(thread) }
}

impl Running {
    pub(super) fn connect(&self) -> Client<TcpStream> {
        Client::to(self.http)
    }

    /// A request that is answered at once.
    pub(super) fn quick(&self) -> String {
        self.world.encrypt("cXVpY2s=")
    }

    /// Tells the server to stop.
    pub(super) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has stopped, and tells when `run` returned.
    pub(super) fn stopped(&mut self) -> Instant {
        self.thread.take().unwrap().join().unwrap()
    }

    /// Whatever came before, the next client is answered at once, here and over TLS.
    pub(super) fn is_well(&self) {
        let begun = Instant::now();
        let mut client = self.connect();
        client.send(self.quick());
        assert_eq!(client.answer().status, USUAL);
        let mut client = Client::over_tls(self.https);
        client.send(self.quick());
        assert_eq!(client.answer().status, USUAL);
        assert!(begun.elapsed() < Duration::from_secs(3), "a normal request took {:?}", begun.elapsed());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

fn certificate() -> &'static (TempDir, tls::Files) {
    static MADE: OnceLock<(TempDir, tls::Files)> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let names = tls::LOCAL_NAMES.map(str::to_owned);
        let files = tls::made_in(directory.path(), &names, Timestamp::from_unix(now)).unwrap();
        (directory, files)
    })
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) version: String,
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// What every answer must have, whatever it answers to.
    fn check(&self) {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        let request_id = body["RequestId"].as_str().expect("a RequestId");
        assert_eq!(self.header("x-acs-request-id"), Some(request_id), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert!(self.header("content-type").is_some_and(|t| t.starts_with("application/json")), "{self:?}");
        assert!(self.header("date").is_some(), "{self:?}");
        if self.status >= 400 {
            assert_eq!(body["HttpStatus"], self.status, "{self:?}");
            assert!(body["Message"].is_string(), "{self:?}");
        }
    }

    /// A member of the body; null if there is none.
    pub(super) fn member(&self, name: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&self.body).unwrap()[name].take()
    }

    /// The code of an error.
    pub(super) fn code(&self) -> String {
        self.member("Code").as_str().unwrap_or_default().to_owned()
    }
}

pub(super) struct Client<S: Read + Write> {
    pub(super) stream: BufReader<S>,
}

impl Client<TcpStream> {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends nothing more, and says so.
    pub(super) fn finish(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    pub(super) fn duplicate(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }
}

impl Client<StreamOwned<ClientConnection, TcpStream>> {
    pub(super) fn over_tls(address: SocketAddr) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate().1.ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), ServerName::from(address.ip())).unwrap();
        let stream = Client::to(address).stream.into_inner();
        Self { stream: BufReader::new(StreamOwned::new(connection, stream)) }
    }
}

impl<S: Read + Write> Client<S> {
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// The next answer, checked.
    pub(super) fn answer(&mut self) -> Answer {
        let answer = self.try_answer().unwrap().expect("an answer");
        answer.check();
        answer
    }

    /// The head of the next answer, with the body still to come.
    pub(super) fn head(&mut self) -> io::Result<Option<Answer>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return if lines.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            match line.strip_suffix("\r\n") {
                Some("") => break,
                Some(line) => lines.push(line.to_owned()),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let (version, rest) = lines[0].split_once(' ').unwrap();
        let status = rest[..3].parse().unwrap();
        let headers = lines[1..].iter().map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.into(), v.into()));
        Ok(Some(Answer { version: version.into(), status, headers: headers.collect(), body: String::new() }))
    }

    /// The next answer, or none if the server closes first. An answer that is cut is an error.
    pub(super) fn try_answer(&mut self) -> io::Result<Option<Answer>> {
        let Some(mut answer) = self.head()? else { return Ok(None) };
        if answer.status != 100 {
            let len = answer.header("content-length").expect("a length").parse().unwrap();
            let mut body = vec![0; len];
            self.stream.read_exact(&mut body)?;
            answer.body = String::from_utf8(body).unwrap();
        }
        Ok(Some(answer))
    }

    /// The server closes without another word; after how long.
    pub(super) fn is_closed(&mut self) -> Duration {
        let begun = Instant::now();
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed after {:?}: {error}", begun.elapsed()),
        }
        assert_eq!(String::from_utf8_lossy(&rest), "");
        begun.elapsed()
    }

    /// A refusal by the server itself, and that it closes behind it.
    pub(super) fn is_refused(&mut self) {
        let answer = self.answer();
        assert_eq!((answer.status, answer.code().as_str()), (400, "ParseRequestParameterException"));
        assert_eq!(answer.header("connection"), Some("close"));
        self.is_closed();
    }
}
