//! What the `rsa` crate does with public data alone, for both providers: signatures whose salt may have any length.

use rsa::pkcs8::DecodePublicKey;
use rsa::pss;
use rsa::signature::hazmat::PrehashVerifier;
use sha2::Sha256;

use super::DIGEST_LEN;

/// Whether this is an RSASSA-PSS signature (RFC 8017, section 8.1.2) with a salt of any length.
pub(super) fn verify_pss_any_salt(spki: &[u8], digest: &[u8; DIGEST_LEN], signature: &[u8]) -> bool {
    let verified = || {
        let key = rsa::PublicKey::from_public_key_der(spki).ok()?;
        let signature = pss::Signature::try_from(signature).ok()?;
        pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(key).verify_prehash(digest, &signature).ok()
    };
    verified().is_some()
}
