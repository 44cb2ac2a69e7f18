//! The panic boundary: every extern function's body runs inside it, so that no panic reaches a caller that cannot take it.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kms_core::ErrorCode;
use kms_engine::Engine;

use crate::error::{Failure, kms_error};
use crate::handle::{self, kms};
use crate::status::{KMS_OK, kms_status};

/// A panic was caught. What it had to say has gone to the process's panic hook.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs `body` and stops a panic.
///
/// What the body shared with the outside may be half changed afterwards: that is why a panic inside an engine poisons it.
pub(crate) fn caught<R>(body: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        // Dropping a payload that somebody else has made could panic again; the few bytes are left where they are.
        let _ = ManuallyDrop::new(payload);
        Panicked
    })
}

/// Runs the body of a function that can fail, and reports how it went: the status is returned, the error put into `err`.
///
/// # Safety
/// `err` is NULL or valid for writing a pointer.
pub(crate) unsafe fn boundary(err: *mut *mut kms_error, body: impl FnOnce() -> Result<(), Failure>) -> kms_status {
    match caught(body).unwrap_or_else(|Panicked| Err(ErrorCode::InternalFailure.into())) {
        Ok(()) => KMS_OK,
        // SAFETY: what this function demands of `err`.
        Err(failure) => unsafe { failure.report(err) },
    }
}

/// Runs the body of a function that works with an engine. A panic in it poisons the engine.
///
/// # Safety
/// `handle` is NULL or came from `kms_open`; `err` is NULL or valid for writing a pointer.
pub(crate) unsafe fn with_engine(
    handle: *mut kms,
    err: *mut *mut kms_error,
    body: impl FnOnce(&Engine) -> Result<(), Failure>,
) -> kms_status {
    let entered = || {
        // SAFETY: what this function demands of `handle`.
        let call = unsafe { handle::enter(handle) }?;
        match caught(|| body(call.engine())) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(failure.named_by(|| call.engine().request_id())),
            Err(Panicked) => {
                call.engine().poison();
                Err(ErrorCode::InternalFailure.into())
            }
        }
    };
    // SAFETY: what this function demands of `err`.
    unsafe { boundary(err, entered) }
}
