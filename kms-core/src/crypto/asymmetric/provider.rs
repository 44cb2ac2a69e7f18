//! What a provider of RSA and of signing over P-256 has to do. The keys above it are generic over this, so that every provider
//! is tested as the whole that it is used in.

use subtle::Choice;

use super::der::Signature;
use super::{DIGEST_LEN, EncryptionScheme, Kind, Purpose, Refused, SignatureScheme};
use crate::rng::{EntropyError, Rng};
use crate::secret::SecretBytes;

/// Arithmetic for RSA, and for signing over P-256.
pub trait Provider {
    /// RSA private keys.
    type RsaPrivateKey: RsaPrivateKey<Public = Self::RsaPublicKey>;
    /// RSA public keys.
    type RsaPublicKey: RsaPublicKey;
    /// P-256 private keys.
    type P256PrivateKey: P256PrivateKey;
}

/// An RSA private key, prepared for one purpose.
pub trait RsaPrivateKey: Sized {
    /// Its public half.
    type Public: RsaPublicKey;

    /// Draws a key: its PKCS#8 form.
    fn generate(kind: Kind, rng: &mut dyn Rng) -> Result<SecretBytes, EntropyError>;

    /// Parses PKCS#8. `None` for anything but an RSA key of the size of `kind`.
    fn parse(kind: Kind, purpose: Purpose, material: &[u8]) -> Option<(Self, Self::Public)>;

    /// Signs into the front of `out` and returns the length, that of the modulus. The scheme is one of RSA's.
    fn sign(
        &self,
        scheme: SignatureScheme,
        digest: &[u8; DIGEST_LEN],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused>;

    /// Decrypts into the front of `out`. The scheme is one of RSA's, and PKCS #1 v1.5 is refused unless the key is for
    /// unwrapping.
    fn decrypt(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused>;

    /// Overwrites `out` with the plaintext if that has just its length, and returns whether it has. Branches on this no more
    /// than the provider must.
    fn decrypt_exactly(&self, scheme: EncryptionScheme, ciphertext: &[u8], rng: &mut dyn Rng, out: &mut [u8])
    -> Choice;
}

/// An RSA public key.
pub trait RsaPublicKey: Sized {
    /// Parses a SubjectPublicKeyInfo whose sizes have been checked.
    fn parse(spki: &[u8]) -> Option<Self>;

    /// The SubjectPublicKeyInfo.
    fn spki(&self) -> &[u8];

    /// Bytes of the modulus.
    fn modulus_len(&self) -> usize;

    /// Whether the signature is good. The scheme is one of RSA's.
    fn verify(&self, scheme: SignatureScheme, digest: &[u8; DIGEST_LEN], signature: &[u8]) -> bool;

    /// Encrypts into `out`, which has the length of the modulus. The scheme is one of RSA's.
    fn encrypt(
        &self,
        scheme: EncryptionScheme,
        plaintext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<(), Refused>;
}

/// A P-256 private key.
pub trait P256PrivateKey: Sized {
    /// Parses the secret number, from 1 to n - 1.
    fn parse(material: &[u8; 32]) -> Option<Self>;

    /// The uncompressed point of the public half.
    fn public(&self) -> [u8; 65];

    /// Signs a digest.
    fn sign(&self, digest: &[u8; DIGEST_LEN], rng: &mut dyn Rng) -> Result<Signature, Refused>;
}
