//! Signatures.

use std::ffi::c_char;

use kms_core::crypto::asymmetric::DIGEST_LEN;
use kms_engine::MAX_SIGNATURE;

use crate::buffer::{Extent, Output, Selector, Slot, bytes, claim};
use crate::error::kms_error;
use crate::handle::kms;
use crate::panic::with_engine;
use crate::status::kms_status;

/// One byte more than a digest, and than the longest signature: what is this long is refused for it.
pub(crate) const DIGEST_TOO_LONG: usize = DIGEST_LEN + 1;
pub(crate) const SIGNATURE_TOO_LONG: usize = MAX_SIGNATURE + 1;

/// Signs a digest with a version of an asymmetric key.
///
/// engine:         an open engine.
/// key_id:         the key: its id, its ARN, or an alias ("alias/...").
/// key_version_id: the version of the key. NULL or "": the newest.
/// algorithm:      "RSA_PSS_SHA_256" or "RSA_PKCS1_SHA_256" for RSA keys, "ECDSA_SHA_256" for EC_P256 and EC_P256K,
///                 "SM2DSA" for EC_SM2.
/// digest:         the digest of the message: of SHA-256, or for SM2DSA of SM3 over Z_A and the message. kms_digest and
///                 kms_digest_init make both.
/// digest_len:     32.
/// out:            receives the signature: for RSA as many bytes as the modulus has, otherwise DER, SEQUENCE { r, s }.
/// out_cap:        the size of out in bytes. 384 suffice for every key, 72 for those of a curve.
/// out_len:        receives the length of the signature in bytes.
///
/// Which version is the newest may change between two calls: where CreateKeyVersion is used, name the version, and keep its
/// id beside the signature. ListKeyVersions tells it, newest first.
///
/// Errors: those of the action AsymmetricSign, for example KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED, KMS_OPERATION_REJECTED
/// (the key does not sign) and KMS_INVALID_PARAMETER ("Algorithm": it is not one of the key's; "Digest": it has not 32
/// bytes); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_sign(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    digest: *const u8,
    digest_len: usize,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let by @ Selector { key_id, version, algorithm } = Selector::new(key_id, key_version_id, algorithm)?;
            let digest = bytes(digest, digest_len, DIGEST_TOO_LONG, "digest")?;
            let out = Output::new(out, out_cap, out_len, ["out", "out_len"])?;
            let inputs = by.extents_with(digest);
            // Only who is short of room pays for a look at what the key needs.
            let look = || engine.max_signature(key_id, version, algorithm, digest);
            let needed = if out_cap >= MAX_SIGNATURE { MAX_SIGNATURE } else { look()? };
            let [out] = claim([(out, needed)], &inputs)?;
            let signed = engine.sign(key_id, version, algorithm, digest, out.bytes);
            out.finish_or(signed, look)
        })
    }
}

/// Says whether a signature is one of a digest by a version of an asymmetric key.
///
/// engine:         an open engine.
/// key_id:         the key, as for kms_sign.
/// key_version_id: the version of the key. NULL or "": the newest.
/// algorithm:      as for kms_sign. RSA_PSS_SHA_256 takes salts of every length.
/// digest:         as for kms_sign.
/// digest_len:     32.
/// signature:      the signature.
/// signature_len:  its length in bytes.
/// valid:          receives true or false. A signature that is malformed is false, and no error.
///
/// Errors: those of the action AsymmetricVerify, as for kms_sign; KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_verify(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    digest: *const u8,
    digest_len: usize,
    signature: *const u8,
    signature_len: usize,
    valid: *mut bool,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let by @ Selector { key_id, version, algorithm } = Selector::new(key_id, key_version_id, algorithm)?;
            let digest = bytes(digest, digest_len, DIGEST_TOO_LONG, "digest")?;
            let signature = bytes(signature, signature_len, SIGNATURE_TOO_LONG, "signature")?;
            let valid = Slot::new(valid, "valid")?;
            valid.claim(&by.extents_with(digest))?;
            valid.claim(&[Extent::of_bytes(signature)])?;
            valid.put(engine.verify(key_id, version, algorithm, digest, signature)?);
            Ok(())
        })
    }
}
