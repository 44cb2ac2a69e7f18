//! Expanded keys and what leads to them, kept in memory and bounded.
//!
//! Readers take no lock and write to no memory that another thread reads: they look into a concurrent map whose entries live
//! as long as anyone may be looking (papaya). A state change must end the use of what was cached before it returns, and no
//! reader that was slow may put it back. So a commit, once it is on disk, first raises the epoch and then drops what it
//! touched, both under the lock that fills take; a fill names the epoch in which its reading began, and is dropped when that
//! is over.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foldhash::fast::RandomState;
use kms_core::id::{KeyId, KeyVersionId};
use kms_core::model::{Alias, AliasName, Key, KeyVersion};
use kms_secmem::lock::Mutex;
use kms_store::Touched;
use papaya::{HashMap, LocalGuard};
use seize::Collector;

/// One kind of record: a bounded map in which what was used since the hand last came by stays (CLOCK, second chance).
struct Shelf<K, T> {
    map: HashMap<K, Slot<T>, RandomState>,
    /// Keys in the order in which the hand meets them. Also the lock of every fill and drop.
    hand: Mutex<VecDeque<K>>,
    capacity: usize,
}

struct Slot<T> {
    record: Arc<T>,
    /// Looked at since the hand came by. Written only when it is not set yet: a hot entry stays clean in every core's cache.
    used: AtomicBool,
}

impl<K: Hash + Eq + Clone + 'static, T: 'static> Shelf<K, T> {
    fn new(capacity: usize, collector: &Arc<Collector>) -> Self
    where
        K: Send,
        T: Send + Sync,
    {
        let map = HashMap::builder().shared_collector(Arc::clone(collector)).hasher(RandomState::default()).build();
        Self { map, hand: Mutex::default(), capacity }
    }

    fn find<'g>(&self, key: &K, guard: &'g LocalGuard<'_>) -> Option<&'g Arc<T>> {
        let slot = self.map.get(key, guard)?;
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(&slot.record)
    }

    /// Puts a record in, unless the epoch in which it was read is over.
    fn fill(&self, key: &K, record: &Arc<T>, is_current: impl FnOnce() -> bool) {
        let mut hand = self.hand.lock();
        if !is_current() {
            return;
        }
        let map = self.map.pin();
        if map.insert(key.clone(), Slot { record: Arc::clone(record), used: AtomicBool::new(false) }).is_some() {
            return;
        }
        hand.push_back(key.clone());
        // Whoever was used goes round once more; after one round nobody counts as used any longer.
        while map.len() > self.capacity {
            let Some(oldest) = hand.pop_front() else { return };
            match map.get(&oldest) {
                Some(slot) if slot.used.swap(false, Ordering::Relaxed) => hand.push_back(oldest),
                Some(_) => {
                    map.remove(&oldest);
                }
                // Dropped by a commit since.
                None => {}
            }
        }
    }

    /// Drops records; `first` runs under the lock, before any is dropped. Whether there was one.
    fn drop_all<'k>(&self, keys: impl Iterator<Item = &'k K>, first: impl FnOnce()) -> bool
    where
        K: 'k,
    {
        let mut hand = self.hand.lock();
        first();
        let map = self.map.pin();
        let mut any = false;
        for key in keys {
            any |= map.remove(key).is_some();
        }
        // Names of what was dropped must not pile up behind the hand.
        if hand.len() > 2 * map.len() + 64 {
            let mut seen = std::collections::HashSet::new();
            hand.retain(|key| map.contains_key(key) && seen.insert(key.clone()));
        }
        any
    }
}

/// How many calls may be inside at once for what a commit drops to be freed when they end, at the latest. With more, some
/// of it waits for the next such commit of the same thread.
const CALLS: usize = 64;

/// The caches of an engine. Each kind of record has the whole capacity.
pub(crate) struct Cache {
    keys: Shelf<KeyId, Key>,
    versions: Shelf<KeyVersionId, KeyVersion>,
    aliases: Shelf<AliasName, Alias>,
    epoch: AtomicU64,
    /// Nothing, replaced again and again: see [`Self::push`].
    filler: HashMap<(), (), RandomState>,
}

/// When a reading began: what it found may be cached if nothing was committed since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(u64);

macro_rules! shelf {
    ($find:ident, $fill:ident, $shelf:ident: $key:ty => $record:ty) => {
        pub(crate) fn $find<'g>(&self, key: &$key, guard: &'g LocalGuard<'_>) -> Option<&'g Arc<$record>> {
            self.$shelf.find(key, guard)
        }

        pub(crate) fn $fill(&self, key: &$key, record: &Arc<$record>, began: Epoch) {
            self.$shelf.fill(key, record, || self.epoch.load(Ordering::SeqCst) == began.0);
        }
    };
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        // One for all shelves, so that a call announces itself once.
        let collector = Arc::new(Collector::new().batch_size(CALLS));
        let filler = HashMap::builder().shared_collector(Arc::clone(&collector)).hasher(RandomState::default()).build();
        Self {
            filler,
            keys: Shelf::new(capacity, &collector),
            versions: Shelf::new(capacity, &collector),
            aliases: Shelf::new(capacity, &collector),
            epoch: AtomicU64::new(0),
        }
    }

    /// What keeps lent records, of every kind, alive while a call looks at them.
    pub(crate) fn guard(&self) -> LocalGuard<'_> {
        self.keys.map.guard()
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    shelf! { find_key, fill_key, keys: KeyId => Key }
    shelf! { find_version, fill_version, versions: KeyVersionId => KeyVersion }
    shelf! { find_alias, fill_alias, aliases: AliasName => Alias }

    /// Ends the use of what a commit has touched. When this returns, nobody finds it here or puts it back.
    pub(crate) fn invalidate(&self, touched: &[Touched]) {
        let raise = || {
            self.epoch.fetch_add(1, Ordering::SeqCst);
        };
        let keys = touched.iter().filter_map(|t| if let Touched::Key(id) = t { Some(id) } else { None });
        let mut any = self.keys.drop_all(keys, raise);
        let versions = touched.iter().filter_map(|t| if let Touched::Version(id) = t { Some(id) } else { None });
        any |= self.versions.drop_all(versions, raise);
        let aliases = touched.iter().filter_map(|t| if let Touched::Alias(name) = t { Some(name) } else { None });
        any |= self.aliases.drop_all(aliases, raise);
        if any {
            self.push();
        }
    }

    /// Sees to it that what has been dropped is freed, and an expanded key wiped, as soon as nobody looks at it any more.
    ///
    /// The collector gathers what is dropped in batches, each with at least as many entries as calls are inside when it is
    /// handed on. A disabled key must not wait until others have come together: so the batch is filled up.
    fn push(&self) {
        let filler = self.filler.pin();
        for _ in 0..=CALLS {
            filler.insert((), ());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(capacity: usize) -> Shelf<u32, u32> {
        Shelf::new(capacity, &Arc::default())
    }

    fn has(shelf: &Shelf<u32, u32>, key: u32) -> bool {
        shelf.map.pin().contains_key(&key)
    }

    #[test]
    fn a_shelf_is_bounded_and_keeps_what_is_used() {
        let shelf = shelf(4);
        for key in 0..4 {
            shelf.fill(&key, &Arc::new(key), || true);
        }
        assert_eq!(shelf.find(&0, &shelf.map.guard()).map(|record| **record), Some(0));
        for key in 4..7 {
            shelf.fill(&key, &Arc::new(key), || true);
            assert!(shelf.map.len() <= 4);
        }
        assert!(has(&shelf, 0), "used since the hand came by");
        assert!(!has(&shelf, 1) && !has(&shelf, 2) && !has(&shelf, 3));
    }

    #[test]
    fn a_fill_of_an_older_epoch_is_dropped() {
        let shelf = shelf(4);
        shelf.fill(&1, &Arc::new(1), || false);
        assert!(!has(&shelf, 1));
    }

    #[test]
    fn what_is_dropped_leaves_nothing_behind_the_hand() {
        let shelf = shelf(4);
        for round in 0..10_000 {
            shelf.fill(&(round % 3), &Arc::new(round), || true);
            shelf.drop_all([round % 3].iter(), || {});
        }
        assert!(shelf.hand.lock().len() <= 65);
        for key in 0..100 {
            shelf.fill(&key, &Arc::new(key), || true);
        }
        assert_eq!(shelf.map.len(), 4);
    }

    /// Goal: an expanded key is wiped when it is dropped from the cache, or when the last call that looks at it ends.
    #[test]
    fn what_is_dropped_is_freed_at_once() {
        let cache = Cache::new(4);
        let id = KeyVersionId::from_bytes([7; 16]);
        let expanded = || {
            let version = KeyVersion {
                id,
                key: KeyId::from_bytes([1; 16]),
                number: 1,
                created: kms_core::time::Timestamp::from_unix(0),
                cipher: None,
                pair: None,
            };
            let version = Arc::new(version);
            cache.fill_version(&id, &version, cache.epoch());
            Arc::downgrade(&version)
        };
        let unseen = expanded();
        assert!(unseen.upgrade().is_some());
        cache.invalidate(&[Touched::Version(id)]);
        assert!(unseen.upgrade().is_none());

        let seen = expanded();
        let guard = cache.guard();
        assert!(cache.find_version(&id, &guard).is_some());
        cache.invalidate(&[Touched::Version(id)]);
        assert!(seen.upgrade().is_some());
        drop(guard);
        assert!(seen.upgrade().is_none());

        // Calls on other threads, which do not look at it: it is gone with the last of them.
        let unseen = expanded();
        let (inside, done) = (std::sync::Barrier::new(33), std::sync::Barrier::new(33));
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let guard = cache.guard();
                    inside.wait();
                    done.wait();
                    drop(guard);
                });
            }
            inside.wait();
            cache.invalidate(&[Touched::Version(id)]);
            done.wait();
        });
        assert!(unseen.upgrade().is_none());
    }
}
