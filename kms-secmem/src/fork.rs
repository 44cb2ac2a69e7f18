//! Noticing that this process is a forked child.
//!
//! After `fork` both processes hold the same random generators and the same locks, of which the child's
//! may be held by threads that no longer exist. Whoever keeps such state stores the generation next to
//! it and compares later: one relaxed load, where asking the kernel for the process id costs a system
//! call (160 ns).

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Runs in the child, in the thread that forked, before `fork` returns there.
extern "C" fn count_child() {
    // An atomic add takes no lock and allocates nothing, which is all a child of a threaded process may do.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// How many forks lie between the first call of this function and the calling process.
///
/// It differs between a process and every child forked after the first call, and stays the same within a
/// process. Store it beside what must not cross a fork, and compare. Relaxed order is enough: the only
/// writer is the child itself before any of its code runs on.
///
/// A child made by `vfork`, `posix_spawn` or a bare `clone` system call is not counted: such a child
/// may only `exec`.
///
/// # Panics
///
/// If the C library has no memory for the handler, at the first call: going on would mean to miss forks.
#[inline]
#[must_use]
pub fn generation() -> u32 {
    if !REGISTERED.load(Ordering::Acquire) {
        register();
    }
    GENERATION.load(Ordering::Relaxed)
}

#[cold]
fn register() {
    // Two threads that race here may both register; a generation that grows by two is still another one.
    // A lock instead could be held by a vanished thread in a forked child.
    // SAFETY: `count_child` is a function for the life of the program, takes no argument, and does only what
    // is allowed in a child of a threaded process.
    let refused = unsafe { libc::pthread_atfork(None, None, Some(count_child)) };
    assert_eq!(refused, 0, "no memory to register a fork handler");
    REGISTERED.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Ending, in_child};

    // Goal: parent, child and grandchild all differ, and the parent's own value stays.
    #[test]
    fn every_fork_is_another_generation() {
        let before = generation();
        let ending = in_child(|| {
            let mine = generation();
            let child_differs = mine != before && mine == generation();
            let grandchild_differs = in_child(|| u8::from(generation() != mine)) == Ending::Exit(1);
            u8::from(child_differs) | u8::from(grandchild_differs) << 1
        });
        assert_eq!(ending, Ending::Exit(0b11));
        assert_eq!(generation(), before);
    }
}
