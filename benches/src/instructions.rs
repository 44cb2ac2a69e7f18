//! The calls whose instructions are counted: what a user of libkms calls most, through its C functions.
//!
//! callgrind counts inside the functions of the library alone, so that nothing of this program is in a count. A count is
//! the mean of many calls, each on another message or signature where the work hangs on it: nonces come out of a buffer
//! that is filled now and then, and a verification takes a few steps more or less by the bits of the signature.

use std::ffi::CString;
use std::sync::Arc;

use serde_json::json;

use crate::abi::Kms;
use crate::asymmetric::create;
use crate::layer::{CAbi, SPEC};
use crate::{Contestant, Operation, Task};

/// Calls of one kind.
#[derive(Debug)]
pub struct Calls {
    /// What is called, on what.
    pub name: String,
    /// The work: one call for each repetition.
    pub work: Contestant,
    /// How many calls a count is the mean of.
    pub times: u64,
}

/// Calls that take about a microsecond. So many draw 6 KiB of nonces: the generator's buffer is filled often, and its age
/// looked at some times.
const SHORT: u64 = 256;
/// Calls that take tens of microseconds, each on a signature of its own.
const LONG: u64 = 64;
/// Signatures by RSA: every 32nd renews what blinds the key, for half as much as a signature costs. So each count has it once.
const BLINDED: u64 = 32;

/// All calls that are counted.
///
/// # Panics
/// When a call's result is wrong.
#[must_use]
pub fn all() -> Vec<Calls> {
    let mut all = Vec::new();
    let messages = [32, 1024, 6144];
    for operation in [Operation::Encrypt, Operation::Decrypt] {
        for spec in [SPEC, "Aliyun_SM4"] {
            all.extend(messages.map(|len| message(Task { operation, len }, spec)));
        }
    }
    all.push(message(Task { operation: Operation::GenerateDataKey, len: 32 }, SPEC));
    all.push(by_name());
    for (spec, algorithm) in [("EC_P256", "ECDSA_SHA_256"), ("EC_P256K", "ECDSA_SHA_256"), ("EC_SM2", "SM2DSA")] {
        all.extend(signatures(spec, algorithm, LONG));
    }
    all.extend(signatures("RSA_2048", "RSA_PSS_SHA_256", BLINDED));
    all
}

/// An engine for one key: with others in its tables, chance would decide how long the key is looked for.
fn open() -> Arc<Kms> {
    Arc::new(Kms::open(c"memory:"))
}

/// Encrypt, Decrypt or GenerateDataKey by its own C function.
fn message(task: Task, spec: &'static str) -> Calls {
    Calls { name: format!("{task}, {spec}"), work: Contestant::new(task, CAbi::new(&open(), spec)), times: SHORT }
}

/// An action by its name, with its parameters and reply in JSON.
fn by_name() -> Calls {
    let kms = open();
    let key = kms.create_key(SPEC).into_string().expect("an id is ASCII");
    let params = json!({ "KeyId": key, "Plaintext": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" });
    let blob = kms.call("Encrypt", &params)["CiphertextBlob"].clone();
    assert_eq!(kms.call("Decrypt", &json!({ "CiphertextBlob": blob }))["Plaintext"], params["Plaintext"]);
    let work = Contestant::of("C ABI", move || drop(kms.call("Encrypt", &params)));
    Calls { name: format!("kms_call Encrypt 32 B, {SPEC}"), work, times: SHORT }
}

/// Signing, and verifying what was signed.
fn signatures(spec: &str, algorithm: &str, times: u64) -> [Calls; 2] {
    let kms = open();
    let (key, version) = create(&kms, spec, "SIGN/VERIFY");
    let name = CString::new(algorithm).expect("a name has no NUL");
    let digests: Vec<[u8; 32]> =
        (0..times).map(|i| std::array::from_fn(|at| (i as u8).wrapping_mul(at as u8 | 1))).collect();
    let mut out = vec![0; 384];
    let signatures: Vec<Vec<u8>> = digests
        .iter()
        .map(|digest| {
            let len = kms.sign(&key, &version, &name, digest, &mut out);
            out[..len].to_vec()
        })
        .collect();
    assert!(!kms.verify(&key, &version, &name, &digests[1], &signatures[0]), "{spec} {algorithm}");
    let signed: Vec<_> = digests.iter().copied().zip(signatures).collect();

    let (signer, verifier) = (Arc::clone(&kms), kms);
    let (signing_key, signing_version, signing_name) = (key.clone(), version.clone(), name.clone());
    let (mut to_sign, mut to_verify) = (digests.into_iter().cycle(), signed.into_iter().cycle());
    let sign = Contestant::of("C ABI", move || {
        let digest = to_sign.next().expect("it goes round");
        assert!(signer.sign(&signing_key, &signing_version, &signing_name, &digest, &mut out) > 0);
    });
    let verify = Contestant::of("C ABI", move || {
        let (digest, signature) = to_verify.next().expect("it goes round");
        assert!(verifier.verify(&key, &version, &name, &digest, &signature));
    });
    [("Sign", sign), ("Verify", verify)].map(|(what, work)| Calls {
        name: format!("{what} {spec} {algorithm}"),
        work,
        times,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Goal: all can be repeated, and no two have one name, by which their counts are told apart.
    #[test]
    fn every_call_can_be_counted() {
        let mut names = HashSet::new();
        for mut calls in all() {
            calls.work.repeat(2);
            assert!(names.insert(calls.name));
        }
    }
}
