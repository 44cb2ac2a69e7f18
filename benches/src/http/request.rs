//! Requests as SDKs sign them, by either scheme, made quickly: all that does not change from one to the next stands ready.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kms_core::time::Timestamp;
use ring::{digest, hmac};

use crate::signature::{hex, percent};

/// An AccessKey.
#[derive(Clone)]
pub struct Credentials {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Everything is in the query; HMAC-SHA1.
    HmacSha1,
    /// What is about the request is in headers; ACS3-HMAC-SHA256.
    Acs3,
}

impl Scheme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::HmacSha1, Self::Acs3];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::Acs3 => "ACS3",
        }
    }
}

/// What has been signed up to the nonce.
#[derive(Clone)]
enum Begun {
    HmacSha1(hmac::Context),
    Acs3(digest::Context),
}

/// The requests of one second for one thing.
pub struct Template {
    /// Before the nonce, between it and the signature, behind that.
    pieces: [Vec<u8>; 3],
    begun: Begun,
    /// What is signed behind the nonce.
    rest: Vec<u8>,
    /// For the second step of the newer scheme.
    key: hmac::Key,
}

impl Template {
    /// Requests for `action` at `now`. The parameters are sorted here.
    #[must_use]
    pub fn new(
        scheme: Scheme,
        credentials: &Credentials,
        action: &str,
        parameters: &[(&'static str, String)],
        now: Timestamp,
    ) -> Self {
        match scheme {
            Scheme::HmacSha1 => Self::hmac_sha1(credentials, action, parameters, now),
            Scheme::Acs3 => Self::acs3(credentials, action, parameters, now),
        }
    }

    /// As aliyun-python-sdk-core does it.
    fn hmac_sha1(
        Credentials { id, secret }: &Credentials,
        action: &str,
        parameters: &[(&'static str, String)],
        now: Timestamp,
    ) -> Self {
        let now = now.to_string();
        let common = [
            ("AccessKeyId", id.as_str()),
            ("Action", action),
            ("Format", "JSON"),
            ("RegionId", "cn-hangzhou"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureType", ""),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &now),
            ("Version", "2016-01-20"),
        ];
        let all = parameters.iter().map(|(name, value)| (*name, value.as_str())).chain(common);
        let (before, after): (Vec<_>, Vec<_>) = all.partition(|(name, _)| *name < "SignatureNonce");
        let before = format!("{}&SignatureNonce=", joined(before));
        let after = format!("&{}", joined(after));

        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, format!("{secret}&").as_bytes());
        let mut begun = hmac::Context::with_key(&key);
        begun.update(format!("POST&%2F&{}", percent(&before)).as_bytes());
        let end = " HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\nUser-Agent: AlibabaCloud (Linux;x86_64) \
                   Python/3.11.7 Core/2.16.1\r\nx-sdk-client: python/2.0.0\r\nContent-Length: 0\r\n\r\n";
        Self {
            pieces: [format!("POST /?{before}"), format!("{after}&Signature="), end.to_owned()].map(String::into_bytes),
            begun: Begun::HmacSha1(begun),
            rest: percent(&after).into_bytes(),
            key,
        }
    }

    /// As alibabacloud-tea-openapi does it.
    fn acs3(
        Credentials { id, secret }: &Credentials,
        action: &str,
        parameters: &[(&'static str, String)],
        now: Timestamp,
    ) -> Self {
        let query = joined(parameters.iter().map(|(name, value)| (*name, value.as_str())).collect());
        let of_nothing = hex(digest::digest(&digest::SHA256, b"").as_ref());
        let now = now.to_string();
        let headers = [
            ("accept", "application/json"),
            ("host", "localhost"),
            ("user-agent", "AlibabaCloud (linux; x86_64) Python/3.11.7 Core/0.4.6 TeaDSL/2"),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &of_nothing),
            ("x-acs-date", &now),
        ];
        let list = format!(
            "{};x-acs-signature-nonce;x-acs-version",
            headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
        );
        let mut signed = format!("POST\n/\n{query}\n");
        let mut sent = format!("POST /?{query} HTTP/1.1\r\n");
        for (name, value) in headers {
            signed += &format!("{name}:{value}\n");
            sent += &format!("{name}: {value}\r\n");
        }
        signed += "x-acs-signature-nonce:";
        sent += "x-acs-signature-nonce: ";
        let mut begun = digest::Context::new(&digest::SHA256);
        begun.update(signed.as_bytes());
        let rest = format!("\nx-acs-version:2016-01-20\n\n{list}\n{of_nothing}");
        let between = format!(
            "\r\nx-acs-version: 2016-01-20\r\nContent-Length: 0\r\n\
             Authorization: ACS3-HMAC-SHA256 Credential={id},SignedHeaders={list},Signature="
        );
        Self {
            pieces: [sent, between, "\r\n\r\n".to_owned()].map(String::into_bytes),
            begun: Begun::Acs3(begun),
            rest: rest.into_bytes(),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        }
    }

    /// Writes the request with this nonce, which has only letters and digits.
    pub fn write(&self, nonce: &str, out: &mut Vec<u8>) {
        let [before, between, behind] = &self.pieces;
        out.clear();
        out.extend_from_slice(before);
        out.extend_from_slice(nonce.as_bytes());
        out.extend_from_slice(between);
        match self.begun.clone() {
            Begun::HmacSha1(mut context) => {
                context.update(nonce.as_bytes());
                context.update(&self.rest);
                let mut text = [0; 28];
                let len = STANDARD.encode_slice(context.sign(), &mut text).expect("28 characters hold 20 bytes");
                for byte in &text[..len] {
                    match byte {
                        b'+' => out.extend_from_slice(b"%2B"),
                        b'/' => out.extend_from_slice(b"%2F"),
                        b'=' => out.extend_from_slice(b"%3D"),
                        _ => out.push(*byte),
                    }
                }
            }
            Begun::Acs3(mut context) => {
                context.update(nonce.as_bytes());
                context.update(&self.rest);
                let mut text = *b"ACS3-HMAC-SHA256\n0000000000000000000000000000000000000000000000000000000000000000";
                write_hex(context.finish().as_ref(), &mut text[17..]);
                let mut signature = [0; 64];
                write_hex(hmac::sign(&self.key, &text).as_ref(), &mut signature);
                out.extend_from_slice(&signature);
            }
        }
        out.extend_from_slice(behind);
    }
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, two) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        two.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn joined(mut parameters: Vec<(&str, &str)>) -> String {
    parameters.sort_unstable();
    parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&")
}
