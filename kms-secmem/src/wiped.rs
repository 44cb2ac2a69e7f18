//! Places that hold a secret for a while and are zero afterwards.
//!
//! Many libraries hand out values that keep key material in plain fields and do not clear it when they
//! are dropped (ring's `LessSafeKey` is one). The holders here own such a value in one place from which
//! it never moves, drop it there, and then overwrite that place, also when a panic unwinds through it.
//!
//! What this cannot do, because Rust gives no access to it:
//!
//! - The constructor of the foreign type may have built the value elsewhere and moved it; every move
//!   leaves a copy behind. Everything here therefore also overwrites [`SPILL`] bytes of the stack that
//!   was used, where such copies and spilled registers stand. The optimiser decides how deep the stack
//!   gets, so this is best effort.
//! - Registers keep what was last in them until they are reused.
//! - A process that is killed or that aborts runs no destructor.

use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr;

use zeroize::{Zeroize, zeroize_flat_type, zeroize_stack};

/// Bytes of stack that are overwritten below a holder once it has made and used its value.
///
/// On its way out of its constructor ring leaves four copies of a key behind (some 560 bytes each), the
/// deepest 2.3 KiB down in an optimised build.
pub const SPILL: usize = 3072;

/// Most bytes that [`with_wiped_zeros`] takes from the stack: the largest payload of one KMS call.
pub const STACK_PLACE: usize = 6144;

/// A stack slot that is overwritten when it goes out of scope.
struct Slot<T> {
    place: MaybeUninit<T>,
    full: bool,
}

impl<T> Slot<T> {
    const fn empty() -> Self {
        Self { place: MaybeUninit::uninit(), full: false }
    }

    fn fill(&mut self, value: T) -> &T {
        debug_assert!(!self.full, "a slot is filled once");
        let value = self.place.write(value);
        self.full = true;
        value
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        /// Wipes on the way out, even if the destructor of the value panics.
        struct Wipe<T>(*mut MaybeUninit<T>);
        impl<T> Drop for Wipe<T> {
            fn drop(&mut self) {
                // SAFETY: the pointer comes from the exclusive borrow of the slot, which outlives this
                // guard. `MaybeUninit` has no destructor and every byte pattern is valid for it.
                unsafe { zeroize_flat_type(self.0) };
            }
        }

        let wipe = Wipe(&raw mut self.place);
        if self.full {
            // SAFETY: `full` says that the place holds a value; it is dropped here and nowhere else, and
            // only overwritten afterwards.
            unsafe { ptr::drop_in_place(wipe.0.cast::<T>()) };
        }
    }
}

/// Runs `work` and overwrites [`SPILL`] bytes of the stack that it used, on every way out.
///
/// For computations whose values clear themselves but whose temporaries do not.
#[inline]
pub fn with_wiped_stack<R>(work: impl FnOnce() -> R) -> R {
    with_wiped_stack_of::<SPILL, R>(work)
}

/// [`with_wiped_stack`], for work that goes deeper: `DEPTH` bytes are overwritten.
#[inline]
pub fn with_wiped_stack_of<const DEPTH: usize, R>(work: impl FnOnce() -> R) -> R {
    /// A frame of its own, so that everything below the caller's is free to be overwritten.
    #[inline(never)]
    fn framed<R>(work: impl FnOnce() -> R) -> R {
        work()
    }

    let _spill = WipeSpill::<DEPTH>;
    framed(work)
}

/// Overwrites the stack below its owner when it goes.
struct WipeSpill<const DEPTH: usize>;

impl<const DEPTH: usize> Drop for WipeSpill<DEPTH> {
    fn drop(&mut self) {
        zeroize_stack::<DEPTH>();
    }
}

/// Lends `work` that many zeros, for a secret to be made in, and overwrites them afterwards.
///
/// Up to [`STACK_PLACE`] bytes stand on the stack; more are allocated. Only the bytes that were used are
/// overwritten, on every way out and as one run. An array in a `Zeroizing` is overwritten as a whole and byte
/// by byte, 350 ns for the longest data key.
pub fn with_wiped_zeros<R>(len: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    fn zeros(place: &mut [MaybeUninit<u8>]) -> WipeSlice<'_> {
        place.fill(MaybeUninit::new(0));
        // SAFETY: every element has just been written.
        WipeSlice(unsafe { place.assume_init_mut() })
    }

    if len <= STACK_PLACE {
        let mut place = [MaybeUninit::<u8>::uninit(); STACK_PLACE];
        let filled = zeros(&mut place[..len]);
        work(&mut *filled.0)
    } else {
        let mut place = Box::<[u8]>::new_uninit_slice(len);
        let filled = zeros(&mut place);
        work(&mut *filled.0)
    }
}

/// Bytes that are overwritten when the borrow of them ends.
struct WipeSlice<'a>(&'a mut [u8]);

impl Drop for WipeSlice<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A long-lived secret-holding value in a heap place of its own that is overwritten when it is dropped.
///
/// Moving the holder moves a pointer, never the value, so that the value exists once. `T` need not know
/// anything about wiping.
pub struct Wiped<T> {
    slot: Box<Slot<T>>,
}

impl<T> Wiped<T> {
    /// Runs `make` and keeps what it returns; the stack that `make` used is overwritten.
    pub fn new(make: impl FnOnce() -> T) -> Self {
        let mut slot = Box::new(Slot::empty());
        with_wiped_stack(|| {
            slot.fill(make());
        });
        Self { slot }
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` is the only constructor and returns only after it has filled the slot, which is
        // emptied by its destructor alone.
        unsafe { self.slot.place.assume_init_ref() }
    }
}

impl<T> fmt::Debug for Wiped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wiped(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const SECRET: [u8; 48] = [0xa7; 48];

    /// Reads memory that its owner has given up. Only for places that are still mapped and that nothing
    /// else has claimed since.
    fn peek(at: *const u8, len: usize) -> Vec<u8> {
        (0..len)
            // SAFETY: callers pass stack of a live frame, or a place inside a buffer they own.
            .map(|i| unsafe { ptr::read_volatile(at.add(i)) })
            .collect()
    }

    /// Counts how often the destructor ran, so that wiping neither skips nor repeats it.
    struct Guarded<'a> {
        bytes: [u8; 48],
        drops: &'a Cell<u32>,
    }

    impl Drop for Guarded<'_> {
        fn drop(&mut self) {
            assert_eq!(self.bytes, SECRET, "dropped before it is wiped");
            self.drops.set(self.drops.get() + 1);
        }
    }

    // Goal: the slot's bytes are zero after its destructor ran, and the value was dropped once.
    // Method: keep the slot's storage alive under our own roof and run the destructor by hand.
    #[test]
    fn slot_drops_its_value_once_and_is_zero_afterwards() {
        let drops = Cell::new(0);
        let mut storage = MaybeUninit::new(Slot::<Guarded<'_>>::empty());
        // SAFETY: initialised in the line above.
        let slot = unsafe { storage.assume_init_mut() };
        slot.fill(Guarded { bytes: SECRET, drops: &drops });
        let at = (&raw const slot.place).cast::<u8>();
        assert!(peek(at, size_of::<Guarded<'_>>()).windows(48).any(|w| w == SECRET));
        // SAFETY: the slot is initialised and not used as a `Slot` again.
        unsafe { ptr::drop_in_place(storage.as_mut_ptr()) };
        assert_eq!(peek(at, size_of::<Guarded<'_>>()), vec![0; size_of::<Guarded<'_>>()]);
        assert_eq!(drops.get(), 1);
    }

    // Goal: what a borrow of a place has left in it is overwritten, a panic included. Method: the place is ours, so it can
    // be looked at afterwards.
    #[test]
    fn a_borrowed_place_is_zero_afterwards() {
        let mut place = SECRET;
        drop(WipeSlice(&mut place));
        assert_eq!(place, [0; 48]);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let borrowed = WipeSlice(&mut place);
            borrowed.0.copy_from_slice(&SECRET);
            panic!("the user fails");
        }));
        assert!(outcome.is_err());
        assert_eq!(place, [0; 48]);
    }

    #[test]
    fn zeros_are_lent_at_every_length() {
        for len in [0, 1, 1024, STACK_PLACE, STACK_PLACE + 1] {
            let filled = with_wiped_zeros(len, |bytes| {
                assert_eq!(bytes, vec![0; len]);
                bytes.fill(0xa7);
                bytes.to_vec()
            });
            assert_eq!(filled, vec![0xa7; len]);
        }
    }

    #[test]
    fn a_held_value_survives_moves_of_its_holder_and_is_dropped_once() {
        let drops = Cell::new(0);
        let held = Wiped::new(|| Guarded { bytes: SECRET, drops: &drops });
        let at = ptr::from_ref(&*held);
        let moved = Some(held);
        assert!(ptr::eq(at, &**moved.as_ref().expect("just put there")));
        assert_eq!(format!("{:?}", moved.as_ref()), "Some(Wiped(..))");
        drop(moved);
        assert_eq!(drops.get(), 1);
    }

    #[test]
    fn a_maker_that_panics_leaves_nothing_to_drop() {
        assert!(catch_unwind(|| Wiped::<[u8; 8]>::new(|| panic!("cannot make it"))).is_err());
    }
}
