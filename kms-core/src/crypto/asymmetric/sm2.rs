//! SM2 over its recommended curve (GB/T 32918.5-2017): signatures and public-key encryption, by `kms-gm`.

use kms_gm::sm2::{self, NUMBER_LEN, POINT_LEN};
use kms_secmem::wiped::{Wiped, with_wiped_zeros};

use super::der::{Signature, Sm2Ciphertext};
use super::spki::coordinates;
use super::{DIGEST_LEN, Refused};
use crate::rng::Rng;

pub use kms_gm::sm2::OVERHEAD;

/// The user id of those who have none (GM/T 0009, chapter 10).
pub const DEFAULT_USER_ID: &[u8] = b"1234567812345678";

/// The most bytes that are encrypted (contract, chapter 4).
pub(super) const MAX_PLAINTEXT: usize = 6047;
/// The longest ciphertext in the raw form, which is the longest plaintext and [`OVERHEAD`]. DER has some bytes more.
const MAX_CIPHERTEXT: usize = 6144;

/// Bytes of an uncompressed point.
const POINT: usize = 1 + POINT_LEN;

/// Z_A (GB/T 32918.2-2016, section 5.5). `None` for an id of more than 8191 bytes, whose length in bits does not fit 16.
#[must_use]
pub(super) fn identity_hash(user_id: &[u8], point: &[u8; POINT]) -> Option<[u8; DIGEST_LEN]> {
    sm2::identity_hash(user_id, coordinates(point)?)
}

/// A private key: a number from 1 to n - 2.
pub(super) struct PrivateKey(Wiped<sm2::PrivateKey>);

impl PrivateKey {
    pub(super) fn parse(material: &[u8; 32]) -> Option<Self> {
        let key = sm2::PrivateKey::from_bytes(material)?;
        Some(Self(Wiped::new(|| key)))
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key())
    }

    /// The nonce is derived from key, digest and fresh randomness, which may become known.
    pub(super) fn sign(&self, digest: &[u8; DIGEST_LEN], rng: &mut dyn Rng) -> Result<Signature, Refused> {
        let mut entropy = [0; NUMBER_LEN];
        rng.public(&mut entropy).map_err(|_| Refused)?;
        let signature = self.0.sign(digest, &entropy);
        let (r, s) = signature.split_at(NUMBER_LEN);
        let [r, s] = [r, s].map(|number| number.try_into().expect("half of a signature"));
        Ok(Signature { r, s })
    }

    /// Takes `04 || X || Y || C3 || C2`, and the DER form of GM/T 0009.
    pub(super) fn decrypt(&self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Refused> {
        if ciphertext.len() > MAX_CIPHERTEXT {
            return Err(Refused);
        }
        let mut c1 = [0; POINT_LEN];
        let (c3, c2) = match ciphertext.split_first() {
            Some((4, rest)) => {
                let (point, rest) = rest.split_first_chunk().ok_or(Refused)?;
                c1 = *point;
                rest.split_first_chunk().ok_or(Refused)?
            }
            Some(_) => {
                let Sm2Ciphertext { x, y, c3, c2 } = Sm2Ciphertext::read(ciphertext).ok_or(Refused)?;
                c1[..NUMBER_LEN].copy_from_slice(&x);
                c1[NUMBER_LEN..].copy_from_slice(&y);
                (c3.try_into().map_err(|_| Refused)?, c2)
            }
            None => return Err(Refused),
        };
        let out = out.get_mut(..c2.len()).ok_or(Refused)?;
        with_wiped_zeros(c2.len(), |plaintext| {
            self.0.decrypt(&c1, c3, c2, plaintext).map_err(|_| Refused)?;
            out.copy_from_slice(plaintext);
            Ok(plaintext.len())
        })
    }
}

/// A public key.
pub(super) struct PublicKey(sm2::PublicKey);

impl PublicKey {
    pub(super) fn parse(point: &[u8; POINT]) -> Option<Self> {
        sm2::PublicKey::from_bytes(coordinates(point)?).map(Self)
    }

    pub(super) fn point(&self) -> [u8; POINT] {
        let mut point = [4; POINT];
        point[1..].copy_from_slice(&self.0.to_bytes());
        point
    }

    pub(super) fn verify(&self, digest: &[u8; DIGEST_LEN], signature: &Signature) -> bool {
        self.0.verify(digest, &signature.to_bytes())
    }

    /// Writes `04 || X || Y || C3 || C2` (GB/T 32918.4-2016, section 6.1).
    pub(super) fn encrypt(&self, plaintext: &[u8], rng: &mut dyn Rng, out: &mut [u8]) -> Result<(), Refused> {
        self.0.encrypt(plaintext, |entropy| rng.secret(entropy), out).map_err(|_| Refused)
    }
}
