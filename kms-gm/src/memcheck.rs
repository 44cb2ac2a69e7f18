//! Secrets as valgrind's memcheck sees them: bytes that are marked undefined, until they are told to be public.
//!
//! memcheck follows undefined bits through every instruction and reports a branch or an address that depends on one
//! (A. Langley, "ctgrind", 2010). Where this crate decides something by a secret that everybody may know, such as that a
//! message is not authentic, it says so ([`reveal`](crate::reveal)). Outside of valgrind nothing here has an effect.

use core::sync::atomic::{AtomicBool, Ordering};

/// `VALGRIND_MAKE_MEM_UNDEFINED` and `VALGRIND_MAKE_MEM_DEFINED` of memcheck.h, and `RUNNING_ON_VALGRIND` of valgrind.h.
const UNDEFINED: u64 = 0x4d43_0001;
const DEFINED: u64 = 0x4d43_0002;
const RUNNING: u64 = 0x1001;

/// Asks valgrind; 0 where there is none.
#[cfg(target_arch = "x86_64")]
fn request(code: u64, address: *const u8, len: usize) -> u64 {
    let arguments = [code, address as u64, len as u64, 0, 0, 0];
    let mut answer = 0u64;
    // SAFETY: the rotations of RDI come to 128 bits, and the exchange is with itself: all registers but RDX stay as they
    // are, and RDX gets an answer under valgrind alone. Memory is not written; memcheck's marks are none of the program's.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") &raw const arguments,
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

/// On other architectures nobody asks.
#[cfg(not(target_arch = "x86_64"))]
fn request(_: u64, _: *const u8, _: usize) -> u64 {
    0
}

/// Whether this process runs under valgrind.
#[must_use]
pub fn is_running() -> bool {
    request(RUNNING, core::ptr::null(), 0) != 0
}

/// Marks bytes as secret.
pub fn set_secret(bytes: &mut [u8]) {
    request(UNDEFINED, bytes.as_ptr(), bytes.len());
}

/// Marks bytes as public.
pub fn set_public(bytes: &mut [u8]) {
    request(DEFINED, bytes.as_ptr(), bytes.len());
}

static PORTABLE: AtomicBool = AtomicBool::new(false);

/// Has the whole process use the implementations that need no instructions beyond the architecture's first, or the fastest.
pub fn use_portable(portable: bool) {
    PORTABLE.store(portable, Ordering::Relaxed);
}

/// What computes SM2: `MULX and ADX`, or `portable`.
#[must_use]
pub fn sm2_arithmetic() -> &'static str {
    match crate::curve::Best::get() {
        #[cfg(target_arch = "x86_64")]
        crate::curve::Best::Adx(_) => "MULX and ADX",
        crate::curve::Best::Portable(_) => "portable",
    }
}

pub(crate) fn is_portable() -> bool {
    PORTABLE.load(Ordering::Relaxed)
}
