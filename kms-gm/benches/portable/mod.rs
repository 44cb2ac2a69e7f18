//! The argument `--portable`.

/// Measures what processors without the instructions run, if the program was called so.
///
/// # Panics
/// If it was, and cannot.
pub(crate) fn if_asked() {
    if std::env::args().any(|argument| argument == "--portable") {
        #[cfg(feature = "memcheck")]
        kms_gm::memcheck::use_portable(true);
        #[cfg(not(feature = "memcheck"))]
        panic!("--portable takes cargo bench --features memcheck");
    }
}
