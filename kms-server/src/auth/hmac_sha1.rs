//! The signature of the contract (chapter 2): HMAC-SHA1 over all parameters, which bring everything themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use kms_core::{ErrorCode, KmsError};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::{Claim, Proof, Request, VERSION, Window, expect};
use crate::encoding::{Speller, Spelling};

/// What the common parameters claim (OP-03, OP-06, OP-09).
///
/// # Errors
/// `MissingParameter`, `InvalidParameter`, `IllegalTimestamp` and `IncompleteSignature`.
pub(super) fn claim<'r>(request: &Request<'r>, window: &Window) -> Result<Claim<'r>, KmsError> {
    let parameters = request.parameters;
    let required = |name: &'static str| parameters.text(name).ok_or_else(|| KmsError::missing(name));
    expect("Version", required("Version")?, VERSION)?;
    let access_key_id = required("AccessKeyId")?;
    expect("SignatureMethod", required("SignatureMethod")?, "HMAC-SHA1")?;
    expect("SignatureVersion", required("SignatureVersion")?, "1.0")?;
    let stamp = window.admit(parameters.text("Timestamp"))?;
    let signature = parameters.text("Signature").and_then(read).ok_or(ErrorCode::IncompleteSignature)?;
    Ok(Claim {
        access_key_id,
        stamp,
        nonce: parameters.text("SignatureNonce"),
        action: parameters.text("Action").unwrap_or_default(),
        proof: Proof::HmacSha1 { signature },
    })
}

fn read(signature: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 21];
    let len = STANDARD.decode_slice(signature, &mut bytes).ok()?;
    bytes[..len].try_into().ok()
}

/// Whether the owner of `secret` has signed the request. Takes a time that tells nothing about the right signature.
pub(super) fn is_by(secret: &[u8], signature: &[u8; 20], request: &Request<'_>) -> bool {
    let mut key = Zeroizing::new(Vec::with_capacity(secret.len() + 1));
    key.extend_from_slice(secret);
    key.push(b'&');
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&key) else { return false };
    say(request, |piece| mac.update(piece));
    mac.verify_slice(signature).is_ok()
}

/// Says the text that is signed. It holds the canonical query string, whose names and values are encoded once, encoded as a
/// whole: names and values twice, what joins them once.
fn say(request: &Request<'_>, sink: impl FnMut(&[u8])) {
    let mut text = Speller::new(sink);
    text.raw(request.method.as_str().as_bytes());
    text.raw(b"&%2F&");
    let mut joint = "";
    for parameter in request.parameters.iter().filter(|parameter| parameter.name != "Signature") {
        text.spell(Spelling::ONCE, joint);
        text.spell(Spelling::TWICE, &parameter.name);
        text.spell(Spelling::ONCE, "=");
        text.spell(Spelling::TWICE, &parameter.text);
        joint = "&";
    }
    text.finish();
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, header};

    use super::*;
    use crate::rpc::Parameters;

    struct Sent {
        method: Method,
        query: &'static str,
        form: &'static str,
    }

    fn parameters(sent: &Sent) -> Parameters {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form)]);
        Parameters::read(&sent.method, sent.query, &headers, sent.form.as_bytes()).unwrap()
    }

    fn string_to_sign(sent: &Sent) -> String {
        let mut text = Vec::new();
        let parameters = parameters(sent);
        say(&request(sent, &parameters), |piece| text.extend_from_slice(piece));
        String::from_utf8(text).unwrap()
    }

    fn request<'r>(sent: &'r Sent, parameters: &'r Parameters) -> Request<'r> {
        static HEADERS: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
        Request { method: &sent.method, headers: &HEADERS, body: sent.form.as_bytes(), parameters }
    }

    fn is_by(sent: &Sent, secret: &str) -> bool {
        let parameters = parameters(sent);
        let signature = read(parameters.text("Signature").unwrap()).unwrap();
        super::is_by(secret.as_bytes(), &signature, &request(sent, &parameters))
    }

    /// The worked example of the contract, chapter 2.
    const EXAMPLE: Sent = Sent {
        method: Method::GET,
        query: "Format=json&Version=2016-01-20&AccessKeyId=testid&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
            &Timestamp=2016-03-28T03%3A13%3A08Z&Action=CreateKey&Signature=41wk2SSX1GJh7fwnc5eqOfiJPFg%3D",
        form: "",
    };

    #[test]
    fn the_contracts_example_is_right() {
        assert_eq!(
            string_to_sign(&EXAMPLE),
            "GET&%2F&AccessKeyId%3Dtestid%26Action%3DCreateKey%26Format%3Djson%26SignatureMethod%3DHMAC-SHA1%26\
            SignatureVersion%3D1.0%26Timestamp%3D2016-03-28T03%253A13%253A08Z%26Version%3D2016-01-20"
        );
        assert!(is_by(&EXAMPLE, "testsecret"));
        for wrong in ["testsecret2", "", "testsecret&"] {
            assert!(!is_by(&EXAMPLE, wrong), "{wrong}");
        }
    }

    /// Requests as clients signed them, with the time, the nonce and the secret held fast; nothing of ours is in them.
    #[test]
    fn what_clients_sign_is_right() {
        for (client, sent) in [
            (
                "aliyun-python-sdk-core 2.16.1 (PyPI), all in the query of a POST",
                Sent {
                    method: Method::POST,
                    query: "Action=Encrypt&Version=2016-01-20&KeyId=alias%2Fa%20b&Plaintext=SGVsbG8%2Bd29ybGQ%2FCg%3D%3D\
                        &EncryptionContext=%7B%22k%22%3A%22v~%2A%C3%A9%E4%B8%AD%22%7D&RegionId=cn-hangzhou\
                        &Timestamp=2026-11-24T12%3A00%3A00Z&SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0\
                        &SignatureNonce=7e2f9a52-4e0c-4f0b-a4d2-0c8d5b1f6a10&AccessKeyId=testid&Format=JSON\
                        &Signature=9fSEbrUBtrrN9OB6DJoqd3rg3sA%3D",
                    form: "",
                },
            ),
            (
                "aliyun-python-sdk-core 2.16.1 (PyPI), a secret in the form",
                Sent {
                    method: Method::POST,
                    query: "Action=CreateSecret&Version=2016-01-20&SecretName=s&Timestamp=2026-11-24T12%3A00%3A00Z\
                        &SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0\
                        &SignatureNonce=7e2f9a52-4e0c-4f0b-a4d2-0c8d5b1f6a10&AccessKeyId=testid&Format=JSON\
                        &Signature=lCB9T2l3ErP8yqZEAEhk%2BIX8oyo%3D",
                    form: "SecretData=a%2Bb+c%26d%3De%25f%2A%27%28%29%21~%0D%0A&VersionId=v1",
                },
            ),
            (
                "the same, with the form spelled as Node's encodeURIComponent does",
                Sent {
                    method: Method::POST,
                    query: "Action=CreateSecret&Version=2016-01-20&SecretName=s&Timestamp=2026-11-24T12%3A00%3A00Z\
                        &SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0\
                        &SignatureNonce=7e2f9a52-4e0c-4f0b-a4d2-0c8d5b1f6a10&AccessKeyId=testid&Format=JSON\
                        &Signature=lCB9T2l3ErP8yqZEAEhk%2BIX8oyo%3D",
                    form: "VersionId=v1&SecretData=a%2Bb%20c%26d%3De%25f*'()!~%0D%0A",
                },
            ),
            (
                "@alicloud/pop-core 1.8.0 (npm), POST",
                Sent {
                    method: Method::POST,
                    query: "",
                    form: "AccessKeyId=testid&Action=CreateKey\
                        &Description=it%27s%20%28a%29%20%2A%21~%20%C3%A9%E4%B8%AD%20%2B%26%3D&Format=JSON\
                        &SignatureMethod=HMAC-SHA1&SignatureNonce=0cc175b9c0f1b6a831c399e269772661&SignatureVersion=1.0\
                        &Tag.1.Key=a&Tag.1.Value=b&Tag.2.Key=c&Tag.2.Value=d&Timestamp=2026-11-24T12%3A00%3A00Z\
                        &Version=2016-01-20&Signature=%2BZTRoasxeYYxdcZ0Ej5nQGb%2BvzI%3D",
                },
            ),
            (
                "@alicloud/pop-core 1.8.0 (npm), GET",
                Sent {
                    method: Method::GET,
                    query: "AccessKeyId=testid&Action=CreateKey\
                        &Description=it%27s%20%28a%29%20%2A%21~%20%C3%A9%E4%B8%AD%20%2B%26%3D&Format=JSON\
                        &SignatureMethod=HMAC-SHA1&SignatureNonce=0cc175b9c0f1b6a831c399e269772661&SignatureVersion=1.0\
                        &Tag.1.Key=a&Tag.1.Value=b&Tag.2.Key=c&Tag.2.Value=d&Timestamp=2026-11-24T12%3A00%3A00Z\
                        &Version=2016-01-20&Signature=jrWyJT53gc47REV3BlR9Pt1s4RE%3D",
                    form: "",
                },
            ),
            (
                "alibabacloud-tea-openapi 0.4.6 (PyPI), signature_algorithm v2",
                Sent {
                    method: Method::POST,
                    query: "Action=Decrypt&Format=json&Version=2016-01-20&Timestamp=2026-11-24T12%3A00%3A00Z\
                        &SignatureNonce=0cc175b9c0f1b6a831c399e269772661&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
                        &AccessKeyId=testid&CiphertextBlob=AAEC%2B%2F8%3D&Signature=c09cuby8arxVuQD5InfGet82Yc4%3D",
                    form: "",
                },
            ),
        ] {
            assert!(is_by(&sent, "testsecret"), "{client}");
            assert!(!is_by(&sent, "testsecreT"), "{client}");
        }
    }

    #[test]
    fn a_signature_is_twenty_bytes_in_base64() {
        assert!(read("41wk2SSX1GJh7fwnc5eqOfiJPFg=").is_some());
        for malformed in
            ["", "x", "41wk2SSX1GJh7fwnc5eqOfiJPFg", "41wk2SSX1GJh7fwnc5eqOfiJPA==", "41wk2SSX1GJh7fwnc5eqOfiJPFgA"]
        {
            assert_eq!(read(malformed), None, "{malformed}");
        }
        assert_eq!(read(&"A".repeat(4000)), None);
    }
}
