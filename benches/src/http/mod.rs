//! Load over HTTP: a `kms serve` of its own process, and clients that sign each request anew.
//!
//! ```text
//!   job ──► request (signed, fresh nonce) ──► client: some connections in turn ──► loopback ──► kms serve
//!                                               │ status of all, content of a sample
//!                                               ▼
//!                                             Tally: answers, latencies
//! ```
//!
//! Server and clients share the machine, so that what the clients cost is taken from the server. They are made to cost little:
//! what a request's signature covers before its nonce is digested once a second.

pub mod client;
pub mod jobs;
pub mod request;
pub mod server;

pub use client::{Tally, drive};
pub use jobs::{Job, Jobs};
pub use request::{Credentials, Scheme};
pub use server::Server;
