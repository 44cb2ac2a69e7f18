//! Texts that C frees: allocated so that the library still knows how long they are when they come back.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ffi::c_char;
use std::slice;

use zeroize::Zeroize;

use crate::panic::caught;

/// In front of the text stands its length. A host may cut a text into pieces by writing NULs into it, as strtok does;
/// what strlen says then is neither what must be wiped nor what was allocated.
const FRONT: usize = size_of::<usize>();

fn layout(len: usize) -> Layout {
    Layout::from_size_align(FRONT + len + 1, align_of::<usize>()).expect("a text that is in memory has a layout")
}

/// Copies a text into memory of its own, with a NUL behind it. It is C's until [`kms_string_free`].
pub(crate) fn give(text: &str) -> *mut c_char {
    let layout = layout(text.len());
    // SAFETY: the layout is not empty. The writes stay inside it: the length, which is aligned as the layout is, the
    // bytes of the text behind it, and one more.
    unsafe {
        let start = alloc(layout);
        if start.is_null() {
            handle_alloc_error(layout);
        }
        start.cast::<usize>().write(text.len());
        let at = start.add(FRONT);
        at.copy_from_nonoverlapping(text.as_ptr(), text.len());
        at.add(text.len()).write(0);
        at.cast()
    }
}

/// Wipes a text that a function of this library has returned, then frees it.
///
/// string: may be NULL; nothing happens then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_string_free(string: *mut c_char) {
    if string.is_null() {
        return;
    }
    let free = || {
        // SAFETY: by the contract of the C interface the text came from `give` and is not used again; so its length
        // stands in front of it, and it was allocated with this layout. C may have changed the bytes, not their number.
        unsafe {
            let start = string.cast::<u8>().sub(FRONT);
            let len = start.cast::<usize>().read();
            slice::from_raw_parts_mut(start.add(FRONT), len).zeroize();
            dealloc(start, layout(len));
        }
    };
    // Wiping and freeing do not panic; if they ever did, the caller could do nothing about it.
    let _ = caught(free);
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn a_text_comes_back_whole() {
        for text in ["", "x", "{\"RequestId\":\"\u{e9}\"}"] {
            let given = give(text);
            // SAFETY: `given` is a text of this module until it is freed, once.
            unsafe {
                assert_eq!(CStr::from_ptr(given).to_str(), Ok(text));
                kms_string_free(given);
            }
        }
    }

    /// Goal: a text that was cut short by its owner is freed as it was allocated. Method: a checking allocator (a
    /// sanitizer's, valgrind's) sees another size.
    #[test]
    fn a_text_may_be_cut_short() {
        let given = give("one two");
        // SAFETY: `given` has eight bytes, and is freed once.
        unsafe {
            given.add(3).write(0);
            kms_string_free(given);
        }
    }
}
