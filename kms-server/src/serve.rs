//! Listeners, and the life of the server.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::{Host, converse};
use crate::front::Front;
use crate::limits::Limits;

/// Connections that the system may hold until they are accepted.
const BACKLOG: u32 = 1024;
/// For which nothing is accepted after accepting has failed: most likely files have run out, and trying again at once
/// would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where and how to serve.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// Addresses for plain HTTP. Port 0 lets the system choose.
    pub http: Vec<SocketAddr>,
    /// Addresses for HTTPS, which needs `tls`.
    pub https: Vec<SocketAddr>,
    /// Certificate and key for HTTPS; [`crate::tls`] makes one.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What one client may cost the others.
    pub limits: Limits,
}

/// A server that holds its addresses, and serves when it is [run](Self::run).
pub struct Server {
    host: Host,
    listeners: Vec<TcpListener>,
    /// The first so many listeners are for plain HTTP.
    plain: usize,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsAcceptor>,
    /// Closes when no request is being performed.
    idle: mpsc::Receiver<std::convert::Infallible>,
}

impl Server {
    /// Takes the addresses; from here on clients can connect, though nobody answers before [`Self::run`]. To be called
    /// within a Tokio runtime that has I/O and time.
    ///
    /// # Errors
    ///
    /// There is no runtime, an address cannot be had, or there is one for HTTPS without a certificate.
    pub fn bind(front: Arc<Front>, options: ServeOptions) -> io::Result<Self> {
        Handle::try_current().map_err(io::Error::other)?;
        if !options.https.is_empty() && options.tls.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "HTTPS needs a certificate"));
        }
        let mut listeners = Vec::new();
        for &address in options.http.iter().chain(&options.https) {
            let listener =
                listen(address).map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
            listeners.push(listener);
        }
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let (working, idle) = mpsc::channel(1);
        let host = Host { front, limits: Arc::new(options.limits), working };
        let tls = options.tls.map(TlsAcceptor::from);
        Ok(Self { host, listeners, plain: options.http.len(), addresses, tls, idle })
    }

    /// Where it listens for HTTP, with the ports that the system has chosen.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.addresses[..self.plain]
    }

    /// Where it listens for HTTPS.
    #[must_use]
    pub fn https_addresses(&self) -> &[SocketAddr] {
        &self.addresses[self.plain..]
    }

    /// Serves until `stop` is ready. Then nothing is accepted any more, connections without a request are closed, and
    /// requests in progress get their answers, for as long as the drain time lasts. When it returns, no request is being
    /// performed: the engine can be closed.
    ///
    /// # Errors
    ///
    /// None at present: a server that has its addresses goes on until it is stopped.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let Self { host, mut listeners, plain, tls, mut idle, .. } = self;
        let seats = Arc::new(Semaphore::new(host.limits.connections));
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        let mut first = 0;
        loop {
            let next = accept(&listeners, &mut first, &seats);
            let Some(accepted) = unless(stop.as_mut(), &mut connections, next).await else { break };
            match accepted {
                Ok((stream, listener, seat)) => {
                    let tls = if listener < plain { None } else { tls.clone() };
                    connections.spawn(client(host.clone(), stream, tls, stopped.clone(), seat));
                }
                Err(error) if of_one_client(&error) => {}
                Err(_) => {
                    if unless(stop.as_mut(), &mut connections, sleep(ACCEPT_PAUSE)).await.is_none() {
                        break;
                    }
                }
            }
        }
        // From here on, connecting is refused.
        listeners.clear();
        stopping.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        let in_time = timeout(host.limits.drain, drained).await.is_ok();
        if !in_time {
            connections.shutdown().await;
        }
        // Dropping a connection does not end what it has begun.
        drop(host);
        let _ = idle.recv().await;
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that is started again is not kept waiting by connections that its predecessor has closed.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The next client, when there is a seat for it, and the number of the listener it came to. The listeners take turns.
async fn accept(
    listeners: &[TcpListener],
    first: &mut usize,
    seats: &Arc<Semaphore>,
) -> io::Result<(TcpStream, usize, OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, listener) = poll_fn(|cx| {
        for turn in 0..listeners.len() {
            let listener = (*first + turn) % listeners.len();
            if let Poll::Ready(result) = listeners[listener].poll_accept(cx) {
                *first = listener + 1;
                return Poll::Ready(result.map(|(stream, _)| (stream, listener)));
            }
        }
        Poll::Pending
    })
    .await?;
    Ok((stream, listener, seat))
}

/// Whether accepting failed for a reason that lies with the client that would have been accepted.
fn of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What `work` comes to, or nothing if `stop` is ready first. Connections that have ended are swept out meanwhile.
async fn unless<T>(
    mut stop: Pin<&mut impl Future<Output = ()>>,
    connections: &mut JoinSet<()>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx: &mut Context<'_>| {
        while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
        if stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// One client from its acceptance to its end.
async fn client(
    host: Host,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
    _seat: OwnedSemaphorePermit,
) {
    // Answers go out when they are ready; without this the second of a pipeline would wait for the client's receipt of
    // the first. A socket that cannot do it works all the same.
    let _ = stream.set_nodelay(true);
    // The server is gone: as good as stopped.
    let stop = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    match tls {
        None => converse(host, stream, stop).await,
        Some(tls) => {
            let mut stop = pin!(stop);
            let mut handshake = pin!(timeout(host.limits.handshake_time, tls.accept(stream)));
            let shaken = poll_fn(|cx| {
                if stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                handshake.as_mut().poll(cx).map(|result| result.ok()?.ok())
            })
            .await;
            if let Some(stream) = shaken {
                converse(host, stream, stop).await;
            }
        }
    }
}
