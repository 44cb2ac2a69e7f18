//! A client that signs, written from the contract (chapter 2) and from what the SDKs do, not from the front.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Named texts.
pub(crate) type Pairs = Vec<(String, String)>;

/// Where the parameters stand, and how the request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    GetQuery,
    PostQuery,
    PostForm,
    Acs3Query,
    Acs3Form,
}

impl Way {
    pub(crate) const ALL: [Self; 5] =
        [Self::GetQuery, Self::PostQuery, Self::PostForm, Self::Acs3Query, Self::Acs3Form];

    /// The same signature, for what is too long for a query.
    pub(crate) fn in_form(self) -> Self {
        match self {
            Self::GetQuery | Self::PostQuery | Self::PostForm => Self::PostForm,
            Self::Acs3Query | Self::Acs3Form => Self::Acs3Form,
        }
    }
}

/// A request that has been signed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// Encoded.
    pub(crate) query: String,
    pub(crate) headers: Pairs,
    /// Encoded.
    pub(crate) form: String,
}

impl Request {
    /// As it is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} /", self.method);
        if !self.query.is_empty() {
            head.push('?');
            head.push_str(&self.query);
        }
        head.push_str(" HTTP/1.1\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", self.form.len()));
        }
        head.push_str("\r\n");
        head.push_str(&self.form);
        head.into_bytes()
    }
}

/// What a request is signed with.
pub(crate) struct Signer<'k> {
    pub(crate) id: &'k str,
    pub(crate) secret: &'k [u8],
}

/// When a request was made, and which one of then it is.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'m> {
    pub(crate) stamp: &'m str,
    pub(crate) nonce: &'m str,
}

const VERSION: &str = "2016-01-20";
const FORM: &str = "application/x-www-form-urlencoded";

impl Signer<'_> {
    pub(crate) fn sign(&self, way: Way, action: &str, parameters: &Pairs, moment: Moment<'_>) -> Request {
        let (query, form) = (|| self.sha1("POST", action, parameters, moment), Vec::new);
        match way {
            Way::GetQuery => plain("GET", &self.sha1("GET", action, parameters, moment), &form()),
            Way::PostQuery => plain("POST", &query(), &form()),
            Way::PostForm => plain("POST", &form(), &query()),
            Way::Acs3Query => self.acs3(action, parameters, &Vec::new(), moment),
            Way::Acs3Form => self.acs3(action, &Vec::new(), parameters, moment),
        }
    }

    /// All parameters of a request that is signed with HMAC-SHA1.
    fn sha1(&self, method: &str, action: &str, parameters: &Pairs, moment: Moment<'_>) -> Pairs {
        let common = [
            ("Action", action),
            ("Version", VERSION),
            ("AccessKeyId", self.id),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", moment.stamp),
            ("SignatureNonce", moment.nonce),
        ];
        let mut all: Pairs = common.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        all.extend(parameters.iter().cloned());
        let signed = format!("{method}&%2F&{}", percent(&canonical(&all)));
        let mut mac = Hmac::<Sha1>::new_from_slice(&[self.secret, b"&"].concat()).unwrap();
        mac.update(signed.as_bytes());
        all.push(("Signature".to_owned(), STANDARD.encode(mac.finalize().into_bytes())));
        all
    }

    /// The newer signature, with parameters in the query and in a form.
    pub(crate) fn acs3(&self, action: &str, query: &Pairs, form: &Pairs, moment: Moment<'_>) -> Request {
        let (canonical_query, form) = (canonical(query), as_form(form));
        let body_hash = hex(&Sha256::digest(&form));
        let mut headers = vec![
            ("host", "kms.test"),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &body_hash),
            ("x-acs-date", moment.stamp),
            ("x-acs-signature-nonce", moment.nonce),
            ("x-acs-version", VERSION),
        ];
        if !form.is_empty() {
            headers.insert(0, ("content-type", FORM));
        }
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let list = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let canonical = format!("POST\n/\n{canonical_query}\n{lines}\n{list}\n{body_hash}");
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret).unwrap();
        mac.update(format!("ACS3-HMAC-SHA256\n{}", hex(&Sha256::digest(canonical))).as_bytes());
        let signature = hex(&mac.finalize().into_bytes());
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential={},SignedHeaders={list},Signature={signature}", self.id);
        headers.push(("authorization", &authorization));
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Request { method: "POST", query: as_query(query), headers, form }
    }
}

fn plain(method: &'static str, query: &Pairs, form: &Pairs) -> Request {
    let mut headers = vec![("host".to_owned(), "kms.test".to_owned())];
    if !form.is_empty() {
        headers.push(("content-type".to_owned(), FORM.to_owned()));
    }
    Request { method, query: as_query(query), headers, form: as_form(form) }
}

/// The one spelling that is signed: in the order of the names' bytes.
fn canonical(pairs: &Pairs) -> String {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    joined(sorted.into_iter(), percent)
}

/// As the SDKs write queries: in any order.
fn as_query(pairs: &Pairs) -> String {
    joined(pairs.iter().rev(), percent)
}

/// As the SDKs write forms: like an HTML form, with `+` for a space and `*` as it is.
fn as_form(pairs: &Pairs) -> String {
    joined(pairs.iter(), |text| percent(text).replace("%20", "+").replace("%2A", "*"))
}

fn joined<'p>(pairs: impl Iterator<Item = &'p (String, String)>, spell: impl Fn(&str) -> String) -> String {
    pairs.map(|(name, value)| format!("{}={}", spell(name), spell(value))).collect::<Vec<_>>().join("&")
}

fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
