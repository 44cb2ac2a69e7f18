//! A stop cuts no answer, waits for nobody who has nothing to wait for, and leaves nothing running.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kms_server::{ServeOptions, Server, serve_connection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Client, SHORT, USUAL, limits, start};
use crate::world::{World, in_two};

#[test]
fn no_answer_is_cut() {
    let mut server = start(limits());
    let answered = Arc::new(AtomicU64::new(0));
    // Two of four write, each to a key of its own.
    let requests = (0..16).map(|number| match number % 4 {
        0 | 1 => server.quick(),
        _ => server.world.write_to(&server.world.create_key("")),
    });
    let requests: Vec<_> = requests.collect();
    server.world.writes_take(Duration::from_millis(10));
    let clients: Vec<_> = (0..)
        .zip(requests)
        .map(|(number, request)| {
            let (http, https, answered) = (server.http, server.https, Arc::clone(&answered));
            std::thread::spawn(move || {
                // An answer that is cut is an error here; no answer at all is the end.
                macro_rules! drive {
                    ($client:expr) => {{
                        let mut client = $client;
                        while std::io::Write::write_all(client.stream.get_mut(), request.as_bytes()).is_ok() {
                            match client.try_answer() {
                                Ok(Some(answer)) if answer.status == USUAL => answered.fetch_add(1, Ordering::Relaxed),
                                Ok(Some(answer)) => panic!("{answer:?}"),
                                Ok(None) => break,
                                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                                Err(error) => panic!("cut: {error}"),
                            };
                        }
                    }};
                }
                if number % 2 == 0 { drive!(Client::to(http)) } else { drive!(Client::over_tls(https)) }
            })
        })
        .collect();
    std::thread::sleep(SHORT);
    let begun = Instant::now();
    server.stop();
    server.stopped();
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
    for client in clients {
        client.join().unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 16);
    assert!(TcpStream::connect(server.http).is_err(), "it still listens");
}

#[test]
fn requests_in_progress_are_finished_and_idle_clients_are_not_waited_for() {
    let mut server = start(limits());
    let mut fresh = server.connect();
    let mut shaking = Client::to(server.https);
    let mut idle = server.connect();
    idle.send(server.quick());
    idle.answer();
    let mut working = server.connect();
    server.world.writes_take(4 * SHORT);
    working.send(server.world.write());
    let mut sending = server.connect();
    let request = server.quick();
    let (head, body) = in_two(&request);
    sending.send(head);
    std::thread::sleep(SHORT / 2);
    server.stop();
    for client in [&mut fresh, &mut idle, &mut shaking] {
        assert!(client.is_closed() < 3 * SHORT);
    }
    assert!(TcpStream::connect(server.http).is_err(), "it still listens");
    sending.send(body);
    for client in [&mut sending, &mut working] {
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (USUAL, Some("close")));
        client.is_closed();
    }
    server.stopped();
}

#[test]
fn the_drain_ends_but_not_before_what_is_being_performed() {
    let mut limits = limits();
    limits.drain = SHORT;
    let mut server = start(limits);
    let mut gone = server.connect();
    // The store does the second when it has done the first.
    let first = server.world.write();
    let second = server.world.write_to(&server.world.create_key(""));
    server.world.writes_take(2 * SHORT);
    let sent = Instant::now();
    gone.send(first);
    let mut working = server.connect();
    working.send(second);
    let mut sending = server.connect();
    sending.send(in_two(&server.quick()).0);
    std::thread::sleep(SHORT / 3);
    drop(gone);
    let begun = Instant::now();
    server.stop();
    for client in [&mut sending, &mut working] {
        client.is_closed();
    }
    let dropped = begun.elapsed();
    assert!(dropped > SHORT / 2 && dropped < 3 * SHORT, "dropped after {dropped:?}");
    let returned = server.stopped() - sent;
    assert!(returned >= 4 * SHORT, "returned after {returned:?}, with requests still being performed");
}

#[test]
fn a_connection_can_be_served_over_anything() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut client, stream) = tokio::io::duplex(64);
        let world = World::new();
        let front = Arc::clone(&world.front);
        let serving = tokio::spawn(async move {
            serve_connection(front, stream, &limits(), std::future::pending()).await;
        });
        client.write_all(world.encrypt("cXVpY2s=").as_bytes()).await.unwrap();
        client.write_all(b"garbage\r\n\r\n").await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("\"RequestId\"").count(), 2, "{answers}");
        assert!(answers.starts_with(&format!("HTTP/1.1 {USUAL} ")) && answers.contains("HTTP/1.1 400 Bad Request\r\n"));
        drop(client);
        serving.await.unwrap();
    });
}

#[test]
fn what_cannot_be_bound_is_named() {
    let any = || vec!["127.0.0.1:0".parse().unwrap()];
    let world = World::new();
    let front = || Arc::clone(&world.front);
    assert!(Server::bind(front(), ServeOptions { http: any(), ..ServeOptions::default() }).is_err(), "no runtime");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let without = Server::bind(front(), ServeOptions { https: any(), ..ServeOptions::default() });
        assert!(without.err().unwrap().to_string().contains("certificate"));
        let first = Server::bind(front(), ServeOptions { http: any(), ..ServeOptions::default() }).unwrap();
        let taken = first.http_addresses().to_vec();
        let second = Server::bind(front(), ServeOptions { http: taken.clone(), ..ServeOptions::default() });
        let error = second.err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken[0].to_string()), "{error}");
        // Bound is listened to: the backlog holds the client.
        let mut client = TcpStream::connect(taken[0]).unwrap();
        drop(first);
        let _ = client.read(&mut [0]);
    });
}
