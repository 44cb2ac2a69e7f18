//! Encrypt, decrypt, sign and verify for many items at once: what a call costs besides its work is paid once.
//!
//! That is most of a call where it comes from Go or Python. So all here is as such callers can pass it: Go may not hand C a
//! pointer to memory in which pointers to other Go memory stand, and in Python each pointer that is made costs more than
//! the whole encryption of a short text. An array of structures with a pointer for each item would have been both, and its
//! layout would have been fixed for ever. Bytes in one row with their lengths are one pointer to all of them, and what many
//! programs have anyway: a column, a page, a message. Others copy; against the cipher that is little.

use std::ffi::c_char;

use kms_engine::BLOB_OVERHEAD;

use crate::buffer::{Extent, Selector, apart, text};
use crate::crypt::{BLOB_TOO_LONG, TOO_LONG};
use crate::error::kms_error;
use crate::handle::kms;
use crate::items::{Answers, Contexts, Count, Packed, Pieces, Places};
use crate::panic::with_engine;
use crate::sign::{DIGEST_TOO_LONG, SIGNATURE_TOO_LONG};
use crate::status::kms_status;

const DIGESTS: [&str; 2] = ["digests", "digest_lens"];

/// Encrypts many plaintexts with the primary version of a symmetric key, as kms_encrypt does one.
///
/// engine:         an open engine.
/// key_id:         the key, for all: its id, its ARN, or an alias ("alias/...").
/// count:          how many plaintexts there are.
/// plaintexts:     the plaintexts, one behind the other; may be NULL if all are empty.
/// plaintext_lens: their lengths in bytes, 0 to 6144 each.
/// contexts_json:  the encryption contexts. If context_lens is NULL, one that ends with NUL and holds for all, or NULL for
///                 none. Otherwise one for each plaintext, one behind the other, without NUL.
/// context_lens:   their lengths in bytes, 0 for none; or NULL.
/// out:            receives the blobs, one behind the other.
/// out_cap:        the size of out in bytes: the sum of all lengths, and 77 for each plaintext.
/// out_lens:       receives the length of each blob in bytes; 0 for an item that has failed.
/// statuses:       receives how each item went.
/// errors:         receives an error object for each item that has failed, otherwise NULL; or NULL.
///
/// Errors of an item: those of kms_encrypt. Of the batch: KMS_MISSING_PARAMETER ("KeyId"), KMS_INVALID_PARAMETER
/// ("EncryptionContext": the one that holds for all; "count", "plaintext_lens", "context_lens": no memory has so many bytes),
/// those of the account, KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_encrypt_batch(
    engine: *mut kms,
    key_id: *const c_char,
    count: usize,
    plaintexts: *const u8,
    plaintext_lens: *const usize,
    contexts_json: *const c_char,
    context_lens: *const usize,
    out: *mut u8,
    out_cap: usize,
    out_lens: *mut usize,
    statuses: *mut kms_status,
    errors: *mut *mut kms_error,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let key_id = text(key_id, "key_id")?;
            let count = Count::new(count)?;
            let names = ["plaintexts", "plaintext_lens"];
            let plaintexts = Pieces::new(plaintexts, plaintext_lens, count, TOO_LONG, names)?;
            let contexts = Contexts::new(contexts_json, context_lens, count)?;
            let out = Packed::new(out, out_cap, out_lens, count)?;
            let mut answers = Answers::new(statuses, errors, count)?;
            let [bytes, lens] = plaintexts.extents();
            let [context, context_lens] = contexts.extents();
            let inputs = [Extent::of_text(key_id), bytes, lens, context, context_lens];
            let room = |len: usize| len.min(TOO_LONG) + BLOB_OVERHEAD;
            let mut out = out.claim(|i| room(plaintexts.len(i)), &answers, &inputs)?;
            let encrypter = engine.encrypter(key_id, contexts.shared())?;
            for (i, (plaintext, context)) in plaintexts.iter().zip(contexts.iter()).enumerate() {
                let blob = out.next(room(plaintext.len()));
                let len = context.and_then(|own| encrypter.encrypt(plaintext, own, blob));
                out.finish(i, answers.put(i, len, engine));
            }
            Ok(())
        })
    }
}

/// Decrypts many blobs, each with the key that it names, as kms_decrypt does one.
///
/// engine:        an open engine.
/// count:         how many blobs there are.
/// blobs:         the blobs, one behind the other.
/// blob_lens:     their lengths in bytes.
/// contexts_json: the encryption contexts that they were made with, as for kms_encrypt_batch.
/// context_lens:  likewise.
/// out:           receives the plaintexts, one behind the other.
/// out_cap:       the size of out in bytes. A plaintext is 77 bytes shorter than its blob; as many bytes as the blobs have
///                together are enough.
/// out_lens:      receives the length of each plaintext in bytes; 0 for an item that has failed.
/// statuses:      receives how each item went: an empty plaintext and one that could not be had are told apart here.
/// errors:        receives an error object for each item that has failed, otherwise NULL; or NULL.
///
/// Errors of an item: those of kms_decrypt. Of the batch: KMS_INVALID_PARAMETER ("EncryptionContext": the one that holds for
/// all; "count", "blob_lens", "context_lens": no memory has so many bytes), those of the account, KMS_BUFFER_TOO_SMALL,
/// KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_decrypt_batch(
    engine: *mut kms,
    count: usize,
    blobs: *const u8,
    blob_lens: *const usize,
    contexts_json: *const c_char,
    context_lens: *const usize,
    out: *mut u8,
    out_cap: usize,
    out_lens: *mut usize,
    statuses: *mut kms_status,
    errors: *mut *mut kms_error,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let count = Count::new(count)?;
            let blobs = Pieces::new(blobs, blob_lens, count, BLOB_TOO_LONG, ["blobs", "blob_lens"])?;
            let contexts = Contexts::new(contexts_json, context_lens, count)?;
            let out = Packed::new(out, out_cap, out_lens, count)?;
            let mut answers = Answers::new(statuses, errors, count)?;
            let [bytes, lens] = blobs.extents();
            let [context, context_lens] = contexts.extents();
            let room = |len: usize| len.min(BLOB_TOO_LONG).saturating_sub(BLOB_OVERHEAD);
            let inputs = [bytes, lens, context, context_lens];
            let mut out = out.claim(|i| room(blobs.len(i)), &answers, &inputs)?;
            let decrypter = engine.decrypter(contexts.shared())?;
            for (i, (blob, context)) in blobs.iter().zip(contexts.iter()).enumerate() {
                let plaintext = out.next(room(blob.len()));
                let len = context.and_then(|own| decrypter.decrypt(blob, own, plaintext));
                out.finish(i, answers.put(i, len, engine));
            }
            Ok(())
        })
    }
}

/// Signs many digests with a version of an asymmetric key, as kms_sign does one.
///
/// engine:         an open engine.
/// key_id:         the key, for all: its id, its ARN, or an alias ("alias/...").
/// key_version_id: the version of the key. NULL or "": the newest; if CreateKeyVersion runs meanwhile, the later items may have
///                 a newer one than the earlier.
/// algorithm:      as for kms_sign, for all.
/// count:          how many digests there are.
/// digests:        the digests, one behind the other.
/// digest_lens:    their lengths in bytes: 32 each.
/// out:            receives the signatures, one behind the other.
/// out_cap:        the size of out in bytes: for each digest 384 with an algorithm of RSA, otherwise 72.
/// out_lens:       receives the length of each signature in bytes; 0 for an item that has failed.
/// statuses:       receives how each item went.
/// errors:         receives an error object for each item that has failed, otherwise NULL; or NULL.
///
/// Errors of an item: those of kms_sign. Of the batch: KMS_MISSING_PARAMETER ("KeyId", "Algorithm"), KMS_INVALID_PARAMETER
/// ("Algorithm": there is none of this name; "count", "digest_lens": no memory has so many bytes), those of the account,
/// KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_sign_batch(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    count: usize,
    digests: *const u8,
    digest_lens: *const usize,
    out: *mut u8,
    out_cap: usize,
    out_lens: *mut usize,
    statuses: *mut kms_status,
    errors: *mut *mut kms_error,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let by @ Selector { key_id, version, algorithm } = Selector::new(key_id, key_version_id, algorithm)?;
            let count = Count::new(count)?;
            let digests = Pieces::new(digests, digest_lens, count, DIGEST_TOO_LONG, DIGESTS)?;
            let out = Packed::new(out, out_cap, out_lens, count)?;
            let mut answers = Answers::new(statuses, errors, count)?;
            let signer = engine.signer(key_id, version, algorithm)?;
            let [bytes, lens] = digests.extents();
            let [key_id, version, algorithm] = by.extents();
            let inputs = [key_id, version, algorithm, bytes, lens];
            let room = signer.max_signature();
            let mut out = out.claim(|_| room, &answers, &inputs)?;
            for (i, digest) in digests.iter().enumerate() {
                let len = signer.sign(digest, out.next(room));
                out.finish(i, answers.put(i, len, engine));
            }
            Ok(())
        })
    }
}

/// Says for many signatures whether each is one of its digest by a version of an asymmetric key, as kms_verify does for one.
///
/// engine:         an open engine.
/// key_id:         the key, for all: its id, its ARN, or an alias ("alias/...").
/// key_version_id: the version of the key. NULL or "": the newest.
/// algorithm:      as for kms_verify, for all.
/// count:          how many signatures there are.
/// digests:        the digests, one behind the other.
/// digest_lens:    their lengths in bytes: 32 each.
/// signatures:     the signatures, one behind the other.
/// signature_lens: their lengths in bytes.
/// valid:          receives true or false for each; false for an item that has failed, too.
/// statuses:       receives how each item went. That a signature is not valid is no failure.
/// errors:         receives an error object for each item that has failed, otherwise NULL; or NULL.
///
/// Errors of an item: those of kms_verify. Of the batch: as for kms_sign_batch, but for the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_verify_batch(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    count: usize,
    digests: *const u8,
    digest_lens: *const usize,
    signatures: *const u8,
    signature_lens: *const usize,
    valid: *mut bool,
    statuses: *mut kms_status,
    errors: *mut *mut kms_error,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let by @ Selector { key_id, version, algorithm } = Selector::new(key_id, key_version_id, algorithm)?;
            let count = Count::new(count)?;
            let digests = Pieces::new(digests, digest_lens, count, DIGEST_TOO_LONG, DIGESTS)?;
            let names = ["signatures", "signature_lens"];
            let signatures = Pieces::new(signatures, signature_lens, count, SIGNATURE_TOO_LONG, names)?;
            let mut valid = Places::new(valid, count, "valid")?;
            let mut answers = Answers::new(statuses, errors, count)?;
            let [key, id, name] = by.extents();
            let ([bytes, lens], [others, other_lens]) = (digests.extents(), signatures.extents());
            let [statuses, errors] = answers.outputs();
            let inputs = [key, id, name, bytes, lens, others, other_lens];
            apart(&[valid.output(), statuses, errors], &inputs)?;
            let signer = engine.signer(key_id, version, algorithm)?;
            for (i, (digest, signature)) in digests.iter().zip(signatures.iter()).enumerate() {
                let verified = answers.put(i, signer.verify(digest, signature), engine);
                valid.put(i, verified.unwrap_or(false));
            }
            Ok(())
        })
    }
}
