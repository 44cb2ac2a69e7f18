//! Goal: no output is written that is too small, that overlaps something, or that is not there; and the caller is told
//! what would do. Method: capacities around the bound, and overlaps by one byte at either end.

mod common;

use std::ptr::null_mut;

use ::kms::*;
use common::*;

/// A call with good arguments but for the output buffer and its capacity.
type Filling = fn(*mut u8, usize, &mut World) -> Outcome;

#[test]
fn a_buffer_that_is_missing_or_too_small_gets_the_bound() {
    let mut w = World::new(CONFIG);
    let bounds = [w.plaintext.len() + 77, w.plaintext.len(), w.blob.len()];
    let calls: [Filling; 3] = [
        |out, out_cap, w| Encrypt { out, out_cap, ..w.encrypt() }.run(),
        |out, out_cap, w| Decrypt { out, out_cap, ..w.decrypt() }.run(),
        |out, out_cap, w| ReEncrypt { out, out_cap, ..w.reencrypt() }.run(),
    ];
    for (call, bound) in calls.into_iter().zip(bounds) {
        let buffer = w.out.as_mut_ptr();
        for (out, cap) in [(null_mut(), 0), (null_mut(), usize::MAX), (buffer, 0), (buffer, bound - 1)] {
            w.taint();
            call(out, cap, &mut w).refused(KMS_BUFFER_TOO_SMALL, "out");
            assert_eq!(w.out_len, bound);
            w.bytes_untouched();
        }
        call(buffer, bound, &mut w).ok();
        assert_eq!(w.out_len, bound);
        assert!(w.out[bound..].iter().all(|byte| *byte == UNTOUCHED), "no byte behind the bound is written");
        // A capacity that no object has is taken for what it says; no more than the bound is looked at.
        call(buffer, usize::MAX, &mut w).ok();
    }
}

#[test]
fn both_buffers_of_a_data_key_are_told_what_they_need() {
    let mut w = World::new(CONFIG);
    let good = w.data_key();
    for (short, name) in [
        (DataKey { plaintext_cap: 31, ..good }, "plaintext"),
        (DataKey { blob: null_mut(), blob_cap: 0, ..good }, "blob"),
        (DataKey { blob_cap: 32 + 76, ..good }, "blob"),
        (DataKey { plaintext_cap: 0, blob_cap: 0, ..good }, "plaintext"),
    ] {
        w.taint();
        short.run().refused(KMS_BUFFER_TOO_SMALL, name);
        assert_eq!((w.second_len, w.out_len), (32, 32 + 77));
        w.bytes_untouched();
    }
    w.taint();
    DataKey { plaintext: null_mut(), blob_cap: 1, ..good }.run().refused(KMS_BUFFER_TOO_SMALL, "blob");
    assert_eq!((w.second_len, w.out_len), (UNTOUCHED_LEN, 32 + 77));
    DataKey { plaintext_cap: 32, blob_cap: 32 + 77, ..good }.run().ok();
}

/// Goal: too small is found out before any work, wrong though the other arguments may be.
#[test]
fn too_small_comes_before_the_work() {
    let mut w = World::new(CONFIG);
    let encrypt = w.encrypt();
    Encrypt { out: null_mut(), key_id: c"nobody".as_ptr(), ..encrypt }.run().refused(KMS_BUFFER_TOO_SMALL, "out");
    // What is too long to be encrypted asks for a buffer that is not much too long.
    Encrypt { out: null_mut(), plaintext_len: usize::MAX, ..encrypt }.run().refused(KMS_BUFFER_TOO_SMALL, "out");
    assert_eq!(w.out_len, 6145 + 77);
    let decrypt = w.decrypt();
    Decrypt { out: null_mut(), blob_len: 76, ..decrypt }.run().refused(KMS_BUFFER_TOO_SMALL, "out");
    assert_eq!(w.out_len, 0);
}

/// Places `inner` so that it shares exactly one byte with the range: its first or its last.
fn touching(at: *mut u8, len: usize, inner: usize) -> [*mut u8; 2] {
    // SAFETY: the tests leave enough room on both sides.
    unsafe { [at.add(len - 1), at.sub(inner - 1)] }
}

#[test]
fn an_output_may_not_overlap_an_input() {
    let mut w = World::new(CONFIG);
    // One arena with room around an input in its middle.
    let mut arena = vec![UNTOUCHED; 4096];
    arena[2000..2000 + w.blob.len()].copy_from_slice(&w.blob);
    let key_id = w.key_id.as_bytes_with_nul().to_vec();
    arena[1000..1000 + key_id.len()].copy_from_slice(&key_id);
    let context = w.context.as_bytes_with_nul().to_vec();
    arena[3000..3000 + context.len()].copy_from_slice(&context);
    let before = arena.clone();
    // SAFETY: all three lie inside the arena.
    let [blob_at, key_at, context_at] = [2000, 1000, 3000].map(|at| unsafe { arena.as_mut_ptr().add(at) });
    let blob_len = w.blob.len();

    let encrypt = Encrypt {
        key_id: key_at.cast(),
        plaintext: blob_at,
        plaintext_len: blob_len,
        context: context_at.cast(),
        out_cap: blob_len + 77,
        ..w.encrypt()
    };
    for (at, len) in [(blob_at, blob_len), (key_at, key_id.len()), (context_at, context.len())] {
        for out in touching(at, len, blob_len + 77) {
            Encrypt { out, ..encrypt }.run().refused(KMS_OVERLAP, "out");
        }
        for out_len in touching(at, len, size_of::<usize>()) {
            Encrypt { out_len: out_len.cast(), ..encrypt }.run().refused(KMS_OVERLAP, "out");
        }
    }

    let decrypt = Decrypt { blob: blob_at, context: context_at.cast(), ..w.decrypt() };
    for (at, len) in [(blob_at, blob_len), (context_at, context.len())] {
        for out in touching(at, len, blob_len - 77) {
            Decrypt { out, ..decrypt }.run().refused(KMS_OVERLAP, "out");
        }
    }

    let reencrypt =
        ReEncrypt { blob: blob_at, key_id: key_at.cast(), source_context: context_at.cast(), ..w.reencrypt() };
    for (at, len) in [(blob_at, blob_len), (key_at, key_id.len()), (context_at, context.len())] {
        for out in touching(at, len, blob_len) {
            ReEncrypt { out, ..reencrypt }.run().refused(KMS_OVERLAP, "out");
        }
    }
    let other_context =
        ReEncrypt { destination_context: context_at.cast(), source_context: w.context.as_ptr(), ..reencrypt };
    for out in touching(context_at, context.len(), blob_len) {
        ReEncrypt { out, ..other_context }.run().refused(KMS_OVERLAP, "out");
    }

    let data_key = DataKey { key_id: key_at.cast(), context: context_at.cast(), ..w.data_key() };
    for (at, len) in [(key_at, key_id.len()), (context_at, context.len())] {
        for plaintext in touching(at, len, 32) {
            DataKey { plaintext, ..data_key }.run().refused(KMS_OVERLAP, "plaintext");
        }
        for blob in touching(at, len, 32 + 77) {
            DataKey { blob, ..data_key }.run().refused(KMS_OVERLAP, "blob");
            DataKey { blob, plaintext: null_mut(), ..data_key }.run().refused(KMS_OVERLAP, "blob");
        }
    }
    assert_eq!(arena, before);
    w.untouched();
}

#[test]
fn outputs_may_not_overlap_each_other() {
    let mut w = World::new(CONFIG);
    let good = w.data_key();
    // SAFETY: inside the output, which is long enough.
    let inside = unsafe { good.blob.add(1000) };
    let middle = DataKey { blob: inside, ..good };
    for plaintext in touching(inside, 32 + 77, 32) {
        DataKey { plaintext, ..middle }.run().refused(KMS_OVERLAP, "plaintext");
    }
    // A length inside a buffer, and one place for both lengths.
    DataKey { plaintext_len: inside.cast(), ..middle }.run().refused(KMS_OVERLAP, "plaintext");
    DataKey { blob_len: inside.cast(), ..middle }.run().refused(KMS_OVERLAP, "blob");
    DataKey { blob_len: good.plaintext.cast(), ..good }.run().refused(KMS_OVERLAP, "plaintext");
    DataKey { plaintext_len: good.blob_len, ..good }.run().refused(KMS_OVERLAP, "plaintext");
    let encrypt = w.encrypt();
    Encrypt { out_len: encrypt.out.cast(), ..encrypt }.run().refused(KMS_OVERLAP, "out");
    w.untouched();
}

/// Goal: what only touches is fine: an arena may hold inputs and outputs back to back.
#[test]
fn neighbours_do_not_overlap() {
    let mut w = World::new(CONFIG);
    let mut arena = vec![UNTOUCHED; 400];
    let blob_len = w.blob.len();
    arena[100..100 + blob_len].copy_from_slice(&w.blob);
    // SAFETY: all inside the arena; the plaintext is 19 bytes long.
    let [blob, before, behind] = [100, 100 - 19, 100 + blob_len].map(|at| unsafe { arena.as_mut_ptr().add(at) });
    let decrypt = Decrypt { blob, ..w.decrypt() };
    for out in [before, behind] {
        // The capacity reaches into the input; what is written does not.
        Decrypt { out, ..decrypt }.run().ok();
        // SAFETY: `out` has 19 bytes.
        assert_eq!(unsafe { std::slice::from_raw_parts(out, 19) }, w.plaintext);
    }
}

/// Goal: pointers that are not aligned, which C programs pass now and then, do no harm.
#[test]
fn lengths_may_stand_anywhere() {
    let mut w = World::new(CONFIG);
    let mut place = [0_u8; 17];
    // SAFETY: inside `place`, with the bytes of a length behind it.
    let out_len = unsafe { place.as_mut_ptr().add(1) }.cast();
    let encrypt = w.encrypt();
    Encrypt { out_len, ..encrypt }.run().ok();
    assert_eq!(usize::from_ne_bytes(place[1..9].try_into().unwrap()), w.plaintext.len() + 77);
}
