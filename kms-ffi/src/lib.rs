//! libkms: the C interface of the engine. `include/kms.h` is made from this crate.
//!
//! # The contract
//!
//! Every function takes the engine first, then inputs, then outputs, then err.
//!
//! Results. A function that can fail returns KMS_OK or why it failed. Its outputs are written only on success (one
//! exception: lengths, see below). If err is not NULL, a failure stores a new error object there, to be freed with
//! kms_error_free; a success leaves err alone, so set it to NULL before.
//!
//! Pointers. NULL where something must be is an error, KMS_NULL_ARGUMENT, not a crash. The functions that free and
//! those that look into an error take NULL. What a pointer points to must be there and must not change while the call
//! runs; a function keeps no pointer when it has returned.
//!
//! Texts are UTF-8 and end with NUL; otherwise KMS_INVALID_UTF8. A returned text belongs to the caller:
//! kms_string_free.
//!
//! Bytes go out as a buffer, its capacity, and a length. If the buffer is NULL or too small, the answer is
//! KMS_BUFFER_TOO_SMALL, the length says how many bytes suffice, and nothing was done. An output, its length
//! included, may not overlap an input or another output: KMS_OVERLAP.
//!
//! Batches. A function whose name ends in _batch makes the call without that ending for each of count items, in their
//! order. Inputs stand one behind the other, with an array of their lengths in bytes; so do results, which another batch
//! can take as they are. The returned status tells whether the batch ran. How each item went stands in statuses and, unless
//! errors is NULL, in errors: an error object to be freed with kms_error_free, or NULL for an item that has succeeded. An
//! item is answered as a single call would be: it asks for the state of its key when its turn comes, so that a change which
//! has returned holds for every item that begins after that. One that fails leaves the others alone, and its result takes
//! no room: its length is 0. The batch as a whole fails, and no item runs, for what no look at a key is needed: what is
//! wrong with an array or a buffer, with the handle or the account, or with a text that all items share. If the buffer is
//! too small, the lengths say what each item needs. Where count is 0, the arrays may be NULL.
//!
//! Threads. An engine may be used by any number of threads at once. Nothing here may be called from a signal handler.
//!
//! Closing. kms_close lets no new call in (they answer KMS_CLOSED), waits for those that run, and then closes the
//! store.
//!
//! Fork. In a forked child an engine of the parent answers KMS_FORKED, and kms_close leaves it alone. The child may
//! open its own in memory; one on disk only if the parent has opened none on disk before the fork, otherwise KMS_FORKED: sled's
//! threads are not there in the child. Open after forking, or let the child exec.
//!
//! Defects. A failure inside the library that should not be possible never unwinds into the caller: the call answers
//! KMS_INTERNAL_FAILURE, what it would have written is unspecified, and the engine refuses all later calls; close it
//! and open it again. Where there is no memory left the process ends.
//!
//! Rust has a word for what a caller owes to these functions: `unsafe`. The page above is the safety section of them
//! all, and is what a comment means that says "the contract of the C interface". What a caller can be told without
//! undefined behaviour is an error instead; left are pointers that are wrong without being NULL, and data that changes
//! during a call.
//!
//! # The inside
//!
//! ```text
//!   extern "C" ──► panic ──► handle ──► buffer ──► Engine ──► buffer: outputs, or error: kms_error
//!                    │          │          └ slices, strings, overlap: every pointer of an argument
//!                    │          └ NULL, forked, closed; the engine stays while a call is inside
//!                    └ catches panics, poisons the engine
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `open` | opening, closing, what the host brings along |
//! | `crypt`, `datakey`, `sign`, `asymmetric`, `digest` | the typed functions |
//! | `batch` | the typed functions for many items |
//! | `call` | any action, with JSON |
//! | `due` | the clock, and what is due |
//! | `error`, `status` | the error object, and the numbers |
//! | `string` | texts that C frees |
//! | `handle` | who owns an engine, and when it may go |
//! | `buffer`, `items` | from C's pointers to Rust's references: those of a call, and those of a batch |
//! | `panic` | the boundary |
//!
//! There is no logic of a KMS here. A function checks what only C can get wrong, and hands the rest to the engine.

#![expect(
    clippy::missing_safety_doc,
    reason = "the contract above is that of every function, and headers know no such section"
)]

mod asymmetric;
mod batch;
mod buffer;
mod call;
mod crypt;
mod datakey;
mod digest;
mod due;
mod error;
mod handle;
mod items;
mod open;
mod panic;
mod sign;
mod status;
mod string;

pub use asymmetric::{kms_asymmetric_decrypt, kms_asymmetric_encrypt, kms_get_public_key};
pub use batch::{kms_decrypt_batch, kms_encrypt_batch, kms_sign_batch, kms_verify_batch};
pub use call::kms_call;
pub use crypt::{kms_decrypt, kms_encrypt, kms_reencrypt};
pub use datakey::kms_generate_data_key;
pub use digest::{kms_digest, kms_digest_final, kms_digest_free, kms_digest_init, kms_digest_update, kms_digester};
pub use due::{kms_clock_advance, kms_run_due};
pub use error::{
    kms_error, kms_error_code, kms_error_free, kms_error_http_status, kms_error_message, kms_error_request_id,
    kms_error_status,
};
pub use handle::kms;
pub use open::{KMS_ABI_VERSION, kms_close, kms_host, kms_open, kms_version};
pub use sign::{kms_sign, kms_verify};
pub use status::*;
pub use string::kms_string_free;

#[cfg(test)]
mod tests {
    /// The words of a text, without what its comments are made of.
    fn words(text: &str, prefix: &str) -> Vec<String> {
        let lines = text.lines().map(|line| line.trim_start().strip_prefix(prefix).unwrap_or(line));
        lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
    }

    fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
        let (_, rest) = text.split_once(from).expect("the page begins");
        rest.split_once(to).expect("the page ends").0
    }

    /// Goal: the contract that C programmers read is the one above.
    #[test]
    fn the_header_has_the_page_of_the_contract() {
        let ours = words(between(include_str!("lib.rs"), "# The contract", "//! Rust has a word"), "//!");
        let headers = words(between(include_str!("../cbindgen.toml"), "// The contract\n", "'''"), "//");
        assert_eq!(ours, headers);
    }
}
