//! How the owner's commands reach a running server: a socket in the home folder, which only its owner may connect to.
//!
//! A connection carries one question and its answer, both as JSON; each side closes its half behind what it has written.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kms_engine::Engine;
use rustix::process::geteuid;
use zeroize::Zeroizing;

use crate::owner::{Reply, Request, Sent, perform};

/// The name of the socket in the home folder.
pub(crate) const NAME: &str = "owner.sock";
/// The most bytes of a question or an answer.
const MOST: u64 = 16 << 20;
/// For which a side waits for the other. An RSA key takes a good part of a second to make.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command's side.
pub(crate) struct Client(UnixStream);

impl Client {
    /// Connects to the server, if one is there.
    pub(crate) fn connect(place: &Path) -> io::Result<Option<Self>> {
        match UnixStream::connect(place) {
            Ok(stream) => Ok(Some(Self(stream))),
            // One that was killed leaves its socket behind.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn ask(self, request: &Request) -> io::Result<Reply> {
        let mut stream = self.0;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(Zeroizing::new(serde_json::to_string(request)?).as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let reply = read(&stream)?;
        Ok(match serde_json::from_str(&reply)? {
            Sent::Told(text) => Ok(text),
            Sent::Refused(refusal) => Err(refusal),
        })
    }
}

fn read(stream: &UnixStream) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    stream.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

/// The server's side. The socket is removed when this goes.
pub(crate) struct Served(PathBuf);

impl Served {
    /// Listens. Whoever calls this has the store open, so that a socket which is there is a killed server's.
    pub(crate) fn start(place: PathBuf, engine: &Arc<Engine>) -> io::Result<Self> {
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&place)?;
        let served = Self(place);
        fs::set_permissions(&served.0, Permissions::from_mode(0o600))?;
        let engine = Arc::downgrade(engine);
        // One at a time: the owner is one person, and whoever dawdles keeps nobody but himself from the engine.
        thread::Builder::new().name("kms-owner".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                let Some(engine) = engine.upgrade() else { return };
                // What goes wrong here is told by the other side.
                let _ = stream.and_then(|stream| answer(&stream, &engine));
            }
        })?;
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn answer(mut stream: &UnixStream, engine: &Engine) -> io::Result<()> {
    // The socket's mode says who may connect; it is not heeded on every system.
    if rustix::net::sockopt::socket_peercred(stream)?.uid != geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request: Request = serde_json::from_str(&read(stream)?)?;
    let reply = perform(engine, &request).map_or_else(Sent::Refused, Sent::Told);
    let reply = Zeroizing::new(serde_json::to_string(&reply)?);
    stream.write_all(reply.as_bytes())
}
