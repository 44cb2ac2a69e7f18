//! What goes back: the contract's answers and refusals (chapter 3), in JSON or XML.

use kms_core::id::RequestId;
use kms_core::{ErrorCode, KmsError};
use kms_engine::Answer;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::xml;

/// How the caller wants to be answered (OP-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Format {
    #[default]
    Json,
    Xml,
}

impl Format {
    /// Reads the parameter Format: in any case, JSON if absent.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, KmsError> {
        match text {
            None => Ok(Self::Json),
            Some(text) if text.eq_ignore_ascii_case("json") => Ok(Self::Json),
            Some(text) if text.eq_ignore_ascii_case("xml") => Ok(Self::Xml),
            Some(_) => Err(KmsError::invalid("Format")),
        }
    }
}

/// A response, but for how it is framed: status, type, and a body that is never empty.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The value of the header Content-Type.
    pub content_type: &'static str,
    /// Names the call; also in the body.
    pub request_id: RequestId,
    /// The body. It may hold a plaintext.
    pub body: Zeroizing<String>,
}

impl Reply {
    /// What the engine has answered.
    pub(crate) fn of(format: Format, Answer { request_id, result }: Answer) -> Self {
        let json = match result {
            Ok(json) => json,
            Err(error) => return Self::refusal(format, request_id, &error),
        };
        match Self::of_json(format, 200, request_id, json) {
            Some(reply) => reply,
            // It has characters that XML cannot hold; the caller gets it in JSON.
            None => Self::refusal(format, request_id, &KmsError::invalid("Format")),
        }
    }

    /// Why there is no answer.
    pub(crate) fn refusal(format: Format, request_id: RequestId, error: &KmsError) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Refusal<'e> {
            http_status: u16,
            code: &'static str,
            message: &'e str,
            request_id: &'e RequestId,
        }

        let error = for_the_wire(error);
        let status = error.code().http_status();
        let json = |message: &str| {
            let refusal =
                Refusal { http_status: status, code: error.code().as_str(), message, request_id: &request_id };
            Zeroizing::new(serde_json::to_string(&refusal).unwrap_or_else(|_| "{}".to_owned()))
        };
        Self::of_json(format, status, request_id, json(&error.to_string()))
            // Only the detail of a message can be anything but plain text.
            .or_else(|| Self::of_json(format, status, request_id, json(error.code().message())))
            .unwrap_or_else(|| Self { status, content_type: JSON, request_id, body: json(error.code().message()) })
    }

    fn of_json(format: Format, status: u16, request_id: RequestId, json: Zeroizing<String>) -> Option<Self> {
        Some(match format {
            Format::Json => Self { status, content_type: JSON, request_id, body: json },
            Format::Xml => {
                Self { status, content_type: "text/xml; charset=utf-8", request_id, body: xml::document(&json)? }
            }
        })
    }
}

const JSON: &str = "application/json; charset=utf-8";

/// The contract's error for an error of the library itself, of which clients know nothing and which has no HTTP status. What is
/// wrong with the store is the operator's business, not the caller's; all that he can use is whether to try again.
fn for_the_wire(error: &KmsError) -> KmsError {
    let code = match error.code() {
        code if code.http_status() != 0 => return error.clone(),
        // Nothing was changed, and room can be made.
        ErrorCode::StoreFull
        // Held by another process, or closed on the way down: the next one to come up answers.
        | ErrorCode::StoreLocked
        | ErrorCode::Closed => ErrorCode::ServiceUnavailableTemporary,
        // StorePoisoned, StoreIo, StoreCorrupt, WrongRootKey, Forked: it stays so until the operator has done something, and
        // whether the call took effect may be unknown. NullArgument, BufferTooSmall and the like: a defect of this program.
        _ => ErrorCode::InternalFailure,
    };
    code.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf";

    fn refusal(format: Format, error: &KmsError) -> Reply {
        Reply::refusal(format, RequestId::parse(ID).unwrap(), error)
    }

    #[test]
    fn the_format_is_read_in_any_case() {
        for (text, format) in [
            (None, Some(Format::Json)),
            (Some("JSON"), Some(Format::Json)),
            (Some("json"), Some(Format::Json)),
            (Some("XML"), Some(Format::Xml)),
            (Some("xMl"), Some(Format::Xml)),
            (Some("yaml"), None),
            (Some(" json"), None),
        ] {
            assert_eq!(Format::parse(text).ok(), format, "{text:?}");
        }
    }

    /// Contract, chapter 3, both forms of a failure.
    #[test]
    fn refusals_have_the_contracts_form() {
        let error = KmsError::missing("KeyId");
        let json = refusal(Format::Json, &error);
        assert_eq!((json.status, json.content_type), (400, "application/json; charset=utf-8"));
        assert_eq!(
            *json.body,
            format!(
                r#"{{"HttpStatus":400,"Code":"MissingParameter","Message":"The parameter \"KeyId\" is needed but not provided.","RequestId":"{ID}"}}"#
            )
        );
        let xml = refusal(Format::Xml, &error);
        assert_eq!((xml.status, xml.content_type), (400, "text/xml; charset=utf-8"));
        assert_eq!(
            *xml.body,
            format!(
                "<?xml version='1.0' encoding='UTF-8'?><KMS><HttpStatus>400</HttpStatus><Code>MissingParameter</Code>\
                <Message>The parameter \"KeyId\" is needed but not provided.</Message><RequestId>{ID}</RequestId></KMS>"
            )
        );
    }

    /// Each code becomes one of the contract's, with its status, in both forms.
    #[test]
    fn every_code_can_go_out() {
        for code in ErrorCode::ALL {
            for format in [Format::Json, Format::Xml] {
                let reply = refusal(format, &KmsError::with_detail(*code, "a\u{1}b"));
                assert!((400..600).contains(&reply.status), "{code:?}");
                assert!(reply.body.contains(&format!("{}", reply.status)) && reply.body.contains(ID), "{code:?}");
                assert!(!reply.body.contains("KMS_"), "{code:?}");
                if code.http_status() != 0 {
                    assert_eq!(reply.status, code.http_status());
                    assert!(reply.body.contains(code.as_str()));
                }
            }
        }
    }

    #[test]
    fn errors_of_the_store_are_told_as_far_as_they_help() {
        for (code, told) in [
            (ErrorCode::StoreFull, ErrorCode::ServiceUnavailableTemporary),
            (ErrorCode::Closed, ErrorCode::ServiceUnavailableTemporary),
            (ErrorCode::StorePoisoned, ErrorCode::InternalFailure),
            (ErrorCode::StoreIo, ErrorCode::InternalFailure),
            (ErrorCode::StoreCorrupt, ErrorCode::InternalFailure),
            (ErrorCode::BufferTooSmall, ErrorCode::InternalFailure),
            (ErrorCode::KeyDisabled, ErrorCode::KeyDisabled),
        ] {
            let wire = for_the_wire(&KmsError::with_detail(code, "/var/lib/kms"));
            assert_eq!(wire.code(), told);
            assert!(!wire.to_string().contains("/var"));
        }
    }

    #[test]
    fn an_answer_goes_as_it_is_or_not_in_xml() {
        let answer = |text: &str| Answer {
            request_id: RequestId::parse(ID).unwrap(),
            result: Ok(Zeroizing::new(format!(r#"{{"Plaintext":"{text}","RequestId":"{ID}"}}"#))),
        };
        let json = Reply::of(Format::Json, answer("a\\u0001"));
        assert_eq!((json.status, json.content_type), (200, JSON));
        assert_eq!(*json.body, format!(r#"{{"Plaintext":"a\u0001","RequestId":"{ID}"}}"#));
        let xml = Reply::of(Format::Xml, answer("a<b"));
        assert_eq!(xml.status, 200);
        assert!(xml.body.contains("<Plaintext>a&lt;b</Plaintext>"));
        let unfit = Reply::of(Format::Xml, answer("a\\u0001"));
        assert_eq!(unfit.status, 400);
        assert!(unfit.body.contains("<Code>InvalidParameter</Code>") && unfit.body.contains("\"Format\""));
    }
}
