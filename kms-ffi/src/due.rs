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

/// Does what is due at the engine's present time, such as the deletion of keys whose DeleteDate has come. The rules of
/// the API do not wait for it: a key past its DeleteDate is not found any more, whether or not this was called; this
/// destroys it.
///
/// engine:      an open engine.
/// report_json: receives what was done, a JSON object. Free it with kms_string_free.
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
