//! Signatures and encryption: `vectors/sm2.json`, and both ways with the `sm2` crate.

use std::convert::Infallible;

use ::sm2::NonZeroScalar;
use ::sm2::dsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use ::sm2::dsa::{Signature, SigningKey};
use ::sm2::elliptic_curve::sec1::ToSec1Point;
use ::sm2::pke::{DecryptingKey, Mode};
use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use super::number;
use crate::curve::tests::vectors::{array, signature_from_der, unhex};
use crate::curve::{Curve, Portable};

/// Bytes of stack that are enough, also without optimisation.
const STACK: usize = 128 << 10;

fn each(kind: &str, mut check: impl FnMut(&Value, &Value)) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/sm2.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).expect(path)).expect("JSON");
    let mut count = 0;
    for group in file["groups"].as_array().expect("groups").iter().filter(|group| group["type"] == kind) {
        for test in group["tests"].as_array().expect("tests") {
            check(group, test);
            count += 1;
        }
    }
    assert!(count > 0, "no test of {kind}");
}

fn signature(test: &Value) -> [u8; SIGNATURE_LEN] {
    array(&[unhex(test, "r"), unhex(test, "s")].concat())
}

fn public(point: &[u8]) -> Option<PublicKey> {
    PublicKey::from_bytes(&array(&point[1..]))
}

// Goal: with the nonce of a sample its signature comes out and verifies, with and without a table, or the nonce is of no use.
#[test]
fn signatures_of_given_nonces() {
    each("Sign", |_, test| {
        let key = PrivateKey::from_bytes(&array(&unhex(test, "d"))).expect("a key");
        let digest = array(&unhex(test, "digest"));
        let k = number(test["k"].as_str().expect("hex"));
        let point = unhex(test, "point");
        if test["result"] == "invalid" {
            assert_eq!(key.sign_with(&digest, &k), None, "{test}");
            return;
        }
        assert_eq!(key.sign_with(&digest, &k), Some(signature(test)), "{test}");
        assert_eq!(key.public_key().to_bytes(), point[1..], "{test}");
        assert_eq!(identity_hash(&unhex(test, "id"), &array(&point[1..])), Some(array(&unhex(test, "za"))));
        let public = key.public_key();
        for _ in 0..40 {
            assert!(public.verify(&digest, &signature(test)), "{test}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn signatures_both_ways(d: [u8; 32], digest: [u8; 32], entropy: [u8; 32]) {
        let key = PrivateKey::from_bytes(&d).expect("a key, but for one in 2^32");
        let theirs = SigningKey::from_slice("", &d).expect("a key");
        let their_point = theirs.verifying_key().as_affine().to_sec1_point(false);
        prop_assert_eq!(&key.public_key().to_bytes(), &their_point.as_bytes()[1..]);
        let signature = key.sign(&digest, &entropy);
        let their_signature = Signature::from_bytes(&signature.into()).expect("a signature");
        prop_assert!(theirs.verifying_key().verify_prehash(&digest, &their_signature).is_ok());
        let of_them: Signature = theirs.sign_prehash(&digest).expect("a signature");
        let public = key.public_key();
        prop_assert!(public.verify(&digest, &signature));
        prop_assert!(public.verify(&digest, &of_them.to_bytes().into()));
        let mut bad = signature;
        bad[usize::from(entropy[0] & 63)] ^= 1 << (entropy[1] & 7);
        prop_assert!(!public.verify(&digest, &bad));
        let mut bad = digest;
        bad[usize::from(entropy[0] & 31)] ^= 1 << (entropy[1] & 7);
        prop_assert!(!public.verify(&bad, &signature));
    }

    #[test]
    fn encryption_both_ways(d: [u8; 32], wide: [[u8; 32]; 2], plaintext in prop::collection::vec(any::<u8>(), 4..200)) {
        let key = PrivateKey::from_bytes(&d).expect("a key, but for one in 2^32");
        let scalar = NonZeroScalar::from_repr(d.into()).expect("a key");
        let theirs = DecryptingKey::new_with_mode(scalar, Mode::C1C3C2);
        let mut ciphertext = vec![0; plaintext.len() + OVERHEAD];
        let entropy = |bytes: &mut [u8; 64]| -> Result<(), Infallible> {
            bytes.copy_from_slice(&wide.concat());
            Ok(())
        };
        key.public_key().encrypt(&plaintext, entropy, &mut ciphertext).expect("entropy and a plaintext");
        prop_assert_eq!(&theirs.decrypt(&ciphertext).expect("their decryption"), &plaintext);
        prop_assert_eq!(decrypted(&key, &ciphertext), Some(plaintext.clone()));
        let mut bad = ciphertext.clone();
        let at = usize::from(wide[0][0]) % bad.len();
        if at > 0 {
            bad[at] ^= 1 << (wide[0][1] & 7);
            prop_assert_eq!(decrypted(&key, &bad), None);
        }
    }
}

// Goal: signatures of all edge cases, with and without a table. Those that are no DER are for whoever reads DER.
#[test]
fn signatures_to_verify() {
    let mut valid = 0;
    each("Verify", |group, test| {
        let point = hex::decode(group["point"].as_str().expect("hex")).expect("hex");
        let Some(signature) = signature_from_der(&unhex(test, "sig")) else {
            assert_eq!(test["result"], "invalid", "{test}");
            return;
        };
        let key = public(&point).expect("a public key");
        for _ in 0..40 {
            let is_valid = key.verify(&array(&unhex(test, "digest")), &signature);
            assert_eq!(is_valid, test["result"] == "valid", "{test}");
        }
        valid += usize::from(test["result"] == "valid");
    });
    assert!(valid > 10);
}

// Goal: numbers out of range are no part of a signature; the sum of both may not be n.
#[test]
fn signatures_out_of_range() {
    let key = PrivateKey::from_bytes(&[1; 32]).expect("a key");
    let public = key.public_key();
    let signature = key.sign(&[2; 32], &[3; 32]);
    assert!(public.verify(&[2; 32], &signature));
    let (r, s) = (array(&signature[..32]), array(&signature[32..]));
    let n = limbs::to_bytes(&N.m);
    let negative = limbs::to_bytes(&limbs::sub(&N.m, &limbs::from_bytes(&r)).0);
    for (r, s) in [([0; 32], s), (r, [0; 32]), (n, s), (r, n), ([255; 32], s), (r, [255; 32]), (r, negative)] {
        assert!(!public.verify(&[2; 32], &array(&[r, s].concat())));
    }
}

// Goal: what is n more is the same residue, and still out of range.
// Method: a signature with r = 1, of the digest that leads there; n + 1 has 256 bits.
#[test]
fn signatures_are_not_reduced() {
    let key = PrivateKey::from_bytes(&[1; 32]).expect("a key");
    let k = [4711, 0, 0, 0];
    let x = scalar::reduced(&on_best!(a => Table::<Sm2>::of_base(a).mul(a, &k).x_coordinate(a)).number());
    let digest = limbs::to_bytes(&N.sub(&[1, 0, 0, 0], &x));
    let mut signature = key.sign_with(&digest, &k).expect("a signature");
    assert_eq!(signature[..32], limbs::to_bytes(&[1, 0, 0, 0]));
    assert!(key.public_key().verify(&digest, &signature));
    let (more, carry) = limbs::add(&[1, 0, 0, 0], &N.m);
    assert_eq!(carry, 0);
    signature[..32].copy_from_slice(&limbs::to_bytes(&more));
    assert!(!key.public_key().verify(&digest, &signature));
}

// Goal: what callers need of stack is bounded, the first time and when a key gets its table too.
#[test]
fn small_stacks_are_enough() {
    let work = || {
        let key = PrivateKey::from_bytes(&[1; 32]).expect("a key");
        let public = key.public_key();
        let signature = key.sign(&[2; 32], &[3; 32]);
        assert!((0..40).all(|_| public.verify(&[2; 32], &signature)));
        // The table of the base point, as in a new process.
        drop(Table::new(Portable, &Sm2::G));
    };
    std::thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread").join().expect("enough stack");
}

// Goal: encryption with the nonces of the samples gives their ciphertexts, and all ciphertexts decrypt or do not.
#[test]
fn ciphertexts() {
    each("Decrypt", |group, test| {
        let key = PrivateKey::from_bytes(&array(&unhex(group, "d"))).expect("a key");
        let Some(ciphertext) = test["c1c3c2"].as_str() else { return };
        let ciphertext = hex::decode(ciphertext).expect("hex");
        if ciphertext.len() < OVERHEAD || ciphertext[0] != 4 {
            return;
        }
        let plaintext = decrypted(&key, &ciphertext);
        assert_eq!(plaintext, (test["result"] == "valid").then(|| unhex(test, "msg")), "{test}");
        if let (Some(k), Some(plaintext)) = (test["k"].as_str(), plaintext) {
            let mut out = vec![0; ciphertext.len()];
            assert!(key.public_key().encrypt_with(&plaintext, &number(k), &mut out));
            assert_eq!(out, ciphertext, "{test}");
        }
    });
}

// Goal: 0, n - 1, n and what is above are no private keys; their neighbours are.
#[test]
fn private_keys_are_in_range() {
    let below = |less: u64| limbs::to_bytes(&limbs::sub(&N.m, &[less, 0, 0, 0]).0);
    let mut one = [0; 32];
    one[31] = 1;
    for (bytes, is_key) in
        [([0; 32], false), (one, true), (below(2), true), (below(1), false), (below(0), false), ([255; 32], false)]
    {
        assert_eq!(PrivateKey::from_bytes(&bytes).is_some(), is_key, "{bytes:x?}");
    }
}

// Goal: the nonce changes with whatever it is made of, and is the same for the same.
#[test]
fn nonces_are_hedged() {
    let key = NonceKey::new(&[1; 32]);
    let nonce = key.nonce(&[2; 32], &[3; 32], 0);
    assert_eq!(nonce, key.nonce(&[2; 32], &[3; 32], 0));
    // Computed with the SM3 of vectors/sm2_reference.py.
    assert_eq!(*nonce, number("ff6d7a564a3c7ecd3abd697c58c81c8fde5f9caf4913461dff6fe4301de0f74a"));
    let others = [
        NonceKey::new(&[9; 32]).nonce(&[2; 32], &[3; 32], 0),
        key.nonce(&[9; 32], &[3; 32], 0),
        key.nonce(&[2; 32], &[9; 32], 0),
        key.nonce(&[3; 32], &[2; 32], 0),
        key.nonce(&[2; 32], &[3; 32], 1),
    ];
    assert!(others.iter().all(|other| *other != nonce));
    assert!(others.iter().enumerate().all(|(i, other)| others[..i].iter().all(|earlier| earlier != other)));
}

// Goal: a nonce of zero, and one that gives no key stream, are not used; an empty plaintext is refused.
#[test]
fn useless_nonces() {
    let key = PrivateKey::from_bytes(&[1; 32]).expect("a key");
    let public = key.public_key();
    assert_eq!(key.sign_with(&[2; 32], &[0; 4]), None);
    assert!(!public.encrypt_with(&[1], &[0; 4], &mut [0; OVERHEAD + 1]));
    let refused = public.encrypt(&[], |_| Err(()), &mut [0; OVERHEAD]);
    assert_eq!(refused, Err(EncryptError::Empty));
    let refused = public.encrypt(&[1], |_| Err(4711), &mut [0; OVERHEAD + 1]);
    assert_eq!(refused, Err(EncryptError::Entropy(4711)));
    // All zeros: the nonce is zero.
    let refused = public.encrypt(&[1], |_| Ok::<(), ()>(()), &mut [0; OVERHEAD + 1]);
    assert_eq!(refused, Err(EncryptError::Broken));
    // One key stream of a byte in 256 is zero.
    let is_useful = |k: &u64| public.encrypt_with(&[1], &[*k, 0, 0, 0], &mut [0; OVERHEAD + 1]);
    let useful = (1..2000).filter(is_useful).count();
    assert!((1960..1999).contains(&useful), "{useful}");
    let useless = (1..2000).find(|k| !is_useful(k)).expect("one of 256");
    let mut out = [0; OVERHEAD + 1];
    assert!(!public.encrypt_with(&[1], &[useless, 0, 0, 0], &mut out));
    assert_eq!(out[OVERHEAD], 0, "nothing of the plaintext is left");
}

fn decrypted(key: &PrivateKey, ciphertext: &[u8]) -> Option<Vec<u8>> {
    let (c1, c3, c2) = (&ciphertext[1..65], &ciphertext[65..97], &ciphertext[97..]);
    let mut plaintext = vec![0x5a; c2.len()];
    let result = key.decrypt(&array(c1), &array(c3), c2, &mut plaintext);
    assert!(result.is_ok() || plaintext.iter().all(|byte| *byte == 0), "a refusal leaves nothing behind");
    result.is_ok().then_some(plaintext)
}

// Goal: there are no more tables than allowed, keys do without, and a key that goes leaves its place to another.
// Method: more keys than tables, all used often; other tests have some tables meanwhile.
#[test]
fn tables_are_limited() {
    let key = PrivateKey::from_bytes(&[1; 32]).expect("a key");
    let signature = key.sign(&[2; 32], &[3; 32]);
    for _ in 0..2 {
        let keys: Vec<_> = (0..=MAX_TABLES).map(|_| key.public_key()).collect();
        for key in &keys {
            assert!(!key.has_table());
            assert!((0..40).all(|_| key.verify(&[2; 32], &signature)));
        }
        let tables = keys.iter().filter(|key| key.has_table()).count();
        assert!((MAX_TABLES / 2..=MAX_TABLES).contains(&tables), "{tables}");
    }
}
