//! Signatures of a digest, and their verification. OpenSSL verifies what each of the others has signed, before anyone is timed.

use std::ffi::CString;
use std::hint::black_box;
use std::ptr;
use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki_sys::{
    CK_MECHANISM, CK_RSA_PKCS_PSS_PARAMS, CKG_MGF1_SHA256, CKM_ECDSA, CKM_RSA_PKCS, CKM_RSA_PKCS_PSS, CKM_SHA256,
};
use kms_benches::Contestant;
use kms_benches::abi::Kms;
use kms_benches::asymmetric::create;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::md::Md;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::RsaPssSaltlen;
use secp256k1::{Message, SecretKey, ecdsa};
use serde_json::json;

use crate::done;
use crate::softhsm::{Calls, Token};

const DIGEST: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
const ANOTHER: [u8; 32] = *b"another digest, of which nothing";

/// What stands before a SHA-256 digest under PKCS #1 v1.5 (RFC 8017, 9.2): the other interfaces put it there, `CKM_RSA_PKCS`
/// wants it from its caller.
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
/// The names of the curves in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P256K: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// How something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Pkcs1,
    Pss,
    P256,
    P256K,
    Sm2,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Pkcs1, Self::Pss, Self::P256, Self::P256K, Self::Sm2];

    /// libkms's names of the kind of key and of the algorithm.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Pkcs1 => ("RSA_2048", "RSA_PKCS1_SHA_256"),
            Self::Pss => ("RSA_2048", "RSA_PSS_SHA_256"),
            Self::P256 => ("EC_P256", "ECDSA_SHA_256"),
            Self::P256K => ("EC_P256K", "ECDSA_SHA_256"),
            Self::Sm2 => ("EC_SM2", "SM2DSA"),
        }
    }
}

/// All groups: libkms first.
///
/// # Panics
/// When a contestant's result is wrong.
#[must_use]
pub fn groups(kms: &Arc<Kms>, token: &Token) -> Vec<(String, Vec<Contestant>)> {
    let mut groups = Vec::new();
    for algorithm in Algorithm::ALL {
        let mut contestants = vec![libkms(kms, algorithm), openssl(algorithm)];
        if algorithm != Algorithm::Sm2 {
            contestants.push(softhsm(token, algorithm));
        }
        if algorithm == Algorithm::P256K {
            contestants.push(libsecp256k1());
        }
        let (signing, verifying): (Vec<_>, Vec<_>) =
            contestants.into_iter().map(|[sign, verify]| (sign, verify)).unzip();
        let (spec, name) = algorithm.names();
        groups.push((format!("Sign {spec} {name}"), signing));
        groups.push((format!("Verify {spec} {name}"), verifying));
    }
    groups
}

/// Signing, and verifying what was signed.
type Two = [Contestant; 2];

fn libkms(kms: &Arc<Kms>, algorithm: Algorithm) -> Two {
    let (spec, name) = algorithm.names();
    let (key, version) = create(kms, spec, "SIGN/VERIFY");
    let name = CString::new(name).expect("a name has no NUL");
    let mut out = vec![0; 384];
    let len = kms.sign(&key, &version, &name, &DIGEST, &mut out);
    let signature = out[..len].to_vec();
    assert!(kms.verify(&key, &version, &name, &DIGEST, &signature));
    assert!(!kms.verify(&key, &version, &name, &ANOTHER, &signature));
    let public =
        kms.call("GetPublicKey", &json!({ "KeyId": key.to_str().ok(), "KeyVersionId": version.to_str().ok() }));
    let public = public["PublicKey"].as_str().expect("a public key in PEM");
    let public = done(PKey::public_key_from_pem(public.as_bytes()));
    openssl_agrees("libkms", algorithm, &public, &signature);

    let (signer, verifier) = (Arc::clone(kms), Arc::clone(kms));
    let (signing_key, signing_version, signing_name) = (key.clone(), version.clone(), name.clone());
    [
        Contestant::of("C ABI", move || {
            let (digest, out) = (black_box(&DIGEST), black_box(&mut out));
            black_box(signer.sign(&signing_key, &signing_version, &signing_name, digest, out));
        }),
        Contestant::of("C ABI", move || {
            assert!(verifier.verify(&key, &version, &name, black_box(&DIGEST), black_box(&signature)));
        }),
    ]
}

fn openssl(algorithm: Algorithm) -> Two {
    let key = openssl_key(algorithm);
    let (mut signing, mut verifying) = (signing(algorithm, &key), verifying(algorithm, &key));
    let mut out = vec![0; 384];
    let len = done(signing.sign(&DIGEST, Some(&mut out)));
    let signature = out[..len].to_vec();
    openssl_agrees("OpenSSL", algorithm, &key, &signature);
    [
        Contestant::of("OpenSSL", move || {
            black_box(done(signing.sign(black_box(&DIGEST), Some(black_box(&mut out)))));
        }),
        Contestant::of("OpenSSL", move || {
            assert!(done(verifying.verify(black_box(&DIGEST), black_box(&signature))));
        }),
    ]
}

/// A key as a program of today has it: read from its bytes, which puts it where OpenSSL 3 keeps keys. One that was put
/// together from numbers is converted once more.
fn openssl_key(algorithm: Algorithm) -> PKey<Private> {
    let curve = |nid| {
        let group = done(EcGroup::from_curve_name(nid));
        done(PKey::from_ec_key(done(EcKey::generate(&group))))
    };
    let key = match algorithm {
        Algorithm::Pkcs1 | Algorithm::Pss => done(PKey::from_rsa(done(Rsa::generate(2048)))),
        Algorithm::P256 => curve(Nid::X9_62_PRIME256V1),
        Algorithm::P256K => curve(Nid::SECP256K1),
        Algorithm::Sm2 => curve(Nid::SM2),
    };
    done(PKey::private_key_from_pem(&done(key.private_key_to_pem_pkcs8())))
}

/// What an operation on digests needs to be told of the algorithm.
fn prepare<T>(algorithm: Algorithm, context: &mut PkeyCtx<T>) {
    match algorithm {
        Algorithm::Pkcs1 => done(context.set_rsa_padding(Padding::PKCS1)),
        Algorithm::Pss => {
            done(context.set_rsa_padding(Padding::PKCS1_PSS));
            done(context.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH));
        }
        // The digest of SM2 is SM3, without being told.
        Algorithm::Sm2 => return,
        Algorithm::P256 | Algorithm::P256K => {}
    }
    done(context.set_signature_md(Md::sha256()));
}

fn signing(algorithm: Algorithm, key: &PKeyRef<Private>) -> PkeyCtx<Private> {
    let mut context = done(PkeyCtx::new(key));
    done(context.sign_init());
    prepare(algorithm, &mut context);
    context
}

fn verifying<T: HasPublic>(algorithm: Algorithm, key: &PKeyRef<T>) -> PkeyCtx<T> {
    let mut context = done(PkeyCtx::new(key));
    done(context.verify_init());
    prepare(algorithm, &mut context);
    context
}

fn openssl_agrees<T: HasPublic>(whose: &str, algorithm: Algorithm, key: &PKeyRef<T>, signature: &[u8]) {
    let mut context = verifying(algorithm, key);
    let mut verifies = |digest| context.verify(digest, signature).unwrap_or(false);
    assert!(verifies(&DIGEST), "OpenSSL verifies a signature of {whose} by {algorithm:?}");
    assert!(!verifies(&ANOTHER), "OpenSSL refuses a signature of {whose} by {algorithm:?} for another digest");
}

fn softhsm(token: &Token, algorithm: Algorithm) -> Two {
    let session = &token.session;
    let curve = match algorithm {
        Algorithm::P256 => Some(P256.to_vec()),
        Algorithm::P256K => Some(P256K.to_vec()),
        _ => None,
    };
    let (public, private) = match &curve {
        Some(curve) => session.generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[Attribute::Token(true), Attribute::Verify(true), Attribute::EcParams(curve.clone())],
            &[Attribute::Token(true), Attribute::Sign(true)],
        ),
        None => session.generate_key_pair(
            &Mechanism::RsaPkcsKeyPairGen,
            &[Attribute::Token(true), Attribute::Verify(true), Attribute::ModulusBits(2048.into())],
            &[Attribute::Token(true), Attribute::Sign(true)],
        ),
    }
    .expect("a key pair");
    // Signing and verifying take turns with others': each has its own.
    let (signing, verifying) = (Mechanisms::new(token.calls, algorithm), Mechanisms::new(token.calls, algorithm));
    let mut out = vec![0; 384];
    let len = signing.sign(private, &DIGEST, &mut out);
    let signature = out[..len].to_vec();
    assert!(verifying.verify(public, &DIGEST, &signature));
    assert!(!verifying.verify(public, &ANOTHER, &signature));
    let in_der = if curve.is_some() {
        let half = |bytes| done(BigNum::from_slice(bytes));
        done(done(EcdsaSig::from_private_components(half(&signature[..32]), half(&signature[32..]))).to_der())
    } else {
        signature.clone()
    };
    openssl_agrees("SoftHSM2", algorithm, &softhsm_public(token, algorithm, public), &in_der);
    [
        Contestant::of("SoftHSM2", move || {
            black_box(signing.sign(private, black_box(&DIGEST), black_box(&mut out)));
        }),
        Contestant::of("SoftHSM2", move || {
            assert!(verifying.verify(public, black_box(&DIGEST), black_box(&signature)));
        }),
    ]
}

/// The library that secp256k1 has of its own.
fn libsecp256k1() -> Two {
    let key = SecretKey::from_secret_bytes([0x42; 32]).expect("a number below the order");
    let public = secp256k1::PublicKey::from_secret_key(&key);
    let signature = ecdsa::sign(Message::from_digest(DIGEST), &key).serialize_der().to_vec();
    let verifies = move |digest: [u8; 32], signature: &[u8]| {
        let signature = ecdsa::Signature::from_der(signature).expect("a signature in DER");
        ecdsa::verify(&signature, Message::from_digest(digest), &public).is_ok()
    };
    assert!(verifies(DIGEST, &signature));
    assert!(!verifies(ANOTHER, &signature));
    let openssl_public = on_curve(Nid::SECP256K1, &public.serialize_uncompressed());
    openssl_agrees("libsecp256k1", Algorithm::P256K, &openssl_public, &signature);
    [
        Contestant::of("libsecp256k1", move || {
            black_box(ecdsa::sign(Message::from_digest(black_box(DIGEST)), &key).serialize_der());
        }),
        Contestant::of("libsecp256k1", move || assert!(verifies(black_box(DIGEST), black_box(&signature)))),
    ]
}

/// The public key of a pair on the token, for OpenSSL.
fn softhsm_public(token: &Token, algorithm: Algorithm, key: ObjectHandle) -> PKey<Public> {
    let attribute = |kind| {
        let found = token.session.get_attributes(key, &[kind]).expect("a public key is public");
        match found.into_iter().next() {
            Some(Attribute::Modulus(bytes) | Attribute::PublicExponent(bytes) | Attribute::EcPoint(bytes)) => bytes,
            other => panic!("{kind:?} is {other:?}"),
        }
    };
    let curve = match algorithm {
        Algorithm::P256 => Some(Nid::X9_62_PRIME256V1),
        Algorithm::P256K => Some(Nid::SECP256K1),
        _ => None,
    };
    if let Some(curve) = curve {
        // An OCTET STRING of 65 bytes.
        return on_curve(curve, &attribute(AttributeType::EcPoint)[2..]);
    }
    let number = |kind| done(BigNum::from_slice(&attribute(kind)));
    let (n, e) = (number(AttributeType::Modulus), number(AttributeType::PublicExponent));
    done(PKey::from_rsa(done(Rsa::from_public_components(n, e))))
}

/// A public key from its point.
fn on_curve(curve: Nid, point: &[u8]) -> PKey<Public> {
    let group = done(EcGroup::from_curve_name(curve));
    let mut scratch = done(BigNumContext::new());
    let point = done(EcPoint::from_bytes(&group, point, &mut scratch));
    done(PKey::from_ec_key(done(EcKey::from_public_key(&group, &point))))
}

/// PKCS #11's way to say an algorithm, and the calls.
struct Mechanisms {
    calls: Calls,
    algorithm: Algorithm,
    pss: CK_RSA_PKCS_PSS_PARAMS,
}

impl Mechanisms {
    fn new(calls: Calls, algorithm: Algorithm) -> Self {
        let pss = CK_RSA_PKCS_PSS_PARAMS { hashAlg: CKM_SHA256, mgf: CKG_MGF1_SHA256, sLen: DIGEST.len() as u64 };
        Self { calls, algorithm, pss }
    }

    fn mechanism(&self) -> CK_MECHANISM {
        let plain = |mechanism| CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        match self.algorithm {
            Algorithm::Pkcs1 => plain(CKM_RSA_PKCS),
            Algorithm::P256 | Algorithm::P256K => plain(CKM_ECDSA),
            Algorithm::Pss => CK_MECHANISM {
                mechanism: CKM_RSA_PKCS_PSS,
                pParameter: ptr::from_ref(&self.pss).cast_mut().cast(),
                ulParameterLen: size_of::<CK_RSA_PKCS_PSS_PARAMS>() as u64,
            },
            Algorithm::Sm2 => unreachable!("SoftHSM2 has no SM2"),
        }
    }

    /// What the mechanism takes for a digest.
    fn input(&self, digest: &[u8; 32]) -> ([u8; DIGEST_INFO.len() + 32], usize) {
        let mut input = [0; DIGEST_INFO.len() + 32];
        let front = if self.algorithm == Algorithm::Pkcs1 { &DIGEST_INFO[..] } else { &[] };
        input[..front.len()].copy_from_slice(front);
        input[front.len()..][..32].copy_from_slice(digest);
        (input, front.len() + 32)
    }

    fn sign(&self, key: ObjectHandle, digest: &[u8; 32], out: &mut [u8]) -> usize {
        let (input, len) = self.input(digest);
        // SAFETY: the parameter of PSS is in `self`, the others have none.
        unsafe { self.calls.sign(self.mechanism(), key, &input[..len], out) }
    }

    fn verify(&self, key: ObjectHandle, digest: &[u8; 32], signature: &[u8]) -> bool {
        let (input, len) = self.input(digest);
        // SAFETY: as for `sign`.
        unsafe { self.calls.verify(self.mechanism(), key, &input[..len], signature) }
    }
}
