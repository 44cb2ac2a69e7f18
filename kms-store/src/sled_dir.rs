//! The directory of an embedded store: whose it is, who has it open, and what of it is on disk.
//!
//! ```text
//!   KMS-STORE          the marker: format, engine, state, and a revision known to be on disk
//!   KMS-STORE.lock     locked exclusively while a handle is open
//!   KMS-STORE.reserve  space set aside, given back when the disk is full so that the engine can recover
//!   db conf blobs/ snap.*   sled's
//! ```
//!
//! The marker is `new` from before the engine's first file is made until the empty store is on disk, then `ready` for
//! ever. So a directory found in the state `new` never held a commit and may be made again, while under `ready` a
//! database that is missing or empty has lost something and is never taken for a new one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use ring::digest;

use crate::raw::{RawError, Rev};

const MARKER: &str = "KMS-STORE";
const MARKER_TEMP: &str = "KMS-STORE.tmp";
const LOCK: &str = "KMS-STORE.lock";
const RESERVE: &str = "KMS-STORE.reserve";
const FORMAT: &str = "1";
const ENGINE: &str = "sled-0.34";

/// Less than this is not worth a file.
const SMALLEST_RESERVE: u64 = 64 << 10;

/// How far the making of the store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The engine's files may be absent or incomplete; nothing was ever committed.
    New,
    /// The store is complete. At this revision or a later one it is on disk.
    Ready(Rev),
}

/// The directory of a store, held under an exclusive lock.
#[derive(Debug)]
pub(crate) struct StoreDir {
    path: PathBuf,
    /// Keeps the lock; the system releases it however the process ends.
    lock: File,
    /// The process that took the lock.
    owner: u32,
}

impl Drop for StoreDir {
    fn drop(&mut self) {
        // Closing the descriptor would do, were it not for a copy of it in a child that some other thread has just forked
        // and that has not come to its exec. In such a child, in turn, the lock is the parent's.
        if !self.is_inherited() {
            let _ = self.lock.unlock();
        }
    }
}

impl StoreDir {
    /// Takes possession of the store at `path`, making the directory if nothing stands there.
    ///
    /// # Errors
    /// [`RawError::Locked`], [`RawError::Foreign`], [`RawError::Corrupt`] for a damaged marker, [`RawError::Full`] and
    /// [`RawError::Io`].
    pub(crate) fn enter(path: &Path) -> Result<(Self, State), RawError> {
        let made = make_directory(path)?;
        // Nothing is written into a directory before it is known to be ours or empty.
        let known = is_store(path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK));
        let lock = lock.map_err(from_io)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => RawError::Locked,
            TryLockError::Error(error) => from_io(error),
        })?;
        let dir = Self { path: path.to_owned(), lock, owner: process::id() };
        // Another process may have made the store between the look and the lock.
        if known || is_store(path)? {
            let state = dir.read_marker()?;
            return Ok((dir, state));
        }
        if !made {
            // The administrator of a directory that is not ours has chosen its mode, and it may well be a sensible one.
            match fs::set_permissions(path, Permissions::from_mode(0o700)) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(from_io(error)),
                _ => {}
            }
        }
        dir.sync_parent().map_err(from_io)?;
        dir.write_marker(State::New).map_err(from_io)?;
        Ok((dir, State::New))
    }

    /// Whether this is the copy that a forked child has of its parent's store.
    pub(crate) fn is_inherited(&self) -> bool {
        process::id() != self.owner
    }

    /// Where the store is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database file for syncing. It is done before the engine writes its first byte and the descriptor is
    /// kept, because a descriptor learns only of those write-back errors that happen after it was opened.
    pub(crate) fn open_database(&self, state: State) -> Result<File, RawError> {
        let path = self.path.join("db");
        let file = match state {
            State::New => OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path),
            State::Ready(_) => {
                // The engine would make a missing file and go on with an empty database.
                self.require("conf")?;
                self.require("db")?;
                File::open(&path)
            }
        };
        file.map_err(from_io)
    }

    fn require(&self, name: &str) -> Result<(), RawError> {
        match fs::metadata(self.path.join(name)) {
            Ok(found) if found.len() > 0 => Ok(()),
            Ok(_) => Err(RawError::Corrupt(format!("its file {name} is empty"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(RawError::Corrupt(format!("its file {name} is missing")))
            }
            Err(error) => Err(from_io(error)),
        }
    }

    /// Removes what an interrupted creation left of the engine's files. Only for [`State::New`].
    pub(crate) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == "blobs" {
                fs::remove_dir_all(entry.path())?;
            } else if name == "db" || name == "conf" || name.as_encoded_bytes().starts_with(b"snap.") {
                fs::remove_file(entry.path())?;
            }
        }
        self.sync_directory()
    }

    /// Removes tables of pages that sled did not finish writing. It writes them under such a name and renames them when
    /// they are on disk; but one that a crash or a full disk has left unfinished it takes for the newest when it starts
    /// next, and for a damaged one. The finished one before it still stands.
    pub(crate) fn discard_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(b"snap.") && name.ends_with(b".generating") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Brings the names and the small files of the engine to disk. The engine itself never does.
    pub(crate) fn sync_files(&self) -> io::Result<()> {
        File::open(self.path.join("conf"))?.sync_all()?;
        File::open(self.path.join("blobs"))?.sync_all()?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn sync_parent(&self) -> io::Result<()> {
        match self.path.canonicalize()?.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Replaces the marker: after a crash at any instant the old one stands there whole, or the new one.
    pub(crate) fn write_marker(&self, state: State) -> io::Result<()> {
        let temp = self.path.join(MARKER_TEMP);
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temp)?;
        file.write_all(marker_text(state).as_bytes())?;
        file.sync_all()?;
        fs::rename(&temp, self.path.join(MARKER))?;
        self.sync_directory()
    }

    fn read_marker(&self) -> Result<State, RawError> {
        let bytes = fs::read(self.path.join(MARKER)).map_err(from_io)?;
        parse_marker(&bytes)
    }

    /// Sets aside at least `wanted` bytes of disk space, and while it does so proves that another `margin` bytes are
    /// free. The margin keeps a disk that is full to the brim from looking usable for the one commit that fills it.
    pub(crate) fn hold_reserve(&self, wanted: u64, margin: u64) -> io::Result<()> {
        let path = self.path.join(RESERVE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        let held = file.metadata()?.len();
        if held >= wanted {
            return Ok(());
        }
        let filled = fill(&file, held, wanted + margin).and_then(|()| file.set_len(wanted));
        match filled.and_then(|()| file.sync_all()) {
            Ok(()) => Ok(()),
            Err(error) => {
                // What could be had of it is given back: others on this disk need it more than half a reserve does us.
                file.set_len(held)?;
                Err(error)
            }
        }
    }

    /// Sets aside what is left of the disk, `wanted` bytes at most, and answers how much that is.
    pub(crate) fn hold_remains(&self, wanted: u64) -> u64 {
        let mut size = wanted;
        while size >= SMALLEST_RESERVE {
            if self.hold_reserve(size, 0).is_ok() {
                return size;
            }
            size /= 2;
        }
        0
    }

    /// Gives the space set aside back.
    pub(crate) fn release_reserve(&self) -> io::Result<()> {
        let path = self.path.join(RESERVE);
        // A child that was forked while the file was being filled has it open, and keeps the blocks of a file without a
        // name for as long as it lives.
        let emptied = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(0));
        match emptied.and_then(|()| fs::remove_file(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes zeros from byte `from` to byte `to`. Blocks must be written to be had: a length alone is a hole.
fn fill(mut file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    file.seek(SeekFrom::Start(from))?;
    let mut left = to - from;
    while left > 0 {
        let piece = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all(&ZEROS[..piece])?;
        left -= piece as u64;
    }
    Ok(())
}

/// Makes the directory, its parents excepted, and tells whether it was absent.
fn make_directory(path: &Path) -> Result<bool, RawError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::metadata(path).map_err(from_io)?.is_dir() {
                Ok(false)
            } else {
                Err(RawError::Foreign("there is no directory but a file".into()))
            }
        }
        Err(error) => Err(from_io(error)),
    }
}

/// Whether a marker stands in the directory; without one it must be empty, or another's.
fn is_store(path: &Path) -> Result<bool, RawError> {
    let mut other = None;
    for entry in fs::read_dir(path).map_err(from_io)? {
        let name = entry.map_err(from_io)?.file_name();
        if name == MARKER {
            return Ok(true);
        }
        // A crash before the first marker was in place leaves these two.
        if name != LOCK && name != MARKER_TEMP {
            other = Some(name);
        }
    }
    match other {
        None => Ok(false),
        Some(name) => Err(RawError::Foreign(format!("the directory holds no {MARKER} file, but {name:?}"))),
    }
}

fn marker_text(state: State) -> String {
    let state = match state {
        State::New => "new".to_owned(),
        State::Ready(rev) => format!("ready {rev}"),
    };
    with_check(&format!("{MARKER} {FORMAT}\nengine {ENGINE}\nstate {state}\n"))
}

/// Appends the line by which a damaged marker is found out. It keeps nobody from making one.
fn with_check(body: &str) -> String {
    let digest = digest::digest(&digest::SHA256, body.as_bytes());
    let check = digest.as_ref().iter().take(8).fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    format!("{body}check {check:016x}\n")
}

fn parse_marker(bytes: &[u8]) -> Result<State, RawError> {
    let damaged = || RawError::Corrupt(format!("its {MARKER} file is damaged"));
    let text = str::from_utf8(bytes).map_err(|_| damaged())?;
    let mut lines = text.lines();
    let mut line = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    // A later format may look otherwise from the second line on, so its number is all that is read of it.
    let format = line(MARKER)
        .ok_or_else(|| RawError::Foreign(format!("its {MARKER} file does not begin with the word {MARKER}")))?;
    if format != FORMAT && !format.is_empty() && format.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RawError::Foreign(format!("format {format} is not known to this version, which knows {FORMAT}")));
    }
    let engine = line("engine").ok_or_else(damaged)?;
    let state = match line("state").ok_or_else(damaged)? {
        "new" => State::New,
        ready => {
            let rev = ready.strip_prefix("ready ").and_then(|rev| rev.parse().ok());
            State::Ready(rev.ok_or_else(damaged)?)
        }
    };
    let body = text.rfind("check ").map(|end| &text[..end]).ok_or_else(damaged)?;
    if text != with_check(body) {
        return Err(damaged());
    }
    if engine != ENGINE {
        return Err(RawError::Foreign(format!("it belongs to the engine {engine}, not {ENGINE}")));
    }
    Ok(state)
}

/// Whether an error says that there is no space left, for the disk or for its user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The error of an operation that has changed nothing.
pub(crate) fn from_io(error: io::Error) -> RawError {
    if is_full(&error) { RawError::Full } else { RawError::Io(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_says_what_was_written() {
        for state in [State::New, State::Ready(0), State::Ready(u64::MAX)] {
            assert_eq!(parse_marker(marker_text(state).as_bytes()).unwrap(), state);
        }
    }

    /// Inverts every bit of a marker in turn: none may be read as a marker, whatever it says.
    #[test]
    fn a_changed_bit_is_noticed() {
        let good = marker_text(State::Ready(81985)).into_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = parse_marker(&bad);
            assert!(matches!(read, Err(RawError::Corrupt(_) | RawError::Foreign(_))), "bit {bit}: {read:?}");
        }
        for length in 0..good.len() {
            let read = parse_marker(&good[..length]);
            assert!(matches!(read, Err(RawError::Corrupt(_) | RawError::Foreign(_))), "{length} bytes: {read:?}");
        }
    }
}
