//! The HTTP front of the KMS: what unmodified Alibaba Cloud SDKs send, and what they expect back.
//!
//! ```text
//!   method, path, query,   ┌─ Front::admit ──────────────────────────────────────────────┐
//!   headers, body ────────►│ encoding ──► rpc ──► auth ──────────────► rpc               │──► Call
//!   time                   │ (decode)   (names)   (whose? hmac_sha1,  (fold dotted names)│     │
//!                          └──┬───────────────────  acs3, nonce) ────────────────────────┘     │
//!                             │ refused                                                        ▼
//!                             ▼                                                         Front::perform
//!     status, type, body ◄── respond ◄── xml ◄───────── JSON text or error ◄───────── kms_engine::call_as
//! ```
//!
//! It turns requests into calls and answers into replies, and knows no rule of the KMS itself: which action there is, which
//! parameters it has and what it refuses is the engine's. What it knows is chapters 2 and 3 of the contract, `contract/API.md`:
//! how parameters are written, how a request is signed, in which order that is checked (OP-10, steps 1 and 2), and how answers
//! and refusals look. What the contract is silent about, it takes from what the SDKs do.
//!
//! [`Front`] has no socket and reads no clock: a request is an argument, and so is the time.
//!
//! A request may carry a plaintext, and so may an answer. Their texts stand in memory that is wiped, and in no message.

#![forbid(unsafe_code)]

mod auth;
mod encoding;
mod front;
mod respond;
mod rpc;
mod wiped;
mod xml;

pub use front::{Call, Front, FrontOptions, Incoming};
pub use respond::Reply;
