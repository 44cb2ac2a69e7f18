//! Key versions.

use serde::Serialize;

use super::page::{Page, PageReply};
use super::rotation::next_version;
use super::{Ctx, KeyRef, Operation, Outcome, Step};
use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::{KeyId, KeyVersionId};
use crate::model::{KeyVersion, Settings};
use crate::params::Params;
use crate::time::Timestamp;

/// A key version as the contract shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownVersion {
    key_id: KeyId,
    key_version_id: KeyVersionId,
    creation_date: Timestamp,
}

impl ShownVersion {
    fn new(version: &KeyVersion) -> Self {
        Self { key_id: version.key, key_version_id: version.id, creation_date: version.created }
    }
}

/// DescribeKeyVersion.
#[derive(Debug)]
pub struct DescribeKeyVersion;

/// The answer of DescribeKeyVersion.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VersionReply {
    key_version: ShownVersion,
}

impl Operation for DescribeKeyVersion {
    const REQUIRED: &'static [&'static str] = &["KeyId", "KeyVersionId"];
    type Request<'p> = (KeyRef<'p>, &'p str);
    type Reply = VersionReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((KeyRef::parse(params.required("KeyId")?, settings), params.required("KeyVersionId")?))
    }

    fn plan((key, version): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<VersionReply>, KmsError> {
        let key = ctx.find(&key)?;
        let version = ctx.find_version(&key, version)?;
        ctx.pass(&key, Gate::DescribeKeyVersion)?;
        Ok(Outcome::read(VersionReply { key_version: ShownVersion::new(&version) }))
    }
}

/// CreateKeyVersion.
#[derive(Debug)]
pub struct CreateKeyVersion;

impl Operation for CreateKeyVersion {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = KeyRef<'p>;
    type Reply = VersionReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<KeyRef<'p>, KmsError> {
        Ok(KeyRef::parse(params.required("KeyId")?, settings))
    }

    fn plan(key: KeyRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<VersionReply>, KmsError> {
        let key = ctx.enter(&key, Gate::CreateKeyVersion)?;
        ctx.reach(Step::Kind);
        // Too soon is told as if the key could not have versions (OP-32).
        if key.spec.asymmetric().is_none() || ctx.now < key.last_rotation.plus(MIN_AGE) {
            return Err(ErrorCode::OperationRejected.into());
        }
        ctx.reach(Step::Limits);
        // Of versions that CreateKeyVersion has made, those of keys that are gone count no more.
        if ctx.view.counts(ctx.now)?.live.added_versions >= ctx.settings.limits.key_versions {
            return Err(ErrorCode::LimitExceeded.into());
        }
        ctx.reach(Step::Operation);
        let (key, version) = next_version(&key, ctx)?;
        let shown = ShownVersion { key_id: key.id, key_version_id: version.id, creation_date: version.created };
        let changes = vec![Change::PutKey(Box::new(key)), Change::PutVersion(Box::new(version))];
        Ok(Outcome { reply: VersionReply { key_version: shown }, changes })
    }
}

/// Seconds that must lie between two versions of a key (OP-32).
const MIN_AGE: u64 = 7 * 24 * 60 * 60;

/// ListKeyVersions.
#[derive(Debug)]
pub struct ListKeyVersions;

/// The answer of ListKeyVersions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeyVersionsReply {
    key_versions: VersionList,
    #[serde(flatten)]
    page: PageReply,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionList {
    key_version: Vec<ShownVersion>,
}

impl Operation for ListKeyVersions {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = (KeyRef<'p>, Page);
    type Reply = ListKeyVersionsReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((KeyRef::parse(params.required("KeyId")?, settings), Page::parse(params)?))
    }

    fn plan((key, page): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<ListKeyVersionsReply>, KmsError> {
        let key = ctx.enter(&key, Gate::ListKeyVersions)?;
        // Versions are numbered without gaps, so that a page is found without reading those before it.
        let newest = u64::from(key.versions).saturating_sub(page.skip());
        let mut key_version = Vec::new();
        if let Ok(newest @ 1..) = u32::try_from(newest) {
            for id in ctx.view.versions(&key.id, newest, page.size())? {
                if let Some(version) = ctx.view.version(&id)? {
                    key_version.push(ShownVersion::new(&version));
                }
            }
        }
        let page = page.reply(u64::from(key.versions));
        Ok(Outcome::read(ListKeyVersionsReply { key_versions: VersionList { key_version }, page }))
    }
}
