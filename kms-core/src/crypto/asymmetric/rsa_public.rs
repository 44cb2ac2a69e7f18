//! What the `rsa` crate does with public data alone, for both providers: signatures whose salt may have any length.

use rsa::pss;
use rsa::signature::hazmat::PrehashVerifier;
use sha2::Sha256;

use super::DIGEST_LEN;

/// A public key that takes salts of every length.
pub(super) struct AnySalt(pss::VerifyingKey<Sha256>);

impl AnySalt {
    pub(super) fn new(key: rsa::PublicKey) -> Self {
        Self(pss::VerifyingKey::new_with_auto_salt_len(key))
    }

    #[cfg(feature = "native")]
    pub(super) fn parse(spki: &[u8]) -> Option<Self> {
        use rsa::pkcs8::DecodePublicKey;
        rsa::PublicKey::from_public_key_der(spki).ok().map(Self::new)
    }

    /// Whether this is an RSASSA-PSS signature (RFC 8017, section 8.1.2).
    pub(super) fn verify(&self, digest: &[u8; DIGEST_LEN], signature: &[u8]) -> bool {
        pss::Signature::try_from(signature).is_ok_and(|signature| self.0.verify_prehash(digest, &signature).is_ok())
    }
}
