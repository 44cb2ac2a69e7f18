//! Some hundreds of seeds. `cargo xtask simulate` runs as many as one likes, thirty times as fast.

use std::sync::Mutex;
use std::thread;

use kms_sim::{Census, simulate};

/// Those of the test. Another number is as good; a seed that once failed stays in, by its number.
const SEEDS: u64 = 400;

fn run(seeds: impl Iterator<Item = u64> + Send) -> Census {
    let (seeds, census) = (Mutex::new(seeds), Mutex::new(Census::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut mine = Census::default();
                loop {
                    let Some(seed) = seeds.lock().unwrap().next() else { break };
                    mine.add(simulate(seed).unwrap_or_else(|failure| panic!("{failure}")));
                }
                census.lock().unwrap().add(mine);
            });
        }
    });
    census.into_inner().unwrap()
}

// Goal: engine and model agree, and the histories go everywhere. Method: seeds, and what they are said to have come to.
#[test]
fn engine_and_model_agree() {
    let census = run(0..SEEDS);
    assert_eq!(census.histories, SEEDS);
    for action in [
        "AsymmetricDecrypt",
        "AsymmetricEncrypt",
        "AsymmetricSign",
        "AsymmetricVerify",
        "CancelKeyDeletion",
        "CreateAlias",
        "CreateKey",
        "CreateKeyVersion",
        "Decrypt",
        "DeleteAlias",
        "DeleteKeyMaterial",
        "DescribeKey",
        "DescribeKeyVersion",
        "DisableKey",
        "EnableKey",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GetParametersForImport",
        "GetPublicKey",
        "ImportKeyMaterial",
        "ListAliases",
        "ListAliasesByKeyId",
        "ListKeyVersions",
        "ListKeys",
        "ListResourceTags",
        "ReEncrypt",
        "ScheduleKeyDeletion",
        "SetDeletionProtection",
        "TagResource",
        "UntagResource",
        "UpdateAlias",
        "UpdateKeyDescription",
        "UpdateRotationPolicy",
        "a key is destroyed",
        "a rotation at use",
        "a rotation is put off",
        "expired material is destroyed",
        "the clock",
        "the sweep",
        "the sweep rotates",
    ] {
        assert!(census.done.get(action).is_some_and(|count| *count >= 10), "{action} succeeds too seldom: {census}");
    }
    for code in [
        "AliasAlreadyExists",
        "ExpiredImportToken",
        "Forbidden.AliasNotFound",
        "Forbidden.KeyNotFound",
        "Forbidden.KeyVersionNotFound",
        "InvalidImportToken",
        "InvalidKeyMaterial",
        "InvalidParameter",
        "MissingParameter",
        "Rejected.Disabled",
        "Rejected.LimitExceeded",
        "Rejected.PendingDeletion",
        "Rejected.PendingImport",
        "Rejected.StateModifiedFailed",
        "Rejected.UnsupportedOperation",
        "Unsupported.Alias",
        "Unsupported.Origin",
        "Unsupported.ProtectionLevel",
    ] {
        assert!(census.refused.get(code).is_some_and(|count| *count >= 10), "{code} comes too seldom: {census}");
    }
    for fault in ["FailKept", "FailLost", "Freeze", "Full"] {
        assert!(census.faults.get(fault).is_some_and(|count| *count >= 10), "{fault} comes too seldom: {census}");
    }
}

// Goal: a seed can be looked into. Method: what comes about in one is the same again.
#[test]
fn a_seed_decides_its_history() {
    let twice = || simulate(7).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(twice(), twice());
}
