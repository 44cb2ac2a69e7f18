//! Identifiers: lower-case UUIDs, and the resource names (ARNs) that carry them.

use std::fmt;

use uuid::Uuid;

use crate::error::KmsError;
use crate::rng::Rng;

/// Length of an identifier's text, in ASCII characters.
pub const ID_LEN: usize = 36;

/// Reads the one accepted form: hyphenated, lower-case. Every Encrypt and Decrypt does so; going through all forms that
/// a UUID may have, and refusing all but one, takes several times as long.
fn parse_uuid(text: &[u8]) -> Option<Uuid> {
    let text: &[u8; ID_LEN] = text.try_into().ok()?;
    let four = |at: usize| u64::from(u32::from_be_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]));
    let eight = |first, second| hex_word(four(first) << 32 | four(second));
    let hyphens = [8, 13, 18, 23].iter().all(|at| text[*at] == b'-');
    let words = [eight(0, 4)?, eight(9, 14)?, eight(19, 24)?, eight(28, 32)?].map(u128::from);
    let [a, b, c, d] = words;
    hyphens.then(|| Uuid::from_u128(a << 96 | b << 64 | c << 32 | d))
}

/// What eight lower-case hexadecimal digits are worth, all read at once: a byte of the argument is a digit's character.
const fn hex_word(digits: u64) -> Option<u32> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // 'a' is 0x61 and stands for 10, '1' is 0x31. No sum carries into the next byte.
    let values = (digits & (0x0f * EACH)) + ((digits >> 6) & EACH) * 9;
    let is_letter = ((values + 6 * EACH) >> 4) & EACH;
    let written = values + 0x30 * EACH + is_letter * 0x27;
    if written != digits || values & (0xf0 * EACH) != 0 {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some((quads | quads >> 16) as u32)
}

/// Writes the form that [`parse_uuid`] reads. In words, as there: every Encrypt writes one.
fn write_uuid(uuid: Uuid, out: &mut [u8; ID_LEN]) {
    let words: [[u8; 8]; 4] = [96, 64, 32, 0].map(|at| hex_digits((uuid.as_u128() >> at) as u32).to_be_bytes());
    let digits = words.as_flattened();
    *out = [b'-'; ID_LEN];
    for (to, from) in [(0..8, 0..8), (9..13, 8..12), (14..18, 12..16), (19..23, 16..20), (24..36, 20..32)] {
        out[to].copy_from_slice(&digits[from]);
    }
}

/// The eight lower-case hexadecimal digits of a word, the first in the highest byte.
const fn hex_digits(word: u32) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let quads = (word as u64 | (word as u64) << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (quads | quads << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (0x0f * EACH);
    let is_letter = ((values + 6 * EACH) >> 4) & EACH;
    values + 0x30 * EACH + is_letter * 0x27
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Draws a new identifier: a random UUID (RFC 9562, version 4).
            ///
            /// # Errors
            /// `InternalFailure` when no entropy can be had.
            pub fn random(rng: &mut dyn Rng) -> Result<Self, KmsError> {
                let mut bytes = [0; 16];
                rng.public(&mut bytes)?;
                Ok(Self(uuid::Builder::from_random_bytes(bytes).into_uuid()))
            }

            /// Reads 36 lower-case characters; anything else is no identifier.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::parse_bytes(text.as_bytes())
            }

            /// [`Self::parse`] for bytes that may be no text at all.
            #[must_use]
            pub fn parse_bytes(text: &[u8]) -> Option<Self> {
                parse_uuid(text).map(Self)
            }

            /// The 16 bytes of the identifier.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The identifier with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Writes the text form into `out`.
            pub fn encode(&self, out: &mut [u8; ID_LEN]) {
                write_uuid(self.0, out);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

ids! {
    /// Names a key for ever; never given to another one.
    KeyId;
    /// Names one generation of a key's material, unique over all keys.
    KeyVersionId;
    /// Names one call, so that a caller's log and an auditor's can be laid side by side.
    RequestId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lower_case_hyphenated_form_is_an_id() {
        let text = "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf";
        assert_eq!(KeyId::parse(text).unwrap().to_string(), text);
        for other in [
            "",
            "86A9EFD9-3D16-4894-BD4F-1FC43F3F2ABF",
            "86a9efd93d164894bd4f1fc43f3f2abf",
            "{86a9efd9-3d16-4894-bd4f-1fc43f3f2abf}",
            "urn:uuid:86a9efd9-3d16-4894-bd4f-1fc43f3f2abf",
            "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf ",
            "86a9efd9-3d16-4894-bd4f-1fc43f3f2abg",
        ] {
            assert_eq!(KeyId::parse(other), None, "{other}");
        }
    }

    /// Goal: what is written is what the `uuid` crate writes, for every digit in every place.
    #[test]
    fn identifiers_are_written_as_another_crate_writes_them() {
        for at in 0..16 {
            for byte in 0..=u8::MAX {
                let mut bytes = [0x5a; 16];
                bytes[at] = byte;
                let mut text = [0; ID_LEN];
                KeyId::from_bytes(bytes).encode(&mut text);
                assert_eq!(str::from_utf8(&text), Ok(&*Uuid::from_bytes(bytes).hyphenated().to_string()));
            }
        }
    }

    /// Goal: what is read is what the text says. Method: the `uuid` crate reads each text that differs from an
    /// identifier in one byte, and takes upper-case digits besides.
    #[test]
    fn each_byte_counts() {
        let text = *b"86a9efd9-3d16-4894-bd4f-1fc43f3f2abf";
        for at in 0..ID_LEN {
            for byte in 0..=u8::MAX {
                let mut other = text;
                other[at] = byte;
                let expected = Uuid::try_parse_ascii(&other).ok().filter(|_| !byte.is_ascii_uppercase());
                assert_eq!(KeyId::parse_bytes(&other).map(|id| id.0), expected, "{byte:#04x} at {at}");
            }
        }
    }
}
