//! GCM over any 128-bit block cipher, made for keys that are used once.
//!
//! What GCM needs besides the keystream, the hash key E(0) and the mask of the tag, is enciphered in one
//! batch with the first blocks of keystream, so that a short message waits for the cipher once. The
//! `aes-gcm` crate asks for each in turn and takes 1.2 times as long for 32 bytes.

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use kms_secmem::wiped::with_wiped_stack;
use subtle::ConstantTimeEq;
use zeroize::zeroize_bytes;

use super::super::aead::{OpenError, TAG_LEN};
use super::NONCE_LEN;

/// Bytes of a cipher block.
const BLOCK_LEN: usize = 16;

/// Blocks that are enciphered at a time.
///
/// A few times what a backend keeps in flight (eight with AES-NI): twice as many gain 4 % at 6 KiB, and a
/// short message pays for clearing what it does not use.
const BATCH: usize = 32;

/// Blocks of the first batch that are not keystream: the hash key and the mask of the tag.
const RESERVED: usize = 2;

/// Encrypts `plaintext` to `ciphertext`, which is as long, and returns the tag.
pub(super) fn seal<E>(
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN]
where
    E: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    with_wiped_stack(|| {
        let mut message = Message::<E>::new(key, nonce);
        message.start(plaintext.len());
        message.apply_keystream(plaintext, ciphertext);
        message.tag(aad, ciphertext)
    })
}

/// Verifies `tag` and only then decrypts `ciphertext` to `plaintext`, which is as long.
pub(super) fn open<E>(
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), OpenError>
where
    E: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    with_wiped_stack(|| {
        let mut message = Message::<E>::new(key, nonce);
        message.start(ciphertext.len());
        if !bool::from(message.tag(aad, ciphertext).ct_eq(tag)) {
            return Err(OpenError);
        }
        message.apply_keystream(ciphertext, plaintext);
        Ok(())
    })
}

/// Some blocks of keystream, overwritten on drop.
struct Batch([[u8; BLOCK_LEN]; BATCH]);

impl Batch {
    const fn zero() -> Self {
        Self([[0; BLOCK_LEN]; BATCH])
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // As one run of bytes: `Zeroize` of an array writes byte by byte, which takes as long as a
        // short message.
        zeroize_bytes(self.0.as_flattened_mut());
    }
}

/// Everything that one message needs of its key. Each part clears itself.
struct Message<'n, E> {
    cipher: E,
    nonce: &'n [u8; NONCE_LEN],
    /// E(0), E(nonce ‖ 1), E(nonce ‖ 2), …; blocks that the message does not need are not enciphered.
    first: Batch,
}

impl<'n, E> Message<'n, E>
where
    E: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    /// Expands the key. [`start`](Self::start) follows; it is apart so that no filled batch is moved.
    fn new(key: &[u8], nonce: &'n [u8; NONCE_LEN]) -> Self {
        Self {
            cipher: E::new_from_slice(key).expect("callers pass keys of the cipher's length"),
            nonce,
            first: Batch::zero(),
        }
    }

    /// Enciphers the first batch for a message of `len` bytes.
    fn start(&mut self, len: usize) {
        let needed = (RESERVED + len.div_ceil(BLOCK_LEN)).min(BATCH);
        let batch = &mut self.first.0[..needed];
        count(&mut batch[1..], self.nonce, 1);
        self.cipher.encrypt_blocks(Array::cast_slice_from_core_mut(batch));
    }

    /// XORs the keystream to `input` (section 6.5, GCTR from the second counter block on).
    fn apply_keystream(&self, input: &[u8], output: &mut [u8]) {
        const FIRST: usize = (BATCH - RESERVED) * BLOCK_LEN;
        let (input_first, input) = input.split_at(input.len().min(FIRST));
        let (output_first, output) = output.split_at_mut(input_first.len());
        xor(input_first, &self.first.0[RESERVED..], output_first);
        if input.is_empty() {
            return;
        }

        let mut batch = Batch::zero();
        // The first batch ended with the counter BATCH - 1, because H stands in it without one.
        let mut counter = BATCH as u32;
        let pieces = input.chunks(BATCH * BLOCK_LEN);
        for (input, output) in pieces.zip(output.chunks_mut(BATCH * BLOCK_LEN)) {
            let batch = &mut batch.0[..input.len().div_ceil(BLOCK_LEN)];
            count(batch, self.nonce, counter);
            self.cipher.encrypt_blocks(Array::cast_slice_from_core_mut(batch));
            xor(input, batch, output);
            // Wraps only after the last block of the longest message.
            counter = counter.wrapping_add(BATCH as u32);
        }
    }

    /// The tag over `aad` and `ciphertext` (section 7.1, steps 5 and 6).
    fn tag(&self, aad: &[u8], ciphertext: &[u8]) -> [u8; TAG_LEN] {
        let [hash_key, mask, ..] = &self.first.0;
        let mut hash = GHash::new(hash_key.into());
        hash.update_padded(aad);
        hash.update_padded(ciphertext);
        let bits = [aad, ciphertext].map(|part| part.len() as u64 * 8);
        let lengths = u128::from(bits[0]) << 64 | u128::from(bits[1]);
        hash.update(&[lengths.to_be_bytes().into()]);
        let mut tag = hash.finalize().into();
        xor_with(&mut tag, mask);
        tag
    }
}

/// Writes the counter blocks nonce ‖ first, nonce ‖ first + 1, …
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

fn xor_with(target: &mut [u8; BLOCK_LEN], other: &[u8; BLOCK_LEN]) {
    target.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
}
