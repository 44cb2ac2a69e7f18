//! The pointers of a batch: many inputs, one behind the other, and for each a place for what it came to.
//!
//! What [`crate::buffer`] is for one item. Nothing here is allocated: lengths are read where C has put them.

use std::ffi::c_char;
use std::marker::PhantomData;
use std::{ptr, slice, str};

use kms_core::{ErrorCode, KmsError};
use kms_engine::Engine;

use crate::buffer::{Extent, apart, null, optional_text, write};
use crate::error::{Failure, kms_error};
use crate::status::{KMS_OK, kms_status};

/// Lengths in an array of C's. C programs are wrong about alignment now and then; this does not mind.
#[derive(Clone, Copy, Debug)]
struct Lens<'a> {
    at: *const usize,
    lent: PhantomData<&'a [usize]>,
}

impl Lens<'_> {
    /// # Safety
    /// The array has more than `i` elements.
    unsafe fn get(self, i: usize) -> usize {
        // SAFETY: what this function demands.
        unsafe { self.at.add(i).read_unaligned() }
    }
}

/// How many items a batch has: a number of which C can have arrays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(usize);

impl Count {
    pub(crate) fn new(count: usize) -> Result<Self, KmsError> {
        // The widest elements of such an array are as wide as a pointer.
        if count > isize::MAX as usize / size_of::<usize>() {
            return Err(KmsError::invalid("count"));
        }
        Ok(Self(count))
    }

    /// An array that must be there if there are items.
    fn is_there<T>(self, at: *const T, name: &'static str) -> Result<(), KmsError> {
        if at.is_null() && self.0 > 0 { Err(null(name)) } else { Ok(()) }
    }

    fn extent<T>(self, at: *const T) -> Extent {
        Extent::new(at, if at.is_null() { 0 } else { self.0 * size_of::<T>() })
    }
}

/// Inputs that stand one behind the other, each with its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    lens: Lens<'a>,
    count: Count,
    most: usize,
}

impl<'a> Pieces<'a> {
    /// `most` is as for [`crate::buffer::bytes`]: of an item that is longer, so much is looked at.
    ///
    /// # Safety
    /// `lens` is NULL or points to `count` lengths, and `at` is NULL or points to as many bytes as these are together;
    /// nobody changes them during `'a`.
    pub(crate) unsafe fn new(
        at: *const u8,
        lens: *const usize,
        count: Count,
        most: usize,
        [name, lens_name]: [&'static str; 2],
    ) -> Result<Self, KmsError> {
        count.is_there(lens, lens_name)?;
        let lens = Lens { at: lens, lent: PhantomData };
        // SAFETY: there are `count` lengths.
        let sum = (0..count.0).try_fold(0_usize, |sum, i| sum.checked_add(unsafe { lens.get(i) }));
        let sum = sum.filter(|sum| *sum <= isize::MAX as usize).ok_or_else(|| KmsError::invalid(lens_name))?;
        let bytes = match (at.is_null(), sum) {
            (true, 0) => &[],
            (true, _) => return Err(null(name)),
            // SAFETY: not NULL, no longer than an object can be, and what this function demands.
            (false, sum) => unsafe { slice::from_raw_parts(at, sum) },
        };
        Ok(Self { bytes, lens, count, most })
    }

    /// The length that C says an item has.
    pub(crate) fn len(&self, i: usize) -> usize {
        assert!(i < self.count.0, "an item is one of the batch");
        // SAFETY: just seen.
        unsafe { self.lens.get(i) }
    }

    pub(crate) fn extents(&self) -> [Extent; 2] {
        [Extent::of_bytes(self.bytes), self.count.extent(self.lens.at)]
    }

    /// The items, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.bytes;
        (0..self.count.0).map(move |i| {
            let (item, behind) = rest.split_at(self.len(i));
            rest = behind;
            &item[..item.len().min(self.most)]
        })
    }
}

/// The encryption contexts of a batch: one for all items, or one for each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contexts<'a> {
    Shared(&'a str),
    Own(Pieces<'a>),
}

impl<'a> Contexts<'a> {
    /// # Safety
    /// `at` is as for [`crate::buffer::text`] if `lens` is NULL; otherwise both are as for [`Pieces::new`].
    pub(crate) unsafe fn new(at: *const c_char, lens: *const usize, count: Count) -> Result<Self, KmsError> {
        // SAFETY: what this function demands.
        unsafe {
            if lens.is_null() {
                return Ok(Self::Shared(optional_text(at, "contexts_json")?));
            }
            Ok(Self::Own(Pieces::new(at.cast(), lens, count, usize::MAX, ["contexts_json", "context_lens"])?))
        }
    }

    /// What the items share; empty if each has its own.
    pub(crate) fn shared(&self) -> &'a str {
        if let Self::Shared(text) = self { text } else { "" }
    }

    pub(crate) fn extents(&self) -> [Extent; 2] {
        match self {
            Self::Shared(text) => [Extent::of_text(text), Extent::nothing()],
            Self::Own(pieces) => pieces.extents(),
        }
    }

    /// What each item has of its own, in their order; it need not end.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Option<&'a str>, KmsError>> {
        let mut own = match self {
            Self::Shared(_) => None,
            Self::Own(pieces) => Some(pieces.iter()),
        };
        std::iter::from_fn(move || {
            let Some(own) = &mut own else { return Some(Ok(None)) };
            let text = str::from_utf8(own.next()?);
            Some(text.map(Some).map_err(|_| KmsError::with_detail(ErrorCode::InvalidUtf8, "contexts_json")))
        })
    }
}

/// An output with a place for each item.
#[derive(Debug)]
pub(crate) struct Places<'a, T> {
    at: *mut T,
    count: Count,
    name: &'static str,
    lent: PhantomData<&'a mut [T]>,
}

impl<T> Places<'_, T> {
    /// # Safety
    /// `at` is NULL or valid for writing `count` `T`s during `'a`, and by nobody else.
    pub(crate) unsafe fn new(at: *mut T, count: Count, name: &'static str) -> Result<Self, KmsError> {
        count.is_there(at, name)?;
        Ok(Self { at, count, name, lent: PhantomData })
    }

    pub(crate) fn put(&mut self, i: usize, value: T) {
        assert!(i < self.count.0, "an item is one of the batch");
        // SAFETY: just seen, and `new` demands the rest.
        unsafe { write(self.at.add(i), value) }
    }

    pub(crate) fn output(&self) -> (Extent, &'static str) {
        (self.count.extent(self.at), self.name)
    }
}

/// What the items came to: a status for each and, if C wants them, error objects.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    statuses: Places<'a, kms_status>,
    errors: Option<Places<'a, *mut kms_error>>,
}

impl Answers<'_> {
    /// # Safety
    /// As for [`Places::new`], for each; `errors` may be NULL.
    pub(crate) unsafe fn new(
        statuses: *mut kms_status,
        errors: *mut *mut kms_error,
        count: Count,
    ) -> Result<Self, KmsError> {
        // SAFETY: what this function demands.
        unsafe {
            let wanted = (!errors.is_null()).then(|| Places::new(errors, count, "errors"));
            Ok(Self { statuses: Places::new(statuses, count, "statuses")?, errors: wanted.transpose()? })
        }
    }

    pub(crate) fn outputs(&self) -> [(Extent, &'static str); 2] {
        let errors = self.errors.as_ref().map_or((Extent::nothing(), "errors"), Places::output);
        [self.statuses.output(), errors]
    }

    /// Says how an item went. A failure is named as that of a single call is.
    pub(crate) fn put<R>(&mut self, i: usize, outcome: Result<R, KmsError>, engine: &Engine) -> Option<R> {
        let (status, error, value) = match outcome {
            Ok(value) => (KMS_OK, ptr::null_mut(), Some(value)),
            Err(error) if self.errors.is_none() => (error.code().number(), ptr::null_mut(), None),
            Err(error) => {
                let (status, error) = Failure::from(error).named_by(|| engine.request_id()).into_object();
                (status, error, None)
            }
        };
        self.statuses.put(i, status);
        if let Some(errors) = &mut self.errors {
            errors.put(i, error);
        }
        value
    }
}

/// Where results of bytes go, one behind the other, and their lengths.
#[derive(Debug)]
pub(crate) struct Packed<'a> {
    at: *mut u8,
    capacity: usize,
    lens: Places<'a, usize>,
}

impl<'a> Packed<'a> {
    /// # Safety
    /// `at` is NULL or valid for writing `capacity` bytes, and `lens` as for [`Places::new`]; both during `'a` and by nobody
    /// else.
    pub(crate) unsafe fn new(at: *mut u8, capacity: usize, lens: *mut usize, count: Count) -> Result<Self, KmsError> {
        // SAFETY: what this function demands.
        Ok(Self { at, capacity, lens: unsafe { Places::new(lens, count, "out_lens")? } })
    }

    /// Borrows what the results of all items need at most, `room` bytes for each.
    ///
    /// # Errors
    /// `KMS_OVERLAP` when a call would write over one of its own `inputs`, or twice to the same place.
    /// `KMS_BUFFER_TOO_SMALL` when it is NULL or too small; the lengths then say what each item needs.
    pub(crate) fn claim(
        mut self,
        room: impl Fn(usize) -> usize,
        answers: &Answers<'_>,
        inputs: &[Extent],
    ) -> Result<Row<'a>, KmsError> {
        let [statuses, errors] = answers.outputs();
        apart(&[self.lens.output(), statuses.clone(), errors.clone()], inputs)?;
        let count = self.lens.count.0;
        let needed = (0..count).try_fold(0_usize, |sum, i| sum.checked_add(room(i)));
        let needed = match needed.filter(|needed| *needed <= self.capacity) {
            Some(needed) if !self.at.is_null() || needed == 0 => needed,
            _ => {
                (0..count).for_each(|i| self.lens.put(i, room(i)));
                return Err(KmsError::with_detail(ErrorCode::BufferTooSmall, "out"));
            }
        };
        let out = (Extent::new(self.at, needed), "out");
        apart(&[out, self.lens.output(), statuses, errors], inputs)?;
        let bytes = match needed {
            0 => &mut [],
            // SAFETY: not NULL, and `needed` is within the capacity, for which `new` demands the rest. Nothing else that this
            // call borrows lies there: that has just been seen.
            _ => unsafe { slice::from_raw_parts_mut(self.at, needed) },
        };
        Ok(Row { rest: bytes, lens: self.lens })
    }
}

/// Results that are being written, one behind the other.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    rest: &'a mut [u8],
    lens: Places<'a, usize>,
}

impl Row<'_> {
    /// Where the next result goes to, of at most so many bytes.
    pub(crate) fn next(&mut self, room: usize) -> &mut [u8] {
        &mut self.rest[..room]
    }

    /// Ends a result. One that has failed takes no room.
    pub(crate) fn finish(&mut self, i: usize, written: Option<usize>) {
        let len = written.unwrap_or(0);
        self.lens.put(i, len);
        self.rest.split_off_mut(..len).expect("it was written there");
    }
}
