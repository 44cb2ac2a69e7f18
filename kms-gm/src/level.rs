//! Which of the implementations this processor can run.

#[cfg(target_arch = "x86_64")]
use crate::x86::{AesNi, Vaes};

/// An implementation that the processor is known to have the instructions for.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// Two blocks in a 256-bit register.
    #[cfg(target_arch = "x86_64")]
    Vaes(Vaes),
    /// One block in a 128-bit register.
    #[cfg(target_arch = "x86_64")]
    AesNi(AesNi),
    /// Plain integer arithmetic.
    Portable,
}

impl Level {
    /// The fastest. What the processor has is asked once in a process; later this reads a few bits.
    #[inline]
    pub(crate) fn best() -> Self {
        #[cfg(feature = "memcheck")]
        if crate::memcheck::is_portable() {
            return Self::Portable;
        }
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(cpu) = Vaes::detect() {
                return Self::Vaes(cpu);
            }
            if let Some(cpu) = AesNi::detect() {
                return Self::AesNi(cpu);
            }
        }
        Self::Portable
    }

    /// All that this processor can run, so that tests need no other one.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(AesNi::detect().map(Self::AesNi));
            all.extend(Vaes::detect().map(Self::Vaes));
        }
        all
    }
}
