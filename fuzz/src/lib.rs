//! What the fuzz targets do, as plain functions over bytes: each `fuzz_targets/*.rs` hands its input to the `run` of one module,
//! and so does `tests/seeds.rs`, which replays kept inputs without any fuzzer.
//!
//! ```text
//!   bytes ──► blob       ──► Engine::decrypt, reencrypt, call("Decrypt")   refused, unless this engine made the blob
//!         ──► asymmetric ──► PrivateKey, PublicKey of both providers            both say the same
//!         ──► sm2        ──► kms_gm::sm2 and the sm2 crate                    both say the same
//!         ──► ecdsa      ──► kms_gm::ecdsa, p256 and k256                 both say the same
//!         ──► json_call  ──► Engine::call                                  an answer of the contract, and no trace of an error
//!         ──► http_request ──► kms_server::serve_connection               an answer of the contract; only what is signed is done
//!              └ decoders ──► encoding, rpc, xml of kms-server              what another decoder, another parser says
//!         ──► record     ──► codec, seal, header, value of kms-store       opens only what was sealed there
//!              └ damage  ──► Engine on a store with one record altered     a true answer or KMS_STORE_CORRUPT
//!         ──► kms_sim::run (ops) ──► model and Engine on a failing disk  both say the same
//! ```

mod alter;
pub mod asymmetric;
pub mod blob;
mod call;
mod damage;
mod decoders;
pub mod ecdsa;
mod http_answers;
pub mod http_request;
pub mod json_call;
pub mod record;
pub mod sanitizer;
pub mod sm2;

// Sources of kms-store that it keeps to itself, taken in as they are. They refer to one another from the root of their crate.
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-store/src/codec.rs"]
mod codec;
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-store/src/header.rs"]
mod header;
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-store/src/keys.rs"]
mod keys;
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-store/src/seal.rs"]
mod seal;
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-store/src/value.rs"]
mod value;

// So do these of kms-server.
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-server/src/encoding.rs"]
mod encoding;
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-server/src/rpc.rs"]
mod rpc;
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-server/src/wiped.rs"]
mod wiped;
#[allow(dead_code, missing_docs, reason = "written for another crate")]
#[path = "../../kms-server/src/xml.rs"]
mod xml;
// And these of its tests: a client, and a reader of XML.
#[allow(dead_code, reason = "written for another crate")]
#[path = "../../kms-server/tests/common/signing.rs"]
mod signing;
#[allow(dead_code, reason = "written for another crate")]
#[path = "../../kms-server/tests/common/xml.rs"]
mod xml_reader;

use kms_store::raw;
