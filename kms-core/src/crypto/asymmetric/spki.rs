//! SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7): the one form in which public keys come and go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Reader, SliceReader};

use super::Kind;

/// id-ecPublicKey (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// rsaEncryption (RFC 3279, section 2.3.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The name of a curve: RFC 5480 section 2.1.1.1, SEC 2 section A.2, GM/T 0006.
const fn curve(kind: Kind) -> Option<ObjectIdentifier> {
    match kind {
        Kind::P256 => Some(ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7")),
        Kind::Secp256k1 => Some(ObjectIdentifier::new_unwrap("1.3.132.0.10")),
        Kind::Sm2 => Some(ObjectIdentifier::new_unwrap("1.2.156.10197.1.301")),
        Kind::Rsa2048 | Kind::Rsa3072 => None,
    }
}

/// Reads algorithm, its parameters, and the key's bits.
fn read(spki: &[u8]) -> Option<(ObjectIdentifier, AnyRef<'_>, &[u8])> {
    let mut reader = SliceReader::new(spki).ok()?;
    let read = reader.sequence(|outer| {
        let (algorithm, parameters) =
            outer.sequence(|inner| Ok::<_, der::Error>((ObjectIdentifier::decode(inner)?, AnyRef::decode(inner)?)))?;
        Ok::<_, der::Error>((algorithm, parameters, BitStringRef::decode(outer)?))
    });
    let (algorithm, parameters, bits) = read.ok()?;
    reader.finish().ok()?;
    Some((algorithm, parameters, bits.as_bytes()?))
}

/// The uncompressed point of a curve's key. Whether it lies on the curve is not looked at.
pub(super) fn point(kind: Kind, spki: &[u8]) -> Option<&[u8; 65]> {
    let (algorithm, parameters, bits) = read(spki)?;
    let named = parameters.decode_as::<ObjectIdentifier>().ok()?;
    let bits: &[u8; 65] = bits.try_into().ok()?;
    (algorithm == EC && Some(named) == curve(kind) && bits[0] == 4).then_some(bits)
}

/// X || Y of an uncompressed point.
pub(super) fn coordinates(point: &[u8; 65]) -> Option<&[u8; 64]> {
    match point.split_first_chunk()? {
        ([4], coordinates) => coordinates.first_chunk(),
        _ => None,
    }
}

/// Checks that this is an RSA key of the size of `kind`, with an odd exponent from 3 to 2^32.
pub(super) fn check_rsa(kind: Kind, spki: &[u8]) -> Option<()> {
    let (algorithm, parameters, bits) = read(spki)?;
    let mut reader = SliceReader::new(bits).ok()?;
    let (modulus, exponent) =
        reader.sequence(|inner| Ok::<_, der::Error>((UintRef::decode(inner)?, UintRef::decode(inner)?))).ok()?;
    reader.finish().ok()?;
    let (modulus, exponent) = (modulus.as_bytes(), exponent.as_bytes());
    let sized = Some(modulus.len()) == kind.modulus_len() && modulus[0] >= 0x80 && modulus[modulus.len() - 1] % 2 == 1;
    let exponent = exponent.iter().try_fold(0u32, |sum, byte| sum.checked_mul(256)?.checked_add(u32::from(*byte)))?;
    (algorithm == RSA && parameters.is_null() && sized && exponent >= 3 && exponent % 2 == 1).then_some(())
}

/// The SubjectPublicKeyInfo of a curve's key.
pub(super) fn with_point(kind: Kind, point: &[u8; 65]) -> Vec<u8> {
    let encode = || {
        let curve = curve(kind).ok_or(der::ErrorKind::Failed)?;
        let bits = BitStringRef::from_bytes(point)?;
        let algorithm_len = (EC.encoded_len()? + curve.encoded_len()?)?;
        let header = der::Header::new(der::Tag::Sequence, algorithm_len);
        let body = ((header.encoded_len()? + algorithm_len)? + bits.encoded_len()?)?;
        let mut out = Vec::new();
        der::Header::new(der::Tag::Sequence, body).encode_to_vec(&mut out)?;
        header.encode_to_vec(&mut out)?;
        EC.encode_to_vec(&mut out)?;
        curve.encode_to_vec(&mut out)?;
        bits.encode_to_vec(&mut out)?;
        Ok::<_, der::Error>(out)
    };
    encode().expect("a named curve and 65 bytes have an encoding")
}

/// The PEM text of a SubjectPublicKeyInfo (RFC 7468, section 13): lines of 64 characters, each ended by a line feed.
#[must_use]
pub fn pem(spki: &[u8]) -> String {
    let body = STANDARD.encode(spki);
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 64);
    text.push_str("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END PUBLIC KEY-----\n");
    text
}
