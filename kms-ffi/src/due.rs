//! Time: turning a manual clock, and doing what is due.

use std::ffi::c_char;

use crate::buffer::Slot;
use crate::error::kms_error;
use crate::handle::kms;
use crate::panic::with_engine;
use crate::status::kms_status;
use crate::string;

/// Moves the clock of an engine that was opened with a manual clock. Nothing that becomes due by it is done yet: see
/// kms_run_due.
///
/// engine:  an open engine.
/// seconds: how far, 0 or more.
///
/// Errors: KMS_CLOCK_NOT_MANUAL; KMS_INVALID_PARAMETER for a negative number or a time beyond the year 9999; those of
/// handle and store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_clock_advance(engine: *mut kms, seconds: i64, err: *mut *mut kms_error) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe { with_engine(engine, err, |engine| Ok(engine.advance_clock(seconds)?)) }
}

/// Does what is due at the engine's present time. The rules of the API do not wait for it: a key past its DeleteDate is
/// not found any more, expired material is not used, and a key whose rotation is due rotates before it encrypts if it can
/// (a full disk or a clock that has leapt may keep it from that), whether or not this was called. By the system's clock, this destroys keys and material only when they have been due for 24
/// hours and the engine has been open for as long.
///
/// An engine whose configuration has sweep does it by itself.
///
/// engine:      an open engine.
/// report_json: receives what was done, a JSON object of three numbers: DeletedKeys, keys removed with their versions,
///              aliases and tags; ExpiredMaterials, keys of Origin EXTERNAL whose expired material was destroyed;
///              RotatedKeys, keys that got their next version. Free it with kms_string_free.
///
/// Errors: those of arguments, handle and store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_run_due(
    engine: *mut kms,
    report_json: *mut *mut c_char,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let report = Slot::new(report_json, "report_json")?;
            report.put(string::give(&engine.run_due()?));
            Ok(())
        })
    }
}
