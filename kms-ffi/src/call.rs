//! Any action by its name, with JSON in and out.

use std::ffi::c_char;

use crate::buffer::{Slot, text};
use crate::error::{Failure, kms_error};
use crate::handle::kms;
use crate::panic::with_engine;
use crate::status::kms_status;
use crate::string;

/// Calls an action of the KMS API.
///
/// engine:      an open engine.
/// action:      its name, for example "CreateKey"; upper and lower case differ.
/// params_json: its parameters, a JSON object, for example {"KeyId":"alias/app"}. Values are text, numbers, booleans or
///              JSON themselves, whichever is natural; null counts as absent. For an action without parameters: "{}".
/// reply_json:  receives the reply, a JSON object with the members that the API gives it, RequestId among them. Free it
///              with kms_string_free, which also wipes it: it may hold a key or a plaintext.
///
/// Errors: those of the action; KMS_UNSUPPORTED_OPERATION for a name that is not an action's;
/// KMS_PARSE_REQUEST_PARAMETER when params_json is not a JSON object or has a member twice; those of arguments and
/// handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_call(
    engine: *mut kms,
    action: *const c_char,
    params_json: *const c_char,
    reply_json: *mut *mut c_char,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let action = text(action, "action")?;
            let params = text(params_json, "params_json")?;
            let reply = Slot::new(reply_json, "reply_json")?;
            let answer = engine.call(action, params);
            let json = answer.result.map_err(|error| Failure::of_request(error, answer.request_id))?;
            reply.put(string::give(&json));
            Ok(())
        })
    }
}
