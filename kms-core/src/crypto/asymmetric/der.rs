//! DER of signatures and of SM2 ciphertexts.

use der::asn1::{OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, SliceReader, SliceWriter};

use super::Refused;

/// Bytes of the longest signature of a 256-bit curve: a header, and twice a header and 33 bytes.
pub(super) const MAX_SIGNATURE: usize = 2 + 2 * (2 + 33);

/// A signature of a 256-bit curve: two numbers, big-endian, below 2^256. Nothing else about them has been checked.
#[derive(Clone, Copy)]
pub struct Signature {
    pub(super) r: [u8; 32],
    pub(super) s: [u8; 32],
}

impl Signature {
    /// Reads `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279, section 2.2.3; GM/T 0009). `None` for what is not DER, for
    /// bytes left over, and for numbers below 0 or of more than 256 bits.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = SliceReader::new(bytes).ok()?;
        let (r, s) =
            reader.sequence(|inner| Ok::<_, der::Error>((UintRef::decode(inner)?, UintRef::decode(inner)?))).ok()?;
        reader.finish().ok()?;
        Some(Self { r: number(r)?, s: number(s)? })
    }

    /// r || s.
    pub(super) fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }

    /// Writes the DER form to the front of `out` and returns its length.
    pub(super) fn write(&self, out: &mut [u8]) -> Result<usize, Refused> {
        let mut written = || {
            let (r, s) = (UintRef::new(&self.r)?, UintRef::new(&self.s)?);
            let mut writer = SliceWriter::new(out);
            writer.sequence((r.encoded_len()? + s.encoded_len()?)?, |inner| {
                r.encode(inner)?;
                s.encode(inner)
            })?;
            Ok::<_, der::Error>(writer.finish()?.len())
        };
        written().map_err(|_| Refused)
    }
}

/// The 32 bytes of a number below 2^256.
fn number(number: UintRef<'_>) -> Option<[u8; 32]> {
    let bytes = number.as_bytes();
    let mut padded = [0; 32];
    padded[32usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(padded)
}

/// An SM2 ciphertext in DER (GM/T 0009): `SEQUENCE { x INTEGER, y INTEGER, C3 OCTET STRING, C2 OCTET STRING }`.
pub(super) struct Sm2Ciphertext<'b> {
    pub(super) x: [u8; 32],
    pub(super) y: [u8; 32],
    pub(super) c3: &'b [u8],
    pub(super) c2: &'b [u8],
}

impl<'b> Sm2Ciphertext<'b> {
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        let mut reader = SliceReader::new(bytes).ok()?;
        let (x, y, c3, c2) = reader
            .sequence(|inner| {
                let (x, y) = (UintRef::decode(inner)?, UintRef::decode(inner)?);
                let (c3, c2) = (<&OctetStringRef>::decode(inner)?, <&OctetStringRef>::decode(inner)?);
                Ok::<_, der::Error>((x, y, c3.as_bytes(), c2.as_bytes()))
            })
            .ok()?;
        reader.finish().ok()?;
        Some(Self { x: number(x)?, y: number(y)?, c3, c2 })
    }
}
