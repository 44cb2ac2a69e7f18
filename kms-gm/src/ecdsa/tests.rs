//! Wycheproof's and NIST's signatures, and both ways with the crates `p256` and `k256`, with a table of the key's multiples and
//! without.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::*;
use crate::curve::tests::vectors::{array, signature_from_der, unhex};
use crate::curve::{Portable, Table};

/// What a key says of a signature, with and without a table.
fn verify<C: Curve>(point: &[u8; 65], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let key = PublicKey::<C>::from_bytes(&array(&point[1..])).expect("a point");
    let valid = key.verify(digest, signature);
    assert!(!key.0.has_table());
    key.0.make_table();
    assert_eq!(key.verify(digest, signature), valid, "with a table");
    valid
}

/// Holds all signatures of a file against its judgement, and counts them. Those that are no DER are for whoever reads DER.
fn verifies<C: Curve>(file: &str) -> usize {
    let path = format!("{}/../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).expect("the file")).expect("JSON");
    let mut count = 0;
    for group in file["groups"].as_array().expect("groups") {
        for test in group["tests"].as_array().expect("tests") {
            count += 1;
            let Some(signature) = signature_from_der(&unhex(test, "sig")) else {
                assert_eq!(test["result"], "invalid", "{test}");
                continue;
            };
            let valid = verify::<C>(&array(&unhex(group, "point")), &array(&unhex(test, "digest")), &signature);
            assert_eq!(valid, test["result"] == "valid", "{test}");
        }
    }
    count
}

#[test]
fn signatures_of_p256() {
    assert_eq!(verifies::<P256>("ecdsa_p256.json"), 484);
    assert_eq!(verifies::<P256>("cavp_ecdsa_p256_verify.json"), 15);
    assert_eq!(verifies::<P256>("cavp_ecdsa_p256_sign.json"), 15);
}

#[test]
fn signatures_of_secp256k1() {
    assert_eq!(verifies::<Secp256k1>("ecdsa_secp256k1.json"), 476);
}

/// A curve of which there is another implementation.
trait Known: Curve {
    /// The point of a secret number, 04 || X || Y, and its signature of a digest; `None` for what is no key.
    fn sign(secret: &[u8; 32], digest: &[u8; 32]) -> Option<([u8; 65], [u8; 64])>;
}

macro_rules! known {
    ($($curve:ident $theirs:ident)*) => {$(
        impl Known for $curve {
            fn sign(secret: &[u8; 32], digest: &[u8; 32]) -> Option<([u8; 65], [u8; 64])> {
                use ::$theirs::ecdsa::signature::hazmat::PrehashSigner;

                let key = ::$theirs::ecdsa::SigningKey::from_slice(secret).ok()?;
                let point = array(key.verifying_key().to_sec1_point(false).as_bytes());
                let signature: ::$theirs::ecdsa::Signature = key.sign_prehash(digest).ok()?;
                Some((point, signature.to_bytes().into()))
            }
        }
    )*};
}

known! {
    P256 p256
    Secp256k1 k256
}

/// Another s that is as good, which is the higher one if this is the lower.
fn other_s<C: Curve>(signature: &[u8; 64]) -> [u8; 64] {
    let s = limbs::from_bytes(&array(&signature[32..]));
    array(&[&signature[..32], &limbs::to_bytes(&C::N.sub(&[0; 4], &s))].concat())
}

// Goal: what others sign verifies, with either s, and nothing that is altered does.
fn signatures_of_others<C: Known>() {
    let inputs = (any::<[u8; 32]>(), any::<[u8; 32]>(), 0..512usize, 0..256usize);
    let check = |(secret, digest, bit, bit_of_digest): ([u8; 32], [u8; 32], usize, usize)| {
        let (point, signature) = C::sign(&secret, &digest).expect("a key, but for one in 2^32");
        assert!(verify::<C>(&point, &digest, &signature));
        assert!(verify::<C>(&point, &digest, &other_s::<C>(&signature)));
        let mut bad = signature;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify::<C>(&point, &digest, &bad));
        let mut bad = digest;
        bad[bit_of_digest / 8] ^= 1 << (bit_of_digest % 8);
        assert!(!verify::<C>(&point, &bad, &signature));
        Ok(())
    };
    TestRunner::new(ProptestConfig::with_cases(100)).run(&inputs, check).expect("every case holds");
}

// Goal: numbers out of range are no part of a signature, also where they are good ones and n more.
fn signatures_out_of_range<C: Known>() {
    let n = limbs::to_bytes(&C::N.m);
    let (point, signature) = C::sign(&[1; 32], &[2; 32]).expect("a key");
    let (r, s) = (array(&signature[..32]), array(&signature[32..]));
    for (r, s) in [([0; 32], s), (r, [0; 32]), (n, s), (r, n), ([255; 32], s), (r, [255; 32]), ([0; 32], [0; 32])] {
        assert!(!verify::<C>(&point, &[2; 32], &array(&[r, s].concat())));
    }
    // With the key n - 1, whose point is -G, and the digest 1, u·G + v·P is (1 - r)/s·G. For s = 1 - r that is G, whose x is to
    // be r; what has the x of G for r is a signature.
    let mut last = C::N.m;
    last[0] -= 1;
    let mut one = [0; 32];
    one[31] = 1;
    let (point, _) = C::sign(&limbs::to_bytes(&last), &one).expect("a key");
    let r = C::G.x.number();
    let s = C::N.sub(&[1, 0, 0, 0], &r);
    let joined = |r: &Limbs, s: &Limbs| array(&[limbs::to_bytes(r), limbs::to_bytes(s)].concat());
    assert!(verify::<C>(&point, &one, &joined(&r, &s)));
    // A digest that is n more counts as the same.
    let (more, carry) = limbs::add(&C::N.m, &[1, 0, 0, 0]);
    assert_eq!(carry, 0);
    assert!(verify::<C>(&point, &limbs::to_bytes(&more), &joined(&r, &s)));
    // With the digest r the sum is the point at infinity, which has no x.
    assert!(!verify::<C>(&point, &limbs::to_bytes(&r), &joined(&r, &s)));
}

// Goal: a digest of zero leaves nothing but the key's part, and works.
fn digests_of_zero<C: Known>() {
    let (point, signature) = C::sign(&[3; 32], &[0; 32]).expect("a key");
    assert!(verify::<C>(&point, &[0; 32], &signature));
    assert!(verify::<C>(&point, &limbs::to_bytes(&C::N.m), &signature), "n is zero");
    assert!(!verify::<C>(&point, &[1; 32], &signature));
}

// Goal: what is no point is no key, and a point comes back as it was.
fn keys<C: Known>() {
    let (point, _) = C::sign(&[3; 32], &[0; 32]).expect("a key");
    let point: [u8; 64] = array(&point[1..]);
    assert_eq!(PublicKey::<C>::from_bytes(&point).map(|key| key.to_bytes()), Some(point));
    let mut bad = point;
    bad[63] ^= 1;
    for bad in [bad, [0; 64], [255; 64]] {
        assert!(PublicKey::<C>::from_bytes(&bad).is_none());
    }
}

macro_rules! for_both {
    ($($check:ident)*) => {
        mod p256_ {
            $(#[test] fn $check() { super::$check::<super::P256>(); })*
        }
        mod secp256k1_ {
            $(#[test] fn $check() { super::$check::<super::Secp256k1>(); })*
        }
    };
}
for_both!(signatures_of_others signatures_out_of_range digests_of_zero keys);

// Goal: a key that is used gets a table, and what callers need of stack is bounded when that and the base point's are made.
#[test]
fn keys_get_tables() {
    let work = || {
        let (point, signature) = P256::sign(&[1; 32], &[2; 32]).expect("a key");
        let key = PublicKey::<P256>::from_bytes(&array(&point[1..])).expect("a point");
        // Some more, if just then the tables of other tests fill the room.
        let uses = (1..).find(|_| {
            assert!(key.verify(&[2; 32], &signature));
            key.0.has_table()
        });
        assert_eq!(uses.expect("it gets one") % 16, 0);
        drop(Table::new(Portable, &<P256 as curve::Curve>::G));
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(work).expect("a thread").join().expect("enough stack");
}
