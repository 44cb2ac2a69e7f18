//! Running a piece of a test in a forked child.

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It returned this.
    Exit(u8),
    /// This signal ended it.
    Signal(i32),
}

/// Forks, runs `child` there and tells how it ended.
///
/// The test harness has threads, so `child` must neither print nor panic, and should allocate as little
/// as it can.
pub(crate) fn in_child(child: impl FnOnce() -> u8) -> Ending {
    // SAFETY: the child runs `child` under the rules above and leaves by `_exit`: no destructor, no test
    // harness, no lock that another thread may have held.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let code = child();
        // SAFETY: ends this process without running anything of its parent's.
        unsafe { libc::_exit(i32::from(code)) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours; `pid` is our child and is waited for once.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        return Ending::Signal(libc::WTERMSIG(status));
    }
    assert!(libc::WIFEXITED(status), "a child that was waited for has ended");
    Ending::Exit(u8::try_from(libc::WEXITSTATUS(status)).expect("an exit status is a byte"))
}
