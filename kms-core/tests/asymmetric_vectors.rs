//! RSA, ECDSA, SM2 and SM3 against the vectors of others, in every provider that is compiled. `docs/vectors.md` says where
//! they come from.

use std::fs;
use std::path::Path;

use kms_core::crypto::asymmetric::{
    EncryptionScheme, Kind, PrivateKeyOf, Provider, PublicKeyOf, Purpose, SignatureScheme,
};
use kms_core::crypto::digest::Digester;
use kms_core::rng::{EntropyError, Rng};
use serde_json::Value;

/// For blinding alone: nothing here may hang on it.
struct Fives;

impl Rng for Fives {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill(5);
        Ok(())
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.secret(out)
    }
}

fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

fn digest(test: &Value) -> [u8; 32] {
    bytes(test, "digest").try_into().unwrap()
}

/// Runs `check` on every group and test of a file and returns how many tests there were, so that none is lost unseen.
fn each(file: &str, mut check: impl FnMut(&Value, &Value)) -> usize {
    let vectors = read(file);
    let tests =
        list(&vectors, "groups").iter().flat_map(|group| list(group, "tests").iter().map(move |test| (group, test)));
    tests.inspect(|(group, test)| check(group, test)).count()
}

/// Checks signatures: valid ones are, and no others. `acceptable` is refused: the strict reading of RFC 8017.
fn verifies<P: Provider>(file: &str, kind: impl Fn(&Value) -> Kind, scheme: SignatureScheme) -> usize {
    each(file, |group, test| {
        let key = PublicKeyOf::<P>::parse(kind(group), &bytes(group, "spki")).expect("the key of the group");
        assert_eq!(key.spki(), bytes(group, "spki"));
        let valid = key.verify(scheme, &digest(test), &bytes(test, "sig"));
        // Invalid for a verifier that insists on one length of the salt, which ours does not (OP-50).
        let other_salt = text(test, "comment").starts_with("s_len changed to ");
        assert_eq!(valid, test["result"] == "valid" || other_salt, "{file}: {test}");
    })
}

fn rsa(group: &Value) -> Kind {
    match group["keySize"].as_u64() {
        Some(2048) => Kind::Rsa2048,
        Some(3072) => Kind::Rsa3072,
        other => panic!("a key of {other:?} bits"),
    }
}

fn signatures<P: Provider>() {
    assert_eq!(verifies::<P>("ecdsa_p256.json", |_| Kind::P256, SignatureScheme::Ecdsa), 484);
    assert_eq!(verifies::<P>("ecdsa_secp256k1.json", |_| Kind::Secp256k1, SignatureScheme::Ecdsa), 476);
    assert_eq!(verifies::<P>("rsa_pkcs1_verify.json", rsa, SignatureScheme::RsaPkcs1), 518);
    assert_eq!(verifies::<P>("rsa_pss_verify.json", rsa, SignatureScheme::RsaPss), 325);
    assert_eq!(verifies::<P>("cavp_ecdsa_p256_verify.json", |_| Kind::P256, SignatureScheme::Ecdsa), 15);
    assert_eq!(verifies::<P>("cavp_ecdsa_p256_sign.json", |_| Kind::P256, SignatureScheme::Ecdsa), 15);
    assert_eq!(verifies::<P>("cavp_rsa_pkcs1_verify.json", rsa, SignatureScheme::RsaPkcs1), 36);
    assert_eq!(verifies::<P>("cavp_rsa_pss_verify.json", rsa, SignatureScheme::RsaPss), 36);
}

/// PKCS #1 v1.5 is deterministic: what is signed is what NIST has.
fn rsa_signatures_are_nists<P: Provider>() {
    let count = each("cavp_rsa_pkcs1_sign.json", |group, test| {
        let key = PrivateKeyOf::<P>::parse(rsa(group), Purpose::Sign, &bytes(group, "pkcs8")).expect("a private key");
        assert_eq!(key.public().spki(), bytes(group, "spki"));
        let mut out = [0; 384];
        let len = key.sign(SignatureScheme::RsaPkcs1, &digest(test), &mut Fives, &mut out).unwrap();
        assert_eq!(hex::encode(&out[..len]), text(test, "sig"));
    });
    assert_eq!(count, 20);
}

/// Decrypts a test and holds the outcome against it.
fn decrypts<P: Provider>(group: &Value, test: &Value, purpose: Purpose, scheme: EncryptionScheme) {
    let key = PrivateKeyOf::<P>::parse(rsa(group), purpose, &bytes(group, "pkcs8")).expect("a private key");
    let mut out = [0x5a; 384];
    match key.decrypt(scheme, &bytes(test, "ct"), &mut Fives, &mut out) {
        Ok(len) => {
            assert_eq!(test["result"], "valid", "{test}");
            assert_eq!(hex::encode(&out[..len]), text(test, "msg"));
        }
        Err(_) => {
            assert_eq!(test["result"], "invalid", "{test}");
            assert_eq!(out, [0x5a; 384], "nothing is written");
        }
    }
}

/// Unwraps a test to the length of its message, which an invalid one has too, and to another.
fn unwraps<P: Provider>(group: &Value, test: &Value, scheme: EncryptionScheme) {
    let key = PrivateKeyOf::<P>::parse(rsa(group), Purpose::Unwrap, &bytes(group, "pkcs8")).expect("a private key");
    let message = bytes(test, "msg");
    for len in [message.len(), message.len() + 1] {
        let mut out = vec![0; len];
        let good = key.unwrap(scheme, &bytes(test, "ct"), &mut Fives, &mut out).unwrap();
        let valid = test["result"] == "valid" && len == message.len();
        assert_eq!(bool::from(good), valid, "{test}");
        assert_eq!(out, if valid { message.clone() } else { vec![5; len] }, "{test}");
    }
}

fn oaep<P: Provider>() {
    let count = each("rsa_oaep_decrypt.json", |group, test| {
        let scheme = match text(group, "hash") {
            "SHA-256" => EncryptionScheme::OaepSha256,
            "SHA-1" => EncryptionScheme::OaepSha1,
            other => panic!("{other}"),
        };
        decrypts::<P>(group, test, Purpose::Decrypt, scheme);
        unwraps::<P>(group, test, scheme);
    });
    assert_eq!(count, 99);
}

fn pkcs1<P: Provider>() {
    let count = each("rsa_pkcs1_decrypt.json", |group, test| {
        decrypts::<P>(group, test, Purpose::Unwrap, EncryptionScheme::RsaPkcs1);
        unwraps::<P>(group, test, EncryptionScheme::RsaPkcs1);
    });
    assert_eq!(count, 134);
}

fn sm2_identity<P: Provider>(test: &Value, key: &PublicKeyOf<P>) {
    let za = key.sm2_identity_hash(&bytes(test, "id")).expect("an SM2 key");
    assert_eq!(hex::encode(za), text(test, "za"), "{}", test["comment"]);
    let mut digester = Digester::sm3(&za);
    digester.update(&bytes(test, "msg"));
    assert_eq!(digester.finish(), digest(test), "{}", test["comment"]);
}

fn sm2<P: Provider>() {
    let public = |spki: &[u8]| PublicKeyOf::<P>::parse(Kind::Sm2, spki);
    let private = |test: &Value| PrivateKeyOf::<P>::parse(Kind::Sm2, Purpose::Decrypt, &bytes(test, "d"));
    let (mut signed, mut verified, mut decrypted, mut keys) = (0, 0, 0, 0);
    each("sm2.json", |group, test| match text(group, "type") {
        "Sign" => {
            signed += 1;
            // The others are numbers k that a signer throws away; ours cannot be given one.
            if test["result"] == "valid" {
                let key = private(test).expect("a private key");
                assert_eq!(hex::encode(key.public().spki()), text(test, "spki"));
                sm2_identity(test, key.public());
                assert!(key.public().verify(SignatureScheme::Sm2, &digest(test), &bytes(test, "sig")));
            }
        }
        "Verify" => {
            verified += 1;
            let key = public(&bytes(group, "spki")).expect("the key of the group");
            let valid = key.verify(SignatureScheme::Sm2, &digest(test), &bytes(test, "sig"));
            assert_eq!(valid, test["result"] == "valid", "{test}");
        }
        "Decrypt" => {
            decrypted += 1;
            let key = private(group).expect("a private key");
            let mut out = vec![0x5a; 8192];
            let forms = if test["c1c3c2"].is_string() { &["ct", "c1c3c2"][..] } else { &["ct"] };
            for form in forms {
                let ciphertext = bytes(test, form);
                // The contract's limit comes before everything else.
                let valid = test["result"] == "valid" && ciphertext.len() <= 6144;
                // Not DER, and so invalid as such; but it is the other form, which we take.
                let raw = text(test, "comment") == "not DER: C1, C3, C2";
                match key.decrypt(EncryptionScheme::Sm2, &ciphertext, &mut Fives, &mut out) {
                    Ok(_) if raw => out.fill(0x5a),
                    Ok(len) => {
                        assert!(valid, "{test}");
                        assert_eq!(hex::encode(&out[..len]), text(test, "msg"));
                        out.fill(0x5a);
                    }
                    Err(_) => {
                        assert!(!valid, "{} {form}", test["comment"]);
                        assert!(out.iter().all(|byte| *byte == 0x5a), "nothing is written");
                    }
                }
            }
        }
        "PublicKey" => {
            keys += 1;
            assert_eq!(public(&bytes(test, "spki")).is_some(), test["result"] == "valid", "{test}");
        }
        // Material is the number alone.
        "PrivateKey" => {}
        other => panic!("{other}"),
    });
    assert_eq!((signed, verified, decrypted, keys), (15, 110, 65, 27));
}

macro_rules! providers {
    ($($feature:literal $module:ident $provider:ident)*) => {$(
        #[cfg(feature = $feature)]
        mod $module {
            use kms_core::crypto::asymmetric::$provider;

            #[test]
            fn signatures() {
                super::signatures::<$provider>();
            }

            #[test]
            fn rsa_signatures_are_nists() {
                super::rsa_signatures_are_nists::<$provider>();
            }

            #[test]
            fn oaep() {
                super::oaep::<$provider>();
            }

            #[test]
            fn pkcs1() {
                super::pkcs1::<$provider>();
            }

            #[test]
            fn sm2() {
                super::sm2::<$provider>();
            }
        }
    )*};
}

providers! {
    "native" native Native
    "portable" portable Portable
}

#[test]
fn sm3() {
    let count = each("sm3.json", |_, test| {
        // SM3 by itself: Z_A is the first 32 bytes of the message.
        let message = bytes(test, "msg");
        if let Some((front, rest)) = message.split_first_chunk() {
            let mut digester = Digester::sm3(front);
            digester.update(rest);
            assert_eq!(digester.finish(), digest(test), "{test}");
        }
    });
    assert_eq!(count, 26);
}
