//! Clients that misbehave.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{Client, SHORT, USUAL, limits, quick, request, start};

const DRIP: Duration = Duration::from_millis(40);
/// What a time limit may take longer on a busy machine.
const SLACK: Duration = Duration::from_millis(1500);

/// Sends `text` one byte at a time, until it is all sent or the server has had enough.
fn drip(mut stream: TcpStream, text: &str) -> std::thread::JoinHandle<()> {
    let text = text.to_owned();
    std::thread::spawn(move || {
        for byte in text.bytes() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(DRIP);
        }
    })
}

#[test]
fn a_head_must_come_in_time() {
    let mut limits = limits();
    limits.header_time = SHORT;
    let server = start(limits);
    for (name, at_once, slowly) in [
        ("nothing", "", ""),
        ("half a line", "POST / HT", ""),
        ("half a head", "POST / HTTP/1.1\r\nHost: kms\r\n", ""),
        ("drop by drop", "", "POST / HTTP/1.1\r\nHost: a-name-that-takes-its-time\r\n\r\n"),
        ("empty lines", "\r\n", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
    ] {
        let mut client = server.connect();
        client.send(at_once);
        let dripping = drip(client.duplicate(), slowly);
        let after = client.is_closed();
        assert!(after > SHORT / 2 && after < SHORT + SLACK, "{name}: closed after {after:?}");
        dripping.join().unwrap();
        server.is_well();
    }
}

#[test]
fn a_body_must_come_in_time() {
    let mut limits = limits();
    limits.body_time = SHORT;
    let server = start(limits);
    let head = "POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 30\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: kms\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (name, at_once, slowly) in [
        ("nothing", head.to_owned(), ""),
        ("half of it", format!("{head}0123456789"), ""),
        ("drop by drop", head.to_owned(), "012345678901234567890123456789"),
        ("half a chunk", format!("{chunked}a\r\n012345"), ""),
        ("no last chunk", format!("{chunked}4\r\n0123\r\n"), ""),
        ("chunks drop by drop", chunked.to_owned(), "1\r\n0\r\n1\r\n0\r\n1\r\n0\r\n"),
    ] {
        let begun = Instant::now();
        let mut client = server.connect();
        client.send(at_once);
        let dripping = drip(client.duplicate(), slowly);
        client.is_refused();
        assert!(begun.elapsed() > SHORT && begun.elapsed() < SHORT + SLACK, "{name}: after {:?}", begun.elapsed());
        dripping.join().unwrap();
        server.is_well();
    }
}

#[test]
fn a_body_has_a_greatest_length() {
    let server = start(limits());
    let most = 1 << 20;
    let declared = |len: usize| format!("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    let chunked = |chunks: usize| {
        let mut request = b"POST / HTTP/1.1\r\nHost: kms\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..chunks {
            request.extend_from_slice(b"10000\r\n");
            request.resize(request.len() + (1 << 16), b'x');
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    };
    let with_body = |len: usize, sent: usize| {
        let mut request = declared(len);
        request.resize(request.len() + sent, b'x');
        request
    };
    for (name, request, passes) in [
        ("the most, declared", with_body(most, most), true),
        ("the most, in chunks", chunked(16), true),
        ("declared, not sent", declared(most + 1), false),
        ("declared as no number has room for", declared(usize::MAX), false),
        ("declared and sent", with_body(most + 1, most + 1), false),
        ("four times as much", with_body(4 * most, 4 * most), false),
        ("one chunk too many", chunked(17), false),
        ("four times the chunks", chunked(64), false),
    ] {
        let mut client = server.connect();
        // From a thread, so that a server that does not read cannot make this test wait for itself.
        let mut stream = client.duplicate();
        let sending = std::thread::spawn(move || drop(stream.write_all(&request)));
        if passes {
            let answer = client.answer();
            assert_eq!(answer.status, USUAL, "{name}: {answer:?}");
            client.send(quick());
            assert_eq!(client.answer().status, USUAL, "{name}");
        } else {
            client.is_refused();
        }
        sending.join().unwrap();
        server.is_well();
    }
}

/// Goal: who sends all of a request before it reads learns what was wrong with it. Method: such a client, with more to send
/// than fits into the buffers on the way; closing at once would reset the connection under it.
#[test]
fn a_refusal_reaches_who_is_still_sending() {
    let server = start(limits());
    let body = 16 << 20;
    let declared = format!("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: {body}\r\n\r\n");
    for head in [declared.as_str(), "garbage\r\n\r\n"] {
        let mut client = server.connect();
        client.send(head);
        client.send(vec![b'x'; body]);
        client.finish();
        client.is_refused();
        let mut client = Client::over_tls(server.https);
        client.send(head);
        client.send(vec![b'x'; body]);
        client.is_refused();
        server.is_well();
    }
}

#[test]
fn a_head_has_a_greatest_size() {
    let server = start(limits());
    let with_headers = |count: usize| {
        let more: String = (1..count).map(|number| format!("X-{number}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: kms\r\n{more}\r\n")
    };
    let with_target = |len: usize| format!("GET /?{} HTTP/1.1\r\nHost: kms\r\n\r\n", "x".repeat(len - 2));
    for (name, request, passes) in [
        ("64 headers", with_headers(64), true),
        ("65 headers", with_headers(65), false),
        ("1000 headers", with_headers(1000), false),
        ("a target of 65,534 bytes", with_target(65_534), true),
        ("a target of 65,535 bytes", with_target(65_535), false),
        ("a target of 64 KiB and one", with_target(65_537), false),
        ("a target of 1 MiB", with_target(1 << 20), false),
        ("a header of 1 MiB", format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)), false),
        ("a method of 1 MiB", "x".repeat(1 << 20), false),
    ] {
        let mut client = server.connect();
        let mut stream = client.duplicate();
        let sending = std::thread::spawn(move || drop(stream.write_all(request.as_bytes())));
        if passes {
            assert_eq!(client.answer().status, USUAL, "{name}");
        } else {
            client.is_refused();
        }
        sending.join().unwrap();
        server.is_well();
    }
}

#[test]
fn what_is_no_http_is_refused_in_words_or_closed() {
    let mut limits = limits();
    limits.header_time = SHORT;
    limits.body_time = SHORT;
    limits.handshake_time = SHORT;
    let server = start(limits);
    let post = "POST / HTTP/1.1\r\nHost: kms\r\n";
    let mut noise = vec![0; 4096];
    // Any generator will do.
    noise.iter_mut().fold(1_u32, |state, byte| {
        *byte = (state >> 24) as u8;
        state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
    });
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    for (bytes, answered) in [
        (noise, true),
        (vec![0; 4096], true),
        (tls_hello, true),
        (b"GET\r\n\r\n".to_vec(), true),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), true),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n".to_vec(), true),
        (b"GET /a b HTTP/1.1\r\n\r\n".to_vec(), true),
        (b"GET / HTTP/1.1\r\nX: \0\r\n\r\n".to_vec(), true),
        (format!("{post}Content-Length: -1\r\n\r\n").into(), true),
        (format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx").into(), true),
        (format!("{post}Content-Length: 99999999999999999999999\r\n\r\n").into(), true),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nxyz\r\n").into(), true),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n").into(), true),
        (format!("{post}Transfer-Encoding: gzip\r\n\r\n").into(), true),
        // hyper says nothing to who speaks another version to it.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), false),
    ] {
        let mut client = server.connect();
        client.send(&bytes);
        if answered {
            client.is_refused();
        } else {
            client.is_closed();
        }
        // The same to who expects a handshake: an alert at most.
        let mut client = Client::to(server.https);
        client.send(&bytes);
        let mut answer = Vec::new();
        match client.stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(answer.len() <= 7 && !answer.starts_with(b"HTTP"), "{answer:?}");
        server.is_well();
    }
    // Nothing at all, where a handshake is expected.
    let after = Client::to(server.https).is_closed();
    assert!(after > SHORT / 2 && after < SHORT + SLACK, "closed after {after:?}");
    server.is_well();
}

#[test]
fn a_client_may_close_its_side_early() {
    let server = start(limits());
    let mut client = server.connect();
    client.finish();
    client.is_closed();
    for (sent, expected) in [
        (request(SHORT, "body"), Some(USUAL)),
        (format!("{0}{0}{0}", quick()), Some(USUAL)),
        ("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 30\r\n\r\n0123456789".to_owned(), Some(400)),
        ("POST / HTTP/1.1\r\nHost: k".to_owned(), None),
        ("POST".to_owned(), None),
    ] {
        let mut client = server.connect();
        client.send(&sent);
        client.finish();
        let answers = if expected.is_none() { 0 } else { sent.matches("POST").count() };
        for _ in 0..answers {
            assert_eq!(Some(client.answer().status), expected, "{sent:?}");
        }
        assert!(client.is_closed() < SLACK, "{sent:?}");
        server.is_well();
    }
}

#[test]
fn requests_of_a_pipeline_are_answered_in_order() {
    let server = start(limits());
    let mut client = server.connect();
    // Two kinds of them, in turn and then again not.
    let expected = |number: u32| if [0, 2, 3].contains(&(number % 7)) { USUAL } else { 403 };
    let of_kind = |status| if status == USUAL { quick() } else { quick().replacen("POST", "PUT", 1) };
    let requests: String = (0..100).map(|number| of_kind(expected(number))).collect();
    client.send(&requests);
    for number in 0..100 {
        assert_eq!(client.answer().status, expected(number), "{number}");
    }
    // Good ones before a bad one are answered, and the ones behind it are not.
    client.send(format!("{requests}garbage\r\n\r\n{requests}"));
    for number in 0..100 {
        assert_eq!(client.answer().status, expected(number), "{number}");
    }
    client.is_refused();
    server.is_well();
}

#[test]
fn who_takes_no_answers_is_dropped() {
    let mut limits = limits();
    limits.write_time = SHORT;
    let server = start(limits);
    let client = server.connect();
    let mut stream = client.duplicate();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let requests = quick().repeat(1000);
    let begun = Instant::now();
    let mut last = begun;
    // The answers fill all buffers on the way; then the server stops reading, and then this stops sending.
    let error = loop {
        match stream.write(requests.as_bytes()) {
            Ok(_) => last = Instant::now(),
            Err(error) => break error,
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the server takes whatever comes");
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert!(last.elapsed() < SHORT + SLACK, "dropped after {:?}", last.elapsed());
    server.is_well();
}

#[test]
fn there_are_so_many_connections_and_no_more() {
    let mut limits = limits();
    limits.connections = 3;
    let server = start(limits);
    let mut seated: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut seated {
        client.send(quick());
        client.answer();
    }
    let mut waiting = server.connect();
    waiting.send(quick());
    waiting.stream.get_ref().set_read_timeout(Some(SHORT)).unwrap();
    assert_eq!(waiting.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "a fourth was served");
    waiting.stream.get_ref().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    drop(seated.pop());
    assert_eq!(waiting.answer().status, USUAL);
    // One that has to do with TLS counts, too, from the handshake on.
    drop(waiting);
    let mut shaking = Client::to(server.https);
    shaking.send("\x16");
    std::thread::sleep(SHORT);
    let mut waiting = server.connect();
    waiting.send(quick());
    waiting.stream.get_ref().set_read_timeout(Some(SHORT)).unwrap();
    assert_eq!(waiting.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "a fourth was served");
    drop((seated, shaking, waiting));
    server.is_well();
}

#[test]
fn idling_is_not_the_same_as_being_slow() {
    // Idling has less time than a head, and then more.
    let mut limits = limits();
    limits.idle_time = SHORT;
    let server = start(limits.clone());
    let mut client = server.connect();
    client.send(quick());
    client.answer();
    let after = client.is_closed();
    assert!(after > SHORT / 2 && after < SHORT + SLACK, "closed after {after:?}");
    server.is_well();

    limits.idle_time = Duration::from_secs(60);
    limits.header_time = SHORT;
    limits.body_time = SHORT;
    let server = start(limits);
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(request(2 * SHORT, ""));
        client.answer();
        std::thread::sleep(2 * SHORT);
    }
    client.send("POST / HTTP/1.1\r\n");
    let after = client.is_closed();
    assert!(after > SHORT / 2 && after < SHORT + SLACK, "closed after {after:?}");
    server.is_well();
}

#[test]
fn who_expects_to_be_told_to_continue_is_told() {
    let server = start(limits());
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.try_answer().unwrap().unwrap().status, 100);
    client.send("body");
    assert_eq!(client.answer().status, USUAL);
    // Not if there is no use.
    client.send("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 40000000\r\nExpect: 100-continue\r\n\r\n");
    client.is_refused();
    server.is_well();
}

#[test]
fn older_clients_and_other_methods_are_served() {
    let server = start(limits());
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.version.as_str(), answer.header("connection")), ("HTTP/1.0", Some("keep-alive")));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().version, "HTTP/1.0");
    client.is_closed();
    let mut client = server.connect();
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: kms\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.code().as_str()), (403, "UnsupportedHTTPMethod"), "{method}");
    }
    client.send("HEAD / HTTP/1.1\r\nHost: kms\r\n\r\n");
    let head = client.head().unwrap().unwrap();
    assert_eq!(head.status, 403);
    assert_ne!(head.header("content-length"), Some("0"));
    client.send("OPTIONS * HTTP/1.1\r\nHost: kms\r\n\r\n");
    assert_eq!(client.answer().status, 403);
    client.send("CONNECT kms:443 HTTP/1.1\r\nHost: kms\r\n\r\n");
    assert_eq!(client.answer().status, 403);
    server.is_well();
}
