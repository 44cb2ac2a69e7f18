use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rustls::{ClientConfig, ClientConnection, ServerConnection};

use super::*;

const NOW: u64 = 1_795_000_000;
const DAY: u64 = 24 * 60 * 60;
/// The last second in which what is made at `NOW` is kept: 825 days from an hour earlier, without 30.
const LAST: u64 = NOW - 60 * 60 + (825 - 30) * DAY - 1;

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix(second)
}

fn local_names() -> Vec<String> {
    LOCAL_NAMES.map(str::to_owned).to_vec()
}

fn now() -> u64 {
    UnixTime::now().as_secs()
}

fn contents(files: &Files) -> [Vec<u8>; 3] {
    files.all().map(|path| fs::read(path).unwrap())
}

#[test]
fn what_is_made_is_kept_until_it_no_longer_serves() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("made/on/demand");
    let files = made_in(&directory, &local_names(), at(NOW)).unwrap();
    let first = contents(&files);
    for (path, mode) in [(&files.ca, 0o644), (&files.chain, 0o644), (&files.key, 0o600)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 4, "temporary files are left behind");

    // What leaves it as it is: another day, fewer names, all but the last of its days.
    for (names, second) in [(local_names(), NOW + DAY), (vec!["localhost".to_owned()], NOW), (local_names(), LAST)] {
        made_in(&directory, &names, at(second)).unwrap();
        assert_eq!(contents(&files), first, "{names:?} at {second}");
    }
    // What has it made anew: a name more, too little left, a clock before it was made.
    let more = [local_names(), vec!["kms.internal".to_owned()]].concat();
    for (names, second) in [(more, NOW), (local_names(), LAST + 1), (local_names(), NOW - 2 * 60 * 60)] {
        let before = contents(&made_in(&directory, &local_names(), at(NOW)).unwrap());
        made_in(&directory, &names, at(second)).unwrap();
        let after = contents(&files);
        for (before, after) in before.iter().zip(&after) {
            assert_ne!(before, after, "{names:?} at {second}");
        }
    }
}

// Goal: nobody's file is lost that was not made here, and what a crash leaves is made good. Method: each of the three files is
// an older one of ours, a newer one, one from another place, no PEM or not there, in every combination, at a time when they
// are to be made anew.
#[test]
fn nothing_of_somebody_elses_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let ours = place.path().join("ours");
    let old = contents(&made_in(&ours, &local_names(), at(NOW)).unwrap());
    let new = contents(&made_in(&ours, &local_names(), at(LAST + 1)).unwrap());
    let elsewhere = contents(&made_in(&place.path().join("elsewhere"), &local_names(), at(NOW)).unwrap());
    let made_here = fs::read(ours.join(MADE_HERE)).unwrap();
    let later = at(NOW + 2 * (LAST - NOW));
    let kinds = [Some(old), Some(new), None, Some(elsewhere), Some([(); 3].map(|()| b"no PEM".to_vec()))];
    for number in 0..125 {
        let from = [number / 25, number / 5 % 5, number % 5];
        let directory = place.path().join(number.to_string());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(MADE_HERE), &made_here).unwrap();
        let files = Files::of(&directory);
        let before: Vec<_> = (0..3).map(|file| kinds[from[file]].as_ref().map(|contents| &contents[file])).collect();
        for (path, content) in files.all().into_iter().zip(&before) {
            content.map(|content| fs::write(path, content).unwrap());
        }
        let made = made_in(&directory, &local_names(), later);
        if from.iter().all(|kind| *kind <= 2) {
            assert!(made.is_ok() && usable(&files, &local_names(), later), "{from:?}: {made:?}");
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 4);
        } else {
            assert!(matches!(made, Err(TlsError::NotOurs(_))), "{from:?}: {made:?}");
            for (path, content) in files.all().into_iter().zip(&before) {
                assert_eq!(fs::read(path).ok().as_ref(), *content, "{from:?}");
            }
        }
    }
}

// Goal: also where nothing was ever made, or who made what cannot be told any more.
#[test]
fn without_a_record_nothing_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let files = made_in(place.path(), &local_names(), at(NOW)).unwrap();
    let before = contents(&files);
    fs::remove_file(place.path().join(MADE_HERE)).unwrap();
    assert!(made_in(place.path(), &local_names(), at(NOW)).is_ok(), "what is good is served, whoever made it");
    let refused = made_in(place.path(), &local_names(), at(LAST + 1));
    assert!(matches!(refused, Err(TlsError::NotOurs(_))), "{refused:?}");
    assert_eq!(contents(&files), before);
}

#[test]
fn what_cannot_be_read_is_not_replaced() {
    let place = tempfile::tempdir().unwrap();
    for (number, name) in ["ca.pem", "server.pem", "server.key", MADE_HERE].into_iter().enumerate() {
        let directory = place.path().join(number.to_string());
        made_in(&directory, &local_names(), at(NOW)).unwrap();
        let unreadable = directory.join(name);
        fs::remove_file(&unreadable).unwrap();
        fs::create_dir(&unreadable).unwrap();
        let error = made_in(&directory, &local_names(), at(LAST + 1)).unwrap_err();
        assert!(matches!(&error, TlsError::File(path, _) if *path == unreadable), "{error:?}");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 4);
    }
}

#[test]
fn errors_name_the_file_and_the_matter() {
    let place = tempfile::tempdir().unwrap();
    let files = made_in(place.path(), &local_names(), at(NOW)).unwrap();
    let other = made_in(&place.path().join("other"), &local_names(), at(NOW)).unwrap();
    let empty = place.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let absent = place.path().join("absent.pem");
    let cases = [
        (&absent, &files.key, "absent.pem: No such file"),
        (&files.chain, &absent, "absent.pem: No such file"),
        (&empty, &files.key, "empty.pem: no such PEM section"),
        (&files.chain, &empty, "empty.pem: no such PEM section"),
        (&files.chain, &files.ca, "ca.pem: no such PEM section"),
        (&files.chain, &other.key, "server.pem: not usable with its private key"),
    ];
    for (chain, key, expected) in cases {
        let error = from_files(chain, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let blocked = made_in(&files.ca, &local_names(), at(NOW)).unwrap_err().to_string();
    assert!(blocked.contains("ca.pem: "), "{blocked}");
    let unnamed = made_in(&place.path().join("x"), &["\u{e9}".to_owned()], at(NOW)).unwrap_err().to_string();
    assert!(unnamed.starts_with("no certificate can be made for these names"), "{unnamed}");
}

/// Goal: other implementations take what is made. Method: OpenSSL at its strictest, for a name of each kind.
#[test]
fn openssl_verifies_the_certificate() {
    let place = tempfile::tempdir().unwrap();
    let files = made_in(place.path(), &local_names(), at(now())).unwrap();
    for name in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]] {
        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver"])
            .args(name)
            .arg("-CAfile")
            .args([&files.ca, &files.chain])
            .output()
            .expect("openssl is needed for this test");
        assert!(output.status.success(), "{name:?}: {output:?}");
    }
}

fn handshake(server: Arc<ServerConfig>, client: ClientConfig, name: &str) -> Result<ClientConnection, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(client)
}

#[test]
fn clients_that_trust_the_authority_shake_hands() {
    let place = tempfile::tempdir().unwrap();
    let files = made_in(place.path(), &local_names(), at(now())).unwrap();
    let server = from_files(&files.chain, &files.key).unwrap();
    let client = |version: &'static rustls::SupportedProtocolVersion| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&files.ca).unwrap());
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        client
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for name in LOCAL_NAMES {
            let connection = handshake(Arc::clone(&server), client(version), name).unwrap();
            assert_eq!(connection.protocol_version(), Some(version.version), "{name}");
            assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]), "{name}");
        }
        let refused = handshake(Arc::clone(&server), client(version), "example.com");
        assert!(matches!(refused, Err(rustls::Error::InvalidCertificate(_))), "{:?}", refused.err());
    }
}
