//! Asymmetric keys: RSA, ECDSA over P-256 and secp256k1, and SM2.
//!
//! ```text
//!   material (bytes) ── PrivateKey::parse ──► PrivateKey ── public ──► PublicKey ◄── PublicKey::parse ── SPKI (DER)
//!                                              sign, decrypt, unwrap    verify, encrypt
//!                                                  └──────────┬─────────────┘
//!           native: RSA, signing over P-256 by aws-lc-rs      or      portable: RSA by rsa, signing over P-256 by p256
//!           both: signing over secp256k1 by k256; verifying over every curve, and SM2, by kms-gm
//! ```
//!
//! Everything here works on digests and bytes, and every result is standard: signatures of RSA as RFC 8017 has them, of
//! ECDSA and SM2 as DER `SEQUENCE { r, s }`, ciphertexts of SM2 as `04 || X || Y || C3 || C2` (GB/T 32918.4-2016).
//!
//! Two providers do the arithmetic of RSA, and of signing over P-256, behind the same functions. Both accept and refuse
//! the same inputs: what they could differ in, the DER of a signature, is read once and above them.

mod der;
mod draw;
mod ecdsa;
#[cfg(feature = "native")]
mod native;
#[cfg(feature = "portable")]
mod oaep;
mod pkcs1;
#[cfg(feature = "portable")]
mod portable;
mod provider;
mod rsa_block;
mod rsa_public;
mod secp256k1;
mod sm2;
mod spki;

use core::fmt;

use der::Signature;
use ecdsa::{P256, Secp256k1};
use kms_secmem::wiped::{with_wiped_stack_of, with_wiped_zeros};
#[cfg(feature = "native")]
pub use native::Native;
#[cfg(feature = "portable")]
pub use portable::Portable;
pub use provider::Provider;
use provider::{P256PrivateKey, RsaPrivateKey, RsaPublicKey};
pub use sm2::{DEFAULT_USER_ID as SM2_DEFAULT_USER_ID, OVERHEAD as SM2_OVERHEAD};
pub use spki::pem;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::rng::{EntropyError, Rng};
use crate::secret::SecretBytes;

#[cfg(not(any(feature = "native", feature = "portable")))]
compile_error!("kms-core wants one of its features `native` and `portable`");

/// The provider that the engine uses.
#[cfg(feature = "native")]
pub type DefaultProvider = Native;
/// The provider that the engine uses.
#[cfg(not(feature = "native"))]
pub type DefaultProvider = Portable;

/// A private key of the engine's provider.
pub type PrivateKey = PrivateKeyOf<DefaultProvider>;
/// A public key of the engine's provider.
pub type PublicKey = PublicKeyOf<DefaultProvider>;

/// Bytes of every digest that is signed: SHA-256 and SM3.
pub const DIGEST_LEN: usize = 32;

/// Bytes of the longest modulus: RSA with 3072 bits.
pub const MAX_MODULUS: usize = 384;

/// Bytes of the longest signature.
pub const MAX_SIGNATURE: usize = MAX_MODULUS;

/// The kinds of asymmetric keys.
///
/// Exhaustive on purpose: whoever adds one must decide everywhere what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RSA with a modulus of 2048 bits and the public exponent 65537.
    Rsa2048,
    /// RSA with a modulus of 3072 bits and the public exponent 65537.
    Rsa3072,
    /// NIST P-256 (SP 800-186, section 3.2.1.3).
    P256,
    /// secp256k1 (SEC 2, section 2.4.1).
    Secp256k1,
    /// SM2 over its recommended curve (GB/T 32918.5-2017).
    Sm2,
}

impl Kind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 5] = [Self::Rsa2048, Self::Rsa3072, Self::P256, Self::Secp256k1, Self::Sm2];

    /// Bytes of the modulus; `None` for curves.
    #[must_use]
    pub const fn modulus_len(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(256),
            Self::Rsa3072 => Some(384),
            Self::P256 | Self::Secp256k1 | Self::Sm2 => None,
        }
    }

    /// Bytes of the longest signature.
    #[must_use]
    pub const fn max_signature(self) -> usize {
        match self.modulus_len() {
            Some(len) => len,
            None => der::MAX_SIGNATURE,
        }
    }
}

/// What a private key is parsed for: a key serves one purpose only, and RSA keys are prepared differently for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Signatures.
    Sign,
    /// Decryption.
    Decrypt,
    /// Decryption of imported material, which others wrap with [`EncryptionScheme::RsaPkcs1`] too.
    Unwrap,
}

/// How a digest is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes (RFC 8017, section 8.1). Signatures with any other
    /// length of salt verify too.
    RsaPss,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2).
    RsaPkcs1,
    /// ECDSA (FIPS 186-5, chapter 6).
    Ecdsa,
    /// SM2 (GB/T 32918.2-2016); the digest is e = SM3(Z_A || M).
    Sm2,
}

/// How bytes are encrypted to a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EncryptionScheme {
    /// RSAES-OAEP with SHA-256 and MGF1 with SHA-256, no label (RFC 8017, section 7.1).
    OaepSha256,
    /// RSAES-OAEP with SHA-1 and MGF1 with SHA-1, no label.
    OaepSha1,
    /// RSAES-PKCS1-v1_5 (RFC 8017, section 7.2). Only for wrapped material: private keys decrypt it for [`Purpose::Unwrap`]
    /// alone. Nothing authenticates it: one in some 100,000 altered ciphertexts decrypts, to something.
    RsaPkcs1,
    /// SM2 public-key encryption (GB/T 32918.4-2016).
    Sm2,
}

impl EncryptionScheme {
    /// By how many bytes a ciphertext is longer than the longest plaintext that it can hold.
    pub(crate) const fn overhead(self) -> usize {
        match self {
            Self::OaepSha256 => 2 * 32 + 2,
            Self::OaepSha1 => 2 * 20 + 2,
            Self::RsaPkcs1 => 11,
            Self::Sm2 => sm2::OVERHEAD,
        }
    }
}

/// A key of this kind does not do that, or the input is not one that it can have made. Which of them, nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key refuses the input")
    }
}

impl core::error::Error for Refused {}

/// A private key, parsed and ready. Wiped when it goes.
pub struct PrivateKeyOf<P: Provider> {
    private: Private<P>,
    public: PublicKeyOf<P>,
}

enum Private<P: Provider> {
    Rsa(P::RsaPrivateKey),
    P256(P::P256PrivateKey),
    Secp256k1(secp256k1::PrivateKey),
    Sm2(sm2::PrivateKey),
}

impl<P: Provider> PrivateKeyOf<P> {
    /// Draws the material of a new key: PKCS#8 (RFC 5208) for RSA, otherwise the 32 bytes of the secret number, big-endian.
    ///
    /// RSA keys take long (some 60 ms for 2048 bits, 200 for 3072); their primes come from the provider's own generator
    /// where it has one (`native`).
    ///
    /// # Errors
    /// [`EntropyError`].
    pub fn generate(kind: Kind, rng: &mut dyn Rng) -> Result<SecretBytes, EntropyError> {
        wiping_stack(kind, || match kind {
            Kind::Rsa2048 | Kind::Rsa3072 => P::RsaPrivateKey::generate(kind, rng),
            Kind::P256 => scalar(rng, |bytes| P::P256PrivateKey::parse(bytes).is_some()),
            Kind::Secp256k1 => scalar(rng, |bytes| secp256k1::PrivateKey::parse(bytes).is_some()),
            Kind::Sm2 => scalar(rng, |bytes| sm2::PrivateKey::parse(bytes).is_some()),
        })
    }

    /// Parses material that [`Self::generate`] has drawn. `None` for anything else.
    #[must_use]
    pub fn parse(kind: Kind, purpose: Purpose, material: &[u8]) -> Option<Self> {
        wiping_stack(kind, || Self::parse_here(kind, purpose, material))
    }

    fn parse_here(kind: Kind, purpose: Purpose, material: &[u8]) -> Option<Self> {
        Some(match kind {
            Kind::Rsa2048 | Kind::Rsa3072 => {
                let (private, public) = P::RsaPrivateKey::parse(kind, purpose, material)?;
                Self { private: Private::Rsa(private), public: PublicKeyOf(Public::Rsa(public)) }
            }
            Kind::P256 => {
                let private = P::P256PrivateKey::parse(material.try_into().ok()?)?;
                let public = ecdsa::PublicKey::parse(&private.public())?;
                Self { private: Private::P256(private), public: PublicKeyOf(Public::P256(public)) }
            }
            Kind::Secp256k1 => {
                let private = secp256k1::PrivateKey::parse(material.try_into().ok()?)?;
                let public = ecdsa::PublicKey::parse(&private.public())?;
                Self { private: Private::Secp256k1(private), public: PublicKeyOf(Public::Secp256k1(public)) }
            }
            Kind::Sm2 => {
                let private = sm2::PrivateKey::parse(material.try_into().ok()?)?;
                let public = private.public();
                Self { private: Private::Sm2(private), public: PublicKeyOf(Public::Sm2(public)) }
            }
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKeyOf<P> {
        &self.public
    }

    /// Signs a digest into the front of `out`, which has room for [`Kind::max_signature`], and returns the length.
    ///
    /// # Errors
    /// [`Refused`] when the scheme is not one of this key's or the key is for decryption, and, as good as never, when the
    /// entropy fails.
    pub fn sign(
        &self,
        scheme: SignatureScheme,
        digest: &[u8; DIGEST_LEN],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused> {
        // A nonce that is seen shows the key.
        wiping_stack(self.public.kind(), || {
            let signature = match (&self.private, scheme) {
                (Private::Rsa(key), SignatureScheme::RsaPss | SignatureScheme::RsaPkcs1) => {
                    return key.sign(scheme, digest, rng, out);
                }
                (Private::P256(key), SignatureScheme::Ecdsa) => key.sign(digest, rng)?,
                (Private::Secp256k1(key), SignatureScheme::Ecdsa) => key.sign(digest, rng)?,
                (Private::Sm2(key), SignatureScheme::Sm2) => key.sign(digest, rng)?,
                _ => return Err(Refused),
            };
            signature.write(out)
        })
    }

    /// Decrypts into the front of `out`, which is written only on success, and returns the length of the plaintext. As many
    /// bytes as the ciphertext has are enough for `out`.
    ///
    /// With [`EncryptionScheme::RsaPkcs1`] the answer by itself betrays plaintexts: [`Self::unwrap`] gives none.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong.
    pub fn decrypt(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<usize, Refused> {
        wiping_stack(self.public.kind(), || match (&self.private, scheme) {
            (Private::Rsa(_), EncryptionScheme::Sm2) => Err(Refused),
            (Private::Rsa(key), _) => key.decrypt(scheme, ciphertext, rng, out),
            (Private::Sm2(key), EncryptionScheme::Sm2) => key.decrypt(ciphertext, out),
            _ => Err(Refused),
        })
    }

    /// Decrypts material of a length that is known. `out` gets the plaintext if the ciphertext decrypts to just so many bytes,
    /// and otherwise random ones; which it is, the [`Choice`] says.
    ///
    /// Who goes on with either in the same way, and asks only once at the end, shows nobody what was wrong. Up to there
    /// nothing branches on it, except that what is authentic, OAEP and SM2, is asked for as soon as it is known.
    ///
    /// # Errors
    /// [`EntropyError`] when there are no random bytes; `out` is then unspecified.
    pub fn unwrap(
        &self,
        scheme: EncryptionScheme,
        ciphertext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<Choice, EntropyError> {
        rng.secret(out)?;
        Ok(wiping_stack(self.public.kind(), || match (&self.private, scheme) {
            (Private::Rsa(_), EncryptionScheme::Sm2) => Choice::from(0),
            (Private::Rsa(key), _) => key.decrypt_exactly(scheme, ciphertext, rng, out),
            (Private::Sm2(key), EncryptionScheme::Sm2) => {
                exactly(out, ciphertext.len(), |plaintext| key.decrypt(ciphertext, plaintext))
            }
            _ => Choice::from(0),
        }))
    }
}

impl<P: Provider> fmt::Debug for PrivateKeyOf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("kind", &self.public.kind()).finish_non_exhaustive()
    }
}

/// Overwrites `out` with what `decrypt` writes to the front of a place of `room` bytes, if that has just the length of `out`,
/// and returns whether it has.
fn exactly(out: &mut [u8], room: usize, decrypt: impl FnOnce(&mut [u8]) -> Result<usize, Refused>) -> Choice {
    with_wiped_zeros(room.max(out.len()), |plaintext| {
        // No plaintext is so long.
        let good = decrypt(plaintext).unwrap_or(usize::MAX).ct_eq(&out.len());
        for (to, from) in out.iter_mut().zip(&*plaintext) {
            to.conditional_assign(from, good);
        }
        good
    })
}

/// Runs work on secrets and overwrites as much of the stack as it may have used: what the arithmetic leaves there are
/// digits of private keys and nonces, padded blocks, shared points.
///
/// How deep it goes was looked for in an optimised build: `k256` copies its table of multiples, 31 KiB, onto the stack and
/// has the scalar's digits below it; `rsa` has been seen 18 KiB down, P-256 of aws-lc at 12. Unwrapping by SM2 has two
/// places of 6 KiB for plaintexts and frames of 8 KiB below them.
fn wiping_stack<R>(kind: Kind, work: impl FnOnce() -> R) -> R {
    match kind {
        Kind::P256 => with_wiped_stack_of::<{ 16 << 10 }, R>(work),
        Kind::Sm2 | Kind::Rsa2048 | Kind::Rsa3072 => with_wiped_stack_of::<{ 24 << 10 }, R>(work),
        Kind::Secp256k1 => with_wiped_stack_of::<{ 40 << 10 }, R>(work),
    }
}

/// Draws 32 bytes until they are a private key of the curve: each draw is one with a probability above 1 - 2^-31.
fn scalar(rng: &mut dyn Rng, is_key: impl Fn(&[u8; 32]) -> bool) -> Result<SecretBytes, EntropyError> {
    // A source that gives a number out of range so often is broken.
    for _ in 0..64 {
        let material = SecretBytes::filled(32, |bytes| rng.secret(bytes))?;
        if material.expose().try_into().is_ok_and(&is_key) {
            return Ok(material);
        }
    }
    Err(EntropyError)
}

/// A public key, parsed and ready.
pub struct PublicKeyOf<P: Provider>(Public<P>);

enum Public<P: Provider> {
    Rsa(P::RsaPublicKey),
    P256(ecdsa::PublicKey<P256>),
    Secp256k1(ecdsa::PublicKey<Secp256k1>),
    Sm2(sm2::PublicKey),
}

impl<P: Provider> PublicKeyOf<P> {
    /// Parses a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in DER; points uncompressed. `None` for anything else, for
    /// another kind of key, for a point that is not on the curve, and for an even exponent or one that is not from 3 to 2^32.
    #[must_use]
    pub fn parse(kind: Kind, spki: &[u8]) -> Option<Self> {
        Some(Self(match kind {
            Kind::Rsa2048 | Kind::Rsa3072 => {
                spki::check_rsa(kind, spki)?;
                Public::Rsa(P::RsaPublicKey::parse(spki)?)
            }
            Kind::P256 => Public::P256(ecdsa::PublicKey::parse(spki::point(kind, spki)?)?),
            Kind::Secp256k1 => Public::Secp256k1(ecdsa::PublicKey::parse(spki::point(kind, spki)?)?),
            Kind::Sm2 => Public::Sm2(sm2::PublicKey::parse(spki::point(kind, spki)?)?),
        }))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Public::Rsa(key) if key.modulus_len() > 256 => Kind::Rsa3072,
            Public::Rsa(_) => Kind::Rsa2048,
            Public::P256(_) => Kind::P256,
            Public::Secp256k1(_) => Kind::Secp256k1,
            Public::Sm2(_) => Kind::Sm2,
        }
    }

    /// The SubjectPublicKeyInfo in DER, curves named, points uncompressed.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        match &self.0 {
            Public::Rsa(key) => key.spki().to_vec(),
            Public::P256(key) => spki::with_point(Kind::P256, &key.point()),
            Public::Secp256k1(key) => spki::with_point(Kind::Secp256k1, &key.point()),
            Public::Sm2(key) => spki::with_point(Kind::Sm2, &key.point()),
        }
    }

    /// Whether `signature` is one of `digest` by this key. What is malformed is none.
    #[must_use]
    pub fn verify(&self, scheme: SignatureScheme, digest: &[u8; DIGEST_LEN], signature: &[u8]) -> bool {
        match (&self.0, scheme) {
            (Public::Rsa(key), SignatureScheme::RsaPss | SignatureScheme::RsaPkcs1) => {
                key.verify(scheme, digest, signature)
            }
            (Public::P256(key), SignatureScheme::Ecdsa) => {
                Signature::read(signature).is_some_and(|signature| key.verify(digest, &signature))
            }
            (Public::Secp256k1(key), SignatureScheme::Ecdsa) => {
                Signature::read(signature).is_some_and(|signature| key.verify(digest, &signature))
            }
            (Public::Sm2(key), SignatureScheme::Sm2) => {
                Signature::read(signature).is_some_and(|signature| key.verify(digest, &signature))
            }
            _ => false,
        }
    }

    /// The most bytes that [`Self::encrypt`] takes (contract, chapter 4); `None` when the scheme is not one of this key's.
    #[must_use]
    pub fn max_plaintext(&self, scheme: EncryptionScheme) -> Option<usize> {
        match (&self.0, scheme) {
            (Public::Rsa(_), EncryptionScheme::Sm2) => None,
            (Public::Rsa(key), _) => Some(key.modulus_len() - scheme.overhead()),
            (Public::Sm2(_), EncryptionScheme::Sm2) => Some(sm2::MAX_PLAINTEXT),
            _ => None,
        }
    }

    /// Bytes of the ciphertext of so many bytes of plaintext.
    #[must_use]
    pub fn ciphertext_len(&self, plaintext: usize) -> usize {
        self.kind().modulus_len().unwrap_or(plaintext + sm2::OVERHEAD)
    }

    /// Encrypts into `out`, which has [`Self::ciphertext_len`] bytes.
    ///
    /// # Errors
    /// [`Refused`] when the scheme is not one of this key's, the plaintext is longer than [`Self::max_plaintext`] or, for
    /// SM2, empty; and when the entropy fails.
    pub fn encrypt(
        &self,
        scheme: EncryptionScheme,
        plaintext: &[u8],
        rng: &mut dyn Rng,
        out: &mut [u8],
    ) -> Result<(), Refused> {
        if self.max_plaintext(scheme).is_none_or(|most| plaintext.len() > most) {
            return Err(Refused);
        }
        wiping_stack(self.kind(), || match &self.0 {
            Public::Rsa(key) => key.encrypt(scheme, plaintext, rng, out),
            Public::Sm2(key) => key.encrypt(plaintext, rng, out),
            Public::P256(_) | Public::Secp256k1(_) => Err(Refused),
        })
    }

    /// Z_A of an SM2 key and a user id: what is hashed in front of a message (GB/T 32918.2-2016, section 5.5). `None` for
    /// other kinds, and for an id of more than 8191 bytes.
    #[must_use]
    pub fn sm2_identity_hash(&self, user_id: &[u8]) -> Option<[u8; DIGEST_LEN]> {
        match &self.0 {
            Public::Sm2(key) => sm2::identity_hash(user_id, &key.point()),
            _ => None,
        }
    }
}

impl<P: Provider> fmt::Debug for PublicKeyOf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
