//! AES (FIPS 197) by the processor's instructions.

use super::cipher::{Aside, Cipher, Nothing};
use super::vector::{BLOCK_LEN, Block, Cpu, Vector};

/// The key schedule of AES with `KEYS` round keys: 11, 13 and 15 for keys of 128, 192 and 256 bits.
pub(crate) struct Aes<const KEYS: usize>([Block; KEYS]);

/// The first byte of the round constant of each use (section 5.2).
const ROUND_CONSTANTS: [u8; 10] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];

/// Four times the second (fourth) word of a block, rotated by a byte or as it is.
const ROTATED_SECOND: [u8; BLOCK_LEN] = four_times([5, 6, 7, 4]);
const ROTATED_FOURTH: [u8; BLOCK_LEN] = four_times([13, 14, 15, 12]);
const FOURTH: [u8; BLOCK_LEN] = four_times([12, 13, 14, 15]);

const fn four_times([a, b, c, d]: [u8; 4]) -> [u8; BLOCK_LEN] {
    [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]
}

/// One word, then the sums of the first two, three and four.
#[inline(always)]
fn running_sums(words: Block) -> Block {
    let pairs = words.xor(words.shift_up::<4>());
    pairs.xor(pairs.shift_up::<8>())
}

/// The next four words: the running sums of those a key length before, each plus S(word) ⊕ constant.
///
/// The last round of AES substitutes bytes, shifts rows and adds a key. Four equal columns are not changed
/// by the shift, so the instruction does all that is left to do.
#[inline(always)]
fn next(before: Block, last: Block, word: Block, constant: Block) -> Block {
    last.pick(word).aes_last_round(running_sums(before).xor(constant))
}

/// How a key of one length is expanded.
pub(crate) trait Expand {
    type Key;

    fn expand(&mut self, cpu: impl Cpu, key: &Self::Key);
}

impl Expand for Aes<11> {
    type Key = [u8; 16];

    #[inline(always)]
    fn expand(&mut self, cpu: impl Cpu, key: &[u8; 16]) {
        let cpu = cpu.narrow();
        let rotated = cpu.load(&ROTATED_FOURTH);
        let mut last = cpu.load(key);
        self.0[0] = last;
        for i in 1..11 {
            last = next(last, last, rotated, cpu.splat_word(ROUND_CONSTANTS[i - 1].into()));
            self.0[i] = last;
        }
    }
}

impl Expand for Aes<13> {
    type Key = [u8; 24];

    #[inline(always)]
    fn expand(&mut self, cpu: impl Cpu, key: &[u8; 24]) {
        let cpu = cpu.narrow();
        let (rotated, fourth) = (cpu.load(&ROTATED_SECOND), cpu.load(&FOURTH));
        // Six words in two registers, of which the second is half full.
        let mut four = cpu.load(key);
        let mut two = cpu.load(&key[8..]).swap();
        self.0[0] = four;
        for i in 0..4 {
            let constant = |i: usize| cpu.splat_word(ROUND_CONSTANTS[i].into());
            let four1 = next(four, two, rotated, constant(2 * i));
            let two1 = two.xor(two.shift_up::<4>()).xor(four1.pick(fourth));
            let four2 = next(four1, two1, rotated, constant(2 * i + 1));
            self.0[3 * i + 1] = two.low_halves(four1);
            self.0[3 * i + 2] = four1.high_halves(two1.swap());
            self.0[3 * i + 3] = four2;
            two = two1.xor(two1.shift_up::<4>()).xor(four2.pick(fourth));
            four = four2;
        }
    }
}

impl Expand for Aes<15> {
    type Key = [u8; 32];

    #[inline(always)]
    fn expand(&mut self, cpu: impl Cpu, key: &[u8; 32]) {
        let cpu = cpu.narrow();
        let (rotated, fourth) = (cpu.load(&ROTATED_FOURTH), cpu.load(&FOURTH));
        let mut before = cpu.load(key);
        let mut last = cpu.load(&key[BLOCK_LEN..]);
        self.0[0] = before;
        self.0[1] = last;
        for i in 1..8 {
            before = next(before, last, rotated, cpu.splat_word(ROUND_CONSTANTS[i - 1].into()));
            self.0[2 * i] = before;
            if i < 7 {
                last = next(last, before, fourth, cpu.zero());
                self.0[2 * i + 1] = last;
            }
        }
    }
}

impl<C: Cpu, const KEYS: usize> Cipher<C> for Aes<KEYS>
where
    Self: Expand,
{
    const WIDE: bool = false;
    type Key = <Self as Expand>::Key;
    type ShortSpill = [u8; 512];
    type LongSpill = [u8; 1408];

    #[inline(always)]
    fn empty(cpu: C) -> Self {
        Self([cpu.narrow().zero(); KEYS])
    }

    #[inline(always)]
    fn start<const N: usize>(&mut self, cpu: C, key: &Self::Key, blocks: &mut [C::V; N]) {
        self.expand(cpu, key);
        self.encrypt(cpu, blocks, &mut Nothing);
    }

    #[inline(always)]
    fn encrypt<const N: usize>(&self, cpu: C, blocks: &mut [C::V; N], aside: &mut impl Aside) {
        let first = cpu.splat(self.0[0]);
        for block in blocks.iter_mut() {
            *block = block.xor(first);
        }
        // Written out, so that each step of the work beside is compiled in its place.
        macro_rules! rounds {
            ($($round:literal)*) => {
                $(if $round < KEYS - 1 {
                    let key = cpu.splat(self.0[$round]);
                    for block in blocks.iter_mut() {
                        *block = block.aes_round(key);
                    }
                    C::V::settle(blocks);
                    aside.step($round - 1);
                })*
            };
        }
        rounds!(1 2 3 4 5 6 7 8 9 10 11 12 13);
        let last = cpu.splat(self.0[KEYS - 1]);
        for block in blocks.iter_mut() {
            *block = block.aes_last_round(last);
        }
    }
}
