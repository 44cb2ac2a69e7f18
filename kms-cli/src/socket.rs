//! How the owner's commands reach a running server: a socket in the home folder, for its owner alone.
//!
//! A connection carries one question and its answer; each side closes its half behind what it has written. A question is a
//! line of JSON and, for a call, the text of its parameters; an answer is a letter, which says what it is, and a text. So no
//! secret is quoted within a text, and none is left behind by taking the quotes off.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use kms_core::ErrorCode;
use kms_engine::Engine;
use rustix::process::{Uid, geteuid};
use zeroize::Zeroizing;

use crate::Failure;
use crate::owner::{Refusal, Request, perform};
use crate::secret;

/// The name of the socket in the home folder.
pub(crate) const NAME: &str = "owner.sock";
/// The most bytes of a question or an answer.
const MOST: usize = 16 << 20;
/// In which a question must have come.
const TO_ASK: Duration = Duration::from_secs(10);
/// For which a question may be worked on before its asker gives up. What is due in a large store takes its time.
const TO_ANSWER: Duration = Duration::from_secs(600);
/// How many questions are answered at a time.
const AT_ONCE: usize = 16;
/// For which nothing is accepted after accepting has failed: most likely files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What an answer begins with: a JSON text, a refusal of the KMS, or why it was not asked.
const TOLD: u8 = b'+';
const REFUSED: u8 = b'-';
const UNHEARD: u8 = b'!';

/// A name for the socket that is short however long that of the folder is, and the folder, which must stay open meanwhile:
/// the name of a socket has 107 bytes at most.
fn short_name(home: &Path) -> io::Result<(File, PathBuf)> {
    let folder = File::open(home)?;
    let name = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
    Ok((folder, name))
}

fn peer(stream: &UnixStream) -> io::Result<Uid> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid)
}

/// The command's side.
pub(crate) struct Client(UnixStream);

impl Client {
    /// Connects to the server of a home folder, if there is one.
    pub(crate) fn connect(home: &Path) -> Result<Option<Self>, Failure> {
        let absent = |error: &io::Error| {
            // One that was killed leaves its socket behind.
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
        };
        let connected = short_name(home).and_then(|(_folder, name)| UnixStream::connect(name));
        let stream = match connected {
            Err(error) if absent(&error) => return Ok(None),
            connected => connected.map_err(Failure::at(NAME))?,
        };
        let server = peer(&stream).map_err(Failure::at(NAME))?;
        if server != geteuid() {
            return Err(Failure::Cannot(format!(
                "the server belongs to the user {}: run this as that user",
                server.as_raw()
            )));
        }
        Ok(Some(Self(stream)))
    }

    pub(crate) fn ask(self, request: &Request) -> Result<Zeroizing<String>, Failure> {
        let mut stream = self.0;
        let at = || Failure::at("the server, which may still do it");
        let question = question(request).map_err(|error| Failure::Cannot(error.to_string()))?;
        let sent = stream.write_all(question.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
        // A server that is busy says so without having read the question: then it cannot be sent, but the reply is there.
        let reply = match (sent, read(&stream, TO_ANSWER)) {
            (_, Ok(reply)) if !reply.is_empty() => reply,
            (Err(error), _) | (_, Err(error)) => return Err(at()(error)),
            (Ok(()), Ok(nothing)) => nothing,
        };
        let text = reply.get(1..).unwrap_or_default();
        match reply.as_bytes().first() {
            Some(&TOLD) => Ok(Zeroizing::new(text.to_owned())),
            Some(&REFUSED) => {
                let refusal: Refusal =
                    serde_json::from_str(text).map_err(|error| Failure::Cannot(error.to_string()))?;
                Err(refusal.into())
            }
            Some(&UNHEARD) => Err(Failure::Cannot(text.to_owned())),
            _ => Err(Failure::Cannot("the server has not answered".to_owned())),
        }
    }
}

fn question(request: &Request) -> serde_json::Result<Zeroizing<String>> {
    let head = serde_json::to_string(request)?;
    let params = if let Request::Call { params, .. } = request { params.as_str() } else { "" };
    let mut question = Zeroizing::new(String::with_capacity(head.len() + 1 + params.len()));
    for part in [&head, "\n", params] {
        question.push_str(part);
    }
    Ok(question)
}

fn read_question(question: &str) -> Option<Request> {
    let (head, rest) = question.split_once('\n')?;
    let mut request = serde_json::from_str(head).ok()?;
    if let Request::Call { params, .. } = &mut request {
        rest.clone_into(params);
    }
    Some(request)
}

/// Reads to the end, for so long in all.
fn read(stream: &UnixStream, patience: Duration) -> io::Result<Zeroizing<String>> {
    let begun = Instant::now();
    secret::read_all(MOST, |buffer| {
        let left = patience.saturating_sub(begun.elapsed());
        // No time at all would mean: for ever.
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        io::Read::read(&mut &*stream, buffer)
    })
}

/// The server's side. When it goes, the socket is removed, and those who have asked get their answers first.
pub(crate) struct Served {
    place: PathBuf,
    /// Held once by each thread that answers.
    answering: Arc<()>,
    engine: Weak<Engine>,
}

impl Served {
    /// Listens. Whoever calls this has the store open, so that a socket which is there is a killed server's.
    pub(crate) fn start(home: &Path, engine: &Arc<Engine>) -> io::Result<Self> {
        let place = home.join(NAME);
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (folder, name) = short_name(home)?;
        let listener = UnixListener::bind(&name)?;
        let served = Self { place, answering: Arc::default(), engine: Arc::downgrade(engine) };
        fs::set_permissions(&served.place, Permissions::from_mode(0o600))?;
        drop(folder);
        let (answering, engine) = (Arc::clone(&served.answering), Weak::clone(&served.engine));
        thread::Builder::new().name("kms-owner".to_owned()).spawn(move || accept(&listener, &answering, &engine))?;
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.place);
        // The thread that accepts holds it too.
        let begun = Instant::now();
        while Arc::strong_count(&self.answering) > 2 && begun.elapsed() < TO_ASK {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn accept(listener: &UnixListener, answering: &Arc<()>, engine: &Weak<Engine>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        // What goes wrong from here on is told by the other side.
        if Arc::strong_count(answering) > 1 + AT_ONCE {
            let _ = tell(&stream, UNHEARD, "the server is busy with other commands: try again");
            continue;
        }
        let (mine, engine) = (Arc::clone(answering), Weak::clone(engine));
        let answering = move || {
            if let Some(engine) = engine.upgrade() {
                let _ = answer(&stream, &engine);
            }
            drop(mine);
        };
        let _ = thread::Builder::new().name("kms-owner".to_owned()).spawn(answering);
    }
}

fn answer(stream: &UnixStream, engine: &Engine) -> io::Result<()> {
    stream.set_write_timeout(Some(TO_ASK))?;
    // The socket's mode says who may connect, but not before it is set, and not on every system.
    if peer(stream)? != geteuid() {
        let who = format!("the server belongs to the user {}: run this as that user", geteuid().as_raw());
        return tell(stream, UNHEARD, &who);
    }
    let Some(request) = read_question(&read(stream, TO_ASK)?) else {
        return tell(stream, UNHEARD, "the server does not know this question: is it of another version?");
    };
    // Whatever state a panic has left the engine in, it answers nobody any more; this thread's end would be told to nobody.
    let reply = catch_unwind(AssertUnwindSafe(|| perform(engine, &request))).unwrap_or_else(|_| {
        engine.poison();
        Err(Refusal::of(&ErrorCode::InternalFailure.into(), None))
    });
    match reply {
        Ok(told) => tell(stream, TOLD, &told),
        Err(refusal) => tell(stream, REFUSED, &serde_json::to_string(&refusal)?),
    }
}

fn tell(mut stream: &UnixStream, kind: u8, text: &str) -> io::Result<()> {
    stream.write_all(&[kind])?;
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_asked() {
        let params = "{\"Plaintext\":\"two\\nlines\"}\n".to_owned();
        let call = Request::Call { action: "Encrypt".to_owned(), params: Zeroizing::new(params.clone()) };
        let Some(Request::Call { action, params: read }) = read_question(&question(&call).unwrap()) else {
            panic!("it is no call");
        };
        assert_eq!((action.as_str(), read.as_str()), ("Encrypt", params.as_str()));
        let list = question(&Request::ListAccessKeys).unwrap();
        assert!(matches!(read_question(&list), Some(Request::ListAccessKeys)));
        for other in ["", "\"ListAccessKeys\"", "\"Nothing\"\n", "{}\n"] {
            assert!(read_question(other).is_none(), "{other}");
        }
    }
}
