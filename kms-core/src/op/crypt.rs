//! Encrypt, Decrypt and ReEncrypt with symmetric keys.
//!
//! Each action stands here twice: as a function over bytes, which borrows everything, writes into the caller's buffer and
//! is what a C, Go or Python program calls; and as the RPC form above it, which speaks Base64.

use kms_secmem::wiped::with_wiped_zeros;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::asymmetric::{Pair, VersionRef};
use super::{Ctx, KeyRef, Operation, Outcome, Step, rotation};
use crate::context::EncryptionContext;
use crate::crypto::blob::{self, Blob, MAX_PAYLOAD, PayloadKind};
use crate::crypto::{DerivingKey, NONCE_LEN};
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::{KeyId, KeyVersionId};
use crate::model::{EncryptionAlgorithm, Key, KeyUsage, KeyVersion, Origin, Settings};
use crate::params::{Params, decode_base64};
use crate::view::Held;

/// Which key, and which version of it, did the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UsedKey {
    /// The key.
    pub key_id: KeyId,
    /// Its version.
    pub key_version_id: KeyVersionId,
}

/// What a blob held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What opened it.
    pub used: UsedKey,
    /// Whether its payload is bytes or a text.
    pub kind: PayloadKind,
    /// The length of the payload, in bytes.
    pub len: usize,
}

/// A symmetric key whose gate is passed: all that can refuse a message has been asked.
pub(super) struct Sealer<'a> {
    key: Held<'a, Key>,
    gate: Gate,
}

impl<'a> Sealer<'a> {
    pub(super) fn enter(key: &KeyRef<'_>, gate: Gate, ctx: &Ctx<'a>) -> Result<Self, KmsError> {
        Self::of(ctx.enter(key, gate)?, gate, ctx)
    }

    fn of(key: Held<'a, Key>, gate: Gate, ctx: &Ctx<'a>) -> Result<Self, KmsError> {
        ctx.reach(Step::Kind);
        if key.spec.cipher().is_none() {
            return Err(ErrorCode::OperationRejected.into());
        }
        Ok(Self { key, gate })
    }

    /// Seals with the primary version. If the next one is due it is made first, and only now: a call that is refused before this
    /// makes none.
    pub(super) fn seal(
        self,
        kind: PayloadKind,
        payload: &[u8],
        context: &EncryptionContext,
        out: &mut [u8],
        ctx: &mut Ctx<'a>,
    ) -> Result<UsedKey, KmsError> {
        ctx.reach(Step::Operation);
        let key = rotation::up_to_date(self.key, self.gate, ctx)?;
        let version = ctx.newest_version(&key)?;
        let cipher = cipher_of(&version, &key)?;
        let mut nonce = [0; NONCE_LEN];
        ctx.rng.public(&mut nonce)?;
        blob::seal(cipher, &version.id, kind, context, &nonce, payload, out);
        Ok(UsedKey { key_id: version.key, key_version_id: version.id })
    }
}

/// The material of a version whose key is Enabled. Where it is not there, the store is damaged; but imported material may have
/// gone or come between the two reads, and then the key was PendingImport in between.
fn cipher_of<'v>(version: &'v KeyVersion, key: &Key) -> Result<&'v DerivingKey, KmsError> {
    version.cipher.as_ref().ok_or_else(|| match key.origin {
        Origin::External => ErrorCode::KeyPendingImport.into(),
        Origin::AliyunKms => KmsError::with_detail(ErrorCode::StoreCorrupt, "an Enabled key has no material"),
    })
}

fn bad_blob() -> KmsError {
    KmsError::invalid("CiphertextBlob")
}

/// A blob whose version and key have been found.
struct Source<'a, 'b> {
    blob: Blob<'b>,
    version: Held<'a, KeyVersion>,
    key: Held<'a, Key>,
}

impl<'a, 'b> Source<'a, 'b> {
    /// Reads the front of a blob and finds the key that it names (OP-42).
    fn find(blob: &'b [u8], ctx: &Ctx<'a>) -> Result<Self, KmsError> {
        ctx.reach(Step::Form);
        let blob = Blob::parse(blob).map_err(|_| bad_blob())?;
        ctx.reach(Step::Resource);
        let version = ctx.view.version(&blob.version())?.ok_or(ErrorCode::KeyNotFound)?;
        let key = ctx.live_key(&version.key)?.ok_or(ErrorCode::KeyNotFound)?;
        Ok(Self { blob, version, key })
    }

    fn open(&self, context: &EncryptionContext, out: &mut [u8]) -> Result<Opened, KmsError> {
        let len = self.blob.payload_len();
        // Anybody can put the id of an asymmetric key's version in front of a blob.
        if len > MAX_PAYLOAD || self.key.spec.cipher().is_none() {
            return Err(bad_blob());
        }
        let out = out.get_mut(..len).ok_or_else(|| KmsError::with_detail(ErrorCode::BufferTooSmall, "out"))?;
        let kind = self.blob.open(cipher_of(&self.version, &self.key)?, context, out).map_err(|_| bad_blob())?;
        let used = UsedKey { key_id: self.key.id, key_version_id: self.version.id };
        Ok(Opened { used, kind, len })
    }
}

/// Encrypts `payload` with the primary version of `key` into `out`, which is [`blob::OVERHEAD`] bytes longer.
///
/// # Errors
/// Those of Encrypt (contract, 8.17).
pub fn encrypt(
    key: &KeyRef<'_>,
    kind: PayloadKind,
    payload: &[u8],
    context: &EncryptionContext,
    out: &mut [u8],
    ctx: &mut Ctx<'_>,
) -> Result<UsedKey, KmsError> {
    ctx.reach(Step::Form);
    if payload.len() > MAX_PAYLOAD {
        return Err(KmsError::invalid("Plaintext"));
    }
    let sealer = Sealer::enter(key, Gate::Encrypt, ctx)?;
    sealer.seal(kind, payload, context, out, ctx)
}

/// Decrypts `blob` into the front of `out`, which is written only on success. [`blob::OVERHEAD`] bytes less than the blob
/// are enough.
///
/// # Errors
/// Those of Decrypt (contract, 8.22), and `KMS_BUFFER_TOO_SMALL`.
pub fn decrypt(
    blob: &[u8],
    context: &EncryptionContext,
    out: &mut [u8],
    ctx: &mut Ctx<'_>,
) -> Result<Opened, KmsError> {
    open(blob, Gate::Decrypt, context, out, ctx)
}

/// [`decrypt`], for an action with this gate.
pub(super) fn open(
    blob: &[u8],
    gate: Gate,
    context: &EncryptionContext,
    out: &mut [u8],
    ctx: &Ctx<'_>,
) -> Result<Opened, KmsError> {
    let source = Source::find(blob, ctx)?;
    ctx.pass(&source.key, gate)?;
    ctx.reach(Step::Operation);
    source.open(context, out)
}

/// Decrypts `blob` and encrypts what it held under the primary version of `destination`, into `out`, which has the blob's
/// length. The kind of the payload stays.
///
/// # Errors
/// Those of ReEncrypt (contract, 8.23).
pub fn reencrypt(
    blob: &[u8],
    source_context: &EncryptionContext,
    destination: &KeyRef<'_>,
    destination_context: &EncryptionContext,
    out: &mut [u8],
    ctx: &mut Ctx<'_>,
) -> Result<UsedKey, KmsError> {
    let source = Source::find(blob, ctx)?;
    let destination = ctx.find(destination)?;
    ctx.pass(&source.key, Gate::ReEncryptSource)?;
    ctx.pass(&destination, Gate::ReEncryptDestination)?;
    let sealer = Sealer::of(destination, Gate::ReEncryptDestination, ctx)?;
    with_wiped_zeros(source.blob.payload_len().min(MAX_PAYLOAD), |payload| {
        let opened = source.open(source_context, payload)?;
        sealer.seal(opened.kind, payload, destination_context, out, ctx)?;
        Ok(opened.used)
    })
}

/// Bytes that are shown as Base64. No Debug: they may be a data key.
pub(super) struct Base64<B>(pub(super) B);

impl<B: AsRef<[u8]>> Serialize for Base64<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::display::Base64Display;
        use base64::engine::general_purpose::STANDARD;
        serializer.collect_str(&Base64Display::new(self.0.as_ref(), &STANDARD))
    }
}

/// A blob, and the key that the action reports with it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BlobReply {
    pub(super) ciphertext_blob: Base64<Vec<u8>>,
    #[serde(flatten)]
    pub(super) used: UsedKey,
}

/// Reads an EncryptionContext parameter.
pub(super) fn context(params: &Params, name: &'static str) -> Result<EncryptionContext, KmsError> {
    EncryptionContext::parse(params.text(name).unwrap_or("")).map_err(|_| KmsError::invalid(name))
}

/// Encrypt.
#[derive(Debug)]
pub struct Encrypt;

/// The parameters of Encrypt.
pub struct EncryptRequest<'p> {
    key: KeyRef<'p>,
    kind: PayloadKind,
    payload: Zeroizing<Vec<u8>>,
    context: EncryptionContext,
}

impl Operation for Encrypt {
    const REQUIRED: &'static [&'static str] = &["KeyId", "Plaintext"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = EncryptRequest<'p>;
    type Reply = BlobReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<EncryptRequest<'p>, KmsError> {
        let text = params.required("Plaintext")?;
        // Canonical Base64 is kept as its bytes, any other text as it is: both come back as they were given (OP-40).
        let (kind, payload) = match decode_base64(text) {
            Some(bytes) => (PayloadKind::Bytes, bytes),
            None => (PayloadKind::Text, Zeroizing::new(text.as_bytes().to_vec())),
        };
        if payload.len() > MAX_PAYLOAD {
            return Err(KmsError::invalid("Plaintext"));
        }
        let context = context(params, "EncryptionContext")?;
        Ok(EncryptRequest { key: KeyRef::parse(params.required("KeyId")?, settings), kind, payload, context })
    }

    fn plan(request: EncryptRequest<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<BlobReply>, KmsError> {
        let mut blob = vec![0; request.payload.len() + blob::OVERHEAD];
        let used = encrypt(&request.key, request.kind, &request.payload, &request.context, &mut blob, ctx)?;
        Ok(Outcome::read(BlobReply { ciphertext_blob: Base64(blob), used }))
    }
}

/// Decrypt.
#[derive(Debug)]
pub struct Decrypt;

/// The answer of Decrypt.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DecryptReply {
    plaintext: Plaintext,
    #[serde(flatten)]
    used: UsedKey,
}

/// A payload as the RPC form shows it: exactly the text that Encrypt was given.
struct Plaintext {
    kind: PayloadKind,
    payload: Zeroizing<Vec<u8>>,
}

impl Serialize for Plaintext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.kind {
            PayloadKind::Bytes => Base64(&*self.payload).serialize(serializer),
            PayloadKind::Text => {
                let text = std::str::from_utf8(&self.payload).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(text)
            }
        }
    }
}

impl Operation for Decrypt {
    const REQUIRED: &'static [&'static str] = &["CiphertextBlob"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = (Zeroizing<Vec<u8>>, EncryptionContext);
    type Reply = DecryptReply;

    fn parse(params: &Params, _: &Settings) -> Result<(Zeroizing<Vec<u8>>, EncryptionContext), KmsError> {
        Ok((params.base64("CiphertextBlob")?, context(params, "EncryptionContext")?))
    }

    fn plan((blob, context): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<DecryptReply>, KmsError> {
        let mut payload = Zeroizing::new(vec![0; blob.len().saturating_sub(blob::OVERHEAD)]);
        let opened = decrypt(&blob, &context, &mut payload, ctx)?;
        Ok(Outcome::read(DecryptReply { plaintext: Plaintext { kind: opened.kind, payload }, used: opened.used }))
    }
}

/// ReEncrypt.
#[derive(Debug)]
pub struct ReEncrypt;

/// The parameters of ReEncrypt.
#[derive(Debug)]
pub struct ReEncryptRequest<'p> {
    blob: Zeroizing<Vec<u8>>,
    source_context: EncryptionContext,
    source_key: Option<SourceKey<'p>>,
    destination: KeyRef<'p>,
    destination_context: EncryptionContext,
}

/// The key whose public half made the ciphertext: the public-key mode (OP-45).
#[derive(Debug)]
struct SourceKey<'p> {
    of: VersionRef<'p>,
    algorithm: EncryptionAlgorithm,
}

impl<'p> SourceKey<'p> {
    fn parse(params: &'p Params, settings: &Settings) -> Result<Option<Self>, KmsError> {
        const NAMES: [&str; 3] = ["SourceKeyId", "SourceKeyVersionId", "SourceEncryptionAlgorithm"];
        if NAMES.iter().all(|name| params.text(name).is_none()) {
            return Ok(None);
        }
        let [key, version, algorithm] = NAMES;
        let of = VersionRef {
            key: KeyRef::parse(params.required(key)?, settings),
            version: Some(params.required(version)?),
        };
        let algorithm =
            EncryptionAlgorithm::parse(params.required(algorithm)?).ok_or_else(|| KmsError::invalid(algorithm))?;
        Ok(Some(Self { of, algorithm }))
    }

    /// Decrypts, and encrypts what came out under the destination: as bytes, as if Encrypt had been given them.
    fn reencrypt(
        &self,
        ciphertext: &[u8],
        destination: &KeyRef<'_>,
        destination_context: &EncryptionContext,
        ctx: &mut Ctx<'_>,
    ) -> Result<(UsedKey, Vec<u8>), KmsError> {
        let source = Pair::find(&self.of, ctx)?;
        let destination = ctx.find(destination)?;
        ctx.pass(source.key(), Gate::ReEncryptSource)?;
        ctx.pass(&destination, Gate::ReEncryptDestination)?;
        source.check_kind(Some(KeyUsage::EncryptDecrypt), ctx)?;
        let sealer = Sealer::of(destination, Gate::ReEncryptDestination, ctx)?;
        if !self.algorithm.fits(source.key().spec) {
            return Err(KmsError::invalid("SourceEncryptionAlgorithm"));
        }
        with_wiped_zeros(ciphertext.len().min(MAX_PAYLOAD), |payload| {
            let (used, len) = source.decrypt(self.algorithm, ciphertext, payload, ctx)?;
            let mut blob = vec![0; len + blob::OVERHEAD];
            sealer.seal(PayloadKind::Bytes, &payload[..len], destination_context, &mut blob, ctx)?;
            Ok((used, blob))
        })
    }
}

impl Operation for ReEncrypt {
    const REQUIRED: &'static [&'static str] = &["CiphertextBlob", "DestinationKeyId"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = ReEncryptRequest<'p>;
    type Reply = BlobReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<ReEncryptRequest<'p>, KmsError> {
        let source_key = SourceKey::parse(params, settings)?;
        let source_context = match source_key {
            Some(_) => EncryptionContext::default(),
            None => context(params, "SourceEncryptionContext")?,
        };
        Ok(ReEncryptRequest {
            blob: params.base64("CiphertextBlob")?,
            source_context,
            source_key,
            destination: KeyRef::parse(params.required("DestinationKeyId")?, settings),
            destination_context: context(params, "DestinationEncryptionContext")?,
        })
    }

    fn plan(request: ReEncryptRequest<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<BlobReply>, KmsError> {
        if let Some(source) = request.source_key {
            let (used, blob) =
                source.reencrypt(&request.blob, &request.destination, &request.destination_context, ctx)?;
            return Ok(Outcome::read(BlobReply { ciphertext_blob: Base64(blob), used }));
        }
        let mut out = vec![0; request.blob.len()];
        let used = reencrypt(
            &request.blob,
            &request.source_context,
            &request.destination,
            &request.destination_context,
            &mut out,
            ctx,
        )?;
        Ok(Outcome::read(BlobReply { ciphertext_blob: Base64(out), used }))
    }
}
