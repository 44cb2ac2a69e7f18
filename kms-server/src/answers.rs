//! hyper's own answers in our words.
//!
//! A request that hyper cannot parse never reaches us: hyper answers it by itself, with a status, an empty body and
//! nothing for a client's error handling to read. SDKs expect every error as JSON with a code and a RequestId, so such
//! an answer is recognised where it is written, and replaced.
//!
//! It is told from ours by `content-length: 0`, which no answer of ours has. What is written may begin with answers
//! of ours to earlier requests of a pipeline, and their bodies hold what clients have sent; but none of them holds a raw
//! CR LF, neither JSON nor XML as we write it, so that nothing in a body passes for the end of a head.

use crate::respond::Reply;

/// Where in `written`, bytes that hyper is about to write, an answer of its own begins. It can only be the last one.
pub(crate) fn own_answer(written: &[u8]) -> Option<usize> {
    if !written.ends_with(b"\r\n\r\n") {
        return None;
    }
    let start = written.windows(7).rposition(|window| window == b"HTTP/1.")?;
    find(&written[start..], b"\r\ncontent-length: 0\r\n").map(|_| start)
}

/// `reply` in place of hyper's own answer: the version and the date are hyper's, all else is the reply's.
pub(crate) fn replaced(own: &[u8], reply: &Reply) -> Vec<u8> {
    let status = http::StatusCode::from_u16(reply.status).unwrap_or(http::StatusCode::BAD_REQUEST);
    let version = if own.starts_with(b"HTTP/1.0") { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut out = format!(
        "{version} {status}\r\ncontent-type: {}\r\ncontent-length: {}\r\nx-acs-request-id: {}\r\ncache-control: no-store\r\n\
         connection: close\r\n",
        reply.content_type,
        reply.body.len(),
        reply.request_id,
    )
    .into_bytes();
    if let Some(start) = find(own, b"\r\ndate: ") {
        let date = &own[start + 2..];
        out.extend_from_slice(&date[..find(date, b"\r\n").map_or(date.len(), |end| end + 2)]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(reply.body.as_bytes());
    out
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use kms_core::id::RequestId;
    use zeroize::Zeroizing;

    use super::*;

    const OWN: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: Tue, 24 Nov 2026 21:00:00 GMT\r\n\r\n";
    const OURS: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n{\"RequestId\":\"...\"}";

    /// An answer of ours with what a client has sent, which reads like hyper's.
    const QUOTING: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 43\r\n\r\n{\"x\":\"HTTP/1.1 400 Bad\\r\\ncontent-length: 0\"}";

    #[test]
    fn only_hypers_own_answer_is_recognised() {
        let cases = [
            (String::new(), None),
            (OURS.into(), None),
            (OWN.into(), Some(0)),
            (OWN.replace("HTTP/1.1", "HTTP/1.0"), Some(0)),
            (format!("{OURS}{OWN}"), Some(OURS.len())),
            // Of an earlier answer, only the rest is left to write.
            (format!("{}{OWN}", &OURS[40..]), Some(OURS.len() - 40)),
            // The answer to a HEAD request has the length of what it leaves out.
            (OURS[..OURS.len() - 19].into(), None),
            ("HTTP/1.1 100 Continue\r\n\r\n".into(), None),
            // A body may say what it likes, but it has no line ends.
            (format!("{OURS}content-length: 0"), None),
            (OURS.replace("...", r"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"), None),
            (format!("{QUOTING}{OWN}"), Some(QUOTING.len())),
            (OURS.replace("content-length: 19", "content-length: 0"), None),
        ];
        for (written, expected) in cases {
            assert_eq!(own_answer(written.as_bytes()), expected, "{written:?}");
        }
    }

    #[test]
    fn the_reply_takes_its_place() {
        let request_id = RequestId::from_bytes([7; 16]);
        let reply = Reply {
            status: 400,
            content_type: "application/json",
            request_id,
            body: Zeroizing::new("{\"Code\":\"x\"}".into()),
        };
        let expected = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 12\r\nx-acs-request-id: {request_id}\r\n\
             cache-control: no-store\r\nconnection: close\r\ndate: Tue, 24 Nov 2026 21:00:00 GMT\r\n\r\n{{\"Code\":\"x\"}}"
        );
        assert_eq!(String::from_utf8(replaced(OWN.as_bytes(), &reply)).unwrap(), expected);
        let older = OWN.replace("HTTP/1.1", "HTTP/1.0");
        let text = String::from_utf8(replaced(older.as_bytes(), &reply)).unwrap();
        assert_eq!(text, expected.replace("HTTP/1.1", "HTTP/1.0"));
        // Without a date, as at hyper's `auto_date_header(false)`.
        let text =
            String::from_utf8(replaced(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", &reply)).unwrap();
        assert_eq!(text, expected.replace("date: Tue, 24 Nov 2026 21:00:00 GMT\r\n", ""));
    }
}
