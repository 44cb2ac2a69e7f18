//! What tests with vectors read.

use der::asn1::UintRef;
use der::{Decode, Sequence};
use serde_json::Value;

use super::super::SIGNATURE_LEN;

pub(crate) fn unhex(test: &Value, field: &str) -> Vec<u8> {
    hex::decode(test[field].as_str().unwrap_or_else(|| panic!("{field} of {test}"))).expect("hex")
}

pub(crate) fn array<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    bytes.try_into().expect("an array of this length")
}

/// SEQUENCE { r, s }.
#[derive(Sequence)]
struct DerSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// r || s, of what is DER and has numbers of at most 32 bytes.
pub(crate) fn signature_from_der(bytes: &[u8]) -> Option<[u8; SIGNATURE_LEN]> {
    let DerSignature { r, s } = DerSignature::from_der(bytes).ok()?;
    let mut signature = [0; SIGNATURE_LEN];
    for (half, number) in signature.chunks_mut(32).zip([r, s]) {
        let number = number.as_bytes();
        half[32usize.checked_sub(number.len())?..].copy_from_slice(number);
    }
    Some(signature)
}
