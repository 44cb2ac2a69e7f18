//! The ciphertext blob of symmetric keys.
//!
//! ```text
//! key version id (36, ASCII) | header (1) | nonce (24) | ciphertext | tag (16)
//! ```
//!
//! The header's high nibble is the format, 1; its low nibble the kind of the payload. The version id in front is what lets
//! Decrypt find the key (contract, chapter 4). Authenticated besides the payload: `"kms-blob-v1" | header | version id |
//! canonical EncryptionContext`.

use smallvec::SmallVec;

use super::{DerivingKey, NONCE_LEN, TAG_LEN};
use crate::context::{EncryptionContext, FEW_BYTES};
use crate::id::{ID_LEN, KeyVersionId};

/// The most bytes that one message holds (contract, chapter 5).
pub const MAX_PAYLOAD: usize = 6144;

/// How many bytes a blob is longer than its payload.
pub const OVERHEAD: usize = SEALED_AT + TAG_LEN;

const HEADER_AT: usize = ID_LEN;
const NONCE_AT: usize = HEADER_AT + 1;
const SEALED_AT: usize = NONCE_AT + NONCE_LEN;
const FORMAT: u8 = 1;
const LABEL: &[u8] = b"kms-blob-v1";
/// Label, header and version id: the additional data of a message without context.
const FIXED_AAD: usize = LABEL.len() + 1 + ID_LEN;

/// What the payload of a blob is (OP-40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// Bytes; the RPC form shows them as Base64.
    Bytes,
    /// A text that is not canonical Base64, given through the RPC form, and given back as it is.
    Text,
}

impl PayloadKind {
    const fn header(self) -> u8 {
        FORMAT << 4
            | match self {
                Self::Bytes => 0,
                Self::Text => 1,
            }
    }

    const fn from_header(header: u8) -> Option<Self> {
        match (header >> 4, header & 0x0f) {
            (FORMAT, 0) => Some(Self::Bytes),
            (FORMAT, 1) => Some(Self::Text),
            _ => None,
        }
    }
}

/// The blob is malformed, or does not open with this key and context. Which of them, nobody is told (OP-42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBlob;

/// Seals `payload` into `out`, which is [`OVERHEAD`] bytes longer.
///
/// # Panics
/// When `out` has another length.
pub fn seal(
    key: &DerivingKey,
    version: &KeyVersionId,
    kind: PayloadKind,
    context: &EncryptionContext,
    nonce: &[u8; NONCE_LEN],
    payload: &[u8],
    out: &mut [u8],
) {
    assert_eq!(out.len(), payload.len() + OVERHEAD, "the output has the length of the blob");
    let (front, sealed) = out.split_at_mut(SEALED_AT);
    let mut id = [0; ID_LEN];
    version.encode(&mut id);
    front[..HEADER_AT].copy_from_slice(&id);
    front[HEADER_AT] = kind.header();
    front[NONCE_AT..].copy_from_slice(nonce);
    with_aad(kind.header(), &id, context, |aad| key.seal(nonce, aad, payload, sealed));
}

/// A blob that names a key version; nothing else in it is believed yet.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'b> {
    version: KeyVersionId,
    bytes: &'b [u8],
}

impl<'b> Blob<'b> {
    /// Reads the front of a blob. Formats differ behind the version id, and who made the version is known only once it is
    /// found: a blob of the cloud's is one of an unknown key, not a malformed one.
    ///
    /// # Errors
    /// [`BadBlob`] when it is too short, or names no version.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, BadBlob> {
        if bytes.len() < OVERHEAD {
            return Err(BadBlob);
        }
        let version = KeyVersionId::parse_bytes(&bytes[..HEADER_AT]).ok_or(BadBlob)?;
        Ok(Self { version, bytes })
    }

    /// The key version that the blob says it was sealed with.
    #[must_use]
    pub const fn version(&self) -> KeyVersionId {
        self.version
    }

    /// The length of the payload.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.bytes.len() - OVERHEAD
    }

    /// Opens the blob into `out`, which has [`Blob::payload_len`] bytes and is written only on success.
    ///
    /// # Errors
    /// [`BadBlob`] when the key or the context is another one, or any bit of the blob was changed.
    ///
    /// # Panics
    /// When `out` has another length.
    pub fn open(&self, key: &DerivingKey, context: &EncryptionContext, out: &mut [u8]) -> Result<PayloadKind, BadBlob> {
        assert_eq!(out.len(), self.payload_len(), "the output has the length of the payload");
        let kind = PayloadKind::from_header(self.bytes[HEADER_AT]).ok_or(BadBlob)?;
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&self.bytes[..HEADER_AT]);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&self.bytes[NONCE_AT..SEALED_AT]);
        with_aad(kind.header(), &id, context, |aad| key.open(&nonce, aad, &self.bytes[SEALED_AT..], out))
            .map(|()| kind)
            .map_err(|_| BadBlob)
    }
}

/// Lays out the additional data, on the stack if the context is small: such a message allocates nothing.
fn with_aad<R>(header: u8, id: &[u8; ID_LEN], context: &EncryptionContext, use_it: impl FnOnce(&[u8]) -> R) -> R {
    let mut fixed = [0; FIXED_AAD];
    fixed[..LABEL.len()].copy_from_slice(LABEL);
    fixed[LABEL.len()] = header;
    fixed[LABEL.len() + 1..].copy_from_slice(id);
    if context.as_bytes().is_empty() {
        return use_it(&fixed);
    }
    let mut whole = SmallVec::<[u8; FIXED_AAD + FEW_BYTES]>::with_capacity(FIXED_AAD + context.as_bytes().len());
    whole.extend_from_slice(&fixed);
    whole.extend_from_slice(context.as_bytes());
    use_it(&whole)
}
