//! RSA by `rsa` and signing over P-256 by `p256`: pure Rust, for builds without a C compiler, and what the native provider is
//! tested against.

use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use p256::ecdsa::{self, SigningKey};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, Pkcs1v15Encrypt, Pkcs1v15Sign, Pss};
use sha1::Sha1;
use sha2::Sha256;
use subtle::Choice;
use zeroize::Zeroizing;

use super::der::Signature;
use super::draw::{Public, Secret};
use super::provider::{P256PrivateKey, Provider, RsaPrivateKey, RsaPublicKey};
use super::rsa_public::AnySalt;
use super::{DIGEST_LEN, EncryptionScheme, Kind, Purpose, Refused, SignatureScheme, exactly, oaep, pkcs1, rsa_block};
use crate::rng::{EntropyError, Rng};
use crate::secret::SecretBytes;

/// Pure Rust.
#[derive(Clone, Copy, Debug)]
pub enum Portable {}

impl Provider for Portable {
    type RsaPrivateKey = PortableRsaPrivateKey;
    type RsaPublicKey = PortableRsaPublicKey;
    type P256PrivateKey = PortableP256PrivateKey;
}

/// An RSA private key. Its crate wipes it when it goes.
pub struct PortableRsaPrivateKey {
    key: rsa::PrivateKey,
    purpose: Purpose,
}

impl RsaPrivateKey for PortableRsaPrivateKey {
    type Public = PortableRsaPublicKey;

    fn generate(kind: Kind, rng: &mut dyn Rng) -> Result<SecretBytes, EntropyError> {
        let bits = kind.modulus_len().ok_or(EntropyError)? * 8;
        let key = rsa::PrivateKey::new(&mut Secret(rng), bits).map_err(|_| EntropyError)?;
        let material = key.to_pkcs8_der().map_err(|_| EntropyError)?;
        Ok(SecretBytes::copied_from(material.as_bytes()))
    }

    fn parse(kind: Kind, purpose: Purpose, material: &[u8]) -> Option<(Self, PortableRsaPublicKey)> {
        let key = rsa::PrivateKey::from_pkcs8_der(material).ok()?;
        let public = PortableRsaPublicKey::of(key.to_public_key())?;
        (Some(public.modulus_len()) == kind.modulus_len()).then_some((Self { key, purpose }, public))
    }

    fn sign(
        &self,
        scheme: SignatureScheme,
        digest: &[u8; DIGEST_LEN],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused> {
        if self.purpose != Purpose::Sign {
            return Err(Refused);
        }
        let rng = &mut Public(rng);
        let signature = match scheme {
            SignatureScheme::RsaPss => self.key.sign_with_rng(rng, Pss::<Sha256>::new(), digest),
            _ => self.key.sign_with_rng(rng, Pkcs1v15Sign::new::<Sha256>(), digest),
        }
        .map_err(|_| Refused)?;
        out.get_mut(..signature.len()).ok_or(Refused)?.copy_from_slice(&signature);
        Ok(signature.len())
    }

    fn decrypt(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused> {
        let mut block = self.block(scheme, ciphertext, rng)?;
        match scheme {
            EncryptionScheme::OaepSha256 => oaep::decode::<Sha256>(&mut block, out),
            EncryptionScheme::OaepSha1 => oaep::decode::<Sha1>(&mut block, out),
            EncryptionScheme::RsaPkcs1 => pkcs1::decode(&block, out),
            EncryptionScheme::Sm2 => Err(Refused),
        }
    }

    fn decrypt_exactly(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Choice {
        match scheme {
            // Whether there is a block, everybody can see.
            EncryptionScheme::RsaPkcs1 => {
                self.block(scheme, ciphertext, rng).map_or(Choice::from(0), |block| pkcs1::decode_exactly(&block, out))
            }
            // Nobody can make a block with good padding from one that he does not know.
            _ => exactly(out, ciphertext.len(), |plaintext| self.decrypt(scheme, ciphertext, rng, plaintext)),
        }
    }
}

impl PortableRsaPrivateKey {
    /// The padded block in a ciphertext (RFC 8017, section 5.1.2).
    fn block(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
    ) -> Result<Zeroizing<Box<[u8]>>, Refused> {
        let fits = match self.purpose {
            Purpose::Sign => false,
            Purpose::Decrypt => scheme != EncryptionScheme::RsaPkcs1,
            Purpose::Unwrap => true,
        };
        if !fits {
            return Err(Refused);
        }
        rsa_block::decrypt(&self.key, ciphertext, rng)
    }
}

/// An RSA public key.
pub struct PortableRsaPublicKey {
    key: rsa::PublicKey,
    any_salt: AnySalt,
    spki: Box<[u8]>,
}

impl PortableRsaPublicKey {
    fn of(key: rsa::PublicKey) -> Option<Self> {
        let spki = key.to_public_key_der().ok()?.as_bytes().into();
        Some(Self { any_salt: AnySalt::new(key.clone()), key, spki })
    }
}

impl RsaPublicKey for PortableRsaPublicKey {
    fn parse(spki: &[u8]) -> Option<Self> {
        Self::of(rsa::PublicKey::from_public_key_der(spki).ok()?)
    }

    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn modulus_len(&self) -> usize {
        self.key.size()
    }

    fn verify(&self, scheme: SignatureScheme, digest: &[u8; DIGEST_LEN], signature: &[u8]) -> bool {
        if signature.len() != self.modulus_len() {
            return false;
        }
        match scheme {
            SignatureScheme::RsaPkcs1 => self.key.verify(Pkcs1v15Sign::new::<Sha256>(), digest, signature).is_ok(),
            SignatureScheme::RsaPss => self.any_salt.verify(digest, signature),
            SignatureScheme::Ecdsa | SignatureScheme::Sm2 => false,
        }
    }

    fn encrypt(
        &self,
        scheme: EncryptionScheme,
        plaintext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<(), Refused> {
        let rng = &mut Secret(rng);
        let ciphertext = match scheme {
            EncryptionScheme::OaepSha256 => self.key.encrypt(rng, Oaep::<Sha256>::new(), plaintext),
            EncryptionScheme::OaepSha1 => self.key.encrypt(rng, Oaep::<Sha1>::new(), plaintext),
            EncryptionScheme::RsaPkcs1 => self.key.encrypt(rng, Pkcs1v15Encrypt, plaintext),
            EncryptionScheme::Sm2 => return Err(Refused),
        };
        out.copy_from_slice(&ciphertext.map_err(|_| Refused)?);
        Ok(())
    }
}

/// A P-256 private key. Its crate wipes it when it goes.
pub struct PortableP256PrivateKey(SigningKey);

impl P256PrivateKey for PortableP256PrivateKey {
    fn parse(material: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(material).ok().map(Self)
    }

    fn public(&self) -> [u8; 65] {
        self.0.verifying_key().to_sec1_point(false).as_bytes().try_into().expect("an uncompressed point has 65 bytes")
    }

    fn sign(&self, digest: &[u8; DIGEST_LEN], rng: &mut dyn Rng) -> Result<Signature, Refused> {
        let signature: ecdsa::Signature =
            self.0.sign_prehash_with_rng(&mut Public(rng), digest).map_err(|_| Refused)?;
        let (r, s) = signature.split_bytes();
        Ok(Signature { r: r.into(), s: s.into() })
    }
}
