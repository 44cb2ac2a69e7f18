//! Where randomness comes from: an argument, like time.

use std::fmt;

/// The source has nothing to give. The call that needed it fails with `InternalFailure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntropyError;

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no entropy could be had")
    }
}

impl std::error::Error for EntropyError {}

/// Random bytes of two kinds, so that an implementation can draw each from the place that suits it.
pub trait Rng {
    /// Fills `out` with bytes that must stay secret for years: key material and data keys.
    ///
    /// # Errors
    /// [`EntropyError`] when the source fails; `out` is then unspecified.
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError>;

    /// Fills `out` with bytes that everyone may see but nobody may predict or see twice: nonces and identifiers.
    ///
    /// # Errors
    /// [`EntropyError`] when the source fails; `out` is then unspecified.
    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError>;
}
