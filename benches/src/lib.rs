//! What the benchmarks have in common: who competes, and how time is taken.
//!
//! ```text
//!   layer: ring, XAES, core, engine, C ABI ──► Contestant ──┬──► benches/layers        criterion's reports
//!                                              (checked)    ├──► benches/side_by_side  alternating rounds, ratios
//!   libraries, C ABI: sign, verify, … ───────────────────────┼──► benches/asymmetric    likewise
//!   C ABI, one item and many ────────────────────────────────┼──► benches/batch         likewise
//!   requests, signed ────────────────────────────────────────┼──► benches/signature     likewise
//!   load:  CreateKey, write + fdatasync ────────────────────┼──► benches/threads       one thread and two
//!                                                           └──► benches/durable       commits per second
//!   scale: stores of a thousand keys and of millions ──────────────► benches/scale         time and memory, side by side
//!   instructions: calls through the C ABI ─────────────────────────► bin/count_instructions  for callgrind
//!   http: signed requests to kms serve, over loopback ─────────────► benches/http_load     answers per second; steady_load
//! ```
//!
//! A [`Layer`] does the same work as the layer below it, and something more: the difference is what that costs. Each
//! [`Contestant`] proves that its work is right before it can be timed. `docs/performance.md` tells how to run all this
//! and how to read it.

pub mod abi;
pub mod apart;
pub mod arguments;
pub mod asymmetric;
pub mod batch;
pub mod contestant;
pub mod durable;
pub mod http;
pub mod instructions;
pub mod layer;
pub mod machine;
pub mod rounds;
pub mod scale;
pub mod signature;
pub mod table;

pub use contestant::{Contestant, Operation, Task};
pub use layer::Layer;
