//! Every provider against itself and every other, and the edges of what is accepted. The vectors of others are in
//! `tests/asymmetric_vectors.rs`, OpenSSL in `tests/openssl.rs`.

use super::*;

mod unwrap;

/// Counts up: no secret, but never the same twice.
struct Counting(u64);

impl Rng for Counting {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in out.chunks_mut(32) {
            self.0 += 1;
            let block: [u8; 32] =
                sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), self.0.to_le_bytes()))
                    .into();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.secret(out)
    }
}

/// A source that has nothing to give.
struct Dry;

impl Rng for Dry {
    fn secret(&mut self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }

    fn public(&mut self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

/// A source that gives one byte for ever.
struct Stuck(u8);

impl Rng for Stuck {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill(self.0);
        Ok(())
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.secret(out)
    }
}

const SIGNATURES: [(Kind, SignatureScheme); 7] = [
    (Kind::Rsa2048, SignatureScheme::RsaPss),
    (Kind::Rsa2048, SignatureScheme::RsaPkcs1),
    (Kind::Rsa3072, SignatureScheme::RsaPss),
    (Kind::Rsa3072, SignatureScheme::RsaPkcs1),
    (Kind::P256, SignatureScheme::Ecdsa),
    (Kind::Secp256k1, SignatureScheme::Ecdsa),
    (Kind::Sm2, SignatureScheme::Sm2),
];

const ENCRYPTIONS: [(Kind, EncryptionScheme, usize); 7] = [
    (Kind::Rsa2048, EncryptionScheme::OaepSha256, 190),
    (Kind::Rsa2048, EncryptionScheme::OaepSha1, 214),
    (Kind::Rsa2048, EncryptionScheme::RsaPkcs1, 245),
    (Kind::Rsa3072, EncryptionScheme::OaepSha256, 318),
    (Kind::Rsa3072, EncryptionScheme::OaepSha1, 342),
    (Kind::Rsa3072, EncryptionScheme::RsaPkcs1, 373),
    (Kind::Sm2, EncryptionScheme::Sm2, 6047),
];

/// The material of one key of each kind; RSA keys take long to make.
fn material(kind: Kind) -> &'static [u8] {
    static MADE: std::sync::OnceLock<Vec<SecretBytes>> = std::sync::OnceLock::new();
    let made = MADE
        .get_or_init(|| Kind::ALL.map(|kind| PrivateKey::generate(kind, &mut Counting(0)).expect("it counts")).into());
    made[kind as usize].expose()
}

fn private<P: Provider>(kind: Kind, purpose: Purpose) -> PrivateKeyOf<P> {
    PrivateKeyOf::parse(kind, purpose, material(kind)).expect("material is parsed by every provider")
}

/// Goal: what one provider signs or encrypts, the other verifies or decrypts, at the shortest and longest plaintexts; and
/// both have the same public key.
fn agree<A: Provider, B: Provider>() {
    let rng = &mut Counting(1000);
    for (kind, scheme) in SIGNATURES {
        let (signer, verifier) = (private::<A>(kind, Purpose::Sign), private::<B>(kind, Purpose::Sign));
        assert_eq!(signer.public().spki(), verifier.public().spki(), "{kind:?}");
        let verifier = PublicKeyOf::<B>::parse(kind, &verifier.public().spki()).expect("its own form");
        for digest in [[0; 32], [0xff; 32], *b"0123456789abcdef0123456789abcdef"] {
            let mut out = [0; MAX_SIGNATURE];
            let len = signer.sign(scheme, &digest, rng, &mut out).expect("it fits");
            assert!(len <= kind.max_signature());
            assert!(verifier.verify(scheme, &digest, &out[..len]), "{kind:?} {scheme:?}");
            for i in [0, len / 2, len - 1] {
                let mut altered = out;
                altered[i] ^= 1;
                assert!(!verifier.verify(scheme, &digest, &altered[..len]), "{kind:?} {scheme:?}, byte {i}");
            }
            assert!(!verifier.verify(scheme, &digest, &out[..len - 1]));
            assert!(!verifier.verify(scheme, &digest, b""));
            assert!(!verifier.verify(scheme, &[1; 32], &out[..len]));
        }
    }
    for (kind, scheme, most) in ENCRYPTIONS {
        // Nothing authenticates it, and one in some 100,000 altered ciphertexts has good padding.
        let (purpose, is_authentic) = match scheme {
            EncryptionScheme::RsaPkcs1 => (Purpose::Unwrap, false),
            _ => (Purpose::Decrypt, true),
        };
        let (sender, receiver) = (private::<A>(kind, purpose), private::<B>(kind, purpose));
        let sender = sender.public();
        assert_eq!(sender.max_plaintext(scheme), Some(most));
        let long: Vec<u8> = (0..=most).map(|i| i as u8).collect();
        for len in [1, 16, 32, 33, most] {
            let mut ciphertext = vec![0; sender.ciphertext_len(len)];
            assert_eq!(sender.encrypt(scheme, &long[..len], rng, &mut ciphertext), Ok(()));
            let mut out = vec![0x5a; ciphertext.len()];
            assert_eq!(receiver.decrypt(scheme, &ciphertext, rng, &mut out), Ok(len), "{kind:?} {scheme:?} {len}");
            assert_eq!(out[..len], long[..len]);
            for i in [0, 1, ciphertext.len() / 2, ciphertext.len() - 1].into_iter().filter(|_| is_authentic) {
                let (mut altered, mut out) = (ciphertext.clone(), vec![0x5a; ciphertext.len()]);
                altered[i] ^= 1;
                assert_eq!(receiver.decrypt(scheme, &altered, rng, &mut out), Err(Refused), "{kind:?} {scheme:?} {i}");
                assert!(out.iter().all(|byte| *byte == 0x5a), "nothing is written");
            }
            let mut short = vec![0; len - 1];
            assert_eq!(receiver.decrypt(scheme, &ciphertext, rng, &mut short), Err(Refused));
            assert_eq!(receiver.decrypt(scheme, &ciphertext[1..], rng, &mut out), Err(Refused));
            assert_eq!(receiver.decrypt(scheme, &[], rng, &mut out), Err(Refused));
        }
        let mut ciphertext = vec![0; sender.ciphertext_len(most + 1)];
        assert_eq!(sender.encrypt(scheme, &long, rng, &mut ciphertext), Err(Refused));
    }
}

#[test]
fn a_provider_agrees_with_itself() {
    agree::<DefaultProvider, DefaultProvider>();
}

#[cfg(all(feature = "native", feature = "portable"))]
#[test]
fn providers_agree() {
    agree::<Native, Portable>();
    agree::<Portable, Native>();
}

/// Goal: a key does nothing that is not its kind's and its purpose's.
#[test]
fn a_key_refuses_what_is_not_its_own() {
    let rng = &mut Counting(0);
    for kind in Kind::ALL {
        let [signer, decrypter, unwrapper] =
            [Purpose::Sign, Purpose::Decrypt, Purpose::Unwrap].map(|purpose| private::<DefaultProvider>(kind, purpose));
        for scheme in [SignatureScheme::RsaPss, SignatureScheme::RsaPkcs1, SignatureScheme::Ecdsa, SignatureScheme::Sm2]
        {
            let fits = SIGNATURES.contains(&(kind, scheme));
            assert_eq!(
                signer.sign(scheme, &[1; 32], rng, &mut [0; MAX_SIGNATURE]).is_ok(),
                fits,
                "{kind:?} {scheme:?}"
            );
            assert!(fits || !signer.public().verify(scheme, &[1; 32], &[1; 256]));
            if kind.modulus_len().is_some() {
                assert_eq!(decrypter.sign(scheme, &[1; 32], rng, &mut [0; MAX_SIGNATURE]), Err(Refused));
                assert_eq!(unwrapper.sign(scheme, &[1; 32], rng, &mut [0; MAX_SIGNATURE]), Err(Refused));
            }
        }
        for scheme in [
            EncryptionScheme::OaepSha256,
            EncryptionScheme::OaepSha1,
            EncryptionScheme::RsaPkcs1,
            EncryptionScheme::Sm2,
        ] {
            let fits = ENCRYPTIONS.iter().any(|row| (row.0, row.1) == (kind, scheme));
            assert_eq!(decrypter.public().max_plaintext(scheme).is_some(), fits);
            let mut out = vec![0; decrypter.public().ciphertext_len(1)];
            assert_eq!(decrypter.public().encrypt(scheme, b"a", rng, &mut out).is_ok(), fits, "{kind:?} {scheme:?}");
            assert_eq!(unwrapper.decrypt(scheme, &out, rng, &mut [0; 400]).is_ok(), fits, "{kind:?} {scheme:?}");
            let fits = fits && scheme != EncryptionScheme::RsaPkcs1;
            assert_eq!(decrypter.decrypt(scheme, &out, rng, &mut [0; 400]).is_ok(), fits, "{kind:?} {scheme:?}");
            if kind.modulus_len().is_some() {
                assert_eq!(signer.decrypt(scheme, &out, rng, &mut [0; 400]), Err(Refused));
            }
        }
    }
}

#[test]
fn material_of_another_kind_is_refused() {
    for kind in Kind::ALL {
        for other in Kind::ALL {
            let is_number = |kind: Kind| kind.modulus_len().is_none();
            let parses = PrivateKey::parse(kind, Purpose::Sign, material(other)).is_some();
            assert_eq!(parses, kind == other || is_number(kind) && is_number(other), "{kind:?} from {other:?}");
            let spki = private::<DefaultProvider>(other, Purpose::Sign).public().spki();
            assert_eq!(PublicKey::parse(kind, &spki).is_some(), kind == other, "{kind:?} from {other:?}");
        }
    }
}

/// The orders of the three curves (SP 800-186; SEC 2; GB/T 32918.5).
const ORDERS: [(Kind, &str); 3] = [
    (Kind::P256, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
    (Kind::Secp256k1, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
    (Kind::Sm2, "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"),
];

/// Goal: private keys are the numbers from 1 to n - 1, for SM2 to n - 2.
#[test]
fn secret_numbers_are_in_range() {
    for (kind, order) in ORDERS {
        let order = hex::decode(order).expect("hexadecimal");
        let minus = |n: u8| {
            let mut number = order.clone();
            number[31] -= n;
            number
        };
        let parses = |number: &[u8]| PrivateKey::parse(kind, Purpose::Sign, number).is_some();
        let mut one = [0; 32];
        one[31] = 1;
        assert!(parses(&one) && parses(&minus(2)));
        assert_eq!(parses(&minus(1)), kind != Kind::Sm2, "{kind:?}");
        assert!(!parses(&order) && !parses(&[0; 32]) && !parses(&[0xff; 32]));
        assert!(!parses(&one[1..]) && !parses(&[0; 33]) && !parses(b""));
    }
}

/// Goal: a key that cannot be drawn is an error, not a weak key.
#[test]
fn without_entropy_there_is_no_key() {
    for kind in [Kind::P256, Kind::Secp256k1, Kind::Sm2] {
        assert_eq!(PrivateKey::generate(kind, &mut Dry).map(|_| ()), Err(EntropyError));
        for byte in [0, 0xff] {
            assert_eq!(PrivateKey::generate(kind, &mut Stuck(byte)).map(|_| ()), Err(EntropyError));
        }
        assert!(PrivateKey::generate(kind, &mut Stuck(1)).is_ok());
    }
    let sm2 = private::<DefaultProvider>(Kind::Sm2, Purpose::Decrypt);
    assert_eq!(sm2.public().encrypt(EncryptionScheme::Sm2, b"a", &mut Dry, &mut [0; 98]), Err(Refused));
    assert_eq!(sm2.sign(SignatureScheme::Sm2, &[1; 32], &mut Dry, &mut [0; 72]), Err(Refused));
}

/// Goal: a broken source of randomness does not repeat a nonce for different digests, which would show the key; signatures
/// of one digest differ when the source works.
#[test]
fn nonces_hang_on_the_digest_and_on_the_randomness() {
    for (kind, scheme) in [(Kind::Secp256k1, SignatureScheme::Ecdsa), (Kind::Sm2, SignatureScheme::Sm2)] {
        let key = private::<DefaultProvider>(kind, Purpose::Sign);
        let sign = |digest: u8, rng: &mut dyn Rng| {
            let mut out = [0; MAX_SIGNATURE];
            let len = key.sign(scheme, &[digest; 32], rng, &mut out).expect("it fits");
            Signature::read(&out[..len]).expect("it is DER")
        };
        let (a, b) = (sign(1, &mut Stuck(7)), sign(2, &mut Stuck(7)));
        assert_ne!(a.r, b.r, "{kind:?}: with one nonce r would be equal, or for SM2 differ by the digests' difference");
        assert_eq!(a.s, sign(1, &mut Stuck(7)).s);
        assert_ne!(a.r, sign(1, &mut Stuck(8)).r);
    }
}

/// Goal: an SM2 ciphertext is taken in the DER form too, and neither form with a point off the curve, at infinity, or
/// compressed. Method: the DER is put together here by hand.
#[test]
fn sm2_ciphertexts_have_two_forms() {
    let key = private::<DefaultProvider>(Kind::Sm2, Purpose::Decrypt);
    let rng = &mut Counting(5);
    let mut raw = vec![0; key.public().ciphertext_len(5)];
    key.public().encrypt(EncryptionScheme::Sm2, b"hello", rng, &mut raw).expect("it is short");
    let integer = |bytes: &[u8]| {
        let bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = if bytes[0] >= 0x80 { &[0][..] } else { &[] };
        [&[2, (sign.len() + bytes.len()) as u8], sign, &bytes].concat()
    };
    let der = |point: &[u8], c3: &[u8], c2: &[u8]| {
        let octets = |bytes: &[u8]| [&[4, bytes.len() as u8], bytes].concat();
        let body = [integer(&point[1..33]), integer(&point[33..65]), octets(c3), octets(c2)].concat();
        [&[0x30, body.len() as u8], &body[..]].concat()
    };
    let open = |ciphertext: &[u8]| {
        let mut out = [0; 200];
        key.decrypt(EncryptionScheme::Sm2, ciphertext, &mut Counting(0), &mut out).map(|len| out[..len].to_vec())
    };
    let good = der(&raw[..65], &raw[65..97], &raw[97..]);
    assert_eq!(open(&raw), Ok(b"hello".to_vec()));
    assert_eq!(open(&good), Ok(b"hello".to_vec()));
    assert_eq!(open(&[&good[..], &[0]].concat()), Err(Refused), "bytes left over");
    assert_eq!(open(&der(&raw[..65], &raw[65..96], &raw[97..])), Err(Refused), "a short C3");
    assert_eq!(open(&der(&raw[..65], &raw[65..97], &[])), Err(Refused), "nothing encrypted");
    assert_eq!(open(&raw[..97]), Err(Refused), "nothing encrypted");
    let mut off = raw.clone();
    off[64] ^= 1;
    assert_eq!(open(&off), Err(Refused), "off the curve");
    assert_eq!(open(&der(&off[..65], &raw[65..97], &raw[97..])), Err(Refused), "off the curve");
    let compressed = [&[2 + (raw[64] & 1)][..], &raw[1..33], &raw[65..]].concat();
    assert_eq!(open(&compressed), Err(Refused));
    assert_eq!(open(&[&[0][..], &raw[65..]].concat()), Err(Refused), "infinity");
    assert_eq!(open(&vec![4; 6145]), Err(Refused), "too long");
}

/// Goal: lines of 64, each ended. Expected text: by hand, RFC 7468.
#[test]
fn pem_has_lines_of_64() {
    let text = pem(&[0; 49]);
    let expected = ["-----BEGIN PUBLIC KEY-----", &"A".repeat(64), "AA==", "-----END PUBLIC KEY-----", ""].join("\n");
    assert_eq!(text, expected);
    assert_eq!(pem(&[0; 48]).lines().count(), 3);
}

/// Goal: public keys of others are refused for what would make them weak or ambiguous.
#[test]
fn public_keys_are_checked() {
    let spki = private::<DefaultProvider>(Kind::Sm2, Purpose::Decrypt).public().spki();
    let refused = |kind, spki: &[u8]| PublicKey::parse(kind, spki).is_none();
    assert!(refused(Kind::Sm2, &[&spki[..], &[0]].concat()), "bytes left over");
    assert!(refused(Kind::Sm2, &spki[..spki.len() - 1]));
    let mut off = spki.clone();
    *off.last_mut().expect("it has bytes") ^= 1;
    assert!(refused(Kind::Sm2, &off), "off the curve");
    let rsa = private::<DefaultProvider>(Kind::Rsa2048, Purpose::Decrypt).public().spki();
    assert!(!refused(Kind::Rsa2048, &rsa));
    let end = rsa.len();
    assert_eq!(rsa[end - 5..], [2, 3, 1, 0, 1], "the exponent stands last");
    for (exponent, why) in [([1, 0, 0], "even"), ([0, 0, 3], "not minimal"), ([0x80, 0, 1], "negative")] {
        let mut other = rsa.clone();
        other[end - 3..].copy_from_slice(&exponent);
        assert!(refused(Kind::Rsa2048, &other), "{why}");
    }
    let mut even = rsa.clone();
    even[end - 6] &= 0xfe;
    assert!(refused(Kind::Rsa2048, &even), "an even modulus");
}
