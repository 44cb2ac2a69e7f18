//! Pages of lists (OP-11 to OP-14).

use crate::error::KmsError;
use crate::params::Params;

/// Which page of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    number: u64,
    size: usize,
}

/// How many entries a list reads at a time while it looks for its page.
pub(super) const CHUNK: usize = 256;

impl Page {
    pub(super) fn parse(params: &Params) -> Result<Self, KmsError> {
        let number = params.number("PageNumber", 1, i32::MAX as u64)?.unwrap_or(1);
        let size = params.number("PageSize", 1, 100)?.unwrap_or(10);
        Ok(Self { number, size: usize::try_from(size).unwrap_or(usize::MAX) })
    }

    /// How many entries stand before this page.
    pub(super) fn skip(self) -> u64 {
        (self.number - 1).saturating_mul(self.size as u64)
    }

    /// The most entries it has.
    pub(super) const fn size(self) -> usize {
        self.size
    }

    /// How many entries to read at first: no more than it takes, if all of them are listed.
    pub(super) fn first_portion(self) -> usize {
        usize::try_from(self.skip()).map_or(CHUNK, |skip| skip.saturating_add(self.size).min(CHUNK))
    }

    /// The members that every list's answer ends with.
    pub(super) const fn reply(self, total: u64) -> PageReply {
        PageReply { page_number: self.number, page_size: self.size, total_count: total }
    }
}

/// The members that every list's answer ends with.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PageReply {
    page_number: u64,
    page_size: usize,
    total_count: u64,
}
