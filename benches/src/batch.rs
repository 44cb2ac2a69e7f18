//! Batches, beside as many single calls, through the C interface.

use std::ffi::{CStr, CString};
use std::hint::black_box;
use std::ptr;
use std::sync::Arc;

use kms::{KMS_OK, kms_status};
use serde_json::json;

use crate::Contestant;
use crate::abi::Kms;

const COUNTS: [usize; 3] = [1, 16, 256];
const CONTEXT: &CStr = c"{\"table\":\"users\",\"tenant\":\"42\"}";

/// Items, one behind the other.
#[derive(Clone, Debug)]
pub struct Row {
    bytes: Vec<u8>,
    lens: Vec<usize>,
}

impl Row {
    fn of(items: &[Vec<u8>]) -> Self {
        Self { bytes: items.concat(), lens: items.iter().map(Vec::len).collect() }
    }

    fn items(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        self.lens.iter().map(move |len| {
            let (item, behind) = rest.split_at(*len);
            rest = behind;
            item
        })
    }
}

/// What a batch writes to.
#[derive(Debug)]
pub struct Outputs {
    out: Vec<u8>,
    out_lens: Vec<usize>,
    valid: Vec<bool>,
    statuses: Vec<kms_status>,
}

impl Outputs {
    fn new(count: usize, bytes: usize) -> Self {
        Self { out: vec![0; bytes], out_lens: vec![0; count], valid: vec![false; count], statuses: vec![-1; count] }
    }

    fn row(&self) -> Row {
        let lens = self.out_lens.clone();
        Row { bytes: self.out[..lens.iter().sum()].to_vec(), lens }
    }

    fn check(&self, name: &str) {
        assert!(self.statuses.iter().all(|status| *status == KMS_OK), "{name}: an item has failed");
    }
}

impl Kms {
    fn encrypt_batch(&self, key: &CStr, plaintexts: &Row, context: Option<&CStr>, o: &mut Outputs) {
        // SAFETY: the engine is open, the texts end with NUL, the arrays are as long as the count or as the sum of the lengths
        // says, and context, errors and err may be NULL.
        let status = unsafe {
            (self.functions().encrypt_batch)(
                self.engine(),
                key.as_ptr(),
                plaintexts.lens.len(),
                plaintexts.bytes.as_ptr(),
                plaintexts.lens.as_ptr(),
                context.map_or(ptr::null(), CStr::as_ptr),
                ptr::null(),
                o.out.as_mut_ptr(),
                o.out.len(),
                o.out_lens.as_mut_ptr(),
                o.statuses.as_mut_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_encrypt_batch");
    }

    fn decrypt_batch(&self, blobs: &Row, o: &mut Outputs) {
        // SAFETY: as for `encrypt_batch`.
        let status = unsafe {
            (self.functions().decrypt_batch)(
                self.engine(),
                blobs.lens.len(),
                blobs.bytes.as_ptr(),
                blobs.lens.as_ptr(),
                ptr::null(),
                ptr::null(),
                o.out.as_mut_ptr(),
                o.out.len(),
                o.out_lens.as_mut_ptr(),
                o.statuses.as_mut_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_decrypt_batch");
    }

    fn sign_batch(&self, key: &CStr, algorithm: &CStr, digests: &Row, o: &mut Outputs) {
        // SAFETY: as for `encrypt_batch`; a version may be NULL.
        let status = unsafe {
            (self.functions().sign_batch)(
                self.engine(),
                key.as_ptr(),
                ptr::null(),
                algorithm.as_ptr(),
                digests.lens.len(),
                digests.bytes.as_ptr(),
                digests.lens.as_ptr(),
                o.out.as_mut_ptr(),
                o.out.len(),
                o.out_lens.as_mut_ptr(),
                o.statuses.as_mut_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_sign_batch");
    }

    fn verify_batch(&self, key: &CStr, algorithm: &CStr, digests: &Row, signatures: &Row, o: &mut Outputs) {
        // SAFETY: as for `sign_batch`.
        let status = unsafe {
            (self.functions().verify_batch)(
                self.engine(),
                key.as_ptr(),
                ptr::null(),
                algorithm.as_ptr(),
                digests.lens.len(),
                digests.bytes.as_ptr(),
                digests.lens.as_ptr(),
                signatures.bytes.as_ptr(),
                signatures.lens.as_ptr(),
                o.valid.as_mut_ptr(),
                o.statuses.as_mut_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_verify_batch");
    }
}

/// For each number of items and each function: that many single calls, then one batch.
///
/// # Panics
/// When a result is wrong.
#[must_use]
pub fn groups(kms: &Arc<Kms>) -> Vec<(String, Vec<Contestant>)> {
    let symmetric = kms.create_key("Aliyun_AES_256");
    let mut groups = Vec::new();
    for count in COUNTS {
        groups.push(encrypt(kms, &symmetric, count, None));
        groups.push(encrypt(kms, &symmetric, count, Some(CONTEXT)));
        groups.push(decrypt(kms, &symmetric, count));
        for (spec, algorithm) in [("EC_P256", c"ECDSA_SHA_256"), ("EC_SM2", c"SM2DSA")] {
            let reply = kms.call("CreateKey", &json!({ "KeySpec": spec, "KeyUsage": "SIGN/VERIFY" }));
            let id = reply["KeyMetadata"]["KeyId"].as_str().expect("the reply names the key");
            let key = CString::new(id).expect("an id has no NUL");
            groups.extend(signatures(kms, spec, &key, algorithm, count));
        }
    }
    groups
}

fn items(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| (0..32).map(|j| (i * 32 + j) as u8).collect()).collect()
}

fn pair(
    name: &str,
    count: usize,
    single: impl FnMut() + Send + 'static,
    batch: impl FnMut() + Send + 'static,
) -> (String, Vec<Contestant>) {
    let contestants = vec![
        Contestant::of(format!("{count} single calls"), single),
        Contestant::of(format!("batch of {count}"), batch),
    ];
    (format!("{name} x {count}"), contestants)
}

fn encrypt(kms: &Arc<Kms>, key: &CString, count: usize, context: Option<&'static CStr>) -> (String, Vec<Contestant>) {
    let name = if context.is_some() { "Encrypt 32 B, context" } else { "Encrypt 32 B" };
    let row = Row::of(&items(count));
    let mut o = Outputs::new(count, count * (32 + 77));
    kms.encrypt_batch(key, &row, context, &mut o);
    o.check(name);
    if context.is_none() {
        let blobs = o.row();
        for (blob, plaintext) in blobs.items().zip(row.items()) {
            let mut opened = [0; 32];
            assert!(
                kms.decrypt(blob, &mut opened) == 32 && opened == *plaintext,
                "{name}: another plaintext came back"
            );
        }
    }
    let (single, batch) = (Arc::clone(kms), Arc::clone(kms));
    let (single_key, batch_key) = (key.clone(), key.clone());
    let single_row = row.clone();
    let mut out = vec![0; 32 + 77];
    let one_by_one = move || {
        for item in single_row.items() {
            let _ = single.encrypt_in(&single_key, black_box(item), context, black_box(&mut out));
        }
    };
    pair(name, count, one_by_one, move || batch.encrypt_batch(&batch_key, black_box(&row), context, black_box(&mut o)))
}

fn decrypt(kms: &Arc<Kms>, key: &CString, count: usize) -> (String, Vec<Contestant>) {
    let name = "Decrypt 32 B";
    let plaintexts = Row::of(&items(count));
    let mut o = Outputs::new(count, count * (32 + 77));
    kms.encrypt_batch(key, &plaintexts, None, &mut o);
    let row = o.row();
    kms.decrypt_batch(&row, &mut o);
    o.check(name);
    assert_eq!(o.row().bytes, plaintexts.bytes, "{name}: another plaintext came back");
    let (single, batch) = (Arc::clone(kms), Arc::clone(kms));
    let single_row = row.clone();
    let mut out = vec![0; 32];
    let one_by_one = move || {
        for item in single_row.items() {
            let _ = single.decrypt(black_box(item), black_box(&mut out));
        }
    };
    pair(name, count, one_by_one, move || batch.decrypt_batch(black_box(&row), black_box(&mut o)))
}

fn signatures(
    kms: &Arc<Kms>,
    spec: &str,
    key: &CString,
    algorithm: &'static CStr,
    count: usize,
) -> [(String, Vec<Contestant>); 2] {
    let digests = Row::of(&items(count));
    let mut o = Outputs::new(count, count * 72);
    kms.sign_batch(key, algorithm, &digests, &mut o);
    o.check(spec);
    let signed = o.row();
    kms.verify_batch(key, algorithm, &digests, &signed, &mut o);
    o.check(spec);
    assert!(o.valid.iter().all(|valid| *valid), "{spec}: a signature is refused");
    let mut others = digests.clone();
    others.bytes.iter_mut().for_each(|byte| *byte ^= 1);
    kms.verify_batch(key, algorithm, &others, &signed, &mut o);
    assert!(o.valid.iter().all(|valid| !valid), "{spec}: a signature of something else is taken");

    let (signer, signers) = (Arc::clone(kms), Arc::clone(kms));
    let (verifier, verifiers) = (Arc::clone(kms), Arc::clone(kms));
    let keys = [(); 4].map(|()| key.clone());
    let [sign_key, sign_keys, verify_key, verify_keys] = keys;
    let rows = [(); 4].map(|()| digests.clone());
    let [sign_row, sign_rows, verify_row, verify_rows] = rows;
    let all_signed = signed.clone();
    let mut out = vec![0; 384];
    let sign_alone = move || {
        for digest in sign_row.items() {
            let _ = signer.sign(&sign_key, c"", algorithm, black_box(digest), black_box(&mut out));
        }
    };
    let mut signatures = Outputs::new(count, count * 72);
    let sign = move || signers.sign_batch(&sign_keys, algorithm, black_box(&sign_rows), black_box(&mut signatures));
    let verify_alone = move || {
        for (digest, signature) in verify_row.items().zip(signed.items()) {
            assert!(verifier.verify(&verify_key, c"", algorithm, black_box(digest), black_box(signature)));
        }
    };
    let verify = move || verifiers.verify_batch(&verify_keys, algorithm, &verify_rows, &all_signed, black_box(&mut o));
    [
        pair(&format!("{spec} sign"), count, sign_alone, sign),
        pair(&format!("{spec} verify"), count, verify_alone, verify),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every contestant passes its own check, and can be repeated after it.
    #[test]
    fn every_contestant_is_right() {
        for (_, contestants) in groups(&Arc::new(Kms::open(c"memory:"))) {
            contestants.into_iter().for_each(|mut contestant| contestant.repeat(2));
        }
    }
}
