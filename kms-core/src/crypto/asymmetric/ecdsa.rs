//! Verification of ECDSA over P-256 and secp256k1, by `kms-gm`, whatever provider signs.

use kms_gm::ecdsa::{self, Curve};

use super::DIGEST_LEN;
use super::der::Signature;
use super::spki::coordinates;

pub(super) use kms_gm::ecdsa::{P256, Secp256k1};

/// A public key.
pub(super) struct PublicKey<C: Curve>(ecdsa::PublicKey<C>);

impl<C: Curve> PublicKey<C> {
    pub(super) fn parse(point: &[u8; 65]) -> Option<Self> {
        ecdsa::PublicKey::from_bytes(coordinates(point)?).map(Self)
    }

    pub(super) fn point(&self) -> [u8; 65] {
        let mut point = [4; 65];
        point[1..].copy_from_slice(&self.0.to_bytes());
        point
    }

    /// Either s will do: half of what OpenSSL makes has the higher one.
    pub(super) fn verify(&self, digest: &[u8; DIGEST_LEN], signature: &Signature) -> bool {
        self.0.verify(digest, &signature.to_bytes())
    }
}
