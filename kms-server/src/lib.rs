//! The KMS over HTTP and HTTPS: what unmodified Alibaba Cloud SDKs send, and what they expect back.
//!
//! ```text
//!   method, path, query,   ┌─ Front::admit ──────────────────────────────────────────────┐
//!   headers, body ────────►│ encoding ──► rpc ──► auth ──────────────► rpc               │──► Call
//!   time                   │ (decode)   (names)   (whose? hmac_sha1,  (fold dotted names)│     │
//!                          └──┬───────────────────  acs3, nonce) ────────────────────────┘     │
//!                             │ refused                                                        ▼
//!                             ▼                                               Front::try_perform, perform
//!     status, type, body ◄── respond ◄── xml ◄───────── JSON text or error ◄───────── call_at_once, call_as
//! ```
//!
//! It turns requests into calls and answers into replies, and knows no rule of the KMS itself: which action there is, which
//! parameters it has and what it refuses is the engine's. What it knows is chapters 2 and 3 of the contract, `contract/API.md`:
//! how parameters are written, how a request is signed, in which order that is checked (OP-10, steps 1 and 2), and how answers
//! and refusals look. What the contract is silent about, it takes from what the SDKs do.
//!
//! [`Front`] has no socket and reads no clock: a request is an argument, and so is the time. Around it stands the server:
//!
//! ```text
//!   Server (serve) ── listeners, TLS (tls), the stop
//!     └─ connection ── a request from hyper, within its limits (limits), to the Front and back
//!          └─ wire ── the bytes below hyper: time limits, and hyper's own answers made ours (answers)
//! ```
//!
//! A request may carry a plaintext, and so may an answer. Their texts stand in memory that is wiped, and in no message.

#![forbid(unsafe_code)]

mod answers;
mod auth;
mod connection;
mod encoding;
mod front;
mod limits;
mod respond;
mod rpc;
mod serve;
pub mod tls;
mod wiped;
mod wire;
mod xml;

pub use connection::serve_connection;
pub use front::{Call, Front, FrontOptions, Incoming};
pub use limits::Limits;
pub use respond::Reply;
pub use serve::{ServeOptions, Server};
