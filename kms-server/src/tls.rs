//! Certificates for HTTPS: from files, or made on the first start.
//!
//! Whoever has a certificate gives it to [`from_files`]. For development and for networks of one's own,
//! [`made_in`] makes one: an authority that clients are told to trust, and a certificate that it issues to the server.
//! The authority's private key is never written and is gone when the certificate is issued. So nobody who reads
//! the directory, and nobody who takes over the server, can issue certificates for other names to the clients that trust
//! this authority; in turn, new names or a new term need a new authority, which clients have to be told to trust again.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use kms_core::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::RootCertStore;
pub use rustls::ServerConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use zeroize::{Zeroize as _, Zeroizing};

/// For which a certificate is good: the 825 days that Apple's clients take at most, the last second of which counts.
const TERM: Duration = Duration::from_secs(825 * 24 * 60 * 60 - 1);
/// A certificate that has less than this left is made anew.
const LEAST_LEFT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The part of it that is over when it is made: by so much may a client's clock be slow.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// The file beside them that tells which files were made here, by their SHA-256.
const MADE_HERE: &str = "made-here";

/// The names of this machine for itself, for which a certificate is made unless others are given.
pub const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no certificate to serve with.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file or directory cannot be read or written.
    File(PathBuf, io::Error),
    /// A file is no PEM, or holds nothing of what is looked for.
    Pem(PathBuf, pem::Error),
    /// The chain in this file cannot be served with its key: it does not belong to it, or is none that TLS can use.
    Unusable(PathBuf, rustls::Error),
    /// This file was made by somebody else, and would be lost.
    NotOurs(PathBuf),
    /// No certificate can be made for these names.
    Names(rcgen::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Pem(path, pem::Error::NoItemsFound) => write!(f, "{}: no such PEM section in it", path.display()),
            Self::Pem(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Unusable(path, error) => write!(f, "{}: not usable with its private key: {error}", path.display()),
            Self::NotOurs(path) => write!(
                f,
                "{}: not made by this server, and not good for it as it is: move it away, or name another directory, or the files of your own",
                path.display()
            ),
            Self::Names(error) => write!(f, "no certificate can be made for these names: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// Where the files of [`made_in`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Files {
    /// The certificate of the authority, for clients to trust.
    pub ca: PathBuf,
    /// The certificate of the server.
    pub chain: PathBuf,
    /// The private key of the server, which only its owner may read.
    pub key: PathBuf,
}

impl Files {
    fn of(directory: &Path) -> Self {
        let [ca, chain, key] = ["ca.pem", "server.pem", "server.key"].map(|name| directory.join(name));
        Self { ca, chain, key }
    }

    fn all(&self) -> [&PathBuf; 3] {
        [&self.ca, &self.chain, &self.key]
    }
}

/// What to serve HTTPS with: the certificate chain and the private key in these PEM files.
///
/// TLS 1.2 and 1.3, and HTTP/1.1 by name, which is what [`crate::Server`] speaks.
///
/// # Errors
///
/// A file cannot be read, is no PEM, or the key is not the certificate's.
pub fn from_files(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates = certificates(chain)?;
    let text = Zeroizing::new(read(key)?);
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| TlsError::Pem(key.into(), error))?;
    let unusable = |error| TlsError::Unusable(chain.into(), error);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Sees to it that there is a certificate for `names`, host names and IP addresses, in `directory`, which is created if it
/// is not there.
///
/// What is there stays if at `now` it is good for another 30 days, for each of the names, under the authority beside it,
/// and belongs to its key. Otherwise all three files are made anew, unless one of them was not made here.
///
/// # Errors
///
/// The directory cannot be read or written to, holds files of these names that are not from here, or a name is no name.
pub fn made_in(directory: &Path, names: &[String], now: Timestamp) -> Result<Files, TlsError> {
    let files = Files::of(directory);
    if !usable(&files, names, now) {
        make(directory, &files, names, now)?;
    }
    Ok(files)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File(path.into(), error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| TlsError::Pem(path.into(), error);
    let text = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if certificates.is_empty() { Err(failed(pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

/// Whether a client that trusts the authority would take the certificate for each name, now and when `LEAST_LEFT` is over.
fn usable(files: &Files, names: &[String], now: Timestamp) -> bool {
    let check = || {
        from_files(&files.chain, &files.key).ok()?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&files.ca).ok()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().ok()?;
        let chain = certificates(&files.chain).ok()?;
        let (leaf, others) = chain.split_first()?;
        let now = Duration::from_secs(now.unix());
        for time in [now, now + LEAST_LEFT].map(UnixTime::since_unix_epoch) {
            for name in names {
                let name = ServerName::try_from(name.as_str()).ok()?;
                verifier.verify_server_cert(leaf, others, &name, &[], time).ok()?;
            }
        }
        Some(())
    };
    check().is_some()
}

/// Whether nothing is lost when the files are made anew: each that is there is one that was made here. Returns their digests.
fn check_ours(directory: &Path, files: &Files) -> Result<Vec<String>, TlsError> {
    let made = match fs::read_to_string(directory.join(MADE_HERE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| TlsError::File(directory.join(MADE_HERE), error))?,
    };
    let mut ours = Vec::new();
    for file in files.all() {
        match fs::read(file).map(Zeroizing::new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(TlsError::File(file.clone(), error)),
            Ok(content) => {
                let digest = digest(&content);
                if !made.lines().any(|line| line == digest) {
                    return Err(TlsError::NotOurs(file.clone()));
                }
                ours.push(digest);
            }
        }
    }
    Ok(ours)
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn make(directory: &Path, files: &Files, names: &[String], now: Timestamp) -> Result<(), TlsError> {
    let failed = |error| TlsError::File(directory.into(), error);
    fs::create_dir_all(directory).map_err(failed)?;
    let ours = check_ours(directory, files)?;
    let (ca, chain, key) = issued(names, now).map_err(TlsError::Names)?;
    let contents = [ca.as_bytes(), chain.as_bytes(), key.as_bytes()];
    // First what they will be known by, beside what is known: whatever a crash leaves, old or new, was made here.
    let made: Vec<_> = ours.into_iter().chain(contents.map(digest)).map(|digest| digest + "\n").collect();
    write(&directory.join(MADE_HERE), made.concat().as_bytes(), 0o600)?;
    let sync = || File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed);
    sync()?;
    for ((file, content), mode) in files.all().into_iter().zip(contents).zip([0o644, 0o644, 0o600]) {
        write(file, content, mode)?;
    }
    sync()
}

/// The certificates of an authority and of the server, and the private key of the server, as PEM.
fn issued(names: &[String], now: Timestamp) -> Result<(String, String, Zeroizing<String>), rcgen::Error> {
    let second = |duration: Duration| {
        // Beyond the years that a certificate can name, there is nothing better than the epoch.
        i64::try_from(duration.as_secs())
            .ok()
            .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    };
    let now = Duration::from_secs(now.unix());
    let params = |names: &[String], common_name: String| {
        let mut params = CertificateParams::new(names)?;
        let start = now.saturating_sub(BACKDATED);
        params.not_before = second(start);
        params.not_after = second(start + TERM);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        Ok::<_, rcgen::Error>(params)
    };
    // The second tells two authorities apart that a client may trust side by side.
    let mut authority = params(&[], format!("KMS server authority {}", now.as_secs()))?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut server = params(names, "KMS server".to_owned())?;
    server.is_ca = IsCa::ExplicitNoCa;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;

    let mut authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let ca = authority.self_signed(&authority_key)?.pem();
    let chain = server.signed_by(&server_key, &Issuer::from_params(&authority, &authority_key))?.pem();
    let key = Zeroizing::new(server_key.serialize_pem());
    authority_key.zeroize();
    server_key.zeroize();
    Ok((ca, chain, key))
}

/// Puts a whole file in the place of `path`, or nothing.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    // Of a name that no other process uses; a leftover of one that crashed is taken over.
    let next = path.with_extension(format!("{}.next", process::id()));
    let put = || {
        if let Err(error) = fs::remove_file(&next)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&next)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&next, path)
    };
    put().map_err(|error| {
        let _ = fs::remove_file(&next);
        TlsError::File(path.into(), error)
    })
}

#[cfg(test)]
mod tests;
