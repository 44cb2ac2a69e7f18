//! Calls with JSON values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kms_core::KmsError;
use kms_engine::Engine;
use serde_json::Value;

/// Calls an action and reads its answer, without RequestId.
///
/// # Errors
/// The engine's.
///
/// # Panics
/// When the answer is not a JSON object with the RequestId that the engine names.
pub fn call(engine: &Engine, action: &str, params: &Value) -> Result<Value, KmsError> {
    call_text(engine, action, &params.to_string())
}

/// [`call`] with the text of the parameters.
///
/// # Errors
/// The engine's.
///
/// # Panics
/// As [`call`] does.
pub fn call_text(engine: &Engine, action: &str, params: &str) -> Result<Value, KmsError> {
    let answer = engine.call(action, params);
    let text = answer.result?;
    let Ok(Value::Object(mut reply)) = serde_json::from_str(&text) else { panic!("{action} answers no object") };
    assert_eq!(reply.remove("RequestId"), Some(answer.request_id.to_string().into()), "{action}: RequestId");
    // Clients take a member of this name for a failure.
    assert!(!reply.contains_key("Code"), "{action} answers a Code");
    Ok(Value::Object(reply))
}

/// The text of a member, found by its path.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn text<'v>(reply: &'v Value, path: &str) -> &'v str {
    reply.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("a reply has no text at {path}"))
}

/// The bytes of a Base64 member.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn bytes(reply: &Value, path: &str) -> Vec<u8> {
    STANDARD.decode(text(reply, path)).unwrap_or_else(|error| panic!("{path} is not Base64: {error}"))
}

/// Base64 as the contract has it: the standard alphabet, with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a text that is canonical Base64.
#[must_use]
pub fn canonical_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|bytes| STANDARD.encode(bytes) == text)
}
