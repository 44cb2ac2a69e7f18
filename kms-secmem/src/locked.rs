//! Pages for the few long-lived secrets: not swapped, not in core dumps, fenced, and wiped on release.
//!
//! Each secret has a mapping of its own, between two pages that nobody may touch:
//!
//! ```text
//! | no access | ........ secret | no access |
//!   guard       data page(s)      guard
//! ```
//!
//! The secret stands at the end of its pages, so that reading on past it faults at once. A mapping costs at
//! least one locked page and three system calls, and a process may lock only RLIMIT_MEMLOCK bytes (64 KiB
//! on old kernels, 8 MiB since Linux 5.16). That suits a root key and a handful of store keys; it is not
//! for one secret per key of a million. In exchange there is no allocator with a lock that a forked child
//! could find taken.
//!
//! After a fork the child has a copy that is not locked, because locks are not inherited. It is not wiped
//! (`MADV_WIPEONFORK`) on purpose: a child that used it all the same would then encrypt under a key of
//! zeros, which is worse than what the wiping prevents. [`fork`](crate::fork) lets the engine refuse
//! instead.

use core::fmt;
use core::ptr::{self, NonNull};
use core::slice;
use std::io;

use zeroize::zeroize_bytes;

/// What the operating system granted for a [`LockedBytes`].
///
/// A secret is usable without it; whoever promises more to a user looks here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The pages are never written to swap (`mlock`). Refused beyond RLIMIT_MEMLOCK.
    pub locked: bool,
    /// The pages are left out of core dumps (`MADV_DONTDUMP`, Linux only).
    pub undumped: bool,
}

/// Secret bytes in pages of their own. See the [module](self).
pub struct LockedBytes {
    mapping: Mapping,
    len: usize,
    protection: Protection,
}

impl LockedBytes {
    /// `len` zero bytes, to be filled through [`expose_mut`](Self::expose_mut).
    ///
    /// # Errors
    ///
    /// If the process can have no more mappings. That it cannot lock them is not an error: see
    /// [`protection`](Self::protection).
    pub fn zeroed(len: usize) -> io::Result<Self> {
        let mapping = Mapping::new(len)?;
        let protection = mapping.protect();
        Ok(Self { mapping, len, protection })
    }

    /// A copy of `bytes`; clearing the original is the caller's.
    ///
    /// # Errors
    ///
    /// As [`zeroed`](Self::zeroed).
    pub fn copied_from(bytes: &[u8]) -> io::Result<Self> {
        let mut locked = Self::zeroed(bytes.len())?;
        locked.expose_mut().copy_from_slice(bytes);
        Ok(locked)
    }

    /// The bytes themselves. Do not let them reach a log, an error or an unwiped buffer.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        // SAFETY: the mapping holds at least `len` readable, initialised (zeroed by the kernel) bytes from
        // there to its end, and lives as long as `self`; writers need `&mut self`.
        unsafe { slice::from_raw_parts(self.start(), self.len) }
    }

    /// The bytes themselves, to be written.
    #[must_use]
    pub fn expose_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `expose`; the pages are writable and `&mut self` makes the borrow exclusive.
        unsafe { slice::from_raw_parts_mut(self.start(), self.len) }
    }

    /// What the operating system granted.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.protection
    }

    fn start(&self) -> *mut u8 {
        let offset = self.mapping.data_len() - self.len;
        // SAFETY: the data pages hold at least `len` bytes, so this stays within them.
        unsafe { self.mapping.data().add(offset) }
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        zeroize_bytes(self.expose_mut());
    }
}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedBytes")
            .field("len", &self.len)
            .field("protection", &self.protection)
            .finish_non_exhaustive()
    }
}

/// Data pages between two guard pages, given back on drop.
struct Mapping {
    base: NonNull<u8>,
    page: usize,
    len: usize,
}

// SAFETY: a mapping owns its pages alone; any thread may use them and give them back.
unsafe impl Send for Mapping {}
// SAFETY: through `&Mapping` nothing but its address is reachable; access goes through `LockedBytes`,
// which follows the rules of `&` and `&mut`.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: asks for a constant of the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(|_| io::Error::last_os_error())?;
        let total = len
            .max(1)
            .checked_next_multiple_of(page)
            .and_then(|data| data.checked_add(2 * page))
            .ok_or(io::ErrorKind::OutOfMemory)?;

        // SAFETY: a fresh private mapping at an address of the kernel's choice touches no other memory.
        let base = unsafe {
            libc::mmap(ptr::null_mut(), total, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self { base, page, len: total };

        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the data pages lie inside the mapping that was just made, and nobody uses them yet.
        if unsafe { libc::mprotect(mapping.data().cast(), mapping.data_len(), access) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    /// Asks for what a secret's pages should have, and tells what was granted.
    fn protect(&self) -> Protection {
        // SAFETY: locks pages that belong to this mapping.
        let locked = unsafe { libc::mlock(self.data().cast(), self.data_len()) } == 0;
        #[cfg(target_os = "linux")]
        // SAFETY: advises on pages that belong to this mapping; their content stays as it is.
        let undumped = unsafe { libc::madvise(self.data().cast(), self.data_len(), libc::MADV_DONTDUMP) } == 0;
        #[cfg(not(target_os = "linux"))]
        let undumped = false;
        Protection { locked, undumped }
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: the mapping has one guard page before its data.
        unsafe { self.base.as_ptr().add(self.page) }
    }

    fn data_len(&self) -> usize {
        self.len - 2 * self.page
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Unmapping also unlocks. It fails for invalid arguments alone, and these are the ones of `new`.
        // SAFETY: the pages are this mapping's and nobody uses them after their owner.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Ending, in_child};

    const fn is_send_and_sync<T: Send + Sync>() {}
    const _: () = is_send_and_sync::<LockedBytes>();

    #[test]
    fn bytes_are_kept_at_every_length() {
        for len in [0, 1, 32, 4095, 4096, 4097, 20_000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut locked = LockedBytes::copied_from(&bytes).expect("a mapping");
            assert_eq!(locked.expose(), bytes);
            locked.expose_mut().fill(7);
            assert!(locked.expose().iter().all(|b| *b == 7));
        }
    }

    #[test]
    fn debug_shows_no_byte() {
        let locked = LockedBytes::copied_from(&[0xab; 3]).expect("a mapping");
        let shown = format!("{locked:?}");
        assert!(shown.starts_with("LockedBytes { len: 3, protection: "), "{shown}");
        assert!(!shown.contains("171") && !shown.contains("ab"), "{shown}");
    }

    // Goal: what `protection` says is what the kernel does. Method: the flags of the mapping in
    // /proc/self/smaps, `lo` for locked and `dd` for not dumped.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_agrees_with_what_was_granted() {
        let locked = LockedBytes::copied_from(&[1; 32]).expect("a mapping");
        let first = format!("{:x}-", locked.mapping.data() as usize);
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("procfs");
        let flags = smaps
            .lines()
            .skip_while(|line| !line.starts_with(&first))
            .find_map(|line| line.strip_prefix("VmFlags:"))
            .expect("the mapping is listed");
        let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
        let granted = locked.protection();
        assert_eq!((has("lo"), has("dd")), (granted.locked, granted.undumped));
        assert!(granted.undumped);
    }

    // Goal: where locking is refused the secret works all the same, and says so. Method: a child without
    // the right to lock anything.
    #[test]
    fn a_refused_lock_is_told_and_not_fatal() {
        let ending = in_child(|| {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: changes this child's own limit and user alone; root could lock regardless.
            let ready = unsafe {
                libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) == 0
                    && (libc::geteuid() != 0 || libc::setuid(65_534) == 0)
            };
            let Ok(secret) = LockedBytes::copied_from(&[9; 32]) else {
                return 2;
            };
            u8::from(ready && !secret.protection().locked && secret.expose() == [9; 32])
        });
        assert_eq!(ending, Ending::Exit(1));
    }

    // Goal: one byte past the end, and the page before the data, cannot be read.
    #[test]
    fn guard_pages_fault() {
        let secret = LockedBytes::copied_from(&[9; 32]).expect("a mapping");
        let past = secret.expose().as_ptr_range().end;
        let before = secret.mapping.data().wrapping_sub(1).cast_const();
        for outside in [past, before] {
            let ending = in_child(|| {
                // SAFETY: restores the default action, so that the fault ends this child quietly.
                unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
                // SAFETY: this is the forbidden read under test; it faults and ends the child.
                unsafe { ptr::read_volatile(outside) }
            });
            assert_eq!(ending, Ending::Signal(libc::SIGSEGV));
        }
    }
}
