//! A bug behind the server.

use crate::harness::{Answer, Client, SHORT, USUAL, limits, start};

fn is_internal_failure(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (500, "InternalFailure"), "{answer:?}");
}

/// Goal: who asked for what panicked is told so, whoever waited for it is, too, and from then on the engine refuses
/// everything, but the server stands. Method: a write that panics in the middle, with another one behind it.
#[test]
fn a_panic_is_an_internal_failure_and_no_more() {
    let server = start(limits());
    let quick = server.quick();
    let write = server.world.write();
    let mut old = server.connect();
    old.send(&quick);
    assert_eq!(old.answer().status, USUAL);
    server.world.writes_take(SHORT);
    server.world.writes_panic();
    let mut writing = server.connect();
    let mut waiting = server.connect();
    for client in [&mut writing, &mut waiting] {
        client.send(&write);
    }
    is_internal_failure(&writing.answer());
    is_internal_failure(&waiting.answer());
    // Connections outlive it, those it happened on and others, and so does the listening for new ones.
    for client in [&mut writing, &mut waiting, &mut old, &mut server.connect()] {
        for request in [&quick, &write] {
            client.send(request);
            is_internal_failure(&client.answer());
        }
    }
    let mut client = Client::over_tls(server.https);
    client.send(&quick);
    is_internal_failure(&client.answer());
}
