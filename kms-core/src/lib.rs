//! The heart of the KMS: what a key is, what may be done to it in which state, and the cryptography it does.
//!
//! This crate decides and computes; it does nothing else. It opens no file, reads no clock and draws no randomness of its
//! own: all three reach it as arguments. The same inputs therefore give the same answer, on a test's turned clock as on a
//! server's, and everything that can go wrong outside is somebody else's page.
//!
//! ```text
//!   parameters ──► Action ──► Operation::parse ──► Operation::plan ──► Outcome { reply, changes }
//!                 (actions)       (params)           │  ▲                        │         │
//!                                                    │  │ reads             told once      │ committed at once
//!                                              Gate::check  View            it is durable  ▼ or not at all
//!                                               (gate)    (view)                         Change
//! ```
//!
//! A caller (the engine) builds a [`op::Ctx`] from the instant, a [`rng::Rng`], a [`view::View`] of what is recorded and the
//! host's [`model::Settings`], runs a plan, commits the [`Change`]s it wants, and releases the reply when they are durable.
//! A plan that fails has no changes, so that a rejected call leaves no trace.
//!
//! Two tables are the law: [`state`] says what moves a key from one state to another, and [`gate`] what each action answers
//! in each state. [`error`] is the third: every code, with its number and its HTTP status. [`actions`] is the fourth: a row
//! for each action of the API.
//!
//! `OP-nn` in comments points to the open points of the contract, `contract/API.md`, chapter 7.

#![forbid(unsafe_code)]

pub mod actions;
mod change;
pub mod context;
pub mod crypto;
pub mod error;
pub mod gate;
pub mod id;
pub mod model;
pub mod op;
pub mod params;
pub mod rng;
pub mod secret;
pub mod state;
pub mod time;
pub mod view;

pub use actions::Action;
pub use change::Change;
pub use error::{ErrorCode, KmsError};
