//! Digests of messages that are to be signed or verified.

use std::ffi::c_char;

use kms_core::crypto::asymmetric::DIGEST_LEN;
use kms_core::{ErrorCode, KmsError};
use kms_engine::{Digester, Engine, SM2_DEFAULT_USER_ID};

use crate::buffer::{self, Extent, Selector, Slot, null, text};
use crate::error::{Failure, kms_error};
use crate::handle::kms;
use crate::panic::{boundary, caught, with_engine};
use crate::status::kms_status;

/// A message on its way to its digest. It belongs to whoever called kms_digest_init, who frees it with kms_digest_free.
/// Only one thread at a time may use it. It does not depend on the engine: it may be used after kms_close.
#[expect(non_camel_case_types, reason = "the name is C's")]
#[derive(Debug)]
pub struct kms_digester {
    /// Gone once the digest was told.
    digester: Option<Digester>,
}

/// The arguments that both functions have.
struct Arguments<'a> {
    by: Selector<'a>,
    user_id: Option<&'a str>,
}

impl<'a> Arguments<'a> {
    /// # Safety
    /// The contract of the C interface, for each argument.
    unsafe fn new(
        key_id: *const c_char,
        key_version_id: *const c_char,
        algorithm: *const c_char,
        sm2_user_id: *const c_char,
    ) -> Result<Self, KmsError> {
        // SAFETY: what this function demands.
        unsafe {
            let by = Selector::new(key_id, key_version_id, algorithm)?;
            let user_id = if sm2_user_id.is_null() { None } else { Some(text(sm2_user_id, "sm2_user_id")?) };
            Ok(Self { by, user_id })
        }
    }

    /// Claims the place of a result: it is over no input.
    fn claim<T>(&self, slot: &Slot<'_, T>, message: &[u8]) -> Result<(), KmsError> {
        slot.claim(&self.by.extents_with(message))?;
        slot.claim(&[Extent::of_text(self.user_id.unwrap_or(""))])
    }

    fn start(&self, engine: &Engine) -> Result<Digester, KmsError> {
        let Selector { key_id, version, algorithm } = self.by;
        let user_id = self.user_id.map_or(SM2_DEFAULT_USER_ID, str::as_bytes);
        engine.digester(key_id, version, algorithm, user_id)
    }
}

/// Computes the digest of a message for kms_sign and kms_verify: SHA-256, or for "SM2DSA" SM3 over Z_A, which hangs on the
/// key and the signer's user id, and the message.
///
/// engine:         an open engine.
/// key_id:         the key that signs or has signed: its id, its ARN, or an alias ("alias/...").
/// key_version_id: its version. NULL or "": the newest.
/// algorithm:      as for kms_sign.
/// message:        the message; may be NULL if message_len is 0.
/// message_len:    its length in bytes.
/// sm2_user_id:    the signer's id for "SM2DSA", up to 8191 bytes; otherwise not looked at. NULL: "1234567812345678", which
///                 nearly everybody uses.
/// out:            receives the digest, 32 bytes.
///
/// Errors: KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED and the other ones of the action GetPublicKey, KMS_OPERATION_REJECTED (the
/// key does not sign), KMS_INVALID_PARAMETER ("Algorithm": it is not one of the key's; "sm2_user_id": it is too long); KMS_OVERLAP and the
/// other ones of arguments and handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_digest(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    message: *const u8,
    message_len: usize,
    sm2_user_id: *const c_char,
    out: *mut u8,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let message = buffer::bytes(message, message_len, isize::MAX.cast_unsigned(), "message")?;
            let out = Slot::new(out.cast::<[u8; DIGEST_LEN]>(), "out")?;
            let arguments = Arguments::new(key_id, key_version_id, algorithm, sm2_user_id)?;
            arguments.claim(&out, message)?;
            let mut digester = arguments.start(engine)?;
            digester.update(message);
            out.put(digester.finish());
            Ok(())
        })
    }
}

/// Starts the digest of a message that comes in pieces; see kms_digest.
///
/// engine:         an open engine.
/// key_id:         as for kms_digest.
/// key_version_id: as for kms_digest.
/// algorithm:      as for kms_digest.
/// sm2_user_id:    as for kms_digest.
/// digester:       receives an object that takes the message. Free it with kms_digest_free.
///
/// Errors: those of kms_digest.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_digest_init(
    engine: *mut kms,
    key_id: *const c_char,
    key_version_id: *const c_char,
    algorithm: *const c_char,
    sm2_user_id: *const c_char,
    digester: *mut *mut kms_digester,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_engine(engine, err, |engine| {
            let slot = Slot::new(digester, "digester")?;
            let arguments = Arguments::new(key_id, key_version_id, algorithm, sm2_user_id)?;
            arguments.claim(&slot, &[])?;
            let digester = Some(arguments.start(engine)?);
            slot.put(Box::into_raw(Box::new(kms_digester { digester })));
            Ok(())
        })
    }
}

/// Runs `work` on a digester that is still taking its message.
///
/// # Safety
/// The contract of the C interface, for each argument.
unsafe fn with_digester(
    digester: *mut kms_digester,
    err: *mut *mut kms_error,
    work: impl FnOnce(&mut Option<Digester>) -> Result<(), Failure>,
) -> kms_status {
    let body = || {
        // SAFETY: what this function demands: it came from `kms_digest_init` and nobody else uses it meanwhile.
        let digester = unsafe { digester.as_mut() }.ok_or_else(|| null("digester"))?;
        if digester.digester.is_none() {
            return Err(ErrorCode::Closed.into());
        }
        work(&mut digester.digester)
    };
    // SAFETY: what this function demands of `err`.
    unsafe { boundary(err, body) }
}

/// Adds a piece of the message.
///
/// digester:  takes the message.
/// piece:     the next piece of it; may be NULL if piece_len is 0.
/// piece_len: its length in bytes.
///
/// Errors: KMS_CLOSED after kms_digest_final, KMS_NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_digest_update(
    digester: *mut kms_digester,
    piece: *const u8,
    piece_len: usize,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_digester(digester, err, |digester| {
            let piece = buffer::bytes(piece, piece_len, isize::MAX.cast_unsigned(), "piece")?;
            if let Some(digester) = digester {
                digester.update(piece);
            }
            Ok(())
        })
    }
}

/// Ends the message and tells its digest.
///
/// digester: has taken the message. It is still to be freed, and good for nothing else.
/// out:      receives the digest, 32 bytes.
///
/// Errors: KMS_CLOSED when it was called before, KMS_NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_digest_final(
    digester: *mut kms_digester,
    out: *mut u8,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        with_digester(digester, err, |digester| {
            let out = Slot::new(out.cast::<[u8; DIGEST_LEN]>(), "out")?;
            if let Some(digester) = digester.take() {
                out.put(digester.finish());
            }
            Ok(())
        })
    }
}

/// Wipes and frees a digester, whether or not its message has ended.
///
/// digester: may be NULL; nothing happens then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_digest_free(digester: *mut kms_digester) {
    if !digester.is_null() {
        // SAFETY: by the contract of the C interface it came from `Box::into_raw` in `kms_digest_init` and is not used
        // again.
        let digester = unsafe { Box::from_raw(digester) };
        // Freeing memory does not panic; if it ever did, the caller could do nothing about it.
        let _ = caught(|| drop(digester));
    }
}
