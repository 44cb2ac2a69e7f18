//! `kms_error`: why a call failed, as an object that C can look into.

use std::ffi::{CString, c_char};

use kms_core::id::RequestId;
use kms_core::{ErrorCode, KmsError};

use crate::buffer;
use crate::panic::caught;
use crate::status::{KMS_OK, kms_status};

/// Why a call failed. It belongs to whoever passed err, who frees it with kms_error_free. It does not depend on the
/// handle: it may be read and freed after kms_close, by any thread, and in a forked child.
#[expect(non_camel_case_types, reason = "the name is C's")]
#[derive(Debug)]
pub struct kms_error {
    code: ErrorCode,
    code_text: CString,
    message: CString,
    request_id: CString,
}

/// Why a body failed, and how the call is named in logs if it got as far as having a name.
#[derive(Debug)]
pub(crate) struct Failure {
    error: KmsError,
    request_id: Option<RequestId>,
}

impl Failure {
    pub(crate) fn of_request(error: KmsError, request_id: RequestId) -> Self {
        Self { error, request_id: Some(request_id) }
    }

    /// Names the call unless it has a name.
    pub(crate) fn named_by(self, name: impl FnOnce() -> RequestId) -> Self {
        Self { request_id: Some(self.request_id.unwrap_or_else(name)), ..self }
    }

    /// Hands the failure to the caller.
    ///
    /// # Safety
    /// `err` is NULL or valid for writing a pointer.
    pub(crate) unsafe fn report(self, err: *mut *mut kms_error) -> kms_status {
        if err.is_null() {
            return self.error.code().number();
        }
        let (status, error) = self.into_object();
        // SAFETY: not NULL, and what this function demands of `err`.
        unsafe { buffer::write(err, error) };
        status
    }

    /// The status, and an error object that is C's until [`kms_error_free`].
    pub(crate) fn into_object(self) -> (kms_status, *mut kms_error) {
        let code = self.error.code();
        let error = kms_error {
            code,
            code_text: c_text(code.as_str().into()),
            message: c_text(self.error.to_string()),
            request_id: c_text(self.request_id.map(|id| id.to_string()).unwrap_or_default()),
        };
        (code.number(), Box::into_raw(Box::new(error)))
    }
}

impl From<KmsError> for Failure {
    fn from(error: KmsError) -> Self {
        Self { error, request_id: None }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        KmsError::from(code).into()
    }
}

/// A text for C. A NUL in a message, which a hostile configuration can bring there, would hide what follows.
fn c_text(text: String) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Reads one field of an error that may be NULL.
///
/// # Safety
/// `error` is NULL or an error object that nobody has freed.
unsafe fn field<R>(error: *const kms_error, absent: R, read: impl FnOnce(&kms_error) -> R) -> R {
    // SAFETY: such an object came from `Box::into_raw` in `Failure::into_object`, and is never written to.
    match unsafe { error.as_ref() } {
        Some(error) => caught(|| read(error)).unwrap_or(absent),
        None => absent,
    }
}

/// Returns the code, for example "Rejected.Disabled", which is what programs compare; for this library's own codes it
/// is the name of the constant, for example "KMS_NULL_ARGUMENT". The text belongs to the error object.
///
/// error: may be NULL; the result is then "".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_error_code(error: *const kms_error) -> *const c_char {
    // SAFETY: the contract of the C interface.
    unsafe { field(error, c"".as_ptr(), |error| error.code_text.as_ptr()) }
}

/// Returns a sentence for people, in English. It names the parameter or argument that is at fault, never a secret, and
/// may change from version to version. The text belongs to the error object.
///
/// error: may be NULL; the result is then "".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_error_message(error: *const kms_error) -> *const c_char {
    // SAFETY: the contract of the C interface.
    unsafe { field(error, c"".as_ptr(), |error| error.message.as_ptr()) }
}

/// Returns the name of the failed call, a UUID of 36 characters, unique to it; "" if the call did not reach an engine.
/// The text belongs to the error object.
///
/// error: may be NULL; the result is then "".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_error_request_id(error: *const kms_error) -> *const c_char {
    // SAFETY: the contract of the C interface.
    unsafe { field(error, c"".as_ptr(), |error| error.request_id.as_ptr()) }
}

/// Returns the HTTP status that a KMS answers with for this code, for example 409; 0 for this library's own codes.
///
/// error: may be NULL; the result is then 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_error_http_status(error: *const kms_error) -> i32 {
    // SAFETY: the contract of the C interface.
    unsafe { field(error, 0, |error| error.code.http_status().into()) }
}

/// Returns the status that the failed call returned.
///
/// error: may be NULL; the result is then KMS_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_error_status(error: *const kms_error) -> kms_status {
    // SAFETY: the contract of the C interface.
    unsafe { field(error, KMS_OK, |error| error.code.number()) }
}

/// Frees an error object, and the texts that belong to it.
///
/// error: may be NULL; nothing happens then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_error_free(error: *mut kms_error) {
    if !error.is_null() {
        // SAFETY: by the contract of the C interface it came from `Box::into_raw` in `Failure::into_object` and is not used
        // again.
        let error = unsafe { Box::from_raw(error) };
        // Freeing memory does not panic; if it ever did, the caller could do nothing about it.
        let _ = caught(|| drop(error));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr;

    use super::*;

    #[test]
    fn a_nul_hides_nothing() {
        let failure = Failure::from(KmsError::with_detail(ErrorCode::InvalidConfig, "a\0b"));
        let mut error = ptr::null_mut();
        // SAFETY: `error` is a local, and the object in it lives until it is freed here.
        let message = unsafe {
            assert_eq!(failure.report(&raw mut error), ErrorCode::InvalidConfig.number());
            let message = CStr::from_ptr(kms_error_message(error)).to_str().unwrap().to_owned();
            kms_error_free(error);
            message
        };
        assert_eq!(message, "The configuration is not valid: a\u{fffd}b.");
    }
}
