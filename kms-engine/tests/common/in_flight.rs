//! What to make of a call whose answer nobody has seen.

use crate::common::{Call, Facts, Model, NewKey};

/// Applies a call whose answer nobody has seen, if `found`, read from the engine, shows that it was done. What was done by
/// halves is left for the comparison to find: it is neither as it was nor as it was to be.
///
/// One thread at a time makes calls about a key or an alias, so nothing else has happened to that meanwhile.
pub(crate) fn apply_if_done(model: &mut Model, call: &Call, found: &Model) {
    let mut with = model.clone();
    let done = match call {
        Call::CreateKey { description, .. } => {
            // No two calls are given the same description.
            let made = found.keys.iter().find(|(_, facts)| facts.description == *description);
            let Some((key, Facts { created, .. })) = made else { return };
            with.apply(call, Some(NewKey { key: key.clone(), created: created.clone() }));
            true
        }
        Call::CreateAlias { alias, .. } | Call::UpdateAlias { alias, .. } | Call::DeleteAlias { alias } => {
            with.apply(call, None);
            found.aliases.get(alias) == with.aliases.get(alias)
        }
        Call::Describe { key, .. }
        | Call::Tag { key, .. }
        | Call::Untag { key, .. }
        | Call::Disable { key }
        | Call::Enable { key }
        | Call::Schedule { key }
        | Call::Cancel { key } => {
            with.apply(call, None);
            found.keys.get(key) == with.keys.get(key)
        }
    };
    if done {
        *model = with;
    }
}
