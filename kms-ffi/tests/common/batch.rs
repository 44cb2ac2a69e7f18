//! The batch functions with their arguments as structures, and what they write to.

use std::ffi::c_char;
use std::ptr::{null, null_mut};

use ::kms::*;

use super::{Outcome, UNTOUCHED, UNTOUCHED_LEN, outcome_of, run};

/// Inputs, one behind the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lens: Vec<usize>,
}

impl Row {
    pub(crate) fn of<T: AsRef<[u8]>>(items: &[T]) -> Self {
        Self {
            bytes: items.iter().flat_map(AsRef::as_ref).copied().collect(),
            lens: items.iter().map(|item| item.as_ref().len()).collect(),
        }
    }
}

const UNTOUCHED_STATUS: kms_status = 0x5ea5_a5a5;

/// What a batch writes to, each with room for more than is needed.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) out: Vec<u8>,
    pub(crate) out_lens: Vec<usize>,
    /// Bytes, which can hold what is neither true nor false.
    pub(crate) valid: Vec<u8>,
    pub(crate) statuses: Vec<kms_status>,
    pub(crate) errors: Vec<*mut kms_error>,
}

impl Outputs {
    pub(crate) fn new(count: usize, bytes: usize) -> Self {
        Self {
            out: vec![UNTOUCHED; bytes],
            out_lens: vec![UNTOUCHED_LEN; count],
            valid: vec![UNTOUCHED; count],
            statuses: vec![UNTOUCHED_STATUS; count],
            errors: vec![null_mut(); count],
        }
    }

    #[track_caller]
    pub(crate) fn untouched(&self) {
        assert!(self.out_lens.iter().all(|len| *len == UNTOUCHED_LEN));
        self.untouched_but_lens();
    }

    #[track_caller]
    pub(crate) fn untouched_but_lens(&self) {
        assert!(self.out.iter().chain(&self.valid).all(|byte| *byte == UNTOUCHED));
        assert!(self.statuses.iter().all(|status| *status == UNTOUCHED_STATUS));
        assert!(self.errors.iter().all(|error| error.is_null()));
    }

    /// How each item went, by status and error object; the objects are freed.
    #[track_caller]
    pub(crate) fn outcomes(&mut self) -> Vec<Outcome> {
        let statuses = self.statuses.iter();
        statuses.zip(self.errors.drain(..)).map(|(status, error)| outcome_of(*status, error)).collect()
    }

    /// What each item came to: its bytes, or why there are none.
    #[track_caller]
    pub(crate) fn results(&mut self) -> Vec<Result<Vec<u8>, Outcome>> {
        let mut rest = &self.out[..];
        let mut bytes = Vec::new();
        for len in &self.out_lens {
            let (item, behind) = rest.split_at(*len);
            bytes.push(item.to_vec());
            rest = behind;
        }
        let outcomes = self.outcomes();
        let results = bytes.into_iter().zip(outcomes).map(|(bytes, outcome)| {
            if outcome.is_ok() {
                return Ok(bytes);
            }
            assert!(bytes.is_empty(), "what has failed has no result");
            Err(outcome)
        });
        results.collect()
    }
}

macro_rules! batches {
    ($($name:ident = $function:ident { $($field:ident: $type:ty,)* })*) => {$(
        #[doc = concat!("Arguments of ", stringify!($function), ".")]
        #[derive(Clone, Copy)]
        pub(crate) struct $name { $(pub(crate) $field: $type,)* }

        impl $name {
            #[track_caller]
            pub(crate) fn run(self) -> Outcome {
                let Self { $($field,)* } = self;
                // SAFETY: each pointer is NULL or good for what is said: the tests make them so.
                run(|err| unsafe { $function($($field,)* err) })
            }
        }
    )*};
}

batches! {
    EncryptBatch = kms_encrypt_batch {
        engine: *mut kms,
        key_id: *const c_char,
        count: usize,
        plaintexts: *const u8,
        plaintext_lens: *const usize,
        contexts: *const c_char,
        context_lens: *const usize,
        out: *mut u8,
        out_cap: usize,
        out_lens: *mut usize,
        statuses: *mut kms_status,
        errors: *mut *mut kms_error,
    }
    DecryptBatch = kms_decrypt_batch {
        engine: *mut kms,
        count: usize,
        blobs: *const u8,
        blob_lens: *const usize,
        contexts: *const c_char,
        context_lens: *const usize,
        out: *mut u8,
        out_cap: usize,
        out_lens: *mut usize,
        statuses: *mut kms_status,
        errors: *mut *mut kms_error,
    }
    SignBatch = kms_sign_batch {
        engine: *mut kms,
        key_id: *const c_char,
        version: *const c_char,
        algorithm: *const c_char,
        count: usize,
        digests: *const u8,
        digest_lens: *const usize,
        out: *mut u8,
        out_cap: usize,
        out_lens: *mut usize,
        statuses: *mut kms_status,
        errors: *mut *mut kms_error,
    }
    VerifyBatch = kms_verify_batch {
        engine: *mut kms,
        key_id: *const c_char,
        version: *const c_char,
        algorithm: *const c_char,
        count: usize,
        digests: *const u8,
        digest_lens: *const usize,
        signatures: *const u8,
        signature_lens: *const usize,
        valid: *mut bool,
        statuses: *mut kms_status,
        errors: *mut *mut kms_error,
    }
}

impl Outputs {
    /// Encryption without a context.
    pub(crate) fn encrypt(&mut self, engine: *mut kms, key_id: *const c_char, plaintexts: &Row) -> EncryptBatch {
        EncryptBatch {
            engine,
            key_id,
            count: plaintexts.lens.len(),
            plaintexts: plaintexts.bytes.as_ptr(),
            plaintext_lens: plaintexts.lens.as_ptr(),
            contexts: null(),
            context_lens: null(),
            out: self.out.as_mut_ptr(),
            out_cap: self.out.len(),
            out_lens: self.out_lens.as_mut_ptr(),
            statuses: self.statuses.as_mut_ptr(),
            errors: self.errors.as_mut_ptr(),
        }
    }

    /// Decryption without a context.
    pub(crate) fn decrypt(&mut self, engine: *mut kms, blobs: &Row) -> DecryptBatch {
        DecryptBatch {
            engine,
            count: blobs.lens.len(),
            blobs: blobs.bytes.as_ptr(),
            blob_lens: blobs.lens.as_ptr(),
            contexts: null(),
            context_lens: null(),
            out: self.out.as_mut_ptr(),
            out_cap: self.out.len(),
            out_lens: self.out_lens.as_mut_ptr(),
            statuses: self.statuses.as_mut_ptr(),
            errors: self.errors.as_mut_ptr(),
        }
    }

    /// Signatures by the newest version.
    pub(crate) fn sign(
        &mut self,
        engine: *mut kms,
        key_id: *const c_char,
        algorithm: *const c_char,
        digests: &Row,
    ) -> SignBatch {
        SignBatch {
            engine,
            key_id,
            version: null(),
            algorithm,
            count: digests.lens.len(),
            digests: digests.bytes.as_ptr(),
            digest_lens: digests.lens.as_ptr(),
            out: self.out.as_mut_ptr(),
            out_cap: self.out.len(),
            out_lens: self.out_lens.as_mut_ptr(),
            statuses: self.statuses.as_mut_ptr(),
            errors: self.errors.as_mut_ptr(),
        }
    }

    /// Verification by the newest version.
    pub(crate) fn verify(
        &mut self,
        engine: *mut kms,
        key_id: *const c_char,
        algorithm: *const c_char,
        digests: &Row,
        signatures: &Row,
    ) -> VerifyBatch {
        VerifyBatch {
            engine,
            key_id,
            version: null(),
            algorithm,
            count: digests.lens.len(),
            digests: digests.bytes.as_ptr(),
            digest_lens: digests.lens.as_ptr(),
            signatures: signatures.bytes.as_ptr(),
            signature_lens: signatures.lens.as_ptr(),
            valid: self.valid.as_mut_ptr().cast(),
            statuses: self.statuses.as_mut_ptr(),
            errors: self.errors.as_mut_ptr(),
        }
    }
}
