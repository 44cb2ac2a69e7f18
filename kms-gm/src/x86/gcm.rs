//! GCM (SP 800-38D) over a cipher in vector registers.
//!
//! The first encryption of a message holds all that GCM needs of the cipher besides keystream: the hash key
//! E(0) and the mask of the tag E(nonce ‖ 1), and behind them the first keystream. A message that it
//! suffices for is *short*: nothing of it is encrypted in a loop and it is hashed under one reduction.
//! Other messages go on by chunks, and while one chunk is encrypted the one before it is hashed.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use super::cipher::{Cipher, Nothing};
use super::ctr::{Counter, store, xor};
use super::ghash::{Absorbing, Blocks, Hash, Powers};
use super::vector::{BLOCK_LEN, Block, Cpu, Vector};
use crate::{Forged, NONCE_LEN, TAG_LEN, blocks, lengths};

/// Registers of the first encryption and of powers of H, for a short message and for another.
pub(crate) const SHORT: (usize, usize) = (4, 4);
pub(crate) const LONG: (usize, usize) = (12, 8);

/// Registers of a chunk, and of the larger one of ciphers that need many registers at work to be fast.
const CHUNK: usize = LONG.1;
const WIDE_CHUNK: usize = 2 * CHUNK;

/// Bytes of the largest register.
const LARGEST: usize = 2 * BLOCK_LEN;

/// Bytes of the first encryption that are no keystream.
const RESERVED: usize = 2 * BLOCK_LEN;

/// Whether a message is short.
#[inline(always)]
pub(crate) fn is_short<C: Cpu>(aad: &[u8], text: &[u8]) -> bool {
    let (registers, powers) = SHORT;
    text.len() <= registers * C::V::LEN - RESERVED && blocks(aad) + blocks(text) < powers * C::V::BLOCKS
}

/// Everything of one message that must not stay in memory.
pub(crate) struct Secrets<C: Cpu, E, const N: usize, const P: usize> {
    cipher: E,
    powers: Powers<C, P>,
    /// E(0), E(nonce ‖ 1), E(nonce ‖ 2), … without gaps; later the keystream of the message's end.
    first: [[u8; LARGEST]; N],
}

impl<C: Cpu, E: Cipher<C>, const N: usize, const P: usize> Secrets<C, E, N, P> {
    /// Writes each part where it is to stand. The whole would be made elsewhere and then copied.
    #[inline(always)]
    fn empty(cpu: C, place: &mut MaybeUninit<Self>) -> &mut Self {
        let whole = place.as_mut_ptr();
        // SAFETY: the parts of a place that is exclusively borrowed may be written, and with these all of them are.
        unsafe {
            (&raw mut (*whole).cipher).write(E::empty(cpu));
            (&raw mut (*whole).powers).write(Powers::empty(cpu));
            (&raw mut (*whole).first).write([[0; LARGEST]; N]);
            place.assume_init_mut()
        }
    }
}

/// A place for [`Secrets`], overwritten on every way out, and with it the stack that was used for them.
///
/// It stands in the frame above the one that computes. That frame lies in the stack below, where registers
/// are spilled.
pub(crate) struct Place<C: Cpu, S, Spill> {
    cpu: C,
    secrets: MaybeUninit<S>,
    spill: PhantomData<Spill>,
}

impl<C: Cpu, S, Spill> Place<C, S, Spill> {
    pub(crate) fn new(cpu: C) -> Self {
        Self { cpu, secrets: MaybeUninit::uninit(), spill: PhantomData }
    }
}

impl<C: Cpu, S, Spill> Drop for Place<C, S, Spill> {
    fn drop(&mut self) {
        self.cpu.wipe::<S, Spill>(&mut self.secrets);
    }
}

pub(crate) type Short<C, E> = Place<C, Secrets<C, E, { SHORT.0 }, { SHORT.1 }>, <E as Cipher<C>>::ShortSpill>;
pub(crate) type Long<C, E> = Place<C, Secrets<C, E, { LONG.0 }, { LONG.1 }>, <E as Cipher<C>>::LongSpill>;

/// One message at work.
struct Message<'s, C: Cpu, E, const N: usize, const P: usize> {
    cpu: C,
    secrets: &'s mut Secrets<C, E, N, P>,
    counter: Counter<C>,
    hash: Hash,
}

impl<'s, C: Cpu, E: Cipher<C>, const N: usize, const P: usize> Message<'s, C, E, N, P> {
    /// Bytes that one reduction serves.
    const RUN: usize = P * C::V::LEN;

    /// Does all that depends on the key, the nonce and the number of blocks to be hashed.
    #[inline(always)]
    fn new<Spill>(
        place: &'s mut Place<C, Secrets<C, E, N, P>, Spill>,
        key: &E::Key,
        nonce: &[u8; NONCE_LEN],
        hashed: usize,
    ) -> Self {
        let cpu = place.cpu;
        // Written first and filled in place, so that nothing secret is moved.
        let secrets = Secrets::empty(cpu, &mut place.secrets);
        let mut counter = Counter::new(cpu, nonce, 0);
        let mut first: [C::V; N] = counter.take();
        first[0] = cpu.pair(cpu.narrow().zero(), first[0].last());
        secrets.cipher.start(cpu, key, &mut first);
        store(&first, secrets.first.as_flattened_mut());
        secrets.powers.compute(cpu, first[0].first(), hashed);
        Self { cpu, secrets, counter, hash: Hash::new(cpu) }
    }

    /// XORs the first keystream to the beginning of `input` and tells how many bytes it was enough for.
    #[inline(always)]
    fn apply_first(&self, input: &[u8], output: &mut [u8]) -> usize {
        let keystream = &self.secrets.first.as_flattened()[RESERVED..N * C::V::LEN];
        let len = input.len().min(keystream.len());
        xor(self.cpu, &input[..len], keystream, &mut output[..len]);
        len
    }

    /// XORs keystream to less than a chunk, the last of a message. The mask of the tag is gone afterwards.
    #[inline(always)]
    fn apply_last(&mut self, input: &[u8], output: &mut [u8]) {
        if input.len() <= CHUNK / 2 * C::V::LEN {
            self.apply_rest::<{ CHUNK / 2 }>(input, output);
        } else {
            self.apply_rest::<CHUNK>(input, output);
        }
    }

    #[inline(always)]
    fn apply_rest<const M: usize>(&mut self, input: &[u8], output: &mut [u8]) {
        let mut keystream: [C::V; M] = self.counter.take();
        self.secrets.cipher.encrypt(self.cpu, &mut keystream, &mut Nothing);
        let place = self.secrets.first.as_flattened_mut();
        store(&keystream, place);
        xor(self.cpu, input, place, output);
    }

    /// Absorbs parts, each filled up with zeros to whole blocks: together no more than the powers serve.
    #[inline(always)]
    fn absorb(&mut self, parts: [&[u8]; 3]) {
        self.hash.absorb(self.cpu, &self.secrets.powers, Blocks::of(self.cpu.narrow(), parts));
    }

    /// Absorbs whole runs at the beginning of `data` and tells how many bytes that was.
    #[inline(always)]
    fn absorb_runs(&mut self, data: &[u8]) -> usize {
        let mut runs = data.chunks_exact(Self::RUN);
        for run in &mut runs {
            self.hash.absorb_run(self.cpu, &self.secrets.powers, run);
        }
        data.len() - runs.remainder().len()
    }

    /// Absorbs the associated data, filled up with zeros.
    #[inline(always)]
    fn absorb_aad(&mut self, aad: &[u8]) {
        let rest = &aad[self.absorb_runs(aad)..];
        if !rest.is_empty() {
            self.absorb([rest, &[], &[]]);
        }
    }

    /// Absorbs what is left of the ciphertext, and the lengths.
    #[inline(always)]
    fn absorb_end(&mut self, rest: &[u8], lengths: [u8; BLOCK_LEN]) {
        let mut rest = &rest[self.absorb_runs(rest)..];
        if blocks(rest) * BLOCK_LEN == Self::RUN {
            self.absorb([rest, &[], &[]]);
            rest = &[];
        }
        self.absorb([rest, &lengths, &[]]);
    }

    /// E(nonce ‖ 1), which hides the hash.
    #[inline(always)]
    fn mask(&self) -> Block {
        self.cpu.narrow().load(&self.secrets.first.as_flattened()[BLOCK_LEN..])
    }

    #[inline(always)]
    fn tag(&self, mask: Block) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        self.hash.bytes(self.cpu).xor(mask).store(&mut tag);
        tag
    }

    /// Encrypts and hashes all that is longer than the first keystream; it is hashed as far as told.
    #[inline(always)]
    fn encrypt_chunks(&mut self, plaintext: &[u8], ciphertext: &mut [u8], mut done: usize) -> usize {
        let mut hashed = 0;
        if E::WIDE {
            let chunk = WIDE_CHUNK * C::V::LEN;
            while plaintext.len() - done >= chunk {
                let output = &mut ciphertext[done..done + chunk];
                self.counter.apply::<WIDE_CHUNK>(
                    &self.secrets.cipher,
                    &plaintext[done..done + chunk],
                    output,
                    &mut Nothing,
                );
                done += chunk;
                hashed += self.absorb_runs(&ciphertext[hashed..done]);
            }
        }
        let chunk = CHUNK * C::V::LEN;
        while plaintext.len() - done >= chunk {
            let (before, output) = ciphertext.split_at_mut(done);
            let (input, output) = (&plaintext[done..done + chunk], &mut output[..chunk]);
            let Self { cpu, secrets, counter, hash } = self;
            let Secrets { cipher, powers, .. } = &**secrets;
            match before.get(hashed..hashed + Self::RUN) {
                Some(run) => {
                    counter.apply::<CHUNK>(cipher, input, output, &mut Absorbing::new(*cpu, powers, run, hash));
                    hashed += Self::RUN;
                }
                None => counter.apply::<CHUNK>(cipher, input, output, &mut Nothing),
            }
            done += chunk;
        }
        if done < plaintext.len() {
            self.apply_last(&plaintext[done..], &mut ciphertext[done..]);
        }
        hashed
    }

    #[inline(always)]
    fn decrypt_chunks(&mut self, ciphertext: &[u8], plaintext: &mut [u8], mut done: usize) {
        if E::WIDE {
            let chunk = WIDE_CHUNK * C::V::LEN;
            while ciphertext.len() - done >= chunk {
                let (input, output) = (&ciphertext[done..done + chunk], &mut plaintext[done..done + chunk]);
                self.counter.apply::<WIDE_CHUNK>(&self.secrets.cipher, input, output, &mut Nothing);
                done += chunk;
            }
        }
        let chunk = CHUNK * C::V::LEN;
        while ciphertext.len() - done >= chunk {
            let (input, output) = (&ciphertext[done..done + chunk], &mut plaintext[done..done + chunk]);
            self.counter.apply::<CHUNK>(&self.secrets.cipher, input, output, &mut Nothing);
            done += chunk;
        }
        if done < ciphertext.len() {
            self.apply_last(&ciphertext[done..], &mut plaintext[done..]);
        }
    }
}

/// Seals a short message.
#[inline(always)]
pub(crate) fn seal_short<C: Cpu, E: Cipher<C>>(
    place: &mut Short<C, E>,
    key: &E::Key,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN] {
    let mut message = Message::new(place, key, nonce, blocks(aad) + blocks(plaintext) + 1);
    message.apply_first(plaintext, ciphertext);
    message.absorb([aad, ciphertext, &lengths(aad, ciphertext)]);
    message.tag(message.mask())
}

/// Seals a message of any length.
#[inline(always)]
pub(crate) fn seal_long<C: Cpu, E: Cipher<C>>(
    place: &mut Long<C, E>,
    key: &E::Key,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> [u8; TAG_LEN] {
    let total = blocks(aad) + blocks(plaintext) + 1;
    let mut message = Message::new(place, key, nonce, total);
    let mask = message.mask();
    let done = message.apply_first(plaintext, ciphertext);
    let lengths = lengths(aad, ciphertext);
    if total * BLOCK_LEN <= LONG.1 * C::V::LEN && done == plaintext.len() {
        message.absorb([aad, ciphertext, &lengths]);
    } else {
        message.absorb_aad(aad);
        let hashed = message.encrypt_chunks(plaintext, ciphertext, done);
        message.absorb_end(&ciphertext[hashed..], lengths);
    }
    message.tag(mask)
}

/// Verifies a short message and only then decrypts it.
#[inline(always)]
pub(crate) fn open_short<C: Cpu, E: Cipher<C>>(
    place: &mut Short<C, E>,
    key: &E::Key,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), Forged> {
    let mut message = Message::new(place, key, nonce, blocks(aad) + blocks(ciphertext) + 1);
    message.absorb([aad, ciphertext, &lengths(aad, ciphertext)]);
    crate::verify(&message.tag(message.mask()), tag)?;
    message.apply_first(ciphertext, plaintext);
    Ok(())
}

/// Verifies a message of any length and only then decrypts it.
#[inline(always)]
pub(crate) fn open_long<C: Cpu, E: Cipher<C>>(
    place: &mut Long<C, E>,
    key: &E::Key,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), Forged> {
    let total = blocks(aad) + blocks(ciphertext) + 1;
    let mut message = Message::new(place, key, nonce, total);
    let lengths = lengths(aad, ciphertext);
    if total * BLOCK_LEN <= LONG.1 * C::V::LEN {
        message.absorb([aad, ciphertext, &lengths]);
    } else {
        message.absorb_aad(aad);
        message.absorb_end(ciphertext, lengths);
    }
    crate::verify(&message.tag(message.mask()), tag)?;
    let done = message.apply_first(ciphertext, plaintext);
    message.decrypt_chunks(ciphertext, plaintext, done);
    Ok(())
}
