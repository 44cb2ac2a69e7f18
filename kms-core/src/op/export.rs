//! Data keys on their way out: wrapped under a public key of the receiver's.

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypt::{self, Base64, BlobReply, UsedKey, context};
use super::datakey::DataKeyRequest;
use super::{Ctx, Operation, Outcome, Step};
use crate::context::EncryptionContext;
use crate::crypto::asymmetric::{Kind, PublicKey};
use crate::crypto::blob;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::model::{EncryptionAlgorithm, KeySpec, Settings};
use crate::params::Params;

/// The receiver's public key, and how a data key is encrypted to it.
pub struct Wrapping {
    key: PublicKey,
    algorithm: EncryptionAlgorithm,
}

impl std::fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wrapping").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Wrapping {
    fn parse(params: &Params) -> Result<Self, KmsError> {
        let spki = params.base64("PublicKeyBlob")?;
        let algorithm = EncryptionAlgorithm::parse(params.required("WrappingAlgorithm")?)
            .ok_or_else(|| KmsError::invalid("WrappingAlgorithm"))?;
        let (spec, kind) = match params.required("WrappingKeySpec")? {
            "RSA_2048" => (KeySpec::Rsa2048, Kind::Rsa2048),
            "EC_SM2" => (KeySpec::EcSm2, Kind::Sm2),
            _ => return Err(KmsError::invalid("WrappingKeySpec")),
        };
        if !algorithm.fits(spec) {
            return Err(KmsError::invalid("WrappingAlgorithm"));
        }
        let key = PublicKey::parse(kind, &spki).ok_or_else(|| KmsError::invalid("PublicKeyBlob"))?;
        Ok(Self { key, algorithm })
    }

    /// Whether a data key of so many bytes fits (OP-47).
    fn takes(&self, len: usize) -> bool {
        self.key.max_plaintext(self.algorithm.scheme()).is_some_and(|most| len <= most)
    }

    fn wrap(&self, data_key: &[u8], ctx: &mut Ctx<'_>) -> Result<Base64<Vec<u8>>, KmsError> {
        let mut out = vec![0; self.key.ciphertext_len(data_key.len())];
        let scheme = self.algorithm.scheme();
        self.key.encrypt(scheme, data_key, ctx.rng, &mut out).map_err(|_| ErrorCode::InternalFailure)?;
        Ok(Base64(out))
    }
}

/// ExportDataKey.
#[derive(Debug)]
pub struct ExportDataKey;

/// The answer of ExportDataKey.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExportReply {
    exported_data_key: Base64<Vec<u8>>,
    #[serde(flatten)]
    used: UsedKey,
}

impl Operation for ExportDataKey {
    const REQUIRED: &'static [&'static str] =
        &["CiphertextBlob", "PublicKeyBlob", "WrappingAlgorithm", "WrappingKeySpec"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = (Zeroizing<Vec<u8>>, Wrapping, EncryptionContext);
    type Reply = ExportReply;

    fn parse(params: &Params, _: &Settings) -> Result<Self::Request<'static>, KmsError> {
        Ok((params.base64("CiphertextBlob")?, Wrapping::parse(params)?, context(params, "EncryptionContext")?))
    }

    fn plan((blob, wrapping, context): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<ExportReply>, KmsError> {
        let mut payload = Zeroizing::new(vec![0; blob.len().saturating_sub(blob::OVERHEAD)]);
        let opened = crypt::open(&blob, Gate::ExportDataKey, &context, &mut payload, ctx)?;
        // Nothing is no data key, and SM2 could not encrypt it.
        if opened.len == 0 || !wrapping.takes(opened.len) {
            return Err(KmsError::invalid("CiphertextBlob"));
        }
        let exported_data_key = wrapping.wrap(&payload[..opened.len], ctx)?;
        Ok(Outcome::read(ExportReply { exported_data_key, used: opened.used }))
    }
}

/// GenerateAndExportDataKey.
#[derive(Debug)]
pub struct GenerateAndExportDataKey;

/// The answer of GenerateAndExportDataKey.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateAndExportReply {
    exported_data_key: Base64<Vec<u8>>,
    #[serde(flatten)]
    blob: BlobReply,
}

impl Operation for GenerateAndExportDataKey {
    const REQUIRED: &'static [&'static str] = &["KeyId", "PublicKeyBlob", "WrappingAlgorithm", "WrappingKeySpec"];
    const USES_KEYS_ONLY: bool = true;
    type Request<'p> = (DataKeyRequest<'p>, Wrapping);
    type Reply = GenerateAndExportReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let request = DataKeyRequest::parse(params, settings)?;
        let wrapping = Wrapping::parse(params)?;
        if !wrapping.takes(request.len()) {
            return Err(KmsError::invalid("NumberOfBytes"));
        }
        Ok((request, wrapping))
    }

    fn plan(
        (request, wrapping): Self::Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Outcome<GenerateAndExportReply>, KmsError> {
        let (data_key, blob) = request.generate(Gate::GenerateAndExportDataKey, ctx)?;
        ctx.reach(Step::Operation);
        Ok(Outcome::read(GenerateAndExportReply { exported_data_key: wrapping.wrap(&data_key, ctx)?, blob }))
    }
}
