//! Encrypt, decrypt, re-encrypt: the hot path. From the caller's buffers to the engine and back, nothing is allocated
//! and nothing copied.

use std::ffi::c_char;

use kms_core::crypto::blob::MAX_PAYLOAD;
use kms_engine::BLOB_OVERHEAD;

use crate::buffer::{Extent, Output, bytes, claim, optional_text, text};
use crate::error::kms_error;
use crate::handle::kms;
use crate::panic::with_engine;
use crate::status::kms_status;

/// One byte more than the longest plaintext, and than the longest blob: what is this long is refused for it.
pub(crate) const TOO_LONG: usize = MAX_PAYLOAD + 1;
pub(crate) const BLOB_TOO_LONG: usize = MAX_PAYLOAD + BLOB_OVERHEAD + 1;

const OUT: [&str; 2] = ["out", "out_len"];

/// Encrypts bytes with the primary version of a symmetric key.
///
/// engine:        an open engine.
/// key_id:        the key: its id, its ARN, or an alias ("alias/...").
/// plaintext:     what to encrypt; may be NULL if plaintext_len is 0.
/// plaintext_len: 0 to 6144 bytes.
/// context_json:  the encryption context, a JSON object of texts, for example {"tenant":"42"}. It is authenticated but
///                not stored: decryption needs an equal one. NULL: none, which equals {}.
/// out:           receives the blob.
/// out_cap:       the size of out in bytes. A blob is 77 bytes longer than its plaintext.
/// out_len:       receives the length of the blob in bytes.
///
/// The blob is what the action Encrypt makes: kms_call and kms_decrypt both decrypt it.
///
/// Errors: those of the action Encrypt, for example KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED and KMS_INVALID_PARAMETER
/// ("Plaintext": it is longer than 6144 bytes); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and
/// handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_encrypt(
    engine: *mut kms,
    key_id: *const c_char,
    plaintext: *const u8,
    plaintext_len: usize,
    context_json: *const c_char,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let key_id = text(key_id, "key_id")?;
            let plaintext = bytes(plaintext, plaintext_len, TOO_LONG, "plaintext")?;
            let context = optional_text(context_json, "context_json")?;
            let out = Output::new(out, out_cap, out_len, OUT)?;
            let inputs = [Extent::of_text(key_id), Extent::of_bytes(plaintext), Extent::of_text(context)];
            let [out] = claim([(out, plaintext.len() + BLOB_OVERHEAD)], &inputs)?;
            let len = engine.encrypt(key_id, plaintext, context, out.bytes)?;
            out.finish(len);
            Ok(())
        })
    }
}

/// Decrypts a blob that kms_encrypt, kms_generate_data_key, kms_reencrypt or one of their actions has made. The blob
/// itself names its key.
///
/// engine:       an open engine.
/// blob:         the blob.
/// blob_len:     its length in bytes.
/// context_json: the encryption context that it was made with; NULL: none.
/// out:          receives the plaintext.
/// out_cap:      the size of out in bytes. A plaintext is 77 bytes shorter than its blob.
/// out_len:      receives the length of the plaintext in bytes.
///
/// A text that was encrypted with the action Encrypt comes as its UTF-8 bytes, without a NUL behind them; one that is
/// Base64 comes as the bytes that it stands for.
///
/// Errors: those of the action Decrypt, for example KMS_KEY_DISABLED and KMS_INVALID_PARAMETER ("CiphertextBlob": the
/// blob is malformed or was changed, or the context is another one; which of them, nobody is told);
/// KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_decrypt(
    engine: *mut kms,
    blob: *const u8,
    blob_len: usize,
    context_json: *const c_char,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let blob = bytes(blob, blob_len, BLOB_TOO_LONG, "blob")?;
            let context = optional_text(context_json, "context_json")?;
            let out = Output::new(out, out_cap, out_len, OUT)?;
            let inputs = [Extent::of_bytes(blob), Extent::of_text(context)];
            let [out] = claim([(out, blob.len().saturating_sub(BLOB_OVERHEAD))], &inputs)?;
            let len = engine.decrypt(blob, context, out.bytes)?;
            out.finish(len);
            Ok(())
        })
    }
}

/// Decrypts a blob and encrypts its plaintext anew: under another key, under the newest version of the same key, or
/// with another context. The plaintext does not leave the engine.
///
/// engine:                   an open engine.
/// blob:                     the blob.
/// blob_len:                 its length in bytes.
/// source_context_json:      the encryption context that the blob was made with; NULL: none.
/// destination_key_id:       the symmetric key to encrypt with: its id, its ARN, or an alias.
/// destination_context_json: the encryption context of the new blob; NULL: none, the source's is not taken over.
/// out:                      receives the new blob.
/// out_cap:                  the size of out in bytes. The new blob is as long as the old one.
/// out_len:                  receives the length of the new blob in bytes.
///
/// Errors: those of the action ReEncrypt; KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_reencrypt(
    engine: *mut kms,
    blob: *const u8,
    blob_len: usize,
    source_context_json: *const c_char,
    destination_key_id: *const c_char,
    destination_context_json: *const c_char,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let blob = bytes(blob, blob_len, BLOB_TOO_LONG, "blob")?;
            let source_context = optional_text(source_context_json, "source_context_json")?;
            let key_id = text(destination_key_id, "destination_key_id")?;
            let destination_context = optional_text(destination_context_json, "destination_context_json")?;
            let out = Output::new(out, out_cap, out_len, OUT)?;
            let inputs = [
                Extent::of_bytes(blob),
                Extent::of_text(source_context),
                Extent::of_text(key_id),
                Extent::of_text(destination_context),
            ];
            let [out] = claim([(out, blob.len())], &inputs)?;
            let len = engine.reencrypt(blob, source_context, key_id, destination_context, out.bytes)?;
            out.finish(len);
            Ok(())
        })
    }
}
