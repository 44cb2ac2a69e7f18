//! The records of the KMS as plain data, and the values they are made of.

mod access_key;
mod account;
mod algorithm;
mod alias;
mod key;
mod tag;
mod version;

pub use access_key::{AccessKey, AccessKeyId, Principal};
pub use account::{AccountStatus, Limits, Settings};
pub use algorithm::{EncryptionAlgorithm, SigningAlgorithm, WrappingAlgorithm};
pub use alias::{Alias, AliasName};
pub use key::{Imported, Key, KeySpec, KeyUsage, Origin, ProtectionLevel};
pub use tag::{MAX_TAGS, Tag, Tags};
pub use version::{KeyPair, KeyVersion, VersionRecord};

/// Declares an enumeration of the contract's texts: its names, how it is written and how it is read.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The contract's text for the value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The value with this text; upper and lower case differ.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}
use texts;
