//! The panic boundary: every extern function's body runs inside it, so that no panic reaches a caller that cannot take
//! it.

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
/// What the body shared with the outside may be half changed afterwards: that is why a panic inside an engine poisons
/// it.
pub(crate) fn caught<R>(body: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        // Dropping a payload that somebody else has made could panic again; the few bytes are left where they are.
        let _ = ManuallyDrop::new(payload);
        Panicked
    })
}

/// Runs the body of a function that can fail, and reports how it went: the status is returned, the error put into
/// `err`.
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

/// The engine that a body works with, until it has returned: only a panic drops this while it is there.
struct Unfinished<'e>(Option<&'e Engine>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(engine) = self.0 {
            engine.poison();
        }
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
        let mut unfinished = Unfinished(Some(call.engine()));
        let done = body(call.engine());
        unfinished.0 = None;
        done.map_err(|failure| failure.named_by(|| call.engine().request_id()))
    };
    // SAFETY: what this function demands of `err`.
    unsafe { boundary(err, entered) }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use kms_engine::Config;

    use super::*;
    use crate::error::{kms_error_free, kms_error_http_status, kms_error_status};
    use crate::status::{KMS_INTERNAL_FAILURE, KMS_STORE_POISONED};

    fn open() -> *mut kms {
        handle::give(Engine::open(Config::parse(r#"{"store":"memory:"}"#).unwrap()).unwrap())
    }

    /// Runs a body as an extern function would; the status, and whether an error object with it came.
    fn run(engine: *mut kms, body: impl FnOnce(&Engine) -> Result<(), Failure>) -> (kms_status, bool) {
        let mut error = ptr::null_mut();
        // SAFETY: `engine` comes from `open`; `error` is a local, and what it then points to is freed once.
        unsafe {
            let status = with_engine(engine, &raw mut error, body);
            let has_it = kms_error_status(error) == status && kms_error_http_status(error) == 500;
            kms_error_free(error);
            (status, has_it)
        }
    }

    /// Goal: a panic inside is an error outside, and the last thing that the engine does.
    #[test]
    fn a_panic_is_an_error_and_poisons_the_engine() {
        let engine = open();
        assert_eq!(run(engine, |_| panic!("on purpose")), (KMS_INTERNAL_FAILURE, true));
        let (after, _) = run(engine, |engine| Ok(engine.call("ListKeys", "{}").result.map(|_| ())?));
        assert!([KMS_INTERNAL_FAILURE, KMS_STORE_POISONED].contains(&after), "{after}");
        let (after, _) = run(engine, |engine| Ok(engine.advance_clock(1)?));
        assert!([KMS_INTERNAL_FAILURE, KMS_STORE_POISONED].contains(&after), "{after}");
        // The call that has panicked has left: closing does not wait for it.
        // SAFETY: `engine` comes from `open`.
        unsafe { handle::close(engine) };
    }

    /// Goal: even what a panic carries does not get out.
    #[test]
    fn a_payload_that_panics_is_stopped_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let engine = open();
        assert_eq!(run(engine, |_| std::panic::panic_any(Bomb)), (KMS_INTERNAL_FAILURE, true));
        // SAFETY: `engine` comes from `open`.
        unsafe { handle::close(engine) };
    }

    /// Goal: a panic before there is an engine is an error, and nobody need want the error object.
    #[test]
    fn a_panic_without_an_engine_is_an_error() {
        // SAFETY: NULL is allowed.
        let status = unsafe { boundary(ptr::null_mut(), || panic!("on purpose")) };
        assert_eq!(status, KMS_INTERNAL_FAILURE);
    }
}
