//! What a key's owner does to its state: enable, disable, protect, schedule its deletion and take that back.

use super::{Ctx, KeyRef, Nothing, Operation, Outcome, rotation};
use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::model::{Key, Settings};
use crate::params::Params;
use crate::state::{Event, Next};
use crate::time::Timestamp;

/// `key` after `event`, which meets it in the state that it is in at `now`. The gates let an action through only where its event leads to a state (tested in
/// [`crate::state`]).
fn after(key: &Key, event: Event, now: Timestamp) -> Result<Key, KmsError> {
    match event.on(key.state_at(now)) {
        Next::State(state) => Ok(Key { state, ..key.clone() }),
        Next::Gone | Next::Refused => Err(ErrorCode::StateModifiedFailed.into()),
    }
}

/// The outcome of an action that changes a key and says nothing: no change, nothing to write.
fn put(before: &Key, key: Key) -> Outcome<Nothing> {
    let changes = if *before == key { Vec::new() } else { vec![Change::PutKey(Box::new(key))] };
    Outcome { reply: Nothing {}, changes }
}

/// The outcome of an action that makes a key Enabled. If its next version was due before that, it gets it at once (OP-28).
fn put_enabled(before: &Key, key: Key, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
    Ok(Outcome { reply: Nothing {}, changes: rotation::put(before, key, ctx)? })
}

/// EnableKey.
#[derive(Debug)]
pub struct EnableKey;

impl Operation for EnableKey {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = KeyRef<'p>;
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<KeyRef<'p>, KmsError> {
        KeyRef::parse_no_alias(params.required("KeyId")?, settings)
    }

    fn plan(request: KeyRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&request, Gate::EnableKey)?;
        put_enabled(&key, after(&key, Event::Enable, ctx.now)?, ctx)
    }
}

/// DisableKey.
#[derive(Debug)]
pub struct DisableKey;

impl Operation for DisableKey {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = KeyRef<'p>;
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<KeyRef<'p>, KmsError> {
        KeyRef::parse_no_alias(params.required("KeyId")?, settings)
    }

    fn plan(request: KeyRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&request, Gate::DisableKey)?;
        Ok(put(&key, after(&key, Event::Disable, ctx.now)?))
    }
}

/// ScheduleKeyDeletion.
#[derive(Debug)]
pub struct ScheduleKeyDeletion;

impl ScheduleKeyDeletion {
    const DAY: u64 = 86_400;
    const DEFAULT_DAYS: u64 = 30;
}

impl Operation for ScheduleKeyDeletion {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = (KeyRef<'p>, u64);
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let key = KeyRef::parse_no_alias(params.required("KeyId")?, settings)?;
        let days = params.number("PendingWindowInDays", 7, 30)?.unwrap_or(Self::DEFAULT_DAYS);
        Ok((key, days))
    }

    fn plan((key, days): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&key, Gate::ScheduleKeyDeletion)?;
        if key.deletion_protection.is_some() {
            ctx.pass(&key, Gate::ScheduleKeyDeletionProtected)?;
        }
        let delete_at = Some(ctx.now.plus(days * Self::DAY));
        Ok(put(&key, Key { delete_at, ..after(&key, Event::ScheduleDeletion, ctx.now)? }))
    }
}

/// CancelKeyDeletion.
#[derive(Debug)]
pub struct CancelKeyDeletion;

impl Operation for CancelKeyDeletion {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = KeyRef<'p>;
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<KeyRef<'p>, KmsError> {
        KeyRef::parse_no_alias(params.required("KeyId")?, settings)
    }

    fn plan(request: KeyRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&request, Gate::CancelKeyDeletion)?;
        let event = if key.has_material(ctx.now) { Event::CancelDeletion } else { Event::CancelDeletionNoMaterial };
        put_enabled(&key, Key { delete_at: None, ..after(&key, event, ctx.now)? }, ctx)
    }
}

/// SetDeletionProtection.
#[derive(Debug)]
pub struct SetDeletionProtection;

/// The parameters of SetDeletionProtection.
#[derive(Debug)]
pub struct SetDeletionProtectionRequest<'p> {
    key: KeyRef<'p>,
    /// The reason, if protection is switched on.
    protection: Option<&'p str>,
}

impl Operation for SetDeletionProtection {
    const REQUIRED: &'static [&'static str] = &["EnableDeletionProtection", "ProtectedResourceArn"];
    type Request<'p> = SetDeletionProtectionRequest<'p>;
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let on = params.flag("EnableDeletionProtection")?.unwrap_or(false);
        let arn = params.required("ProtectedResourceArn")?;
        // acs:kms:<region>:<account>:key/<id>, of whatever region and account.
        let is_key_arn = matches!(
            arn.split(':').collect::<Vec<_>>()[..],
            ["acs", "kms", region, account, resource]
                if !region.is_empty() && !account.is_empty() && resource.strip_prefix("key/").is_some_and(|id| !id.is_empty())
        );
        if !is_key_arn {
            return Err(KmsError::invalid("ProtectedResourceArn"));
        }
        // A reason for switching it off is not looked at (8.6).
        let protection = if on { Some(params.description("DeletionProtectionDescription")?) } else { None };
        Ok(SetDeletionProtectionRequest { key: KeyRef::parse(arn, settings), protection })
    }

    fn plan(request: Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&request.key, Gate::SetDeletionProtection)?;
        Ok(put(&key, Key { deletion_protection: request.protection.map(str::to_owned), ..(*key).clone() }))
    }
}
