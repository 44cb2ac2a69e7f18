//! The newer signature, ACS3-HMAC-SHA256: the query, the body and the headers that say so are signed; action, version, time
//! stamp and nonce are headers.
//!
//! A client says itself which headers it has signed. What this front goes by must be among them, or somebody on the way could
//! change it.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use kms_core::{ErrorCode, KmsError};
use sha2::{Digest, Sha256};

use super::{Claim, Proof, Request, VERSION, Window, expect};
use crate::encoding::{Speller, Spelling};

/// The name of the scheme.
pub(super) const NAME: &str = "ACS3-HMAC-SHA256";

const ACTION: &str = "x-acs-action";
const CONTENT_SHA256: &str = "x-acs-content-sha256";
const DATE: &str = "x-acs-date";
const NONCE: &str = "x-acs-signature-nonce";

/// The fields of the header Authorization. An empty one is absent.
#[derive(Default)]
struct Fields<'h> {
    credential: &'h str,
    signed_headers: &'h str,
    signature: &'h str,
}

impl<'h> Fields<'h> {
    fn read(text: &'h str) -> Option<Self> {
        let mut fields = Self::default();
        for field in text.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let place = match name {
                "Credential" => &mut fields.credential,
                "SignedHeaders" => &mut fields.signed_headers,
                "Signature" => &mut fields.signature,
                _ => return None,
            };
            if !place.is_empty() {
                return None;
            }
            *place = value;
        }
        Some(fields)
    }
}

/// What headers and Authorization claim.
///
/// # Errors
/// `MissingParameter` and `InvalidParameter`; `IllegalTimestamp`; `IncompleteSignature` for a signature that is
/// malformed, leaves out what it has to cover, or covers another body.
pub(super) fn claim<'r>(request: &Request<'r>, fields: &'r str, window: &Window) -> Result<Claim<'r>, KmsError> {
    let headers = request.headers;
    // What the contract has a name for is named by it.
    let version = text(headers, "x-acs-version")?.ok_or_else(|| KmsError::missing("Version"))?;
    expect("Version", version, VERSION)?;
    let fields = Fields::read(fields).ok_or(ErrorCode::IncompleteSignature)?;
    if fields.credential.is_empty() {
        return Err(KmsError::missing("AccessKeyId"));
    }
    let content_sha256 = text(headers, CONTENT_SHA256)?.ok_or_else(|| KmsError::missing(CONTENT_SHA256))?;
    let stamp = window.admit(text(headers, DATE)?)?;
    let signature = bytes_of_hex(fields.signature).ok_or(ErrorCode::IncompleteSignature)?;
    let body_hash: [u8; 32] = Sha256::digest(request.body).into();
    let signed = Signed::read(fields.signed_headers, request)?;
    if content_sha256.as_bytes() != hex(&body_hash) || !signed.covers_enough(request) {
        return Err(ErrorCode::IncompleteSignature.into());
    }
    Ok(Claim {
        access_key_id: fields.credential,
        stamp,
        nonce: text(headers, NONCE)?,
        action: text(headers, ACTION)?.unwrap_or_default(),
        proof: Proof::Acs3 { signature, canonical_hash: canonical_hash(request, &signed, &body_hash) },
    })
}

/// Whether the owner of `secret` has signed the request. Takes a time that tells nothing about the right signature.
pub(super) fn is_by(secret: &[u8], signature: &[u8; 32], canonical_hash: &[u8; 32]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(NAME.as_bytes());
    mac.update(b"\n");
    mac.update(&hex(canonical_hash));
    mac.verify_slice(signature).is_ok()
}

/// The headers that are signed: the list as it was sent, and each of them.
struct Signed<'r> {
    list: &'r str,
    /// Name and value, spaces around it removed.
    headers: Vec<(&'r str, &'r [u8])>,
}

impl<'r> Signed<'r> {
    /// Finds the headers of the list.
    ///
    /// # Errors
    /// `IncompleteSignature` for one that is not there or there more than once, and for a name that is not in lower case or is
    /// listed twice.
    fn read(list: &'r str, request: &Request<'r>) -> Result<Self, KmsError> {
        let most = request.headers.keys_len();
        let mut headers = Vec::with_capacity(most);
        for name in list.split(';') {
            let listed_before = headers.iter().any(|(before, _)| *before == name);
            if headers.len() == most || listed_before || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return Err(ErrorCode::IncompleteSignature.into());
            }
            let mut values = request.headers.get_all(name).iter();
            let (Some(value), None) = (values.next(), values.next()) else {
                return Err(ErrorCode::IncompleteSignature.into());
            };
            headers.push((name, value.as_bytes().trim_ascii()));
        }
        Ok(Self { list, headers })
    }

    fn covers(&self, name: &str) -> bool {
        self.headers.iter().any(|(signed, _)| *signed == name)
    }

    /// Whether all that this front goes by is signed: the host, every header of the service, and what makes a form of a body.
    fn covers_enough(&self, request: &Request<'_>) -> bool {
        let ours = |name: &HeaderName| name.as_str().starts_with("x-acs-");
        self.covers(HOST.as_str())
            && request.headers.keys().filter(|name| ours(name)).all(|name| self.covers(name.as_str()))
            && (!request.parameters.any_in_form() || self.covers(CONTENT_TYPE.as_str()))
    }
}

/// The hash of the canonical request, whose text stands nowhere as a whole.
fn canonical_hash(request: &Request<'_>, signed: &Signed<'_>, body_hash: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    say(request, signed, body_hash, |piece| hash.update(piece));
    hash.finalize().into()
}

fn say(request: &Request<'_>, signed: &Signed<'_>, body_hash: &[u8; 32], sink: impl FnMut(&[u8])) {
    let mut text = Speller::new(sink);
    text.raw(request.method.as_str().as_bytes());
    text.raw(b"\n/\n");
    let mut joint: &[u8] = b"";
    // A form is covered by the hash of the body.
    for parameter in request.parameters.iter().filter(|parameter| parameter.in_query) {
        text.raw(joint);
        text.spell(Spelling::ONCE, &parameter.name);
        text.raw(b"=");
        text.spell(Spelling::ONCE, &parameter.text);
        joint = b"&";
    }
    text.raw(b"\n");
    for (name, value) in &signed.headers {
        text.raw(name.as_bytes());
        text.raw(b":");
        text.raw(value);
        text.raw(b"\n");
    }
    text.raw(b"\n");
    text.raw(signed.list.as_bytes());
    text.raw(b"\n");
    text.raw(&hex(body_hash));
    text.finish();
}

/// The text of a header; a blank one counts as absent.
///
/// # Errors
/// `IncompleteSignature` for one that is there more than once; `ParseRequestParameterException` for bytes that are no text.
fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, KmsError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ErrorCode::IncompleteSignature.into());
    }
    let text = value.to_str().map_err(|_| ErrorCode::ParseRequestParameter)?.trim();
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| {
        let byte = bytes[at / 2];
        DIGITS[usize::from(if at % 2 == 0 { byte >> 4 } else { byte & 15 })]
    })
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;
    use crate::auth::tests::{at, code};
    use crate::rpc::Parameters;

    const QUERY: &str = "KeyId=alias%2Fa%20b&Plaintext=SGVsbG8%2Bd29ybGQ%2FCg%3D%3D&EncryptionContext=%7B%22k%22%3A%22v~%2A%C3%A9%E4%B8%AD%22%7D";
    const FORM: &str = "ExtendedConfig.CustomData.DBName=app1&SecretData=a%2Bb+c%26d%3De%25f%2A%27%28%29%21~";
    /// SHA-256 of nothing and of `FORM`, from sha256sum.
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const OF_FORM: &str = "7080c9315c839cfbad1446ea72cfe9d295d74524e9c6b26c0d8c64c255c57793";

    struct Sent {
        query: String,
        headers: HeaderMap,
        body: Vec<u8>,
    }

    fn headers(named: &[(&'static str, &str)]) -> HeaderMap {
        HeaderMap::from_iter(
            named.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())),
        )
    }

    const SIGNED: &str =
        "accept;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
    const SIGNED_WITH_FORM: &str = "accept;content-type;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-date;\
        x-acs-signature-nonce;x-acs-version";
    const SIGNATURE: &str = "552be09ce5f12e07eb640a9ed081e98df0d32b1a9685284bb26c72dfb65cbddb";
    const SIGNATURE_WITH_FORM: &str = "8ef371d3e9746d841fd88a192ad69e864e566abda43965e9e508ca88ea1223ce";

    /// The headers as alibabacloud-tea-openapi 0.4.6 (PyPI) sent them; the signatures above are its own, for testsecret.
    const COMMON: [(&str, &str); 6] = [
        ("accept", "application/json"),
        ("host", "127.0.0.1:8080"),
        ("user-agent", "AlibabaCloud (linux; x86_64) Python/3.11.7 Core/0.4.6 TeaDSL/2"),
        ("x-acs-date", "2026-11-24T12:00:00Z"),
        ("x-acs-signature-nonce", "0cc175b9c0f1b6a831c399e269772661"),
        ("x-acs-version", "2016-01-20"),
    ];

    fn with_query() -> Sent {
        let mut headers = headers(&COMMON);
        headers.extend(self::headers(&[("x-acs-action", "Encrypt"), ("x-acs-content-sha256", OF_NOTHING)]));
        Sent { query: QUERY.to_owned(), headers, body: Vec::new() }
    }

    fn with_form() -> Sent {
        let mut headers = headers(&COMMON);
        headers.extend(self::headers(&[
            ("x-acs-action", "CreateSecret"),
            ("x-acs-content-sha256", OF_FORM),
            ("content-type", "application/x-www-form-urlencoded"),
        ]));
        Sent { query: "SecretName=s&VersionId=v1".to_owned(), headers, body: FORM.as_bytes().to_vec() }
    }

    fn fields(signed: &str, signature: &str) -> String {
        format!("Credential=testid,SignedHeaders={signed},Signature={signature}")
    }

    /// Whether testsecret has signed it, or why it did not come to that.
    fn check(sent: &Sent, fields: &str) -> Result<bool, ErrorCode> {
        let Sent { query, headers, body } = sent;
        let parameters = Parameters::read(&Method::POST, query, headers, body).map_err(|error| error.code())?;
        let request = Request { method: &Method::POST, headers, body, parameters: &parameters };
        let window = Window { now: at("2026-11-24T12:10:00Z"), skew: 900 };
        let claim = claim(&request, fields, &window).map_err(|error| error.code())?;
        assert_eq!(claim.access_key_id, "testid");
        Ok(claim.proof.is_by(b"testsecret", &request))
    }

    #[test]
    fn what_clients_sign_is_right() {
        assert_eq!(check(&with_query(), &fields(SIGNED, SIGNATURE)), Ok(true));
        assert_eq!(check(&with_form(), &fields(SIGNED_WITH_FORM, SIGNATURE_WITH_FORM)), Ok(true));
        // Spaces behind the commas, as the documentation prints them.
        let spaced = fields(SIGNED, SIGNATURE).replace(',', ", ");
        assert_eq!(check(&with_query(), &spaced), Ok(true));
        // The order in which the query came does not matter.
        let turned = QUERY.split('&').rev().collect::<Vec<_>>().join("&");
        assert_eq!(check(&Sent { query: turned, ..with_query() }, &fields(SIGNED, SIGNATURE)), Ok(true));
    }

    #[test]
    fn the_stamp_is_when_it_was_signed() {
        let Sent { query, headers, body } = with_query();
        let parameters = Parameters::read(&Method::POST, &query, &headers, &body).unwrap();
        let request = Request { method: &Method::POST, headers: &headers, body: &body, parameters: &parameters };
        let window = Window { now: at("2026-11-24T12:10:00Z"), skew: 900 };
        let fields = fields(SIGNED, SIGNATURE);
        let claim = claim(&request, &fields, &window).map_err(|error| error.code()).unwrap();
        assert_eq!(claim.stamp, at("2026-11-24T12:00:00Z"));
    }

    #[test]
    fn what_is_changed_on_the_way_is_noticed() {
        let fields = fields(SIGNED_WITH_FORM, SIGNATURE_WITH_FORM);
        for (name, value) in COMMON {
            let mut sent = with_form();
            let other = match name {
                "x-acs-date" => "2026-11-24T12:00:01Z".to_owned(),
                "x-acs-version" => continue,
                _ => format!("{value}0"),
            };
            sent.headers.insert(name, HeaderValue::from_str(&other).unwrap());
            assert_eq!(check(&sent, &fields), Ok(false), "{name}");
        }
        for query in ["SecretName=t&VersionId=v1", "SecretName=s&VersionId=v1&X=", "SecretName=s"] {
            assert_eq!(check(&Sent { query: query.to_owned(), ..with_form() }, &fields), Ok(false), "{query}");
        }
        let body = FORM.replace("app1", "app2").into_bytes();
        assert_eq!(check(&Sent { body, ..with_form() }, &fields), Err(ErrorCode::IncompleteSignature));
        assert_eq!(check(&with_query(), &self::fields(SIGNED, SIGNATURE_WITH_FORM)), Ok(false));
    }

    #[test]
    fn what_this_front_goes_by_must_be_signed() {
        let incomplete = Err(ErrorCode::IncompleteSignature);
        for left_out in SIGNED_WITH_FORM.split(';') {
            let signed = SIGNED_WITH_FORM.split(';').filter(|name| *name != left_out).collect::<Vec<_>>().join(";");
            let outcome = check(&with_form(), &fields(&signed, SIGNATURE_WITH_FORM));
            // Nobody goes by these two. The signature is another one without them.
            let free = matches!(left_out, "accept" | "user-agent");
            assert_eq!(outcome, if free { Ok(false) } else { incomplete }, "{left_out}");
        }
        for signed in [
            "",
            ";",
            "host",
            &format!("{SIGNED};x-acs-other"),
            &format!("{SIGNED};host"),
            &SIGNED.replace("host", "Host"),
            &SIGNED.replace(';', ","),
            &SIGNED.replace(';', "; "),
        ] {
            assert_eq!(check(&with_query(), &fields(signed, SIGNATURE)), incomplete, "{signed}");
        }
        let mut with_other = with_query();
        with_other.headers.insert("x-acs-security-token", HeaderValue::from_static("t"));
        assert_eq!(check(&with_other, &fields(SIGNED, SIGNATURE)), incomplete);
        for (name, value) in COMMON {
            let mut twice = with_query();
            twice.headers.append(name, HeaderValue::from_static(value));
            assert_eq!(check(&twice, &fields(SIGNED, SIGNATURE)), incomplete, "{name}");
        }
    }

    #[test]
    fn the_fields_have_one_form() {
        let incomplete = Err(ErrorCode::IncompleteSignature);
        for (fields, outcome) in [
            (String::new(), incomplete),
            ("Credential=testid".to_owned(), incomplete),
            (format!("Credential=testid,Signature={SIGNATURE}"), incomplete),
            (format!("Credential=testid,SignedHeaders={SIGNED}"), incomplete),
            (fields(SIGNED, &SIGNATURE[1..]), incomplete),
            (fields(SIGNED, &SIGNATURE.replace('5', "g")), incomplete),
            (fields(SIGNED, &format!("{SIGNATURE}00")), incomplete),
            (fields(SIGNED, SIGNATURE) + ",", incomplete),
            (fields(SIGNED, SIGNATURE) + ",More=x", incomplete),
            (fields(SIGNED, SIGNATURE) + ",Signature=x", incomplete),
            (fields(SIGNED, SIGNATURE).replace("testid", ""), Err(ErrorCode::MissingParameter)),
            (fields(SIGNED, &SIGNATURE.to_uppercase()), Ok(true)),
        ] {
            assert_eq!(check(&with_query(), &fields), outcome, "{fields}");
        }
    }

    #[test]
    fn headers_of_the_service_are_checked_as_parameters_are() {
        for (name, value, outcome) in [
            ("x-acs-version", None, "MissingParameter Version"),
            ("x-acs-version", Some(" "), "MissingParameter Version"),
            ("x-acs-version", Some("2016-01-21"), "InvalidParameter Version"),
            // It was signed, and is not there; one that never was is the engine's to miss.
            ("x-acs-action", None, "IncompleteSignature"),
            ("x-acs-content-sha256", None, "MissingParameter x-acs-content-sha256"),
            ("x-acs-content-sha256", Some(OF_FORM), "IncompleteSignature"),
            (
                "x-acs-content-sha256",
                Some("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
                "IncompleteSignature",
            ),
            ("x-acs-date", None, "IllegalTimestamp"),
            ("x-acs-date", Some("2026-11-24T11:54:59Z"), "IllegalTimestamp"),
            ("x-acs-date", Some("now"), "IllegalTimestamp"),
            ("host", None, "IncompleteSignature"),
        ] {
            let mut sent = with_query();
            match value {
                Some(value) => drop(sent.headers.insert(name, HeaderValue::from_static(value))),
                None => drop(sent.headers.remove(name)),
            }
            let Sent { query, headers, body } = &sent;
            let parameters = Parameters::read(&Method::POST, query, headers, body).unwrap();
            let request = Request { method: &Method::POST, headers, body, parameters: &parameters };
            let window = Window { now: at("2026-11-24T12:10:00Z"), skew: 900 };
            let fields = fields(SIGNED, SIGNATURE);
            assert_eq!(code(claim(&request, &fields, &window)), outcome, "{name} {value:?}");
        }
    }

    #[test]
    fn an_optional_nonce_may_be_left_out() {
        let mut sent = with_query();
        sent.headers.remove(NONCE);
        let signed = SIGNED.replace("x-acs-signature-nonce;", "");
        assert_eq!(check(&sent, &fields(&signed, SIGNATURE)), Ok(false));
        // The same client, with this header taken out.
        assert_eq!(check(&sent, &fields(&signed, WITHOUT_NONCE)), Ok(true));
    }

    const WITHOUT_NONCE: &str = "37202c24dde1f3301faf1eee6aeefa62cb6eca681b7e7b2b728f5f54d5391f1c";
}
