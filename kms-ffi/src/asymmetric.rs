//! Public keys, and encryption to them.

use std::ffi::c_char;

use kms_core::crypto::blob::MAX_PAYLOAD;
use kms_engine::asymmetric_max_plaintext;

use crate::buffer::{Extent, Output, Selector, Slot, bytes, claim, optional_text, text};
use crate::error::kms_error;
use crate::handle::kms;
use crate::panic::with_engine;
use crate::status::kms_status;
use crate::string;

/// One byte more than the longest plaintext and the longest ciphertext of any key.
const TOO_LONG: usize = MAX_PAYLOAD + 1;

const OUT: [&str; 2] = ["out", "out_len"];

/// Encrypts bytes to the public half of a version of an asymmetric key.
///
/// engine:         an open engine.
/// key_id:         the key: its id, its ARN, or an alias ("alias/...").
/// key_version_id: the version of the key. NULL or "": the newest.
/// algorithm:      "RSAES_OAEP_SHA_256" or "RSAES_OAEP_SHA_1" for RSA keys, "SM2PKE" for EC_SM2.
/// plaintext:      what to encrypt.
/// plaintext_len:  1 to 190 or 214 bytes for RSA_2048 with SHA-256 or SHA-1, to 318 or 342 for RSA_3072, to 6047 for
///                 EC_SM2.
/// out:            receives the ciphertext, a standard one: no version stands in it.
/// out_cap:        the size of out in bytes. A ciphertext has the length of the modulus for RSA, 256 or 384 bytes, and is
///                 97 bytes longer than its plaintext for SM2.
/// out_len:        receives the length of the ciphertext in bytes.
///
/// Which version is the newest may change between two calls: where CreateKeyVersion is used, name the version, and keep its
/// id beside the ciphertext. ListKeyVersions tells it, newest first.
///
/// Errors: those of the action AsymmetricEncrypt, for example KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED, KMS_OPERATION_REJECTED
/// (the key does not encrypt) and KMS_INVALID_PARAMETER ("Algorithm": it is not one of the key's; "Plaintext": it is empty
/// or too long); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_asymmetric_encrypt(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    plaintext: *const u8,
    plaintext_len: usize,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let by @ Selector { key_id, version, algorithm } = Selector::new(key_id, key_version_id, algorithm)?;
            let plaintext = bytes(plaintext, plaintext_len, TOO_LONG, "plaintext")?;
            let out = Output::new(out, out_cap, out_len, OUT)?;
            let inputs = by.extents_with(plaintext);
            let look = || engine.asymmetric_ciphertext_len(key_id, version, algorithm, plaintext.len());
            let [out] = claim([(out, look()?)], &inputs)?;
            let encrypted = engine.asymmetric_encrypt(key_id, version, algorithm, plaintext, out.bytes);
            out.finish_or(encrypted, look)
        })
    }
}

/// Decrypts with a version of an asymmetric key.
///
/// engine:         an open engine.
/// key_id:         the key, as for kms_asymmetric_encrypt.
/// key_version_id: the version that the ciphertext was made for. NULL or "": the newest.
/// algorithm:      as for kms_asymmetric_encrypt.
/// ciphertext:     256 or 384 bytes for RSA; for SM2 04 || X || Y || C3 || C2, or the DER form of GM/T 0009, up to 6144
///                 bytes.
/// ciphertext_len: its length in bytes.
/// out:            receives the plaintext.
/// out_cap:        the size of out in bytes. There must be room for the longest plaintext that such a ciphertext can
///                 hold: 66 bytes less than it for SHA-256, 42 for SHA-1, 97 for SM2.
/// out_len:        receives the length of the plaintext in bytes.
///
/// Errors: those of the action AsymmetricDecrypt; whatever is wrong with the ciphertext, it is KMS_INVALID_PARAMETER
/// ("CiphertextBlob"); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_asymmetric_decrypt(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    ciphertext: *const u8,
    ciphertext_len: usize,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let by @ Selector { key_id, version, algorithm } = Selector::new(key_id, key_version_id, algorithm)?;
            let ciphertext = bytes(ciphertext, ciphertext_len, TOO_LONG, "ciphertext")?;
            let out = Output::new(out, out_cap, out_len, OUT)?;
            let inputs = by.extents_with(ciphertext);
            let [out] = claim([(out, asymmetric_max_plaintext(algorithm, ciphertext.len()))], &inputs)?;
            let len = engine.asymmetric_decrypt(key_id, version, algorithm, ciphertext, out.bytes)?;
            out.finish(len);
            Ok(())
        })
    }
}

/// Tells the public half of a version of an asymmetric key.
///
/// engine:         an open engine.
/// key_id:         the key: its id, its ARN, or an alias ("alias/...").
/// key_version_id: the version of the key. NULL or "": the newest.
/// pem:            receives the SubjectPublicKeyInfo as PEM text, each line ended by a line feed. Free it with
///                 kms_string_free.
///
/// Errors: those of the action GetPublicKey, for example KMS_OPERATION_REJECTED (the key is symmetric); the ones of
/// arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_get_public_key(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    pem: *mut *mut c_char,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let key_id = text(key_id, "key_id")?;
            let version = optional_text(key_version_id, "key_version_id")?;
            let pem = Slot::new(pem, "pem")?;
            pem.claim(&[key_id, version].map(Extent::of_text))?;
            pem.put(string::give(&engine.public_key(key_id, version)?));
            Ok(())
        })
    }
}
