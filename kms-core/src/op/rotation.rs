//! Rotation: a symmetric key's next version, which encrypts from then on, while all before it still decrypt.
//!
//! It is made when it is due, by whoever comes first: the first call that encrypts, the sweep, or a call that makes an overdue
//! key Enabled (OP-28) or overdue (8.15). Until somebody comes, the present version is the primary one and the date stands in
//! the past. However much time has passed, that is one version, made now.

use super::{Ctx, KeyRef, Nothing, Operation, Outcome, Rotation, Step};
use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::{KeyId, KeyVersionId};
use crate::model::{Key, Origin, Settings, VersionRecord};
use crate::params::Params;
use crate::time::Interval;
use crate::view::Held;

/// The interval of a key that is to rotate by itself; `None` for one that is not. The parameters are those of CreateKey and
/// UpdateRotationPolicy.
pub(super) fn parse(params: &Params) -> Result<Option<Interval>, KmsError> {
    if params.flag("EnableAutomaticRotation")? != Some(true) {
        // Then nobody looks at the interval.
        return Ok(None);
    }
    params.require("RotationInterval")?;
    let range = Interval::days(7)..=Interval::days(730);
    params.choice("RotationInterval", |text| Interval::parse(text).filter(|interval| range.contains(interval)))
}

/// A new version of `key` that takes the place of the newest, and the key that it leads to.
pub(super) fn next_version(key: &Key, ctx: &mut Ctx<'_>) -> Result<(Key, VersionRecord), KmsError> {
    let version = VersionRecord {
        id: KeyVersionId::random(ctx.rng)?,
        key: key.id,
        number: key.versions + 1,
        created: ctx.now,
        spec: key.spec,
        material: Some(ctx.draw(key.spec)?),
    };
    let key = Key { primary: Some(version.id), versions: version.number, last_rotation: ctx.now, ..key.clone() };
    Ok((key, version))
}

/// What there is to write when `before` becomes `key`: nothing if they are the same, and the next version too if it is due.
pub(super) fn put(before: &Key, key: Key, ctx: &mut Ctx<'_>) -> Result<Vec<Change>, KmsError> {
    if key.rotation_is_due(ctx.now) && matches!(ctx.rotation, Rotation::Planned) {
        let (key, version) = next_version(&key, ctx)?;
        return Ok(vec![Change::PutKey(Box::new(key)), Change::PutVersion(Box::new(version))]);
    }
    Ok(if *before == key { Vec::new() } else { vec![Change::PutKey(Box::new(key))] })
}

/// Makes the next version of a key if it is due. Whether it was.
///
/// # Errors
/// The store's.
pub fn rotate(key: &KeyId, ctx: &mut Ctx<'_>) -> Result<Outcome<bool>, KmsError> {
    let changes = match ctx.live_key(key)? {
        Some(key) => put(&key, (*key).clone(), ctx)?,
        None => Vec::new(),
    };
    Ok(Outcome { reply: !changes.is_empty(), changes })
}

/// `key`, whose gate is passed, before it encrypts: with its next version if that is due and can be made.
pub(super) fn up_to_date<'a>(key: Held<'a, Key>, gate: Gate, ctx: &Ctx<'a>) -> Result<Held<'a, Key>, KmsError> {
    let Rotation::Beside(rotate) = ctx.rotation else { return Ok(key) };
    if !key.rotation_is_due(ctx.now) {
        return Ok(key);
    }
    rotate.rotate(&key.id);
    let key = ctx.live_key(&key.id)?.ok_or(ErrorCode::KeyNotFound)?;
    gate.check(key.state_at(ctx.now))?;
    Ok(key)
}

/// UpdateRotationPolicy.
#[derive(Debug)]
pub struct UpdateRotationPolicy;

impl Operation for UpdateRotationPolicy {
    const REQUIRED: &'static [&'static str] = &["EnableAutomaticRotation", "KeyId"];
    type Request<'p> = (KeyRef<'p>, Option<Interval>);
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let rotation = parse(params)?;
        Ok((KeyRef::parse_no_alias(params.required("KeyId")?, settings)?, rotation))
    }

    fn plan((key, rotation): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&key, Gate::UpdateRotationPolicy)?;
        ctx.reach(Step::Kind);
        if key.spec.cipher().is_none() {
            return Err(ErrorCode::OperationRejected.into());
        }
        if key.origin == Origin::External {
            return Err(ErrorCode::UnsupportedOrigin.into());
        }
        ctx.reach(Step::Operation);
        // One whose date has passed under the new policy rotates at once.
        let changes = put(&key, Key { rotation, ..(*key).clone() }, ctx)?;
        Ok(Outcome { reply: Nothing {}, changes })
    }
}
