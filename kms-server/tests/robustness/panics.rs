//! A bug behind the server.

use crate::harness::{USUAL, limits, quick, start};

#[test]
fn a_panic_is_an_internal_failure_and_no_more() {
    let server = start(limits());
    let mut client = server.connect();
    for target in ["/?panic=1", "/?panic=1&inline=1"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: kms\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.code().as_str()), (500, "InternalFailure"));
    }
    client.send(quick());
    assert_eq!(client.answer().status, USUAL);
    server.is_well();
}
