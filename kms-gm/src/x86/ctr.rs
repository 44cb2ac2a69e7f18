//! Counter blocks (SP 800-38D, section 6.2, inc_32) and what is done with their keystream.

use super::cipher::{Aside, Cipher};
use super::vector::{BLOCK_LEN, Cpu, Vector};
use crate::NONCE_LEN;

/// Counter blocks nonce ‖ n, nonce ‖ n + 1, …, where the last four bytes count modulo 2^32.
pub(crate) struct Counter<C: Cpu> {
    cpu: C,
    /// The next blocks, with the counter as a little-endian number.
    next: C::V,
}

/// Reverses the last word of a block.
const TO_BIG_ENDIAN: [u8; BLOCK_LEN] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 14, 13, 12];

/// A number in the last word of a block, little-endian.
const fn in_last_word(number: u32) -> [u8; BLOCK_LEN] {
    ((number as u128) << 96).to_le_bytes()
}

impl<C: Cpu> Counter<C> {
    /// Begins with the block nonce ‖ `first`.
    #[inline(always)]
    pub(crate) fn new(cpu: C, nonce: &[u8; NONCE_LEN], first: u32) -> Self {
        let mut block = in_last_word(first);
        block[..NONCE_LEN].copy_from_slice(nonce);
        let (block, one) = (cpu.narrow().load(&block), cpu.narrow().load(&in_last_word(1)));
        Self { cpu, next: cpu.pair(block, block.add(one)) }
    }

    #[inline(always)]
    pub(crate) fn take<const N: usize>(&mut self) -> [C::V; N] {
        let step = self.cpu.table(&in_last_word(C::V::BLOCKS as u32));
        let to_big_endian = self.cpu.table(&TO_BIG_ENDIAN);
        let mut blocks = [self.next; N];
        for block in &mut blocks {
            *block = self.next.pick(to_big_endian);
            self.next = self.next.add(step);
        }
        blocks
    }

    /// XORs the keystream of `N` registers to `input`, which is as long, and does `aside` meanwhile.
    #[inline(always)]
    pub(crate) fn apply<const N: usize>(
        &mut self,
        cipher: &impl Cipher<C>,
        input: &[u8],
        output: &mut [u8],
        aside: &mut impl Aside,
    ) {
        let mut blocks: [C::V; N] = self.take();
        cipher.encrypt(self.cpu, &mut blocks, aside);
        let pieces = input.chunks_exact(C::V::LEN).zip(output.chunks_exact_mut(C::V::LEN));
        for (block, (input, output)) in blocks.iter().zip(pieces) {
            block.xor(self.cpu.load(input)).store(output);
        }
    }
}

/// Writes registers one after the other.
#[inline(always)]
pub(crate) fn store<V: Vector>(registers: &[V], place: &mut [u8]) {
    for (register, place) in registers.iter().zip(place.chunks_exact_mut(V::LEN)) {
        register.store(place);
    }
}

/// XORs the beginning of `keystream` to `input`; `output` is as long as `input`.
#[inline(always)]
pub(crate) fn xor<C: Cpu>(cpu: C, input: &[u8], keystream: &[u8], output: &mut [u8]) {
    let whole = input.len() / C::V::LEN * C::V::LEN;
    let (input, input_rest) = input.split_at(whole);
    let (output, output_rest) = output.split_at_mut(whole);
    let (keystream, keystream_rest) = keystream.split_at(whole);
    let pieces = input.chunks_exact(C::V::LEN).zip(output.chunks_exact_mut(C::V::LEN));
    for ((input, output), key) in pieces.zip(keystream.chunks_exact(C::V::LEN)) {
        cpu.load(input).xor(cpu.load(key)).store(output);
    }
    for ((input, output), key) in input_rest.iter().zip(output_rest).zip(keystream_rest) {
        *output = input ^ key;
    }
}
