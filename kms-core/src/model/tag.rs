//! Tags: up to ten pairs of text that people put on a resource.

/// The most tags that a resource may carry (contract, chapter 5).
pub const MAX_TAGS: usize = 10;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 1 to 128 bytes, not beginning with `aliyun` or `acs:` (OP-92).
    pub key: String,
    /// 0 to 128 characters.
    pub value: String,
}

impl Tag {
    /// Reads a tag; `None` when it is outside the contract's limits.
    #[must_use]
    pub fn new(key: &str, value: &str) -> Option<Self> {
        let good = Self::is_key(key) && value.chars().count() <= 128;
        good.then(|| Self { key: key.to_owned(), value: value.to_owned() })
    }

    /// Whether `text` has the length of a tag key.
    #[must_use]
    pub fn is_key_len(text: &str) -> bool {
        (1..=128).contains(&text.len())
    }

    fn is_key(text: &str) -> bool {
        Self::is_key_len(text) && !text.starts_with("aliyun") && !text.starts_with("acs:")
    }
}

/// The tags of one resource, in the order in which they were first put on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// Tags read back from where they were kept.
    #[must_use]
    pub fn from_vec(tags: Vec<Tag>) -> Self {
        Self(tags)
    }

    /// The tags.
    #[must_use]
    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }

    /// These tags with `new` put over them; `None` when there would be more than [`MAX_TAGS`].
    #[must_use]
    pub fn with(&self, new: Vec<Tag>) -> Option<Self> {
        let mut tags = self.0.clone();
        for tag in new {
            match tags.iter_mut().find(|old| old.key == tag.key) {
                Some(old) => *old = tag,
                None => tags.push(tag),
            }
        }
        (tags.len() <= MAX_TAGS).then_some(Self(tags))
    }

    /// These tags without those of the given keys; keys that are not there are ignored.
    #[must_use]
    pub fn without(&self, keys: &[String]) -> Self {
        Self(self.0.iter().filter(|tag| !keys.contains(&tag.key)).cloned().collect())
    }
}
