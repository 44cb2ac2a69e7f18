//! Persistence of the KMS: sealed records over any key-value store that keeps a small promise.
//!
//! ```text
//!   Vec<Change> ──► Store::prepare ──► Store::commit ──► leader ──► RawKv::commit ──► disk
//!                   (store, codec,      (commit: many              (mem_kv, sled_kv,
//!                    seal, value)        share one flush)           fault)
//!   View ◄── Reader ◄── open the seal ◄── RawKv::get, scan
//! ```
//!
//! No backend ever sees more than sealed bytes under keys that hide every name ([`raw`]; the layout is in
//! `docs/store-format.md`). A record that was changed, moved or exchanged does not open, and that is an error, never a wrong
//! answer. A commit is all or nothing and on disk before anybody is told of it, and it happens only if everything that its
//! plan has read is still so.

#![forbid(unsafe_code)]

mod codec;
mod commit;
mod count;
pub mod fault;
mod header;
mod keys;
pub mod mem_kv;
pub mod raw;
mod reader;
mod seal;
mod sled_dir;
mod sled_engine;
pub mod sled_kv;
mod sled_watch;
mod store;
mod value;

pub use codec::Owner;
pub use commit::{CommitError, Prepared};
pub use header::{MAX_RECIPE, ROOT_KEY_LEN, RootKey};
pub use reader::Reader;
pub use store::{Store, Touched};
