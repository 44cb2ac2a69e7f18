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
            pub fn encode<'b>(&self, out: &'b mut [u8; ID_LEN]) -> &'b str {
                self.0.as_hyphenated().encode_lower(out)
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
