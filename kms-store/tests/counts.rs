//! What is counted of keys that are gone, whatever is written and however the clock goes.

use std::collections::BTreeMap;

use kms_core::id::KeyId;
use kms_core::model::{AccountStatus, Key, KeySpec, KeyUsage, Origin, ProtectionLevel, Tags};
use kms_core::rng::{EntropyError, Rng};
use kms_core::secret::SecretBytes;
use kms_core::state::KeyState;
use kms_core::time::Timestamp;
use kms_core::view::{Counts, Totals, View as _};
use kms_core::{Change, KmsError};
use kms_store::mem_kv::MemKv;
use kms_store::{CommitError, Owner, RootKey, Store};

struct Fixed;

impl RootKey for Fixed {
    fn establish(&self) -> Result<(SecretBytes, Vec<u8>), KmsError> {
        Ok((SecretBytes::copied_from(&[7; 32]), Vec::new()))
    }

    fn recall(&self, _: &[u8]) -> Result<SecretBytes, KmsError> {
        Ok(SecretBytes::copied_from(&[7; 32]))
    }
}

/// SplitMix64: the same history each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

impl Rng for Chance {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill_with(|| u8::try_from(self.below(256)).unwrap());
        Ok(())
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.secret(out)
    }
}

fn key(number: u64, delete_at: Option<u64>, aliases: u32, versions: u32) -> Key {
    let mut id = [0; 16];
    // The highest id there is stands at the end of its second.
    id[..8].copy_from_slice(&if number == 0 { u64::MAX } else { number }.to_be_bytes());
    id[8..].fill(if number == 0 { 0xff } else { 0 });
    Key {
        id: KeyId::from_bytes(id),
        spec: KeySpec::EcP256,
        usage: KeyUsage::SignVerify,
        origin: Origin::AliyunKms,
        protection: ProtectionLevel::Software,
        creator: "1".to_owned(),
        created: Timestamp::from_unix(0),
        description: String::new(),
        state: if delete_at.is_some() { KeyState::PendingDeletion } else { KeyState::Enabled },
        delete_at: delete_at.map(Timestamp::from_unix),
        deletion_protection: None,
        primary: None,
        versions,
        last_rotation: Timestamp::from_unix(0),
        rotation: None,
        imported: None,
        aliases,
        tags: Tags::default(),
    }
}

fn commit(store: &Store, changes: Vec<Change>, chance: &mut Chance) -> Result<(), CommitError> {
    let reader = store.reader();
    let prepared = store.prepare(&reader, changes, Timestamp::from_unix(0), chance).unwrap();
    store.commit(prepared, chance, &|_| {})
}

/// Counts the model's keys as the words of `Counts` say.
fn expected(model: &BTreeMap<u64, Key>, now: u64) -> Counts {
    let mut counts = Counts::default();
    for key in model.values() {
        let gone = key.delete_at.is_some_and(|at| at.unix() <= now);
        let of = if gone { &mut counts.gone } else { &mut counts.live };
        of.keys += 1;
        of.added_versions += u64::from(key.versions - 1);
        // An alias that no record stands for is counted with its key, and not in the head record.
        if gone {
            of.aliases += u64::from(key.aliases);
        }
    }
    counts
}

/// Goal: the counts of any instant are right, after any commit, and whether the clock went on or back. Method: random
/// histories of more keys than are counted in one portion, many of one second, beside a plain map.
#[test]
fn counts_follow_commits_and_the_clock() {
    for seed in 0..8 {
        let chance = &mut Chance(seed);
        let owner = Owner {
            account: "1".to_owned(),
            region: "r".to_owned(),
            status: AccountStatus::Enabled,
            configured: AccountStatus::Enabled,
        };
        let store = Store::open(Box::new(MemKv::new()), &Fixed, &owner, Timestamp::from_unix(0), chance).unwrap();
        let mut model: BTreeMap<u64, Key> = BTreeMap::new();
        for step in 0..400 {
            // Many at first, so that a second has hundreds.
            let many = if step == 0 { 900 } else { chance.below(4) };
            let mut changes = Vec::new();
            for _ in 0..many {
                let number = if step == 0 { changes.len() as u64 } else { chance.below(1000) };
                let delete_at = (chance.below(5) > 0).then(|| 10 + chance.below(3) * chance.below(10));
                let versions = u32::try_from(1 + chance.below(3)).unwrap();
                let aliases = u32::try_from(chance.below(3)).unwrap();
                if chance.below(8) == 0 && step > 0 {
                    if let Some(key) = model.remove(&number) {
                        changes.push(Change::RemoveKey(key.id));
                    }
                } else {
                    let key = key(number, delete_at, aliases, versions);
                    changes.push(Change::PutKey(Box::new(key.clone())));
                    model.insert(number, key);
                }
            }
            commit(&store, changes, chance).unwrap();
            if chance.below(3) == 0 {
                let now = 8 + chance.below(24);
                let found = store.reader().counts(Timestamp::from_unix(now)).unwrap();
                let expected = expected(&model, now);
                assert_eq!(
                    (found.live.keys, found.gone),
                    (expected.live.keys, expected.gone),
                    "{seed}: {step} at {now}"
                );
                assert_eq!(found.live.added_versions, expected.live.added_versions, "{seed}: {step} at {now}");
                assert_eq!(found.live.aliases, 0, "none is recorded");
            }
        }
    }
}

/// Goal: a plan that has counted is planned again if that has changed, though not the number of records. Method: a gone key
/// loses an alias, between the counting and the commit.
#[test]
fn a_plan_that_has_counted_what_then_changes_is_a_conflict() {
    let chance = &mut Chance(1);
    let owner = Owner {
        account: "1".to_owned(),
        region: "r".to_owned(),
        status: AccountStatus::Enabled,
        configured: AccountStatus::Enabled,
    };
    let store = Store::open(Box::new(MemKv::new()), &Fixed, &owner, Timestamp::from_unix(0), chance).unwrap();
    commit(&store, vec![Change::PutKey(Box::new(key(1, Some(5), 2, 1)))], chance).unwrap();
    let plan = |chance: &mut Chance, between: &dyn Fn(&mut Chance)| {
        let reader = store.reader();
        let counts = reader.counts(Timestamp::from_unix(5)).unwrap();
        let change = Change::PutKey(Box::new(key(2, None, 0, 1)));
        let prepared = store.prepare(&reader, vec![change], Timestamp::from_unix(0), chance).unwrap();
        between(chance);
        (counts.gone, store.commit(prepared, chance, &|_| {}))
    };
    let lose_one = |chance: &mut Chance| {
        commit(&store, vec![Change::PutKey(Box::new(key(1, Some(5), 1, 1)))], chance).unwrap();
    };
    let (gone, result) = plan(chance, &lose_one);
    assert_eq!(gone, Totals { keys: 1, aliases: 2, added_versions: 0 });
    assert!(matches!(result, Err(CommitError::Conflict)));
    let (gone, result) = plan(chance, &|_| {});
    assert_eq!(gone, Totals { keys: 1, aliases: 1, added_versions: 0 });
    assert!(result.is_ok());
}
