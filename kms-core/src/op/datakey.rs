//! Data keys: random bytes, given out together with their ciphertext, or the ciphertext alone.

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypt::{Base64, BlobReply, Sealer, UsedKey, context};
use super::{Ctx, KeyRef, Operation, Outcome, Step};
use crate::context::EncryptionContext;
use crate::crypto::blob::{self, PayloadKind};
use crate::error::KmsError;
use crate::gate::Gate;
use crate::model::Settings;
use crate::params::Params;

/// The longest data key, in bytes.
pub const MAX_LEN: usize = 1024;
/// The length of a data key when none is asked for.
pub const DEFAULT_LEN: usize = 32;

/// Fills `data_key` with random bytes and seals them with the primary version of `key` into `out`, which is
/// [`blob::OVERHEAD`] bytes longer. `gate` is that of the action: GenerateDataKey or GenerateDataKeyWithoutPlaintext.
///
/// # Errors
/// Those of the action (contract, 8.18 and 8.19). `data_key` is then unspecified.
pub fn generate(
    key: &KeyRef<'_>,
    gate: Gate,
    data_key: &mut [u8],
    context: &EncryptionContext,
    out: &mut [u8],
    ctx: &mut Ctx<'_>,
) -> Result<UsedKey, KmsError> {
    ctx.reach(Step::Form);
    if !(1..=MAX_LEN).contains(&data_key.len()) {
        return Err(KmsError::invalid("NumberOfBytes"));
    }
    let sealer = Sealer::enter(key, gate, ctx)?;
    ctx.rng.secret(data_key)?;
    sealer.seal(PayloadKind::Bytes, data_key, context, out, ctx)
}

/// The parameters of both actions.
#[derive(Debug)]
pub struct DataKeyRequest<'p> {
    key: KeyRef<'p>,
    len: usize,
    context: EncryptionContext,
}

impl<'p> DataKeyRequest<'p> {
    pub(super) fn parse(params: &'p Params, settings: &Settings) -> Result<Self, KmsError> {
        let len = match params.number("NumberOfBytes", 1, MAX_LEN as u64)? {
            // With a number of bytes KeySpec is not even looked at.
            Some(len) => usize::try_from(len).map_err(|_| KmsError::invalid("NumberOfBytes"))?,
            None => {
                let spec = |text: &str| match text {
                    "AES_256" => Some(32),
                    "AES_128" => Some(16),
                    _ => None,
                };
                params.choice("KeySpec", spec)?.unwrap_or(DEFAULT_LEN)
            }
        };
        let context = context(params, "EncryptionContext")?;
        Ok(Self { key: KeyRef::parse(params.required("KeyId")?, settings), len, context })
    }

    /// The length of the data key, in bytes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn generate(&self, gate: Gate, ctx: &mut Ctx<'_>) -> Result<(Zeroizing<Vec<u8>>, BlobReply), KmsError> {
        let mut data_key = Zeroizing::new(vec![0; self.len]);
        let mut out = vec![0; self.len + blob::OVERHEAD];
        let used = generate(&self.key, gate, &mut data_key, &self.context, &mut out, ctx)?;
        Ok((data_key, BlobReply { ciphertext_blob: Base64(out), used }))
    }
}

/// GenerateDataKey.
#[derive(Debug)]
pub struct GenerateDataKey;

/// The answer of GenerateDataKey.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DataKeyReply {
    plaintext: Base64<Zeroizing<Vec<u8>>>,
    #[serde(flatten)]
    blob: BlobReply,
}

impl Operation for GenerateDataKey {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = DataKeyRequest<'p>;
    type Reply = DataKeyReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<DataKeyRequest<'p>, KmsError> {
        DataKeyRequest::parse(params, settings)
    }

    fn plan(request: DataKeyRequest<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<DataKeyReply>, KmsError> {
        let (data_key, blob) = request.generate(Gate::GenerateDataKey, ctx)?;
        Ok(Outcome::read(DataKeyReply { plaintext: Base64(data_key), blob }))
    }
}

/// GenerateDataKeyWithoutPlaintext.
#[derive(Debug)]
pub struct GenerateDataKeyWithoutPlaintext;

impl Operation for GenerateDataKeyWithoutPlaintext {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = DataKeyRequest<'p>;
    type Reply = BlobReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<DataKeyRequest<'p>, KmsError> {
        DataKeyRequest::parse(params, settings)
    }

    fn plan(request: DataKeyRequest<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<BlobReply>, KmsError> {
        let (_, blob) = request.generate(Gate::GenerateDataKeyWithoutPlaintext, ctx)?;
        Ok(Outcome::read(blob))
    }
}
