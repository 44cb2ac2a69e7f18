//! SM2 over its recommended curve (GB/T 32918.5-2017): signatures and public-key encryption, on the arithmetic of `sm2`.

use ::sm2::dsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use ::sm2::dsa::{self, SigningKey, VerifyingKey};
use ::sm2::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use ::sm2::elliptic_curve::{Generate, Group as _};
use ::sm2::{AffinePoint, NonZeroScalar, ProjectivePoint, Scalar, Sec1Point};
use kms_secmem::wiped::{Wiped, with_wiped_zeros};
use sm3::{Digest, Sm3};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::der::{Signature, Sm2Ciphertext};
use super::draw::{Public, Secret};
use super::{DIGEST_LEN, Refused};
use crate::rng::Rng;

/// The user id of those who have none (GM/T 0009, chapter 10).
pub const DEFAULT_USER_ID: &[u8] = b"1234567812345678";

/// The most bytes that are encrypted (contract, chapter 4).
pub(super) const MAX_PLAINTEXT: usize = 6047;
/// How many bytes an SM2 ciphertext is longer than its plaintext.
pub const OVERHEAD: usize = POINT + HASH;
/// The longest ciphertext in the raw form, which is the longest plaintext and [`OVERHEAD`]. DER has some bytes more.
const MAX_CIPHERTEXT: usize = 6144;

const POINT: usize = 65;
const HASH: usize = 32;

/// a, b and the base point of the curve, as they are hashed into Z_A.
const CURVE: [u8; 128] = *b"\
    \xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfc\
    \x28\xe9\xfa\x9e\x9d\x9f\x5e\x34\x4d\x5a\x9e\x4b\xcf\x65\x09\xa7\xf3\x97\x89\xf5\x15\xab\x8f\x92\xdd\xbc\xbd\x41\x4d\x94\x0e\x93\
    \x32\xc4\xae\x2c\x1f\x19\x81\x19\x5f\x99\x04\x46\x6a\x39\xc9\x94\x8f\xe3\x0b\xbf\xf2\x66\x0b\xe1\x71\x5a\x45\x89\x33\x4c\x74\xc7\
    \xbc\x37\x36\xa2\xf4\xf6\x77\x9c\x59\xbd\xce\xe3\x6b\x69\x21\x53\xd0\xa9\x87\x7c\xc6\x2a\x47\x40\x02\xdf\x32\xe5\x21\x39\xf0\xa0";

/// Z_A (GB/T 32918.2-2016, section 5.5): SM3 over the length of the id in bits, the id, the curve, and the public key.
/// `None` for an id of more than 8191 bytes, whose length in bits does not fit 16.
#[must_use]
pub(super) fn identity_hash(user_id: &[u8], point: &[u8; 65]) -> Option<[u8; DIGEST_LEN]> {
    let bits = u16::try_from(user_id.len() * 8).ok()?;
    let hash = Sm3::new().chain_update(bits.to_be_bytes()).chain_update(user_id).chain_update(CURVE);
    Some(hash.chain_update(&point[1..]).finalize().into())
}

/// A private key: a number from 1 to n - 2. Its crate does not wipe it, the place does.
pub(super) struct PrivateKey(Wiped<SigningKey>);

impl PrivateKey {
    pub(super) fn parse(material: &[u8; 32]) -> Option<Self> {
        // The id is of no use here: digests come with Z_A in them.
        let key = SigningKey::from_slice("", material).ok()?;
        // 1 + d has to have an inverse.
        let last: Scalar = **key.as_nonzero_scalar() + Scalar::ONE;
        (!bool::from(last.is_zero())).then(|| Self(Wiped::new(|| key)))
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().clone())
    }

    /// The nonce is derived from key and digest (RFC 6979 with SM3), and fresh randomness is mixed into it.
    pub(super) fn sign(&self, digest: &[u8; DIGEST_LEN], rng: &mut dyn Rng) -> Result<Signature, Refused> {
        let signature: dsa::Signature = self.0.sign_prehash_with_rng(&mut Public(rng), digest).map_err(|_| Refused)?;
        Ok(Signature { r: signature.r_bytes().into(), s: signature.s_bytes().into() })
    }

    /// Takes `04 || X || Y || C3 || C2`, and the DER form of GM/T 0009.
    pub(super) fn decrypt(&self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Refused> {
        if ciphertext.len() > MAX_CIPHERTEXT {
            return Err(Refused);
        }
        let mut c1 = [4; POINT];
        let (c3, c2) = match ciphertext.first() {
            Some(4) => {
                let (point, rest) = ciphertext.split_first_chunk().ok_or(Refused)?;
                c1 = *point;
                rest.split_at_checked(HASH).ok_or(Refused)?
            }
            Some(_) => {
                let Sm2Ciphertext { x, y, c3, c2 } = Sm2Ciphertext::read(ciphertext).ok_or(Refused)?;
                c1[1..33].copy_from_slice(&x);
                c1[33..].copy_from_slice(&y);
                (c3, c2)
            }
            None => return Err(Refused),
        };
        let out = out.get_mut(..c2.len()).ok_or(Refused)?;
        // The cofactor is 1: a point on the curve that is not the one at infinity has the full order.
        let c1 = parse_point(&c1).ok_or(Refused)?;
        let shared = Shared::new(ProjectivePoint::from(c1) * **self.0.as_nonzero_scalar());
        with_wiped_zeros(c2.len(), |plaintext| {
            let has_key_stream = shared.mask(c2, plaintext);
            let is_authentic = bool::from(shared.hash(plaintext).as_slice().ct_eq(c3));
            if !(has_key_stream && is_authentic) {
                return Err(Refused);
            }
            out.copy_from_slice(plaintext);
            Ok(plaintext.len())
        })
    }
}

/// A public key.
pub(super) struct PublicKey(VerifyingKey);

impl PublicKey {
    pub(super) fn parse(point: &[u8; POINT]) -> Option<Self> {
        VerifyingKey::from_sec1_bytes("", point).ok().map(Self)
    }

    pub(super) fn point(&self) -> [u8; POINT] {
        self.0.as_affine().to_sec1_point(false).as_bytes().try_into().expect("an uncompressed point has 65 bytes")
    }

    pub(super) fn verify(&self, digest: &[u8; DIGEST_LEN], signature: &Signature) -> bool {
        dsa::Signature::from_scalars(signature.r, signature.s)
            .is_ok_and(|signature| self.0.verify_prehash(digest, &signature).is_ok())
    }

    /// Writes `04 || X || Y || C3 || C2` (GB/T 32918.4-2016, section 6.1).
    pub(super) fn encrypt(&self, plaintext: &[u8], rng: &mut dyn Rng, out: &mut [u8]) -> Result<(), Refused> {
        assert_eq!(out.len(), plaintext.len() + OVERHEAD, "the output has the length of the ciphertext");
        // Nothing has a key stream that is all zeros.
        if plaintext.is_empty() {
            return Err(Refused);
        }
        let (c1, rest) = out.split_at_mut(POINT);
        let (c3, c2) = rest.split_at_mut(HASH);
        loop {
            let k = Zeroizing::new(NonZeroScalar::try_generate_from_rng(&mut Secret(rng)).map_err(|_| Refused)?);
            let shared = Shared::new(ProjectivePoint::from(*self.0.as_affine()) * **k);
            if shared.mask(plaintext, c2) {
                c1.copy_from_slice(ProjectivePoint::mul_by_generator(&k).to_affine().to_sec1_point(false).as_bytes());
                c3.copy_from_slice(&*shared.hash(plaintext));
                return Ok(());
            }
        }
    }
}

/// A point on the curve from its uncompressed form.
fn parse_point(bytes: &[u8; POINT]) -> Option<AffinePoint> {
    let encoded = Sec1Point::from_bytes(bytes).ok()?;
    AffinePoint::from_sec1_point(&encoded).into_option()
}

/// The point that sender and receiver share: x2 || y2.
struct Shared(Zeroizing<[u8; 64]>);

impl Shared {
    fn new(point: ProjectivePoint) -> Self {
        let encoded = Zeroizing::new(point.to_affine()).to_sec1_point(false);
        let mut bytes = Zeroizing::new([0; 64]);
        bytes.copy_from_slice(&encoded.as_bytes()[1..]);
        Self(bytes)
    }

    /// Adds the key stream (GB/T 32918.4-2016, section 5.4.3) to `from`. `false` when it is all zeros.
    fn mask(&self, from: &[u8], to: &mut [u8]) -> bool {
        let mut any = 0;
        for (i, (from, to)) in from.chunks(HASH).zip(to.chunks_mut(HASH)).enumerate() {
            let counter = u32::try_from(i + 1).expect("a message of a few kilobytes").to_be_bytes();
            let block: Zeroizing<[u8; HASH]> =
                Zeroizing::new(Sm3::new().chain_update(*self.0).chain_update(counter).finalize().into());
            for ((to, from), key) in to.iter_mut().zip(from).zip(block.iter()) {
                *to = from ^ key;
                any |= key;
            }
        }
        any != 0
    }

    /// C3: SM3 over x2, the plaintext and y2.
    fn hash(&self, plaintext: &[u8]) -> Zeroizing<[u8; HASH]> {
        let (x, y) = self.0.split_at(32);
        Zeroizing::new(Sm3::new().chain_update(x).chain_update(plaintext).chain_update(y).finalize().into())
    }
}
