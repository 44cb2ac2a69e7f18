//! Shows, on request, that AddressSanitizer is there: a fuzz run without it would look the same and find less.
//!
//! With `KMS_FUZZ_ASAN_CHECK=rust` or `=c` in its environment a target reads one byte out of bounds before it begins, in
//! Rust or in C code. The sanitizer must end the program with its report; a program that comes through says so and ends with
//! status 3.

use std::env;
use std::ffi::c_int;
use std::process;

/// The status of a program in which the read out of bounds went unnoticed.
const UNNOTICED: i32 = 3;
/// Any length will do.
const LEN: usize = 24;

unsafe extern "C" {
    fn kms_fuzz_out_of_bounds(len: usize) -> c_int;
}

/// Does what the environment asks for; nothing if it does not ask.
///
/// # Panics
/// When the variable has another value.
#[allow(clippy::print_stderr, reason = "who asks wants an answer")]
pub fn check_on_request() {
    let Some(code) = env::var_os("KMS_FUZZ_ASAN_CHECK") else { return };
    let byte = match code.to_str() {
        Some("rust") => {
            let bytes = Box::new([0_u8; LEN]);
            let behind = bytes.as_ptr().wrapping_add(std::hint::black_box(LEN));
            // SAFETY: there is none; this is the access that the sanitizer must refuse. It happens on request only.
            i32::from(unsafe { behind.read_volatile() })
        }
        // SAFETY: none either, see above.
        Some("c") => unsafe { kms_fuzz_out_of_bounds(LEN) },
        _ => panic!("KMS_FUZZ_ASAN_CHECK is neither rust nor c"),
    };
    eprintln!("AddressSanitizer is off: the byte out of bounds was read ({byte})");
    process::exit(UNNOTICED);
}
