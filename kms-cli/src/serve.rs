//! `kms serve`: the engine behind HTTP and HTTPS, until a signal ends it.

use std::fs;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kms_core::time::Timestamp;
use kms_engine::{Config, Engine};
use kms_server::{Front, FrontOptions, Limits, Server, tls};
use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::arguments::ServeOptions;
use crate::home::Home;
use crate::{Failure, owner, say, socket};

const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const HTTPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);

/// What a try-out is opened with: time does by itself what it does to keys.
const DEV_CONFIG: &str = r#"{"store":"memory:","sweep":1}"#;

/// Serves until SIGTERM or SIGINT.
pub(crate) fn serve(home: &Home, options: ServeOptions) -> Result<(), Failure> {
    // A command line that makes no sense opens no store.
    let options = checked(options)?;
    let runtime = Runtime::new().map_err(Failure::at("the runtime"))?;
    // From here on a signal stops the server in order, whenever it comes.
    let stop = runtime.block_on(async { stop_signal() })?;
    if options.dev { try_out(&runtime, &options, stop) } else { serve_home(&runtime, home, &options, stop) }
}

/// A fresh KMS in memory, with an AccessKey that everybody who starts it may see.
fn try_out(runtime: &Runtime, options: &ServeOptions, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let engine = Arc::new(Engine::open(Config::parse(DEV_CONFIG)?)?);
    let key = engine.create_access_key("kms serve --dev")?;
    say(&format!("AccessKeyId: {}", key.id))?;
    let secret = String::from_utf8_lossy(key.secret.expose());
    say(&Zeroizing::new(format!("AccessKeySecret: {secret}")))?;
    let folder = TempDir::with_prefix("kms-dev-").map_err(Failure::at("a folder for the certificate"))?;
    let tls_dir = options.tls_dir.clone().unwrap_or_else(|| folder.path().to_owned());
    run(runtime, &engine, options, tls_dir, stop)
}

/// The KMS of a home folder, which its owner can reach beside the server.
fn serve_home(
    runtime: &Runtime,
    home: &Home,
    options: &ServeOptions,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let engine = Arc::new(owner::open_to_serve(home)?);
    let _served = socket::Served::start(home.folder(), &engine).map_err(Failure::at(socket::NAME))?;
    let tls_dir = options.tls_dir.clone().unwrap_or_else(|| home.file("tls"));
    run(runtime, &engine, options, tls_dir, stop)
}

fn run(
    runtime: &Runtime,
    engine: &Arc<Engine>,
    options: &ServeOptions,
    tls_dir: PathBuf,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let (http, https) = (options.http.clone(), options.https.clone());
    make_room(options.connections)?;
    let tls = if https.is_empty() { None } else { Some(certificate(options, tls_dir)?) };
    let front = FrontOptions {
        skew: Duration::from_secs(options.skew),
        check_nonces: !options.allow_replay,
        ..FrontOptions::default()
    };
    let front = Arc::new(Front::new(Arc::clone(engine), front));
    let limits = Limits { connections: options.connections as usize, ..Limits::default() };
    let _inside = runtime.enter();
    let server = Server::bind(front, kms_server::ServeOptions { http, https, tls, limits });
    let server = server.map_err(|error| Failure::Cannot(error.to_string()))?;
    for (name, scheme, addresses) in
        [("HTTP", "http", server.http_addresses()), ("HTTPS", "https", server.https_addresses())]
    {
        for address in addresses {
            say(&format!("{name}: {scheme}://{address}"))?;
        }
    }
    say("Ready.")?;
    runtime.block_on(server.run(stop)).map_err(Failure::at("the server"))
}

/// The options with the addresses to serve at, if they go together.
pub(crate) fn checked(mut options: ServeOptions) -> Result<ServeOptions, Failure> {
    if options.http.is_empty() && options.https.is_empty() {
        (options.http, options.https) = (vec![HTTP], vec![HTTPS]);
    }
    if let Some(open) = options.http.iter().find(|address| !address.ip().is_loopback())
        && !options.allow_plain_http
    {
        let why = "over plain HTTP everybody on the way reads plaintexts and data keys";
        return Err(Failure::Usage(format!("{open}: {why}; use --https, or say --allow-plain-http")));
    }
    let has_tls = options.tls_cert.is_some() || options.tls_dir.is_some() || !options.tls_name.is_empty();
    if has_tls && options.https.is_empty() {
        return Err(Failure::Usage("a certificate is for HTTPS: say where to serve it by --https".to_owned()));
    }
    Ok(options)
}

/// Sees to it that connections do not use up the files that the process may have open, which the store needs, too.
fn make_room(connections: u32) -> Result<(), Failure> {
    const OTHERS: u64 = 128;
    let needed = u64::from(connections) + OTHERS;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)
            .map_err(|error| Failure::Cannot(format!("the limit of open files: {error}")))?;
    }
    match limit.current {
        Some(current) if current < needed => Err(Failure::Cannot(format!(
            "{connections} connections need {needed} open files, and {current} are allowed: use --connections, or ulimit -n"
        ))),
        _ => Ok(()),
    }
}

/// The certificate that is named, or one that is made.
fn certificate(options: &ServeOptions, directory: PathBuf) -> Result<Arc<tls::ServerConfig>, Failure> {
    let wrong = |error: tls::TlsError| match error {
        tls::TlsError::Names(_) => Failure::Usage(error.to_string()),
        _ => Failure::Cannot(error.to_string()),
    };
    if let (Some(chain), Some(key)) = (&options.tls_cert, &options.tls_key) {
        return tls::from_files(chain, key).map_err(wrong);
    }
    fs::create_dir_all(&directory).map_err(Failure::at(directory.display()))?;
    let names: Vec<String> =
        tls::LOCAL_NAMES.iter().map(|name| (*name).to_owned()).chain(options.tls_name.iter().cloned()).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let files = tls::made_in(&directory, &names, Timestamp::from_unix(now)).map_err(wrong)?;
    say(&format!("CA certificate: {}", files.ca.display()))?;
    tls::from_files(&files.chain, &files.key).map_err(wrong)
}

/// Comes when the process is told to end.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(Failure::at("signals"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(poll_fn(move |cx| {
        let told = terminate.poll_recv(cx).is_ready() || interrupt.poll_recv(cx).is_ready();
        if told { Poll::Ready(()) } else { Poll::Pending }
    }))
}
