//! libkms as a C program has it: the shared library, loaded, and its functions called through their symbols.
//!
//! The functions could also be linked into the benchmark as Rust. But a program that is linked as a whole is optimised as
//! a whole, and a shared library is not: what is measured is what is shipped.

use std::env;
use std::ffi::{CStr, CString, OsString, c_char, c_void};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::ptr::{self, NonNull};

use ::kms::{KMS_ABI_VERSION, KMS_OK, kms, kms_error, kms_host, kms_status};
use serde_json::{Value, json};

/// Names the shared library to measure, if it is not the one beside the benchmark.
pub const LIBRARY: &str = "KMS_LIBRARY";

type Open = unsafe extern "C" fn(u32, *const c_char, *const kms_host, *mut *mut kms, *mut *mut kms_error) -> kms_status;
type Close = unsafe extern "C" fn(*mut kms);
type Call =
    unsafe extern "C" fn(*mut kms, *const c_char, *const c_char, *mut *mut c_char, *mut *mut kms_error) -> kms_status;
type StringFree = unsafe extern "C" fn(*mut c_char);
type Encrypt = unsafe extern "C" fn(
    *mut kms,
    *const c_char,
    *const u8,
    usize,
    *const c_char,
    *mut u8,
    usize,
    *mut usize,
    *mut *mut kms_error,
) -> kms_status;
type Decrypt = unsafe extern "C" fn(
    *mut kms,
    *const u8,
    usize,
    *const c_char,
    *mut u8,
    usize,
    *mut usize,
    *mut *mut kms_error,
) -> kms_status;
type GenerateDataKey = unsafe extern "C" fn(
    *mut kms,
    *const c_char,
    usize,
    *const c_char,
    *mut u8,
    usize,
    *mut usize,
    *mut u8,
    usize,
    *mut usize,
    *mut *mut kms_error,
) -> kms_status;

type Transform = unsafe extern "C" fn(
    *mut kms,
    *const c_char,
    *const c_char,
    *const c_char,
    *const u8,
    usize,
    *mut u8,
    usize,
    *mut usize,
    *mut *mut kms_error,
) -> kms_status;
type Verify = unsafe extern "C" fn(
    *mut kms,
    *const c_char,
    *const c_char,
    *const c_char,
    *const u8,
    usize,
    *const u8,
    usize,
    *mut bool,
    *mut *mut kms_error,
) -> kms_status;

type EncryptBatch = unsafe extern "C" fn(
    *mut kms,
    *const c_char,
    usize,
    *const u8,
    *const usize,
    *const c_char,
    *const usize,
    *mut u8,
    usize,
    *mut usize,
    *mut kms_status,
    *mut *mut kms_error,
    *mut *mut kms_error,
) -> kms_status;
type DecryptBatch = unsafe extern "C" fn(
    *mut kms,
    usize,
    *const u8,
    *const usize,
    *const c_char,
    *const usize,
    *mut u8,
    usize,
    *mut usize,
    *mut kms_status,
    *mut *mut kms_error,
    *mut *mut kms_error,
) -> kms_status;
type SignBatch = unsafe extern "C" fn(
    *mut kms,
    *const c_char,
    *const c_char,
    *const c_char,
    usize,
    *const u8,
    *const usize,
    *mut u8,
    usize,
    *mut usize,
    *mut kms_status,
    *mut *mut kms_error,
    *mut *mut kms_error,
) -> kms_status;
type VerifyBatch = unsafe extern "C" fn(
    *mut kms,
    *const c_char,
    *const c_char,
    *const c_char,
    usize,
    *const u8,
    *const usize,
    *const u8,
    *const usize,
    *mut bool,
    *mut kms_status,
    *mut *mut kms_error,
    *mut *mut kms_error,
) -> kms_status;

macro_rules! functions {
    ($($field:ident: $type:ident = $name:ident;)*) => {
        /// The functions that are used here.
        pub(crate) struct Functions { $(pub(crate) $field: $type,)* }

        impl Functions {
            fn load() -> Self {
                // A signature that has changed does not compile.
                $(const _: $type = ::kms::$name;)*
                let library = library();
                Self { $($field: {
                    let symbol = symbol(library, stringify!($name));
                    // SAFETY: libkms exports it under this name, with the type of the function that was just looked at:
                    // cargo builds both from one source, and kms_open compares the version of another library.
                    unsafe { std::mem::transmute::<*mut c_void, $type>(symbol.as_ptr()) }
                },)* }
            }
        }
    };
}

functions! {
    open: Open = kms_open;
    close: Close = kms_close;
    call: Call = kms_call;
    string_free: StringFree = kms_string_free;
    encrypt: Encrypt = kms_encrypt;
    decrypt: Decrypt = kms_decrypt;
    generate_data_key: GenerateDataKey = kms_generate_data_key;
    sign: Transform = kms_sign;
    verify: Verify = kms_verify;
    asymmetric_encrypt: Transform = kms_asymmetric_encrypt;
    asymmetric_decrypt: Transform = kms_asymmetric_decrypt;
    encrypt_batch: EncryptBatch = kms_encrypt_batch;
    decrypt_batch: DecryptBatch = kms_decrypt_batch;
    sign_batch: SignBatch = kms_sign_batch;
    verify_batch: VerifyBatch = kms_verify_batch;
}

/// Where the library is: cargo puts it beside the executables of tests and benchmarks.
#[must_use]
pub fn library_path() -> PathBuf {
    let beside = || Some(env::current_exe().ok()?.parent()?.join("libkms.so"));
    env::var_os(LIBRARY).map(PathBuf::from).or_else(beside).unwrap_or_else(|| "libkms.so".into())
}

fn library() -> NonNull<c_void> {
    let path = CString::new(OsString::from(library_path()).into_vec()).expect("a path has no NUL");
    // SAFETY: the path ends with NUL; what the library does when it is loaded is sound.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    NonNull::new(library).unwrap_or_else(|| panic!("{path:?} does not load; {LIBRARY} may name another"))
}

fn symbol(library: NonNull<c_void>, name: &str) -> NonNull<c_void> {
    let name = CString::new(name).expect("a name has no NUL");
    // SAFETY: the library is loaded and stays so; the name ends with NUL.
    let symbol = unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) };
    NonNull::new(symbol).unwrap_or_else(|| panic!("the library has no {name:?}"))
}

/// An open engine behind the C interface. Its methods panic where a function fails.
pub struct Kms {
    functions: Functions,
    engine: NonNull<kms>,
}

// SAFETY: by the contract of the C interface an engine may be used by any number of threads at once.
unsafe impl Send for Kms {}
// SAFETY: as above.
unsafe impl Sync for Kms {}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kms").finish_non_exhaustive()
    }
}

impl Kms {
    /// Opens an engine on a store, `memory:` or `sled:PATH`, that is sealed with a fixed root key.
    ///
    /// # Panics
    /// When there is no library, or the engine does not open.
    #[must_use]
    pub fn open(store: &CStr) -> Self {
        let functions = Functions::load();
        let store = store.to_str().expect("the store is UTF-8");
        let config = text(&json!({ "store": store, "root_key": { "hex": "5a".repeat(32) } }).to_string());
        let mut engine = ptr::null_mut();
        // SAFETY: the text ends with NUL, host and err may be NULL, and the result has a place.
        let status = unsafe {
            (functions.open)(KMS_ABI_VERSION, config.as_ptr(), ptr::null(), &raw mut engine, ptr::null_mut())
        };
        assert_eq!(status, KMS_OK, "kms_open");
        Self { functions, engine: NonNull::new(engine).expect("an engine that has opened is there") }
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.functions
    }

    pub(crate) fn engine(&self) -> *mut kms {
        self.engine.as_ptr()
    }

    /// Calls an action.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn call(&self, action: &str, params: &Value) -> Value {
        let (name, params) = (text(action), text(&params.to_string()));
        let mut reply = ptr::null_mut();
        // SAFETY: the engine is open; the texts end with NUL, the reply has a place, and err may be NULL.
        let status = unsafe {
            (self.functions.call)(self.engine.as_ptr(), name.as_ptr(), params.as_ptr(), &raw mut reply, ptr::null_mut())
        };
        assert_eq!(status, KMS_OK, "{action}");
        // SAFETY: a call that succeeds gives a text; it is read before it is freed, and freed once.
        let parsed = unsafe {
            let parsed = serde_json::from_slice(CStr::from_ptr(reply).to_bytes());
            (self.functions.string_free)(reply);
            parsed
        };
        parsed.expect("a reply is JSON")
    }

    /// Makes a key and returns its id.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn create_key(&self, spec: &str) -> CString {
        let reply = self.call("CreateKey", &json!({ "KeySpec": spec }));
        text(reply["KeyMetadata"]["KeyId"].as_str().expect("the reply names the key"))
    }

    /// kms_encrypt without context; returns the length of the blob.
    #[inline]
    #[must_use]
    pub fn encrypt(&self, key: &CStr, plaintext: &[u8], out: &mut [u8]) -> usize {
        self.encrypt_in(key, plaintext, None, out)
    }

    /// kms_encrypt; returns the length of the blob.
    #[inline]
    #[must_use]
    pub fn encrypt_in(&self, key: &CStr, plaintext: &[u8], context: Option<&CStr>, out: &mut [u8]) -> usize {
        let mut len = 0;
        // SAFETY: the engine is open, the key ends with NUL, the buffers are as long as is said, and context and err may
        // be NULL.
        let status = unsafe {
            (self.functions.encrypt)(
                self.engine.as_ptr(),
                key.as_ptr(),
                plaintext.as_ptr(),
                plaintext.len(),
                context.map_or(ptr::null(), CStr::as_ptr),
                out.as_mut_ptr(),
                out.len(),
                &raw mut len,
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_encrypt");
        len
    }

    /// kms_decrypt without context; returns the length of the plaintext.
    #[inline]
    #[must_use]
    pub fn decrypt(&self, blob: &[u8], out: &mut [u8]) -> usize {
        let mut len = 0;
        // SAFETY: as for `encrypt`.
        let status = unsafe {
            (self.functions.decrypt)(
                self.engine.as_ptr(),
                blob.as_ptr(),
                blob.len(),
                ptr::null(),
                out.as_mut_ptr(),
                out.len(),
                &raw mut len,
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_decrypt");
        len
    }

    /// kms_generate_data_key without context, for a data key of this length; returns the lengths of data key and blob.
    #[inline]
    #[must_use]
    pub fn generate_data_key(&self, key: &CStr, data_key: &mut [u8], out: &mut [u8]) -> (usize, usize) {
        let (mut data_key_len, mut len) = (0, 0);
        // SAFETY: as for `encrypt`.
        let status = unsafe {
            (self.functions.generate_data_key)(
                self.engine.as_ptr(),
                key.as_ptr(),
                data_key.len(),
                ptr::null(),
                data_key.as_mut_ptr(),
                data_key.len(),
                &raw mut data_key_len,
                out.as_mut_ptr(),
                out.len(),
                &raw mut len,
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_generate_data_key");
        (data_key_len, len)
    }
}

macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        impl Kms {
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(&self, key: &CStr, version: &CStr, algorithm: &CStr, input: &[u8], out: &mut [u8]) -> usize {
                let mut len = 0;
                // SAFETY: the engine is open, the texts end with NUL, the buffers are as long as is said, and err may be
                // NULL.
                let status = unsafe {
                    (self.functions.$name)(
                        self.engine.as_ptr(),
                        key.as_ptr(),
                        version.as_ptr(),
                        algorithm.as_ptr(),
                        input.as_ptr(),
                        input.len(),
                        out.as_mut_ptr(),
                        out.len(),
                        &raw mut len,
                        ptr::null_mut(),
                    )
                };
                assert_eq!(status, KMS_OK, stringify!($name));
                len
            }
        }
    )*};
}

transforms! {
    /// kms_sign of a digest; returns the length of the signature.
    sign;
    /// kms_asymmetric_encrypt; returns the length of the ciphertext.
    asymmetric_encrypt;
    /// kms_asymmetric_decrypt; returns the length of the plaintext.
    asymmetric_decrypt;
}

impl Kms {
    /// kms_verify of a digest's signature.
    #[inline]
    #[must_use]
    pub fn verify(&self, key: &CStr, version: &CStr, algorithm: &CStr, digest: &[u8], signature: &[u8]) -> bool {
        let mut valid = false;
        // SAFETY: as for `sign`; the result has a place.
        let status = unsafe {
            (self.functions.verify)(
                self.engine.as_ptr(),
                key.as_ptr(),
                version.as_ptr(),
                algorithm.as_ptr(),
                digest.as_ptr(),
                digest.len(),
                signature.as_ptr(),
                signature.len(),
                &raw mut valid,
                ptr::null_mut(),
            )
        };
        assert_eq!(status, KMS_OK, "kms_verify");
        valid
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        // SAFETY: the engine came from kms_open and is not used again.
        unsafe { (self.functions.close)(self.engine.as_ptr()) }
    }
}

fn text(text: &str) -> CString {
    CString::new(text).expect("a text has no NUL")
}
