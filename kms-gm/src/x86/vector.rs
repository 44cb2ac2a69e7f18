//! 128-bit and 256-bit registers as values that only a fitting processor can hold.
//!
//! A [`Cpu`] is a proof: it is made by asking the processor and by nothing else. Registers are made with a
//! proof in hand, so whoever has one may compute with it, and nothing outside this file is unsafe but
//! entering a function that is compiled for the processor.
//!
//! Everything is inlined into such a function; only there the intrinsics become single instructions.

use core::arch::asm;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use zeroize::zeroize_flat_type;

/// Bytes of a cipher block.
pub(crate) const BLOCK_LEN: usize = 16;

/// The knowledge that the processor has what a kind of register needs.
pub(crate) trait Cpu: Copy {
    type V: Vector;

    /// The knowledge about 128-bit registers that is part of this one.
    fn narrow(self) -> AesNi;

    /// Every block the same.
    fn splat(self, block: Block) -> Self::V;

    /// Every 32-bit word the same.
    fn splat_word(self, word: u32) -> Self::V;

    /// The blocks that `bytes` begins with.
    ///
    /// # Panics
    ///
    /// If there are fewer bytes than the register holds.
    fn load(self, bytes: &[u8]) -> Self::V;

    /// `even` in the blocks 0, 2, … and `odd` in the others.
    fn pair(self, even: Block, odd: Block) -> Self::V;

    /// Every block the same table or mask.
    #[inline(always)]
    fn table(self, bytes: &[u8; BLOCK_LEN]) -> Self::V {
        self.splat(self.narrow().load(bytes))
    }

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat_word(0)
    }

    /// Overwrites `place` and, below the caller's frame, as much of the stack as a `Spill` is large.
    fn wipe<S, Spill>(self, place: &mut MaybeUninit<S>);
}

/// Some 128-bit blocks in one register.
pub(crate) trait Vector: Copy {
    /// Blocks in the register.
    const BLOCKS: usize;
    /// Bytes in the register.
    const LEN: usize = Self::BLOCKS * BLOCK_LEN;

    /// Writes to the beginning of `bytes`.
    ///
    /// # Panics
    ///
    /// If there are fewer bytes than the register holds.
    fn store(self, bytes: &mut [u8]);

    /// The first block.
    fn first(self) -> Block;

    /// The last block.
    fn last(self) -> Block;

    /// The sum of all blocks.
    fn fold(self) -> Block;

    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;

    /// Adds 32-bit words, each modulo 2^32.
    fn add(self, other: Self) -> Self;

    /// Shifts each 32-bit word right by four bits.
    fn high_nibbles(self) -> Self;

    /// Bytes `self[at]` of each block; zero where bit 7 of `at` is set. As a table or as a permutation.
    fn pick(self, at: Self) -> Self;

    /// Exchanges the 64-bit halves of each block.
    fn swap(self) -> Self;

    /// The lower (upper) words of two registers in turn: 32-bit ones, then 64-bit ones.
    fn low_words(self, other: Self) -> Self;
    fn high_words(self, other: Self) -> Self;
    fn low_halves(self, other: Self) -> Self;
    fn high_halves(self, other: Self) -> Self;

    /// A round of AES (FIPS 197, section 5.1), and the last one.
    fn aes_round(self, key: Self) -> Self;
    fn aes_last_round(self, key: Self) -> Self;

    /// Eight registers, or three, have these values at this point of the program. Does nothing.
    ///
    /// It keeps the order in which the rounds of several blocks and other work were written. To need fewer
    /// registers, the compiler would encrypt some blocks to their end before it begins with the others, and
    /// the processor would wait for each round.
    fn settle(registers: &mut [Self]);

    /// Carry-less product of a half of `self` (bit 0 of `HALVES`) and a half of `other` (bit 4).
    fn multiply<const HALVES: i32>(self, other: Self) -> Self;
}

/// A processor with AES-NI, PCLMULQDQ and SSSE3.
#[derive(Clone, Copy)]
pub(crate) struct AesNi(());

/// A processor with VAES, VPCLMULQDQ and AVX2 besides.
#[derive(Clone, Copy)]
pub(crate) struct Vaes(());

impl AesNi {
    /// Asks the processor.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq") && is_x86_feature_detected!("ssse3"))
            .then_some(Self(()))
    }
}

impl Vaes {
    /// Asks the processor.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq")
            && is_x86_feature_detected!("avx2")
            && AesNi::detect().is_some())
        .then_some(Self(()))
    }
}

impl From<Vaes> for AesNi {
    fn from(cpu: Vaes) -> Self {
        cpu.narrow()
    }
}

/// One block in a 128-bit register.
#[derive(Clone, Copy)]
pub(crate) struct Block(__m128i);

/// Two blocks in a 256-bit register.
#[derive(Clone, Copy)]
pub(crate) struct Blocks2(__m256i);

/// Calls an intrinsic that works on registers alone.
macro_rules! intrinsic {
    ($($call:tt)*) => {
        // SAFETY: it takes registers or references, and the value (or proof) at hand exists only where
        // the processor has been found to have the instruction.
        unsafe { $($call)* }
    };
}

impl Block {
    /// Moves all bytes towards the end of the block by `BYTES` places; zeros follow.
    #[inline(always)]
    pub(crate) fn shift_up<const BYTES: i32>(self) -> Self {
        Self(intrinsic!(_mm_slli_si128::<BYTES>(self.0)))
    }

    /// The first four bytes.
    #[inline(always)]
    pub(crate) fn word(self) -> u32 {
        intrinsic!(_mm_cvtsi128_si32(self.0)).cast_unsigned()
    }

    /// Twice the 128-bit number, and all bits of each 32-bit word set if its top bit was.
    #[inline(always)]
    pub(crate) fn double(self) -> (Self, Self) {
        let carry = intrinsic!(_mm_srli_epi64::<63>(self.0));
        let carried = intrinsic!(_mm_slli_si128::<8>(carry));
        let doubled = intrinsic!(_mm_or_si128(_mm_add_epi64(self.0, self.0), carried));
        let top = intrinsic!(_mm_shuffle_epi32::<0xff>(_mm_srai_epi32::<31>(self.0)));
        (Self(doubled), Self(top))
    }
}

impl Cpu for AesNi {
    type V = Block;

    #[inline(always)]
    fn narrow(self) -> AesNi {
        self
    }

    #[inline(always)]
    fn splat(self, block: Block) -> Block {
        block
    }

    #[inline(always)]
    fn splat_word(self, word: u32) -> Block {
        Block(intrinsic!(_mm_set1_epi32(word.cast_signed())))
    }

    #[inline(always)]
    fn load(self, bytes: &[u8]) -> Block {
        assert!(bytes.len() >= Block::LEN);
        // SAFETY: the bytes have just been counted; the instruction is as old as x86-64 and takes any address.
        Block(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn pair(self, even: Block, _odd: Block) -> Block {
        even
    }

    #[inline(never)]
    fn wipe<S, Spill>(self, place: &mut MaybeUninit<S>) {
        wipe::<S, Spill>(place);
    }
}

impl Cpu for Vaes {
    type V = Blocks2;

    #[inline(always)]
    fn narrow(self) -> AesNi {
        AesNi(())
    }

    #[inline(always)]
    fn splat(self, block: Block) -> Blocks2 {
        Blocks2(intrinsic!(_mm256_broadcastsi128_si256(block.0)))
    }

    #[inline(always)]
    fn splat_word(self, word: u32) -> Blocks2 {
        Blocks2(intrinsic!(_mm256_set1_epi32(word.cast_signed())))
    }

    #[inline(always)]
    fn load(self, bytes: &[u8]) -> Blocks2 {
        assert!(bytes.len() >= Blocks2::LEN);
        // SAFETY: the bytes have just been counted, and the proof at hand is of AVX2; it takes any address.
        Blocks2(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn pair(self, even: Block, odd: Block) -> Blocks2 {
        Blocks2(intrinsic!(_mm256_set_m128i(odd.0, even.0)))
    }

    fn wipe<S, Spill>(self, place: &mut MaybeUninit<S>) {
        /// Compiled for larger registers, which takes half as many stores.
        #[target_feature(enable = "avx2")]
        #[inline(never)]
        fn wide<S, Spill>(place: &mut MaybeUninit<S>) {
            wipe::<S, Spill>(place);
        }
        intrinsic!(wide::<S, Spill>(place));
    }
}

#[inline(always)]
fn wipe<S, Spill>(place: &mut MaybeUninit<S>) {
    let mut spilled = MaybeUninit::<Spill>::uninit();
    // SAFETY: both places are exclusively borrowed, have no destructor and may hold any bytes.
    unsafe {
        zeroize_flat_type(place);
        zeroize_flat_type(&mut spilled);
    }
}

macro_rules! vector {
    ($vector:ident: $blocks:literal blocks, $($method:ident = $instruction:ident),* ;
     $swap:ident, $shift:ident, $multiply:ident, $store:ident, $class:ident of $feature:literal, { $($own:item)* }) => {
        impl Vector for $vector {
            const BLOCKS: usize = $blocks;

            $(
                #[inline(always)]
                fn $method(self, other: Self) -> Self {
                    Self(intrinsic!($instruction(self.0, other.0)))
                }
            )*

            #[inline(always)]
            fn swap(self) -> Self {
                Self(intrinsic!($swap::<0x4e>(self.0)))
            }

            #[inline(always)]
            fn high_nibbles(self) -> Self {
                Self(intrinsic!($shift::<4>(self.0)))
            }

            #[inline(always)]
            fn multiply<const HALVES: i32>(self, other: Self) -> Self {
                Self(intrinsic!($multiply::<HALVES>(self.0, other.0)))
            }

            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                assert!(bytes.len() >= Self::LEN);
                // SAFETY: the bytes have just been counted, the instruction takes any address, and the
                // register exists only where the processor has it.
                unsafe { $store(bytes.as_mut_ptr().cast(), self.0) }
            }

            #[inline(always)]
            fn settle(registers: &mut [Self]) {
                #[target_feature(enable = $feature)]
                #[inline]
                fn eight([a, b, c, d, e, f, g, h]: [&mut $vector; 8]) {
                    // SAFETY: there is no instruction.
                    unsafe {
                        asm!("/* {} {} {} {} {} {} {} {} */",
                            inout($class) a.0, inout($class) b.0, inout($class) c.0, inout($class) d.0,
                            inout($class) e.0, inout($class) f.0, inout($class) g.0, inout($class) h.0,
                            options(nomem, nostack, preserves_flags));
                    }
                }

                #[target_feature(enable = $feature)]
                #[inline]
                fn three([a, b, c]: [&mut $vector; 3]) {
                    // SAFETY: as above.
                    unsafe {
                        asm!("/* {} {} {} */", inout($class) a.0, inout($class) b.0, inout($class) c.0,
                            options(nomem, nostack, preserves_flags));
                    }
                }

                match registers {
                    [a, b, c, d, e, f, g, h] => intrinsic!(eight([a, b, c, d, e, f, g, h])),
                    [a, b, c] => intrinsic!(three([a, b, c])),
                    _ => {}
                }
            }

            $($own)*
        }
    };
}

vector!(
    Block: 1 blocks,
    xor = _mm_xor_si128, and = _mm_and_si128, add = _mm_add_epi32, pick = _mm_shuffle_epi8,
    low_words = _mm_unpacklo_epi32, high_words = _mm_unpackhi_epi32,
    low_halves = _mm_unpacklo_epi64, high_halves = _mm_unpackhi_epi64,
    aes_round = _mm_aesenc_si128, aes_last_round = _mm_aesenclast_si128;
    _mm_shuffle_epi32, _mm_srli_epi32, _mm_clmulepi64_si128, _mm_storeu_si128, xmm_reg of "sse2",
    {
        #[inline(always)]
        fn first(self) -> Block {
            self
        }

        #[inline(always)]
        fn last(self) -> Block {
            self
        }

        #[inline(always)]
        fn fold(self) -> Block {
            self
        }
    }
);

vector!(
    Blocks2: 2 blocks,
    xor = _mm256_xor_si256, and = _mm256_and_si256, add = _mm256_add_epi32, pick = _mm256_shuffle_epi8,
    low_words = _mm256_unpacklo_epi32, high_words = _mm256_unpackhi_epi32,
    low_halves = _mm256_unpacklo_epi64, high_halves = _mm256_unpackhi_epi64,
    aes_round = _mm256_aesenc_epi128, aes_last_round = _mm256_aesenclast_epi128;
    _mm256_shuffle_epi32, _mm256_srli_epi32, _mm256_clmulepi64_epi128, _mm256_storeu_si256, ymm_reg of "avx2",
    {
        #[inline(always)]
        fn first(self) -> Block {
            Block(intrinsic!(_mm256_castsi256_si128(self.0)))
        }

        #[inline(always)]
        fn last(self) -> Block {
            Block(intrinsic!(_mm256_extracti128_si256::<1>(self.0)))
        }

        #[inline(always)]
        fn fold(self) -> Block {
            self.first().xor(self.last())
        }
    }
);
