//! A client's byte stream, with an eye on the clock.
//!
//! hyper knows one time limit, from the end of an answer to the end of the next request's head, and none for writing.
//! Idling for a minute is fair and a head that takes a minute is not, so the stream itself tells the two apart: it sees
//! the first byte of a request come, and is told by the service when a head is complete and when its answer is ready.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kms_core::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::answers;
use crate::front::Front;
use crate::limits::Limits;

/// Where a connection stands, shared by its stream and its service. Both run in one task, so that no order of memory
/// accesses needs to be forced.
#[derive(Default)]
pub(crate) struct Progress {
    phase: AtomicU8,
    /// An answer was given to a request of which there may be more to come.
    unread: AtomicBool,
}

/// Nothing of the next request has come yet.
const WAITING: u8 = 0;
/// A part of the next request's head may have come.
const HEAD: u8 = 1;
/// The service has the request.
const SERVED: u8 = 2;
/// The service has answered, but the answer is not written yet.
const ANSWERED: u8 = 3;

impl Progress {
    /// The head of a request has come.
    pub(crate) fn served(&self) {
        self.phase.store(SERVED, Ordering::Relaxed);
    }

    /// hyper gets the answer next.
    pub(crate) fn answered(&self) {
        self.phase.store(ANSWERED, Ordering::Relaxed);
    }

    /// The request was answered before it was read to its end.
    pub(crate) fn left_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }
}

/// A time limit that runs while it is armed.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    armed: bool,
}

impl Alarm {
    fn new() -> Self {
        Self { sleep: Box::pin(sleep(Duration::ZERO)), armed: false }
    }

    fn arm(&mut self, after: Duration) {
        self.sleep.as_mut().reset(Instant::now() + after);
        self.armed = true;
    }

    /// Whether the time is up; if not, the task is woken when it is.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> bool {
        self.armed && self.sleep.as_mut().poll(cx).is_ready()
    }

    /// `progress`, or an error if there has been none for `limit`.
    fn watch<T>(
        &mut self,
        progress: Poll<io::Result<T>>,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.armed = false;
            return progress;
        }
        if !self.armed {
            self.arm(limit);
        }
        if self.poll_up(cx) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

/// What is left to do before the stream is closed.
enum Closing {
    Shutdown,
    Linger,
    Done,
}

/// A stream under [`Limits`], on which hyper's own answers are replaced by ours.
pub(crate) struct Wire<S> {
    stream: S,
    progress: Arc<Progress>,
    limits: Arc<Limits>,
    front: Arc<Front>,
    /// For what is to come.
    reading: Alarm,
    /// For what is to be taken.
    writing: Alarm,
    /// What stands in for hyper's own answer, and how much of it is written.
    substitute: Option<(Vec<u8>, usize)>,
    closing: Closing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, progress: Arc<Progress>, limits: Arc<Limits>, front: Arc<Front>) -> Self {
        let mut reading = Alarm::new();
        reading.arm(limits.header_time);
        let (writing, substitute, closing) = (Alarm::new(), None, Closing::Shutdown);
        Self { stream, progress, limits, front, reading, writing, substitute, closing }
    }

    /// Writes what stands in for hyper's own answer, all of it.
    fn poll_substitute(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, written)) = &mut self.substitute {
            if *written == bytes.len() {
                self.substitute = None;
                break;
            }
            let result = Pin::new(&mut self.stream).poll_write(cx, &bytes[*written..]);
            match ready!(self.writing.watch(result, self.limits.write_time, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => *written += n,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and throws away until the client closes, too, or the time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [0; 4096];
        loop {
            if self.reading.poll_up(cx) {
                return Poll::Ready(());
            }
            let mut waste = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut waste)) {
                Ok(()) if !waste.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        match this.progress.phase() {
            // As if the client had closed: nothing is owed to it.
            WAITING if result.is_pending() && this.reading.poll_up(cx) => return Poll::Ready(Ok(())),
            WAITING if buf.filled().len() > before => {
                this.progress.phase.store(HEAD, Ordering::Relaxed);
                this.reading.arm(this.limits.header_time);
            }
            HEAD if this.reading.poll_up(cx) => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => {}
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let end = match answers::own_answer(buf) {
            None => buf.len(),
            Some(0) => {
                if this.substitute.is_none() {
                    let reply = this.front.refuse(&ErrorCode::ParseRequestParameter.into());
                    this.substitute = Some((answers::replaced(buf, &reply), 0));
                    this.progress.left_unread();
                }
                // hyper comes again with the same bytes until they are written, which they are when ours are.
                return this.poll_substitute(cx).map_ok(|()| buf.len());
            }
            Some(start) => start,
        };
        let result = Pin::new(&mut this.stream).poll_write(cx, &buf[..end]);
        this.writing.watch(result, this.limits.write_time, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        ready!(this.writing.watch(result, this.limits.write_time, cx))?;
        if this.progress.phase() == ANSWERED {
            this.progress.phase.store(WAITING, Ordering::Relaxed);
            this.reading.arm(this.limits.idle_time);
            // hyper may have asked for more before it flushed: the alarm must know whom to wake.
            let _ = this.reading.poll_up(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.closing {
                Closing::Shutdown => {
                    let result = Pin::new(&mut this.stream).poll_shutdown(cx);
                    ready!(this.writing.watch(result, this.limits.write_time, cx))?;
                    if this.progress.unread.load(Ordering::Relaxed) {
                        this.reading.arm(this.limits.linger_time);
                        this.closing = Closing::Linger;
                    } else {
                        this.closing = Closing::Done;
                    }
                }
                Closing::Linger => {
                    ready!(this.poll_linger(cx));
                    this.closing = Closing::Done;
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Without this, hyper would copy bodies to where they are not wiped.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper writes heads in one piece, which comes first, and those of its own answers without another behind it.
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        if answers::own_answer(first).is_some() {
            return self.poll_write(cx, first);
        }
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.writing.watch(result, this.limits.write_time, cx)
    }
}
