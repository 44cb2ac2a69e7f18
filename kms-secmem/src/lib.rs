//! What the engine needs from the platform and safe Rust cannot give: memory for secrets, the knowledge
//! of having been forked, and random words from the processor.
//!
//! | module | gives |
//! |---|---|
//! | [`wiped`] | a place for a foreign secret-holding value that is overwritten afterwards |
//! | [`locked`] | pages that are neither swapped nor dumped, for the few long-lived secrets |
//! | [`fork`] | a number that changes in a forked child |
//! | [`descriptor`] | a lock on a file that other code has taken, to release it |
//! | [`hwrand`] | a random word from the processor |
//! | [`lock`] | locks that a forked child can live beside |
//!
//! Every `unsafe` block of the engine outside its C interface and its cipher kernels stands here, each
//! under a comment that says why it is sound.

#[cfg(not(unix))]
compile_error!("kms-secmem needs mmap, mlock and pthread_atfork");

pub mod descriptor;
pub mod fork;
pub mod hwrand;
pub mod lock;
pub mod locked;
pub mod wiped;

#[cfg(test)]
mod testing;
