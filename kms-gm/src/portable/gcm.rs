//! GCM (SP 800-38D) over the portable SM4.

use zeroize::{Zeroize, zeroize_bytes, zeroize_stack};

use super::ghash::Ghash;
use super::sm4::{BATCH, Sm4};
use crate::{BLOCK_LEN, Forged, NONCE_LEN, TAG_LEN, lengths, verify};

/// Blocks of the first batch that are no keystream: the hash key E(0) and the mask of the tag.
const RESERVED: usize = 2;

/// Bytes of stack that a message uses in an optimised build, rounded up.
const SPILL: usize = 2048;

/// Blocks that are encrypted together, overwritten on drop.
struct Batch([[u8; BLOCK_LEN]; BATCH]);

impl Drop for Batch {
    fn drop(&mut self) {
        zeroize_bytes(self.0.as_flattened_mut());
    }
}

/// Overwrites the stack below its owner on every way out.
struct WipeStack;

impl Drop for WipeStack {
    fn drop(&mut self) {
        zeroize_stack::<SPILL>();
    }
}

/// Everything that one message needs of its key.
struct Message<'n> {
    cipher: Sm4,
    nonce: &'n [u8; NONCE_LEN],
    /// E(0), E(nonce ‖ 1), E(nonce ‖ 2), …
    first: Batch,
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        self.cipher.0.zeroize();
    }
}

impl<'n> Message<'n> {
    fn new(key: &[u8; BLOCK_LEN], nonce: &'n [u8; NONCE_LEN]) -> Self {
        let mut message = Self { cipher: Sm4::new(key), nonce, first: Batch([[0; BLOCK_LEN]; BATCH]) };
        count(&mut message.first.0[1..], nonce, 1);
        message.cipher.encrypt(&mut message.first.0);
        message
    }

    /// XORs the keystream to `input` (section 6.5, GCTR from the second counter block on).
    fn apply_keystream(&self, input: &[u8], output: &mut [u8]) {
        const FIRST: usize = (BATCH - RESERVED) * BLOCK_LEN;
        let (input_first, input) = input.split_at(input.len().min(FIRST));
        let (output_first, output) = output.split_at_mut(input_first.len());
        xor(input_first, &self.first.0[RESERVED..], output_first);
        // The first batch ended with the counter BATCH - 1, because H stands in it without one.
        apply_counters(&self.cipher, self.nonce, BATCH as u32, input, output);
    }

    /// The tag over `aad` and `ciphertext` (section 7.1, steps 5 and 6).
    fn tag(&self, aad: &[u8], ciphertext: &[u8]) -> [u8; TAG_LEN] {
        let [hash_key, mask, ..] = &self.first.0;
        let mut hash = Ghash::new(hash_key);
        hash.absorb(aad);
        hash.absorb(ciphertext);
        hash.absorb(&lengths(aad, ciphertext));
        let mut tag = hash.hash();
        tag.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        tag
    }
}

/// XORs the keystream that begins with the block nonce ‖ `counter`.
pub(super) fn apply_counters(cipher: &Sm4, nonce: &[u8; NONCE_LEN], mut counter: u32, input: &[u8], output: &mut [u8]) {
    for (input, output) in input.chunks(BATCH * BLOCK_LEN).zip(output.chunks_mut(BATCH * BLOCK_LEN)) {
        let mut batch = Batch([[0; BLOCK_LEN]; BATCH]);
        let blocks = &mut batch.0[..input.len().div_ceil(BLOCK_LEN)];
        count(blocks, nonce, counter);
        cipher.encrypt(blocks);
        xor(input, blocks, output);
        counter = counter.wrapping_add(BATCH as u32);
    }
}

/// Writes the counter blocks nonce ‖ first, nonce ‖ first + 1, …, counting modulo 2^32.
fn count(blocks: &mut [[u8; BLOCK_LEN]], nonce: &[u8; NONCE_LEN], first: u32) {
    for (block, step) in blocks.iter_mut().zip(0u32..) {
        block[..NONCE_LEN].copy_from_slice(nonce);
        block[NONCE_LEN..].copy_from_slice(&first.wrapping_add(step).to_be_bytes());
    }
}

/// Writes `input` XOR `keystream`; the keystream is at least as long.
fn xor(input: &[u8], keystream: &[[u8; BLOCK_LEN]], output: &mut [u8]) {
    let keystream = keystream.as_flattened();
    for ((out, byte), key) in output.iter_mut().zip(input).zip(keystream) {
        *out = byte ^ key;
    }
}

/// Encrypts and authenticates one message.
pub(crate) fn seal(
    key: &[u8; BLOCK_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN] {
    #[inline(never)]
    fn framed(
        key: &[u8; BLOCK_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let message = Message::new(key, nonce);
        message.apply_keystream(plaintext, ciphertext);
        message.tag(aad, ciphertext)
    }
    let _wipe = WipeStack;
    framed(key, nonce, aad, plaintext, ciphertext)
}

/// Verifies one message and only then decrypts it.
pub(crate) fn open(
    key: &[u8; BLOCK_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), Forged> {
    #[inline(never)]
    fn framed(
        key: &[u8; BLOCK_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Forged> {
        let message = Message::new(key, nonce);
        verify(&message.tag(aad, ciphertext), tag)?;
        message.apply_keystream(ciphertext, plaintext);
        Ok(())
    }
    let _wipe = WipeStack;
    framed(key, nonce, aad, ciphertext, tag, plaintext)
}
