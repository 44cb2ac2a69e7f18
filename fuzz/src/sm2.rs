//! kms-gm's SM2 against the `sm2` crate: the same keys, points, signatures and ciphertexts are good to both, what one signs or
//! encrypts the other verifies or decrypts; by the fastest arithmetic and by the portable one.

use std::convert::Infallible;

use ::sm2::NonZeroScalar;
use ::sm2::dsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use ::sm2::dsa::{Signature, SigningKey, VerifyingKey};
use ::sm2::elliptic_curve::sec1::ToSec1Point;
use ::sm2::pke::{DecryptingKey, Mode};
use arbitrary::{Arbitrary, Unstructured};
use kms_gm::memcheck::use_portable;
use kms_gm::sm2::{OVERHEAD, PrivateKey, PublicKey};

/// The order of the base point, less 1: no private key, since 1 + d has no inverse.
const LAST: [u8; 32] = *b"\
    \xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x72\x03\xdf\x6b\x21\xc6\x05\x2b\x53\xbb\xf4\x09\x39\xd5\x41\x22";

/// As often as a key is used before it gets a table, and once more.
const UNTIL_TABLE: usize = 17;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    portable: bool,
    d: [u8; 32],
    digest: [u8; 32],
    entropy: [u8; 32],
    what: What<'a>,
}

#[derive(Arbitrary, Debug)]
enum What<'a> {
    /// A signature of each, for the other.
    Signed { with_table: bool },
    /// Numbers that nobody signed.
    Foreign { signature: [[u8; 32]; 2] },
    /// A point that nobody has the key of, and a signature by it.
    Point { point: [[u8; 32]; 2], signature: [[u8; 32]; 2] },
    /// A ciphertext of ours, for both.
    Encrypted { with_table: bool, plaintext: &'a [u8] },
    /// A ciphertext that nobody made, or a point of ours with anything behind it.
    Noise { with_point: bool, ciphertext: &'a [u8] },
}

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let Ok(Input { portable, d, digest, entropy, what }) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    use_portable(portable);
    let (key, theirs) = (PrivateKey::from_bytes(&d), SigningKey::from_slice("", &d));
    assert_eq!(key.is_some(), theirs.is_ok() && d != LAST, "one takes a private key that the other does not");
    let (Some(key), Ok(theirs)) = (key, theirs) else { return };
    let public = key.public_key();
    let their_point = theirs.verifying_key().as_affine().to_sec1_point(false);
    assert_eq!(public.to_bytes(), their_point.as_bytes()[1..]);
    match what {
        What::Signed { with_table } => {
            let ours = key.sign(&digest, &entropy);
            let of_them: Signature = theirs.sign_prehash(&digest).expect("a signature");
            for _ in 0..if with_table { UNTIL_TABLE } else { 1 } {
                assert!(verify(&public, theirs.verifying_key(), &digest, &ours));
                assert!(verify(&public, theirs.verifying_key(), &digest, &of_them.to_bytes().into()));
            }
            assert!(!verify(&public, theirs.verifying_key(), &entropy, &ours) || entropy == digest);
        }
        What::Foreign { signature } => {
            verify(&public, theirs.verifying_key(), &digest, &joined(signature));
        }
        What::Point { point, signature } => {
            let point: [u8; 64] = joined(point);
            let (ours, theirs) =
                (PublicKey::from_bytes(&point), VerifyingKey::from_sec1_bytes("", &uncompressed(&point)));
            assert_eq!(ours.is_some(), theirs.is_ok(), "one takes a point that the other does not");
            if let (Some(ours), Ok(theirs)) = (ours, theirs) {
                verify(&ours, &theirs, &digest, &joined(signature));
            }
        }
        What::Encrypted { with_table, plaintext } => {
            if plaintext.is_empty() {
                return;
            }
            let mut ciphertext = vec![0; plaintext.len() + OVERHEAD];
            // Counted, so that a nonce of no use is followed by another.
            let mut count = 0;
            let mut draw = |bytes: &mut [u8; 64]| -> Result<(), Infallible> {
                count += 1;
                bytes[..32].copy_from_slice(&entropy);
                bytes[32..].copy_from_slice(&digest);
                bytes[63] = bytes[63].wrapping_add(count);
                Ok(())
            };
            for _ in 0..if with_table { UNTIL_TABLE } else { 1 } {
                public.encrypt(plaintext, &mut draw, &mut ciphertext).expect("entropy and a plaintext");
            }
            assert_eq!(decrypt(&key, &theirs, &ciphertext).as_deref(), Some(plaintext));
        }
        What::Noise { with_point, ciphertext } => {
            let mut bytes = ciphertext.to_vec();
            if let (true, Some(front)) = (with_point, bytes.first_chunk_mut()) {
                *front = uncompressed(&public.to_bytes());
            }
            decrypt(&key, &theirs, &bytes);
        }
    }
}

fn joined([first, second]: [[u8; 32]; 2]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&first);
    bytes[32..].copy_from_slice(&second);
    bytes
}

fn uncompressed(point: &[u8; 64]) -> [u8; 65] {
    let mut bytes = [4; 65];
    bytes[1..].copy_from_slice(point);
    bytes
}

/// What both say of a signature.
fn verify(key: &PublicKey, theirs: &VerifyingKey, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let valid = key.verify(digest, signature);
    let also = Signature::from_bytes(&(*signature).into())
        .is_ok_and(|signature| theirs.verify_prehash(digest, &signature).is_ok());
    assert_eq!(valid, also, "one takes a signature that the other does not");
    valid
}

/// What both make of a ciphertext.
fn decrypt(key: &PrivateKey, theirs: &SigningKey, ciphertext: &[u8]) -> Option<Vec<u8>> {
    let (front, c2) = ciphertext.split_first_chunk::<OVERHEAD>()?;
    if front[0] != 4 || c2.is_empty() {
        // Their concern is other forms of points too.
        return None;
    }
    let (c1, c3) = (front[1..65].try_into().expect("C1"), front[65..].try_into().expect("C3"));
    let mut plaintext = vec![0xa5; c2.len()];
    let opened = key.decrypt(c1, c3, c2, &mut plaintext);
    let secret: NonZeroScalar = *theirs.as_nonzero_scalar();
    let also = DecryptingKey::new_with_mode(secret, Mode::C1C3C2).decrypt(ciphertext);
    assert_eq!(opened.is_ok(), also.is_ok(), "one takes a ciphertext that the other does not");
    match also {
        Ok(also) => assert_eq!(plaintext, also),
        Err(_) => assert!(plaintext.iter().all(|byte| *byte == 0), "a refusal leaves nothing behind"),
    }
    opened.is_ok().then_some(plaintext)
}
