//! What time does by itself: keys whose DeleteDate has come are removed, material that has expired is destroyed, and keys whose
//! rotation is due get their next version.

use serde::Serialize;

use super::{Ctx, Outcome, import, rotation};
use crate::Change;
use crate::error::KmsError;
use crate::id::KeyId;
use crate::model::Key;
use crate::time::Timestamp;
use crate::view::{AliasScope, Due, DuePlace, Held};

/// How many records one commit of the sweep writes at most, about: a key with very many goes in several commits.
const BATCH: usize = 256;

/// What was due and has been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DueReport {
    /// Keys removed, with their versions, aliases and tags.
    pub deleted_keys: u64,
    /// EXTERNAL keys whose material has expired and was destroyed.
    pub expired_materials: u64,
    /// Keys that got their next version.
    pub rotated_keys: u64,
    /// Whether more may be due.
    #[serde(skip)]
    pub more: bool,
}

impl DueReport {
    /// Adds what a further step has done.
    pub fn add(&mut self, step: Self) {
        self.deleted_keys += step.deleted_keys;
        self.expired_materials += step.expired_materials;
        self.rotated_keys += step.rotated_keys;
        self.more = step.more;
    }
}

/// One step of what is due, which is of one kind. Material is destroyed only if that was due at `destroyable` or earlier; `None`
/// destroys none.
///
/// # Errors
/// The store's.
pub fn step(destroyable: Option<Timestamp>, ctx: &mut Ctx<'_>) -> Result<Outcome<DueReport>, KmsError> {
    let (mut changes, mut report) = (Vec::new(), DueReport::default());
    if let Some(until) = destroyable {
        let until = until.min(ctx.now);
        delete(until, ctx, &mut changes, &mut report)?;
        if changes.is_empty() {
            expire(until, ctx, &mut changes, &mut report)?;
        }
    }
    if changes.is_empty() {
        rotate(ctx, &mut changes, &mut report)?;
    }
    report.more = !changes.is_empty();
    Ok(Outcome { reply: report, changes })
}

/// Removes keys whose DeleteDate has come. A key's aliases and versions go before it, so that a sweep that is interrupted goes on
/// where it stopped.
fn delete(until: Timestamp, ctx: &Ctx<'_>, changes: &mut Vec<Change>, report: &mut DueReport) -> Result<(), KmsError> {
    for place in ctx.view.due(Due::Deletion, until, None, BATCH)? {
        if changes.len() >= BATCH {
            break;
        }
        if let Some(key) = still_due(Due::Deletion, place, ctx)? {
            report.deleted_keys += u64::from(bury(&key, ctx, changes)?);
        }
    }
    Ok(())
}

/// Destroys material that has expired.
fn expire(until: Timestamp, ctx: &Ctx<'_>, changes: &mut Vec<Change>, report: &mut DueReport) -> Result<(), KmsError> {
    for place in ctx.view.due(Due::Expiry, until, None, BATCH / 2)? {
        if let Some(key) = still_due(Due::Expiry, place, ctx)? {
            changes.extend(import::destroy(&key, ctx)?);
            report.expired_materials += 1;
        }
    }
    Ok(())
}

/// The key of a place in a list, if it is still there: a list is no precondition of a commit, so that the key may have changed since
/// that was read.
fn still_due<'a>(due: Due, place: DuePlace, ctx: &Ctx<'a>) -> Result<Option<Held<'a, Key>>, KmsError> {
    Ok(ctx.view.key(&place.id)?.filter(|key| due.of(key) == Some(place.at)))
}

/// Makes versions that are due, unless the plan is not to make any.
fn rotate(ctx: &mut Ctx<'_>, changes: &mut Vec<Change>, report: &mut DueReport) -> Result<(), KmsError> {
    for place in ctx.view.due(Due::Rotation, ctx.now, None, BATCH / 2)? {
        let rotated = rotation::rotate(&place.id, ctx)?;
        report.rotated_keys += u64::from(rotated.reply);
        changes.extend(rotated.changes);
    }
    Ok(())
}

/// Removes what belongs to `key`, and then the key. `false` when some of it is left for the next step.
fn bury(key: &Key, ctx: &Ctx<'_>, changes: &mut Vec<Change>) -> Result<bool, KmsError> {
    let id: KeyId = key.id;
    let aliases = ctx.view.aliases(AliasScope::Key(id), None, BATCH)?;
    changes.extend(aliases.iter().map(|alias| Change::RemoveAlias(alias.name.clone())));
    let versions = ctx.view.versions(&id, key.versions, BATCH)?;
    changes.extend(versions.iter().copied().map(Change::RemoveVersion));
    if aliases.len() < BATCH && versions.len() < BATCH {
        changes.push(Change::RemoveKey(id));
        return Ok(true);
    }
    let gone = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let rest = Key {
        aliases: key.aliases.saturating_sub(gone(aliases.len())),
        versions: key.versions.saturating_sub(gone(versions.len())),
        ..key.clone()
    };
    changes.push(Change::PutKey(Box::new(rest)));
    Ok(false)
}
