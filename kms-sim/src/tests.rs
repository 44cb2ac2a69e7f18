//! Proof that a history can fail: what happens behind the model's back is noticed, and told as a scenario.

use kms_core::ErrorCode;
use kms_store::fault::SyncFault;
use serde_json::{Value, json};

use crate::call::call;
use crate::model::State;
use crate::world::World;
use crate::{Failure, simulate_with};

/// Meddles once in each of some seeds. Nearly all that let themselves be meddled with must fail; in a few the next step undoes it,
/// or the history is over before it matters.
fn is_noticed(what: &str, meddle: impl Fn(&mut World) -> bool) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut meddled_with = 0;
    for seed in 0..100 {
        if meddled_with == 12 {
            break;
        }
        let mut meddled = false;
        let result = simulate_with(seed, |world| {
            if !meddled && !world.is_ailing() {
                meddled = meddle(world);
            }
        });
        meddled_with += usize::from(meddled);
        if let Err(failure) = result {
            assert!(meddled, "seed {seed} fails by itself: {failure}");
            failures.push(*failure);
        }
    }
    assert!(meddled_with == 12, "{what} happened in {meddled_with} seeds only");
    assert!(failures.len() * 4 >= meddled_with * 3, "{what} is noticed in {} of {meddled_with} seeds", failures.len());
    failures
}

/// The first live key of a state.
fn live(world: &World, state: State) -> Option<usize> {
    world.model.live().find(|index| world.model.keys[*index].state == state)
}

/// Makes a call that the model is not told of. When a fault of the disk meets it, that is as bad.
fn tell(world: &World, action: &str, params: &Value) -> bool {
    let before = world.disk.syncs();
    let done = call(world.engine(), action, params).is_ok();
    done || world.disk.syncs() > before
}

// Goal: no rule of the contract that the model gets wrong stays unnoticed. Method: the model is brought to say what it
// would say if DisableKey did nothing, and so on; the engine stays as it is.
#[test]
fn a_wrong_model_is_noticed() {
    is_noticed("a DisableKey that does nothing", |world| {
        let Some(index) = live(world, State::Disabled) else { return false };
        world.model.keys[index].state = State::Enabled;
        true
    });
    is_noticed("a key that was never deleted", |world| {
        let gone = (0..world.model.keys.len()).find(|index| !world.model.is_live(*index));
        let Some(index) = gone else { return false };
        world.model.keys[index].revive();
        true
    });
    is_noticed("a policy that was never set", |world| {
        let rotating = |index: &usize| world.model.keys[*index].rotation.is_some();
        let Some(index) = world.model.live().find(rotating) else { return false };
        world.model.keys[index].rotation = None;
        true
    });
    is_noticed("a version too few", |world| {
        let old = |index: &usize| world.model.keys[*index].versions.len() > 1;
        let Some(index) = world.model.live().find(old) else { return false };
        world.model.keys[index].versions.pop();
        true
    });
    is_noticed("a clock that is a second behind", |world| {
        world.model.now -= 1;
        true
    });
    is_noticed("another plaintext", |world| {
        let Some((_, sealed)) = world.blobs.first_mut() else { return false };
        sealed.payload = crate::model::Payload::Bytes(b"something else altogether".to_vec());
        world.model.is_live(world.blobs[0].1.key)
    });
}

// Goal: an engine that does something else is noticed. Method: it is told to do something that the model is not told.
#[test]
fn a_wrong_engine_is_noticed() {
    let failures = is_noticed("a key that disables itself", |world| {
        let Some(index) = live(world, State::Enabled) else { return false };
        let params = json!({ "KeyId": world.model.keys[index].id });
        tell(world, "DisableKey", &params)
    });
    for failure in failures {
        assert!(failure.scenario.starts_with("@ 2030-01-01T00:00:00Z"), "{failure}");
        assert!(failure.scenario.contains("\n----\n"), "{failure}");
        assert!(failure.to_string().contains(&format!("cargo xtask simulate --seeds 1 --from {}", failure.seed)));
    }
    is_noticed("a key out of nothing", |world| tell(world, "CreateKey", &json!({})));
    is_noticed("a store that says that it failed", |world| {
        world.disk.at_next_sync(SyncFault::FailKept);
        let params = json!({ "AliasName": "alias/behind", "KeyId": "no id" });
        // A refusal writes nothing, and the fault waits for the next that does.
        call(world.engine(), "CreateAlias", &params).is_err_and(|error| error.code() == ErrorCode::KeyNotFound)
    });
}
