//! What a table must say of the machine that it was measured on.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The processor, how many of it there are, what of it matters here, and how busy it was in the last minute.
#[must_use]
pub fn description() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name| {
        let line = info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    };
    let flags: Vec<&str> = field("flags").split(' ').collect();
    let wanted = ["aes", "vaes", "vpclmulqdq", "avx2", "avx512f", "sha_ni", "rdrand"];
    let present: Vec<&str> = wanted.into_iter().filter(|flag| flags.contains(flag)).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = load.split(' ').next().unwrap_or("unknown");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (model, family) = (field("model name"), field("cpu family"));
    format!("{model} (family {family}, model {}), {cores} cores; {}; load {busy}", field("model\t"), present.join(" "))
}

/// What programs see of the processor, of all that a library may choose its instructions by: under valgrind less than there is.
#[must_use]
pub fn visible_features() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! visible {
            ($($name:tt)*) => { [$(($name, std::arch::is_x86_feature_detected!($name))),*] };
        }
        let all = visible!(
            "sse4.2" "aes" "pclmulqdq" "avx" "avx2" "fma" "bmi1" "bmi2" "adx" "f16c" "movbe" "rdrand" "rdseed" "sha"
            "vaes" "vpclmulqdq" "gfni" "avx512f"
        );
        all.iter().filter(|(_, there)| *there).fold("x86_64".to_owned(), |told, (name, _)| told + " " + name)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_owned()
    }
}

/// The version of the C library that this program runs with.
#[must_use]
pub fn libc_version() -> String {
    // SAFETY: the function takes nothing and gives a text that stays.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}

/// The processor time that this thread has used.
///
/// # Panics
/// When the system does not tell.
#[must_use]
pub fn thread_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The processor time that all threads of this process have used.
///
/// # Panics
/// When the system does not tell.
#[must_use]
pub fn process_time() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: there is room for the answer.
    let status = unsafe { libc::clock_gettime(id, time.as_mut_ptr()) };
    assert_eq!(status, 0, "every thread and process has a clock");
    // SAFETY: clock_gettime has succeeded and has filled it.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// What a directory stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// tmpfs, whose files are in memory: to sync one costs nothing there.
    Memory,
    /// Another one, by the number that statfs(2) tells.
    Disk(i64),
}

impl FileSystem {
    /// That of a directory.
    ///
    /// # Errors
    /// The system's.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let path = CString::new(directory.as_os_str().as_bytes())?;
        let mut found = MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the path ends with NUL, and there is room for the answer.
        if unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: statfs has succeeded and has filled it.
        let kind = unsafe { found.assume_init() }.f_type;
        Ok(if kind == libc::TMPFS_MAGIC { Self::Memory } else { Self::Disk(kind) })
    }
}
