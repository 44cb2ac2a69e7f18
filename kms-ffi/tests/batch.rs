//! Goal: an item of a batch is answered as a single call would be, whatever becomes of the others and of the key meanwhile.
//! Method: batches of good and bad items beside single calls; and beside threads that disable the key or close the engine.

mod common;

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::kms::*;
use common::batch::{DecryptBatch, EncryptBatch, Outputs, Row, SignBatch};
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
