//! What has come about in histories: proof that they go where something can go wrong.

use std::collections::BTreeMap;
use std::fmt;

use kms_store::fault::SyncFault;

/// How often what came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Histories that ended well.
    pub histories: u64,
    /// Their steps.
    pub steps: u64,
    /// Times that the engine was opened again.
    pub reopened: u64,
    /// Successes of each action.
    pub done: BTreeMap<&'static str, u64>,
    /// Refusals by their codes.
    pub refused: BTreeMap<String, u64>,
    /// What the disk did to writes.
    pub faults: BTreeMap<String, u64>,
}

impl Census {
    pub(crate) fn done(&mut self, name: &'static str) {
        *self.done.entry(name).or_default() += 1;
    }

    pub(crate) fn refused(&mut self, code: &str) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, fault: SyncFault) {
        *self.faults.entry(format!("{fault:?}")).or_default() += 1;
    }

    /// Adds those of other histories.
    pub fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.reopened += other.reopened;
        for (name, count) in other.done {
            *self.done.entry(name).or_default() += count;
        }
        for (mine, others) in [(&mut self.refused, other.refused), (&mut self.faults, other.faults)] {
            for (name, count) in others {
                *mine.entry(name).or_default() += count;
            }
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, steps, reopened, done, refused, faults } = self;
        writeln!(f, "{histories} histories of {steps} steps; the engine was opened again {reopened} times")?;
        let list = |counts: &mut dyn Iterator<Item = (&str, &u64)>| {
            counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "  succeeded: {}", list(&mut done.iter().map(|(name, count)| (*name, count))))?;
        writeln!(f, "  refused: {}", list(&mut refused.iter().map(|(name, count)| (name.as_str(), count))))?;
        writeln!(f, "  faults: {}", list(&mut faults.iter().map(|(name, count)| (name.as_str(), count))))
    }
}
