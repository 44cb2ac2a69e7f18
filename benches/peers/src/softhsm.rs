//! SoftHSM2 with a token of its own in a folder that is given to it, loaded as any PKCS #11 module.
//!
//! What is timed goes through the module's list of functions, as a C program calls it: `cryptoki`'s own functions ask for the
//! length of each result first, and allocate it. The rest is done with `cryptoki`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::ptr;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Info, Pkcs11};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use cryptoki_sys::{
    CK_BYTE, CK_FUNCTION_LIST, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG, CKR_OK,
};

/// Names the module, if it is not where Debian has it.
pub const MODULE: &str = "SOFTHSM2_MODULE";
const DEBIAN: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A token, and a session in which its user has logged in. It works as long as this is there.
#[derive(Debug)]
pub struct Token {
    /// The session, for what is not timed.
    pub session: Session,
    /// The session, for what is.
    pub calls: Calls,
    /// Finalized after the session is closed.
    module: Pkcs11,
}

impl Token {
    /// Makes one in an empty folder.
    ///
    /// # Safety
    /// It sets an environment variable: no other thread may run.
    ///
    /// # Panics
    /// When there is no SoftHSM2, or it does not work.
    #[must_use]
    pub unsafe fn in_folder(folder: &Path) -> Self {
        let config = folder.join("softhsm2.conf");
        let tokens = folder.join("tokens");
        fs::create_dir(&tokens).expect("the folder is ours");
        let text =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        fs::write(&config, text).expect("the folder is ours");
        // The user's tokens are not touched: without this variable SoftHSM2 reads a file of his.
        // SAFETY: by the contract of this function nobody reads the environment meanwhile.
        unsafe { env::set_var("SOFTHSM2_CONF", &config) };

        let path = env::var_os(MODULE).unwrap_or_else(|| OsString::from(DEBIAN));
        let module = Pkcs11::new(&path).unwrap_or_else(|error| panic!("{path:?}, or what {MODULE} names: {error}"));
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("the module starts");
        let pin = AuthPin::from("1234".to_owned());
        let slot = module.get_slots_with_token().expect("slots")[0];
        module.init_token(slot, &pin, "peers").expect("a token");
        let slot = module.get_slots_with_initialized_token().expect("slots")[0];
        let session = module.open_rw_session(slot).expect("a session");
        session.login(UserType::So, Some(&pin)).expect("the officer's PIN");
        session.init_pin(&pin).expect("a PIN for the user");
        session.logout().expect("the officer leaves");
        session.login(UserType::User, Some(&pin)).expect("the user's PIN");
        let calls = Calls { functions: functions(&path), session: session.handle() };
        Self { session, calls, module }
    }

    /// What the module says it is.
    ///
    /// # Panics
    /// When it says nothing.
    #[must_use]
    pub fn version(&self) -> String {
        let info = self.module.get_library_info().expect("a module tells about itself");
        format!("{} {}", info.manufacturer_id(), Info::library_version(&info))
    }
}

/// The module's list of functions. The module stays loaded for ever, so that the list does.
fn functions(path: &OsString) -> &'static CK_FUNCTION_LIST {
    // SAFETY: the module is loaded already; loading it again does nothing new.
    let module = unsafe { cryptoki_sys::Pkcs11::new(path) }.expect("it was loaded before");
    let module = Box::leak(Box::new(module));
    let mut list = ptr::null_mut();
    // SAFETY: the result has a place.
    check("C_GetFunctionList", unsafe { module.C_GetFunctionList(&raw mut list) });
    // SAFETY: a module's list is there, and does not change, as long as the module is loaded.
    unsafe { list.as_ref() }.expect("a module has a list")
}

fn check(function: &str, result: CK_RV) {
    assert_eq!(result, CKR_OK, "{function}");
}

/// The calls that are timed, in one session. They panic where a function fails, as they do after the session has ended.
#[derive(Clone, Copy)]
pub struct Calls {
    functions: &'static CK_FUNCTION_LIST,
    session: CK_SESSION_HANDLE,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("session", &self.session).finish_non_exhaustive()
    }
}

type Init = Option<unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV>;
type Transform =
    Option<unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV>;

macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident: $init:ident, $work:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// The mechanism's parameter, if it has one, is there and of the mechanism's type.
        #[inline]
        #[must_use]
        pub unsafe fn $name(&self, mechanism: CK_MECHANISM, key: ObjectHandle, input: &[u8], out: &mut [u8]) -> usize {
            let Self { functions, .. } = self;
            // SAFETY: by the contract of this function.
            unsafe { self.init(functions.$init, mechanism, key) };
            self.transform(functions.$work, input, out)
        }
    )*};
}

impl Calls {
    transforms! {
        /// `C_EncryptInit` and `C_Encrypt`; returns the length of the ciphertext.
        encrypt: C_EncryptInit, C_Encrypt;
        /// `C_DecryptInit` and `C_Decrypt`; returns the length of the plaintext.
        decrypt: C_DecryptInit, C_Decrypt;
        /// `C_SignInit` and `C_Sign`; returns the length of the signature.
        sign: C_SignInit, C_Sign;
    }

    /// `C_VerifyInit` and `C_Verify`; whether the signature is good.
    ///
    /// # Safety
    /// The mechanism's parameter, if it has one, is there and of the mechanism's type.
    #[inline]
    #[must_use]
    pub unsafe fn verify(&self, mechanism: CK_MECHANISM, key: ObjectHandle, data: &[u8], signature: &[u8]) -> bool {
        // SAFETY: by the contract of this function.
        unsafe { self.init(self.functions.C_VerifyInit, mechanism, key) };
        let verify = self.functions.C_Verify.expect("the module has it");
        // SAFETY: both inputs are as long as is said, and are not written to.
        let result = unsafe {
            verify(self.session, data.as_ptr().cast_mut(), len(data), signature.as_ptr().cast_mut(), len(signature))
        };
        result == CKR_OK
    }

    /// `C_GenerateRandom`.
    #[inline]
    pub fn random(&self, out: &mut [u8]) {
        let random = self.functions.C_GenerateRandom.expect("the module has it");
        // SAFETY: the buffer is as long as is said.
        check("C_GenerateRandom", unsafe { random(self.session, out.as_mut_ptr(), len(out)) });
    }

    /// # Safety
    /// As for the callers.
    unsafe fn init(&self, init: Init, mut mechanism: CK_MECHANISM, key: ObjectHandle) {
        // SAFETY: the mechanism is whole, its parameter by the contract of this function.
        check("Init", unsafe { init.expect("the module has it")(self.session, &raw mut mechanism, key.handle()) });
    }

    fn transform(&self, work: Transform, input: &[u8], out: &mut [u8]) -> usize {
        let mut length = len(out);
        let work = work.expect("the module has it");
        // SAFETY: the input is as long as is said and is not written to; the output has as many bytes as `length` says.
        let result =
            unsafe { work(self.session, input.as_ptr().cast_mut(), len(input), out.as_mut_ptr(), &raw mut length) };
        check("the work", result);
        usize::try_from(length).expect("no longer than the buffer")
    }
}

fn len(bytes: &[u8]) -> CK_ULONG {
    CK_ULONG::try_from(bytes.len()).expect("it is short")
}
