//! ECDSA over secp256k1 (SEC 2, section 2.4.1), by `k256`.

use k256::ecdsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use k256::ecdsa::{self, SigningKey, VerifyingKey};

use super::der::Signature;
use super::draw::Public;
use super::{DIGEST_LEN, Refused};
use crate::rng::Rng;

/// A private key. Its crate wipes it when it goes.
pub(super) struct PrivateKey(SigningKey);

impl PrivateKey {
    pub(super) fn parse(material: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(material).ok().map(Self)
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// The nonce is derived from key and digest (RFC 6979), and fresh randomness is mixed into it (section 3.6): it repeats
    /// for nothing but a broken source *and* an equal digest, and a fault in one signature does not show the key. s is the
    /// lower of the two that would do.
    pub(super) fn sign(&self, digest: &[u8; DIGEST_LEN], rng: &mut dyn Rng) -> Result<Signature, Refused> {
        let signature: ecdsa::Signature =
            self.0.sign_prehash_with_rng(&mut Public(rng), digest).map_err(|_| Refused)?;
        let (r, s) = signature.normalize_s().split_bytes();
        Ok(Signature { r: r.into(), s: s.into() })
    }
}

/// A public key.
pub(super) struct PublicKey(VerifyingKey);

impl PublicKey {
    pub(super) fn parse(point: &[u8; 65]) -> Option<Self> {
        VerifyingKey::from_sec1_bytes(point).ok().map(Self)
    }

    pub(super) fn point(&self) -> [u8; 65] {
        self.0.to_sec1_point(false).as_bytes().try_into().expect("an uncompressed point has 65 bytes")
    }

    /// Either s will do: half of what OpenSSL makes has the higher one, which `k256` takes for a forgery.
    pub(super) fn verify(&self, digest: &[u8; DIGEST_LEN], signature: &Signature) -> bool {
        ecdsa::Signature::from_scalars(signature.r, signature.s)
            .is_ok_and(|signature| self.0.verify_prehash(digest, &signature.normalize_s()).is_ok())
    }
}
