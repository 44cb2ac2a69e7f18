//! How much a client may send, and how long it may take.

use std::time::Duration;

/// What one client may cost the others.
///
/// A request is held in memory whole before it is looked at: at worst that is `connections` times `body` and the
/// `target` beside it, some 1.1 GiB by default.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes in the body of a request. 1 MiB: the largest parameter of the contract, 30 KiB of a secret in Base64 and
    /// percent-encoded, takes a tenth of it.
    pub body: usize,
    /// Bytes in the request line and the headers together. 96 KiB: SDKs put every parameter into the target, which can
    /// have 65,534 bytes, whatever this says; that leaves a half more for the headers.
    pub head: usize,
    /// Headers in a request. 64: SDKs send fewer than 30.
    pub headers: usize,
    /// From a request's first byte to the end of its head; also from the opening of a connection to the first byte. 10 s. Of a
    /// head that begins in the same packet as the request before it ends, only what comes later counts, and `idle_time` goes
    /// before.
    pub header_time: Duration,
    /// From the end of a request's head to the end of its body. 10 s.
    pub body_time: Duration,
    /// For which a client may keep an open connection without a request. 60 s.
    pub idle_time: Duration,
    /// For which a client may take nothing of an answer that waits for it. 10 s.
    pub write_time: Duration,
    /// For a TLS handshake. 10 s.
    pub handshake_time: Duration,
    /// For which, behind an answer to a request that was not read to its end, what still comes is read and thrown away. 1 s.
    /// Closing at once would reset the connection, and most systems then throw away the answer that the client has
    /// not read yet.
    pub linger_time: Duration,
    /// For which requests in progress may go on when the server is stopped. 10 s.
    pub drain: Duration,
    /// Connections at a time, over all listeners; further ones wait in the backlog. 1,024.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            head: 96 << 10,
            headers: 64,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            write_time: Duration::from_secs(10),
            handshake_time: Duration::from_secs(10),
            linger_time: Duration::from_secs(1),
            drain: Duration::from_secs(10),
            connections: 1024,
        }
    }
}
