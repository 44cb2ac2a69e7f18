//! Commits: one leader at a time writes for everyone who waits.
//!
//! A flush to disk costs the same for one commit as for a hundred. Whoever has something to commit puts it in the queue; if
//! nobody leads, it leads: it takes what waits, checks that no two of them touch the same records, adds up their totals,
//! writes one batch, and tells each its result. Who arrives meanwhile waits for the next leader.
//!
//! What is written can be seen by readers a moment before it is on disk. Nobody may act on what a power cut can take back,
//! so a reader compares the revisions it has read with the last one published here, and waits. A leader publishes after the
//! batch is on disk *and* after every cache has dropped what the batch made stale: whoever sees a change can be sure that
//! nobody still acts on what was before.
//!
//! A batch that was seen can also come to nothing, when the disk turns out to be full: the store is then again as it was
//! before, and whoever may have seen the batch reads again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kms_core::rng::Rng;
use kms_core::time::Timestamp;
use kms_core::view::{DuePlace, Totals};
use kms_core::{ErrorCode, KmsError};
use kms_secmem::lock::{Condvar, Mutex};

use crate::codec::{Head, Record};
use crate::count::{self, Census, Doomed, Gone};
use crate::keys;
use crate::raw::{Batch, Expect, RawError, RawKv, Rev, Write};
use crate::seal::{Front, RecordType, Sealer};
use crate::store::Touched;

/// Why a commit did not happen.
#[derive(Debug)]
pub enum CommitError {
    /// Something that the plan has read is no longer so: plan again.
    Conflict,
    /// The store cannot.
    Failed(KmsError),
}

/// A plan's writes, sealed and ready.
#[derive(Debug)]
pub struct Prepared {
    /// What the plan has read.
    pub(crate) expect: Vec<(Vec<u8>, Expect)>,
    /// The counts, if the plan has looked at them: a limit may hang on them.
    pub(crate) census: Option<Census>,
    pub(crate) writes: Vec<Write>,
    /// How many keys there will be more.
    pub(crate) keys: i64,
    /// How many aliases there will be more.
    pub(crate) aliases: i64,
    /// How many versions of CreateKeyVersion there will be more.
    pub(crate) added_versions: i64,
    /// The keys that it writes, if they await their deletion: as they are found, and as they are left.
    pub(crate) doomed_before: Vec<Doomed>,
    pub(crate) doomed_after: Vec<Doomed>,
    pub(crate) touched: Vec<Touched>,
    /// What the store is to remember as a time it has acted on.
    pub(crate) latest: Timestamp,
}

/// The most commits that go into one batch: enough to share a flush, few enough to stay small in memory.
const MAX_GROUP: usize = 256;

#[derive(Debug)]
struct Ticket {
    prepared: Prepared,
    result: Mutex<Option<Result<(), CommitError>>>,
}

impl Ticket {
    fn settle(&self, result: Result<(), CommitError>) {
        self.result.lock().get_or_insert(result);
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Arc<Ticket>>,
    led: bool,
}

/// The head record as it was last published. Only the leader changes it.
#[derive(Clone, Copy, Debug)]
struct Base {
    rev: Rev,
    front: Front,
    head: Head,
    /// What of that is gone. Who holds the right to count changes it.
    gone: Gone,
}

impl Base {
    const fn census(&self) -> Census {
        Census { recorded: self.head.totals, gone: self.gone }
    }
}

/// The queue, and what is known of the store's end.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Mutex<Queue>,
    base: Mutex<Base>,
    /// The right to count what is gone. A leader holds it for as long as a batch may be seen that is not published: nobody
    /// counts that twice, or never.
    counting: Mutex<()>,
    changed: Condvar,
    /// The last revision that is on disk and that no cache contradicts.
    published: AtomicU64,
    /// Odd while a batch may be visible and not yet published.
    flight: AtomicU64,
    /// How many batches may have been visible and then came to nothing, without the store failing.
    taken_back: AtomicU64,
    poisoned: AtomicBool,
}

/// What a group needs from outside.
pub(crate) struct Surroundings<'a> {
    pub(crate) raw: &'a dyn RawKv,
    pub(crate) sealer: &'a Sealer,
    /// Drops what a batch has made stale from every cache.
    pub(crate) invalidate: &'a dyn Fn(&[Touched]),
}

impl Committer {
    pub(crate) fn new(rev: Rev, front: Front, head: Head) -> Self {
        Self {
            queue: Mutex::default(),
            base: Mutex::new(Base { rev, front, head, gone: Gone::default() }),
            counting: Mutex::default(),
            changed: Condvar::new(),
            published: AtomicU64::new(rev),
            flight: AtomicU64::new(0),
            taken_back: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
        }
    }

    /// An error once the store has failed in a way that leaves unknown what is on disk.
    pub(crate) fn check(&self) -> Result<(), KmsError> {
        if self.poisoned.load(Ordering::Acquire) { Err(ErrorCode::StorePoisoned.into()) } else { Ok(()) }
    }

    /// Makes the store answer nothing any more.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
        // Under the lock, so that nobody is between looking and waiting.
        let _queue = self.queue.lock();
        self.changed.notify_all();
    }

    /// Commits, and returns when the result is on disk.
    pub(crate) fn commit(
        &self,
        prepared: Prepared,
        rng: &mut dyn Rng,
        surroundings: &Surroundings<'_>,
    ) -> Result<(), CommitError> {
        let ticket = Arc::new(Ticket { prepared, result: Mutex::default() });
        let mut queue = self.queue.lock();
        queue.waiting.push(Arc::clone(&ticket));
        loop {
            if let Some(result) = ticket.result.lock().take() {
                return result;
            }
            self.check().map_err(CommitError::Failed)?;
            if queue.led {
                queue = self.changed.wait(queue);
                continue;
            }
            queue.led = true;
            let count = queue.waiting.len().min(MAX_GROUP);
            let group: Vec<_> = queue.waiting.drain(..count).collect();
            drop(queue);
            let lead = Lead { committer: self };
            self.write(&group, rng, surroundings);
            drop(lead);
            queue = self.queue.lock();
        }
    }

    /// Writes what can be written of a group, and settles every ticket of it.
    fn write(&self, group: &[Arc<Ticket>], rng: &mut dyn Rng, surroundings: &Surroundings<'_>) {
        let mut members: Vec<&Arc<Ticket>> = group.iter().collect();
        while !members.is_empty() {
            let _counting = self.counting.lock();
            let base = *self.base.lock();
            settle_clashes(&mut members, base.census());
            let (batch, front, head) = match assemble(&members, &base, rng, surroundings.sealer) {
                Ok(assembled) => assembled,
                Err(error) => return settle_all(&members, &error),
            };
            self.flight.fetch_add(1, Ordering::AcqRel);
            let result = surroundings.raw.commit(&batch);
            if let Ok(rev) = &result {
                let mut gone = base.gone;
                members.iter().for_each(|member| follow(&mut gone, &member.prepared));
                *self.base.lock() = Base { rev: *rev, front, head, gone };
                let touched: Vec<Touched> =
                    members.iter().flat_map(|member| member.prepared.touched.iter().cloned()).collect();
                (surroundings.invalidate)(&touched);
                self.published.store(*rev, Ordering::Release);
            }
            if matches!(result, Err(RawError::TakenBack)) {
                // Before the flight is over: who has waited for its end must know how it ended.
                self.taken_back.fetch_add(1, Ordering::AcqRel);
            }
            self.flight.fetch_add(1, Ordering::AcqRel);
            match result {
                Ok(_) => {
                    members.drain(..).for_each(|member| member.settle(Ok(())));
                }
                Err(RawError::Conflict(keys)) => {
                    let before = members.len();
                    members.retain(|member| {
                        let clashes = member.prepared.expect.iter().any(|(key, _)| keys.contains(key));
                        if clashes {
                            member.settle(Err(CommitError::Conflict));
                        }
                        !clashes
                    });
                    if members.len() == before {
                        // Nobody's reads: the head itself is not as this handle left it, though it alone may write.
                        self.poison();
                        let error = KmsError::with_detail(ErrorCode::StoreCorrupt, "somebody else has written to it");
                        return settle_all(&members, &error);
                    }
                }
                Err(error) => {
                    if !matches!(error, RawError::Full | RawError::TakenBack | RawError::TooLarge) {
                        self.poison();
                    }
                    return settle_all(&members, &error.into());
                }
            }
        }
    }

    /// What a reader notes before it begins, for [`Self::settle`].
    pub(crate) fn taken_back(&self) -> u64 {
        self.taken_back.load(Ordering::Acquire)
    }

    /// Returns when everything read so far is on disk: `latest` is the newest revision among it, and `absent` says that
    /// something was not there, or was one of many. A conflict if a batch was taken back since `taken_back` was noted: what
    /// was read may have been of it.
    pub(crate) fn settle(&self, latest: Rev, absent: bool, taken_back: u64) -> Result<(), CommitError> {
        let flight = self.flight.load(Ordering::Acquire);
        let on_disk = || {
            self.published.load(Ordering::Acquire) >= latest
                && !(absent && flight % 2 == 1 && self.flight.load(Ordering::Acquire) == flight)
        };
        if on_disk() {
            return self.stands(taken_back);
        }
        let mut queue = self.queue.lock();
        while !on_disk() {
            self.stands(taken_back)?;
            queue = self.changed.wait(queue);
        }
        self.stands(taken_back)
    }

    /// [`Self::settle`], if that needs no waiting.
    pub(crate) fn try_settle(&self, latest: Rev, absent: bool, taken_back: u64) -> Option<Result<(), CommitError>> {
        let in_flight = absent && self.flight.load(Ordering::Acquire) % 2 == 1;
        let on_disk = self.published.load(Ordering::Acquire) >= latest && !in_flight;
        on_disk.then(|| self.stands(taken_back))
    }

    /// Whether nothing that was read since `taken_back` was noted may have come to nothing.
    fn stands(&self, taken_back: u64) -> Result<(), CommitError> {
        self.check().map_err(CommitError::Failed)?;
        if self.taken_back() == taken_back { Ok(()) } else { Err(CommitError::Conflict) }
    }

    /// What there is, as of the last commit that is published, and what of it is known to be gone.
    pub(crate) fn census(&self) -> Census {
        self.base.lock().census()
    }

    /// What there is, as of the last commit that is published, and what of it is gone at `now`. `count` goes on counting
    /// towards a place; it is called while nothing is being committed, again and again if it does not come so far.
    pub(crate) fn census_at(
        &self,
        now: Timestamp,
        count: impl Fn(Gone, DuePlace) -> Result<Gone, KmsError>,
    ) -> Result<Census, KmsError> {
        let end = count::end(now);
        let mut census = self.census();
        while census.gone.until != Some(end) {
            // Let go of in between, so that commits wait for a portion only.
            let _counting = self.counting.lock();
            census = self.census();
            if census.gone.until != Some(end) {
                census.gone = count(census.gone, end)?;
                self.base.lock().gone = census.gone;
            }
        }
        Ok(census)
    }

    /// The latest time that the store has acted on.
    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp::from_unix(self.base.lock().head.latest)
    }
}

/// The turn of a leader. It ends in every way, and a panic poisons: nobody then knows what is on disk.
struct Lead<'a> {
    committer: &'a Committer,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.committer.poisoned.store(true, Ordering::Release);
        }
        self.committer.queue.lock().led = false;
        self.committer.changed.notify_all();
    }
}

/// Refuses members that have read what an earlier one of the same group writes.
fn settle_clashes(members: &mut Vec<&Arc<Ticket>>, mut census: Census) {
    let mut written: HashSet<&[u8]> = HashSet::new();
    members.retain(|member| {
        let prepared = &member.prepared;
        let stale = prepared.expect.iter().any(|(key, _)| written.contains(key.as_slice()))
            || prepared.census.is_some_and(|seen| seen != census);
        if stale {
            member.settle(Err(CommitError::Conflict));
            return false;
        }
        written.extend(prepared.writes.iter().map(|write| match write {
            Write::Put { key, .. } | Write::Delete { key } => key.as_slice(),
        }));
        census.recorded = add(census.recorded, prepared).unwrap_or(census.recorded);
        follow(&mut census.gone, prepared);
        true
    });
}

/// The totals with those of `prepared`; `None` when that cannot be, because one would be below nothing.
fn add(totals: Totals, prepared: &Prepared) -> Option<Totals> {
    Some(Totals {
        keys: totals.keys.checked_add_signed(prepared.keys)?,
        aliases: totals.aliases.checked_add_signed(prepared.aliases)?,
        added_versions: totals.added_versions.checked_add_signed(prepared.added_versions)?,
    })
}

fn follow(gone: &mut Gone, prepared: &Prepared) {
    gone.follow(&prepared.doomed_before, &prepared.doomed_after);
}

fn settle_all(members: &[&Arc<Ticket>], error: &KmsError) {
    for member in members {
        member.settle(Err(CommitError::Failed(error.clone())));
    }
}

/// One batch for the whole group, with the head record that follows from it.
fn assemble(
    members: &[&Arc<Ticket>],
    base: &Base,
    rng: &mut dyn Rng,
    sealer: &Sealer,
) -> Result<(Batch, Front, Head), KmsError> {
    let mut batch = Batch::default();
    let mut head = base.head;
    for Ticket { prepared, .. } in members.iter().map(|member| &***member) {
        batch.expect.extend(prepared.expect.iter().cloned());
        batch.writes.extend(prepared.writes.iter().cloned());
        head.totals = add(head.totals, prepared)
            .ok_or_else(|| KmsError::with_detail(ErrorCode::StoreCorrupt, "it counts fewer records than it holds"))?;
        head.latest = head.latest.max(prepared.latest.unix());
    }
    let front =
        Front { kind: RecordType::Totals, schema: Head::SCHEMA, revision: base.front.revision + 1, ..base.front };
    let payload = head.encode().map_err(|_| ErrorCode::InternalFailure)?;
    let value = sealer.seal(keys::TOTALS, &front, &payload, rng)?;
    batch.expect.push((keys::TOTALS.to_vec(), Expect::Rev(base.rev)));
    batch.writes.push(Write::Put { key: keys::TOTALS.to_vec(), value });
    Ok((batch, front, head))
}
