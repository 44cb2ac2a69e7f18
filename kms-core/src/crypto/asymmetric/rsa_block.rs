//! RSA decryption that leaves the padding on, by the `rsa` crate, for both providers.
//!
//! Whoever takes the padding of PKCS #1 v1.5 off must not let it be known whether there was any. aws-lc-rs only offers to do
//! both, and its time then tells, by some 100 ns in 640 µs. So this padding is taken off here (see [`super::pkcs1`]), from a
//! block that is worked out with blinding and, as its crate promises, in constant time.

use rsa::BoxedUint;
use rsa::hazmat::rsa_decrypt_and_check;
use rsa::traits::PublicKeyParts;
use zeroize::Zeroizing;

use super::Refused;
use super::draw::Secret;
use crate::rng::Rng;

/// The padded block in a ciphertext (RFC 8017, section 5.1.2).
pub(super) fn decrypt(
    key: &rsa::PrivateKey,
    ciphertext: &[u8],
    rng: &mut dyn Rng,
) -> Result<Zeroizing<Box<[u8]>>, Refused> {
    if ciphertext.len() != key.size() {
        return Err(Refused);
    }
    let bits = u32::try_from(8 * key.size()).map_err(|_| Refused)?;
    let number = BoxedUint::from_be_slice(ciphertext, bits).map_err(|_| Refused)?;
    let number = rsa_decrypt_and_check(key, Some(&mut Secret(rng)), &number).map_err(|_| Refused)?;
    Ok(Zeroizing::new(Zeroizing::new(number).to_be_bytes()))
}
