//! The key-value store beneath everything: bytes in, bytes out.
//!
//! A backend knows nothing of keys, seals or aliases. It keeps opaque values under opaque keys, tells the revision at
//! which each value was written, and commits batches that are all-or-nothing and on disk when [`RawKv::commit`] says
//! `Ok`. It offers no closures and no locks and assumes no exclusive ownership, so that an embedded engine, plain
//! memory and a database server fit behind the same five functions; one conformance suite runs against each.

use std::fmt;
use std::io;
use std::ops::Bound;

/// The position of a commit in the history of one store: larger is later, and no two commits share one.
///
/// The first commit has a revision above zero; zero is the revision of a store that was never written. Numbers may be
/// skipped: one that a failed commit has shown to readers is not given to another batch by the same handle.
pub type Rev = u64;

/// A value as it stands in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The bytes that were put.
    pub value: Vec<u8>,
    /// The commit that put them. A key that is deleted and put again has a new one, so an equal revision means an
    /// untouched value.
    pub rev: Rev,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored {{ {} bytes, rev {} }}", self.value.len(), self.rev)
    }
}

/// What a commit expects to find under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing stands under the key.
    Absent,
    /// The value put by this commit still stands there.
    Rev(Rev),
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Put `value` under `key`, replacing what stood there.
    Put {
        /// At most [`Caps::max_key`] bytes.
        key: Vec<u8>,
        /// At most [`Caps::max_value`] bytes together with its key.
        value: Vec<u8>,
    },
    /// Remove what stands under `key`; nothing there is no error.
    Delete {
        /// The key to remove.
        key: Vec<u8>,
    },
}

/// Writes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What the writer saw. Every entry must hold at the instant of the commit, before any of `writes`.
    pub expect: Vec<(Vec<u8>, Expect)>,
    /// What to write, in order; of two writes to one key the later stands.
    pub writes: Vec<Write>,
}

impl Write {
    /// The key that is put or removed.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl Batch {
    /// Whether every key and value keeps to the limits of `caps`.
    pub(crate) fn fits(&self, caps: Caps) -> bool {
        let expected = self.expect.iter().all(|(key, _)| key.len() <= caps.max_key);
        expected
            && self.writes.iter().all(|write| match write {
                Write::Put { key, value } => key.len() <= caps.max_key && key.len() + value.len() <= caps.max_value,
                Write::Delete { key } => key.len() <= caps.max_key,
            })
    }
}

impl Expect {
    /// Whether `found`, the revision under the key, is what was expected.
    pub(crate) fn holds(self, found: Option<Rev>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Rev(rev) => found == Some(rev),
        }
    }
}

/// The order of a scan, by key bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending.
    Forward,
    /// Descending.
    Backward,
}

/// What a backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The longest key, in bytes.
    pub max_key: usize,
    /// The most bytes that a key and its value may have together.
    pub max_value: usize,
    /// Nobody else can write while this handle is open.
    pub exclusive: bool,
}

impl Caps {
    /// The limits of the embedded backends. They are the same in memory as on disk, so that what fits one fits the
    /// other; what sets them is explained where sled is driven.
    pub(crate) const EMBEDDED: Self = Self { max_key: 400, max_value: 4096, exclusive: true };
}

/// Why the store could not do it.
#[derive(Debug)]
#[non_exhaustive]
pub enum RawError {
    /// A key given in [`Batch::expect`] is not as expected; nothing was written. Carries each key that differs once,
    /// in the order of the expectations.
    Conflict(Vec<Vec<u8>>),
    /// Another handle, of this or another process, has the store open.
    Locked,
    /// The place holds something that is not a store of ours, or one of a format this version does not know.
    Foreign(String),
    /// The store is ours, but damaged.
    Corrupt(String),
    /// No space is left; nothing was written, and nobody has seen anything of it.
    Full,
    /// No space is left; nothing is written, but readers may have seen the batch before that was found out. What they see
    /// now is what was before.
    TakenBack,
    /// This process is a forked child, and what the backend needs has stayed with its parent.
    Forked,
    /// An earlier failure left it unknown what is on disk: this handle answers nothing any more.
    Poisoned,
    /// A key or value above [`Caps`].
    TooLarge,
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for RawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(keys) => write!(f, "{} expected records have changed", keys.len()),
            Self::Locked => f.write_str("the store is open elsewhere"),
            Self::Foreign(what) => write!(f, "not a store of this engine: {what}"),
            Self::Corrupt(what) => write!(f, "the store is damaged: {what}"),
            Self::Full | Self::TakenBack => f.write_str("no space is left for the store"),
            Self::Forked => f.write_str("its threads have stayed with the parent process"),
            Self::Poisoned => f.write_str("the store failed earlier and must be reopened"),
            Self::TooLarge => f.write_str("a record is too large for this store"),
            Self::Io(error) => write!(f, "the store cannot be read or written: {error}"),
        }
    }
}

impl std::error::Error for RawError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// A blocking key-value store.
///
/// Keys are any bytes, the empty key included, and are ordered as bytes. A key that is longer than [`Caps::max_key`]
/// holds nothing; only a commit refuses it.
pub trait RawKv: Send + Sync + fmt::Debug {
    /// The value under `key`.
    ///
    /// # Errors
    /// [`RawError::Poisoned`], [`RawError::Corrupt`] and [`RawError::Io`]; [`RawError::Full`] from a backend that needs
    /// space to read and has none at the moment.
    fn get(&self, key: &[u8]) -> Result<Option<Stored>, RawError>;

    /// The values under several keys, in their order, all of one instant.
    ///
    /// # Errors
    /// Those of [`RawKv::get`].
    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Stored>>, RawError>;

    /// Up to `limit` entries whose keys begin with `prefix`, in the order of `direction`, beginning behind `after`
    /// (a whole key, prefix included; it need not exist, nor begin with `prefix`). The entries are of one instant, so
    /// ask for them in portions: a writer waits meanwhile.
    ///
    /// # Errors
    /// Those of [`RawKv::get`].
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Vec<u8>, Stored)>, RawError>;

    /// Writes a batch if all that it expects holds. It is on disk when this returns `Ok`. Readers may see it a little
    /// earlier; whoever must not act on what a power cut can take back compares revisions.
    ///
    /// A batch without writes only checks: it takes no revision of its own and answers that of the latest commit. Like
    /// any commit it waits for those under way, so that what it found to hold is on disk.
    ///
    /// # Errors
    /// [`RawError::Conflict`], [`RawError::Full`], [`RawError::TakenBack`] and [`RawError::TooLarge`] leave the store as it
    /// was and usable. After any other error the batch may or may not be on disk, and the handle is poisoned.
    fn commit(&self, batch: &Batch) -> Result<Rev, RawError>;

    /// What this backend can do.
    fn caps(&self) -> Caps;
}

/// The lower and the upper end of a range of keys.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The part of the key space that [`RawKv::scan`] walks through, or `None` if it is empty.
///
/// The bounds are never crossed: they suit [`std::collections::BTreeMap::range`], which panics when they are.
pub(crate) fn scan_bounds(prefix: &[u8], after: Option<&[u8]>, direction: Direction) -> Option<KeyRange> {
    let mut low = Bound::Included(prefix.to_vec());
    let mut high = successor(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    if let Some(after) = after {
        let above_high = matches!(&high, Bound::Excluded(end) if after >= end.as_slice());
        match direction {
            Direction::Forward if above_high => return None,
            Direction::Forward if after >= prefix => low = Bound::Excluded(after.to_vec()),
            Direction::Backward if after <= prefix => return None,
            Direction::Backward if !above_high => high = Bound::Excluded(after.to_vec()),
            Direction::Forward | Direction::Backward => {}
        }
    }
    Some((low, high))
}

/// The first key above all that begin with `prefix`; none if the prefix is empty or consists of 0xff bytes.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
