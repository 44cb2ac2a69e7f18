//! GHASH (SP 800-38D, section 6.4) by integer multiplications with holes.
//!
//! Where only every fourth bit of two factors is set, the columns of their product do not carry into one
//! another before the sixteenth bit set, and the lowest bit of each column is the carry-less product's.

use zeroize::Zeroize;

use crate::BLOCK_LEN;

/// Every fourth bit.
const EVERY_FOURTH: u64 = 0x1111_1111_1111_1111;

/// The lower 64 bits of a carry-less product. The upper ones would need holes of four bits: there a column
/// may have sixteen entries.
fn multiply_low(a: u64, b: u64) -> u64 {
    let part = |number: u64, i: usize| number & (EVERY_FOURTH << (i % 4));
    (0..4).fold(0, |product, i| {
        let column = (0..4).fold(0, |column, j| column ^ part(a, j).wrapping_mul(part(b, i + 4 - j)));
        product | part(column, i)
    })
}

/// A carry-less product of 127 bits. The upper half is the lower half of the mirrored factors' product.
fn multiply_wide(a: u64, b: u64) -> u128 {
    let high = multiply_low(a.reverse_bits(), b.reverse_bits()).reverse_bits() >> 1;
    u128::from(high) << 64 | u128::from(multiply_low(a, b))
}

const fn halves(number: u128) -> (u64, u64) {
    (number as u64, (number >> 64) as u64)
}

/// The product in GF(2^128), where bit i is the coefficient of x^i.
pub(super) fn multiply(a: u128, b: u128) -> u128 {
    let ((a0, a1), (b0, b1)) = (halves(a), halves(b));
    let (low, high) = (multiply_wide(a0, b0), multiply_wide(a1, b1));
    let middle = multiply_wide(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    let (low, high) = (low ^ middle << 64, high ^ middle >> 64);
    // x^128 = x^7 + x^2 + x + 1, for the upper half and then for what that pushes over the top.
    let over = high >> 127 ^ high >> 126 ^ high >> 121;
    let folded = high ^ over;
    low ^ folded ^ folded << 1 ^ folded << 2 ^ folded << 7
}

/// A hash key and what has been hashed with it, overwritten on drop.
pub(super) struct Ghash {
    key: u128,
    hash: u128,
}

impl Drop for Ghash {
    fn drop(&mut self) {
        self.key.zeroize();
        self.hash.zeroize();
    }
}

/// GCM's first bit is the constant term.
pub(super) fn polynomial(block: &[u8; BLOCK_LEN]) -> u128 {
    u128::from_be_bytes(*block).reverse_bits()
}

impl Ghash {
    pub(super) fn new(key: &[u8; BLOCK_LEN]) -> Self {
        Self { key: polynomial(key), hash: 0 }
    }

    /// Absorbs `data`, filled up with zeros to whole blocks.
    pub(super) fn absorb(&mut self, data: &[u8]) {
        for piece in data.chunks(BLOCK_LEN) {
            let mut block = [0; BLOCK_LEN];
            block[..piece.len()].copy_from_slice(piece);
            self.hash = multiply(self.hash ^ polynomial(&block), self.key);
        }
    }

    pub(super) fn hash(&self) -> [u8; BLOCK_LEN] {
        self.hash.reverse_bits().to_be_bytes()
    }
}
