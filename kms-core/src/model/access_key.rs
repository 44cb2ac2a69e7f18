//! AccessKeys: how callers from outside the process prove who they are.

use std::fmt;

use crate::secret::SecretBytes;
use crate::time::Timestamp;

/// The public half of an AccessKey, which every request names: letters and digits, 16 to 128 of them, as Alibaba Cloud's RAM
/// has it (CreateAccessKey).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKeyId(Box<str>);

impl AccessKeyId {
    /// What the ids that this engine makes begin with, so that nobody takes one for a key to the cloud.
    pub const PREFIX: &'static str = "LKMS";

    /// Reads an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        good.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An AccessKey: what requests are signed with. Unlike a password it is kept itself, because HMAC needs it to check a
/// signature; like everything in the store it lies there sealed.
#[derive(Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Names it.
    pub id: AccessKeyId,
    /// Letters and digits.
    pub secret: SecretBytes,
    /// The account that it speaks for, 16 digits.
    pub account: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it may be used.
    pub enabled: bool,
    /// What it is for, in its owner's words.
    pub comment: String,
}

impl AccessKey {
    /// The most characters of a comment.
    pub const MAX_COMMENT: usize = 128;
    /// The most AccessKeys of a store, all of which an engine keeps in memory.
    pub const MOST: usize = 1000;

    /// A second copy. Not `Clone`, so that no secret is copied unseen.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            id: self.id.clone(),
            secret: self.secret.duplicate(),
            account: self.account.clone(),
            created: self.created,
            enabled: self.enabled,
            comment: self.comment.clone(),
        }
    }
}

/// For whom a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account, 16 digits: the creator of what the call creates.
    pub account: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_letters_and_digits() {
        for (text, good) in [
            ("LKMS0123456789abcdefXYZ1", true),
            ("LTAI4FfAkE0123456789", true),
            ("0123456789abcdef", true),
            ("0123456789abcde", false),
            ("0123456789abcde-", false),
            ("0123456789abcdeé", false),
            ("", false),
        ] {
            assert_eq!(AccessKeyId::parse(text).is_some(), good, "{text}");
        }
        assert!(AccessKeyId::parse(&"a".repeat(128)).is_some());
        assert!(AccessKeyId::parse(&"a".repeat(129)).is_none());
    }
}
