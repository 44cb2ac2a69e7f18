//! Signatures and public-key encryption: the C ABI, and the libraries beneath it.
//!
//! The library's contestant has a key of its own, parsed beforehand, and writes into memory that is there; what the C ABI
//! adds is everything else that it does. Each has signed and verified, or encrypted and decrypted, before it is timed.

use std::ffi::CString;
use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaParameters,
};
use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use serde_json::json;

use crate::Contestant;
use crate::abi::Kms;

const DIGEST: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
const PLAINTEXT: [u8; 32] = DIGEST;

/// Contestants, by what they do.
pub type Groups = Vec<(String, Vec<Contestant>)>;

/// All groups: the library first, then the C ABI.
///
/// # Panics
/// When a contestant's result is wrong.
#[must_use]
pub fn groups(kms: &Arc<Kms>) -> Groups {
    let mut groups = Groups::new();
    for (spec, size) in [("RSA_2048", KeySize::Rsa2048), ("RSA_3072", KeySize::Rsa3072)] {
        signatures(&mut groups, kms, spec, "RSA_PSS_SHA_256", rsa(size, &RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256));
        signatures(
            &mut groups,
            kms,
            spec,
            "RSA_PKCS1_SHA_256",
            rsa(size, &RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        );
    }
    groups.extend(on_curves(kms));
    for (spec, size) in [("RSA_2048", KeySize::Rsa2048), ("RSA_3072", KeySize::Rsa3072)] {
        encryption(&mut groups, kms, spec, "RSAES_OAEP_SHA_256", oaep(size, &OAEP_SHA256_MGF1SHA256));
        encryption(&mut groups, kms, spec, "RSAES_OAEP_SHA_1", oaep(size, &OAEP_SHA1_MGF1SHA1));
    }
    encryption(&mut groups, kms, "EC_SM2", "SM2PKE", sm2_pke());
    groups
}

/// The signatures of the curves, likewise.
///
/// # Panics
/// When a contestant's result is wrong.
#[must_use]
pub fn on_curves(kms: &Arc<Kms>) -> Groups {
    let mut groups = Groups::new();
    signatures(&mut groups, kms, "EC_P256", "ECDSA_SHA_256", p256());
    signatures(&mut groups, kms, "EC_P256K", "ECDSA_SHA_256", secp256k1());
    signatures(&mut groups, kms, "EC_SM2", "SM2DSA", sm2());
    groups
}

/// Two operations of a library, one of which undoes or checks the other.
type Two = [Contestant; 2];

fn signatures(groups: &mut Groups, kms: &Arc<Kms>, spec: &str, algorithm: &str, [sign, verify]: Two) {
    let key = create(kms, spec, "SIGN/VERIFY");
    let (name, mut out) = (CString::new(algorithm).expect("a name has no NUL"), vec![0; 384]);
    let len = kms.sign(&key.0, &key.1, &name, &DIGEST, &mut out);
    let signature = out[..len].to_vec();
    assert!(kms.verify(&key.0, &key.1, &name, &DIGEST, &signature), "{spec} {algorithm}");
    assert!(!kms.verify(&key.0, &key.1, &name, &[0; 32], &signature), "{spec} {algorithm}");
    let (signer, verifier) = (Arc::clone(kms), Arc::clone(kms));
    let (verifying_key, verifying_name) = (key.clone(), name.clone());
    let signing = Contestant::of("C ABI", move || {
        let len = signer.sign(&key.0, &key.1, &name, black_box(&DIGEST), black_box(&mut out));
        black_box(len);
    });
    let verifying = Contestant::of("C ABI", move || {
        let digest = black_box(&DIGEST);
        assert!(verifier.verify(&verifying_key.0, &verifying_key.1, &verifying_name, digest, black_box(&signature)));
    });
    groups.push((format!("Sign {spec} {algorithm}"), vec![sign, signing]));
    groups.push((format!("Verify {spec} {algorithm}"), vec![verify, verifying]));
}

fn encryption(groups: &mut Groups, kms: &Arc<Kms>, spec: &str, algorithm: &str, [encrypt, decrypt]: Two) {
    let key = create(kms, spec, "ENCRYPT/DECRYPT");
    let (name, mut out) = (CString::new(algorithm).expect("a name has no NUL"), vec![0; 512]);
    let len = kms.asymmetric_encrypt(&key.0, &key.1, &name, &PLAINTEXT, &mut out);
    let ciphertext = out[..len].to_vec();
    let mut plaintext = vec![0; 512];
    assert_eq!(kms.asymmetric_decrypt(&key.0, &key.1, &name, &ciphertext, &mut plaintext), 32);
    assert_eq!(plaintext[..32], PLAINTEXT);
    let (sender, receiver) = (Arc::clone(kms), Arc::clone(kms));
    let (receiving_key, receiving_name) = (key.clone(), name.clone());
    let encrypting = Contestant::of("C ABI", move || {
        let len = sender.asymmetric_encrypt(&key.0, &key.1, &name, black_box(&PLAINTEXT), black_box(&mut out));
        black_box(len);
    });
    let decrypting = Contestant::of("C ABI", move || {
        let (key, ciphertext) = (&receiving_key, black_box(&ciphertext));
        let out = black_box(&mut plaintext);
        black_box(receiver.asymmetric_decrypt(&key.0, &key.1, &receiving_name, ciphertext, out));
    });
    groups.push((format!("Encrypt 32 B {spec} {algorithm}"), vec![encrypt, encrypting]));
    groups.push((format!("Decrypt 32 B {spec} {algorithm}"), vec![decrypt, decrypting]));
}

/// Makes a key; its id and that of its version.
///
/// # Panics
/// When that fails.
#[must_use]
pub fn create(kms: &Kms, spec: &str, usage: &str) -> (CString, CString) {
    let reply = kms.call("CreateKey", &json!({ "KeySpec": spec, "KeyUsage": usage }));
    let id = reply["KeyMetadata"]["KeyId"].as_str().expect("the reply names the key").to_owned();
    let reply = kms.call("ListKeyVersions", &json!({ "KeyId": id }));
    let version = reply["KeyVersions"]["KeyVersion"][0]["KeyVersionId"].as_str().expect("a key has a version");
    [id.as_str(), version].map(|text| CString::new(text).expect("an id has no NUL")).into()
}

fn aws_digest() -> Digest {
    Digest::import_less_safe(&DIGEST, &SHA256).expect("it has 32 bytes")
}

fn rsa(size: KeySize, encoding: &'static dyn RsaEncoding, parameters: &'static RsaParameters) -> Two {
    let key = KeyPair::generate(size).expect("a key");
    let mut out = vec![0; key.public_modulus_len()];
    key.sign_digest(encoding, &aws_digest(), &mut out).expect("a signature");
    let signature = out.clone();
    let public = ParsedPublicKey::new(parameters, key.public_key().as_ref()).expect("a public key");
    public.verify_digest_sig(&aws_digest(), &signature).expect("a good signature");
    [
        Contestant::of("aws-lc-rs", move || {
            key.sign_digest(encoding, black_box(&aws_digest()), black_box(&mut out)).expect("a signature");
        }),
        Contestant::of("aws-lc-rs", move || {
            public.verify_digest_sig(black_box(&aws_digest()), black_box(&signature)).expect("a good signature");
        }),
    ]
}

fn p256() -> Two {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let signature = key.sign_digest(&aws_digest()).expect("a signature");
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref()).expect("a public key");
    public.verify_digest_sig(&aws_digest(), signature.as_ref()).expect("a good signature");
    [
        Contestant::of("aws-lc-rs", move || {
            black_box(key.sign_digest(black_box(&aws_digest())).expect("a signature"));
        }),
        Contestant::of("aws-lc-rs", move || {
            public
                .verify_digest_sig(black_box(&aws_digest()), black_box(signature.as_ref()))
                .expect("a good signature");
        }),
    ]
}

fn secp256k1() -> Two {
    let key = k256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("a key");
    let signature: k256::ecdsa::Signature = key.sign_prehash(&DIGEST).expect("a signature");
    let public = *key.verifying_key();
    public.verify_prehash(&DIGEST, &signature).expect("a good signature");
    [
        Contestant::of("k256", move || {
            let signature: k256::ecdsa::Signature = key.sign_prehash(black_box(&DIGEST)).expect("a signature");
            black_box(signature.to_der());
        }),
        Contestant::of("k256", move || {
            public.verify_prehash(black_box(&DIGEST), black_box(&signature)).expect("a good signature");
        }),
    ]
}

fn sm2() -> Two {
    let key = ::sm2::dsa::SigningKey::from_slice("", &[7; 32]).expect("a key");
    let signature: ::sm2::dsa::Signature = key.sign_prehash(&DIGEST).expect("a signature");
    let public = key.verifying_key().clone();
    public.verify_prehash(&DIGEST, &signature).expect("a good signature");
    [
        Contestant::of("sm2", move || {
            let signature: ::sm2::dsa::Signature = key.sign_prehash(black_box(&DIGEST)).expect("a signature");
            black_box(signature.to_bytes());
        }),
        Contestant::of("sm2", move || {
            public.verify_prehash(black_box(&DIGEST), black_box(&signature)).expect("a good signature");
        }),
    ]
}

fn oaep(size: KeySize, algorithm: &'static OaepAlgorithm) -> Two {
    let private = PrivateDecryptingKey::generate(size).expect("a key");
    let public = OaepPublicEncryptingKey::new(private.public_key()).expect("a public key");
    let private = OaepPrivateDecryptingKey::new(private).expect("a private key");
    let (mut out, mut plaintext) = (vec![0; 512], vec![0; 512]);
    let ciphertext = public.encrypt(algorithm, &PLAINTEXT, &mut out, None).expect("a ciphertext").to_vec();
    let opened = private.decrypt(algorithm, &ciphertext, &mut plaintext, None).expect("a plaintext");
    assert_eq!(opened, PLAINTEXT);
    [
        Contestant::of("aws-lc-rs", move || {
            let ciphertext = public.encrypt(algorithm, black_box(&PLAINTEXT), black_box(&mut out), None);
            black_box(ciphertext.expect("a ciphertext"));
        }),
        Contestant::of("aws-lc-rs", move || {
            let plaintext = private.decrypt(algorithm, black_box(&ciphertext), black_box(&mut plaintext), None);
            black_box(plaintext.expect("a plaintext"));
        }),
    ]
}

fn sm2_pke() -> Two {
    use ::sm2::pke::{DecryptingKey, EncryptingKey};
    let secret = ::sm2::SecretKey::from_slice(&[7; 32]).expect("a key");
    let (public, private) = (EncryptingKey::new(secret.public_key()), DecryptingKey::new(secret));
    let ciphertext = public.encrypt(&mut OsRandom, &PLAINTEXT).expect("a ciphertext");
    assert_eq!(private.decrypt(&ciphertext).expect("a plaintext"), PLAINTEXT);
    [
        Contestant::of("sm2", move || {
            black_box(public.encrypt(&mut OsRandom, black_box(&PLAINTEXT)).expect("a ciphertext"));
        }),
        Contestant::of("sm2", move || {
            black_box(private.decrypt(black_box(&ciphertext)).expect("a plaintext"));
        }),
    ]
}

/// The operating system's randomness, as the sm2 crate asks for it.
struct OsRandom;

impl ::sm2::elliptic_curve::rand_core::TryRng for OsRandom {
    type Error = getrandom::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        getrandom::u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        getrandom::u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        getrandom::fill(bytes)
    }
}

impl ::sm2::elliptic_curve::rand_core::TryCryptoRng for OsRandom {}
