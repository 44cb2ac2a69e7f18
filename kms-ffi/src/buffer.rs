//! Pointers that come from C, made into what safe Rust can hold: checked once, here, and nowhere else.
//!
//! Inputs become slices and strings. An output stays a pointer until everything about it is known: that it is there,
//! that it is large enough, and that it overlaps nothing; only then is it borrowed ([`claim`]).

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

use kms_core::{ErrorCode, KmsError};

use crate::error::Failure;

pub(crate) fn null(name: &'static str) -> KmsError {
    KmsError::with_detail(ErrorCode::NullArgument, name)
}

/// Writes where C says. C programs are wrong about alignment now and then; this does not mind.
///
/// # Safety
/// `at` is valid for writing a `T`.
pub(crate) unsafe fn write<T>(at: *mut T, value: T) {
    // SAFETY: what this function demands.
    unsafe { at.write_unaligned(value) }
}

/// A text.
///
/// # Safety
/// `at` is NULL or points to a text that ends with NUL, which nobody changes during `'a`.
#[inline]
pub(crate) unsafe fn text<'a>(at: *const c_char, name: &'static str) -> Result<&'a str, KmsError> {
    if at.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and what this function demands.
    let text = unsafe { CStr::from_ptr(at) }.to_bytes();
    // Nearly every text is ASCII, and to see that is a third of the work.
    if text.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { str::from_utf8_unchecked(text) });
    }
    str::from_utf8(text).map_err(|_| KmsError::with_detail(ErrorCode::InvalidUtf8, name))
}

/// A text that may be absent: NULL is the empty one.
///
/// # Safety
/// As for [`text`].
#[inline]
pub(crate) unsafe fn optional_text<'a>(at: *const c_char, name: &'static str) -> Result<&'a str, KmsError> {
    if at.is_null() {
        return Ok("");
    }
    // SAFETY: what this function demands.
    unsafe { text(at, name) }
}

/// The bytes of an input; NULL is allowed where there are none.
///
/// Only the first `most` are looked at. An input that is longer is wrong anyway and is refused for its length, which
/// one byte more than the limit shows as well as a million; so a length that no object can have makes no slice either.
///
/// # Safety
/// `at` is NULL or points to `len` bytes that nobody changes during `'a`.
#[inline]
pub(crate) unsafe fn bytes<'a>(
    at: *const u8,
    len: usize,
    most: usize,
    name: &'static str,
) -> Result<&'a [u8], KmsError> {
    match (at.is_null(), len.min(most)) {
        (true, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        // SAFETY: not NULL, and what this function demands.
        (false, len) => Ok(unsafe { slice::from_raw_parts(at, len) }),
    }
}

/// Where a value of a known size goes to: a pointer to what a call has made, a truth value, a digest.
#[derive(Debug)]
pub(crate) struct Slot<'a, T> {
    at: *mut T,
    name: &'static str,
    lent: PhantomData<&'a mut T>,
}

impl<T> Slot<'_, T> {
    /// # Safety
    /// `at` is NULL or valid for writing a `T` during `'a`.
    pub(crate) unsafe fn new(at: *mut T, name: &'static str) -> Result<Self, KmsError> {
        if at.is_null() { Err(null(name)) } else { Ok(Self { at, name, lent: PhantomData }) }
    }

    /// Sees to it that the value will not be written over an input.
    pub(crate) fn claim(&self, inputs: &[Extent]) -> Result<(), KmsError> {
        apart(&[(Extent::new(self.at, size_of::<T>()), self.name)], inputs)
    }

    /// Hands the value over.
    pub(crate) fn put(self, value: T) {
        // SAFETY: not NULL, and `new` demands the rest.
        unsafe { write(self.at, value) }
    }
}

/// The memory that a value occupies, as addresses.
#[derive(Clone, Debug)]
pub(crate) struct Extent(Range<usize>);

impl Extent {
    pub(crate) fn new<T>(at: *const T, len: usize) -> Self {
        Self(at.addr()..at.addr().saturating_add(len))
    }

    /// That of what is not there.
    pub(crate) fn nothing() -> Self {
        Self(0..0)
    }

    /// That of a text, with the NUL behind it.
    #[inline]
    pub(crate) fn of_text(text: &str) -> Self {
        Self::new(text.as_ptr(), text.len() + 1)
    }

    /// That of bytes.
    #[inline]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self::new(bytes.as_ptr(), bytes.len())
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.0.start.max(other.0.start) < self.0.end.min(other.0.end)
    }
}

/// Which version of which key a function works with, and by which algorithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selector<'a> {
    pub(crate) key_id: &'a str,
    /// Empty: the newest.
    pub(crate) version: &'a str,
    pub(crate) algorithm: &'a str,
}

impl<'a> Selector<'a> {
    /// # Safety
    /// As for [`text`], for each; the version may be NULL.
    #[inline]
    pub(crate) unsafe fn new(
        key_id: *const c_char,
        key_version_id: *const c_char,
        algorithm: *const c_char,
    ) -> Result<Self, KmsError> {
        // SAFETY: what this function demands.
        unsafe {
            Ok(Self {
                key_id: text(key_id, "key_id")?,
                version: optional_text(key_version_id, "key_version_id")?,
                algorithm: text(algorithm, "algorithm")?,
            })
        }
    }

    /// The extents of its texts.
    pub(crate) fn extents(&self) -> [Extent; 3] {
        [self.key_id, self.version, self.algorithm].map(Extent::of_text)
    }

    /// The extents of its texts, and of an input of bytes beside it.
    pub(crate) fn extents_with(&self, input: &[u8]) -> [Extent; 4] {
        let [key_id, version, algorithm] = self.extents();
        [key_id, version, algorithm, Extent::of_bytes(input)]
    }
}

/// An output of bytes that C offers: a buffer, its capacity, and where the length goes to.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    at: *mut u8,
    capacity: usize,
    len: *mut usize,
    name: &'static str,
    lent: PhantomData<&'a mut [u8]>,
}

impl<'a> Output<'a> {
    /// # Safety
    /// `at` is NULL or valid for writing `capacity` bytes, and `len` NULL or valid for writing a length, both during
    /// `'a` and by nobody else.
    #[inline]
    pub(crate) unsafe fn new(
        at: *mut u8,
        capacity: usize,
        len: *mut usize,
        [name, len_name]: [&'static str; 2],
    ) -> Result<Self, KmsError> {
        if len.is_null() {
            return Err(null(len_name));
        }
        Ok(Self { at, capacity, len, name, lent: PhantomData })
    }

    fn holds(&self, needed: usize) -> bool {
        !self.at.is_null() && needed <= self.capacity
    }

    /// What a call may write: the bytes it needs, and the length.
    fn extents(&self, needed: usize) -> [(Extent, &'static str); 2] {
        [(Extent::new(self.at, needed), self.name), (Extent::new(self.len, size_of::<usize>()), self.name)]
    }
}

/// An output that may be written.
#[derive(Debug)]
pub(crate) struct Claimed<'a> {
    /// As many bytes as were asked for.
    pub(crate) bytes: &'a mut [u8],
    len: *mut usize,
}

impl Claimed<'_> {
    /// Ends a call: [`Self::finish`] when it has succeeded. When the key was exchanged for one that needs more room since
    /// that was looked at, `needed` is asked again, and the length says it.
    pub(crate) fn finish_or(
        self,
        written: Result<usize, KmsError>,
        needed: impl FnOnce() -> Result<usize, KmsError>,
    ) -> Result<(), Failure> {
        match written {
            Ok(len) => {
                self.finish(len);
                Ok(())
            }
            Err(error) => {
                if error.code() == ErrorCode::BufferTooSmall {
                    self.finish(needed()?);
                }
                Err(error.into())
            }
        }
    }

    /// Says how many bytes were written: the last act of a call that succeeds.
    #[inline]
    pub(crate) fn finish(self, len: usize) {
        // SAFETY: `Output::new` has seen that it is not NULL, and demands the rest.
        unsafe { write(self.len, len) }
    }
}

/// Sees to it that a call writes over none of its inputs, and to no place twice.
#[inline]
pub(crate) fn apart(outputs: &[(Extent, &'static str)], inputs: &[Extent]) -> Result<(), KmsError> {
    for (i, (output, name)) in outputs.iter().enumerate() {
        let others = outputs[i + 1..].iter().map(|(other, _)| other);
        if inputs.iter().chain(others).any(|other| output.overlaps(other)) {
            return Err(KmsError::with_detail(ErrorCode::Overlap, *name));
        }
    }
    Ok(())
}

/// Borrows the outputs of a call, each for as many bytes as it needs at most.
///
/// # Errors
/// `KMS_BUFFER_TOO_SMALL` when one is NULL or too small; all lengths then say what is needed. `KMS_OVERLAP` when a call
/// would write over one of its own `inputs`, or twice to the same place.
#[inline]
pub(crate) fn claim<'a, const N: usize>(
    outputs: [(Output<'a>, usize); N],
    inputs: &[Extent],
) -> Result<[Claimed<'a>; N], KmsError> {
    if let Some((short, _)) = outputs.iter().find(|(output, needed)| !output.holds(*needed)) {
        for (output, needed) in &outputs {
            // SAFETY: `Output::new` has seen that it is not NULL, and demands the rest.
            unsafe { write(output.len, *needed) };
        }
        return Err(KmsError::with_detail(ErrorCode::BufferTooSmall, short.name));
    }
    apart(outputs.each_ref().map(|(output, needed)| output.extents(*needed)).as_flattened(), inputs)?;
    Ok(outputs.map(|(Output { at, len, .. }, needed)| {
        // SAFETY: not NULL, and `needed` is within the capacity, for which `Output::new` demands the rest. Nothing else
        // that this call borrows lies there: that has just been seen.
        let bytes = unsafe { slice::from_raw_parts_mut(at, needed) };
        Claimed { bytes, len }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(range: Range<usize>) -> Extent {
        Extent(range)
    }

    #[test]
    fn extents_overlap_when_they_share_a_byte() {
        assert!(extent(10..20).overlaps(&extent(19..30)));
        assert!(extent(10..20).overlaps(&extent(0..11)));
        assert!(extent(10..20).overlaps(&extent(12..13)));
        assert!(!extent(10..20).overlaps(&extent(20..30)));
        assert!(!extent(10..20).overlaps(&extent(0..10)));
        assert!(!extent(10..20).overlaps(&extent(15..15)), "nothing shares no byte");
        assert!(extent(10..20).overlaps(&extent(15..usize::MAX)));
    }

    /// Goal: a text's NUL is part of it.
    #[test]
    fn a_text_ends_behind_its_nul() {
        let text = "abc";
        let end = text.as_ptr().addr() + 4;
        assert!(Extent::of_text(text).overlaps(&extent(end - 1..end)));
        assert!(!Extent::of_text(text).overlaps(&extent(end..end + 1)));
    }

    /// Goal: a length that no object has makes no slice. Method: the pointer is good for three bytes, the length a lie.
    #[test]
    fn no_more_is_looked_at_than_the_most() {
        let data = [1, 2, 3];
        // SAFETY: three bytes are looked at, and three there are.
        let seen = unsafe { bytes(data.as_ptr(), usize::MAX, 3, "data") };
        assert_eq!(seen, Ok(&data[..]));
    }
}
