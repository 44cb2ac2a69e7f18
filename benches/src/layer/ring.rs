//! AES-256-GCM of ring, with a key that is set up once: the bottom line.
//!
//! Counted nonces, no associated data, and nothing is wiped.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{Layer, next};

const TAG_LEN: usize = 16;

/// Bytes copied at a time. glibc 2.36 on Zen 3 copies 4 KiB and more some 25 times slower when the destination stands a few
/// bytes past the source modulo 4096, as it does behind a nonce; that would be counted as time of ring.
const PIECE: usize = 1024;

/// ring, from one buffer to another as all layers above it.
#[derive(Debug)]
pub struct RingAead {
    key: LessSafeKey,
    random: SystemRandom,
    nonces: u64,
}

impl RingAead {
    /// With a random key.
    #[must_use]
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let mut key = [0; 32];
        random.fill(&mut key).expect("the system has entropy");
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("32 bytes are a key"));
        Self { key, random, nonces: 0 }
    }

    fn seal_in_place(&mut self, out: &mut [u8]) {
        let nonce: [u8; NONCE_LEN] = next(&mut self.nonces);
        let (front, sealed) = out.split_at_mut(NONCE_LEN);
        let (text, tag) = sealed.split_at_mut(sealed.len() - TAG_LEN);
        front.copy_from_slice(&nonce);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let made = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), text).expect("the message is short");
        tag.copy_from_slice(made.as_ref());
    }
}

impl Default for RingAead {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies without glibc's trap.
pub(super) fn copy(destination: &mut [u8], source: &[u8]) {
    for (to, from) in destination.chunks_mut(PIECE).zip(source.chunks(PIECE)) {
        to.copy_from_slice(from);
    }
}

fn text(out: &mut [u8]) -> &mut [u8] {
    let end = out.len() - TAG_LEN;
    &mut out[NONCE_LEN..end]
}

impl Layer for RingAead {
    const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

    fn name(&self) -> String {
        "ring".to_owned()
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        copy(text(out), plaintext);
        self.seal_in_place(out);
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let (nonce, sealed) = sealed.split_first_chunk().expect("a nonce stands in front");
        let (text, tag) = sealed.split_last_chunk::<TAG_LEN>().expect("a tag stands behind");
        // ring decrypts in place alone, which would use the sealed message up.
        copy(out, text);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.key.open_in_place_separate_tag(nonce, Aad::empty(), (*tag).into(), out, 0..).expect("it is authentic");
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        self.random.fill(data_key).expect("the system has entropy");
        self.encrypt(data_key, out);
    }
}

/// ring where the plaintext stands already and is not kept: the least that sealing can cost. Each call seals what the
/// one before has left.
#[derive(Debug, Default)]
pub struct RingInPlace(RingAead);

impl RingInPlace {
    /// With a random key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for RingInPlace {
    const OVERHEAD: usize = RingAead::OVERHEAD;

    fn name(&self) -> String {
        "ring, in place".to_owned()
    }

    fn place(&mut self, plaintext: &[u8], out: &mut [u8]) {
        text(out).copy_from_slice(plaintext);
    }

    fn encrypt(&mut self, _: &[u8], out: &mut [u8]) {
        self.0.seal_in_place(out);
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        self.0.decrypt(sealed, out);
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        self.0.generate_data_key(data_key, out);
    }
}
