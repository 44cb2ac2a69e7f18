//! Data keys.

use std::ffi::c_char;

use kms_core::KmsError;
use kms_core::op::datakey::MAX_LEN;
use kms_engine::BLOB_OVERHEAD;
use kms_secmem::wiped::with_wiped_zeros;

use crate::buffer::{Extent, Output, claim, optional_text, text};
use crate::error::kms_error;
use crate::handle::kms;
use crate::panic::with_engine;
use crate::status::kms_status;

/// One byte more than the longest data key: what is this long is refused for it.
const TOO_LONG: usize = MAX_LEN + 1;

const PLAINTEXT: [&str; 2] = ["plaintext", "plaintext_len"];
const BLOB: [&str; 2] = ["blob", "blob_len"];

/// Makes a data key: random bytes to encrypt with elsewhere, together with the same bytes encrypted by a symmetric key
/// of the engine. Use the plaintext, wipe it, and keep the blob beside the data: kms_decrypt turns it into the
/// plaintext again.
///
/// engine:          an open engine.
/// key_id:          the symmetric key: its id, its ARN, or an alias ("alias/...").
/// number_of_bytes: the length of the data key, 1 to 1024 bytes.
/// context_json:    the encryption context of the blob, as for kms_encrypt; NULL: none.
/// plaintext:       receives the data key. NULL: only the blob is wanted; plaintext_cap is then not looked at, and
///                  plaintext_len may be NULL and is not written.
/// plaintext_cap:   the size of plaintext in bytes.
/// plaintext_len:   receives the length of the data key, which is number_of_bytes.
/// blob:            receives the encrypted data key.
/// blob_cap:        the size of blob in bytes. The blob is 77 bytes longer than the data key.
/// blob_len:        receives the length of the blob in bytes.
///
/// With KMS_BUFFER_TOO_SMALL both lengths say what is needed, whichever buffer is too small.
///
/// Errors: those of the action GenerateDataKey, without plaintext those of GenerateDataKeyWithoutPlaintext, for example
/// KMS_INVALID_PARAMETER ("NumberOfBytes"); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and
/// handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_generate_data_key(
    engine: *mut kms,
    key_id: *const c_char,
    number_of_bytes: usize,
    context_json: *const c_char,
    plaintext: *mut u8,
    plaintext_cap: usize,
    plaintext_len: *mut usize,
    blob: *mut u8,
    blob_cap: usize,
    blob_len: *mut usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let key_id = text(key_id, "key_id")?;
            let context = optional_text(context_json, "context_json")?;
            let inputs = [Extent::of_text(key_id), Extent::of_text(context)];
            let len = number_of_bytes.min(TOO_LONG);
            if plaintext.is_null() {
                let blob = Output::new(blob, blob_cap, blob_len, BLOB)?;
                let [blob] = claim([(blob, len + BLOB_OVERHEAD)], &inputs)?;
                let written = engine.generate_data_key_without_plaintext(key_id, len, context, blob.bytes)?;
                blob.finish(written);
            } else {
                let plaintext = Output::new(plaintext, plaintext_cap, plaintext_len, PLAINTEXT)?;
                let blob = Output::new(blob, blob_cap, blob_len, BLOB)?;
                let [plaintext, blob] = claim([(plaintext, len), (blob, len + BLOB_OVERHEAD)], &inputs)?;
                // The engine may fail with a part of the data key drawn, which nobody shall see.
                let written = with_wiped_zeros(len, |data_key| {
                    let written = engine.generate_data_key(key_id, data_key, context, blob.bytes)?;
                    plaintext.bytes.copy_from_slice(data_key);
                    Ok::<_, KmsError>(written)
                })?;
                plaintext.finish(len);
                blob.finish(written);
            }
            Ok(())
        })
    }
}
