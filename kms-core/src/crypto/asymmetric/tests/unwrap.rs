//! RSAES-PKCS1-v1_5, and the unwrapping of imported material with every scheme. The blocks are made by hand and encrypted
//! without padding by the numbers of `rsa` alone.

use rsa::BoxedUint;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;

use super::*;

/// m^65537 mod n.
fn raw_encrypt(spki: &[u8], block: &[u8]) -> Vec<u8> {
    let key = rsa::PublicKey::from_public_key_der(spki).expect("it is a key");
    let m = BoxedUint::from_be_slice(block, u32::try_from(8 * key.size()).expect("short")).expect("it fits");
    let power = (0..16).fold(m.clone(), |power, _| power.square_mod(key.n()));
    power.mul_mod(&m, key.n()).to_be_bytes().into()
}

/// `front || padding || end || message`, filled up to `len` with padding.
fn block(len: usize, front: [u8; 2], end: u8, message: &[u8]) -> Vec<u8> {
    let mut block = vec![0xa7; len];
    block[..2].copy_from_slice(&front);
    let at = len - message.len();
    block[at - 1] = end;
    block[at..].copy_from_slice(message);
    block
}

/// `block` with its byte at `at` set.
fn with(mut block: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    block[at] = byte;
    block
}

const MATERIAL: &[u8; 32] = b"thirty-two bytes of key material";

fn unwrap<P: Provider>(
    key: &PrivateKeyOf<P>,
    scheme: EncryptionScheme,
    ciphertext: &[u8],
    len: usize,
) -> (bool, Vec<u8>) {
    let mut out = vec![0; len];
    let good = key.unwrap(scheme, ciphertext, &mut Counting(77), &mut out).expect("it counts");
    (good.into(), out)
}

/// What [`unwrap`] leaves when there is nothing to unwrap.
fn random(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    Counting(77).secret(&mut out).expect("it counts");
    out
}

/// Goal: every fault of a block is refused in the same way, writes nothing, and unwraps to random bytes; what is no fault is
/// none. Method: one fault a row.
fn faults<P: Provider>(kind: Kind, len: usize) {
    let key = private::<P>(kind, Purpose::Unwrap);
    let spki = key.public().spki();
    let good = || block(len, [0, 2], 0, MATERIAL);
    let end = len - 33;
    let blocks = [
        ("nothing", Some(32), good()),
        ("the padding has bytes of every kind", Some(32), with(with(good(), 2, 1), 3, 0xff)),
        ("eight bytes of padding", Some(len - 11), block(len, [0, 2], 0, &vec![9; len - 11])),
        ("no message", Some(0), block(len, [0, 2], 0, &[])),
        ("a message of zeros", Some(32), block(len, [0, 2], 0, &[0; 32])),
        ("a separator too early", Some(end + 32 - 10), with(good(), 10, 0)),
        ("the first byte is 1", None, block(len, [1, 2], 0, MATERIAL)),
        ("the block type is 0", None, block(len, [0, 0], 0, MATERIAL)),
        ("the block type is 1", None, block(len, [0, 1], 0, MATERIAL)),
        ("the block type is 3", None, block(len, [0, 3], 0, MATERIAL)),
        ("the block type is 0x82", None, block(len, [0, 0x82], 0, MATERIAL)),
        ("no separator", None, block(len, [0, 2], 0xa7, MATERIAL)),
        ("no padding", None, with(good(), 2, 0)),
        ("seven bytes of padding", None, with(good(), 9, 0)),
        ("nothing but the front", None, block(len, [0, 2], 0xa7, &vec![0xa7; len - 3])),
        ("zeros", None, vec![0; len]),
        ("one", None, with(vec![0; len], len - 1, 1)),
    ];
    for (what, expected, block) in blocks {
        let ciphertext = raw_encrypt(&spki, &block);
        let mut out = vec![0x5a; len];
        let decrypted = key.decrypt(EncryptionScheme::RsaPkcs1, &ciphertext, &mut Counting(1), &mut out);
        assert_eq!(decrypted, expected.ok_or(Refused), "{kind:?}: {what}");
        let written = expected.unwrap_or(0);
        assert_eq!(out[..written], block[len - written..], "{kind:?}: {what}");
        assert!(out[written..].iter().all(|byte| *byte == 0x5a), "{kind:?}: {what}");
        for wanted in [0, 16, 31, 32, 33, written, len - 11, len - 10, len, len + 1] {
            let is_there = expected == Some(wanted);
            let bytes = if is_there { block[len - wanted..].to_vec() } else { random(wanted) };
            let unwrapped = unwrap(&key, EncryptionScheme::RsaPkcs1, &ciphertext, wanted);
            assert_eq!(unwrapped, (is_there, bytes), "{kind:?}: {what}, {wanted} bytes");
        }
        for scheme in [EncryptionScheme::OaepSha256, EncryptionScheme::OaepSha1, EncryptionScheme::Sm2] {
            assert_eq!(key.decrypt(scheme, &ciphertext, &mut Counting(1), &mut out), Err(Refused));
            assert_eq!(unwrap(&key, scheme, &ciphertext, 32), (false, random(32)));
        }
        for (purpose, other) in [Purpose::Sign, Purpose::Decrypt].map(|purpose| (purpose, private::<P>(kind, purpose)))
        {
            let refused = other.decrypt(EncryptionScheme::RsaPkcs1, &ciphertext, &mut Counting(1), &mut out);
            assert_eq!(refused, Err(Refused), "a key for {purpose:?}");
            assert_eq!(unwrap(&other, EncryptionScheme::RsaPkcs1, &ciphertext, 32), (false, random(32)));
        }
    }
    // Ciphertexts that are no number below the modulus, or not of its length.
    let modulus = rsa::PublicKey::from_public_key_der(&spki).expect("it is a key").n_bytes();
    let whole = raw_encrypt(&spki, &good());
    let longer = [&[0][..], &whole].concat();
    for ciphertext in [&modulus, &vec![0xff; len][..], &[], &whole[1..], &whole[..len - 1], &longer, &vec![7; 2 * len]]
    {
        let refused = key.decrypt(EncryptionScheme::RsaPkcs1, ciphertext, &mut Counting(1), &mut vec![0; 2 * len]);
        assert_eq!(refused, Err(Refused));
        assert_eq!(unwrap(&key, EncryptionScheme::RsaPkcs1, ciphertext, 32), (false, random(32)));
    }
}

/// Goal: each scheme unwraps the material of one length, of every length, and no other; and nothing altered where that is
/// authenticated.
fn unwraps_one_length<A: Provider, B: Provider>() {
    for (kind, scheme, most) in ENCRYPTIONS {
        let (sender, receiver) = (private::<A>(kind, Purpose::Unwrap), private::<B>(kind, Purpose::Unwrap));
        for len in [1, 16, 24, 32, most] {
            let material: Vec<u8> = (0..len).map(|i| i as u8 ^ 0xc3).collect();
            let mut ciphertext = vec![0; sender.public().ciphertext_len(len)];
            assert_eq!(sender.public().encrypt(scheme, &material, &mut Counting(3), &mut ciphertext), Ok(()));
            assert_eq!(unwrap(&receiver, scheme, &ciphertext, len), (true, material), "{kind:?} {scheme:?}");
            for other in [0, len - 1, len + 1, 48, 8000] {
                assert_eq!(
                    unwrap(&receiver, scheme, &ciphertext, other),
                    (false, random(other)),
                    "{kind:?} {scheme:?}"
                );
            }
            if scheme != EncryptionScheme::RsaPkcs1 {
                ciphertext[20] ^= 1;
                assert_eq!(unwrap(&receiver, scheme, &ciphertext, len), (false, random(len)), "{kind:?} {scheme:?}");
            }
        }
    }
    // Nothing is wrapped to these.
    for kind in [Kind::P256, Kind::Secp256k1] {
        for scheme in [EncryptionScheme::RsaPkcs1, EncryptionScheme::Sm2] {
            let key = private::<B>(kind, Purpose::Unwrap);
            assert_eq!(unwrap(&key, scheme, &[4; 256], 32), (false, random(32)));
        }
    }
}

#[test]
fn every_fault_is_refused_alike() {
    #[cfg(feature = "native")]
    faults::<Native>(Kind::Rsa2048, 256);
    #[cfg(feature = "native")]
    faults::<Native>(Kind::Rsa3072, 384);
    #[cfg(feature = "portable")]
    faults::<Portable>(Kind::Rsa2048, 256);
    #[cfg(feature = "portable")]
    faults::<Portable>(Kind::Rsa3072, 384);
}

#[test]
fn material_is_unwrapped_at_its_length() {
    unwraps_one_length::<DefaultProvider, DefaultProvider>();
    #[cfg(all(feature = "native", feature = "portable"))]
    {
        unwraps_one_length::<Native, Portable>();
        unwraps_one_length::<Portable, Native>();
    }
}

/// Goal: without random bytes there is an error, not a known key in their place.
#[test]
fn without_entropy_nothing_is_unwrapped() {
    for kind in [Kind::Rsa2048, Kind::Sm2] {
        let key = private::<DefaultProvider>(kind, Purpose::Unwrap);
        let unwrapped = key.unwrap(EncryptionScheme::RsaPkcs1, &[7; 256], &mut Dry, &mut [0; 32]);
        assert_eq!(unwrapped.map(|_| ()), Err(EntropyError));
    }
}
