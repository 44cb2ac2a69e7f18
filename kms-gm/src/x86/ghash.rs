//! GHASH (SP 800-38D, section 6.4) by carry-less multiplication.
//!
//! A block is a polynomial over GF(2) whose first bit is the constant term. Read as a little-endian number
//! with its bytes reversed, the constant term is the top bit: everything is mirrored. The product of two
//! mirrored polynomials comes out mirrored and one bit too low, which is mended once by keeping x·H in
//! place of H. Reduction works from the low end, by 64 bits at a time.
//!
//! A run of blocks B1 … Bn is B1·H^n + … + Bn·H: the products are added before one reduction.

use super::cipher::Aside;
use super::vector::{BLOCK_LEN, Block, Cpu, Vector};

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

    /// Moves the hash so far into the block that `data` begins with, where it would be added anyway: before
    /// that block there may then be zeros.
    #[inline(always)]
    pub(crate) fn add_to(&mut self, cpu: impl Cpu, data: &mut [u8]) {
        cpu.narrow().load(data).xor(self.bytes(cpu)).store(data);
        *self = Self::new(cpu);
    }

    /// Absorbs as many registers as there are powers.
    #[inline(always)]
    pub(crate) fn absorb_run<C: Cpu, const P: usize>(&mut self, cpu: C, powers: &Powers<C, P>, run: &[u8]) {
        let mut absorbing = Absorbing::new(cpu, powers, run, self);
        for number in 0..=P {
            absorbing.step(number);
        }
    }

    /// Absorbs whole blocks, no more than the powers serve.
    #[inline(always)]
    pub(crate) fn absorb<C: Cpu, const P: usize>(&mut self, cpu: C, powers: &Powers<C, P>, data: &[u8]) {
        let reverse = cpu.table(&REVERSE);
        let mut product = Product::zero(cpu);
        let count = data.len() / C::V::LEN;
        // The hash so far is added to the first block.
        let mut sum = cpu.pair(self.0, cpu.narrow().zero());
        for (i, piece) in data.chunks_exact(C::V::LEN).enumerate() {
            product.add(cpu.load(piece).pick(reverse).xor(sum), powers.each[count - 1 - i]);
            sum = cpu.zero();
        }
        self.0 = product.reduce(cpu.table(&POLYNOMIAL)).fold();
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
