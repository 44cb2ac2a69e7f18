//! Goal: an item of a batch is answered as a single call would be, whatever becomes of the others; and a caller that makes
//! any one mistake with an argument gets an error that names it, and finds its outputs as they were. Method: batches of good
//! and bad items beside single calls; then every argument spoilt in each way.

mod common;

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::kms::*;
use common::batch::{DecryptBatch, EncryptBatch, Outputs, Row, SignBatch, VerifyBatch};
use common::*;
use serde_json::json;

const ECDSA: *const c_char = c"ECDSA_SHA_256".as_ptr();
const CONTEXT: &CStr = c"{\"a\":\"b\"}";

/// What a call answers, but for the name that every failed call has for itself.
fn nameless(outcome: Outcome) -> Outcome {
    assert_eq!(outcome.request_id.len(), if outcome.is_ok() { 0 } else { 36 });
    Outcome { request_id: String::new(), ..outcome }
}

fn signing_key(engine: *mut kms) -> CString {
    CString::new(create_key(engine, &json!({ "KeySpec": "EC_P256", "KeyUsage": "SIGN/VERIFY" }))).unwrap()
}

/// A single call into buffers that are large enough: its outcome, and what it wrote.
fn single(call: impl FnOnce(*mut u8, usize, *mut usize) -> Outcome) -> Result<Vec<u8>, Outcome> {
    let (mut out, mut len) = (vec![0; 8192], 0);
    let outcome = call(out.as_mut_ptr(), out.len(), &raw mut len);
    if outcome.is_ok() { Ok(out[..len].to_vec()) } else { Err(nameless(outcome)) }
}

fn encrypt(w: &mut World, key_id: &CStr, plaintext: &[u8], context: &CStr) -> Result<Vec<u8>, Outcome> {
    let (key_id, context, plaintext_len) = (key_id.as_ptr(), context.as_ptr(), plaintext.len());
    let good = w.encrypt();
    let plaintext = plaintext.as_ptr();
    single(|out, out_cap, out_len| {
        Encrypt { key_id, plaintext, plaintext_len, context, out, out_cap, out_len, ..good }.run()
    })
}

fn decrypt(w: &mut World, blob: &[u8], context: &CStr) -> Result<Vec<u8>, Outcome> {
    let (context, blob_len) = (context.as_ptr(), blob.len());
    let good = w.decrypt();
    let blob = blob.as_ptr();
    single(|out, out_cap, out_len| Decrypt { blob, blob_len, context, out, out_cap, out_len, ..good }.run())
}

/// Plaintexts of every kind: ordinary, empty, the longest, too long.
fn plaintexts() -> Vec<Vec<u8>> {
    [19, 0, 6144, 6145, 1, 0, 7000, 32].iter().map(|len| (0..*len).map(|i| (i * 7) as u8).collect()).collect()
}

#[test]
fn each_plaintext_is_encrypted_as_by_itself() {
    let mut w = World::new(CONFIG);
    let plaintexts = plaintexts();
    let row = Row::of(&plaintexts);
    for key_id in [w.key_id.clone(), c"alias/none".into(), c"00000000-0000-4000-8000-000000000000".into(), c"x".into()]
    {
        let mut o = Outputs::new(plaintexts.len(), 32768);
        EncryptBatch { contexts: CONTEXT.as_ptr(), ..o.encrypt(w.engine, key_id.as_ptr(), &row) }.run().ok();
        for (plaintext, result) in plaintexts.iter().zip(o.results()) {
            let alone = encrypt(&mut w, &key_id, plaintext, CONTEXT);
            assert_eq!(result.as_ref().map(Vec::len).map_err(|o| nameless(o.clone())), alone.map(|blob| blob.len()));
            if let Ok(blob) = result {
                assert_eq!(decrypt(&mut w, &blob, CONTEXT).as_ref(), Ok(plaintext));
            }
        }
    }
}

#[test]
fn each_blob_is_decrypted_as_by_itself() {
    let mut w = World::new(CONFIG);
    let other = CString::new(create_key(w.engine, &json!({ "KeySpec": "Aliyun_SM4" }))).unwrap();
    let mut blobs: Vec<_> = plaintexts().iter().flat_map(|p| encrypt(&mut w, &other, p, CONTEXT)).collect();
    let (first, empty) = (blobs[0].clone(), blobs[1].clone());
    let mut changed = first.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut unknown = first.clone();
    unknown[..36].copy_from_slice(b"00000000-0000-4000-8000-000000000000");
    blobs.extend([w.blob.clone(), changed, unknown, Vec::new(), first[..76].to_vec(), vec![b'-'; 9000], empty, first]);
    let row = Row::of(&blobs);
    for context in [CONTEXT, c"{}", c"{\"a\":\"c\"}"] {
        let mut o = Outputs::new(blobs.len(), 65536);
        DecryptBatch { contexts: context.as_ptr(), ..o.decrypt(w.engine, &row) }.run().ok();
        let together: Vec<_> = o.results().into_iter().map(|r| r.map_err(nameless)).collect();
        let alone: Vec<_> = blobs.iter().map(|blob| decrypt(&mut w, blob, context)).collect();
        assert_eq!(together, alone);
    }
}

/// Goal: contexts of the items' own are those of single calls too, and what one batch writes the next one takes as it is.
#[test]
fn each_item_may_have_a_context_of_its_own() {
    let mut w = World::new(CONFIG);
    let contexts = [c"{\"id\":\"1\"}", c"", c"{}", c"{\"id\":\"2\"}", c"[]", c"\xff", c"{\"id\":\"3\"}", c"{\"id\":1}"];
    let own = Row::of(&contexts.map(CStr::to_bytes));
    let texts: Vec<_> = (0..contexts.len()).map(|i| format!("text {i}").into_bytes()).collect();
    let row = Row::of(&texts);
    let key_id = w.key_id.clone();
    let at = own.bytes.as_ptr().cast();
    let mut o = Outputs::new(texts.len(), 8192);
    let batch = o.encrypt(w.engine, key_id.as_ptr(), &row);
    EncryptBatch { contexts: at, context_lens: own.lens.as_ptr(), ..batch }.run().ok();
    let lens = o.out_lens.clone();
    let blobs = Row { bytes: o.out[..lens.iter().sum()].to_vec(), lens };
    for ((text, context), result) in texts.iter().zip(contexts).zip(o.results()) {
        match (result, encrypt(&mut w, &key_id, text, context)) {
            (Ok(blob), Ok(_)) => assert_eq!(decrypt(&mut w, &blob, context).as_ref(), Ok(text)),
            (Err(outcome), Err(alone)) => assert_eq!((&outcome.code, outcome.http), (&alone.code, alone.http)),
            other => panic!("{context:?}: {other:?}"),
        }
    }

    let mut o = Outputs::new(texts.len(), 8192);
    DecryptBatch { contexts: at, context_lens: own.lens.as_ptr(), ..o.decrypt(w.engine, &blobs) }.run().ok();
    for (i, result) in o.results().into_iter().enumerate() {
        match result {
            Ok(text) => assert_eq!(text, texts[i]),
            // What could not be encrypted is an empty blob.
            Err(outcome) => assert!([4, 5, 7].contains(&i) && blobs.lens[i] == 0, "{i}: {outcome:?}"),
        }
    }
}

#[test]
fn each_digest_is_signed_and_verified_as_by_itself() {
    let w = World::new(CONFIG);
    let rsa = create_key(w.engine, &json!({ "KeySpec": "RSA_2048", "KeyUsage": "SIGN/VERIFY" }));
    let keys = [
        (signing_key(w.engine), c"ECDSA_SHA_256", 72),
        (CString::new(rsa).unwrap(), c"RSA_PSS_SHA_256", 384),
        (CString::new(create_key(w.engine, &json!({ "KeySpec": "EC_SM2" }))).unwrap(), c"SM2DSA", 72),
    ];
    let digests = [vec![1; 32], vec![2; 31], vec![3; 32], Vec::new(), vec![4; 33], vec![5; 32]];
    let row = Row::of(&digests);
    for (key, algorithm, room) in &keys {
        let (key, algorithm) = (key.as_ptr(), algorithm.as_ptr());
        let mut o = Outputs::new(digests.len(), room * digests.len());
        o.sign(w.engine, key, algorithm, &row).run().ok();
        let signatures: Vec<_> = o.results();
        for (digest, result) in digests.iter().zip(&signatures) {
            let mut valid = false;
            let verify = |signature: &[u8], valid| {
                // SAFETY: good arguments.
                run(|err| unsafe {
                    let (digest, len) = (digest.as_ptr(), digest.len());
                    kms_verify(
                        w.engine,
                        key,
                        null(),
                        algorithm,
                        digest,
                        len,
                        signature.as_ptr(),
                        signature.len(),
                        valid,
                        err,
                    )
                })
            };
            match result {
                Ok(signature) => {
                    verify(signature, &raw mut valid).ok();
                    assert!(valid);
                }
                Err(outcome) => {
                    assert_ne!(digest.len(), 32);
                    assert_eq!(nameless(outcome.clone()), nameless(verify(b"", &raw mut valid)));
                }
            }
        }

        // Good, of another digest, malformed, and digests that are none.
        let [first, third] = [0, 2].map(|i: usize| signatures[i].as_ref().unwrap().clone());
        let digests = [vec![1; 32], vec![1; 32], vec![3; 32], vec![3; 31], vec![3; 32], vec![3; 32]];
        let signatures = [first, third.clone(), third.clone(), third.clone(), b"x".to_vec(), third];
        let mut o = Outputs::new(6, 0);
        o.verify(w.engine, key, algorithm, &Row::of(&digests), &Row::of(&signatures)).run().ok();
        assert_eq!(o.valid, [1, 0, 1, 0, 0, 1]);
        let statuses: Vec<_> = o.outcomes().into_iter().map(|outcome| outcome.status).collect();
        assert_eq!(statuses, [KMS_OK, KMS_OK, KMS_OK, KMS_INVALID_PARAMETER, KMS_OK, KMS_OK]);
    }
}

/// Goal: who does not want error objects is told the same, and an empty batch is one.
#[test]
fn what_may_be_left_out() {
    let w = World::new(CONFIG);
    let key = w.key_id.as_ptr();
    let row = Row::of(&[vec![1; 6145], vec![2; 5]]);
    let mut o = Outputs::new(2, 8192);
    EncryptBatch { errors: null_mut(), ..o.encrypt(w.engine, key, &row) }.run().ok();
    assert_eq!(o.statuses, [KMS_INVALID_PARAMETER, KMS_OK]);
    assert_eq!(o.out_lens, [0, 5 + 77]);
    assert!(o.errors.iter().all(|error| error.is_null()));
    assert!(o.out[5 + 77..].iter().all(|byte| *byte == UNTOUCHED), "the one that failed wrote nothing");

    let mut o = Outputs::new(2, 8192);
    let good = o.encrypt(w.engine, key, &row);
    EncryptBatch { count: 0, ..good }.run().ok();
    let signing = o.sign(w.engine, key, ECDSA, &row);
    SignBatch { count: 0, ..signing }.run().ok();
    o.untouched();
    let (plaintext_lens, out_lens, statuses) = (null(), null_mut(), null_mut());
    EncryptBatch {
        count: 0,
        plaintexts: null(),
        plaintext_lens,
        out: null_mut(),
        out_cap: 0,
        out_lens,
        statuses,
        ..good
    }
    .run()
    .ok();
    // What all share is looked at all the same.
    EncryptBatch { count: 0, key_id: c"".as_ptr(), ..good }.run().refused(KMS_MISSING_PARAMETER, "KeyId");

    // No bytes need no buffer.
    let empty = Row::of(&[b"", b""]);
    let mut o = Outputs::new(2, 1024);
    EncryptBatch { plaintexts: null(), ..o.encrypt(w.engine, key, &empty) }.run().ok();
    let blobs = Row { bytes: o.out[..154].to_vec(), lens: o.out_lens.clone() };
    let mut o = Outputs::new(2, 0);
    DecryptBatch { out: null_mut(), ..o.decrypt(w.engine, &blobs) }.run().ok();
    assert_eq!(o.results(), [Ok(Vec::new()), Ok(Vec::new())]);
}

/// Three items with good arguments for all four functions.
struct Good {
    w: World,
    signing: CString,
    plaintexts: Row,
    blobs: Row,
    digests: Row,
    signatures: Row,
    contexts: Row,
    o: Outputs,
}

impl Good {
    fn new() -> Self {
        let mut w = World::new(CONFIG);
        let signing = signing_key(w.engine);
        let key_id = w.key_id.clone();
        let context = c"{\"i\":\"0\"}";
        let texts = [b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let blobs = texts.each_ref().map(|text| encrypt(&mut w, &key_id, text, context).unwrap());
        let digests = Row::of(&[[1; 32], [2; 32], [3; 32]]);
        let mut o = Outputs::new(3, 1024);
        o.sign(w.engine, signing.as_ptr(), ECDSA, &digests).run().ok();
        let signatures: Vec<_> = o.results().into_iter().map(Result::unwrap).collect();
        Self {
            w,
            signing,
            plaintexts: Row::of(&texts),
            blobs: Row::of(&blobs),
            digests,
            signatures: Row::of(&signatures),
            contexts: Row::of(&[context.to_bytes(); 3]),
            o: Outputs::new(3, 1024),
        }
    }

    fn encrypt(&mut self) -> EncryptBatch {
        let batch = self.o.encrypt(self.w.engine, self.w.key_id.as_ptr(), &self.plaintexts);
        let (contexts, context_lens) = (self.contexts.bytes.as_ptr().cast(), self.contexts.lens.as_ptr());
        EncryptBatch { contexts, context_lens, ..batch }
    }

    fn decrypt(&mut self) -> DecryptBatch {
        let (contexts, context_lens) = (self.contexts.bytes.as_ptr().cast(), self.contexts.lens.as_ptr());
        DecryptBatch { contexts, context_lens, ..self.o.decrypt(self.w.engine, &self.blobs) }
    }

    fn sign(&mut self) -> SignBatch {
        self.o.sign(self.w.engine, self.signing.as_ptr(), ECDSA, &self.digests)
    }

    fn verify(&mut self) -> VerifyBatch {
        self.o.verify(self.w.engine, self.signing.as_ptr(), ECDSA, &self.digests, &self.signatures)
    }
}

/// Each call, with one argument spoilt and then good again.
macro_rules! refused {
    ($good:ident.$call:ident as $status:ident: $($argument:ident = $bad:expr => $name:literal,)*) => {$({
        let mut batch = $good.$call();
        batch.$argument = $bad;
        batch.run().refused($status, $name);
        $good.o.untouched();
    })*};
}

#[test]
fn null_is_refused_by_name() {
    let mut good = Good::new();
    refused! { good.encrypt as KMS_NULL_ARGUMENT:
        engine = null_mut() => "engine",
        key_id = null() => "key_id",
        plaintexts = null() => "plaintexts",
        plaintext_lens = null() => "plaintext_lens",
        contexts = null() => "contexts_json",
        out_lens = null_mut() => "out_lens",
        statuses = null_mut() => "statuses",
    }
    refused! { good.decrypt as KMS_NULL_ARGUMENT:
        engine = null_mut() => "engine",
        blobs = null() => "blobs",
        blob_lens = null() => "blob_lens",
        contexts = null() => "contexts_json",
        out_lens = null_mut() => "out_lens",
        statuses = null_mut() => "statuses",
    }
    refused! { good.sign as KMS_NULL_ARGUMENT:
        engine = null_mut() => "engine",
        key_id = null() => "key_id",
        algorithm = null() => "algorithm",
        digests = null() => "digests",
        digest_lens = null() => "digest_lens",
        out_lens = null_mut() => "out_lens",
        statuses = null_mut() => "statuses",
    }
    refused! { good.verify as KMS_NULL_ARGUMENT:
        engine = null_mut() => "engine",
        key_id = null() => "key_id",
        algorithm = null() => "algorithm",
        digests = null() => "digests",
        digest_lens = null() => "digest_lens",
        signatures = null() => "signatures",
        signature_lens = null() => "signature_lens",
        valid = null_mut() => "valid",
        statuses = null_mut() => "statuses",
    }
    good.encrypt().run().ok();
    assert!(good.o.results().iter().all(Result::is_ok));
}

#[test]
fn what_all_items_share_is_refused_once() {
    let mut good = Good::new();
    let (bad, nothing) = (c"\x80".as_ptr(), c"".as_ptr());
    refused! { good.encrypt as KMS_INVALID_UTF8: key_id = bad => "key_id", }
    refused! { good.sign as KMS_INVALID_UTF8: key_id = bad => "key_id", version = bad => "key_version_id", algorithm = bad => "algorithm", }
    refused! { good.verify as KMS_INVALID_UTF8: key_id = bad => "key_id", version = bad => "key_version_id", algorithm = bad => "algorithm", }
    refused! { good.encrypt as KMS_MISSING_PARAMETER: key_id = nothing => "KeyId", }
    refused! { good.sign as KMS_MISSING_PARAMETER: key_id = nothing => "KeyId", algorithm = nothing => "Algorithm", }
    refused! { good.verify as KMS_MISSING_PARAMETER: key_id = nothing => "KeyId", algorithm = nothing => "Algorithm", }
    refused! { good.sign as KMS_INVALID_PARAMETER: algorithm = c"ROT13".as_ptr() => "Algorithm", }
    refused! { good.verify as KMS_INVALID_PARAMETER: algorithm = c"ROT13".as_ptr() => "Algorithm", }
    for (context, status, name) in
        [(c"\x80", KMS_INVALID_UTF8, "contexts_json"), (c"[]", KMS_INVALID_PARAMETER, "EncryptionContext")]
    {
        let (contexts, context_lens) = (context.as_ptr(), null());
        EncryptBatch { contexts, context_lens, ..good.encrypt() }.run().refused(status, name);
        DecryptBatch { contexts, context_lens, ..good.decrypt() }.run().refused(status, name);
        good.o.untouched();
    }
    must(good.w.engine, "DisableKey", &json!({ "KeyId": good.w.key_id.to_str().unwrap() }));
    good.encrypt().run().ok();
    assert!(good.o.outcomes().iter().all(|outcome| outcome.status == KMS_KEY_DISABLED), "a key is each item's own");
}

/// Goal: numbers that no memory has are refused before anything is looked at that is not there.
#[test]
fn numbers_that_cannot_be() {
    let mut good = Good::new();
    for count in [usize::MAX, usize::MAX / 8 + 1, isize::MAX as usize / 8 + 1] {
        refused! { good.encrypt as KMS_INVALID_PARAMETER: count = count => "count", }
        refused! { good.decrypt as KMS_INVALID_PARAMETER: count = count => "count", }
        refused! { good.sign as KMS_INVALID_PARAMETER: count = count => "count", }
        refused! { good.verify as KMS_INVALID_PARAMETER: count = count => "count", }
    }
    for lens in [[usize::MAX, 0, 0], [1 << 62, 1 << 62, 0], [usize::MAX, 1, 0], [0, isize::MAX as usize, 1]] {
        let lens = lens.as_ptr();
        refused! { good.encrypt as KMS_INVALID_PARAMETER: plaintext_lens = lens => "plaintext_lens", context_lens = lens => "context_lens", }
        refused! { good.decrypt as KMS_INVALID_PARAMETER: blob_lens = lens => "blob_lens", context_lens = lens => "context_lens", }
        refused! { good.sign as KMS_INVALID_PARAMETER: digest_lens = lens => "digest_lens", }
        refused! { good.verify as KMS_INVALID_PARAMETER: digest_lens = lens => "digest_lens", signature_lens = lens => "signature_lens", }
    }
}

#[test]
fn a_buffer_that_is_missing_or_too_small_gets_the_bounds() {
    let mut good = Good::new();
    let (encrypt, decrypt, sign) = (good.encrypt(), good.decrypt(), good.sign());
    type Filling<'a> = &'a dyn Fn(*mut u8, usize) -> Outcome;
    let calls: [(Filling<'_>, [usize; 3]); 3] = [
        (&|out, out_cap| EncryptBatch { out, out_cap, ..encrypt }.run(), [3 + 77, 77, 5 + 77]),
        (&|out, out_cap| DecryptBatch { out, out_cap, ..decrypt }.run(), [3, 0, 5]),
        (&|out, out_cap| SignBatch { out, out_cap, ..sign }.run(), [72; 3]),
    ];
    let buffer = good.o.out.as_mut_ptr();
    for (call, bounds) in calls {
        let bound = bounds.iter().sum::<usize>();
        for (out, cap) in [(null_mut(), 0), (null_mut(), usize::MAX), (buffer, 0), (buffer, bound - 1)] {
            call(out, cap).refused(KMS_BUFFER_TOO_SMALL, "out");
            assert_eq!(good.o.out_lens, bounds);
            good.o.untouched_but_lens();
        }
        call(buffer, bound).ok();
        assert!(good.o.out[bound..].iter().all(|byte| *byte == UNTOUCHED), "no byte behind the bound is written");
        call(buffer, usize::MAX).ok();
        assert!(good.o.errors.iter().all(|error| error.is_null()));
        good.o.out.fill(UNTOUCHED);
        good.o.statuses.clone_from(&Outputs::new(3, 0).statuses);
    }
    // It comes before the work, and before the key.
    EncryptBatch { out: null_mut(), key_id: c"nobody".as_ptr(), ..encrypt }.run().refused(KMS_BUFFER_TOO_SMALL, "out");
    let signing = SignBatch { algorithm: c"RSA_PSS_SHA_256".as_ptr(), out_cap: 3 * 384 - 1, ..sign };
    signing.run().refused(KMS_BUFFER_TOO_SMALL, "out");
    assert_eq!(good.o.out_lens, [384; 3]);
}

/// Goal: no output is written over an input or another output. Method: one arena in which all stand apart; then each output
/// is moved so that it shares one byte, its first or its last, with each of the others.
#[test]
fn outputs_may_not_overlap() {
    let mut good = Good::new();
    let mut arena = vec![UNTOUCHED; 1 << 16];
    let mut used = 256;
    let mut place = |bytes: &[u8], len: usize| {
        arena[used..used + bytes.len()].copy_from_slice(bytes);
        let at = used;
        used += len + 1024;
        (at, len)
    };
    let words = |words: &[usize]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let mut input = |bytes: &[u8]| place(bytes, bytes.len());
    let symmetric = input(good.w.key_id.as_bytes_with_nul());
    let signing = input(good.signing.as_bytes_with_nul());
    let version = input(b"\0");
    let algorithm = input(b"ECDSA_SHA_256\0");
    let context = input(b"{\"i\":\"0\"}\0");
    let [plaintexts, blobs, digests, signatures, contexts] =
        [&good.plaintexts, &good.blobs, &good.digests, &good.signatures, &good.contexts]
            .map(|row| (input(&row.bytes), input(&words(&row.lens))));
    let [lens, statuses, errors, valid] = [3 * 8, 3 * 4, 3 * 8, 3].map(|len| place(&[], len));
    let out = place(&[], 512);
    let before = arena.clone();
    let base = arena.as_mut_ptr();
    // SAFETY: all places are inside the arena.
    let at = |place: (usize, usize)| unsafe { base.add(place.0) };

    // A call by the places of its outputs, the names and sizes of these, and its inputs.
    type Place = (usize, usize);
    type Run<'a> = Box<dyn Fn(&[Place]) -> Outcome + 'a>;
    let engine = good.w.engine;
    let encrypt = good.o.encrypt(engine, null(), &good.plaintexts);
    let encrypt = |own: bool| -> Run<'_> {
        Box::new(move |o: &[Place]| {
            EncryptBatch {
                key_id: at(symmetric).cast(),
                plaintexts: at(plaintexts.0),
                plaintext_lens: at(plaintexts.1).cast(),
                contexts: if own { at(contexts.0) } else { at(context) }.cast(),
                context_lens: if own { at(contexts.1).cast() } else { null() },
                out: at(o[0]),
                out_cap: o[0].1,
                out_lens: at(o[1]).cast(),
                statuses: at(o[2]).cast(),
                errors: at(o[3]).cast(),
                ..encrypt
            }
            .run()
        })
    };
    let (own, shared) = (encrypt(true), encrypt(false));
    let decrypt = good.o.decrypt(engine, &good.blobs);
    let decrypt: Run<'_> = Box::new(|o: &[Place]| {
        DecryptBatch {
            blobs: at(blobs.0),
            blob_lens: at(blobs.1).cast(),
            contexts: at(contexts.0).cast(),
            context_lens: at(contexts.1).cast(),
            out: at(o[0]),
            out_cap: o[0].1,
            out_lens: at(o[1]).cast(),
            statuses: at(o[2]).cast(),
            errors: at(o[3]).cast(),
            ..decrypt
        }
        .run()
    });
    let sign = good.o.sign(engine, null(), null(), &good.digests);
    let sign: Run<'_> = Box::new(|o: &[Place]| {
        SignBatch {
            key_id: at(signing).cast(),
            version: at(version).cast(),
            algorithm: at(algorithm).cast(),
            digests: at(digests.0),
            digest_lens: at(digests.1).cast(),
            out: at(o[0]),
            out_cap: o[0].1,
            out_lens: at(o[1]).cast(),
            statuses: at(o[2]).cast(),
            errors: at(o[3]).cast(),
            ..sign
        }
        .run()
    });
    let verify = good.o.verify(engine, null(), null(), &good.digests, &good.signatures);
    let verify: Run<'_> = Box::new(|o: &[Place]| {
        VerifyBatch {
            key_id: at(signing).cast(),
            version: at(version).cast(),
            algorithm: at(algorithm).cast(),
            digests: at(digests.0),
            digest_lens: at(digests.1).cast(),
            signatures: at(signatures.0),
            signature_lens: at(signatures.1).cast(),
            valid: at(o[0]).cast(),
            statuses: at(o[1]).cast(),
            errors: at(o[2]).cast(),
            ..verify
        }
        .run()
    });

    let packed = ["out", "out_lens", "statuses", "errors"];
    let signing_inputs = [signing, version, algorithm, digests.0, digests.1];
    let cases: [(Run<'_>, &[&str], Vec<Place>, Vec<Place>); 5] = [
        (own, &packed, vec![out], vec![symmetric, plaintexts.0, plaintexts.1, contexts.0, contexts.1]),
        (shared, &packed, vec![out], vec![symmetric, plaintexts.0, plaintexts.1, context]),
        (decrypt, &packed, vec![out], vec![blobs.0, blobs.1, contexts.0, contexts.1]),
        (sign, &packed, vec![out], signing_inputs.to_vec()),
        (
            verify,
            &["valid", "statuses", "errors"],
            vec![],
            [&signing_inputs[..], &[signatures.0, signatures.1]].concat(),
        ),
    ];
    for (call, names, mut outputs, inputs) in cases {
        // What `out` needs is not all that it has: for the last byte to be one that is written, it has no more.
        if let Some(out) = outputs.first_mut() {
            let needed = [3 + 5, 3 * 72, 3 + 77 + 77 + 5 + 77];
            out.1 = needed.into_iter().find(|cap| call(&[(out.0, *cap), lens, statuses, errors]).is_ok()).unwrap();
            let short = call(&[(out.0, out.1 - 1), lens, statuses, errors]);
            assert_eq!(short.status, KMS_BUFFER_TOO_SMALL);
            outputs.extend([lens, statuses, errors]);
        } else {
            outputs.extend([valid, statuses, errors]);
        }
        call(&outputs).ok();
        // SAFETY: the arena is this function's; no call runs.
        unsafe { base.copy_from(before.as_ptr(), before.len()) };
        for (i, name) in names.iter().enumerate() {
            let others = outputs.iter().enumerate().filter(|(j, _)| *j != i);
            let others = others.map(|(j, place)| (*place, names[i.min(j)])).collect::<Vec<_>>();
            for (other, named) in inputs.iter().map(|input| (*input, *name)).chain(others) {
                for moved in [other.0 + other.1 - 1, other.0 + 1 - outputs[i].1] {
                    let mut outputs = outputs.clone();
                    outputs[i].0 = moved;
                    let outcome = call(&outputs);
                    assert_eq!(outcome.status, KMS_OVERLAP, "{name} at {other:?}");
                    outcome.refused(KMS_OVERLAP, named);
                    // SAFETY: as above.
                    let now = unsafe { std::slice::from_raw_parts(base, before.len()) };
                    assert!(now == before, "{name} at {other:?}: something was written");
                }
            }
        }
    }
}

/// Goal: arrays that are not aligned, which C programs pass now and then, do no harm.
#[test]
fn arrays_may_stand_anywhere() {
    let mut good = Good::new();
    let mut arena = [0_u8; 256];
    let base = arena.as_mut_ptr();
    // SAFETY: all inside the arena.
    let [lens, context_lens, out_lens, statuses, errors] = [1, 33, 65, 97, 129].map(|at| unsafe { base.add(at) });
    for (at, row) in [(lens, &good.plaintexts), (context_lens, &good.contexts)] {
        for (i, len) in row.lens.iter().enumerate() {
            // SAFETY: inside the arena.
            unsafe { at.add(8 * i).cast::<usize>().write_unaligned(*len) };
        }
    }
    EncryptBatch {
        plaintext_lens: lens.cast(),
        context_lens: context_lens.cast(),
        out_lens: out_lens.cast(),
        statuses: statuses.cast(),
        errors: errors.cast(),
        ..good.encrypt()
    }
    .run()
    .ok();
    // SAFETY: inside the arena.
    let lens = [0, 1, 2].map(|i| unsafe { out_lens.add(8 * i).cast::<usize>().read_unaligned() });
    assert_eq!(lens, [3 + 77, 77, 5 + 77]);
}

/// Arguments of a large batch that a thread of its own makes.
#[derive(Clone, Copy)]
struct Large(EncryptBatch);

// SAFETY: a handle may be used by any number of threads, and one thread at a time uses the outputs.
unsafe impl Send for Large {}

impl Large {
    fn run(self) -> Outcome {
        self.0.run()
    }
}

/// Goal: a change of state that has returned holds for every item that begins after it. Method: a large batch beside
/// DisableKey, until one is met in its midst: what comes before may succeed, and nothing behind the first refusal does.
#[test]
fn a_disabled_key_ends_a_batch_in_its_midst() {
    const COUNT: usize = 20_000;
    let w = World::new(CONFIG);
    let key = json!({ "KeyId": w.key_id.to_str().unwrap() });
    let row = Row::of(&vec![[7; 32]; COUNT]);
    let mut o = Outputs::new(COUNT, COUNT * (32 + 77));
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let batch = Large(EncryptBatch { errors: null_mut(), ..o.encrypt(w.engine, w.key_id.as_ptr(), &row) });
        let begun = &AtomicBool::new(false);
        thread::scope(|scope| {
            let running = scope.spawn(move || {
                begun.store(true, Ordering::SeqCst);
                batch.run().ok();
            });
            while !begun.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(500));
            must(w.engine, "DisableKey", &key);
            running.join().unwrap();
        });
        let done = o.statuses.iter().take_while(|status| **status == KMS_OK).count();
        assert!(o.statuses[done..].iter().all(|status| *status == KMS_KEY_DISABLED));
        assert!(o.out_lens[..done].iter().all(|len| *len == 32 + 77));
        assert!(o.out_lens[done..].iter().all(|len| *len == 0));
        EncryptBatch { errors: null_mut(), ..o.encrypt(w.engine, w.key_id.as_ptr(), &row) }.run().ok();
        assert!(o.statuses.iter().all(|status| *status == KMS_KEY_DISABLED));
        must(w.engine, "EnableKey", &key);
        if done > 0 && done < COUNT {
            break;
        }
        assert!(Instant::now() < deadline, "DisableKey never met a batch in its midst");
    }
}

/// Goal: closing waits for a batch, which runs to its end, or comes before it.
#[test]
fn closing_waits_for_a_batch() {
    const COUNT: usize = 5_000;
    for pause in [0, 1, 2, 4] {
        let w = World::new(CONFIG);
        let row = Row::of(&vec![[7; 32]; COUNT]);
        let mut o = Outputs::new(COUNT, COUNT * (32 + 77));
        let batch = Large(EncryptBatch { errors: null_mut(), ..o.encrypt(w.engine, w.key_id.as_ptr(), &row) });
        let outcome = thread::scope(|scope| {
            let running = scope.spawn(move || batch.run());
            thread::sleep(Duration::from_millis(pause));
            close(w.engine);
            running.join().unwrap()
        });
        if outcome.is_ok() {
            assert!(o.statuses.iter().all(|status| *status == KMS_OK));
        } else {
            assert_eq!(outcome.status, KMS_CLOSED);
            o.untouched();
        }
    }
}
