//! The root key: 32 secret bytes under which everything in a store is sealed, and the forms in which a host hands them
//! over.
//!
//! | form | the key is | made if absent |
//! |---|---|---|
//! | bytes, hexadecimal digits | what was given | no |
//! | environment variable | the 64 hexadecimal digits in it | no |
//! | file | its 32 bytes | yes, if allowed, for a new store only |
//! | passphrase | Argon2id of it, under the salt and costs in the store's header ([`Kdf`]) | the header is |
//!
//! A key file is written under another name, synced, and then given its own name by a hard link, which fails if
//! something has that name. So nobody ever sees half a key, a crash leaves the whole file or none (and perhaps a draft
//! beside it that nothing uses), nothing is overwritten, and of two processes that make it at once both go on with the
//! one that came first.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Block, Version};
use kms_core::{ErrorCode, KmsError};
use kms_secmem::locked::LockedBytes;
use kms_secmem::wiped::with_wiped_stack;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::invalid;

/// Bytes in a root key.
pub const ROOT_KEY_LEN: usize = 32;

/// A root key, in a page of its own that is neither swapped nor dumped where the system allows it.
pub struct RootKey(LockedBytes);

impl RootKey {
    /// Copies a key; clearing the original is the caller's.
    ///
    /// # Errors
    /// `InternalFailure` if the process can have no more memory mappings.
    pub fn copied_from(key: &[u8; ROOT_KEY_LEN]) -> Result<Self, KmsError> {
        Self::filled(|bytes| {
            bytes.copy_from_slice(key);
            Ok(())
        })
    }

    /// Draws a key from the operating system: for a store in memory, which nobody opens twice.
    ///
    /// # Errors
    /// `InternalFailure` without entropy or memory.
    pub fn random() -> Result<Self, KmsError> {
        Self::filled(|bytes| getrandom::fill(bytes).map_err(|_| ErrorCode::InternalFailure.into()))
    }

    /// The bytes themselves. Do not let them reach a log, an error or an unwiped buffer.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// Reads 64 hexadecimal digits of either case. `None` for another text.
    pub(crate) fn from_hex(digits: &str) -> Result<Option<Self>, KmsError> {
        let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return Ok(None) };
        if pairs.len() != ROOT_KEY_LEN || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let value = |digit: u8| if digit <= b'9' { digit - b'0' } else { (digit | 0x20) - b'a' + 10 };
        let key = Self::filled(|bytes| {
            for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                *byte = value(*high) << 4 | value(*low);
            }
            Ok(())
        })?;
        Ok(Some(key))
    }

    /// Fills the key in the place where it stays.
    fn filled(fill: impl FnOnce(&mut [u8]) -> Result<(), KmsError>) -> Result<Self, KmsError> {
        let mut bytes = LockedBytes::zeroed(ROOT_KEY_LEN).map_err(|_| ErrorCode::InternalFailure)?;
        fill(bytes.expose_mut())?;
        Ok(Self(bytes))
    }
}

/// The form in which the host has configured its root key.
pub enum RootKeySource {
    /// The key itself.
    Bytes(RootKey),
    /// 64 hexadecimal digits in this environment variable.
    Env(String),
    /// 32 bytes in a file that its owner alone may use.
    File {
        /// Where it stands.
        path: PathBuf,
        /// Whether it is made for a new store if nothing stands there.
        create: bool,
    },
    /// A text that people remember; not empty.
    Passphrase(Zeroizing<String>),
}

impl RootKeySource {
    /// The key for a new store, and for a passphrase what the store's header must keep.
    ///
    /// # Errors
    /// `KMS_INVALID_CONFIG`, telling what is wrong and never what is secret; `InternalFailure` without entropy or
    /// memory.
    pub fn establish(&self) -> Result<(RootKey, Option<Kdf>), KmsError> {
        match self {
            Self::Passphrase(passphrase) => {
                let kdf = Kdf::fresh()?;
                Ok((kdf.derive(passphrase)?, Some(kdf)))
            }
            Self::File { path, create: true } => {
                make_key_file(path)?;
                Ok((read_key_file(path)?, None))
            }
            _ => Ok((self.recall(None)?, None)),
        }
    }

    /// The key for a store that is there, with what its header kept. A missing key file is never made here: a new key
    /// could not open the store, and would stand where the old one belongs.
    ///
    /// # Errors
    /// As [`RootKeySource::establish`], and `KMS_WRONG_ROOT_KEY` for a passphrase if the store was made under another
    /// form.
    pub fn recall(&self, kdf: Option<&Kdf>) -> Result<RootKey, KmsError> {
        match self {
            Self::Bytes(key) => RootKey::filled(|bytes| {
                bytes.copy_from_slice(key.expose());
                Ok(())
            }),
            Self::Env(name) => read_variable(name, std::env::var_os(name)),
            Self::File { path, .. } => read_key_file(path),
            Self::Passphrase(passphrase) => kdf.ok_or(ErrorCode::WrongRootKey)?.derive(passphrase),
        }
    }
}

/// How a root key comes from a passphrase: the salt and the costs of Argon2id (RFC 9106), version 0x13. No secret; a
/// store keeps it in its header.
///
/// A header can be forged, so costs that would take the machine down are refused when one is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KdfFields")]
pub struct Kdf {
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A [`Kdf`] as it is written, before its costs are looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KdfFields {
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl TryFrom<KdfFields> for Kdf {
    type Error = &'static str;

    fn try_from(fields: KdfFields) -> Result<Self, Self::Error> {
        let KdfFields { salt, memory_kib, passes, lanes } = fields;
        let bounded = (1..=Self::MAX_LANES).contains(&lanes)
            && (1..=Self::MAX_PASSES).contains(&passes)
            // Argon2 itself wants 8 blocks of 1 KiB a lane.
            && (8 * lanes..=Self::MAX_MEMORY_KIB).contains(&memory_kib);
        if bounded { Ok(Self { salt, memory_kib, passes, lanes }) } else { Err("costs of Argon2id out of bounds") }
    }
}

impl Kdf {
    /// The most memory that a header may ask for: 1 GiB.
    pub const MAX_MEMORY_KIB: u32 = 1 << 20;
    /// The most passes that a header may ask for. With the most memory they take some 15 seconds.
    pub const MAX_PASSES: u32 = 16;
    /// The most lanes that a header may ask for.
    pub const MAX_LANES: u32 = 16;

    /// The costs for a new store, with a salt of its own: the second recommendation of RFC 9106, chapter 4 (64 MiB, 3
    /// passes), on one lane, because the lanes of this implementation run one after the other.
    ///
    /// # Errors
    /// `InternalFailure` without entropy.
    pub fn fresh() -> Result<Self, KmsError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| ErrorCode::InternalFailure)?;
        Ok(Self { salt, memory_kib: 64 * 1024, passes: 3, lanes: 1 })
    }

    /// The root key of a passphrase, which counts with its exact bytes. Takes some 150 ms at a new store's costs.
    ///
    /// # Errors
    /// `KMS_INVALID_CONFIG` if the memory cannot be had; `InternalFailure` if the process can have no more mappings.
    pub fn derive(&self, passphrase: &str) -> Result<RootKey, KmsError> {
        RootKey::filled(|out| {
            argon2id([self.memory_kib, self.passes, self.lanes], &self.salt, passphrase.as_bytes(), out)
        })
    }
}

/// Argon2id version 0x13 at the costs of memory in KiB, passes and lanes.
fn argon2id(costs: [u32; 3], salt: &[u8], passphrase: &[u8], out: &mut [u8]) -> Result<(), KmsError> {
    let [memory_kib, passes, lanes] = costs;
    let params = argon2::Params::new(memory_kib, passes, lanes, Some(out.len()));
    let params = params.map_err(|_| ErrorCode::InternalFailure)?;
    // argon2 would free its memory as it is, and the last block of it is the key but for one hash.
    let mut memory = Zeroizing::new(Vec::<Block>::new());
    memory
        .try_reserve_exact(params.block_count())
        .map_err(|_| invalid(format!("root_key.passphrase needs {memory_kib} KiB of memory, which cannot be had")))?;
    memory.resize(params.block_count(), Block::default());
    with_wiped_stack(|| {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, salt, out, &mut memory[..])
            .map_err(|_| ErrorCode::InternalFailure.into())
    })
}

/// Reads a key from the value of an environment variable.
fn read_variable(name: &str, value: Option<OsString>) -> Result<RootKey, KmsError> {
    let value =
        value.ok_or_else(|| invalid(format!("root_key.env: the variable {} is not set", name.escape_debug())))?;
    let bytes = Zeroizing::new(value.into_encoded_bytes());
    let digits = std::str::from_utf8(&bytes).unwrap_or("");
    RootKey::from_hex(digits)?.ok_or_else(|| {
        invalid(format!("root_key.env: the variable {} does not hold 64 hexadecimal digits", name.escape_debug()))
    })
}

/// An error about the key file, which shows the path.
fn file_error(path: &Path, what: impl std::fmt::Display) -> KmsError {
    invalid(format!("root_key.file {}: {what}", path.display()))
}

/// Reads a key file, after a look at who else may.
fn read_key_file(path: &Path) -> Result<RootKey, KmsError> {
    let io = |error: io::Error| file_error(path, error);
    let mut file = File::open(path).map_err(io)?;
    // Asked of the open file: its name may mean another one by now.
    let found = file.metadata().map_err(io)?;
    if !found.is_file() {
        return Err(file_error(path, "it is not a file"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        return Err(file_error(path, "others than its owner may use it; chmod 600 it, and consider the key known"));
    }
    let wrong_length = || file_error(path, format_args!("it must hold {ROOT_KEY_LEN} bytes and nothing else"));
    if found.len() != ROOT_KEY_LEN as u64 {
        return Err(wrong_length());
    }
    RootKey::filled(|bytes| {
        file.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrong_length(),
            _ => io(error),
        })
    })
}

/// Makes a key file if nothing has its name. Afterwards one is there and is on disk, ours or that of whoever came
/// first.
fn make_key_file(path: &Path) -> Result<(), KmsError> {
    let io = |error: io::Error| file_error(path, error);
    let Some(name) = path.file_name() else { return Err(file_error(path, "it has no file name")) };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let sync_directory = || File::open(directory)?.sync_all();
    // Also true of a link that leads nowhere, which must not be replaced either.
    if fs::symlink_metadata(path).is_ok() {
        // Another process may have made it a moment ago. One that has long been there needs no sync, and may stand in a
        // directory that we cannot open, so a failure says nothing.
        let _ = sync_directory();
        return Ok(());
    }

    let key = RootKey::random()?;
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(|_| ErrorCode::InternalFailure)?;
    let mut draft_name = OsString::from(".");
    draft_name.push(name);
    draft_name.push(format!(".{:016x}", u64::from_le_bytes(suffix)));
    let draft = directory.join(draft_name);

    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(io)?;
    let written = file.write_all(key.expose()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    // The draft goes whatever has happened: it may be the only name of a key that nobody will use.
    let removed = fs::remove_file(&draft);
    linked.and(removed).and_then(|()| sync_directory()).map_err(io)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::symlink;

    use super::*;

    const KEY: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";

    /// A file of this content and mode in a directory of its own.
    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("root.key");
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        (dir, path)
    }

    fn source(path: &Path, create: bool) -> RootKeySource {
        RootKeySource::File { path: path.to_owned(), create }
    }

    /// The error's detail, which must be about the configuration.
    fn detail(result: Result<RootKey, KmsError>) -> String {
        let error = result.err().expect("a refusal");
        assert_eq!(error.code(), ErrorCode::InvalidConfig, "{error}");
        error.detail().expect("a detail").to_owned()
    }

    fn names(dir: &Path) -> Vec<OsString> {
        fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").file_name()).collect()
    }

    #[test]
    fn hexadecimal_digits_of_either_case_are_a_key() {
        for digits in [hex::encode(KEY), hex::encode_upper(KEY)] {
            assert_eq!(RootKey::from_hex(&digits).unwrap().expect("a key").expose(), KEY);
        }
        let all: String = (0..32).map(|byte| format!("{:02x}", byte * 8 + byte % 8)).collect();
        assert_eq!(RootKey::from_hex(&all).unwrap().expect("a key").expose(), hex::decode(&all).unwrap());
        let good = hex::encode(KEY);
        for bad in
            ["", "30", &good[1..], &good[2..], &format!("{good}30"), &format!(" {}", &good[1..]), &"é".repeat(32)]
        {
            assert!(RootKey::from_hex(bad).unwrap().is_none(), "{bad}");
        }
        for odd in ['g', 'G', '/', ':', '@', '`', '+'] {
            assert!(RootKey::from_hex(&format!("{odd}{}", &good[1..])).unwrap().is_none(), "{odd}");
        }
    }

    #[test]
    fn a_variable_holds_the_digits_and_nothing_else() {
        let digits = hex::encode(KEY);
        assert_eq!(read_variable("X", Some(digits.clone().into())).unwrap().expose(), KEY);
        for bad in [String::new(), format!("{digits}\n"), "secret".to_owned()] {
            let told = detail(read_variable("X", Some(bad.into())));
            assert_eq!(told, "root_key.env: the variable X does not hold 64 hexadecimal digits");
        }
        let absent = RootKeySource::Env("KMS_NO_SUCH_VARIABLE".to_owned());
        assert_eq!(detail(absent.recall(None)), "root_key.env: the variable KMS_NO_SUCH_VARIABLE is not set");
        // No name that the system would take; and a variable that surely holds something else.
        assert!(detail(RootKeySource::Env("A=B\0".to_owned()).recall(None)).ends_with("is not set"));
        assert!(detail(RootKeySource::Env("PATH".to_owned()).recall(None)).contains("does not hold"));
    }

    #[test]
    fn bytes_are_the_key() {
        let source = RootKeySource::Bytes(RootKey::copied_from(&KEY).unwrap());
        assert_eq!(source.recall(None).unwrap().expose(), KEY);
        let (key, kdf) = source.establish().unwrap();
        assert_eq!((key.expose(), kdf), (&KEY[..], None));
    }

    #[test]
    fn a_file_of_its_owner_is_read() {
        for mode in [0o600, 0o400] {
            let (_dir, path) = file(&KEY, mode);
            for create in [false, true] {
                assert_eq!(source(&path, create).recall(None).unwrap().expose(), KEY);
                assert_eq!(source(&path, create).establish().unwrap().0.expose(), KEY);
            }
            assert_eq!(fs::read(&path).unwrap(), KEY);
        }
    }

    #[test]
    fn a_file_that_others_may_use_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666] {
            let (_dir, path) = file(&KEY, mode);
            let told = detail(source(&path, true).recall(None));
            assert!(told.contains("others than its owner may use it"), "{mode:o}: {told}");
            assert!(told.contains(path.to_str().unwrap()), "{told}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused_and_kept() {
        for len in [0, 1, 31, 33, 64] {
            let (_dir, path) = file(&vec![7; len], 0o600);
            assert!(detail(source(&path, true).recall(None)).contains("must hold 32 bytes"), "{len}");
            assert!(source(&path, true).establish().is_err());
            assert_eq!(fs::read(&path).unwrap(), vec![7; len]);
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(detail(source(dir.path(), false).recall(None)).contains("it is not a file"));
        let dangling = dir.path().join("link");
        symlink(dir.path().join("nowhere"), &dangling).unwrap();
        assert!(source(&dangling, true).establish().is_err());
        assert_eq!(names(dir.path()), ["link"]);
        assert!(source(Path::new("/"), true).establish().is_err());
        assert!(source(Path::new(""), true).establish().is_err());
    }

    #[test]
    fn a_file_is_made_for_a_new_store_alone_and_only_if_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        assert!(detail(source(&path, false).establish().map(|(key, _)| key)).contains("No such file"));
        assert!(detail(source(&path, true).recall(None)).contains("No such file"));
        assert!(names(dir.path()).is_empty());

        let (key, kdf) = source(&path, true).establish().unwrap();
        assert_eq!(kdf, None);
        assert_eq!(fs::read(&path).unwrap(), key.expose());
        assert_ne!(key.expose(), [0; 32]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(dir.path()), ["root.key"]);
        assert_eq!(source(&path, true).establish().unwrap().0.expose(), key.expose());

        let nowhere = dir.path().join("no/such/root.key");
        assert!(detail(source(&nowhere, true).establish().map(|(key, _)| key)).contains("No such file"));
    }

    // Goal: of many that make one file at once all end with the same key, and nothing else is left.
    #[test]
    fn racing_creators_agree() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("root.key");
            let barrier = std::sync::Barrier::new(8);
            let keys: HashSet<Vec<u8>> = std::thread::scope(|scope| {
                let make = || {
                    barrier.wait();
                    source(&path, true).establish().map(|(key, _)| key.expose().to_vec())
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic").expect("a key")).collect()
            });
            assert_eq!(keys.len(), 1);
            assert_eq!(names(dir.path()), ["root.key"]);
        }
    }

    // Known answer 1: test.c of the reference implementation (github.com/P-H-C/phc-winner-argon2), version 0x13,
    // Argon2id. Known answer 2: argon2-cffi 25.1.0, which binds that implementation, with a salt of our length and two
    // lanes.
    #[test]
    fn argon2id_matches_the_reference_implementation() {
        let salt: [u8; 16] = std::array::from_fn(|i| i as u8);
        for (costs, salt, passphrase, key) in [
            (
                [65_536, 2, 1],
                &b"somesalt"[..],
                "password",
                "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7",
            ),
            (
                [256, 3, 2],
                &salt[..],
                "correct horse battery staple 马",
                "7a0b73d774442dcf6b76f29b8f72a2899524e1cb930e13c895a3a3a6afad488e",
            ),
        ] {
            let mut out = [0; 32];
            argon2id(costs, salt, passphrase.as_bytes(), &mut out).unwrap();
            assert_eq!(hex::encode(out), key);
        }
    }

    // The vector of RFC 9106, section 5.3, which has a secret and associated data and so cannot come from a `Kdf`: it
    // checks that the library below is the algorithm of that document.
    #[test]
    fn the_library_matches_rfc_9106() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut out = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut out).unwrap();
        assert_eq!(hex::encode(out), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn a_passphrase_gives_its_key_again_and_only_under_its_header() {
        let source = RootKeySource::Passphrase(Zeroizing::new("correct horse".to_owned()));
        let (key, kdf) = source.establish().unwrap();
        let kdf = kdf.expect("a header");
        assert_eq!((kdf.memory_kib, kdf.passes, kdf.lanes), (65_536, 3, 1));
        let read = serde_json::from_str(&serde_json::to_string(&kdf).unwrap()).unwrap();
        assert_eq!(source.recall(Some(&read)).unwrap().expose(), key.expose());
        assert_ne!(source.recall(Some(&Kdf::fresh().unwrap())).unwrap().expose(), key.expose());
        assert_eq!(source.recall(None).err().map(|error| error.code()), Some(ErrorCode::WrongRootKey));
    }

    #[test]
    fn a_header_beyond_the_bounds_is_refused() {
        let header = |memory_kib: u32, passes: u32, lanes: u32| {
            let salt = [0; 16];
            serde_json::from_value::<Kdf>(serde_json::json!({
                "salt": salt, "memory_kib": memory_kib, "passes": passes, "lanes": lanes,
            }))
        };
        for (memory_kib, passes, lanes) in [(8, 1, 1), (128, 1, 16), (1 << 20, 16, 16)] {
            assert!(header(memory_kib, passes, lanes).is_ok(), "{memory_kib} {passes} {lanes}");
        }
        for (memory_kib, passes, lanes) in [
            (0, 1, 1),
            (7, 1, 1),
            (127, 1, 16),
            ((1 << 20) + 1, 1, 1),
            (u32::MAX, 1, 1),
            (64, 0, 1),
            (64, 17, 1),
            (64, u32::MAX, 1),
            (64, 1, 0),
            (1024, 1, 17),
            (1024, 1, u32::MAX),
        ] {
            assert!(header(memory_kib, passes, lanes).is_err(), "{memory_kib} {passes} {lanes}");
        }
    }
}
