//! An alias: a name that stands for a key and can be moved to another one.

use std::{fmt, str};

use smallvec::SmallVec;

use crate::id::KeyId;
use crate::time::Timestamp;

/// The name of an alias, prefix included: `alias/` and then letters, digits, `_`, `-` and `/`, at most 255 characters
/// together; names that begin with `alias/acs` are the service's own (OP-34).
///
/// Every call that names its key by an alias makes one: up to 64 characters are kept without allocating.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(SmallVec<[u8; 64]>);

impl AliasName {
    /// What every alias begins with; also what tells an alias from a key id.
    pub const PREFIX: &'static str = "alias/";
    const MAX_LEN: usize = 255;
    const RESERVED: &'static str = "alias/acs";

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix(Self::PREFIX)?;
        let good = !name.is_empty()
            && text.len() <= Self::MAX_LEN
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/'))
            && !text.starts_with(Self::RESERVED);
        good.then(|| Self(SmallVec::from_slice(text.as_bytes())))
    }

    /// The whole name, prefix included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("a name is ASCII: parse has seen to it")
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for AliasName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Its name, unique in the account and region.
    pub name: AliasName,
    /// The key it stands for.
    pub key: KeyId,
    /// When it was created; moving it to another key does not change this.
    pub created: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_names_are_those_of_the_contract() {
        let longest = format!("alias/{}", "x".repeat(249));
        for good in ["alias/a", "alias/A-1_/z", "alias/ac", "alias/my/acs", &longest] {
            assert_eq!(AliasName::parse(good).unwrap().as_str(), good);
        }
        let too_long = format!("alias/{}", "x".repeat(250));
        for bad in
            ["", "alias", "alias/", "Alias/a", "a", "alias/a b", "alias/é", "alias/acs", "alias/acs/x", &too_long]
        {
            assert_eq!(AliasName::parse(bad), None, "{bad}");
        }
    }
}
