//! Where something is decided by a secret, and everybody may know the decision.

/// Whether a mask is not zero. Who asks has made sure that the answer tells nothing else of the secrets behind it.
#[inline(always)]
pub(crate) fn reveal(mask: u64) -> bool {
    #[cfg(feature = "memcheck")]
    let mask = {
        let mut bytes = mask.to_ne_bytes();
        crate::memcheck::set_public(&mut bytes);
        u64::from_ne_bytes(core::hint::black_box(bytes))
    };
    mask != 0
}
