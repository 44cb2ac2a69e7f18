//! The two providers of RSA and P-256 against each other, and everything that reads what others have signed, encrypted or
//! encoded.
//!
//! Both providers accept and refuse the same public keys, private keys, signatures and ciphertexts, whatever these are; what
//! one signs or encrypts the other verifies or decrypts; an altered signature is good only if it is the same two numbers
//! again; a refused ciphertext leaves the output alone, and unwraps to random bytes.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use kms_core::crypto::asymmetric::{
    EncryptionScheme, Kind, MAX_SIGNATURE, Native, Portable, PrivateKeyOf, Provider, PublicKeyOf, Purpose, Refused,
    SignatureScheme,
};
use kms_core::rng::{EntropyError, Rng};
use ring::digest::{SHA256, digest};

use crate::alter::Alteration;

/// What stands where a refused call must not write.
const UNTOUCHED: u8 = 0xa5;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// A signature that nobody made.
    Foreign { kind: u8, scheme: u8, digest: [u8; 32], signature: &'a [u8] },
    /// A signature of one provider, for the other, whole and altered.
    Signed { kind: u8, scheme: u8, digest: [u8; 32], by_native: bool, alterations: Vec<Alteration<'a>> },
    /// A ciphertext that nobody made.
    Noise { kind: u8, scheme: u8, ciphertext: &'a [u8] },
    /// A ciphertext of one provider, for the other, whole and altered.
    Encrypted { kind: u8, scheme: u8, plaintext: &'a [u8], by_native: bool, alterations: Vec<Alteration<'a>> },
    /// Bytes for a public key: any, or one of ours altered.
    PublicKey { kind: u8, of: Option<u8>, bytes: &'a [u8], alterations: Vec<Alteration<'a>> },
    /// Bytes for a private key, likewise.
    PrivateKey { kind: u8, of: Option<u8>, bytes: &'a [u8], alterations: Vec<Alteration<'a>> },
}

/// Another number for each draw: the same in every run.
struct Counting(u64);

impl Rng for Counting {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in out.chunks_mut(32) {
            self.0 += 1;
            chunk.copy_from_slice(&digest(&SHA256, &self.0.to_le_bytes()).as_ref()[..chunk.len()]);
        }
        Ok(())
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.secret(out)
    }
}

/// Key material of each kind. RSA keys are NIST's: drawing one takes a second under the sanitizer.
fn material(kind: Kind) -> &'static [u8] {
    static MATERIAL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let all = MATERIAL.get_or_init(|| {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/cavp_rsa_pkcs1_sign.json")).unwrap();
        let rsa = |bits: u64| {
            let mut groups = vectors["groups"].as_array().unwrap().iter();
            let group = groups.find(|group| group["keySize"] == bits).unwrap();
            let text = group["pkcs8"].as_str().unwrap();
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        vec![rsa(2048), rsa(3072), vec![11; 32], vec![12; 32], vec![13; 32]]
    });
    &all[kind as usize]
}

/// A key of this kind, for this purpose, in one provider.
fn private<P: Provider>(kind: Kind, purpose: Purpose) -> PrivateKeyOf<P> {
    PrivateKeyOf::parse(kind, purpose, material(kind)).expect("it is a key")
}

struct Pair {
    native: PrivateKeyOf<Native>,
    portable: PrivateKeyOf<Portable>,
}

/// Parsed once: that takes longer than using them.
fn pair(kind: Kind, purpose: Purpose) -> &'static Pair {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    let all = PAIRS.get_or_init(|| {
        let each = Kind::ALL.into_iter().flat_map(|kind| PURPOSES.map(|purpose| (kind, purpose)));
        each.map(|(kind, purpose)| Pair { native: private(kind, purpose), portable: private(kind, purpose) }).collect()
    });
    &all[PURPOSES.len() * kind as usize + purpose as usize]
}

fn pick<T: Copy>(of: &[T], number: u8) -> T {
    of[usize::from(number) % of.len()]
}

const SIGNATURES: [SignatureScheme; 4] =
    [SignatureScheme::RsaPss, SignatureScheme::RsaPkcs1, SignatureScheme::Ecdsa, SignatureScheme::Sm2];
const ENCRYPTIONS: [EncryptionScheme; 4] =
    [EncryptionScheme::OaepSha256, EncryptionScheme::OaepSha1, EncryptionScheme::Sm2, EncryptionScheme::RsaPkcs1];
/// In declaration order.
const PURPOSES: [Purpose; 3] = [Purpose::Sign, Purpose::Decrypt, Purpose::Unwrap];

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    match input {
        Input::Foreign { kind, scheme, digest, signature } => {
            verify(pick(&Kind::ALL, kind), pick(&SIGNATURES, scheme), &digest, signature);
        }
        Input::Signed { kind, scheme, digest, by_native, alterations } => {
            signed(pick(&Kind::ALL, kind), pick(&SIGNATURES, scheme), &digest, by_native, &alterations);
        }
        Input::Noise { kind, scheme, ciphertext } => {
            let _ = decrypt(pick(&Kind::ALL, kind), pick(&ENCRYPTIONS, scheme), ciphertext);
        }
        Input::Encrypted { kind, scheme, plaintext, by_native, alterations } => {
            encrypted(pick(&Kind::ALL, kind), pick(&ENCRYPTIONS, scheme), plaintext, by_native, &alterations);
        }
        Input::PublicKey { kind, of, bytes, alterations } => {
            let start = of.map(|of| pair(pick(&Kind::ALL, of), Purpose::Sign).native.public().spki());
            let bytes = altered(start.as_deref().unwrap_or(bytes), &alterations);
            public_key(pick(&Kind::ALL, kind), &bytes);
        }
        Input::PrivateKey { kind, of, bytes, alterations } => {
            let bytes = altered(of.map_or(bytes, |of| material(pick(&Kind::ALL, of))), &alterations);
            private_key(pick(&Kind::ALL, kind), &bytes);
        }
    }
}

fn altered(bytes: &[u8], alterations: &[Alteration<'_>]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    alterations.iter().for_each(|alteration| alteration.apply(&mut bytes));
    bytes
}

/// What both say of a signature.
fn verify(kind: Kind, scheme: SignatureScheme, digest: &[u8; 32], signature: &[u8]) -> bool {
    let Pair { native, portable } = pair(kind, Purpose::Sign);
    let valid = native.public().verify(scheme, digest, signature);
    assert_eq!(portable.public().verify(scheme, digest, signature), valid, "{kind:?} {scheme:?}");
    valid
}

fn signed(kind: Kind, scheme: SignatureScheme, digest: &[u8; 32], by_native: bool, alterations: &[Alteration<'_>]) {
    let Pair { native, portable } = pair(kind, Purpose::Sign);
    let (mut out, mut other) = ([0; MAX_SIGNATURE], [0; MAX_SIGNATURE]);
    let made = native.sign(scheme, digest, &mut Counting(1), &mut out);
    let also = portable.sign(scheme, digest, &mut Counting(1), &mut other);
    assert_eq!(made.is_ok(), also.is_ok(), "{kind:?} {scheme:?}");
    let (Ok(made), Ok(also)) = (made, also) else { return };
    let signature = if by_native { &out[..made] } else { &other[..also] };
    assert!(verify(kind, scheme, digest, signature), "{kind:?} {scheme:?}");
    let changed = altered(signature, alterations);
    if changed != signature {
        // On secp256k1 there is one other signature with the same r; a few flipped bits do not lead there.
        assert!(!verify(kind, scheme, digest, &changed), "{kind:?} {scheme:?}: an altered signature is good");
    }
}

/// What both make of a ciphertext.
fn decrypt(kind: Kind, scheme: EncryptionScheme, ciphertext: &[u8]) -> Result<Vec<u8>, Refused> {
    let purpose = if scheme == EncryptionScheme::RsaPkcs1 { Purpose::Unwrap } else { Purpose::Decrypt };
    let Pair { native, portable } = pair(kind, purpose);
    let (mut out, mut other) = (vec![UNTOUCHED; ciphertext.len()], vec![UNTOUCHED; ciphertext.len()]);
    if purpose == Purpose::Unwrap {
        let Pair { native, portable } = pair(kind, Purpose::Decrypt);
        assert_eq!(native.decrypt(scheme, ciphertext, &mut Counting(2), &mut out), Err(Refused));
        assert_eq!(portable.decrypt(scheme, ciphertext, &mut Counting(3), &mut other), Err(Refused));
    }
    let len = native.decrypt(scheme, ciphertext, &mut Counting(2), &mut out);
    assert_eq!(portable.decrypt(scheme, ciphertext, &mut Counting(3), &mut other), len, "{kind:?} {scheme:?}");
    assert_eq!(out, other, "{kind:?} {scheme:?}");
    let plaintext = match len {
        Ok(len) => {
            out.truncate(len);
            Ok(out)
        }
        Err(Refused) => {
            assert!(out.iter().all(|byte| *byte == UNTOUCHED), "a refused ciphertext has written something");
            Err(Refused)
        }
    };
    match &plaintext {
        Ok(plaintext) => {
            unwrap(kind, scheme, ciphertext, plaintext.len(), Some(plaintext));
            unwrap(kind, scheme, ciphertext, plaintext.len() + 1, None);
        }
        Err(Refused) => unwrap(kind, scheme, ciphertext, 32, None),
    }
    plaintext
}

/// Both unwrap a ciphertext to `len` bytes: the ones expected, or what the source of randomness has.
fn unwrap(kind: Kind, scheme: EncryptionScheme, ciphertext: &[u8], len: usize, expected: Option<&[u8]>) {
    let Pair { native, portable } = pair(kind, Purpose::Unwrap);
    let (mut random, mut out, mut other) = (vec![0; len], vec![UNTOUCHED; len], vec![UNTOUCHED; len]);
    Counting(5).secret(&mut random).unwrap();
    let good = native.unwrap(scheme, ciphertext, &mut Counting(5), &mut out).unwrap();
    let also = portable.unwrap(scheme, ciphertext, &mut Counting(5), &mut other).unwrap();
    assert_eq!(bool::from(good), expected.is_some(), "{kind:?} {scheme:?}");
    assert_eq!(bool::from(also), expected.is_some(), "{kind:?} {scheme:?}");
    assert_eq!(out, expected.unwrap_or(&random), "{kind:?} {scheme:?}");
    assert_eq!(other, out, "{kind:?} {scheme:?}");
}

fn encrypted(kind: Kind, scheme: EncryptionScheme, plaintext: &[u8], by_native: bool, alterations: &[Alteration<'_>]) {
    let Pair { native, portable } = pair(kind, Purpose::Decrypt);
    let most = native.public().max_plaintext(scheme);
    assert_eq!(portable.public().max_plaintext(scheme), most);
    let mut ciphertext = vec![0; native.public().ciphertext_len(plaintext.len())];
    assert_eq!(portable.public().ciphertext_len(plaintext.len()), ciphertext.len());
    let made = if by_native {
        native.public().encrypt(scheme, plaintext, &mut Counting(4), &mut ciphertext)
    } else {
        portable.public().encrypt(scheme, plaintext, &mut Counting(4), &mut ciphertext)
    };
    let fits = most.is_some_and(|most| plaintext.len() <= most) && !(kind == Kind::Sm2 && plaintext.is_empty());
    assert_eq!(made.is_ok(), fits, "{kind:?} {scheme:?}, {} bytes", plaintext.len());
    if made.is_err() {
        return;
    }
    assert_eq!(decrypt(kind, scheme, &ciphertext).as_deref(), Ok(plaintext), "{kind:?} {scheme:?}");
    let changed = altered(&ciphertext, alterations);
    if changed != ciphertext {
        let opened = decrypt(kind, scheme, &changed);
        // One in some 100,000 has good padding again.
        let may_open = scheme == EncryptionScheme::RsaPkcs1 && changed.len() == ciphertext.len();
        assert!(may_open || opened == Err(Refused), "{kind:?} {scheme:?}: an altered ciphertext opens");
    }
}

fn public_key(kind: Kind, bytes: &[u8]) {
    let (native, portable) = (PublicKeyOf::<Native>::parse(kind, bytes), PublicKeyOf::<Portable>::parse(kind, bytes));
    assert_eq!(native.is_some(), portable.is_some(), "{kind:?}");
    if let (Some(native), Some(portable)) = (native, portable) {
        assert_eq!((native.kind(), portable.kind()), (kind, kind));
        assert_eq!(native.spki(), bytes, "one key has one form");
        assert_eq!(portable.spki(), bytes, "one key has one form");
    }
}

fn private_key(kind: Kind, bytes: &[u8]) {
    for purpose in PURPOSES {
        let native = PrivateKeyOf::<Native>::parse(kind, purpose, bytes);
        let portable = PrivateKeyOf::<Portable>::parse(kind, purpose, bytes);
        // What the store holds is authenticated, and of our own making: a PKCS#8 file that only one of them takes does no
        // harm. A number is a key for both or for neither.
        assert!(kind.modulus_len().is_some() || native.is_some() == portable.is_some(), "{kind:?}");
        if let (Some(native), Some(portable)) = (native, portable) {
            assert_eq!(native.public().spki(), portable.public().spki());
            assert_eq!(native.public().kind(), kind);
        }
    }
}
