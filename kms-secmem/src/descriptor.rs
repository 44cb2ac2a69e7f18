//! A second descriptor of a file that other code has open.
//!
//! A library that locks a file with flock(2) and keeps its descriptor to itself leaves its user no way to release the lock
//! but to let the library close the file. A child forked meanwhile has a copy of that descriptor, so the lock outlives the
//! closing for as long as the child lives. A lock belongs to the open file that all copies share: whoever has one more copy
//! can release it for all of them.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;

/// Holds the lock that other code of this process has taken on a file.
#[derive(Debug)]
pub struct ForeignLock {
    /// Our copy.
    copy: File,
    /// The number of theirs.
    theirs: RawFd,
}

impl ForeignLock {
    /// Finds who holds the exclusive lock of `file`, among the other descriptors of this process.
    ///
    /// `None` if nobody in this process does, and where the system does not list a process's descriptors in `/proc`.
    ///
    /// # Errors
    /// The system's, if there is no descriptor left.
    pub fn find(file: &File) -> io::Result<Option<Self>> {
        let wanted = identity(&file.metadata()?);
        let Ok(listed) = fs::read_dir("/proc/self/fd") else { return Ok(None) };
        for entry in listed {
            let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(theirs) = number.filter(|number| *number != file.as_raw_fd()) else { continue };
            if looked_up(theirs) != Some(wanted) {
                continue;
            }
            // Looked at once more when it is ours: the number may have come to mean another file.
            let Some(copy) = duplicate(theirs)? else { continue };
            if identity(&copy.metadata()?) != wanted {
                continue;
            }
            // Of several that have the file open, the holder alone can take the lock that it has.
            match copy.try_lock() {
                Ok(()) => return Ok(Some(Self { copy, theirs })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether they still have their descriptor.
    ///
    /// # Errors
    /// The system's, about the locked file.
    pub fn is_held_by_them(&self) -> io::Result<bool> {
        Ok(looked_up(self.theirs) == Some(identity(&self.copy.metadata()?)))
    }

    /// Releases the lock, whoever else has a copy of the descriptor, in this process or another.
    ///
    /// # Errors
    /// The system's.
    pub fn release(self) -> io::Result<()> {
        self.copy.unlock()
    }
}

/// Which file it is: device and number.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Which file a descriptor stands for, without a copy of it: to close a copy releases every fcntl(2) lock that this
/// process, a database of the host for instance, has on that file.
fn looked_up(number: RawFd) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/self/fd/{number}")).ok().map(|found| identity(&found))
}

/// A descriptor of our own for what `number` stands for; `None` if it stands for nothing.
fn duplicate(number: RawFd) -> io::Result<Option<File>> {
    // SAFETY: takes two integers and touches no memory of ours. Any number is allowed.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::EBADF) { Ok(None) } else { Err(error) };
    }
    // SAFETY: the system has just made this descriptor for us, and nobody else knows of it.
    Ok(Some(File::from(unsafe { OwnedFd::from_raw_fd(copy) })))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::process;

    use super::*;

    /// A file that is gone when it is closed, and its two descriptors.
    fn opened_twice(name: &str) -> (File, File) {
        let path = std::env::temp_dir().join(format!("kms-secmem-{}-{name}", process::id()));
        let first = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let second = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        (first, second)
    }

    #[test]
    fn the_holder_is_found_among_those_who_have_the_file_open() {
        let (holder, bystander) = opened_twice("found");
        let third = duplicate(bystander.as_raw_fd()).unwrap().unwrap();
        assert!(ForeignLock::find(&bystander).unwrap().is_some(), "a copy of the bystander's can take a free lock");
        bystander.unlock().unwrap();
        holder.lock().unwrap();
        let found = ForeignLock::find(&third).unwrap().expect("a holder");
        assert_eq!(found.theirs, holder.as_raw_fd());
        assert!(found.is_held_by_them().unwrap());
        drop(third);
        drop(holder);
        assert!(!found.is_held_by_them().unwrap());
        assert!(matches!(bystander.try_lock(), Err(TryLockError::WouldBlock)), "our copy keeps the lock");
        found.release().unwrap();
        bystander.try_lock().unwrap();
    }

    /// Goal: the lock of a file that was closed here goes although a child has it open, and the child is not disturbed.
    #[test]
    fn a_lock_is_released_in_spite_of_a_child() {
        let (holder, other) = opened_twice("child");
        holder.lock().unwrap();
        let found = ForeignLock::find(&other).unwrap().expect("a holder");
        let (mut waiting, mut end) = io::pipe().unwrap();
        // SAFETY: the child calls nothing but read and _exit, which a child of a threaded process may.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let read = waiting.read(&mut [0]);
            // SAFETY: ends this process without running anything of its parent's.
            unsafe { libc::_exit(i32::from(!matches!(read, Ok(1)))) };
        }
        drop(holder);
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        found.release().unwrap();
        let locked = other.try_lock();
        end.write_all(&[0]).unwrap();
        let mut status = 0;
        // SAFETY: `status` is ours; `child` is our child and is waited for once.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        locked.unwrap();
    }
}
