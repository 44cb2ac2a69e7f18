//! Goal: the typed functions allocate nothing once a key is in use. Method: an allocator that counts what the calling thread
//! asks for, around a thousand calls of each function.
//!
//! What aws-lc-rs makes, signatures by RSA and P-256 and the verification of those by RSA, is not counted: it allocates as it
//! will, in Rust and in C.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

use ::kms::*;
use common::{close, create_key, open};
use serde_json::json;

/// The system's allocator, which counts.
struct Counting;

thread_local! {
    // A plain number needs no destructor and no allocation of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: everything is the system allocator's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: what this function demands.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: what this function demands.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count();
        // SAFETY: what this function demands.
        unsafe { System.realloc(at, layout, len) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: what this function demands.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of a thousand calls, after some that fill what is filled once.
#[track_caller]
fn allocations(mut call: impl FnMut() -> kms_status) -> u64 {
    for _ in 0..64 {
        assert_eq!(call(), KMS_OK);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        assert_eq!(call(), KMS_OK);
    }
    ALLOCATIONS.get() - before
}

/// A context, or none.
fn pointer(context: Option<&CStr>) -> *const c_char {
    context.map_or(ptr::null(), CStr::as_ptr)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| i32::from(std::hint::black_box(Box::new(1_u8)).is_power_of_two()) - 1), 1000);
}

#[test]
fn messages_under_symmetric_keys() {
    let engine = open(c"{\"store\":\"memory:\"}");
    let context = c"{\"tenant\":\"42\",\"table\":\"accounts\",\"column\":\"iban\"}";
    for spec in ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128", "Aliyun_SM4"] {
        let id = create_key(engine, &json!({ "KeySpec": spec }));
        let alias = CString::new(format!("alias/{spec}")).unwrap();
        common::must(engine, "CreateAlias", &json!({ "KeyId": id, "AliasName": alias.to_str().unwrap() }));
        let id = CString::new(id).unwrap();
        for (key, context, len) in
            [(&id, None, 32), (&id, Some(context), 32), (&alias, None, 6144), (&alias, Some(context), 1024)]
        {
            let what = format!("{spec}, {key:?}, {context:?}, {len} bytes");
            let (plaintext, mut blob, mut out) = (vec![7; len], vec![0; 8192], vec![0; 8192]);
            let mut blob_len = 0;
            let made = allocations(|| {
                // SAFETY: the engine is open; texts end with NUL; buffers are as long as is said.
                unsafe {
                    kms_encrypt(
                        engine,
                        key.as_ptr(),
                        plaintext.as_ptr(),
                        len,
                        pointer(context),
                        blob.as_mut_ptr(),
                        blob.len(),
                        &raw mut blob_len,
                        ptr::null_mut(),
                    )
                }
            });
            assert_eq!(made, 0, "kms_encrypt: {what}");
            let mut out_len = 0;
            let made = allocations(|| {
                // SAFETY: as above.
                unsafe {
                    kms_decrypt(
                        engine,
                        blob.as_ptr(),
                        blob_len,
                        pointer(context),
                        out.as_mut_ptr(),
                        out.len(),
                        &raw mut out_len,
                        ptr::null_mut(),
                    )
                }
            });
            assert_eq!((made, &out[..out_len]), (0, &plaintext[..]), "kms_decrypt: {what}");
            let made = allocations(|| {
                // SAFETY: as above.
                unsafe {
                    kms_reencrypt(
                        engine,
                        blob.as_ptr(),
                        blob_len,
                        pointer(context),
                        key.as_ptr(),
                        ptr::null(),
                        out.as_mut_ptr(),
                        out.len(),
                        &raw mut out_len,
                        ptr::null_mut(),
                    )
                }
            });
            assert_eq!(made, 0, "kms_reencrypt: {what}");
            let mut data_key = [0; 64];
            let (data_key_at, data_key_cap) = (data_key.as_mut_ptr(), data_key.len());
            for (data_key, cap) in [(data_key_at, data_key_cap), (ptr::null_mut(), 0)] {
                let mut data_key_len = 0;
                let made = allocations(|| {
                    // SAFETY: as above.
                    unsafe {
                        kms_generate_data_key(
                            engine,
                            key.as_ptr(),
                            64,
                            pointer(context),
                            data_key,
                            cap,
                            &raw mut data_key_len,
                            blob.as_mut_ptr(),
                            blob.len(),
                            &raw mut blob_len,
                            ptr::null_mut(),
                        )
                    }
                });
                assert_eq!(made, 0, "kms_generate_data_key: {what}");
            }
        }
    }
    close(engine);
}

#[test]
fn signatures() {
    let engine = open(c"{\"store\":\"memory:\"}");
    // By whom signatures are made.
    for (spec, algorithm, is_aws_lc) in
        [("EC_P256", c"ECDSA_SHA_256", true), ("EC_P256K", c"ECDSA_SHA_256", false), ("EC_SM2", c"SM2DSA", false)]
    {
        let key = create_key(engine, &json!({ "KeySpec": spec, "KeyUsage": "SIGN/VERIFY" }));
        let key = CString::new(key).unwrap();
        let (digest, mut signature, mut signature_len) = ([7; 32], vec![0; 384], 0);
        let made = allocations(|| {
            // SAFETY: the engine is open; texts end with NUL; buffers are as long as is said.
            unsafe {
                kms_sign(
                    engine,
                    key.as_ptr(),
                    ptr::null(),
                    algorithm.as_ptr(),
                    digest.as_ptr(),
                    digest.len(),
                    signature.as_mut_ptr(),
                    signature.len(),
                    &raw mut signature_len,
                    ptr::null_mut(),
                )
            }
        });
        assert!(is_aws_lc || made == 0, "kms_sign: {spec} {algorithm:?}: {made}");
        let mut valid = false;
        let made = allocations(|| {
            // SAFETY: as above.
            unsafe {
                kms_verify(
                    engine,
                    key.as_ptr(),
                    ptr::null(),
                    algorithm.as_ptr(),
                    digest.as_ptr(),
                    digest.len(),
                    signature.as_ptr(),
                    signature_len,
                    &raw mut valid,
                    ptr::null_mut(),
                )
            }
        });
        assert_eq!((made, valid), (0, true), "kms_verify: {spec} {algorithm:?}");
    }
    close(engine);
}
