//! RSA, and signing over P-256, by aws-lc-rs. It draws its own entropy for RSA keys, salts, seeds and padding of RSA's blocks,
//! and nonces.

use std::sync::OnceLock;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
};
use kms_secmem::wiped::with_wiped_zeros;
use rsa::pkcs8::DecodePrivateKey;
use subtle::Choice;

use super::der::Signature;
use super::provider::{P256PrivateKey, Provider, RsaPrivateKey, RsaPublicKey};
use super::rsa_public::AnySalt;
use super::{
    DIGEST_LEN, EncryptionScheme, Kind, MAX_MODULUS, Purpose, Refused, SignatureScheme, exactly, pkcs1, rsa_block,
};
use crate::rng::{EntropyError, Rng};
use crate::secret::SecretBytes;

/// aws-lc-rs: the default.
#[derive(Clone, Copy, Debug)]
pub enum Native {}

impl Provider for Native {
    type RsaPrivateKey = NativeRsaPrivateKey;
    type RsaPublicKey = NativeRsaPublicKey;
    type P256PrivateKey = NativeP256PrivateKey;
}

fn digest(bytes: &[u8; DIGEST_LEN]) -> Digest {
    Digest::import_less_safe(bytes, &SHA256).expect("a digest of SHA-256 has 32 bytes")
}

fn oaep(scheme: EncryptionScheme) -> Result<&'static OaepAlgorithm, Refused> {
    match scheme {
        EncryptionScheme::OaepSha256 => Ok(&OAEP_SHA256_MGF1SHA256),
        EncryptionScheme::OaepSha1 => Ok(&OAEP_SHA1_MGF1SHA1),
        EncryptionScheme::RsaPkcs1 | EncryptionScheme::Sm2 => Err(Refused),
    }
}

/// An RSA private key, for one of its purposes: parsing it for both would take twice as long. aws-lc wipes it when it goes.
pub enum NativeRsaPrivateKey {
    /// For signatures.
    Sign(Box<KeyPair>),
    /// For decryption.
    Decrypt(Box<OaepPrivateDecryptingKey>),
    /// For unwrapping.
    Unwrap(Box<UnwrappingKey>),
}

/// A key that is held twice, by aws-lc and by `rsa`.
pub struct UnwrappingKey {
    oaep: OaepPrivateDecryptingKey,
    pkcs1: rsa::PrivateKey,
}

impl RsaPrivateKey for NativeRsaPrivateKey {
    type Public = NativeRsaPublicKey;

    fn generate(kind: Kind, _: &mut dyn Rng) -> Result<SecretBytes, EntropyError> {
        let size = match kind {
            Kind::Rsa3072 => KeySize::Rsa3072,
            _ => KeySize::Rsa2048,
        };
        let key = KeyPair::generate(size).map_err(|_| EntropyError)?;
        let material: Pkcs8V1Der<'_> = key.as_der().map_err(|_| EntropyError)?;
        Ok(SecretBytes::copied_from(material.as_ref()))
    }

    fn parse(kind: Kind, purpose: Purpose, material: &[u8]) -> Option<(Self, NativeRsaPublicKey)> {
        let (private, spki) = match purpose {
            Purpose::Sign => {
                let pair = KeyPair::from_pkcs8(material).ok()?;
                let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
                let spki = spki.as_ref().to_vec();
                (Self::Sign(Box::new(pair)), spki)
            }
            Purpose::Decrypt | Purpose::Unwrap => {
                let key = PrivateDecryptingKey::from_pkcs8(material).ok()?;
                let spki: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
                let spki = spki.as_ref().to_vec();
                let oaep = OaepPrivateDecryptingKey::new(key).ok()?;
                if purpose == Purpose::Decrypt {
                    (Self::Decrypt(Box::new(oaep)), spki)
                } else {
                    let pkcs1 = rsa::PrivateKey::from_pkcs8_der(material).ok()?;
                    (Self::Unwrap(Box::new(UnwrappingKey { oaep, pkcs1 })), spki)
                }
            }
        };
        let public = NativeRsaPublicKey::parse(&spki)?;
        (Some(public.modulus_len()) == kind.modulus_len()).then_some((private, public))
    }

    fn sign(
        &self,
        scheme: SignatureScheme,
        bytes: &[u8; DIGEST_LEN],
        _: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused> {
        let Self::Sign(key) = self else { return Err(Refused) };
        let encoding = if scheme == SignatureScheme::RsaPss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        let len = key.public_modulus_len();
        let out = out.get_mut(..len).ok_or(Refused)?;
        key.sign_digest(encoding, &digest(bytes), out).map_err(|_| Refused)?;
        Ok(len)
    }

    fn decrypt(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused> {
        let key = match (self, scheme) {
            (Self::Sign(_), _) | (Self::Decrypt(_), EncryptionScheme::RsaPkcs1) => return Err(Refused),
            (Self::Unwrap(key), EncryptionScheme::RsaPkcs1) => {
                return pkcs1::decode(&rsa_block::decrypt(&key.pkcs1, ciphertext, rng)?, out);
            }
            (Self::Decrypt(key), _) => key,
            (Self::Unwrap(key), _) => &key.oaep,
        };
        if ciphertext.len() != key.key_size_bytes() {
            return Err(Refused);
        }
        // aws-lc wants room for a whole block.
        with_wiped_zeros(MAX_MODULUS, |block| {
            let plaintext = key.decrypt(oaep(scheme)?, ciphertext, block, None).map_err(|_| Refused)?;
            out.get_mut(..plaintext.len()).ok_or(Refused)?.copy_from_slice(plaintext);
            Ok(plaintext.len())
        })
    }

    fn decrypt_exactly(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Choice {
        match (self, scheme) {
            // Whether there is a block, everybody can see.
            (Self::Unwrap(key), EncryptionScheme::RsaPkcs1) => rsa_block::decrypt(&key.pkcs1, ciphertext, rng)
                .map_or(Choice::from(0), |block| pkcs1::decode_exactly(&block, out)),
            // Nobody can make a block with good padding from one that he does not know.
            _ => exactly(out, MAX_MODULUS, |plaintext| self.decrypt(scheme, ciphertext, rng, plaintext)),
        }
    }
}

/// An RSA public key.
pub struct NativeRsaPublicKey {
    spki: Box<[u8]>,
    pkcs1: ParsedPublicKey,
    pss: ParsedPublicKey,
    oaep: OaepPublicEncryptingKey,
    /// Parsed for the first signature that aws-lc does not take.
    any_salt: OnceLock<Option<AnySalt>>,
}

impl RsaPublicKey for NativeRsaPublicKey {
    fn parse(spki: &[u8]) -> Option<Self> {
        Some(Self {
            spki: spki.into(),
            pkcs1: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki).ok()?,
            pss: ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, spki).ok()?,
            oaep: OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(spki).ok()?).ok()?,
            any_salt: OnceLock::new(),
        })
    }

    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn modulus_len(&self) -> usize {
        self.oaep.key_size_bytes()
    }

    fn verify(&self, scheme: SignatureScheme, bytes: &[u8; DIGEST_LEN], signature: &[u8]) -> bool {
        // aws-lc would take a shorter one as a number with zeros before it.
        if signature.len() != self.modulus_len() {
            return false;
        }
        match scheme {
            SignatureScheme::RsaPkcs1 => self.pkcs1.verify_digest_sig(&digest(bytes), signature).is_ok(),
            // aws-lc takes salts of 32 bytes only.
            SignatureScheme::RsaPss => {
                self.pss.verify_digest_sig(&digest(bytes), signature).is_ok()
                    || self.any_salt().is_some_and(|key| key.verify(bytes, signature))
            }
            SignatureScheme::Ecdsa | SignatureScheme::Sm2 => false,
        }
    }

    fn encrypt(
        &self,
        scheme: EncryptionScheme,
        plaintext: &[u8],
        _: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<(), Refused> {
        let written = match scheme {
            // Parsed for each: the engine unwraps, and others wrap.
            EncryptionScheme::RsaPkcs1 => PublicEncryptingKey::from_der(&self.spki)
                .map_err(|_| Refused)
                .and_then(|key| Pkcs1PublicEncryptingKey::new(key).map_err(|_| Refused))?
                .encrypt(plaintext, out),
            _ => self.oaep.encrypt(oaep(scheme)?, plaintext, out, None),
        };
        if written.map_err(|_| Refused)?.len() == self.modulus_len() { Ok(()) } else { Err(Refused) }
    }
}

impl NativeRsaPublicKey {
    fn any_salt(&self) -> Option<&AnySalt> {
        self.any_salt.get_or_init(|| AnySalt::parse(&self.spki)).as_ref()
    }
}

/// A P-256 private key. aws-lc wipes it when it goes.
pub struct NativeP256PrivateKey(EcdsaKeyPair);

impl P256PrivateKey for NativeP256PrivateKey {
    fn parse(material: &[u8; 32]) -> Option<Self> {
        with_wiped_zeros(SEC1_FRONT.len() + material.len(), |sec1| {
            let (front, secret) = sec1.split_at_mut(SEC1_FRONT.len());
            front.copy_from_slice(SEC1_FRONT);
            secret.copy_from_slice(material);
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, sec1).ok().map(Self)
        })
    }

    fn public(&self) -> [u8; 65] {
        self.0.public_key().as_ref().try_into().expect("an uncompressed point has 65 bytes")
    }

    fn sign(&self, bytes: &[u8; DIGEST_LEN], _: &mut dyn Rng) -> Result<Signature, Refused> {
        let signature = self.0.sign_digest(&digest(bytes)).map_err(|_| Refused)?;
        let (r, s) = signature.as_ref().split_at_checked(32).ok_or(Refused)?;
        Ok(Signature { r: r.try_into().map_err(|_| Refused)?, s: s.try_into().map_err(|_| Refused)? })
    }
}

/// An ECPrivateKey (RFC 5915, chapter 3) with nothing but its version and, behind this, the secret number; aws-lc then works
/// the public half out.
const SEC1_FRONT: &[u8] = b"\x30\x25\x02\x01\x01\x04\x20";
