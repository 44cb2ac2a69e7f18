//! A disk that is soon full.
//!
//! It is a small tmpfs, which takes the right to mount one: run the tests that use it as root, or in a container of your
//! own (`unshare --user --map-root-user --mount`). Without that right they fail rather than pass untested.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system of a few mebibytes, unmounted when dropped.
pub(crate) struct SmallDisk {
    mount: TempDir,
}

impl SmallDisk {
    pub(crate) fn new(kibibytes: u32) -> Self {
        let mount = tempfile::tempdir().unwrap();
        let size = format!("size={kibibytes}k,mode=0700");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(mount.path())
            .output()
            .expect("the program `mount` is needed to test a full disk");
        assert!(
            output.status.success(),
            "cannot mount a tmpfs, which it takes to test a full disk: run this test as root, or under \
             `unshare --user --map-root-user --mount`. mount says: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self { mount }
    }

    pub(crate) fn path(&self) -> &Path {
        self.mount.path()
    }

    /// Fills what is left, as somebody else would, except for `left` bytes.
    pub(crate) fn fill_except(&self, left: u64) -> Filler {
        let path = self.mount.path().join("somebody-else's");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(left)).unwrap();
        Filler { path }
    }
}

/// Somebody else's file on a [`SmallDisk`].
pub(crate) struct Filler {
    path: PathBuf,
}

impl Filler {
    /// Makes space.
    pub(crate) fn remove(self) {
        // A test that runs beside this one may just have started a program, which has our descriptors until it comes to
        // its exec. A file that is only unlinked would keep its blocks for so long.
        File::options().write(true).open(&self.path).unwrap().set_len(0).unwrap();
        fs::remove_file(&self.path).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that a failed test that still has files open leaves no mount behind.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.mount.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "cannot unmount {:?}", self.mount.path());
    }
}
