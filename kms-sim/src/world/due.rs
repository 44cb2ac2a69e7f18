//! What time does: the sweep, and the versions of which nobody was told.

use kms_core::ErrorCode;
use kms_store::fault::SyncFault;
use serde_json::json;

use super::{ALL, World, code_of, told};
use crate::call::call;
use crate::model::State;
use crate::story::{Answer, Deed};

impl World {
    /// Does what is due, in a commit for each kind. Those before one that fails stand.
    pub(super) fn sweep(&mut self) {
        let (stages, due) = self.model.sweep();
        let place = self.story.begin(Deed::Sweep, Answer::Reply(due.clone()));
        let before = self.disk.syncs();
        let result = self.engine().run_due();
        let syncs = self.disk.syncs() - before;
        if self.poisoned {
            assert_eq!(told(&result), Err(ErrorCode::StorePoisoned), "the sweep of a poisoned store");
            return self.failed(place, ErrorCode::StorePoisoned, None);
        }
        if self.full && !stages.is_empty() {
            assert_eq!(told(&result), Err(ErrorCode::StoreFull), "the sweep of a full disk");
            return self.failed(place, ErrorCode::StoreFull, None);
        }
        for (number, stage) in (1_u64..).zip(stages) {
            let fault = self.faults.remove(&(before + number)).unwrap_or(SyncFault::Ok);
            if fault == SyncFault::Ok {
                self.model = stage;
                continue;
            }
            assert_eq!(syncs, number, "the sweep goes on after a failure");
            assert_eq!(told(&result), Err(code_of(fault)), "the sweep");
            let kept = (fault == SyncFault::FailKept).then_some(stage);
            return self.store_failed(place, fault, kept);
        }
        let report = result.unwrap_or_else(|error| panic!("the sweep: {error:?} where {due} is due"));
        assert_eq!(report, due.to_string(), "the sweep");
        let rotated = due["RotatedKeys"].as_u64().unwrap_or_default();
        for (kind, count) in
            [("expired material is destroyed", "ExpiredMaterials"), ("a key is destroyed", "DeletedKeys")]
        {
            (0..due[count].as_u64().unwrap_or_default()).for_each(|_| self.census.done(kind));
        }
        (0..rotated).for_each(|_| self.census.done("the sweep rotates"));
        self.census.done("the sweep");
        self.learn();
    }

    /// Asks for the ids of versions that were made without telling anybody, and of keys whose maker was told of a failure.
    pub(super) fn learn(&mut self) {
        let unknown = |world: &Self, index: usize| world.model.keys[index].versions.iter().any(|v| v.id.is_empty());
        let keys: Vec<usize> = self.model.live().filter(|index| unknown(self, *index)).collect();
        for index in keys {
            let params = json!({ "KeyId": self.model.keys[index].id, "PageSize": ALL.size });
            let reply = call(self.engine(), "ListKeyVersions", &params)
                .unwrap_or_else(|error| panic!("ListKeyVersions {params}: {error:?}"));
            let listed: Vec<_> = reply["KeyVersions"]["KeyVersion"].as_array().into_iter().flatten().rev().collect();
            let versions = &mut self.model.keys[index].versions;
            assert_eq!(listed.len(), versions.len(), "the versions of {params}: {reply}");
            for (version, listed) in versions.iter_mut().zip(listed) {
                if version.id.is_empty() {
                    listed["KeyVersionId"].as_str().unwrap_or_default().clone_into(&mut version.id);
                }
            }
            self.story.begin(Deed::Call { action: "ListKeyVersions", params }, Answer::Reply(reply));
        }
    }

    /// A key that is there although the engine could not say so has an id that nobody was told.
    pub(super) fn learn_key(&mut self) {
        let Some(index) = self.model.keys.iter().position(|key| key.id.is_empty()) else { return };
        let listed = call(self.engine(), "ListKeys", &json!({ "PageSize": ALL.size })).expect("keys are listed");
        let known = |id: &&serde_json::Value| self.model.keys.iter().any(|key| key.id == **id);
        let mut listed = listed["Keys"]["Key"].as_array().into_iter().flatten().map(|key| &key["KeyId"]);
        let id = listed.find(|id| !known(id)).expect("the disk kept the key");
        let id = id.as_str().unwrap_or_default().to_owned();
        self.story.reveal(json!({ "KeyMetadata": { "KeyId": id, "...": "..." } }));
        self.model.keys[index].id = id;
    }

    /// Gives every key a last turn: an Enabled one encrypts, and the others refuse.
    pub(super) fn use_every_key(&mut self) {
        let live: Vec<usize> = self.model.live().collect();
        for index in live {
            let key = super::KeyPick { form: 0, index: index as u8 };
            self.encrypt(key, 3, crate::model::Context(0), self.model.keys[index].state == State::Enabled);
        }
    }
}
