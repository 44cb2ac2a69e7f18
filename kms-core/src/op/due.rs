//! What time does by itself: keys whose DeleteDate has come are swept away.

use serde::Serialize;

use super::{Ctx, Outcome};
use crate::Change;
use crate::error::KmsError;
use crate::id::KeyId;
use crate::model::Key;
use crate::time::Timestamp;
use crate::view::AliasScope;

/// How many records one commit of the sweep removes at most, about: a key with very many goes in several commits.
const BATCH: usize = 256;

/// What one step of the sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SweepReport {
    /// Keys removed, with their versions, aliases and tags.
    pub deleted_keys: u64,
    /// Whether more is due.
    #[serde(skip)]
    pub more: bool,
}

/// One step of the sweep: removes keys whose DeleteDate is `until` or earlier, material and all.
///
/// A key's aliases and versions are removed before it, so that a sweep that is interrupted goes on where it stopped.
///
/// # Errors
/// The store's.
pub fn sweep(until: Timestamp, ctx: &mut Ctx<'_>) -> Result<Outcome<SweepReport>, KmsError> {
    let due = ctx.view.due(until.min(ctx.now), None, BATCH)?;
    let (mut changes, mut report) = (Vec::new(), SweepReport::default());
    for place in &due {
        if changes.len() >= BATCH {
            break;
        }
        if let Some(key) = ctx.view.key(&place.id)? {
            report.deleted_keys += u64::from(bury(&key, ctx, &mut changes)?);
        }
    }
    report.more = !changes.is_empty();
    Ok(Outcome { reply: report, changes })
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
