//! Signatures by ECDSA over secp256k1 (SEC 2, section 2.4.1), by `k256`.

use k256::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use k256::ecdsa::{self, SigningKey};

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

    /// The uncompressed point of the public half.
    pub(super) fn public(&self) -> [u8; 65] {
        self.0.verifying_key().to_sec1_point(false).as_bytes().try_into().expect("an uncompressed point has 65 bytes")
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
