//! Goal: a caller that makes any one mistake with an argument of a batch gets an error that names it, and finds its outputs as
//! they were. Method: every function with good arguments, then with each of them spoilt in each way.

mod common;

use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

use ::kms::*;
use common::batch::{DecryptBatch, EncryptBatch, Outputs, Row, SignBatch, VerifyBatch};
use common::*;
use serde_json::json;

const ECDSA: *const c_char = c"ECDSA_SHA_256".as_ptr();

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
        let w = World::new(CONFIG);
        let signing = create_key(w.engine, &json!({ "KeySpec": "EC_P256", "KeyUsage": "SIGN/VERIFY" }));
        let signing = CString::new(signing).unwrap();
        let plaintexts = Row::of(&[&b"one"[..], b"", b"three"]);
        let contexts = Row::of(&[br#"{"i":"0"}"#; 3]);
        let mut o = Outputs::new(3, 1024);
        let (texts, text_lens) = (contexts.bytes.as_ptr().cast(), contexts.lens.as_ptr());
        let batch = o.encrypt(w.engine, w.key_id.as_ptr(), &plaintexts);
        EncryptBatch { contexts: texts, context_lens: text_lens, ..batch }.run().ok();
        let blobs: Vec<_> = o.results().into_iter().map(Result::unwrap).collect();
        let digests = Row::of(&[[1; 32], [2; 32], [3; 32]]);
        let mut o = Outputs::new(3, 1024);
        o.sign(w.engine, signing.as_ptr(), ECDSA, &digests).run().ok();
        let signatures: Vec<_> = o.results().into_iter().map(Result::unwrap).collect();
        Self {
            w,
            signing,
            plaintexts,
            blobs: Row::of(&blobs),
            digests,
            signatures: Row::of(&signatures),
            contexts,
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
    refused! { good.sign as KMS_INVALID_UTF8:
        key_id = bad => "key_id",
        version = bad => "key_version_id",
        algorithm = bad => "algorithm",
    }
    refused! { good.verify as KMS_INVALID_UTF8:
        key_id = bad => "key_id",
        version = bad => "key_version_id",
        algorithm = bad => "algorithm",
    }
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
        refused! { good.encrypt as KMS_INVALID_PARAMETER:
            plaintext_lens = lens => "plaintext_lens",
            context_lens = lens => "context_lens",
        }
        refused! { good.decrypt as KMS_INVALID_PARAMETER:
            blob_lens = lens => "blob_lens",
            context_lens = lens => "context_lens",
        }
        refused! { good.sign as KMS_INVALID_PARAMETER: digest_lens = lens => "digest_lens", }
        refused! { good.verify as KMS_INVALID_PARAMETER:
            digest_lens = lens => "digest_lens",
            signature_lens = lens => "signature_lens",
        }
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
    type Case<'a> = (Run<'a>, &'a [&'a str], Vec<Place>, Vec<Place>);
    let cases: [Case<'_>; 5] = [
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
