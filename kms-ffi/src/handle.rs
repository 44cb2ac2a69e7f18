//! `kms`: the handle, and who owns what behind it.
//!
//! C holds a bare pointer, calls through it from any thread and may close it while others call. Three questions follow,
//! and this module is their answer.
//!
//! *When may the engine go?* When nobody is inside. A call announces itself in a counter, then looks whether the handle
//! is open; kms_close closes it, then waits for the counters. Whichever comes first in the one order of these
//! (sequentially consistent) operations, the other sees it: a call either is waited for or is refused. The counter of a
//! handle is spread over cache lines, and each thread has one of them, so that threads do not slow each other down.
//!
//! *When may the handle go?* Never. A thread can be delayed between having the pointer and announcing itself for as
//! long as the scheduler likes, and no counter sees it. So handles are never given back to the allocator: a late call
//! finds memory that says "closed". A later kms_open uses the memory again, at the earliest after [`QUARANTINE`] other
//! handles have been closed, so that what is late by mistake rather than by milliseconds is also told so instead of
//! meeting another engine.
//!
//! *What is it in a forked child?* A copy of something that has lost its threads, and whose locks may be held for ever.
//! It belongs to the parent. The generation of the process is kept beside the engine and compared before anything else
//! is touched; the child neither uses the engine nor frees it.
//!
//! ```text
//!            kms_open             kms_close            nobody inside, engine dropped
//!   Vacant ───────────► Open ───────────► Closing ───────────────────► Vacant
//! ```

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::thread;
use std::time::Duration;

use kms_core::{ErrorCode, KmsError};
use kms_engine::Engine;
use kms_secmem::fork;

/// How many handles are closed after one before its memory is used again.
const QUARANTINE: u64 = 64;

/// Threads beyond this number share counters.
const SHARDS: usize = 32;

/// Nobody is using it; it may become a handle.
const VACANT: u8 = 0;
/// A kms_open is filling it.
const OPENING: u8 = 1;
/// Calls may enter.
const OPEN: u8 = 2;
/// kms_close waits for the calls inside.
const CLOSING: u8 = 3;

/// A counter on cache lines of its own: two of them, because processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Shard(AtomicUsize);

/// An open engine. All functions may be called with it by any number of threads at once; kms_close ends it. It belongs
/// to the process that opened it: in a forked child every function answers KMS_FORKED.
#[expect(non_camel_case_types, reason = "the name is C's")]
pub struct kms {
    state: AtomicU8,
    /// [`fork::generation`] of the process that opened it.
    generation: AtomicU32,
    /// The value of [`CLOSED`] when it was closed.
    closed_at: AtomicU64,
    /// Written by the one thread that has taken the state to OPENING or that waits in CLOSING; shared while it is OPEN.
    engine: UnsafeCell<Option<Engine>>,
    /// The handle made before this one; never changes once this one can be found.
    older: AtomicPtr<kms>,
    /// How many calls are inside, by the shard of their thread.
    inside: [Shard; SHARDS],
}

// SAFETY: `engine` is reached by one thread alone while the state is OPENING, or CLOSING with nobody inside (see
// `close`); otherwise only shared references to it are made, and an Engine may be used by and moved between threads.
unsafe impl Sync for kms where Engine: Send + Sync {}

/// The handle that was made last; through `older`, all that there are. They are found here, not lost, for tools that
/// look for leaks.
static NEWEST: AtomicPtr<kms> = AtomicPtr::new(ptr::null_mut());

/// How many handles have been closed.
static CLOSED: AtomicU64 = AtomicU64::new(0);

impl kms {
    fn new() -> Self {
        Self {
            state: AtomicU8::new(OPENING),
            generation: AtomicU32::new(0),
            closed_at: AtomicU64::new(0),
            engine: UnsafeCell::new(None),
            older: AtomicPtr::new(ptr::null_mut()),
            inside: Default::default(),
        }
    }

    /// Takes a handle that has been closed for long enough.
    ///
    /// No lock: in a forked child it could be held by a thread that does not exist there.
    fn vacant() -> Option<&'static Self> {
        let mut next = NEWEST.load(Acquire);
        loop {
            // SAFETY: `next` is NULL or was put into the list by `publish`, whole; handles are never freed.
            let handle = unsafe { next.as_ref() }?;
            // One of the parent's may count threads that do not exist in this process.
            let own = handle.generation.load(Relaxed) == fork::generation();
            let rested = CLOSED.load(Relaxed).saturating_sub(handle.closed_at.load(Relaxed)) > QUARANTINE;
            if own && rested && handle.state.compare_exchange(VACANT, OPENING, Acquire, Relaxed).is_ok() {
                return Some(handle);
            }
            next = handle.older.load(Relaxed);
        }
    }

    /// Makes a handle and puts it into the list of all.
    fn published() -> &'static Self {
        let handle: &'static Self = Box::leak(Box::new(Self::new()));
        let mut newest = NEWEST.load(Relaxed);
        loop {
            handle.older.store(newest, Relaxed);
            match NEWEST.compare_exchange_weak(newest, ptr::from_ref(handle).cast_mut(), Release, Relaxed) {
                Ok(_) => return handle,
                Err(other) => newest = other,
            }
        }
    }

    /// Whether the handle came to this process through a fork.
    fn is_inherited(&self) -> bool {
        self.generation.load(Relaxed) != fork::generation()
    }

    /// Lets a call in, unless the handle is closed or closing.
    #[inline]
    fn enter(&'static self) -> Result<Call, KmsError> {
        if self.is_inherited() {
            return Err(ErrorCode::Forked.into());
        }
        // Looked at twice, so that a stream of late calls does not touch the counters that kms_close waits for.
        if self.state.load(Relaxed) != OPEN {
            return Err(ErrorCode::Closed.into());
        }
        let shard = &self.inside[shard()].0;
        shard.fetch_add(1, SeqCst);
        let call = Call { handle: self, shard };
        if self.state.load(SeqCst) != OPEN {
            return Err(ErrorCode::Closed.into());
        }
        Ok(call)
    }

    /// Refuses new calls, waits for those inside, and drops the engine. Closing twice is harmless.
    fn close(&self) {
        if self.is_inherited() {
            // Left alone on purpose: the store, its threads and its locks are the parent's. Dropping the engine here
            // could write to the parent's files, or wait for a thread that exists only there.
            return;
        }
        if self.state.compare_exchange(OPEN, CLOSING, SeqCst, Relaxed).is_err() {
            return;
        }
        for shard in &self.inside {
            wait_for_zero(&shard.0);
        }
        // SAFETY: this thread alone took the state from OPEN to CLOSING. A call that entered before has left (its
        // counter was seen at zero, which is ordered after all it did); one that enters its counter later sees CLOSING
        // and goes.
        let engine = unsafe { (*self.engine.get()).take() };
        drop(engine);
        self.closed_at.store(CLOSED.fetch_add(1, Relaxed), Relaxed);
        self.state.store(VACANT, Release);
    }
}

/// Waits until a counter is seen at zero: briefly by looking, then by looking less and less often. Calls last from a
/// microsecond to as long as a disk takes.
fn wait_for_zero(counter: &AtomicUsize) {
    let mut pause = Duration::from_micros(10);
    while counter.load(SeqCst) != 0 {
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    }
}

/// The number of this thread's shard.
#[inline]
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // A plain number: it needs no destructor, so that it is there for as long as the thread is.
        static SHARD: usize = NEXT.fetch_add(1, Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

/// A call that is inside a handle. The engine stays while it exists.
pub(crate) struct Call {
    handle: &'static kms,
    shard: &'static AtomicUsize,
}

impl Call {
    /// The engine that the call works with.
    #[inline]
    pub(crate) fn engine(&self) -> &Engine {
        // SAFETY: the counter of this call was raised before the handle was seen open, so that `close` waits for `drop`
        // before it touches the engine; `open` wrote it before it opened the handle. Only shared references exist
        // meanwhile.
        let engine = unsafe { &*self.handle.engine.get() };
        engine.as_ref().expect("an open handle has its engine")
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        self.shard.fetch_sub(1, Release);
    }
}

/// Hands an engine to C. It is C's until [`close`].
pub(crate) fn give(engine: Engine) -> *mut kms {
    let handle = kms::vacant().unwrap_or_else(kms::published);
    handle.generation.store(fork::generation(), Relaxed);
    // SAFETY: the state is OPENING, and this thread has brought it there: nobody else touches the engine.
    unsafe { *handle.engine.get() = Some(engine) };
    handle.state.store(OPEN, SeqCst);
    ptr::from_ref(handle).cast_mut()
}

/// Enters the handle that C has passed.
///
/// # Safety
/// `handle` is NULL or was made by [`give`].
#[inline]
pub(crate) unsafe fn enter(handle: *mut kms) -> Result<Call, KmsError> {
    // SAFETY: handles are never freed, and only shared references to them are made.
    match unsafe { handle.as_ref() } {
        Some(handle) => handle.enter(),
        None => Err(KmsError::with_detail(ErrorCode::NullArgument, "engine")),
    }
}

/// Takes an engine back from C, and drops it when no call is inside any more. NULL is nothing to do.
///
/// # Safety
/// `handle` is NULL or was made by [`give`].
pub(crate) unsafe fn close(handle: *mut kms) {
    // SAFETY: handles are never freed, and only shared references to them are made.
    if let Some(handle) = unsafe { handle.as_ref() } {
        handle.close();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kms_engine::Config;

    use super::*;

    fn open() -> *mut kms {
        give(Engine::open(Config::parse(r#"{"store":"memory:"}"#).unwrap()).unwrap())
    }

    fn enter_it(handle: *mut kms) -> Result<Call, KmsError> {
        // SAFETY: the tests pass handles of `open`.
        unsafe { enter(handle) }
    }

    fn close_it(handle: *mut kms) {
        // SAFETY: the tests pass handles of `open`.
        unsafe { close(handle) }
    }

    fn refusal(handle: *mut kms) -> Option<ErrorCode> {
        enter_it(handle).err().map(|error| error.code())
    }

    /// Goal: closing waits for a call that is inside, and lets none in meanwhile.
    #[test]
    fn closing_waits_for_a_call_inside() {
        let handle = open();
        let call = enter_it(handle).unwrap();
        let nested = enter_it(handle).unwrap();
        let address = handle.expose_provenance();
        let closer = thread::spawn(move || close_it(ptr::with_exposed_provenance_mut(address)));
        while refusal(handle).is_none() {
            thread::yield_now();
        }
        assert_eq!(refusal(handle), Some(ErrorCode::Closed));
        thread::sleep(Duration::from_millis(20));
        assert!(!closer.is_finished());
        assert!(call.engine().call("ListKeys", "{}").result.is_ok(), "the engine is still there");
        drop(nested);
        thread::sleep(Duration::from_millis(20));
        assert!(!closer.is_finished());
        drop(call);
        closer.join().unwrap();
        assert_eq!(refusal(handle), Some(ErrorCode::Closed));
    }

    /// Goal: a closed handle is used again, but not soon.
    #[test]
    fn handles_rest_before_they_are_used_again() {
        let first = open();
        close_it(first);
        for _ in 0..QUARANTINE {
            let next = open();
            assert_ne!(next, first);
            close_it(next);
        }
        // The other tests of this module have their own few handles at the same time.
        let seen: BTreeSet<*mut kms> =
            (0..4 * QUARANTINE).map(|_| open()).inspect(|handle| close_it(*handle)).collect();
        assert!(seen.len() as u64 <= QUARANTINE + 16, "{}", seen.len());
    }

    /// Goal: threads have counters of their own, as long as there are enough of them.
    #[test]
    fn threads_have_shards_of_their_own() {
        let mine = shard();
        assert_eq!(shard(), mine, "a thread keeps its shard");
        let theirs = thread::spawn(shard).join().unwrap();
        assert!(mine < SHARDS && theirs < SHARDS);
        assert_eq!(size_of::<Shard>(), 128);
    }

    #[test]
    fn null_is_no_handle() {
        assert_eq!(refusal(ptr::null_mut()), Some(ErrorCode::NullArgument));
        close_it(ptr::null_mut());
    }
}
