//! Clients that misbehave.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{Client, SHORT, USUAL, limits, start};
use crate::world::{POST, in_two, posted};
use kms_server::Limits;

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

/// Does the same with every row of a table, each in a thread of its own: most of it is waiting.
fn side_by_side<R: Send, const N: usize>(rows: [R; N], each: impl Fn(R) + Sync) {
    let each = &each;
    std::thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || each(row));
        }
    });
}

#[test]
fn a_head_must_come_in_time() {
    let mut limits = limits();
    limits.header_time = SHORT;
    let server = start(limits);
    side_by_side(
        [
            ("nothing", "", ""),
            ("half a line", "POST / HT", ""),
            ("half a head", "POST / HTTP/1.1\r\nHost: kms\r\n", ""),
            ("drop by drop", "", "POST / HTTP/1.1\r\nHost: a-name-that-takes-its-time\r\n\r\n"),
            ("empty lines", "\r\n", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
        ],
        |(name, at_once, slowly)| {
            let mut client = server.connect();
            client.send(at_once);
            let dripping = drip(client.duplicate(), slowly);
            let after = client.is_closed();
            assert!(after > SHORT / 2 && after < SHORT + SLACK, "{name}: closed after {after:?}");
            dripping.join().unwrap();
        },
    );
    server.is_well();
}

#[test]
fn a_body_must_come_in_time() {
    let mut limits = limits();
    limits.body_time = SHORT;
    let server = start(limits);
    let head = "POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 30\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: kms\r\nTransfer-Encoding: chunked\r\n\r\n";
    side_by_side(
        [
            ("nothing", head.to_owned(), ""),
            ("half of it", format!("{head}0123456789"), ""),
            ("drop by drop", head.to_owned(), "012345678901234567890123456789"),
            ("half a chunk", format!("{chunked}a\r\n012345"), ""),
            ("no last chunk", format!("{chunked}4\r\n0123\r\n"), ""),
            ("chunks drop by drop", chunked.to_owned(), "1\r\n0\r\n1\r\n0\r\n1\r\n0\r\n"),
        ],
        |(name, at_once, slowly)| {
            let begun = Instant::now();
            let mut client = server.connect();
            client.send(at_once);
            let dripping = drip(client.duplicate(), slowly);
            client.is_refused();
            assert!(begun.elapsed() > SHORT && begun.elapsed() < SHORT + SLACK, "{name}: after {:?}", begun.elapsed());
            dripping.join().unwrap();
        },
    );
    server.is_well();
}

#[test]
fn a_body_has_a_greatest_length() {
    let server = start(limits());
    let most = 1 << 20;
    let declared = |len: usize| format!("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    let chunked = |body: &[u8]| {
        let mut request = format!("{POST}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in body.chunks(1 << 16) {
            request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend_from_slice(chunk);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    };
    let form = server.world.encrypt_in(most, "POST", "bW9zdA==");
    let too_long = |len: usize| vec![b'x'; len];
    let sent = |len: usize| [declared(len), too_long(len)].concat();
    for (name, request, passes) in [
        ("the most, declared", posted(&form).into_bytes(), true),
        ("the most, in chunks", chunked(form.as_bytes()), true),
        ("declared, not sent", declared(most + 1), false),
        ("declared as no number has room for", declared(usize::MAX), false),
        ("declared and sent", sent(most + 1), false),
        ("four times as much", sent(4 * most), false),
        ("one byte too many in chunks", chunked(&too_long(most + 1)), false),
        ("four times as much in chunks", chunked(&too_long(4 * most)), false),
    ] {
        let mut client = server.connect();
        // From a thread, so that a server that does not read cannot make this test wait for itself.
        let mut stream = client.duplicate();
        let sending = std::thread::spawn(move || drop(stream.write_all(&request)));
        if passes {
            assert_eq!(server.world.decrypted(&client.answer()), "bW9zdA==", "{name}");
            client.send(server.quick());
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
    // So long that a busy machine gets the body across.
    let server = start(Limits { linger_time: 8 * SHORT, ..limits() });
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
        format!("GET /?{} HTTP/1.1\r\nHost: kms\r\n{more}\r\n", server.world.encrypt_in(1000, "GET", "bWFueQ=="))
    };
    let with_target = |len: usize| {
        let query = server.world.encrypt_in(len - 2, "GET", "bG9uZw==");
        format!("GET /?{query} HTTP/1.1\r\nHost: kms\r\n\r\n")
    };
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
    server.world.writes_take(SHORT);
    for (sent, answers, expected) in [
        (server.world.write(), 1, USUAL),
        (server.quick().repeat(3), 3, USUAL),
        ("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 30\r\n\r\n0123456789".to_owned(), 1, 400),
        ("POST / HTTP/1.1\r\nHost: k".to_owned(), 0, 0),
        ("POST".to_owned(), 0, 0),
    ] {
        let mut client = server.connect();
        client.send(&sent);
        client.finish();
        for _ in 0..answers {
            assert_eq!(client.answer().status, expected, "{sent:?}");
        }
        assert!(client.is_closed() < SLACK, "{sent:?}");
        server.is_well();
    }
}

/// Goal: each request of a pipeline gets its own answer. Method: requests whose answers tell which they belong to, of three
/// kinds, of which the server performs each in another way.
#[test]
fn requests_of_a_pipeline_are_answered_in_order() {
    let server = start(limits());
    let mut client = server.connect();
    let plaintext = |number: usize| format!("{number:04}");
    // The kinds in turn and then again not.
    let requests: String = (0..100)
        .map(|number| match number % 7 {
            0 | 2 | 3 => server.world.encrypt(&plaintext(number)),
            1 => server.quick().replacen("POST", "PUT", 1),
            _ => server.world.post(&[("Action", "ListKeys"), ("PageNumber", &(number + 1).to_string())]),
        })
        .collect();
    let are_answered = |client: &mut Client<TcpStream>| {
        for number in 0..100 {
            let answer = client.answer();
            match number % 7 {
                0 | 2 | 3 => assert_eq!(server.world.decrypted(&answer), plaintext(number)),
                1 => assert_eq!((answer.status, answer.code().as_str()), (403, "UnsupportedHTTPMethod"), "{number}"),
                _ => assert_eq!(answer.member("PageNumber"), number + 1, "{answer:?}"),
            }
        }
    };
    client.send(&requests);
    are_answered(&mut client);
    // Good ones before a bad one are answered, and the ones behind it are not.
    client.send(format!("{requests}garbage\r\n\r\n{requests}"));
    are_answered(&mut client);
    client.is_refused();
    server.is_well();
}

#[test]
fn what_the_front_refuses_does_not_end_the_connection() {
    let server = start(limits());
    let mut client = server.connect();
    let quick = server.quick();
    for (request, status, code) in [
        (quick.replacen("x-www-form-urlencoded", "json", 1), 400, "ParseRequestParameterException"),
        (posted("a=%"), 400, "ParseRequestParameterException"),
        (posted(""), 400, "MissingParameter"),
        (quick.replacen("Encrypt", "Decrypt", 1), 400, "IncompleteSignature"),
        (quick.replacen("POST / ", "POST /kms ", 1), 404, "InvalidAction.NotFound"),
    ] {
        client.send(&request);
        let answer = client.answer();
        assert_eq!((answer.status, answer.code().as_str(), answer.header("connection")), (status, code, None));
        client.send(&quick);
        assert_eq!(client.answer().status, USUAL, "behind {code}");
    }
}

#[test]
fn who_takes_no_answers_is_dropped() {
    let mut limits = limits();
    limits.write_time = SHORT;
    let server = start(limits);
    let client = server.connect();
    let mut stream = client.duplicate();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    // Little to send, and much to take.
    let key = server.world.create_key(&"x".repeat(3000));
    let requests = server.world.post(&[("Action", "DescribeKey"), ("KeyId", &key)]).repeat(100);
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
        client.send(server.quick());
        client.answer();
    }
    let mut waiting = server.connect();
    waiting.send(server.quick());
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
    waiting.send(server.quick());
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
    client.send(server.quick());
    client.answer();
    let after = client.is_closed();
    assert!(after > SHORT / 2 && after < SHORT + SLACK, "closed after {after:?}");
    server.is_well();

    limits.idle_time = Duration::from_secs(60);
    limits.header_time = SHORT;
    limits.body_time = SHORT;
    let server = start(limits);
    let mut client = server.connect();
    let longer = SHORT + SHORT / 2;
    server.world.writes_take(longer);
    for _ in 0..2 {
        client.send(server.world.write());
        assert_eq!(client.answer().status, USUAL);
        std::thread::sleep(longer);
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
    let request = server.world.encrypt("Ym9keQ==").replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let (head, body) = in_two(&request);
    client.send(head);
    assert_eq!(client.try_answer().unwrap().unwrap().status, 100);
    client.send(body);
    assert_eq!(server.world.decrypted(&client.answer()), "Ym9keQ==");
    // Not if there is no use.
    client.send("POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 40000000\r\nExpect: 100-continue\r\n\r\n");
    client.is_refused();
    server.is_well();
}

#[test]
fn older_clients_and_other_methods_are_served() {
    let server = start(limits());
    let mut client = server.connect();
    let older = server.quick().replacen("HTTP/1.1\r\nHost: kms\r\n", "HTTP/1.0\r\n", 1);
    client.send(older.replacen("\r\n", "\r\nConnection: keep-alive\r\n", 1));
    let answer = client.answer();
    assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.0", USUAL));
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    client.send(older);
    let answer = client.answer();
    assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.0", USUAL));
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

// Goal: a slow disk holds up those who wait for it, and nobody else. Method: what asks for an alias that is not there cannot be
// answered before the write beside it is on disk. More clients ask for one than the server has threads for sockets.
#[test]
fn a_slow_disk_holds_up_only_those_who_wait_for_it() {
    let server = start(limits());
    let mut before = server.connect();
    before.send(server.quick());
    before.answer();
    server.world.writes_take(6 * SHORT);
    let mut writing = server.connect();
    writing.send(server.world.write());
    std::thread::sleep(SHORT);
    let unknown = [("Action", "Encrypt"), ("KeyId", "alias/none"), ("Plaintext", "x")];
    let mut waiting: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send(server.world.post(&unknown));
    }
    std::thread::sleep(SHORT / 3);
    let begun = Instant::now();
    server.is_well();
    assert!(begun.elapsed() < 2 * SHORT, "others waited {:?}", begun.elapsed());
    for client in &mut waiting {
        assert_eq!(client.answer().code(), "Forbidden.AliasNotFound");
    }
    assert_eq!(writing.answer().status, 200);
}
