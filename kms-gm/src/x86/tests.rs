//! The parts of the implementation for x86-64 by themselves, for both kinds of registers.

use ::ghash::universal_hash::UniversalHash;
use proptest::prelude::*;

use super::cipher::{Cipher, Nothing};
use super::ctr::{Counter, store};
use super::ghash::{Blocks, Hash, Powers};
use super::vector::{BLOCK_LEN, Cpu, Vector};
use super::{Aes, AesNi, Message, Sm4, Vaes, sm4};
use crate::portable::tests::SBOX;

/// Runs a generic function for each kind of registers that the processor has.
macro_rules! for_each_cpu {
    ($function:ident($($argument:expr),*)) => {
        if let Some(cpu) = AesNi::detect() {
            $function(cpu, $($argument),*);
        }
        if let Some(cpu) = Vaes::detect() {
            $function(cpu, $($argument),*);
        }
    };
}

#[test]
fn the_s_box_is_the_standards() {
    fn check<C: Cpu>(cpu: C) {
        for byte in 0..=u8::MAX {
            assert_eq!(sm4::s_box(cpu, byte), SBOX[usize::from(byte)]);
        }
    }
    for_each_cpu!(check());
}

// Goal: the counter is the last word alone and passes 2^32 without a carry into the nonce.
#[test]
fn the_counter_wraps() {
    fn check<C: Cpu>(cpu: C) {
        for first in [0, 1, 0x00ff_fffe, u32::MAX - 16, u32::MAX - 3, u32::MAX] {
            let mut counter = Counter::new(cpu, &[0xff; 12], first);
            let registers: [C::V; 9] = counter.take();
            let mut blocks = [0; 9 * 2 * BLOCK_LEN];
            let blocks = &mut blocks[..9 * C::V::LEN];
            store(&registers, blocks);
            for (i, block) in blocks.chunks(BLOCK_LEN).enumerate() {
                assert_eq!(block[..12], [0xff; 12]);
                assert_eq!(block[12..], (u64::from(first) + i as u64).to_be_bytes()[4..]);
            }
        }
    }
    for_each_cpu!(check());
}

// Goal: keystream across the wrap, for a chunk of registers, against blocks that are written down one by one.
#[test]
fn keystream_passes_the_wrap() {
    fn check<C: Cpu>(cpu: C) {
        use ::sm4::cipher::{BlockCipherEncrypt, KeyInit};

        let (key, first) = ([9; 16], u32::MAX - 5);
        let mut cipher = <Sm4 as Cipher<C>>::empty(cpu);
        cipher.start::<0>(cpu, &key, &mut []);
        let zeros = [0; 16 * 2 * BLOCK_LEN];
        let mut keystream = zeros;
        Counter::new(cpu, &[7; 12], first).apply::<16>(&cipher, &zeros, &mut keystream, &mut Nothing);
        let oracle = ::sm4::Sm4::new(&key.into());
        for (i, block) in keystream[..16 * C::V::LEN].chunks(BLOCK_LEN).enumerate() {
            let mut expected = [7; BLOCK_LEN];
            expected[12..].copy_from_slice(&(u64::from(first) + i as u64).to_be_bytes()[4..]);
            oracle.encrypt_block((&mut expected).into());
            assert_eq!(block, expected);
        }
    }
    for_each_cpu!(check());
}

/// The product of two blocks as GCM multiplies: the hash of the one under the other as key.
fn product<C: Cpu>(cpu: C, a: u128, b: u128) -> u128 {
    let (mut powers, mut hash) = (Powers::<C, 4>::empty(cpu), Hash::new(cpu));
    powers.compute(cpu, cpu.narrow().load(&b.to_be_bytes()), 1);
    hash.absorb(cpu, &powers, Blocks::of(cpu.narrow(), [&a.to_be_bytes(), &[], &[]]));
    let mut bytes = [0; BLOCK_LEN];
    hash.bytes(cpu).store(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// The first bit is the constant term.
const ONE: u128 = 1 << 127;

proptest! {
    #[test]
    fn multiplication_is_that_of_a_field(a: u128, b: u128, c: u128) {
        fn check<C: Cpu>(cpu: C, a: u128, b: u128, c: u128) {
            assert_eq!(product(cpu, a, b), product(cpu, b, a));
            assert_eq!(product(cpu, a, b ^ c), product(cpu, a, b) ^ product(cpu, a, c));
            assert_eq!(product(cpu, product(cpu, a, b), c), product(cpu, a, product(cpu, b, c)));
            assert_eq!(product(cpu, a, ONE), a);
        }
        for_each_cpu!(check(a, b, c));
    }

    // Goal: runs of every length under one reduction, with all powers that they need.
    #[test]
    fn runs_agree_with_another_crate(key: [u8; 16], data in proptest::collection::vec(any::<[u8; 16]>(), 1..=8)) {
        fn check<C: Cpu>(cpu: C, key: [u8; 16], data: &[[u8; 16]]) {
            let (mut powers, mut hash) = (Powers::<C, 8>::empty(cpu), Hash::new(cpu));
            powers.compute(cpu, cpu.narrow().load(&key), data.len());
            let (front, end) = data.as_flattened().split_at(data.len() / 2 * BLOCK_LEN);
            hash.absorb(cpu, &powers, Blocks::of(cpu.narrow(), [front, &[], end]));
            let mut own = [0; BLOCK_LEN];
            hash.bytes(cpu).store(&mut own);
            let mut other = ::ghash::GHash::new(&key.into());
            for block in data {
                other.update(&[(*block).into()]);
            }
            assert_eq!(own, <[u8; 16]>::from(other.finalize()));
        }
        for_each_cpu!(check(key, &data));
    }
}

/// Bytes of dead stack that are looked through: more than any spill, and the frames around it.
const DEAD: usize = 4096;

/// Copies what stands below this function's frame, where the functions called before had theirs.
#[inline(never)]
fn dead_stack(copy: &mut [u8; DEAD]) {
    let here = 0u8;
    let start = core::hint::black_box(&raw const here).wrapping_sub(DEAD);
    for (i, byte) in copy.iter_mut().enumerate() {
        // SAFETY: the main part of a thread's stack is mapped, and nobody else writes there meanwhile.
        *byte = unsafe { core::ptr::read_volatile(start.wrapping_add(i)) };
    }
}

#[inline(never)]
fn leave_on_the_stack(secret: &[u8; 16]) {
    let mut place = [[0; 16]; 64];
    place.fill(*secret);
    core::hint::black_box(&mut place);
}

// Goal: neither key, round keys, hash key, mask nor keystream are left on the stack, by short messages and by others.
// Method: look for them where the frames were; something left there on purpose is found.
#[test]
fn nothing_secret_is_left_on_the_stack() {
    use ::aes::cipher::{BlockCipherEncrypt, KeyInit};

    fn secrets_of(encrypt: impl Fn(&mut [u8; 16])) -> Vec<[u8; 16]> {
        let mut blocks = vec![[0; 16]];
        blocks.extend([1, 2, 3, 9].map(|counter| {
            let mut block = [4; 16];
            block[12..].copy_from_slice(&u32::to_be_bytes(counter));
            block
        }));
        blocks.iter_mut().for_each(encrypt);
        blocks
    }

    fn check<C>(cpu: C)
    where
        C: Message<Sm4> + Message<Aes<15>>,
    {
        let (key, nonce): ([u8; 32], _) = (core::array::from_fn(|i| 0x90 ^ i as u8), [4; 12]);
        let short_key: &[u8; 16] = key[..16].try_into().expect("half of the key");
        let mut copy = [0; DEAD];
        leave_on_the_stack(short_key);
        dead_stack(&mut copy);
        assert!(copy.windows(16).any(|window| window == short_key), "the method finds what is there");

        let aes = ::aes::Aes256Enc::new(&key.into());
        let mut secrets = secrets_of(|block| aes.encrypt_block(block.into()));
        let sm4 = ::sm4::Sm4::new(&(*short_key).into());
        secrets.extend(secrets_of(|block| sm4.encrypt_block(block.into())));
        secrets.push(*short_key);
        secrets.push(key[16..].try_into().expect("half of the key"));
        secrets.push(sm4::first_round_keys(AesNi::detect().expect("part of every proof"), short_key));

        let mut out = vec![0; 1000];
        // Plaintext of ones, so that the keystream is no ciphertext.
        for text in [&[0xff; 20][..], &[0xff; 1000]] {
            for by_sm4 in [false, true] {
                let out = &mut out[..text.len()];
                // What the other crates left there while they computed what is looked for.
                zeroize::zeroize_stack::<{ 2 * DEAD }>();
                let tag = if by_sm4 {
                    Message::<Sm4>::seal(cpu, short_key, &nonce, b"aad", text, out)
                } else {
                    Message::<Aes<15>>::seal(cpu, &key, &nonce, b"aad", text, out)
                };
                dead_stack(&mut copy);
                let found = |copy: &[u8]| secrets.iter().position(|s| copy.windows(16).any(|window| window == s));
                assert_eq!(found(&copy), None, "seal, {} bytes, SM4: {by_sm4}", text.len());
                let sealed = out.to_vec();
                zeroize::zeroize_stack::<{ 2 * DEAD }>();
                let opened = if by_sm4 {
                    Message::<Sm4>::open(cpu, short_key, &nonce, b"aad", &sealed, &tag, out)
                } else {
                    Message::<Aes<15>>::open(cpu, &key, &nonce, b"aad", &sealed, &tag, out)
                };
                dead_stack(&mut copy);
                assert_eq!(opened, Ok(()));
                assert_eq!(found(&copy), None, "open, {} bytes, SM4: {by_sm4}", text.len());
            }
        }
    }
    for_each_cpu!(check());
}
