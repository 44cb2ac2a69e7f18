//! Bringing one's own key: material that is made elsewhere, wrapped under a key of the engine's, and imported.
//!
//! ```text
//!   GetParametersForImport ──► wrapping public key ──► the caller wraps the material ──┐
//!                          └─► token: the private half, sealed ───────────────────────┴──► ImportKeyMaterial
//! ```
//!
//! Nothing is kept between the two calls. The private half travels in the token, under a key of the store's own, together
//! with the key that it is for, the algorithm and the time at which it ends; so a token works until then as often as it is
//! used, also after a restart.
//!
//! Whatever is wrong with wrapped material, `InvalidKeyMaterial` is all that is told, and only at the end: material that does
//! not open is replaced by random bytes, which go the same way. Who sends altered PKCS #1 v1.5 blocks to learn from the
//! answers (Bleichenbacher, CRYPTO 1998) sees a success at most once: after it, only the very same material is taken.

use serde::Serialize;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::crypt::Base64;
use super::{Ctx, KeyRef, Nothing, Operation, Outcome, Step};
use crate::Change;
use crate::crypto::asymmetric::{PrivateKey, Purpose};
use crate::crypto::{NONCE_LEN, TAG_LEN};
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::KeyId;
use crate::model::{
    Imported, Key, KeySpec, KeyVersion, Origin, ProtectionLevel, Settings, VersionRecord, WrappingAlgorithm,
};
use crate::params::{Params, decode_base64};
use crate::secret::SecretBytes;
use crate::state::{Event, Next};
use crate::time::Timestamp;
use crate::view::{Held, ImportKeys};

/// Seconds for which a token can be used.
const TOKEN_LIFE: u64 = 24 * 60 * 60;

/// What a token holds.
struct Token {
    key: KeyId,
    algorithm: WrappingAlgorithm,
    /// The instant from which on it is worth nothing.
    expires: Timestamp,
    /// The private half of the wrapping key.
    material: SecretBytes,
}

impl Token {
    /// `algorithm 1 | key id 16 | expires 8`, and then the material.
    const FRONT: usize = 1 + 16 + 8;
    const AAD: &'static [u8] = b"kms-import-token-v1";

    /// `nonce | sealed | tag`.
    fn seal(&self, ctx: &mut Ctx<'_>) -> Result<Vec<u8>, KmsError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(Self::FRONT + self.material.len()));
        plain.push(self.algorithm.number());
        plain.extend_from_slice(self.key.as_bytes());
        plain.extend_from_slice(&self.expires.unix().to_be_bytes());
        plain.extend_from_slice(self.material.expose());
        let mut nonce = [0; NONCE_LEN];
        ctx.rng.public(&mut nonce)?;
        let mut token = nonce.to_vec();
        token.resize(NONCE_LEN + plain.len() + TAG_LEN, 0);
        import_keys(ctx)?.tokens().seal(&nonce, Self::AAD, &plain, &mut token[NONCE_LEN..]);
        Ok(token)
    }

    /// Opens what [`Self::seal`] has made; `None` for anything else.
    fn open(token: &[u8], keys: &dyn ImportKeys) -> Option<Self> {
        let (nonce, sealed) = token.split_first_chunk::<NONCE_LEN>()?;
        let mut plain = Zeroizing::new(vec![0; sealed.len().checked_sub(TAG_LEN)?]);
        keys.tokens().open(nonce, Self::AAD, sealed, &mut plain).ok()?;
        let (number, rest) = plain.split_first()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (expires, material) = rest.split_first_chunk::<8>()?;
        Some(Self {
            key: KeyId::from_bytes(*id),
            algorithm: WrappingAlgorithm::from_number(*number)?,
            expires: Timestamp::from_unix(u64::from_be_bytes(*expires)),
            material: SecretBytes::copied_from(material),
        })
    }
}

/// The store's keys for this; a view of a store always has them.
fn import_keys<'a>(ctx: &Ctx<'a>) -> Result<&'a dyn ImportKeys, KmsError> {
    ctx.view.import_keys().ok_or_else(|| ErrorCode::InternalFailure.into())
}

/// Finds a key, lets the action through its gate, and refuses a key whose material the engine has drawn itself.
fn enter<'a>(key: &KeyRef<'_>, gate: Gate, ctx: &Ctx<'a>) -> Result<Held<'a, Key>, KmsError> {
    let key = ctx.enter(key, gate)?;
    ctx.reach(Step::Kind);
    if key.origin == Origin::External { Ok(key) } else { Err(ErrorCode::UnsupportedOrigin.into()) }
}

/// The private half of a wrapping key.
fn wrapping_key(algorithm: WrappingAlgorithm, material: &SecretBytes) -> Option<PrivateKey> {
    PrivateKey::parse(algorithm.spec().asymmetric()?, Purpose::Unwrap, material.expose())
}

/// GetParametersForImport.
#[derive(Debug)]
pub struct GetParametersForImport;

/// The answer of GetParametersForImport.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImportParameters {
    key_id: KeyId,
    import_token: Base64<Vec<u8>>,
    public_key: Base64<Vec<u8>>,
    token_expire_time: Timestamp,
}

impl Operation for GetParametersForImport {
    const REQUIRED: &'static [&'static str] = &["KeyId", "WrappingAlgorithm", "WrappingKeySpec"];
    type Request<'p> = (KeyRef<'p>, WrappingAlgorithm);
    type Reply = ImportParameters;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let key = KeyRef::parse_no_alias(params.required("KeyId")?, settings)?;
        let spec = KeySpec::parse(params.required("WrappingKeySpec")?);
        let Some(spec @ (KeySpec::Rsa2048 | KeySpec::EcSm2)) = spec else {
            return Err(KmsError::invalid("WrappingKeySpec"));
        };
        match WrappingAlgorithm::parse(params.required("WrappingAlgorithm")?) {
            Some(algorithm) if algorithm.spec() == spec => Ok((key, algorithm)),
            _ => Err(KmsError::invalid("WrappingAlgorithm")),
        }
    }

    fn plan((key, algorithm): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<ImportParameters>, KmsError> {
        let key = enter(&key, Gate::GetParametersForImport, ctx)?;
        if algorithm == WrappingAlgorithm::Sm2Pke && key.protection != ProtectionLevel::Hsm {
            return Err(ErrorCode::UnsupportedProtectionLevel.into());
        }
        ctx.reach(Step::Operation);
        let material = ctx.draw(algorithm.spec())?;
        let public_key = wrapping_key(algorithm, &material).ok_or(ErrorCode::InternalFailure)?.public().spki();
        let token = Token { key: key.id, algorithm, expires: ctx.now.plus(TOKEN_LIFE), material };
        Ok(Outcome::read(ImportParameters {
            key_id: token.key,
            import_token: Base64(token.seal(ctx)?),
            public_key: Base64(public_key),
            token_expire_time: token.expires,
        }))
    }
}

/// ImportKeyMaterial.
#[derive(Debug)]
pub struct ImportKeyMaterial;

/// The parameters of ImportKeyMaterial.
#[derive(Debug)]
pub struct ImportRequest<'p> {
    key: KeyRef<'p>,
    wrapped: Zeroizing<Vec<u8>>,
    token: &'p str,
    expires: Option<Timestamp>,
}

impl Operation for ImportKeyMaterial {
    const REQUIRED: &'static [&'static str] = &["EncryptedKeyMaterial", "ImportToken", "KeyId"];
    type Request<'p> = ImportRequest<'p>;
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<ImportRequest<'p>, KmsError> {
        let expires = params.number("KeyMaterialExpireUnix", 0, Timestamp::MAX.unix())?;
        Ok(ImportRequest {
            key: KeyRef::parse_no_alias(params.required("KeyId")?, settings)?,
            wrapped: params.base64("EncryptedKeyMaterial")?,
            token: params.required("ImportToken")?,
            // Absent or 0 is never (OP-19).
            expires: expires.filter(|at| *at != 0).map(Timestamp::from_unix),
        })
    }

    fn plan(request: ImportRequest<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        ctx.reach(Step::Form);
        if request.expires.is_some_and(|at| at < ctx.now) {
            return Err(KmsError::invalid("KeyMaterialExpireUnix"));
        }
        let key = enter(&request.key, Gate::ImportKeyMaterial, ctx)?;
        ctx.reach(Step::Operation);
        let token = decode_base64(request.token).and_then(|token| Token::open(&token, import_keys(ctx).ok()?));
        let token = token.filter(|token| token.key == key.id).ok_or(ErrorCode::InvalidImportToken)?;
        // One that is issued later than now, when the clock was wrong, would live for longer.
        if token.expires <= ctx.now || token.expires > ctx.now.plus(TOKEN_LIFE) {
            return Err(ErrorCode::ExpiredImportToken.into());
        }
        let (material, fingerprint) = unwrap(&token, &request.wrapped, &key, ctx)?;
        let imported = Imported { fingerprint, present: true, expires: request.expires };
        let Next::State(state) = Event::ImportMaterial.on(key.state_at(ctx.now)) else {
            return Err(ErrorCode::StateModifiedFailed.into());
        };
        let version = ctx.newest_version(&key)?;
        let key = Key { state, imported: Some(imported), ..(*key).clone() };
        let version = with_material(&version, &key, Some(material));
        Ok(Outcome { reply: Nothing {}, changes: vec![Change::PutKey(Box::new(key)), version] })
    }
}

/// The material of `key` that is wrapped in `wrapped`, and its fingerprint.
fn unwrap(token: &Token, wrapped: &[u8], key: &Key, ctx: &mut Ctx<'_>) -> Result<(SecretBytes, [u8; 32]), KmsError> {
    let cipher = key.spec.cipher().ok_or(ErrorCode::InternalFailure)?;
    let wrapping = wrapping_key(token.algorithm, &token.material).ok_or(ErrorCode::InvalidImportToken)?;
    let mut good = subtle::Choice::from(0);
    let material = SecretBytes::filled(cipher.key_len(), |out| {
        good = wrapping.unwrap(token.algorithm.scheme(), wrapped, ctx.rng, out)?;
        Ok::<(), KmsError>(())
    })?;
    let fingerprint = import_keys(ctx)?.fingerprint(&key.id, material.expose());
    if let Some(first) = key.imported {
        good &= fingerprint.ct_eq(&first.fingerprint);
    }
    if bool::from(good) { Ok((material, fingerprint)) } else { Err(ErrorCode::InvalidKeyMaterial.into()) }
}

/// The change that gives the one version of `key` other material, or none.
fn with_material(version: &KeyVersion, key: &Key, material: Option<SecretBytes>) -> Change {
    Change::PutVersion(Box::new(VersionRecord {
        id: version.id,
        key: key.id,
        number: version.number,
        created: version.created,
        spec: key.spec,
        material,
    }))
}

/// DeleteKeyMaterial.
#[derive(Debug)]
pub struct DeleteKeyMaterial;

impl Operation for DeleteKeyMaterial {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = KeyRef<'p>;
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<KeyRef<'p>, KmsError> {
        KeyRef::parse_no_alias(params.required("KeyId")?, settings)
    }

    fn plan(key: KeyRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = enter(&key, Gate::DeleteKeyMaterial, ctx)?;
        ctx.reach(Step::Operation);
        Ok(Outcome { reply: Nothing {}, changes: destroy(&key, ctx)? })
    }
}

/// What destroys the imported material of `key`; nothing when none is left, not even expired.
pub(super) fn destroy(key: &Key, ctx: &Ctx<'_>) -> Result<Vec<Change>, KmsError> {
    let Some(imported) = key.imported.filter(|imported| imported.present || imported.expires.is_some()) else {
        return Ok(Vec::new());
    };
    let imported = Some(Imported { present: false, expires: None, ..imported });
    let version = with_material(&*ctx.newest_version(key)?, key, None);
    Ok(vec![Change::PutKey(Box::new(Key { state: key.state_without_material(), imported, ..key.clone() })), version])
}
