//! GHASH (SP 800-38D, section 6.4) by carry-less multiplication.
//!
//! A block is a polynomial over GF(2) whose first bit is the constant term. Read as a little-endian number
//! with its bytes reversed, the constant term is the top bit: everything is mirrored. The product of two
//! mirrored polynomials comes out mirrored and one bit too low, which is mended once by keeping x·H in
//! place of H. Reduction works from the low end, by 64 bits at a time.
//!
//! A run of blocks B1 … Bn is B1·H^n + … + Bn·H: the products are added before one reduction.

use super::cipher::Aside;
use super::vector::{AesNi, BLOCK_LEN, Block, Cpu, Vector};

/// Reverses the bytes of a block.
pub(crate) const REVERSE: [u8; BLOCK_LEN] = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

/// x^128 + x^7 + x^2 + x + 1 mirrored, without its lowest term.
const POLYNOMIAL: [u8; BLOCK_LEN] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc2];

/// The hash key's powers, as far as a message needs them.
pub(crate) struct Powers<C: Cpu, const P: usize> {
    /// The highest power in the first block: H^2, H; H^4, H^3; … with two blocks in a register.
    each: [C::V; P],
}

/// A product of 255 bits in three overlapping parts, at 2^0, 2^64 and 2^128.
struct Product<V> {
    low: V,
    middle: V,
    high: V,
}

impl<V: Vector> Product<V> {
    #[inline(always)]
    fn zero(cpu: impl Cpu<V = V>) -> Self {
        Self { low: cpu.zero(), middle: cpu.zero(), high: cpu.zero() }
    }

    #[inline(always)]
    fn add(&mut self, data: V, power: V) {
        self.low = self.low.xor(data.multiply::<0x00>(power));
        let both = data.xor(data.swap());
        self.middle = self.middle.xor(both.multiply::<0x00>(power.xor(power.swap())));
        self.high = self.high.xor(data.multiply::<0x11>(power));
    }

    #[inline(always)]
    fn settle(&mut self) {
        let mut parts = [self.low, self.middle, self.high];
        V::settle(&mut parts);
        [self.low, self.middle, self.high] = parts;
    }

    #[inline(always)]
    fn reduce(&self, polynomial: V) -> V {
        let middle =
            self.middle.xor(self.low).xor(self.high).xor(self.low.swap()).xor(self.low.multiply::<0x10>(polynomial));
        self.high.xor(middle.swap()).xor(middle.multiply::<0x10>(polynomial))
    }
}

#[inline(always)]
fn multiply<C: Cpu>(cpu: C, a: C::V, b: C::V) -> C::V {
    let mut product = Product::zero(cpu);
    product.add(a, b);
    product.reduce(cpu.table(&POLYNOMIAL))
}

impl<C: Cpu, const P: usize> Powers<C, P> {
    #[inline(always)]
    pub(crate) fn empty(cpu: C) -> Self {
        Self { each: [cpu.zero(); P] }
    }

    /// Computes the powers that `blocks` blocks under one reduction need, out of H as the cipher gives it.
    #[inline(always)]
    pub(crate) fn compute(&mut self, cpu: C, hash_key: Block, blocks: usize) {
        let narrow = cpu.narrow();
        let (doubled, carry) = hash_key.pick(narrow.load(&REVERSE)).double();
        let h = doubled.xor(carry.and(narrow.load(&POLYNOMIAL)));
        self.each[0] = if C::V::BLOCKS == 1 { cpu.splat(h) } else { cpu.pair(multiply(narrow, h, h), h) };
        let mut have = 1;
        while have < P && have * C::V::BLOCKS < blocks {
            let highest = cpu.splat(self.each[have - 1].first());
            for i in 0..have {
                self.each[have + i] = multiply(cpu, self.each[i], highest);
            }
            have *= 2;
        }
    }
}

/// The hash of what has been absorbed, mirrored.
pub(crate) struct Hash(Block);

impl Hash {
    #[inline(always)]
    pub(crate) fn new(cpu: impl Cpu) -> Self {
        Self(cpu.narrow().zero())
    }

    /// The hash as its definition has it.
    #[inline(always)]
    pub(crate) fn bytes(&self, cpu: impl Cpu) -> Block {
        self.0.pick(cpu.narrow().load(&REVERSE))
    }

    /// Absorbs as many registers as there are powers.
    #[inline(always)]
    pub(crate) fn absorb_run<C: Cpu, const P: usize>(&mut self, cpu: C, powers: &Powers<C, P>, run: &[u8]) {
        let mut absorbing = Absorbing::new(cpu, powers, run, self);
        for number in 0..=P {
            absorbing.step(number);
        }
    }

    /// Absorbs blocks, one or more and no more than the powers serve.
    #[inline(always)]
    pub(crate) fn absorb<C: Cpu, const P: usize>(&mut self, cpu: C, powers: &Powers<C, P>, mut blocks: Blocks<'_>) {
        let reverse = cpu.table(&REVERSE);
        let mut product = Product::zero(cpu);
        let count = blocks.count();
        let Some((highest, others)) = powers.each[..count.div_ceil(C::V::BLOCKS)].split_last() else { return };
        // The hash so far is added to the first block.
        let first = blocks.next().xor(self.bytes(cpu));
        // Powers are assigned from the end: what is missing are zeros before the first block.
        let is_whole = count.is_multiple_of(C::V::BLOCKS);
        let data = if is_whole { blocks.register(cpu, first) } else { cpu.pair(cpu.narrow().zero(), first) };
        product.add(data.pick(reverse), *highest);
        for power in others.iter().rev() {
            let even = blocks.next();
            product.add(blocks.register(cpu, even).pick(reverse), *power);
        }
        self.0 = product.reduce(cpu.table(&POLYNOMIAL)).fold();
    }
}

/// Blocks that are to be hashed: parts, each filled up with zeros to whole ones.
pub(crate) struct Blocks<'d> {
    cpu: AesNi,
    parts: [&'d [u8]; 3],
}

impl<'d> Blocks<'d> {
    #[inline(always)]
    pub(crate) fn of(cpu: AesNi, parts: [&'d [u8]; 3]) -> Self {
        Self { cpu, parts }
    }

    #[inline(always)]
    fn count(&self) -> usize {
        self.parts.iter().map(|part| crate::blocks(part)).sum()
    }

    /// The next block. Straight from where it stands: what is copied together first, in other pieces than are read, the
    /// processor has to wait for.
    #[inline(always)]
    fn next(&mut self) -> Block {
        for part in &mut self.parts {
            if let Some((block, rest)) = part.split_first_chunk::<BLOCK_LEN>() {
                *part = rest;
                return self.cpu.load(block);
            }
            if !part.is_empty() {
                let mut block = [0; BLOCK_LEN];
                block[..part.len()].copy_from_slice(part);
                *part = &[];
                return self.cpu.load(&block);
            }
        }
        self.cpu.zero()
    }

    /// A register that begins with `even`; the blocks behind that are the next ones.
    #[inline(always)]
    fn register<C: Cpu>(&mut self, cpu: C, even: Block) -> C::V {
        if C::V::BLOCKS == 1 { cpu.splat(even) } else { cpu.pair(even, self.next()) }
    }
}

/// Absorbing a full run in steps.
pub(crate) struct Absorbing<'a, C: Cpu, const P: usize> {
    cpu: C,
    powers: &'a Powers<C, P>,
    data: &'a [u8],
    product: Product<C::V>,
    hash: &'a mut Hash,
}

impl<'a, C: Cpu, const P: usize> Absorbing<'a, C, P> {
    /// `data` is as many registers as there are powers.
    #[inline(always)]
    pub(crate) fn new(cpu: C, powers: &'a Powers<C, P>, data: &'a [u8], hash: &'a mut Hash) -> Self {
        Self { cpu, powers, data, product: Product::zero(cpu), hash }
    }
}

impl<C: Cpu, const P: usize> Aside for Absorbing<'_, C, P> {
    #[inline(always)]
    fn step(&mut self, number: usize) {
        let cpu = self.cpu;
        if number < P {
            // The last register first: the first one waits for the hash of the run before.
            let i = P - 1 - number;
            let mut data = cpu.load(&self.data[i * C::V::LEN..]).pick(cpu.table(&REVERSE));
            if i == 0 {
                data = data.xor(cpu.pair(self.hash.0, cpu.narrow().zero()));
            }
            self.product.add(data, self.powers.each[number]);
            self.product.settle();
        } else if number == P {
            self.hash.0 = self.product.reduce(cpu.table(&POLYNOMIAL)).fold();
        }
    }
}
