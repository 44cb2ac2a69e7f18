//! libkms beside what else a program could link for the same work: SoftHSM2, through PKCS #11, and OpenSSL.
//!
//! ```text
//!   libkms, by its C functions ─┐
//!   SoftHSM2, by PKCS #11 ──────┼──► aead, signature ──► benches/peers: alternating rounds, ratios
//!   OpenSSL, by EVP ────────────┤        (checked)
//!   libsecp256k1 ───────────────┘
//! ```
//!
//! Everyone has made or read its key, opened its session and made its context before it is timed, draws a nonce for each
//! message itself, and writes into a buffer of the caller's. What each does beyond that is not alike and cannot be:
//!
//! | | libkms | SoftHSM2 | OpenSSL |
//! |---|---|---|---|
//! | the key is found | by its id, as text | by the handle of an object | it is in the context |
//! | it is asked whether the key may do this | its state, usage and expiry; the account | its attributes; whether someone has logged in | no |
//! | a message's key | derived for each message | the stored one | the stored one, expanded once |
//! | associated data | 48 bytes: version, header, length of the context | none | none |
//! | calls for a message | one | three: nonce, `Init`, work | four or five: nonce, `Init`, `Update`, `Final`, tag |
//! | threads | any number at once | any number, under locks | one for each context |
//!
//! OpenSSL is the library from which SoftHSM2 has its arithmetic, called without anything in between. For ECDSA over secp256k1 there
//! is libsecp256k1 besides, which does nothing else: through the Rust crate that brings its source, with a key in the form it
//! computes with, and nonces that follow from the key and the digest (RFC 6979).

pub mod aead;
pub mod signature;
pub mod softhsm;

use openssl::error::ErrorStack;

/// The result of an OpenSSL function that is to succeed here.
fn done<T>(result: Result<T, ErrorStack>) -> T {
    result.unwrap_or_else(|error| panic!("OpenSSL: {error}"))
}
