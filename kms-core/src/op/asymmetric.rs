//! Signatures, and encryption to a public key.
//!
//! Like Encrypt and Decrypt, each action stands here twice: as a function over bytes, and as the RPC form above it. Both name
//! a version of the key; the functions may leave it out and then mean the newest.

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypt::{Base64, UsedKey};
use super::{Ctx, KeyRef, Operation, Outcome, Step};
use crate::crypto::asymmetric::{self, DIGEST_LEN, MAX_SIGNATURE};
use crate::crypto::digest::Digester;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::model::{EncryptionAlgorithm, Key, KeyPair, KeyUsage, KeyVersion, Settings, SigningAlgorithm};
use crate::params::Params;
use crate::view::Held;

/// The key that a call names, and the version of it, if it names one.
#[derive(Clone, Copy, Debug)]
pub struct VersionRef<'p> {
    /// The key.
    pub key: KeyRef<'p>,
    /// The text of its version's id; `None` is the newest.
    pub version: Option<&'p str>,
}

impl<'p> VersionRef<'p> {
    /// The parameters of the five actions that name a version.
    const REQUIRED: [&'static str; 2] = ["KeyId", "KeyVersionId"];

    fn parse(params: &'p Params, settings: &Settings) -> Result<Self, KmsError> {
        let [key, version] = Self::REQUIRED;
        Ok(Self { key: KeyRef::parse(params.required(key)?, settings), version: Some(params.required(version)?) })
    }
}

/// A version of an asymmetric key whose gate is passed.
pub(super) struct Pair<'a> {
    key: Held<'a, Key>,
    version: Held<'a, KeyVersion>,
}

impl<'a> Pair<'a> {
    /// Finds the pair and asks everything that can be asked before the algorithm. `usage` is what the action needs.
    pub(super) fn enter(
        of: &VersionRef<'_>,
        gate: Gate,
        usage: Option<KeyUsage>,
        ctx: &Ctx<'a>,
    ) -> Result<Self, KmsError> {
        let found = Self::find(of, ctx)?;
        ctx.pass(&found.key, gate)?;
        found.check_kind(usage, ctx)?;
        Ok(found)
    }

    pub(super) fn find(of: &VersionRef<'_>, ctx: &Ctx<'a>) -> Result<Self, KmsError> {
        let key = ctx.find(&of.key)?;
        let version = match of.version {
            Some(id) => ctx.find_version(&key, id)?,
            None => ctx.newest_version(&key)?,
        };
        Ok(Self { key, version })
    }

    /// The wrong kind of key, or the wrong usage (OP-53).
    pub(super) fn check_kind(&self, usage: Option<KeyUsage>, ctx: &Ctx<'_>) -> Result<(), KmsError> {
        ctx.reach(Step::Kind);
        let fits = self.key.spec.asymmetric().is_some() && usage.is_none_or(|usage| usage == self.key.usage);
        if fits { Ok(()) } else { Err(ErrorCode::OperationRejected.into()) }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    fn used(&self) -> UsedKey {
        UsedKey { key_id: self.key.id, key_version_id: self.version.id }
    }

    fn material(&self) -> Result<&KeyPair, KmsError> {
        let damaged = || KmsError::with_detail(ErrorCode::StoreCorrupt, "an Enabled key has no material");
        self.version.pair.as_ref().ok_or_else(damaged)
    }

    fn private(&self) -> Result<&asymmetric::PrivateKey, KmsError> {
        self.material()?.private(self.key.usage)
    }

    fn public(&self) -> Result<&asymmetric::PublicKey, KmsError> {
        self.material()?.public(self.key.usage)
    }

    /// Bytes of the longest signature.
    fn max_signature(&self) -> usize {
        self.key.spec.asymmetric().map_or(MAX_SIGNATURE, asymmetric::Kind::max_signature)
    }

    /// Decrypts into the front of `out`. Whatever is wrong with the ciphertext, it is one error.
    pub(super) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
        out: &mut [u8],
        ctx: &mut Ctx<'_>,
    ) -> Result<(UsedKey, usize), KmsError> {
        ctx.reach(Step::Operation);
        let len = self.private()?.decrypt(algorithm.scheme(), ciphertext, ctx.rng, out);
        Ok((self.used(), len.map_err(|_| KmsError::invalid("CiphertextBlob"))?))
    }
}

/// How a version signs: the pair, its gate passed, and the algorithm, which fits it.
fn signer<'a>(
    of: &VersionRef<'_>,
    gate: Gate,
    algorithm: SigningAlgorithm,
    ctx: &Ctx<'a>,
) -> Result<Pair<'a>, KmsError> {
    let pair = Pair::enter(of, gate, Some(KeyUsage::SignVerify), ctx)?;
    if algorithm.fits(pair.key.spec) { Ok(pair) } else { Err(KmsError::invalid("Algorithm")) }
}

/// How a version encrypts and decrypts, likewise.
fn encrypter<'a>(
    of: &VersionRef<'_>,
    gate: Gate,
    algorithm: EncryptionAlgorithm,
    ctx: &Ctx<'a>,
) -> Result<Pair<'a>, KmsError> {
    let pair = Pair::enter(of, gate, Some(KeyUsage::EncryptDecrypt), ctx)?;
    if algorithm.fits(pair.key.spec) { Ok(pair) } else { Err(KmsError::invalid("Algorithm")) }
}

fn digest_of<'d>(bytes: &'d [u8], ctx: &Ctx<'_>) -> Result<&'d [u8; DIGEST_LEN], KmsError> {
    ctx.reach(Step::Form);
    bytes.try_into().map_err(|_| KmsError::invalid("Digest"))
}

/// An empty parameter is an absent one; a function must not do what the action cannot.
fn not_empty(plaintext: usize, ctx: &Ctx<'_>) -> Result<(), KmsError> {
    ctx.reach(Step::Form);
    if plaintext == 0 { Err(KmsError::invalid("Plaintext")) } else { Ok(()) }
}

/// Bytes of the longest signature that this version makes: what [`sign`] wants room for.
///
/// # Errors
/// Those of AsymmetricSign.
pub fn max_signature(
    of: &VersionRef<'_>,
    algorithm: SigningAlgorithm,
    digest: &[u8],
    ctx: &Ctx<'_>,
) -> Result<usize, KmsError> {
    digest_of(digest, ctx)?;
    Ok(signer(of, Gate::AsymmetricSign, algorithm, ctx)?.max_signature())
}

/// Signs a digest into the front of `out`, which has room for [`max_signature`] bytes; [`MAX_SIGNATURE`] are always enough.
/// Returns the length of the signature.
///
/// # Errors
/// Those of AsymmetricSign (contract, 8.24), and `KMS_BUFFER_TOO_SMALL`.
pub fn sign(
    of: &VersionRef<'_>,
    algorithm: SigningAlgorithm,
    digest: &[u8],
    out: &mut [u8],
    ctx: &mut Ctx<'_>,
) -> Result<(UsedKey, usize), KmsError> {
    let digest = digest_of(digest, ctx)?;
    let pair = signer(of, Gate::AsymmetricSign, algorithm, ctx)?;
    if out.len() < pair.max_signature() {
        return Err(KmsError::with_detail(ErrorCode::BufferTooSmall, "out"));
    }
    ctx.reach(Step::Operation);
    let len = pair.private()?.sign(algorithm.scheme(), digest, ctx.rng, out);
    Ok((pair.used(), len.map_err(|_| ErrorCode::InternalFailure)?))
}

/// Whether `signature` is one of `digest` by this version. One that is malformed is none.
///
/// # Errors
/// Those of AsymmetricVerify (contract, 8.25).
pub fn verify(
    of: &VersionRef<'_>,
    algorithm: SigningAlgorithm,
    digest: &[u8],
    signature: &[u8],
    ctx: &Ctx<'_>,
) -> Result<(UsedKey, bool), KmsError> {
    let digest = digest_of(digest, ctx)?;
    let pair = signer(of, Gate::AsymmetricVerify, algorithm, ctx)?;
    ctx.reach(Step::Operation);
    Ok((pair.used(), pair.public()?.verify(algorithm.scheme(), digest, signature)))
}

/// Bytes of the longest ciphertext of so many bytes, whatever the key.
#[must_use]
pub const fn max_ciphertext(plaintext: usize) -> usize {
    let sm2 = plaintext.saturating_add(asymmetric::SM2_OVERHEAD);
    if sm2 < asymmetric::MAX_MODULUS { asymmetric::MAX_MODULUS } else { sm2 }
}

/// Bytes of the ciphertext that [`encrypt`] makes of so many bytes.
///
/// # Errors
/// Those of AsymmetricEncrypt.
pub fn ciphertext_len(
    of: &VersionRef<'_>,
    algorithm: EncryptionAlgorithm,
    plaintext: usize,
    ctx: &Ctx<'_>,
) -> Result<usize, KmsError> {
    not_empty(plaintext, ctx)?;
    let pair = encrypter(of, Gate::AsymmetricEncrypt, algorithm, ctx)?;
    let key = pair.public()?;
    match key.max_plaintext(algorithm.scheme()) {
        Some(most) if plaintext <= most => Ok(key.ciphertext_len(plaintext)),
        _ => Err(KmsError::invalid("Plaintext")),
    }
}

/// Encrypts to the public half of this version, into the front of `out`. Returns the length of the ciphertext, which is
/// that of the modulus for RSA, and 97 bytes more than the plaintext for SM2.
///
/// # Errors
/// Those of AsymmetricEncrypt (contract, 8.27), and `KMS_BUFFER_TOO_SMALL`.
pub fn encrypt(
    of: &VersionRef<'_>,
    algorithm: EncryptionAlgorithm,
    plaintext: &[u8],
    out: &mut [u8],
    ctx: &mut Ctx<'_>,
) -> Result<(UsedKey, usize), KmsError> {
    not_empty(plaintext.len(), ctx)?;
    let pair = encrypter(of, Gate::AsymmetricEncrypt, algorithm, ctx)?;
    let key = pair.public()?;
    if key.max_plaintext(algorithm.scheme()).is_none_or(|most| plaintext.len() > most) {
        return Err(KmsError::invalid("Plaintext"));
    }
    let len = key.ciphertext_len(plaintext.len());
    let out = out.get_mut(..len).ok_or_else(|| KmsError::with_detail(ErrorCode::BufferTooSmall, "out"))?;
    ctx.reach(Step::Operation);
    key.encrypt(algorithm.scheme(), plaintext, ctx.rng, out).map_err(|_| ErrorCode::InternalFailure)?;
    Ok((pair.used(), len))
}

/// Bytes of the longest plaintext that a ciphertext of this length can hold.
#[must_use]
pub fn max_plaintext(algorithm: EncryptionAlgorithm, ciphertext: usize) -> usize {
    ciphertext.saturating_sub(algorithm.scheme().overhead())
}

/// Decrypts with this version into the front of `out`, which is written only on success, and returns the length of the
/// plaintext. As many bytes as the ciphertext has are enough.
///
/// # Errors
/// Those of AsymmetricDecrypt (contract, 8.26): whatever is wrong with the ciphertext, it is `InvalidParameter`.
pub fn decrypt(
    of: &VersionRef<'_>,
    algorithm: EncryptionAlgorithm,
    ciphertext: &[u8],
    out: &mut [u8],
    ctx: &mut Ctx<'_>,
) -> Result<(UsedKey, usize), KmsError> {
    encrypter(of, Gate::AsymmetricDecrypt, algorithm, ctx)?.decrypt(algorithm, ciphertext, out, ctx)
}

/// The public half of this version: PEM (RFC 7468) of its SubjectPublicKeyInfo.
///
/// # Errors
/// Those of GetPublicKey (contract, 8.28).
pub fn public_key(of: &VersionRef<'_>, ctx: &Ctx<'_>) -> Result<(UsedKey, String), KmsError> {
    let pair = Pair::enter(of, Gate::GetPublicKey, None, ctx)?;
    ctx.reach(Step::Operation);
    Ok((pair.used(), asymmetric::pem(&pair.public()?.spki())))
}

/// Starts the digest of a message that this version is to sign or verify: SHA-256, or for SM2 SM3 over Z_A (GB/T
/// 32918.2-2016, section 5.5) and the message. What it tells of the key its public half tells too; so it has that one's gate.
///
/// # Errors
/// Those of GetPublicKey and, as far as they concern key and algorithm, of AsymmetricSign; `InvalidParameter` for a user id
/// of more than 8191 bytes.
pub fn digester(
    of: &VersionRef<'_>,
    algorithm: SigningAlgorithm,
    sm2_user_id: &[u8],
    ctx: &Ctx<'_>,
) -> Result<Digester, KmsError> {
    let pair = signer(of, Gate::GetPublicKey, algorithm, ctx)?;
    ctx.reach(Step::Operation);
    if !algorithm.digests_with_sm3() {
        return Ok(Digester::sha256());
    }
    let identity_hash = pair.public()?.sm2_identity_hash(sm2_user_id);
    Ok(Digester::sm3(&identity_hash.ok_or_else(|| KmsError::invalid("sm2_user_id"))?))
}

/// The key and version of an answer, and a value of it.
macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $value:ty })*) => {$(
        $(#[$doc])*
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name {
            #[serde(flatten)]
            used: UsedKey,
            $field: $value,
        }
    )*};
}

replies! {
    /// The answer of AsymmetricSign.
    SignReply { value: Base64<Vec<u8>> }
    /// The answer of AsymmetricVerify.
    VerifyReply { value: bool }
    /// The answer of AsymmetricEncrypt.
    AsymmetricEncryptReply { ciphertext_blob: Base64<Vec<u8>> }
    /// The answer of AsymmetricDecrypt.
    AsymmetricDecryptReply { plaintext: Base64<Zeroizing<Vec<u8>>> }
    /// The answer of GetPublicKey.
    PublicKeyReply { public_key: String }
}

fn signing_algorithm(params: &Params) -> Result<SigningAlgorithm, KmsError> {
    SigningAlgorithm::parse(params.required("Algorithm")?).ok_or_else(|| KmsError::invalid("Algorithm"))
}

fn encryption_algorithm(params: &Params) -> Result<EncryptionAlgorithm, KmsError> {
    EncryptionAlgorithm::parse(params.required("Algorithm")?).ok_or_else(|| KmsError::invalid("Algorithm"))
}

/// AsymmetricSign.
#[derive(Debug)]
pub struct AsymmetricSign;

impl Operation for AsymmetricSign {
    const REQUIRED: &'static [&'static str] = &["KeyId", "KeyVersionId", "Algorithm", "Digest"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = (VersionRef<'p>, SigningAlgorithm, Zeroizing<Vec<u8>>);
    type Reply = SignReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((VersionRef::parse(params, settings)?, signing_algorithm(params)?, params.base64("Digest")?))
    }

    fn plan((of, algorithm, digest): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<SignReply>, KmsError> {
        let mut signature = vec![0; MAX_SIGNATURE];
        let (used, len) = sign(&of, algorithm, &digest, &mut signature, ctx)?;
        signature.truncate(len);
        Ok(Outcome::read(SignReply { used, value: Base64(signature) }))
    }
}

/// AsymmetricVerify.
#[derive(Debug)]
pub struct AsymmetricVerify;

impl Operation for AsymmetricVerify {
    const REQUIRED: &'static [&'static str] = &["KeyId", "KeyVersionId", "Algorithm", "Digest", "Value"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = (VersionRef<'p>, SigningAlgorithm, Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);
    type Reply = VerifyReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let of = VersionRef::parse(params, settings)?;
        Ok((of, signing_algorithm(params)?, params.base64("Digest")?, params.base64("Value")?))
    }

    fn plan(
        (of, algorithm, digest, signature): Self::Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Outcome<VerifyReply>, KmsError> {
        let (used, value) = verify(&of, algorithm, &digest, &signature, ctx)?;
        Ok(Outcome::read(VerifyReply { used, value }))
    }
}

/// AsymmetricEncrypt.
#[derive(Debug)]
pub struct AsymmetricEncrypt;

impl Operation for AsymmetricEncrypt {
    const REQUIRED: &'static [&'static str] = &["Algorithm", "KeyId", "KeyVersionId", "Plaintext"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = (VersionRef<'p>, EncryptionAlgorithm, Zeroizing<Vec<u8>>);
    type Reply = AsymmetricEncryptReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((VersionRef::parse(params, settings)?, encryption_algorithm(params)?, params.base64("Plaintext")?))
    }

    fn plan(
        (of, algorithm, plaintext): Self::Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Outcome<AsymmetricEncryptReply>, KmsError> {
        let mut ciphertext = vec![0; max_ciphertext(plaintext.len())];
        let (used, len) = encrypt(&of, algorithm, &plaintext, &mut ciphertext, ctx)?;
        ciphertext.truncate(len);
        Ok(Outcome::read(AsymmetricEncryptReply { used, ciphertext_blob: Base64(ciphertext) }))
    }
}

/// AsymmetricDecrypt.
#[derive(Debug)]
pub struct AsymmetricDecrypt;

impl Operation for AsymmetricDecrypt {
    const REQUIRED: &'static [&'static str] = &["KeyId", "Algorithm", "CiphertextBlob", "KeyVersionId"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = (VersionRef<'p>, EncryptionAlgorithm, Zeroizing<Vec<u8>>);
    type Reply = AsymmetricDecryptReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((VersionRef::parse(params, settings)?, encryption_algorithm(params)?, params.base64("CiphertextBlob")?))
    }

    fn plan(
        (of, algorithm, ciphertext): Self::Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Outcome<AsymmetricDecryptReply>, KmsError> {
        let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
        let (used, len) = decrypt(&of, algorithm, &ciphertext, &mut plaintext, ctx)?;
        // Cutting a vector short moves nothing.
        plaintext.truncate(len);
        Ok(Outcome::read(AsymmetricDecryptReply { used, plaintext: Base64(plaintext) }))
    }
}

/// GetPublicKey.
#[derive(Debug)]
pub struct GetPublicKey;

impl Operation for GetPublicKey {
    const REQUIRED: &'static [&'static str] = &VersionRef::REQUIRED;
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = VersionRef<'p>;
    type Reply = PublicKeyReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<VersionRef<'p>, KmsError> {
        VersionRef::parse(params, settings)
    }

    fn plan(of: VersionRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<PublicKeyReply>, KmsError> {
        let (used, public_key) = public_key(&of, ctx)?;
        Ok(Outcome::read(PublicKeyReply { used, public_key }))
    }
}
