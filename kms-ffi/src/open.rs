//! Opening and closing, and what the host brings along.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::slice;

use kms_core::{ErrorCode, KmsError};
use kms_engine::root_key::ROOT_KEY_LEN;
use kms_engine::{Config, Engine};

use crate::buffer::{Slot, bytes, text};
use crate::error::kms_error;
use crate::handle::{self, kms};
use crate::panic::{boundary, caught};
use crate::status::kms_status;

/// The version of this interface. It changes when a program must be compiled anew.
pub const KMS_ABI_VERSION: u32 = 1;

/// The most bytes that a host structure of any version may have: a wild `size` is seen to be one.
const MOST: usize = 4096;

/// One byte more than a root key: what is this long is refused for it.
const ROOT_KEY_TOO_LONG: usize = ROOT_KEY_LEN + 1;

/// What a host gives an engine besides its configuration. Zero all of it, set size, then the members you need: kms_host
/// host = {0}; host.size = sizeof host; and so on.
///
/// Later versions add members at the end. A library takes a structure that is shorter than its own as if the rest were
/// zero, and one that is longer if all that it does not know is zero.
#[repr(C)]
#[derive(Debug)]
pub struct kms_host {
    /// sizeof(kms_host), as the program was compiled.
    pub size: usize,
    /// Handed to callbacks, of which this version has none. May be NULL.
    pub context: *mut c_void,
    /// The root key, in place of root_key in the configuration: so it need not stand in a text. NULL: it is there. It
    /// is copied; wipe it when kms_open has returned.
    pub root_key: *const u8,
    /// The length of the root key in bytes: 32.
    pub root_key_len: usize,
}

impl kms_host {
    /// Reads the structure of a program that may be older or newer.
    ///
    /// # Safety
    /// `at` points to a `size`, and to as many bytes as it says.
    unsafe fn read(at: *const Self) -> Result<Self, KmsError> {
        // SAFETY: what this function demands; a program may have packed it oddly.
        let size = unsafe { at.cast::<usize>().read_unaligned() };
        // All members are as large as a pointer, so that a structure of any version ends between two of them.
        if !(size_of::<usize>()..=MOST).contains(&size) || !size.is_multiple_of(size_of::<usize>()) {
            return Err(ErrorCode::AbiMismatch.into());
        }
        let mut host = Self { size: 0, context: ptr::null_mut(), root_key: ptr::null(), root_key_len: 0 };
        let known = size.min(size_of::<Self>());
        // SAFETY: there are `size` bytes; both sides have `known`. Any bytes are good for the members, and those that
        // are not copied stay zero.
        let unknown = unsafe {
            ptr::from_mut(&mut host).cast::<u8>().copy_from_nonoverlapping(at.cast(), known);
            slice::from_raw_parts(at.cast::<u8>().add(known), size - known)
        };
        // To leave out something that the program relies on could be to leave out a safeguard.
        if unknown.iter().any(|byte| *byte != 0) {
            return Err(ErrorCode::AbiMismatch.into());
        }
        Ok(host)
    }
}

/// Opens an engine on a store, and makes the store if it is not there.
///
/// abi_version: KMS_ABI_VERSION, as the program was compiled.
/// config_json: the configuration, a JSON object of the members below; {"store":"memory:"} is the smallest.
/// host:        what else the host gives; may be NULL. It is not needed after the call.
/// out:         receives the engine. Close it with kms_close.
///
/// Members of the configuration; all but store have a default, and one that is not known is an error:
///
/// store:          "memory:", gone when the engine is closed; "sled:PATH" or PATH alone, a directory.
/// root_key:       seals the store; needed unless the store is in memory or the host gives the key. One of
///                 {"passphrase":TEXT}, on which each kms_open spends a good part of a second on purpose;
///                 {"file":PATH,"create":BOOLEAN}, 32 bytes, made if they are not there and create is true;
///                 {"hex":TEXT}, 64 digits; {"env":NAME}, a variable that holds 64 digits.
/// account_id:     16 digits, part of every ARN; "1000000000000000". A store keeps the one that it was made with.
/// region:         part of every ARN; "cn-hangzhou". A store keeps the one that it was made with.
/// regions:        what DescribeRegions answers, an array of texts.
/// clock:          "system", or {"manual":"2030-01-01T00:00:00Z"}: a clock that kms_clock_advance alone moves.
/// seed:           a number: ids and all random bytes of the engine's own are the same in every run; RSA and P-256 draw
///                 theirs elsewhere. For tests, with a manual clock and "memory:".
/// limits:         {"keys":NUMBER,"aliases":NUMBER,"key_versions":NUMBER}, or "alibaba" for those of the cloud; none but
///                 50 versions that CreateKeyVersion makes.
/// account_status: the account's status in the beginning; "Enabled".
/// hsm:            whether keys of protection level HSM can be made; true.
/// cache:          how many records are kept in memory; 10000.
/// sweep:          seconds between two runs of what is due, by a thread of the engine's own; 0: the program calls
///                 kms_run_due. Not with seed. A program that waits for signals in a thread of its own blocks them
///                 before this call, so that the engine's threads do not get them.
///
/// Errors: KMS_ABI_MISMATCH (the program was compiled for another version, or host has no possible size or asks for
/// what this version does not know), KMS_INVALID_CONFIG, KMS_WRONG_ROOT_KEY, KMS_STORE_LOCKED (it is open elsewhere),
/// KMS_STORE_FOREIGN, KMS_STORE_CORRUPT, KMS_STORE_FULL, KMS_STORE_IO, KMS_NULL_ARGUMENT, KMS_INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_open(
    abi_version: u32,
    config_json: *const c_char,
    host: *const kms_host,
    out: *mut *mut kms,
    err: *mut *mut kms_error,
) -> kms_status {
    // SAFETY: the contract of the C interface, for each argument.
    unsafe {
        boundary(err, || {
            if abi_version != KMS_ABI_VERSION {
                return Err(ErrorCode::AbiMismatch.into());
            }
            let config = text(config_json, "config_json")?;
            let host = if host.is_null() { None } else { Some(kms_host::read(host)?) };
            let root_key = match &host {
                Some(host) if !host.root_key.is_null() || host.root_key_len > 0 => {
                    Some(bytes(host.root_key, host.root_key_len, ROOT_KEY_TOO_LONG, "host->root_key")?)
                }
                _ => None,
            };
            let out = Slot::new(out, "out")?;
            let engine = Engine::open(Config::parse_with_root_key(config, root_key)?)?;
            out.put(handle::give(engine));
            Ok(())
        })
    }
}

/// Closes an engine. Calls that begin now answer KMS_CLOSED; those that run are waited for; then the store is closed
/// and all keys are wiped from memory. In a forked child it does nothing: the engine is the parent's.
///
/// engine: may be NULL; nothing happens then. Do not use it afterwards. A call that was about to begin in another
///         thread is safe and answers KMS_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kms_close(engine: *mut kms) {
    // SAFETY: the contract of the C interface.
    let close = || unsafe { handle::close(engine) };
    // Of a panic nobody can be told here. The handle stays closed.
    let _ = caught(close);
}

/// Returns the version of the library, for example "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn kms_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
