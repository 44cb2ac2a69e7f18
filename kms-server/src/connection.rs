//! One connection: requests in, through the front, answers out.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Buf;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming as IncomingBody};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kms_core::ErrorCode;
use kms_core::time::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::front::{Front, Incoming};
use crate::limits::Limits;
use crate::respond::Reply;
use crate::wire::{Progress, Wire};

/// What every connection of a server shares.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) front: Arc<Front>,
    pub(crate) limits: Arc<Limits>,
    /// Held by every request that is being performed, whether or not its client still waits. Nothing is sent over it.
    pub(crate) working: mpsc::Sender<Infallible>,
}

/// Serves one client on `stream` until it or we close. When `stop` is ready, what is in progress is finished, and nothing
/// else is begun.
///
/// It returns when no request that came over it is being performed any more.
pub async fn serve_connection<S>(front: Arc<Front>, stream: S, limits: &Limits, stop: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (working, mut idle) = mpsc::channel(1);
    converse(Host { front, limits: Arc::new(limits.clone()), working }, stream, stop).await;
    let _ = idle.recv().await;
}

/// [`serve_connection`], but a request whose client has gone may still be being performed when it returns.
pub(crate) async fn converse<S>(host: Host, stream: S, stop: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let progress = Arc::new(Progress::default());
    let wire = Wire::new(stream, Arc::clone(&progress), Arc::clone(&host.limits), Arc::clone(&host.front));
    let connection = http1::Builder::new()
        // A client that closes its side when it has sent its request still wants the answer.
        .half_close(true)
        .max_buf_size(host.limits.head)
        .max_headers(host.limits.headers)
        // Ours are in the wire.
        .header_read_timeout(None)
        .serve_connection(
            TokioIo::new(wire),
            service_fn(|request| {
                progress.served();
                let (host, progress) = (host.clone(), Arc::clone(&progress));
                async move {
                    let response = respond(&host, request, &progress).await;
                    progress.answered();
                    Ok::<_, Infallible>(response)
                }
            }),
        );
    let (mut connection, mut stop) = (pin!(connection), pin!(stop));
    let mut stopped = false;
    // How a connection ended, well or badly, is nobody's business but the client's.
    let _ = poll_fn(|cx| {
        if !stopped && stop.as_mut().poll(cx).is_ready() {
            stopped = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await;
}

/// The answer to one request.
async fn respond(host: &Host, request: Request<IncomingBody>, progress: &Progress) -> Response<Full<Wiped>> {
    let (head, body) = request.into_parts();
    let collected = timeout(host.limits.body_time, collect(body, host.limits.body)).await;
    let Ok(Some(body)) = collected else {
        progress.left_unread();
        let mut response = response(host.front.refuse(&ErrorCode::ParseRequestParameter.into()));
        // What is left of the request cannot be told from a next one.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    response(answer(host, &head, &body).await)
}

async fn answer(host: &Host, head: &http::request::Parts, body: &[u8]) -> Reply {
    let incoming = Incoming {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or(""),
        headers: &head.headers,
        body,
    };
    let front = Arc::clone(&host.front);
    // A panic of the engine is the front's to see to. After any other one, which the panic hook has told of, the connection
    // goes on all the same.
    let failed = || host.front.refuse(&ErrorCode::InternalFailure.into());
    let begun = catch_unwind(AssertUnwindSafe(|| {
        let call = front.admit(&incoming, now())?;
        front.try_perform(call).map_or_else(Ok, Err)
    }));
    let call = match begun {
        Ok(Ok(call)) => call,
        Ok(Err(reply)) => return reply,
        Err(_) => return failed(),
    };
    let working = host.working.clone();
    let performed = tokio::task::spawn_blocking(move || {
        let reply = front.perform(call);
        drop(working);
        reply
    });
    performed.await.unwrap_or_else(|_| failed())
}

fn now() -> Timestamp {
    // A clock before 1970 makes every signature too new, which is told to the client.
    Timestamp::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The whole body, or none if it is too long or breaks off. What hyper has read it into is not wiped.
async fn collect(mut body: IncomingBody, limit: usize) -> Option<Zeroizing<Vec<u8>>> {
    let hint = body.size_hint();
    if hint.lower() > limit as u64 {
        return None;
    }
    let mut collected = Zeroizing::new(Vec::with_capacity(usize::try_from(hint.lower()).ok()?));
    while let Some(frame) = body.frame().await {
        // What is no data is trailers, which nobody asks for.
        let Ok(data) = frame.ok()?.into_data() else { continue };
        let len = collected.len() + data.len();
        if len > limit {
            return None;
        }
        if len > collected.capacity() {
            // Growing in place would leave what has come so far behind where it was.
            let mut larger = Zeroizing::new(Vec::with_capacity((2 * len).min(limit)));
            larger.extend_from_slice(&collected);
            collected = larger;
        }
        collected.extend_from_slice(&data);
    }
    Some(collected)
}

fn response(reply: Reply) -> Response<Full<Wiped>> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let request_id = HeaderValue::from_str(&reply.request_id.to_string());
    let mut response = Response::new(Full::new(Wiped { bytes: reply.body, read: 0 }));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(request_id) = request_id {
        headers.insert("x-acs-request-id", request_id);
    }
    response
}

/// The body of an answer, which may be a plaintext: it is wiped when it is written.
struct Wiped {
    bytes: Zeroizing<String>,
    read: usize,
}

impl Buf for Wiped {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.read
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes.as_bytes()[self.read..]
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "advanced beyond the end");
        self.read += count;
    }
}
