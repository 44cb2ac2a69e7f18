//! Where something is decided by a secret, and everybody may know the decision.

use crate::curve::limbs::hidden;

/// Whether a mask is not zero. Who asks has made sure that the answer tells nothing else of the secrets behind it.
#[inline(always)]
pub(crate) fn reveal(mask: u64) -> bool {
    #[cfg(feature = "memcheck")]
    let mask = {
        let mut bytes = mask.to_ne_bytes();
        crate::memcheck::set_public(&mut bytes);
        u64::from_ne_bytes(core::hint::black_box(bytes))
    };
    // Hidden, or it would be one branch for each of the secrets that the mask was made of.
    hidden(mask) != 0
}
