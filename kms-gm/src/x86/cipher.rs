//! What GCM asks of a block cipher that runs in vector registers.

use super::vector::Cpu;

/// A key schedule in a place of its own, filled by [`start`](Self::start).
///
/// It has no secrets-clearing destructor: whoever owns the place overwrites it with all else.
pub(crate) trait Cipher<C: Cpu>: Sized {
    /// A key as the caller has it.
    type Key;

    /// Whether it needs many registers at work to be fast.
    const WIDE: bool;

    /// As many bytes of the stack as sealing or opening a short message (another one) uses in an optimised
    /// build: the frame, 87 bytes for saved registers and alignment, rounded up. Round keys and powers may be
    /// spilled there.
    type ShortSpill;
    type LongSpill;

    /// A place that holds no key yet.
    fn empty(cpu: C) -> Self;

    /// Expands `key` and encrypts the first blocks of a message with it.
    ///
    /// Together, because a key schedule is one long chain of dependent steps and leaves the processor room
    /// for something else.
    fn start<const N: usize>(&mut self, cpu: C, key: &Self::Key, blocks: &mut [C::V; N]);

    /// Encrypts blocks side by side and does `aside` between the rounds.
    fn encrypt<const N: usize>(&self, cpu: C, blocks: &mut [C::V; N], aside: &mut impl Aside);
}

/// Work that is done in steps between the rounds of a cipher, to fill its waiting times.
pub(crate) trait Aside {
    /// Step `number`, called for the numbers from zero to eight at least, in turn.
    fn step(&mut self, number: usize);
}

/// Nothing to do between the rounds.
pub(crate) struct Nothing;

impl Aside for Nothing {
    #[inline(always)]
    fn step(&mut self, _: usize) {}
}
