//! Who asks: the signature of a request, its time stamp and its nonce. This is step 2 of the contract's order of checks
//! (OP-10).
//!
//! ```text
//!   headers, parameters ──► acs3 or hmac_sha1 ──► Claim { AccessKeyId, time stamp, nonce, action, Proof }
//!                                                   │
//!                          common parameters and    │  secret of that AccessKey, or a dummy
//!                          time stamp are checked   ▼
//!                                                 Proof::is_by ──► is the AccessKey there? is it right? is it enabled? ──► nonce
//! ```
//!
//! Nothing is told about an AccessKey to one who does not hold its secret, but whether it exists: that the contract wants told.
//! Whether it is enabled, and which nonces it has used, is asked only when the signature is right.

mod acs3;
mod hmac_sha1;
pub(crate) mod nonce;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use kms_core::model::AccessKey;
use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};

use crate::rpc::Parameters;
use nonce::Nonces;

/// The one version of the API.
const VERSION: &str = "2016-01-20";

/// What stands for the secret of an AccessKey that is not there. It has the length that secrets have.
const DUMMY_SECRET: &[u8; 30] = b"there is no such AccessKey: 30";

/// What of a request is signed.
pub(crate) struct Request<'r> {
    pub(crate) method: &'r Method,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: &'r [u8],
    pub(crate) parameters: &'r Parameters,
}

/// One who has proved to hold an AccessKey, and what he asks for.
pub(crate) struct Caller {
    pub(crate) key: Arc<AccessKey>,
    pub(crate) action: String,
}

/// What a request says of itself, before it is believed.
struct Claim<'r> {
    access_key_id: &'r str,
    stamp: Timestamp,
    nonce: Option<&'r str>,
    /// Empty if there is none: that has its own turn, which is later.
    action: &'r str,
    proof: Proof,
}

/// The signature, and what it is compared with.
enum Proof {
    HmacSha1 { signature: [u8; 20] },
    Acs3 { signature: [u8; 32], canonical_hash: [u8; 32] },
}

impl Proof {
    fn is_by(&self, secret: &[u8], request: &Request<'_>) -> bool {
        match self {
            Self::HmacSha1 { signature } => hmac_sha1::is_by(secret, signature, request),
            Self::Acs3 { signature, canonical_hash } => acs3::is_by(secret, signature, canonical_hash),
        }
    }
}

/// When a time stamp may be: a skew to either side of now.
pub(crate) struct Window {
    pub(crate) now: Timestamp,
    /// In seconds.
    pub(crate) skew: u64,
}

impl Window {
    /// Reads a time stamp of the form `YYYY-MM-DDThh:mm:ssZ`.
    ///
    /// # Errors
    /// `IllegalTimestamp` for one that is absent, of another form, or outside of the window (OP-03).
    fn admit(&self, text: Option<&str>) -> Result<Timestamp, KmsError> {
        text.filter(|text| text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'))
            .and_then(|text| text.parse().ok())
            .filter(|stamp: &Timestamp| stamp.unix().abs_diff(self.now.unix()) <= self.skew)
            .ok_or_else(|| ErrorCode::IllegalTimestamp.into())
    }
}

/// Finds out who asks.
///
/// # Errors
/// `MissingParameter`, `InvalidParameter` and `IllegalTimestamp` for the common parameters, `IncompleteSignature`,
/// `InvalidAccessKeyId.NotFound`, `Forbidden.AccessKey`, and those of [`Nonces::admit`].
pub(crate) fn caller(
    request: &Request<'_>,
    window: &Window,
    nonces: Option<&Nonces>,
    look_up: impl Fn(&str) -> Option<Arc<AccessKey>>,
) -> Result<Caller, KmsError> {
    let claim = match acs3_authorization(request.headers)? {
        Some(fields) => acs3::claim(request, fields, window)?,
        None => hmac_sha1::claim(request, window)?,
    };
    let key = prove(look_up(claim.access_key_id), |secret| claim.proof.is_by(secret, request))?;
    if let (Some(nonces), Some(nonce)) = (nonces, claim.nonce) {
        nonces.admit(claim.access_key_id, nonce, claim.stamp, window.now)?;
    }
    Ok(Caller { key, action: claim.action.to_owned() })
}

/// Lets the owner of an enabled AccessKey pass. The same work is done for one that is not there: otherwise the time that a
/// refusal takes would tell of AccessKeys what the code of the refusal tells, to those who cannot read the code.
fn prove(key: Option<Arc<AccessKey>>, is_by: impl FnOnce(&[u8]) -> bool) -> Result<Arc<AccessKey>, KmsError> {
    let right = is_by(key.as_ref().map_or(DUMMY_SECRET, |key| key.secret.expose()));
    let key = key.ok_or(ErrorCode::AccessKeyNotFound)?;
    if !right {
        return Err(ErrorCode::IncompleteSignature.into());
    }
    if !key.enabled {
        return Err(ErrorCode::AccessKeyDisabled.into());
    }
    Ok(key)
}

/// What stands behind the name of the newer scheme in the header Authorization. Without that name the older scheme has its say.
fn acs3_authorization(headers: &HeaderMap) -> Result<Option<&str>, KmsError> {
    let values = headers.get_all(AUTHORIZATION);
    let Some(scheme) = values.iter().find(|value| value.as_bytes().starts_with(b"ACS3-")) else { return Ok(None) };
    // Two of them: which one would be meant?
    if values.iter().nth(1).is_some() {
        return Err(ErrorCode::IncompleteSignature.into());
    }
    let text = scheme.to_str().map_err(|_| ErrorCode::IncompleteSignature)?;
    let (name, fields) = text.split_once(' ').unwrap_or((text, ""));
    expect("SignatureMethod", name, acs3::NAME)?;
    Ok(Some(fields))
}

fn expect(name: &'static str, text: &str, expected: &str) -> Result<(), KmsError> {
    if text == expected { Ok(()) } else { Err(KmsError::invalid(name)) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use http::HeaderValue;
    use kms_core::model::AccessKeyId;
    use kms_core::secret::SecretBytes;

    use super::*;

    pub(super) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The code of a refusal, and the parameter that it names.
    pub(super) fn code<T>(result: Result<T, KmsError>) -> String {
        match result {
            Ok(_) => String::new(),
            Err(error) => {
                let detail = error.detail().map(|detail| format!(" {detail}")).unwrap_or_default();
                format!("{}{detail}", error.code().as_str())
            }
        }
    }

    fn key(enabled: bool) -> Arc<AccessKey> {
        Arc::new(AccessKey {
            id: AccessKeyId::parse("LKMS000000000000").unwrap(),
            secret: SecretBytes::copied_from(b"testsecret"),
            account: "1000000000000000".to_owned(),
            created: Timestamp::EPOCH,
            enabled,
            comment: String::new(),
        })
    }

    fn ask(query: &str, now: &str, nonces: Option<&Nonces>, enabled: bool) -> Result<Caller, KmsError> {
        let headers = HeaderMap::new();
        let parameters = Parameters::read(&Method::GET, query, &headers, b"").unwrap();
        let request = Request { method: &Method::GET, headers: &headers, body: b"", parameters: &parameters };
        let window = Window { now: at(now), skew: 900 };
        caller(&request, &window, nonces, |id| (id == "testid").then(|| key(enabled)))
    }

    const NOW: &str = "2016-03-28T03:13:08Z";
    /// The worked example of the contract, chapter 2.
    const EXAMPLE: &str = "Format=json&Version=2016-01-20&AccessKeyId=testid&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
        &Timestamp=2016-03-28T03%3A13%3A08Z&Action=CreateKey&Signature=41wk2SSX1GJh7fwnc5eqOfiJPFg%3D";

    #[test]
    fn the_owner_passes() {
        let caller = ask(EXAMPLE, NOW, None, true).unwrap();
        assert_eq!((caller.key.account.as_str(), caller.action.as_str()), ("1000000000000000", "CreateKey"));
    }

    /// OP-03, OP-06, OP-09: each is looked at when those before it are right, and before those behind it, which are absent here.
    #[test]
    fn common_parameters_are_checked_in_turn() {
        let right = ["Version=2016-01-20", "AccessKeyId=nobody", "SignatureMethod=HMAC-SHA1", "SignatureVersion=1.0"];
        for (at, wrong) in [
            (0, &["2016-01-21", "2016-1-20", "1"][..]),
            (1, &[]),
            (2, &["HMAC-SHA256", "hmac-sha1"]),
            (3, &["2.0", "1"]),
        ] {
            let name = right[at].split_once('=').unwrap().0;
            let with = |piece: &str| code(ask(&format!("{}&{piece}", right[..at].join("&")), NOW, None, true));
            assert_eq!(with(""), format!("MissingParameter {name}"));
            assert_eq!(with(&format!("{name}=")), format!("MissingParameter {name}"));
            for wrong in wrong {
                assert_eq!(with(&format!("{name}={wrong}")), format!("InvalidParameter {name}"), "{wrong}");
            }
        }
        let right = right.join("&");
        assert_eq!(code(ask(&right, NOW, None, true)), "IllegalTimestamp");
        let right = right + "&Timestamp=2016-03-28T03:13:08Z";
        assert_eq!(code(ask(&right, NOW, None, true)), "IncompleteSignature");
        let right = right + "&Signature=41wk2SSX1GJh7fwnc5eqOfiJPFg%3D";
        assert_eq!(code(ask(&right, NOW, None, true)), "InvalidAccessKeyId.NotFound");
    }

    #[test]
    fn time_stamps_have_one_form_and_fifteen_minutes() {
        for (now, outcome) in [
            ("2016-03-28T03:13:08Z", ""),
            ("2016-03-28T03:28:08Z", ""),
            ("2016-03-28T02:58:08Z", ""),
            ("2016-03-28T03:28:09Z", "IllegalTimestamp"),
            ("2016-03-28T02:58:07Z", "IllegalTimestamp"),
            ("1970-01-01T00:00:00Z", "IllegalTimestamp"),
        ] {
            assert_eq!(code(ask(EXAMPLE, now, None, true)), outcome, "{now}");
        }
        let stamp = "2016-03-28T03%3A13%3A08Z";
        for other in [
            "",
            "2016-03-28T03:13:08",
            "2016-03-28T03:13:08z",
            "2016-03-28t03:13:08Z",
            "2016-03-28%2003:13:08Z",
            "2016-03-28T03:13:08.0Z",
            "2016-03-28T03:13:08%2B00:00",
            "2016-02-30T03:13:08Z",
            "1459134788",
            "0000-00-00T00:00:00Z",
            "2016-03-28T03:13:08+Z",
            "%E4%B8%AD%E4%B8%AD%E4%B8%AD%E4%B8%AD%E4%B8%AD%E4%B8%AD1Z",
        ] {
            assert_eq!(code(ask(&EXAMPLE.replace(stamp, other), NOW, None, true)), "IllegalTimestamp", "{other}");
        }
        assert_eq!(code(ask(&EXAMPLE.replace("Timestamp=", "X="), NOW, None, true)), "IllegalTimestamp");
    }

    #[test]
    fn a_signature_is_complete_or_not() {
        let signature = "Signature=41wk2SSX1GJh7fwnc5eqOfiJPFg%3D";
        for other in ["", "Signature=", "Signature", "Signature=x", "Signature=51wk2SSX1GJh7fwnc5eqOfiJPFg%3D"] {
            assert_eq!(
                code(ask(&EXAMPLE.replace(signature, other), NOW, None, true)),
                "IncompleteSignature",
                "{other}"
            );
        }
        for changed in [EXAMPLE.replace("CreateKey", "ListKeys"), format!("{EXAMPLE}&X=")] {
            assert_eq!(code(ask(&changed, NOW, None, true)), "IncompleteSignature", "{changed}");
        }
        // An action is not asked for here.
        assert_eq!(code(ask(&EXAMPLE.replace("Action=CreateKey&", ""), NOW, None, true)), "IncompleteSignature");
    }

    #[test]
    fn whether_it_is_enabled_is_told_to_its_owner_alone() {
        assert_eq!(code(ask(EXAMPLE, NOW, None, false)), "Forbidden.AccessKey");
        assert_eq!(code(ask(&EXAMPLE.replace("CreateKey", "ListKeys"), NOW, None, false)), "IncompleteSignature");
    }

    /// Goal: a refusal takes as long for an AccessKey that is not there as for a wrong signature. Method: the signature is
    /// computed once in each case, with a secret of the usual length, and nothing that it says lets a stranger in.
    #[test]
    fn for_an_unknown_access_key_the_same_is_done() {
        for says in [true, false] {
            for (key, outcome) in [
                (None, "InvalidAccessKeyId.NotFound"),
                (Some(key(true)), if says { "" } else { "IncompleteSignature" }),
                (Some(key(false)), if says { "Forbidden.AccessKey" } else { "IncompleteSignature" }),
            ] {
                let asked = RefCell::new(Vec::new());
                let there = key.is_some();
                let proved = prove(key, |secret| {
                    asked.borrow_mut().push(secret.to_vec());
                    says
                });
                assert_eq!(code(proved), outcome);
                let secret = if there { b"testsecret".to_vec() } else { DUMMY_SECRET.to_vec() };
                assert_eq!(asked.into_inner(), [secret]);
            }
        }
        let signed_with_dummy = ask(&EXAMPLE.replace("testid", "nobody"), NOW, None, true);
        assert_eq!(code(signed_with_dummy), "InvalidAccessKeyId.NotFound");
    }

    #[test]
    fn a_nonce_is_looked_at_when_the_signature_is_right() {
        // Signed with Python's hmac: the example with SignatureNonce=n1.
        let with_nonce =
            EXAMPLE.replace("41wk2SSX1GJh7fwnc5eqOfiJPFg", "SBhu2jAJ1BlS0QKhyIJ%2FxBrYuzM") + "&SignatureNonce=n1";
        let nonces = Nonces::new(1000, 900);
        let forged = with_nonce.replace("CreateKey", "ListKeys");
        assert_eq!(code(ask(&forged, NOW, Some(&nonces), true)), "IncompleteSignature");
        assert_eq!(code(ask(&with_nonce, NOW, Some(&nonces), false)), "Forbidden.AccessKey");
        assert_eq!(code(ask(&with_nonce, NOW, Some(&nonces), true)), "");
        assert_eq!(code(ask(&with_nonce, NOW, Some(&nonces), true)), "SignatureNonceUsed");
        assert_eq!(code(ask(&forged, NOW, Some(&nonces), true)), "IncompleteSignature");
        // It can be switched off, and it is optional.
        assert_eq!(code(ask(&with_nonce, NOW, None, true)), "");
        for _ in 0..2 {
            assert_eq!(code(ask(EXAMPLE, NOW, Some(&nonces), true)), "");
        }
    }

    #[test]
    fn the_header_chooses_the_scheme() {
        let headers = |values: &[&'static str]| {
            HeaderMap::from_iter(values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))))
        };
        for (values, fields, refusal) in [
            (&[][..], None, ""),
            (&["Basic dGVzdA=="], None, ""),
            (&["acs id:signature"], None, ""),
            (&["ACS3-HMAC-SHA256 Credential=a,Signature=b"], Some("Credential=a,Signature=b"), ""),
            (&["ACS3-HMAC-SHA256"], Some(""), ""),
            (&["ACS3-HMAC-SM3 Credential=a"], None, "InvalidParameter SignatureMethod"),
            (&["ACS3-HMAC-SHA256x Credential=a"], None, "InvalidParameter SignatureMethod"),
            (&["ACS3-HMAC-SHA256 a", "ACS3-HMAC-SHA256 b"], None, "IncompleteSignature"),
            (&["Basic dGVzdA==", "ACS3-HMAC-SHA256 b"], None, "IncompleteSignature"),
        ] {
            let headers = headers(values);
            let found = acs3_authorization(&headers);
            assert_eq!(found.as_ref().ok().copied().flatten(), fields, "{values:?}");
            assert_eq!(code(found), refusal, "{values:?}");
        }
    }
}
