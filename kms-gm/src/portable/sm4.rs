//! SM4 (GB/T 32907), sixteen blocks at a time.
//!
//! The S-box is computed on 64 bytes at once, which are held as eight 64-bit numbers: one for the lowest
//! bits of all bytes, one for the next, and so on. The inversion in a field of 256 elements is done in a
//! tower of fields, where it comes down to a few dozen ANDs and XORs of such numbers.

use crate::BLOCK_LEN;
use crate::linear::{Map, SM4_CONSTANT, SM4_MATRIX, SM4_TO_TOWER, apply, compose, inverse};
use crate::sm4::{FIXED, ROUNDS, SYSTEM};

/// Blocks that are encrypted at a time.
pub(super) const BATCH: usize = 16;

const BEFORE: Map = compose(&SM4_TO_TOWER, &SM4_MATRIX);
const BEFORE_CONSTANT: u8 = apply(&SM4_TO_TOWER, SM4_CONSTANT);
const AFTER: Map = compose(&SM4_MATRIX, &inverse(&SM4_TO_TOWER));

/// A bit of 64 bytes.
type Bits = u64;

/// Elements of the fields of 4, 16 and 256, low coefficient first; see [`crate::linear`].
type Four = [Bits; 2];
type Sixteen = [Four; 2];

fn add4(a: Four, b: Four) -> Four {
    [a[0] ^ b[0], a[1] ^ b[1]]
}

fn multiply4(a: Four, b: Four) -> Four {
    let low = a[0] & b[0];
    [low ^ a[1] & b[1], (a[0] ^ a[1]) & (b[0] ^ b[1]) ^ low]
}

/// The square, which is the inverse too.
fn square4([a0, a1]: Four) -> Four {
    [a0 ^ a1, a1]
}

/// The product with w.
fn by_w([a0, a1]: Four) -> Four {
    [a1, a0 ^ a1]
}

fn add16(a: Sixteen, b: Sixteen) -> Sixteen {
    [add4(a[0], b[0]), add4(a[1], b[1])]
}

fn multiply16(a: Sixteen, b: Sixteen) -> Sixteen {
    let low = multiply4(a[0], b[0]);
    let both = multiply4(add4(a[0], a[1]), add4(b[0], b[1]));
    [add4(low, by_w(multiply4(a[1], b[1]))), add4(both, low)]
}

fn square16([a0, a1]: Sixteen) -> Sixteen {
    let top = square4(a1);
    [add4(square4(a0), by_w(top)), top]
}

/// The product with λ = w·x.
fn by_lambda([a0, a1]: Sixteen) -> Sixteen {
    let top = by_w(a1);
    [by_w(top), add4(by_w(a0), top)]
}

/// With the conjugate a0 + a1 + a1·x, times which the element is its norm a0² + a0·a1 + w·a1², in GF(4).
fn invert16([a0, a1]: Sixteen) -> Sixteen {
    let norm = add4(add4(square4(a0), multiply4(a0, a1)), by_w(square4(a1)));
    let inverse = square4(norm);
    [multiply4(add4(a0, a1), inverse), multiply4(a1, inverse)]
}

/// The same one field higher.
fn invert256([a0, a1]: [Sixteen; 2]) -> [Sixteen; 2] {
    let norm = add16(add16(square16(a0), multiply16(a0, a1)), by_lambda(square16(a1)));
    let inverse = invert16(norm);
    [multiply16(add16(a0, a1), inverse), multiply16(a1, inverse)]
}

/// A linear map and then a constant, which are public.
#[inline(always)]
fn affine(map: &Map, constant: u8, bits: &[Bits; 8]) -> [Bits; 8] {
    let mut image = [0; 8];
    for (to, out) in image.iter_mut().enumerate() {
        for (from, bit) in bits.iter().enumerate() {
            *out ^= bit & Bits::from(map[from] >> to & 1).wrapping_neg();
        }
        *out ^= Bits::from(constant >> to & 1).wrapping_neg();
    }
    image
}

/// Exchanges bit i of byte b in row j and bit j of byte b in row i.
fn transpose(rows: &mut [Bits; 8]) {
    for (distance, mask) in [(1, 0x5555_5555_5555_5555), (2, 0x3333_3333_3333_3333), (4, 0x0f0f_0f0f_0f0f_0f0f)] {
        for i in (0..8).filter(|i| i & distance == 0) {
            let (low, high) = (rows[i], rows[i + distance]);
            let moved = (low >> distance ^ high) & mask;
            rows[i] = low ^ moved << distance;
            rows[i + distance] = high ^ moved;
        }
    }
}

/// The S-box on every byte.
pub(super) fn substitute(words: &mut [u32; BATCH]) {
    let mut rows = [0; 8];
    for (row, pair) in rows.iter_mut().zip(words.chunks_exact(2)) {
        *row = u64::from(pair[0]) | u64::from(pair[1]) << 32;
    }
    transpose(&mut rows);
    let [b0, b1, b2, b3, b4, b5, b6, b7] = affine(&BEFORE, BEFORE_CONSTANT, &rows);
    let [[[b0, b1], [b2, b3]], [[b4, b5], [b6, b7]]] = invert256([[[b0, b1], [b2, b3]], [[b4, b5], [b6, b7]]]);
    rows = affine(&AFTER, SM4_CONSTANT, &[b0, b1, b2, b3, b4, b5, b6, b7]);
    transpose(&mut rows);
    for (row, pair) in rows.iter().zip(words.chunks_exact_mut(2)) {
        pair.copy_from_slice(&[*row as u32, (*row >> 32) as u32]);
    }
}

/// The round keys of SM4. Whoever owns them overwrites them.
pub(crate) struct Sm4(pub(super) [u32; ROUNDS]);

impl Sm4 {
    /// Expands `key` (section 7.3).
    pub(crate) fn new(key: &[u8; BLOCK_LEN]) -> Self {
        let mut keys = [0; ROUNDS];
        let mut words = big_endian(key);
        words.iter_mut().zip(big_endian(&SYSTEM)).for_each(|(word, system)| *word ^= system);
        for (round, key) in keys.iter_mut().enumerate() {
            let [k0, k1, k2, k3] = words;
            let mut batch = [0; BATCH];
            batch[0] = k1 ^ k2 ^ k3 ^ u32::from_be_bytes(FIXED[round]);
            substitute(&mut batch);
            let b = batch[0];
            *key = k0 ^ b ^ b.rotate_left(13) ^ b.rotate_left(23);
            words = [k1, k2, k3, *key];
        }
        Self(keys)
    }

    /// Encrypts up to sixteen blocks (section 7.1).
    pub(crate) fn encrypt(&self, blocks: &mut [[u8; BLOCK_LEN]]) {
        let mut state = [[0; BATCH]; 4];
        for (i, block) in blocks.iter().enumerate() {
            for (words, word) in state.iter_mut().zip(big_endian(block)) {
                words[i] = word;
            }
        }
        for key in &self.0 {
            let [x0, x1, x2, x3] = state;
            let mut sums = [0; BATCH];
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = x1[i] ^ x2[i] ^ x3[i] ^ key;
            }
            substitute(&mut sums);
            for (sum, x0) in sums.iter_mut().zip(x0) {
                let b = *sum;
                *sum = x0 ^ b ^ b.rotate_left(2) ^ b.rotate_left(10) ^ b.rotate_left(18) ^ b.rotate_left(24);
            }
            state = [x1, x2, x3, sums];
        }
        for (i, block) in blocks.iter_mut().enumerate() {
            for (place, words) in block.chunks_exact_mut(4).zip(state.iter().rev()) {
                place.copy_from_slice(&words[i].to_be_bytes());
            }
        }
    }
}

fn big_endian(block: &[u8; BLOCK_LEN]) -> [u32; 4] {
    let block = u128::from_be_bytes(*block);
    [96, 64, 32, 0].map(|shift| (block >> shift) as u32)
}
