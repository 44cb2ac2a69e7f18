//! How many records there are at an instant: without those of keys that are gone, though no sweep has come by yet.
//!
//! The head record counts what is recorded. What is gone of that hangs on the time, and is not written down. It is counted
//! along the list of keys that await their deletion, once: the handle remembers up to which place it has counted, goes on
//! from there when time has passed, and each commit that writes such a key corrects what lies behind.

use kms_core::id::KeyId;
use kms_core::model::Key;
use kms_core::time::Timestamp;
use kms_core::view::{Counts, Due, DuePlace, Totals};

/// What has been counted of keys that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The last place of the list up to which it was counted; none before the first time.
    pub(crate) until: Option<DuePlace>,
    /// The keys up to there, and what belongs to them.
    pub(crate) of: Totals,
}

/// The counts of one instant of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    /// What is recorded.
    pub(crate) recorded: Totals,
    /// What of it is gone.
    pub(crate) gone: Gone,
}

/// A key that awaits its deletion, and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doomed {
    pub(crate) place: DuePlace,
    pub(crate) of: Totals,
}

/// The place behind all keys that are gone at `now`, and before all others.
pub(crate) fn end(now: Timestamp) -> DuePlace {
    DuePlace { at: now, id: KeyId::from_bytes([0xff; 16]) }
}

impl Doomed {
    /// `key`, if it awaits its deletion.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        let at = Due::Deletion.of(key)?;
        let of = Totals { keys: 1, aliases: key.aliases.into(), added_versions: key.added_versions() };
        Some(Self { place: DuePlace { at, id: key.id }, of })
    }
}

impl Gone {
    /// Whether it has been counted up to this place, or further.
    pub(crate) fn covers(&self, place: DuePlace) -> bool {
        self.until.is_some_and(|until| place <= until)
    }

    pub(crate) fn add(&mut self, doomed: &Doomed) {
        let Totals { keys, aliases, added_versions } = &mut self.of;
        *keys += doomed.of.keys;
        *aliases += doomed.of.aliases;
        *added_versions += doomed.of.added_versions;
    }

    pub(crate) fn take(&mut self, doomed: &Doomed) {
        self.of = difference(self.of, doomed.of);
    }

    /// Follows a commit that has found these keys and left those.
    pub(crate) fn follow(&mut self, before: &[Doomed], after: &[Doomed]) {
        for doomed in before {
            if self.covers(doomed.place) {
                self.take(doomed);
            }
        }
        for doomed in after {
            if self.covers(doomed.place) {
                self.add(doomed);
            }
        }
    }
}

impl Census {
    pub(crate) fn counts(&self) -> Counts {
        Counts { live: difference(self.recorded, self.gone.of), gone: self.gone.of }
    }
}

fn difference(all: Totals, some: Totals) -> Totals {
    // What is gone is among what is recorded; a damaged store shall not bring the arithmetic to a fall.
    Totals {
        keys: all.keys.saturating_sub(some.keys),
        aliases: all.aliases.saturating_sub(some.aliases),
        added_versions: all.added_versions.saturating_sub(some.added_versions),
    }
}
