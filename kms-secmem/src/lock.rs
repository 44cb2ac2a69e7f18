//! Locks that keep nothing outside themselves.
//!
//! They are those of the standard library, which wait on the address of the lock (futex). A lock that keeps its waiting
//! threads in one table for the whole process, as `parking_lot` does, hands that table to a forked child together with the
//! threads that waited in it and exist there no more. The C library gives their stacks to the child's own threads; one of
//! those then queues up in a list that already has its address, and the list becomes a ring.
//!
//! No lock here is poisoned by a panic: the engine has one boundary where panics end, and it stops the whole engine.

use std::sync::{self, PoisonError};
use std::time::Duration;

pub use std::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

/// A value that one thread at a time uses.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits until no other thread uses the value.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, of which the caller is the only owner.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that many threads read, or one changes.
#[derive(Debug, Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits until no other thread changes the value.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread uses the value.
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, of which the caller is the only owner.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place to wait for a change of what a [`Mutex`] holds.
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

impl Condvar {
    /// One that nobody waits at.
    #[must_use]
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Lets go of the lock until there is a change, or for no reason: callers look again.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the lock while `condition` holds, and no longer than `limit`. With the lock, whether the condition has
    /// ended.
    pub fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, bool) {
        let waited = self.0.wait_timeout_while(guard, limit, condition).unwrap_or_else(PoisonError::into_inner);
        (waited.0, !waited.1.timed_out())
    }

    /// Wakes one thread that waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::testing::{Ending, in_child};

    /// A thread that waits until `stop`.
    struct Waiting {
        shared: Arc<(Mutex<[bool; 2]>, Condvar)>,
        thread: thread::JoinHandle<()>,
    }

    impl Waiting {
        /// Returns when the thread has the lock, which it gives up by waiting.
        fn start() -> Self {
            let shared = Arc::<(Mutex<[bool; 2]>, Condvar)>::default();
            let theirs = Arc::clone(&shared);
            let thread = thread::spawn(move || {
                let mut state = theirs.0.lock();
                state[0] = true;
                theirs.1.notify_all();
                while !state[1] {
                    state = theirs.1.wait(state);
                }
            });
            let mut state = shared.0.lock();
            while !state[0] {
                state = shared.1.wait(state);
            }
            drop(state);
            Self { shared, thread }
        }

        fn stop(self) {
            self.shared.0.lock()[1] = true;
            self.shared.1.notify_all();
            self.thread.join().expect("it does not panic");
        }
    }

    // Goal: a child whose parent's threads were waiting waits and wakes with threads of its own.
    // Method: several, so that one gets the stack of a thread that waited in the parent.
    #[test]
    fn a_child_does_not_inherit_who_waits() {
        let of_parent: Vec<_> = (0..3).map(|_| Waiting::start()).collect();
        for _ in 0..8 {
            let ending = in_child(|| {
                let own: Vec<_> = (0..3).map(|_| Waiting::start()).collect();
                own.into_iter().for_each(Waiting::stop);
                7
            });
            assert_eq!(ending, Ending::Exit(7));
        }
        of_parent.into_iter().for_each(Waiting::stop);
    }

    #[test]
    fn a_panic_leaves_the_lock_usable() {
        let (mutex, rwlock) = (Mutex::new(1), RwLock::new(1));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let (mut one, mut other) = (mutex.lock(), rwlock.write());
            (*one, *other) = (2, 2);
            panic!("with both locks held");
        }));
        assert!(panicked.is_err());
        assert_eq!((*mutex.lock(), *rwlock.read()), (2, 2));
    }

    #[test]
    fn waiting_ends_with_the_condition_or_the_limit() {
        let (mutex, condvar) = (Mutex::new(5), Condvar::new());
        let (guard, ended) = condvar.wait_while(mutex.lock(), Duration::from_secs(60), |value| *value != 5);
        assert!(ended && *guard == 5);
        let (guard, ended) = condvar.wait_while(guard, Duration::from_millis(1), |value| *value == 5);
        assert!(!ended && *guard == 5);
    }
}
