//! Which nonces have been used, in bounded memory.
//!
//! A signed request may be recorded and sent again. Its nonce makes the second one known for as long as its time stamp would
//! still let it in; after that the time stamp refuses it. So a nonce is remembered until its request's stamp has run out.
//!
//! Memory is bounded, and still no request is let in twice: when there is no more room, what has run out is forgotten first,
//! whosever it is; then the nonces of an oldest stamp, and from then on what bears that stamp or an older one is refused unseen.
//! They are those of the AccessKey that has the most, so that whoever sends more than others pays for it alone. What is
//! remembered is a keyed fingerprint of 64 bits; that a new nonce has that of another happens to one request in 10^12 with
//! four million remembered, and refuses it.
//!
//! It is the memory of one process: a request that was let in shortly before a restart can be sent again after it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use kms_secmem::lock::Mutex;

const SHARDS: usize = 16;
/// How many nonces of its own AccessKey that have run out one call forgets. It adds one at most, so this catches up, and none
/// of the calls pays for all.
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
        self.shards.iter().map(|shard| shard.lock().seen.len()).sum()
    }
}

/// What bounds a shard.
struct Bounds {
    most: usize,
    skew: u64,
    now: Timestamp,
}

impl Bounds {
    /// Whether the check of the time refuses what bears this stamp.
    fn has_run_out(&self, stamp: Timestamp) -> bool {
        stamp.plus(self.skew) < self.now
    }
}

#[derive(Default)]
struct Shard {
    /// The nonces of all books, as fingerprints.
    seen: HashSet<u64>,
    /// By AccessKey: of those that have a nonce here, or have had one lately.
    books: HashMap<u64, Book>,
    /// The newest stamp that a book which is no longer here has forgotten. It has run out; but the clock may be set back.
    forgotten: Option<Timestamp>,
}

/// The nonces of one AccessKey.
#[derive(Default)]
struct Book {
    /// What is in `seen`, the oldest stamp first.
    by_stamp: BinaryHeap<Reverse<(Timestamp, u64)>>,
    /// The newest stamp of which something has been forgotten. It never falls, not even when the clock is set back.
    forgotten: Option<Timestamp>,
}

impl Shard {
    fn admit(&mut self, owner: u64, fingerprint: u64, stamp: Timestamp, bounds: &Bounds) -> Result<(), KmsError> {
        let Self { seen, books, forgotten } = self;
        let new = || Book { forgotten: *forgotten, ..Book::default() };
        let book = books.entry(owner).or_insert_with(new);
        for _ in 0..FORGOTTEN_AT_ONCE {
            if book.oldest().is_some_and(|oldest| bounds.has_run_out(oldest)) {
                book.forget(seen);
            }
        }
        if seen.contains(&fingerprint) {
            return Err(ErrorCode::SignatureNonceUsed.into());
        }
        if book.forgotten.is_some_and(|forgotten| stamp <= forgotten) {
            return Err(ErrorCode::IllegalTimestamp.into());
        }
        if seen.len() >= bounds.most {
            self.make_room(owner, stamp, bounds)?;
        }
        self.seen.insert(fingerprint);
        self.books.entry(owner).or_default().by_stamp.push(Reverse((stamp, fingerprint)));
        Ok(())
    }

    /// Makes room for one more, of this owner and stamp.
    fn make_room(&mut self, owner: u64, stamp: Timestamp, bounds: &Bounds) -> Result<(), KmsError> {
        let Self { seen, books, forgotten } = self;
        books.retain(|of, book| {
            let goes = *of != owner && book.is_spent(bounds);
            if goes {
                *forgotten = (*forgotten).max(book.forgotten);
            }
            !goes
        });
        let with_any = || books.iter().filter_map(|(of, book)| Some((*of, book.oldest()?, book.by_stamp.len())));
        let oldest = with_any().min_by_key(|(_, oldest, _)| *oldest);
        let victim = match oldest.filter(|(_, oldest, _)| bounds.has_run_out(*oldest)) {
            Some((of, ..)) => of,
            None => match with_any().max_by_key(|(of, _, len)| (*len, *of == owner)) {
                // It would be refused itself from then on.
                Some((of, oldest, _)) if of == owner && oldest >= stamp => {
                    return Err(ErrorCode::QpsLimitExceeded.into());
                }
                Some((of, ..)) => of,
                None => return Ok(()),
            },
        };
        if let Some(book) = books.get_mut(&victim) {
            book.forget(seen);
            // The others of that stamp are refused without being remembered.
            while book.oldest().is_some_and(|oldest| Some(oldest) <= book.forgotten) {
                book.forget(seen);
            }
        }
        Ok(())
    }
}

impl Book {
    fn oldest(&self) -> Option<Timestamp> {
        self.by_stamp.peek().map(|Reverse((stamp, _))| *stamp)
    }

    /// Whether it holds nothing, and would refuse nothing that the check of the time lets through.
    fn is_spent(&self, bounds: &Bounds) -> bool {
        self.by_stamp.is_empty() && self.forgotten.is_none_or(|stamp| bounds.has_run_out(stamp))
    }

    /// Forgets a nonce of the oldest stamp.
    fn forget(&mut self, seen: &mut HashSet<u64>) {
        let Some(Reverse((stamp, fingerprint))) = self.by_stamp.pop() else { return };
        seen.remove(&fingerprint);
        self.forgotten = self.forgotten.max(Some(stamp));
        // What one AccessKey has left is another's: all of them together are bounded.
        let (len, capacity) = (self.by_stamp.len(), self.by_stamp.capacity());
        if len < capacity / 4 {
            self.by_stamp.shrink_to(capacity / 2);
        }
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

    /// Bytes that the memory holds: what its vectors and tables have allocated.
    fn held(nonces: &Nonces) -> usize {
        let of_shard = |shard: &Shard| {
            let books: usize =
                shard.books.values().map(|book| book.by_stamp.capacity() * size_of::<(Timestamp, u64)>()).sum();
            // A place in a table of the standard library is the value and a byte; an eighth and more of them stays empty.
            books + shard.seen.capacity() * 8 / 7 * 9 + shard.books.capacity() * 8 / 7 * (size_of::<(u64, Book)>() + 1)
        };
        nonces.shards.iter().map(|shard| of_shard(&shard.lock())).sum()
    }

    // Goal: what has run out is nobody's any more. Method: AccessKeys that fill half of the memory one after the other and
    // fall silent; the last has a clock that is slow, and is let in all the same.
    #[test]
    fn nonces_that_have_run_out_push_out_nobody() {
        const MOST: usize = 16_000;
        let nonces = Nonces::new(MOST, SKEW);
        let mut most_held = 0;
        for owner in 0..20 {
            let began = NOON + owner * 2 * SKEW;
            for second in 0..SKEW {
                let now = began + second;
                for n in 0..MOST as u64 / 2 / SKEW {
                    let nonce = format!("{second}-{n}");
                    // 300 seconds slow.
                    let admitted = code(nonces.admit(&owner.to_string(), &nonce, at(now - 300), at(now)));
                    assert_eq!(admitted, None, "AccessKey {owner}, second {second}");
                }
            }
            assert!(nonces.remembered() <= MOST);
            most_held = most_held.max(held(&nonces));
            let books = nonces.shards.iter().map(|shard| shard.lock().books.len()).max();
            assert!(books <= Some(4), "{books:?} books are kept");
        }
        assert!(most_held <= MOST * 70, "{most_held} bytes for {MOST} nonces");
    }

    // Goal: a book that is gone lets nothing in again when the clock is set back.
    #[test]
    fn a_clock_that_is_set_back_finds_no_book_and_lets_nothing_in_again() {
        let nonces = Nonces::new(16, SKEW);
        assert_eq!(code(nonces.admit("a", "1", at(NOON), at(NOON))), None);
        for n in 0..1000 {
            let _ = nonces.admit(&format!("other {}", n % 7), &n.to_string(), at(NOON + 3600 + n), at(NOON + 3600 + n));
        }
        let owner = nonces.keyed.hash_one("a");
        assert!(nonces.shards.iter().all(|shard| !shard.lock().books.contains_key(&owner)));
        assert!(nonces.admit("a", "1", at(NOON), at(NOON)).is_err());
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
        fn nothing_is_let_in_twice(
            most in 16_usize..200,
            steps in prop::collection::vec((0_u8..5, 0_u64..40, 0_u64..60, 0_u64..60), 1..600),
        ) {
            const SKEW: u64 = 10;
            let nonces = Nonces::new(most, SKEW);
            let mut ever = HashSet::new();
            for (owner, nonce, stamp, now) in steps {
                if stamp.abs_diff(now) > SKEW {
                    continue;
                }
                let admitted = nonces.admit(&owner.to_string(), &nonce.to_string(), at(NOON + stamp), at(NOON + now)).is_ok();
                prop_assert!(!admitted || ever.insert((owner, nonce, stamp)));
                prop_assert!(nonces.remembered() <= most);
            }
        }
    }
}
