//! Which nonces have been used, in bounded memory.
//!
//! A signed request may be recorded and sent again. Its nonce makes the second one known for as long as its time stamp would
//! still let it in; after that the time stamp refuses it. So a nonce is remembered until its request's stamp has run out.
//!
//! Memory is bounded, and still no request is let in twice: when there is no more room, the nonces of the oldest stamp are
//! forgotten, and from then on what bears that stamp or an older one is refused unseen. They are those of the AccessKey that
//! has the most, so that whoever sends more than others pays for it alone. What is remembered is a keyed fingerprint of 64
//! bits; that a new nonce has that of another happens to one request in 10^12 with four million remembered, and refuses it.
//!
//! It is the memory of one process: a request that was let in shortly before a restart can be sent again after it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use kms_secmem::lock::Mutex;

const SHARDS: usize = 16;
/// How many stamps that have run out one call forgets. It adds one at most, so this catches up, and none of the calls pays
/// for all.
const FORGOTTEN_AT_ONCE: usize = 2;

/// The nonces that have been used. The parts are locked apart: each nonce has its place in one of them.
pub(crate) struct Nonces {
    shards: [Mutex<Shard>; SHARDS],
    most_in_shard: usize,
    skew: u64,
    keyed: RandomState,
}

impl Nonces {
    /// Remembers at most `most` nonces (16 or more), each until its stamp is more than `skew` seconds ago.
    pub(crate) fn new(most: usize, skew: u64) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            most_in_shard: (most / SHARDS).max(1),
            skew,
            keyed: RandomState::new(),
        }
    }

    /// Remembers that this AccessKey has used this nonce. To be called for requests that are known to be its owner's, lest a
    /// stranger fill the memory.
    ///
    /// # Errors
    /// `SignatureNonceUsed`; `IllegalTimestamp` for a stamp that is too old for what is remembered; `Rejected.Throttling` when
    /// there is no room, and none can be made, since all is of this stamp or newer.
    pub(crate) fn admit(
        &self,
        access_key_id: &str,
        nonce: &str,
        stamp: Timestamp,
        now: Timestamp,
    ) -> Result<(), KmsError> {
        let owner = self.keyed.hash_one(access_key_id);
        let fingerprint = self.keyed.hash_one((access_key_id, nonce));
        // The low bits choose the place in the set as well, but by a hash of their own.
        let mut shard = self.shards[fingerprint as usize % SHARDS].lock();
        shard.admit(owner, fingerprint, stamp, &Bounds { most: self.most_in_shard, skew: self.skew, now })
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len).sum()
    }
}

/// What bounds a shard.
struct Bounds {
    most: usize,
    skew: u64,
    now: Timestamp,
}

#[derive(Default)]
struct Shard {
    /// By AccessKey. There are as many as have ever been used by this process.
    books: HashMap<u64, Book>,
    /// How many nonces are in all books.
    len: usize,
}

/// The nonces of one AccessKey.
#[derive(Default)]
struct Book {
    seen: HashSet<u64>,
    /// What has been seen, by the stamp that it came with.
    by_stamp: BTreeMap<Timestamp, Vec<u64>>,
    /// The newest stamp of which something has been forgotten. It never falls, not even when the clock is set back.
    forgotten: Option<Timestamp>,
}

impl Shard {
    fn admit(&mut self, owner: u64, fingerprint: u64, stamp: Timestamp, bounds: &Bounds) -> Result<(), KmsError> {
        let book = self.books.entry(owner).or_default();
        self.len -= book.forget_old(bounds.skew, bounds.now);
        if book.seen.contains(&fingerprint) {
            return Err(ErrorCode::SignatureNonceUsed.into());
        }
        if book.forgotten.is_some_and(|forgotten| stamp <= forgotten) {
            return Err(ErrorCode::IllegalTimestamp.into());
        }
        if self.len >= bounds.most {
            self.make_room(owner, stamp)?;
        }
        self.books.entry(owner).or_default().add(fingerprint, stamp);
        self.len += 1;
        Ok(())
    }

    /// Makes room for one more, of this owner and stamp.
    fn make_room(&mut self, owner: u64, stamp: Timestamp) -> Result<(), KmsError> {
        let largest = self.books.iter_mut().max_by_key(|(of, book)| (book.seen.len(), **of == owner));
        match largest {
            // It would be refused itself from then on.
            Some((of, book)) if *of == owner && book.oldest().is_none_or(|oldest| oldest >= stamp) => {
                Err(ErrorCode::QpsLimitExceeded.into())
            }
            Some((_, book)) => {
                self.len -= book.forget_oldest();
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Book {
    fn add(&mut self, fingerprint: u64, stamp: Timestamp) {
        self.seen.insert(fingerprint);
        self.by_stamp.entry(stamp).or_default().push(fingerprint);
    }

    fn oldest(&self) -> Option<Timestamp> {
        self.by_stamp.first_key_value().map(|(stamp, _)| *stamp)
    }

    /// Forgets what has the oldest stamp; how much that is.
    fn forget_oldest(&mut self) -> usize {
        let Some((stamp, fingerprints)) = self.by_stamp.pop_first() else { return 0 };
        for fingerprint in &fingerprints {
            self.seen.remove(fingerprint);
        }
        self.forgotten = self.forgotten.max(Some(stamp));
        fingerprints.len()
    }

    /// Forgets some of what has run out; how much that is.
    fn forget_old(&mut self, skew: u64, now: Timestamp) -> usize {
        let mut forgotten = 0;
        for _ in 0..FORGOTTEN_AT_ONCE {
            if self.oldest().is_none_or(|oldest| oldest.plus(skew) >= now) {
                break;
            }
            forgotten += self.forget_oldest();
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    const SKEW: u64 = 900;
    const NOON: u64 = 1_795_521_600;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    fn code(result: Result<(), KmsError>) -> Option<ErrorCode> {
        result.err().map(|error| error.code())
    }

    #[test]
    fn a_nonce_is_used_once_by_each() {
        let nonces = Nonces::new(1000, SKEW);
        let ask = |id: &str, nonce: &str, stamp, now| code(nonces.admit(id, nonce, at(stamp), at(now)));
        assert_eq!(ask("a", "1", NOON, NOON), None);
        assert_eq!(ask("a", "1", NOON, NOON), Some(ErrorCode::SignatureNonceUsed));
        assert_eq!(ask("b", "1", NOON, NOON), None);
        assert_eq!(ask("a", "2", NOON, NOON), None);
        // Signed anew with another time stamp, it is still the same nonce.
        assert_eq!(ask("a", "1", NOON + 60, NOON + 60), Some(ErrorCode::SignatureNonceUsed));
        assert_eq!(ask("a", "1", NOON + SKEW, NOON + SKEW), Some(ErrorCode::SignatureNonceUsed));
        // Where the one ends and the other begins is part of it.
        assert_eq!(ask("a1", "", NOON, NOON), None);
        // The window has passed for the first, not for one that was ahead of the time.
        assert_eq!(ask("a", "ahead", NOON + 800, NOON), None);
        assert_eq!(ask("a", "1", NOON + SKEW + 1, NOON + SKEW + 1), None);
        assert_eq!(ask("a", "ahead", NOON + 800, NOON + 800 + SKEW), Some(ErrorCode::SignatureNonceUsed));
    }

    #[test]
    fn a_clock_that_is_set_back_lets_nothing_in_again() {
        let nonces = Nonces::new(1000, SKEW);
        for n in 0..100 {
            assert_eq!(code(nonces.admit("a", &n.to_string(), at(NOON), at(NOON))), None);
        }
        // Enough requests an hour later that every part has forgotten noon.
        for n in 100..400 {
            assert_eq!(code(nonces.admit("a", &n.to_string(), at(NOON + 3600), at(NOON + 3600))), None);
        }
        assert_eq!(nonces.remembered(), 300);
        for n in 0..100 {
            assert!(nonces.admit("a", &n.to_string(), at(NOON), at(NOON)).is_err());
        }
    }

    // Goal: a full memory stays as large as it is, makes room at its old end, and lets nobody in twice.
    #[test]
    fn a_full_memory_refuses_what_it_has_forgotten() {
        let nonces = Nonces::new(1600, SKEW);
        let mut refused = 0;
        for second in 0..100 {
            for n in 0..100 {
                let nonce = format!("{second}-{n}");
                if nonces.admit("a", &nonce, at(NOON + second), at(NOON + second)).is_err() {
                    refused += 1;
                }
                assert!(nonces.remembered() <= 1600);
            }
        }
        assert_eq!(refused, 0, "there always was something older");
        assert!(nonces.remembered() > 1200);
        let now = NOON + 99;
        for second in 0..100 {
            for n in 0..100 {
                let again = code(nonces.admit("a", &format!("{second}-{n}"), at(NOON + second), at(now)));
                assert!(
                    matches!(again, Some(ErrorCode::SignatureNonceUsed | ErrorCode::IllegalTimestamp)),
                    "{second}-{n}: {again:?}"
                );
            }
        }
    }

    #[test]
    fn a_memory_full_of_this_second_makes_callers_wait() {
        let nonces = Nonces::new(16, SKEW);
        let mut codes = HashSet::new();
        for n in 0..200 {
            codes.insert(code(nonces.admit("a", &n.to_string(), at(NOON), at(NOON))));
        }
        assert_eq!(codes, HashSet::from([None, Some(ErrorCode::QpsLimitExceeded)]));
        assert_eq!(nonces.remembered(), 16);
        // An older stamp finds no room either, a newer one makes some.
        assert_eq!(code(nonces.admit("a", "older", at(NOON - 1), at(NOON))), Some(ErrorCode::QpsLimitExceeded));
        assert_eq!(code(nonces.admit("a", "newer", at(NOON + 1), at(NOON + 1))), None);
    }

    // Goal: whoever sends more than others pays for it alone. Method: one fills the memory, and goes on; another's few nonces
    // stay known, and he is let in.
    #[test]
    fn one_does_not_push_out_another() {
        let nonces = Nonces::new(1600, SKEW);
        for n in 0..100 {
            assert_eq!(code(nonces.admit("few", &n.to_string(), at(NOON), at(NOON))), None);
        }
        for second in 0..200 {
            for n in 0..50 {
                let _ = nonces.admit("many", &format!("{second}-{n}"), at(NOON + second), at(NOON));
                assert!(nonces.remembered() <= 1600);
            }
        }
        for n in 0..100 {
            let again = code(nonces.admit("few", &n.to_string(), at(NOON), at(NOON)));
            assert_eq!(again, Some(ErrorCode::SignatureNonceUsed));
            assert_eq!(code(nonces.admit("few", &format!("new {n}"), at(NOON), at(NOON))), None);
        }
        assert_eq!(code(nonces.admit("many", "0-0", at(NOON), at(NOON))), Some(ErrorCode::IllegalTimestamp));
    }

    #[test]
    fn of_many_at_once_one_is_let_in() {
        let nonces = Nonces::new(100_000, SKEW);
        let admitted: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let nonces = &nonces;
                    scope.spawn(move || {
                        (0..1000).filter(|n| nonces.admit("a", &format!("{n}"), at(NOON), at(NOON)).is_ok()).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 1000);
    }

    proptest! {
        // Goal: no (nonce, stamp) is ever let in twice, however small the memory is and however the clock moves. Method: the
        // caller's check of the skew, then the memory, beside a set that forgets nothing.
        #[test]
        fn nothing_is_let_in_twice(most in 16_usize..200, steps in prop::collection::vec((0_u64..40, 0_u64..60, 0_u64..60), 1..600)) {
            const SKEW: u64 = 10;
            let nonces = Nonces::new(most, SKEW);
            let mut ever = HashSet::new();
            for (nonce, stamp, now) in steps {
                if stamp.abs_diff(now) > SKEW {
                    continue;
                }
                let admitted = nonces.admit("a", &nonce.to_string(), at(NOON + stamp), at(NOON + now)).is_ok();
                prop_assert!(!admitted || ever.insert((nonce, stamp)));
                prop_assert!(nonces.remembered() <= most);
            }
        }
    }
}
