//! Identifiers: lower-case UUIDs, and the resource names (ARNs) that carry them.

use std::fmt;

use uuid::Uuid;

use crate::error::KmsError;
use crate::rng::Rng;

/// Length of an identifier's text, in ASCII characters.
pub const ID_LEN: usize = 36;

/// Reads the one accepted form: hyphenated, lower-case.
fn parse_uuid(text: &str) -> Option<Uuid> {
    let lower = text.len() == ID_LEN && !text.bytes().any(|b| b.is_ascii_uppercase());
    if lower { Uuid::try_parse(text).ok() } else { None }
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
}
