//! kms-gm's ECDSA against the crates `p256` and `k256`: the same points and signatures are good to both, by the fastest arithmetic
//! and by the portable one, with a table of the key's multiples and without.

use arbitrary::{Arbitrary, Unstructured};
use kms_gm::ecdsa::{Curve, P256, PublicKey, Secp256k1};
use kms_gm::memcheck::use_portable;

/// As often as a key is used before it gets a table, and once more.
const UNTIL_TABLE: usize = 17;

#[derive(Arbitrary, Debug)]
struct Input {
    portable: bool,
    with_table: bool,
    secp256k1: bool,
    secret: [u8; 32],
    digest: [u8; 32],
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    /// A signature of the key, and the one with the other s.
    Signed,
    /// A signature of the key with some bits flipped.
    Altered { byte: u8, mask: u8 },
    /// Numbers that nobody signed.
    Foreign { signature: [[u8; 32]; 2] },
    /// Small numbers, and numbers that are a little less or more than the order: the key is such a one too.
    Edges { secret: i8, r: i8, s: i8, digest: i8 },
    /// A point that nobody has the key of, and a signature by it.
    Point { point: [[u8; 32]; 2], signature: [[u8; 32]; 2] },
}

/// A curve of which there is another implementation.
trait Known: Curve {
    /// The order of the base point.
    const ORDER: [u8; 32];

    /// The point of a secret number, 04 || X || Y, and its signature of a digest; `None` for what is no key.
    fn sign(secret: &[u8; 32], digest: &[u8; 32]) -> Option<([u8; 65], [u8; 64])>;

    /// What the crate says of a signature; `None` for what is no point.
    fn verify(point: &[u8; 65], digest: &[u8; 32], signature: &[u8; 64]) -> Option<bool>;
}

macro_rules! known {
    ($($curve:ident $theirs:ident $order:literal)*) => {$(
        impl Known for $curve {
            const ORDER: [u8; 32] = *$order;

            fn sign(secret: &[u8; 32], digest: &[u8; 32]) -> Option<([u8; 65], [u8; 64])> {
                use ::$theirs::ecdsa::signature::hazmat::PrehashSigner;

                let key = ::$theirs::ecdsa::SigningKey::from_slice(secret).ok()?;
                let point = key.verifying_key().to_sec1_point(false).as_bytes().try_into().expect("an uncompressed point");
                let signature: ::$theirs::ecdsa::Signature = key.sign_prehash(digest).expect("a signature");
                Some((point, signature.to_bytes().into()))
            }

            fn verify(point: &[u8; 65], digest: &[u8; 32], signature: &[u8; 64]) -> Option<bool> {
                use ::$theirs::ecdsa::signature::hazmat::PrehashVerifier;

                let key = ::$theirs::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                let signature = ::$theirs::ecdsa::Signature::from_slice(signature);
                // k256 takes the lower s alone.
                Some(signature.is_ok_and(|signature| key.verify_prehash(digest, &signature.normalize_s()).is_ok()))
            }
        }
    )*};
}

known! {
    P256 p256
    b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51"
    Secp256k1 k256
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xba\xae\xdc\xe6\xaf\x48\xa0\x3b\xbf\xd2\x5e\x8c\xd0\x36\x41\x41"
}

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    use_portable(input.portable);
    if input.secp256k1 { run_on::<Secp256k1>(&input) } else { run_on::<P256>(&input) }
}

fn run_on<C: Known>(Input { with_table, secret, digest, what, .. }: &Input) {
    let both = |point: &[u8; 65], digest: &[u8; 32], signature: &[u8; 64]| {
        let ours = PublicKey::<C>::from_bytes(point[1..].try_into().expect("X || Y"));
        let theirs = C::verify(point, digest, signature);
        assert_eq!(ours.is_some(), theirs.is_some(), "one takes a point that the other does not");
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return false };
        assert_eq!(ours.to_bytes(), point[1..]);
        for _ in 0..if *with_table { UNTIL_TABLE } else { 1 } {
            assert_eq!(ours.verify(digest, signature), theirs, "one takes a signature that the other does not");
        }
        theirs
    };
    match what {
        What::Point { point, signature } => {
            let mut bytes = [4; 65];
            bytes[1..].copy_from_slice(&joined(point));
            both(&bytes, digest, &joined(signature));
        }
        What::Edges { secret, r, s, digest } => {
            let [secret, r, s, digest] = [secret, r, s, digest].map(|by| near_order::<C>(*by));
            if let Some((point, _)) = C::sign(&secret, &digest) {
                both(&point, &digest, &joined(&[r, s]));
            }
        }
        What::Foreign { signature } => {
            if let Some((point, _)) = C::sign(secret, digest) {
                both(&point, digest, &joined(signature));
            }
        }
        What::Signed => {
            let Some((point, mut signature)) = C::sign(secret, digest) else { return };
            assert!(both(&point, digest, &signature));
            let s: [u8; 32] = signature[32..].try_into().expect("half of a signature");
            signature[32..].copy_from_slice(&difference(&C::ORDER, &s));
            assert!(both(&point, digest, &signature));
        }
        What::Altered { byte, mask } => {
            let Some((point, mut signature)) = C::sign(secret, digest) else { return };
            signature[usize::from(byte % 64)] ^= mask;
            assert_eq!(both(&point, digest, &signature), *mask == 0);
        }
    }
}

/// The number itself from 0 to 63, the order and that less 64 from 64 on, less from -1 on.
fn near_order<C: Known>(by: i8) -> [u8; 32] {
    let small = |number: u8| {
        let mut bytes = [0; 32];
        bytes[31] = number;
        bytes
    };
    match by {
        0..64 => small(by.unsigned_abs()),
        // The order and some more: its last byte has room for them.
        64.. => {
            let mut bytes = C::ORDER;
            bytes[31] += by.unsigned_abs() - 64;
            bytes
        }
        ..0 => difference(&C::ORDER, &small(by.unsigned_abs())),
    }
}

/// a - b, big-endian, for a that is not less.
fn difference(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut borrow = false;
    let mut bytes = [0; 32];
    for i in (0..32).rev() {
        let (less, under) = a[i].overflowing_sub(b[i]);
        let (less, under_again) = less.overflowing_sub(u8::from(borrow));
        bytes[i] = less;
        borrow = under || under_again;
    }
    bytes
}

fn joined([first, second]: &[[u8; 32]; 2]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(first);
    bytes[32..].copy_from_slice(second);
    bytes
}
