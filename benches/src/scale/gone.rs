//! Stores in which many keys are past their DeleteDate and no sweep has come by.

use std::path::Path;

use kms_engine::Engine;
use serde_json::{Value, json};

use super::filled::{call, config, create_key, filler};
use crate::layer::SPEC;

/// Which keys were made first, and so stand first in every list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Those that are there.
    Live,
    /// Those that are gone.
    Gone,
}

/// Opens a store that it makes in `path`, with `live` keys, and `gone` others whose DeleteDate has come. Each has an alias.
///
/// # Panics
/// When that fails.
#[must_use]
pub fn with_gone(path: &Path, live: u64, gone: u64, first: First) -> Engine {
    let engine = filler(path, &clock());
    let make = |name: &str, number: u64| -> Vec<String> {
        let one = |i| {
            // Aliases of one second are read together, so that all of one second would be a case of its own.
            if i % 10 == 0 {
                engine.advance_clock(1).expect("the clock goes on");
            }
            let key = create_key(&engine, SPEC);
            call(&engine, "CreateAlias", &json!({ "KeyId": key, "AliasName": format!("alias/{name}-{i}") }));
            key
        };
        (0..number).map(one).collect()
    };
    let doomed = match first {
        First::Live => {
            drop(make("live", live));
            make("gone", gone)
        }
        First::Gone => {
            let doomed = make("gone", gone);
            drop(make("live", live));
            doomed
        }
    };
    for key in doomed {
        call(&engine, "ScheduleKeyDeletion", &json!({ "KeyId": key, "PendingWindowInDays": 7 }));
    }
    engine.advance_clock(8 * 24 * 60 * 60).expect("the clock goes on");
    drop(engine);
    Engine::open(config(path, &clock())).expect("the store opens")
}

fn clock() -> Value {
    json!({ "clock": { "manual": "2030-01-01T00:00:00Z" } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_live_keys_are_listed() {
        for first in [First::Live, First::Gone] {
            let directory = tempfile::tempdir().unwrap();
            let engine = with_gone(&directory.path().join("store"), 20, 300, first);
            for (action, list, entry) in [("ListKeys", "Keys", "Key"), ("ListAliases", "Aliases", "Alias")] {
                let reply = call(&engine, action, &json!({ "PageSize": 100 }));
                assert_eq!(reply["TotalCount"], 20, "{action} {first:?}");
                assert_eq!(reply[list][entry].as_array().unwrap().len(), 20, "{action} {first:?}");
            }
        }
    }
}
