//! XAES-256-GCM as a program would put it together from the crates: the yardstick of what a KMS adds.
//!
//! It does what a message needs and no more: a random nonce of a generator of its own, a key derived by the `aes` crate, and
//! the message by ring or by the `aes-gcm` crate, from one buffer to another, with as much associated data as a blob without
//! context has. It asks no state, wipes nothing itself, and would repeat its nonces in a cloned machine.

use aes::Aes256Enc;
use aes::cipher::{Block, BlockCipherEncrypt as _, KeyInit as _};
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::aead::inout::InOutBuf;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::Layer;
use super::ring::copy;
use super::xaes::AAD;

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// AES-256-GCM of a library, under a key that is used once.
pub trait Message {
    /// What tables call the library.
    const NAME: &'static str;

    /// Encrypts; the tag.
    fn seal(key: &[u8; 32], nonce: &[u8; 12], plaintext: &[u8], out: &mut [u8]) -> [u8; TAG_LEN];

    /// Checks and decrypts.
    fn open(key: &[u8; 32], nonce: &[u8; 12], ciphertext: &[u8], tag: &[u8; TAG_LEN], out: &mut [u8]);
}

/// By ring, which works in place.
#[derive(Debug)]
pub struct ByRing;

impl ByRing {
    fn key(key: &[u8; 32]) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key"))
    }
}

impl Message for ByRing {
    const NAME: &'static str = "ring";

    fn seal(key: &[u8; 32], nonce: &[u8; 12], plaintext: &[u8], out: &mut [u8]) -> [u8; TAG_LEN] {
        copy(out, plaintext);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = Self::key(key).seal_in_place_separate_tag(nonce, Aad::from(AAD), out);
        tag.expect("the message is short").as_ref().try_into().expect("a tag has 16 bytes")
    }

    fn open(key: &[u8; 32], nonce: &[u8; 12], ciphertext: &[u8], tag: &[u8; TAG_LEN], out: &mut [u8]) {
        copy(out, ciphertext);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = Self::key(key).open_in_place_separate_tag(nonce, Aad::from(AAD), (*tag).into(), out, 0..);
        opened.expect("it is authentic");
    }
}

/// By the `aes-gcm` crate.
#[derive(Debug)]
pub struct ByAesGcm;

impl Message for ByAesGcm {
    const NAME: &'static str = "aes-gcm";

    fn seal(key: &[u8; 32], nonce: &[u8; 12], plaintext: &[u8], out: &mut [u8]) -> [u8; TAG_LEN] {
        let text = InOutBuf::new(plaintext, out).expect("the lengths are equal");
        let tag = Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), &AAD, text);
        tag.expect("the message is short").into()
    }

    fn open(key: &[u8; 32], nonce: &[u8; 12], ciphertext: &[u8], tag: &[u8; TAG_LEN], out: &mut [u8]) {
        let text = InOutBuf::new(ciphertext, out).expect("the lengths are equal");
        let opened = Aes256Gcm::new(key.into()).decrypt_inout_detached(nonce.into(), &AAD, text, tag.into());
        opened.expect("it is authentic");
    }
}

/// XAES-256-GCM (C2SP) over a library's AES-256-GCM.
pub struct RawXaes<M> {
    cipher: Aes256Enc,
    k1: u128,
    nonces: ChaCha20Rng,
    random: SystemRandom,
    message: std::marker::PhantomData<M>,
}

impl<M> std::fmt::Debug for RawXaes<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawXaes").finish_non_exhaustive()
    }
}

impl<M> RawXaes<M> {
    /// With a random key.
    #[must_use]
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let (mut key, mut seed) = ([0; 32], chacha20::Seed::default());
        random.fill(&mut key).expect("the system has entropy");
        random.fill(&mut seed).expect("the system has entropy");
        Self::with_key(&key, ChaCha20Rng::from_seed(seed), random)
    }

    fn with_key(key: &[u8; 32], nonces: ChaCha20Rng, random: SystemRandom) -> Self {
        let cipher = Aes256Enc::new(key.into());
        let mut l = Block::<Aes256Enc>::default();
        cipher.encrypt_block(&mut l);
        let l = u128::from_be_bytes(l.into());
        let k1 = (l << 1) ^ ((l >> 127) * 0x87);
        Self { cipher, k1, nonces, random, message: std::marker::PhantomData }
    }

    fn derive(&self, nonce: &[u8; NONCE_LEN]) -> ([u8; 32], [u8; 12]) {
        let (lead, rest) = nonce.split_at(12);
        let mut context = [0; 16];
        context[4..].copy_from_slice(lead);
        let context = u128::from_be_bytes(context) ^ self.k1;
        let mut blocks = [0x0001_5800_u128, 0x0002_5800].map(|m| (context ^ (m << 96)).to_be_bytes().into());
        self.cipher.encrypt_blocks(&mut blocks);
        let mut key = [0; 32];
        for (half, block) in key.chunks_exact_mut(16).zip(&blocks) {
            half.copy_from_slice(block);
        }
        (key, rest.try_into().expect("24 bytes are 12 and 12"))
    }
}

impl<M> Default for RawXaes<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Message> RawXaes<M> {
    fn seal(&self, nonce: &[u8; NONCE_LEN], plaintext: &[u8], out: &mut [u8]) {
        let (front, sealed) = out.split_at_mut(NONCE_LEN);
        let (text, tag) = sealed.split_at_mut(plaintext.len());
        front.copy_from_slice(nonce);
        let (key, nonce) = self.derive(nonce);
        tag.copy_from_slice(&M::seal(&key, &nonce, plaintext, text));
    }
}

impl<M: Message> Layer for RawXaes<M> {
    const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

    fn name(&self) -> String {
        format!("raw XAES-256-GCM, {}", M::NAME)
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let mut nonce = [0; NONCE_LEN];
        self.nonces.fill_bytes(&mut nonce);
        self.seal(&nonce, plaintext, out);
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let (nonce, sealed) = sealed.split_first_chunk().expect("a nonce stands in front");
        let (text, tag) = sealed.split_last_chunk().expect("a tag stands behind");
        let (key, nonce) = self.derive(nonce);
        M::open(&key, &nonce, text, tag, out);
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        self.random.fill(data_key).expect("the system has entropy");
        self.encrypt(data_key, out);
    }
}

#[cfg(test)]
mod tests {
    use kms_core::crypto::aead::{Cipher, DerivingKey};

    use super::*;

    /// Goal: the yardstick is the algorithm that is measured with it. Method: the core, which passes C2SP's vectors, opens
    /// what it seals.
    #[test]
    fn it_is_the_algorithm_of_the_core() {
        fn check<M: Message>() {
            let key = [7; 32];
            let raw = RawXaes::<M>::with_key(&key, ChaCha20Rng::from_seed([1; 32]), SystemRandom::new());
            let nonce = std::array::from_fn(|i| i as u8);
            let plaintext: Vec<u8> = (0..1000).map(|i| i as u8).collect();
            let (mut sealed, mut opened) = (vec![0; 1000 + NONCE_LEN + TAG_LEN], vec![0; 1000]);
            raw.seal(&nonce, &plaintext, &mut sealed);
            let core = DerivingKey::new(Cipher::Aes256, &key).unwrap();
            core.open(&nonce, &AAD, &sealed[NONCE_LEN..], &mut opened).unwrap();
            assert!(opened == plaintext, "{}", M::NAME);
        }
        check::<ByRing>();
        check::<ByAesGcm>();
    }
}
