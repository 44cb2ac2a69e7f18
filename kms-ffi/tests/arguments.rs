//! Goal: a caller that makes any one mistake with an argument gets an error that names it, and finds its outputs as
//! they were. Method: every function with good arguments, then with each of them spoilt in each way.

mod common;

use std::ptr::{null, null_mut};

use ::kms::*;
use common::*;

const BAD_UTF8: &std::ffi::CStr = c"\x80";

#[test]
fn good_arguments_are_good() {
    let mut world = World::new(CONFIG);
    world.decrypt().run().ok();
    assert_eq!(world.out[..world.out_len], world.plaintext);
    world.data_key().run().ok();
    assert_eq!((world.second_len, world.out_len), (32, 32 + 77));
    let data_key = world.second[..32].to_vec();
    world.blob = world.out[..world.out_len].to_vec();
    world.reencrypt().run().ok();
    world.blob = world.out[..world.out_len].to_vec();
    world.decrypt().run().ok();
    assert_eq!(world.out[..world.out_len], data_key);
    clock_advance(world.engine, 0).ok();
    run_due(world.engine, &raw mut world.text).ok();
    assert!(take(world.text).starts_with('{'));
    world.call(c"ListKeys", c"{}").run().ok();
    assert!(take(world.text).contains("\"RequestId\":\""));
}

#[test]
fn null_is_refused_by_name() {
    let mut w = World::new(CONFIG);
    let open = Open { abi_version: KMS_ABI_VERSION, config: CONFIG.as_ptr(), host: null(), out: null_mut() };
    let mut other = null_mut();
    open.run().refused(KMS_NULL_ARGUMENT, "out");
    Open { config: null(), out: &raw mut other, ..open }.run().refused(KMS_NULL_ARGUMENT, "config_json");
    assert!(other.is_null());

    let call = w.call(c"ListKeys", c"{}");
    Call { engine: null_mut(), ..call }.run().refused(KMS_NULL_ARGUMENT, "engine");
    Call { action: null(), ..call }.run().refused(KMS_NULL_ARGUMENT, "action");
    Call { params: null(), ..call }.run().refused(KMS_NULL_ARGUMENT, "params_json");
    Call { reply: null_mut(), ..call }.run().refused(KMS_NULL_ARGUMENT, "reply_json");

    let encrypt = w.encrypt();
    Encrypt { engine: null_mut(), ..encrypt }.run().refused(KMS_NULL_ARGUMENT, "engine");
    Encrypt { key_id: null(), ..encrypt }.run().refused(KMS_NULL_ARGUMENT, "key_id");
    Encrypt { plaintext: null(), ..encrypt }.run().refused(KMS_NULL_ARGUMENT, "plaintext");
    Encrypt { out_len: null_mut(), ..encrypt }.run().refused(KMS_NULL_ARGUMENT, "out_len");

    let decrypt = w.decrypt();
    Decrypt { engine: null_mut(), ..decrypt }.run().refused(KMS_NULL_ARGUMENT, "engine");
    Decrypt { blob: null(), ..decrypt }.run().refused(KMS_NULL_ARGUMENT, "blob");
    Decrypt { out_len: null_mut(), ..decrypt }.run().refused(KMS_NULL_ARGUMENT, "out_len");

    let data_key = w.data_key();
    DataKey { engine: null_mut(), ..data_key }.run().refused(KMS_NULL_ARGUMENT, "engine");
    DataKey { key_id: null(), ..data_key }.run().refused(KMS_NULL_ARGUMENT, "key_id");
    DataKey { plaintext_len: null_mut(), ..data_key }.run().refused(KMS_NULL_ARGUMENT, "plaintext_len");
    DataKey { blob_len: null_mut(), ..data_key }.run().refused(KMS_NULL_ARGUMENT, "blob_len");
    DataKey { blob_len: null_mut(), plaintext: null_mut(), ..data_key }.run().refused(KMS_NULL_ARGUMENT, "blob_len");

    let reencrypt = w.reencrypt();
    ReEncrypt { engine: null_mut(), ..reencrypt }.run().refused(KMS_NULL_ARGUMENT, "engine");
    ReEncrypt { blob: null(), ..reencrypt }.run().refused(KMS_NULL_ARGUMENT, "blob");
    ReEncrypt { key_id: null(), ..reencrypt }.run().refused(KMS_NULL_ARGUMENT, "destination_key_id");
    ReEncrypt { out_len: null_mut(), ..reencrypt }.run().refused(KMS_NULL_ARGUMENT, "out_len");

    clock_advance(null_mut(), 1).refused(KMS_NULL_ARGUMENT, "engine");
    run_due(null_mut(), &raw mut w.text).refused(KMS_NULL_ARGUMENT, "engine");
    run_due(w.engine, null_mut()).refused(KMS_NULL_ARGUMENT, "report_json");
    w.untouched();
}

#[test]
fn null_is_fine_where_it_has_a_meaning() {
    let mut w = World::new(CONFIG);
    // No context is the empty one, and another one than the blob's.
    let (encrypt, decrypt) = (w.encrypt(), w.decrypt());
    Decrypt { context: null(), ..decrypt }.run().refused(KMS_INVALID_PARAMETER, "CiphertextBlob");
    Encrypt { context: null(), ..encrypt }.run().ok();
    w.blob = w.out[..w.out_len].to_vec();
    let decrypt = w.decrypt();
    Decrypt { context: c"{}".as_ptr(), ..decrypt }.run().ok();
    assert_eq!(w.out[..w.out_len], w.plaintext);

    // No bytes.
    let encrypt = w.encrypt();
    Encrypt { plaintext: null(), plaintext_len: 0, ..encrypt }.run().ok();
    assert_eq!(w.out_len, 77);
    w.blob = w.out[..77].to_vec();
    let decrypt = w.decrypt();
    Decrypt { out_cap: 0, ..decrypt }.run().ok();
    assert_eq!(w.out_len, 0);
    w.taint();
    let decrypt = w.decrypt();
    Decrypt { blob: null(), blob_len: 0, ..decrypt }.run().refused(KMS_INVALID_PARAMETER, "CiphertextBlob");
    w.untouched();

    // No plaintext of a data key.
    let data_key = w.data_key();
    DataKey { plaintext: null_mut(), plaintext_cap: 0, plaintext_len: null_mut(), ..data_key }.run().ok();
    assert_eq!(w.out_len, 32 + 77);
    w.taint();
    let data_key = w.data_key();
    DataKey { plaintext: null_mut(), plaintext_cap: usize::MAX, ..data_key }.run().ok();
    assert_eq!((w.out_len, w.second_len), (32 + 77, UNTOUCHED_LEN));

    // No object. SAFETY: that these take NULL is what is tested.
    unsafe {
        kms_close(null_mut());
        kms_string_free(null_mut());
        kms_error_free(null_mut());
        assert_eq!(kms_error_status(null()), KMS_OK);
        assert_eq!(kms_error_http_status(null()), 0);
        for text in [kms_error_code(null()), kms_error_message(null()), kms_error_request_id(null())] {
            assert_eq!(*text, 0);
        }
    }
}

#[test]
fn texts_that_are_not_utf8_are_refused_by_name() {
    let mut w = World::new(CONFIG);
    let bad = BAD_UTF8.as_ptr();
    let mut other = null_mut();
    Open { abi_version: KMS_ABI_VERSION, config: bad, host: null(), out: &raw mut other }
        .run()
        .refused(KMS_INVALID_UTF8, "config_json");
    assert!(other.is_null());

    let call = w.call(c"ListKeys", c"{}");
    Call { action: bad, ..call }.run().refused(KMS_INVALID_UTF8, "action");
    Call { params: bad, ..call }.run().refused(KMS_INVALID_UTF8, "params_json");
    let encrypt = w.encrypt();
    Encrypt { key_id: bad, ..encrypt }.run().refused(KMS_INVALID_UTF8, "key_id");
    Encrypt { context: bad, ..encrypt }.run().refused(KMS_INVALID_UTF8, "context_json");
    let decrypt = w.decrypt();
    Decrypt { context: bad, ..decrypt }.run().refused(KMS_INVALID_UTF8, "context_json");
    let data_key = w.data_key();
    DataKey { key_id: bad, ..data_key }.run().refused(KMS_INVALID_UTF8, "key_id");
    DataKey { context: bad, ..data_key }.run().refused(KMS_INVALID_UTF8, "context_json");
    let reencrypt = w.reencrypt();
    ReEncrypt { source_context: bad, ..reencrypt }.run().refused(KMS_INVALID_UTF8, "source_context_json");
    ReEncrypt { key_id: bad, ..reencrypt }.run().refused(KMS_INVALID_UTF8, "destination_key_id");
    ReEncrypt { destination_context: bad, ..reencrypt }.run().refused(KMS_INVALID_UTF8, "destination_context_json");
    w.untouched();
}

/// Goal: what the engine refuses leaves the outputs alone too, and has the code, the HTTP status and the name of the
/// contract.
#[test]
fn refusals_of_the_engine_leave_outputs_alone() {
    let mut w = World::new(CONFIG);
    let nobody = c"00000000-0000-4000-8000-000000000000".as_ptr();
    let too_long = vec![0; 7000];
    let changed = {
        let mut blob = w.blob.clone();
        *blob.last_mut().unwrap() ^= 1;
        blob
    };
    let (encrypt, decrypt, data_key, reencrypt) = (w.encrypt(), w.decrypt(), w.data_key(), w.reencrypt());
    let bad_json = c"[]".as_ptr();
    let mut all = vec![
        (Encrypt { key_id: nobody, ..encrypt }.run(), KMS_KEY_NOT_FOUND),
        (Encrypt { context: bad_json, ..encrypt }.run(), KMS_INVALID_PARAMETER),
        (Encrypt { plaintext: too_long.as_ptr(), plaintext_len: 6145, ..encrypt }.run(), KMS_INVALID_PARAMETER),
        (Encrypt { plaintext: too_long.as_ptr(), plaintext_len: usize::MAX, ..encrypt }.run(), KMS_INVALID_PARAMETER),
        (Decrypt { blob: changed.as_ptr(), ..decrypt }.run(), KMS_INVALID_PARAMETER),
        (Decrypt { blob_len: 76, ..decrypt }.run(), KMS_INVALID_PARAMETER),
        (Decrypt { blob: too_long.as_ptr(), blob_len: usize::MAX, ..decrypt }.run(), KMS_INVALID_PARAMETER),
        (Decrypt { context: bad_json, ..decrypt }.run(), KMS_INVALID_PARAMETER),
        (DataKey { key_id: nobody, ..data_key }.run(), KMS_KEY_NOT_FOUND),
        (DataKey { number_of_bytes: 0, ..data_key }.run(), KMS_INVALID_PARAMETER),
        (DataKey { number_of_bytes: 1025, ..data_key }.run(), KMS_INVALID_PARAMETER),
        (DataKey { number_of_bytes: usize::MAX, ..data_key }.run(), KMS_INVALID_PARAMETER),
        (DataKey { number_of_bytes: 1025, plaintext: null_mut(), ..data_key }.run(), KMS_INVALID_PARAMETER),
        (ReEncrypt { key_id: nobody, ..reencrypt }.run(), KMS_KEY_NOT_FOUND),
        (ReEncrypt { blob: changed.as_ptr(), ..reencrypt }.run(), KMS_INVALID_PARAMETER),
        (ReEncrypt { source_context: bad_json, ..reencrypt }.run(), KMS_INVALID_PARAMETER),
        (ReEncrypt { destination_context: bad_json, ..reencrypt }.run(), KMS_INVALID_PARAMETER),
        (w.call(c"NoSuchAction", c"{}").run(), KMS_UNSUPPORTED_OPERATION),
        (w.call(c"DescribeKey", c"{}").run(), KMS_MISSING_PARAMETER),
        (w.call(c"DescribeKey", c"[]").run(), KMS_PARSE_REQUEST_PARAMETER),
        (clock_advance(w.engine, -1), KMS_INVALID_PARAMETER),
    ];
    w.untouched();
    must(w.engine, "DisableKey", &serde_json::json!({ "KeyId": w.key_id.to_str().unwrap() }));
    all.extend(
        [w.encrypt().run(), w.decrypt().run(), w.data_key().run(), w.reencrypt().run()].map(|o| (o, KMS_KEY_DISABLED)),
    );
    w.untouched();

    for (outcome, status) in all {
        assert_eq!(outcome.status, status, "{outcome:?}");
        let http = if status == KMS_KEY_NOT_FOUND {
            404
        } else if status == KMS_KEY_DISABLED {
            409
        } else {
            400
        };
        assert_eq!(outcome.http, http, "{outcome:?}");
        assert_eq!(outcome.request_id.len(), 36, "{outcome:?}");
    }
}

/// Goal: failures that reach an engine are named, each by its own name; those that do not reach one are not.
#[test]
fn request_ids() {
    let mut w = World::new(CONFIG);
    let encrypt = w.encrypt();
    let first = Encrypt { key_id: null(), ..encrypt }.run().request_id;
    let second = Encrypt { key_id: null(), ..encrypt }.run().request_id;
    assert_eq!((first.len(), second.len()), (36, 36));
    assert_ne!(first, second);
    assert_eq!(Encrypt { engine: null_mut(), ..encrypt }.run().request_id, "");
}
