//! SM4 (GB/T 32907) by the instructions for AES.
//!
//! The last round of AES with a key of zero is AES's S-box (and a shift of rows, which a byte permutation
//! undoes). SM4's S-box is the same inversion between other linear maps, and a linear map of bytes is two
//! table look-ups by nibbles in a register: constant time.
//!
//! The map before the inversion costs nothing: it commutes with everything around it (XOR), so the whole
//! state is kept in its image, M·X in place of X, and so are the round keys. The map after it merges with
//! the linear transformation L. With B the S-box's output, every output byte of L is
//!
//! ```text
//! L(B)_i = U(B_i + B_(i+1) + B_(i+2)) + V(B_i + B_(i+3)),   U = rotation by 2,   V = identity + shift by 6 down
//! ```
//!
//! counting bytes from the most significant one, cyclically: two look-ups and four permutations.
//!
//! A register holds the same word of four blocks, or of four and four.

use core::hint::black_box;

use super::cipher::{Aside, Cipher, Nothing};
use super::vector::{AesNi, BLOCK_LEN, Block, Cpu, Vector};
use crate::linear::{
    AES_CONSTANT, AES_MATRIX, Map, SM4_CONSTANT, SM4_MATRIX, SM4_TO_AES, apply, compose, inverse, shift, sum,
};
use crate::sm4::{FIXED, ROUNDS, SYSTEM};

/// Registers that hold a group of blocks, a word of each block in each.
const WORDS: usize = 4;

/// M: from a byte of SM4's state to what AES inverts, but for a constant.
const BEFORE: Map = compose(&SM4_TO_AES, &SM4_MATRIX);

/// What M is followed by: the constant that SM4 adds before its inversion. Round keys carry it.
const BEFORE_CONSTANT: u8 = apply(&SM4_TO_AES, SM4_CONSTANT);

/// From the output of AES's S-box to that of SM4's, but for a constant.
const AFTER: Map = compose(&SM4_MATRIX, &compose(&inverse(&SM4_TO_AES), &inverse(&AES_MATRIX)));
const AFTER_CONSTANT: u8 = apply(&AFTER, AES_CONSTANT) ^ SM4_CONSTANT;

const IDENTITY: Map = shift(0);
const ROTATED: Map = sum(&shift(2), &shift(-6));

/// A linear map and a constant as two tables, for the lower and the upper nibble.
type Tables = [[u8; BLOCK_LEN]; 2];

const fn tables(map: &Map, constant: u8) -> Tables {
    let (mut tables, mut nibble) = ([[0; BLOCK_LEN]; 2], 0);
    while nibble < BLOCK_LEN {
        tables[0][nibble] = apply(map, nibble as u8) ^ constant;
        tables[1][nibble] = apply(map, (nibble as u8) << 4);
        nibble += 1;
    }
    tables
}

/// M ∘ `linear` ∘ the S-box's end.
const fn through(linear: &Map) -> Tables {
    let map = compose(&BEFORE, linear);
    tables(&compose(&map, &AFTER), apply(&map, AFTER_CONSTANT))
}

/// In place of each byte the one `after` places later in its word, where AES has shifted the rows before.
const fn permutation(after: usize) -> [u8; BLOCK_LEN] {
    let (mut permutation, mut i) = ([0; BLOCK_LEN], 0);
    while i < BLOCK_LEN {
        let (column, row) = (i / 4, (i + after) % 4);
        permutation[i] = (4 * ((column + 4 - row) % 4) + row) as u8;
        i += 1;
    }
    permutation
}

/// All tables and permutations in one place.
struct Constants {
    into_image: Tables,
    out_of_image: Tables,
    u: Tables,
    v: Tables,
    key: [Tables; 4],
    permutations: [[u8; BLOCK_LEN]; 4],
}

impl Constants {
    const KNOWN: Constants = Constants {
        into_image: tables(&BEFORE, 0),
        out_of_image: tables(&inverse(&BEFORE), 0),
        u: through(&ROTATED),
        v: through(&sum(&IDENTITY, &shift(-6))),
        key: [through(&IDENTITY), through(&shift(5)), through(&sum(&shift(-3), &shift(7))), through(&shift(-1))],
        permutations: [permutation(0), permutation(1), permutation(2), permutation(3)],
    };

    /// The constants, unknown to the optimiser. Where it knows them it moves a permutation before the sum
    /// of two look-ups, which makes two of it; the key schedule has no place left for that.
    #[inline(always)]
    fn hidden() -> &'static Self {
        static CONSTANTS: Constants = Constants::KNOWN;
        black_box(&CONSTANTS)
    }
}

/// Two look-up tables in registers.
#[derive(Clone, Copy)]
struct Lookup<V> {
    low: V,
    high: V,
}

impl<V: Vector> Lookup<V> {
    #[inline(always)]
    fn new(cpu: impl Cpu<V = V>, tables: &Tables) -> Self {
        Self { low: cpu.table(&tables[0]), high: cpu.table(&tables[1]) }
    }

    #[inline(always)]
    fn look_up(&self, nibbles: &Nibbles<V>) -> V {
        self.low.pick(nibbles.low).xor(self.high.pick(nibbles.high))
    }
}

struct Nibbles<V> {
    low: V,
    high: V,
}

impl<V: Vector> Nibbles<V> {
    #[inline(always)]
    fn of(bytes: V, mask: V) -> Self {
        Self { low: bytes.and(mask), high: bytes.high_nibbles().and(mask) }
    }
}

/// The S-box's inversion and the linear transformation after it.
struct Transformation<V> {
    zero: V,
    mask: V,
    u: Lookup<V>,
    v: Lookup<V>,
    permutations: [V; 4],
}

impl<V: Vector> Transformation<V> {
    #[inline(always)]
    fn new(cpu: impl Cpu<V = V>, constants: &Constants) -> Self {
        let [p0, p1, p2, p3] = &constants.permutations;
        Self {
            zero: cpu.zero(),
            mask: cpu.splat_word(0x0f0f_0f0f),
            u: Lookup::new(cpu, &constants.u),
            v: Lookup::new(cpu, &constants.v),
            permutations: [cpu.table(p0), cpu.table(p1), cpu.table(p2), cpu.table(p3)],
        }
    }

    #[inline(always)]
    fn apply(&self, sum: V) -> V {
        let inverted = Nibbles::of(sum.aes_last_round(self.zero), self.mask);
        let (u, v) = (self.u.look_up(&inverted), self.v.look_up(&inverted));
        let [p0, p1, p2, p3] = self.permutations;
        (u.xor(v).pick(p0).xor(v.pick(p3))).xor(u.pick(p1).xor(u.pick(p2)))
    }
}

/// Exchanges rows and columns: four words of four blocks and four blocks of four words.
#[inline(always)]
fn transposed<V: Vector>([a, b, c, d]: [V; WORDS]) -> [V; WORDS] {
    let (ab, cd) = (a.low_words(b), c.low_words(d));
    let (ab2, cd2) = (a.high_words(b), c.high_words(d));
    [ab.low_halves(cd), ab.high_halves(cd), ab2.low_halves(cd2), ab2.high_halves(cd2)]
}

/// The state of one group of blocks in the image of M.
#[derive(Clone, Copy)]
struct State<V>([V; WORDS]);

impl<V: Vector> State<V> {
    #[inline(always)]
    fn new(cpu: impl Cpu<V = V>, constants: &Constants, blocks: [V; WORDS]) -> Self {
        let mut words = transposed(blocks);
        Self::map(cpu, &mut words, &constants.into_image);
        Self(words)
    }

    #[inline(always)]
    fn finish(self, cpu: impl Cpu<V = V>, constants: &Constants) -> [V; WORDS] {
        let [x32, x33, x34, x35] = self.0;
        let mut words = [x35, x34, x33, x32];
        Self::map(cpu, &mut words, &constants.out_of_image);
        transposed(words)
    }

    #[inline(always)]
    fn map(cpu: impl Cpu<V = V>, words: &mut [V; WORDS], tables: &Tables) {
        let (lookup, mask) = (Lookup::new(cpu, tables), cpu.splat_word(0x0f0f_0f0f));
        for word in words {
            *word = lookup.look_up(&Nibbles::of(*word, mask));
        }
    }

    /// The round whose first word stands at `at`.
    #[inline(always)]
    fn round<const AT: usize>(&mut self, key: V, transformation: &Transformation<V>) {
        let [x1, x2, x3] = [1, 2, 3].map(|i| self.0[(AT + i) % WORDS]);
        let sum = x1.xor(key).xor(x2.xor(x3));
        self.0[AT] = self.0[AT].xor(transformation.apply(sum));
    }
}

/// The key schedule on its way, each word four times.
struct Schedule {
    words: [Block; WORDS],
    /// What the next round applies the S-box to.
    sum: Block,
    maps: [Lookup<Block>; 4],
    permutations: [Block; 3],
    zero: Block,
    mask: Block,
}

impl Schedule {
    #[inline(always)]
    fn new(cpu: impl Cpu, constants: &Constants, key: &[u8; BLOCK_LEN]) -> Self {
        let cpu = cpu.narrow();
        let mask = cpu.splat_word(0x0f0f_0f0f);
        let key = cpu.load(key).xor(cpu.load(&SYSTEM));
        let key = Lookup::new(cpu, &constants.into_image).look_up(&Nibbles::of(key, mask));
        let [_, p1, p2, p3] = &constants.permutations;
        let words = transposed([key; WORDS]);
        Self {
            words,
            sum: words[1].xor(words[2]).xor(words[3]).xor(cpu.splat_word(FIXED_WORDS[0])),
            maps: [
                Lookup::new(cpu, &constants.key[0]),
                Lookup::new(cpu, &constants.key[1]),
                Lookup::new(cpu, &constants.key[2]),
                Lookup::new(cpu, &constants.key[3]),
            ],
            permutations: [cpu.load(p1), cpu.load(p2), cpu.load(p3)],
            zero: cpu.zero(),
            mask,
        }
    }

    /// The round key whose predecessor by four stands at `at`, with the constant that the S-box begins with.
    #[inline(always)]
    fn next(&mut self, cpu: impl Cpu, at: usize, next_fixed: u32) -> Block {
        let cpu = cpu.narrow();
        let [before, k2, k3] = [0, 2, 3].map(|i| self.words[(at + i) % WORDS]);
        let inverted = Nibbles::of(self.sum.aes_last_round(self.zero), self.mask);
        // The columns are equal, so that AES's shift of rows moves nothing, and any column will do.
        let [m0, m1, m2, m3] = &self.maps;
        let [p1, p2, p3] = self.permutations;
        let a = m0.look_up(&inverted).xor(m1.look_up(&inverted).pick(p1));
        let b = m2.look_up(&inverted).pick(p2).xor(m3.look_up(&inverted).pick(p3));
        let change = a.xor(b);
        // Not out of the new word: every step of this chain is waited for.
        self.sum = k2.xor(k3).xor(cpu.splat_word(next_fixed)).xor(before).xor(change);
        self.words[at] = before.xor(change);
        self.words[at].xor(cpu.splat_word(CONSTANT_WORD))
    }
}

const CONSTANT_WORD: u32 = u32::from_le_bytes([BEFORE_CONSTANT; 4]);

/// The fixed parameters in the image of M, with the constant that the S-box begins with; a zero in the end.
const FIXED_WORDS: [u32; ROUNDS + 1] = {
    let (mut words, mut i) = ([0; ROUNDS + 1], 0);
    while i < ROUNDS {
        let [a, b, c, d] = FIXED[i];
        words[i] = CONSTANT_WORD
            ^ u32::from_le_bytes([apply(&BEFORE, a), apply(&BEFORE, b), apply(&BEFORE, c), apply(&BEFORE, d)]);
        i += 1;
    }
    words
};

/// The round keys of SM4 in the image of M, each with the constant that the S-box begins with.
pub(crate) struct Sm4([u32; ROUNDS]);

impl<C: Cpu> Cipher<C> for Sm4 {
    const WIDE: bool = true;
    type Key = [u8; BLOCK_LEN];
    type ShortSpill = [u8; 1280];
    type LongSpill = [u8; 1792];

    #[inline(always)]
    fn empty(_: C) -> Self {
        Self([0; ROUNDS])
    }

    #[inline(always)]
    fn start<const N: usize>(&mut self, cpu: C, key: &[u8; BLOCK_LEN], blocks: &mut [C::V; N]) {
        let constants = Constants::hidden();
        let transformation = Transformation::new(cpu, constants);
        let mut schedule = Schedule::new(cpu, constants, key);
        let mut states = load(cpu, constants, blocks);
        for (keys, fixed) in self.0.chunks_exact_mut(WORDS).zip(FIXED_WORDS[1..].chunks_exact(WORDS)) {
            // Written out, so that the newest word of a state stays in its register.
            macro_rules! round {
                ($at:literal) => {
                    let key = schedule.next(cpu, $at, fixed[$at]);
                    keys[$at] = key.word();
                    let key = cpu.splat(key);
                    for state in &mut states[..N / WORDS] {
                        state.round::<$at>(key, &transformation);
                    }
                };
            }
            round!(0);
            round!(1);
            round!(2);
            round!(3);
        }
        save(cpu, constants, &states, blocks);
    }

    #[inline(always)]
    fn encrypt<const N: usize>(&self, cpu: C, blocks: &mut [C::V; N], aside: &mut impl Aside) {
        let constants = &Constants::KNOWN;
        let transformation = Transformation::new(cpu, constants);
        let mut states = load(cpu, constants, blocks);
        for keys in self.0.chunks_exact(WORDS) {
            macro_rules! round {
                ($at:literal) => {
                    let key = cpu.splat_word(keys[$at]);
                    for state in &mut states[..N / WORDS] {
                        state.round::<$at>(key, &transformation);
                    }
                };
            }
            round!(0);
            round!(1);
            round!(2);
            round!(3);
        }
        for i in 0..9 {
            aside.step(i);
        }
        save(cpu, constants, &states, blocks);
    }
}

/// Most groups of blocks that are encrypted at a time.
const MOST: usize = 4;

#[inline(always)]
fn load<C: Cpu, const N: usize>(cpu: C, constants: &Constants, blocks: &[C::V; N]) -> [State<C::V>; MOST] {
    let mut states = [State([cpu.zero(); WORDS]); MOST];
    for i in 0..N / WORDS {
        states[i] =
            State::new(cpu, constants, [blocks[4 * i], blocks[4 * i + 1], blocks[4 * i + 2], blocks[4 * i + 3]]);
    }
    states
}

#[inline(always)]
fn save<C: Cpu, const N: usize>(cpu: C, constants: &Constants, states: &[State<C::V>; MOST], blocks: &mut [C::V; N]) {
    for i in 0..N / WORDS {
        blocks[4 * i..4 * i + 4].copy_from_slice(&states[i].finish(cpu, constants));
    }
}

impl Sm4 {
    /// Expands a key outside of any message.
    pub(crate) fn new(cpu: AesNi, key: &[u8; BLOCK_LEN]) -> Self {
        #[target_feature(enable = "aes,pclmulqdq,ssse3")]
        fn new(cpu: AesNi, key: &[u8; BLOCK_LEN]) -> Sm4 {
            let mut keys = Sm4([0; ROUNDS]);
            keys.start::<0>(cpu, key, &mut []);
            keys
        }
        // SAFETY: `cpu` is the proof that the processor has these features.
        unsafe { new(cpu, key) }
    }

    /// Encrypts one block.
    pub(crate) fn encrypt_block(&self, cpu: AesNi, block: &mut [u8; BLOCK_LEN]) {
        #[target_feature(enable = "aes,pclmulqdq,ssse3")]
        fn encrypt(keys: &Sm4, cpu: AesNi, block: &mut [u8; BLOCK_LEN]) {
            let mut blocks = [cpu.load(block); WORDS];
            keys.encrypt(cpu, &mut blocks, &mut Nothing);
            blocks[0].store(block);
        }
        // SAFETY: `cpu` is the proof that the processor has these features.
        unsafe { encrypt(self, cpu, block) }
    }
}

/// The S-box of one byte as the rounds compute it.
///
/// Where all four bytes of a word are the same byte B, L rotates it by two bits: the other terms cancel.
#[cfg(test)]
pub(super) fn s_box<C: Cpu>(cpu: C, byte: u8) -> u8 {
    let constants = Constants::hidden();
    let sum = cpu.splat_word(u32::from_le_bytes([apply(&BEFORE, byte) ^ BEFORE_CONSTANT; 4]));
    let out = Transformation::new(cpu, constants).apply(sum).first().word().to_le_bytes();
    assert_eq!(out, [out[0]; 4]);
    apply(&inverse(&BEFORE), out[0]).rotate_right(2)
}

/// The first round keys as they stand in memory.
#[cfg(test)]
pub(super) fn first_round_keys(cpu: AesNi, key: &[u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    let Sm4([a, b, c, d, ..]) = Sm4::new(cpu, key);
    let mut bytes = [0; BLOCK_LEN];
    for (place, word) in bytes.chunks_exact_mut(4).zip([a, b, c, d]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
