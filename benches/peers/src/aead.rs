//! Messages under AES-256-GCM; and under SM4, which SoftHSM2 has not, and OpenSSL 3.0 not in GCM.

use std::hint::black_box;
use std::sync::Arc;

use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki_sys::{CK_GCM_PARAMS, CK_MECHANISM, CKM_AES_GCM};
use kms_benches::abi::Kms;
use kms_benches::layer::{CAbi, Layer, SPEC};
use kms_benches::{Contestant, Operation, Task};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::rand::rand_bytes;

use crate::done;
use crate::softhsm::{Calls, Token};

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const LENGTHS: [usize; 3] = [32, 1024, 6144];

/// The one key of OpenSSL and SoftHSM2, so that each can open what the other has sealed.
const KEY: [u8; 32] = *b"one key for both, of no secrecy.";

/// All groups: libkms first.
///
/// # Panics
/// When a contestant's result is wrong.
#[must_use]
pub fn groups(kms: &Arc<Kms>, token: &Token) -> Vec<(String, Vec<Contestant>)> {
    let softhsm = SoftHsm::new(token);
    each_opens_the_others(OpenSsl::new(), softhsm);
    let mut groups = Vec::new();
    for operation in [Operation::Encrypt, Operation::Decrypt] {
        for len in LENGTHS {
            let task = Task { operation, len };
            let contestants = vec![
                Contestant::new(task, CAbi::new(kms, SPEC)),
                Contestant::new(task, OpenSsl::new()),
                match operation {
                    Operation::Decrypt => softhsm.decrypting(task),
                    _ => Contestant::new(task, softhsm),
                },
            ];
            groups.push((format!("{task}, AES-256-GCM"), contestants));
        }
    }
    for operation in [Operation::Encrypt, Operation::Decrypt] {
        for len in LENGTHS {
            let task = Task { operation, len };
            let contestants =
                vec![Contestant::new(task, CAbi::new(kms, "Aliyun_SM4")), Contestant::new(task, Sm4Ctr::new())];
            groups.push((format!("{task}, SM4"), contestants));
        }
    }
    groups
}

/// OpenSSL and SoftHSM2 have one key and one form of a message.
fn each_opens_the_others(mut openssl: OpenSsl, mut softhsm: SoftHsm) {
    let plaintext: Vec<u8> = (0..1000).map(|i| (i % 251) as u8).collect();
    let mut sealed = vec![0; plaintext.len() + NONCE_LEN + TAG_LEN];
    let mut opened = vec![0; plaintext.len()];
    openssl.encrypt(&plaintext, &mut sealed);
    softhsm.decrypt(&sealed, &mut opened);
    assert!(opened == plaintext, "SoftHSM2 opens what OpenSSL has sealed");
    opened.fill(0);
    softhsm.encrypt(&plaintext, &mut sealed);
    openssl.decrypt(&sealed, &mut opened);
    assert!(opened == plaintext, "OpenSSL opens what SoftHSM2 has sealed");
}

/// EVP with AES-256-GCM: one context for each direction, which has the key.
struct OpenSsl {
    seal: CipherCtx,
    open: CipherCtx,
}

impl OpenSsl {
    fn new() -> Self {
        let (mut seal, mut open) = (done(CipherCtx::new()), done(CipherCtx::new()));
        done(seal.encrypt_init(Some(Cipher::aes_256_gcm()), Some(&KEY), None));
        done(open.decrypt_init(Some(Cipher::aes_256_gcm()), Some(&KEY), None));
        Self { seal, open }
    }
}

impl Layer for OpenSsl {
    const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

    fn name(&self) -> String {
        "OpenSSL".to_owned()
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let (nonce, sealed) = out.split_at_mut(NONCE_LEN);
        let (text, tag) = sealed.split_at_mut(plaintext.len());
        done(rand_bytes(nonce));
        done(self.seal.encrypt_init(None, None, Some(nonce)));
        done(self.seal.cipher_update(plaintext, Some(text)));
        done(self.seal.cipher_final(&mut []));
        done(self.seal.tag(tag));
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let (nonce, sealed) = sealed.split_at(NONCE_LEN);
        let (text, tag) = sealed.split_at(out.len());
        done(self.open.decrypt_init(None, None, Some(nonce)));
        done(self.open.set_tag(tag));
        done(self.open.cipher_update(text, Some(out)));
        done(self.open.cipher_final(&mut []));
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        done(rand_bytes(data_key));
        self.encrypt(data_key, out);
    }
}

/// PKCS #11 with a key on the token.
#[derive(Clone, Copy)]
struct SoftHsm {
    calls: Calls,
    key: ObjectHandle,
}

impl SoftHsm {
    fn new(token: &Token) -> Self {
        let key = token.session.create_object(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Value(KEY.to_vec()),
        ]);
        Self { calls: token.calls, key: key.expect("a key of 32 bytes") }
    }
}

impl SoftHsm {
    /// Decryption as a caller has it who knows that `C_Decrypt` wants room for the tag too. [`Layer`] has just the plaintext's,
    /// and would pay for a copy.
    fn decrypting(mut self, task: Task) -> Contestant {
        let plaintext: Vec<u8> = (0..task.len).map(|i| (i % 251) as u8).collect();
        let mut message = vec![0; task.len + Self::OVERHEAD];
        self.encrypt(&plaintext, &mut message);
        let mut out = vec![0; task.len + TAG_LEN];
        self.decrypt(&message, &mut out[..task.len]);
        assert!(out[..task.len] == plaintext, "SoftHSM2 opens to something else than it has sealed");
        let decrypt = move || {
            let (nonce, sealed) = black_box(&message).split_at(NONCE_LEN);
            let mut parameters = parameters(nonce);
            // SAFETY: as for `encrypt`.
            let len = unsafe { self.calls.decrypt(mechanism(&mut parameters), self.key, sealed, black_box(&mut out)) };
            assert_eq!(len, task.len);
        };
        Contestant::of(self.name(), decrypt)
    }
}

/// What GCM needs to know of a message.
fn parameters(nonce: &[u8]) -> CK_GCM_PARAMS {
    let (len, bits) = (nonce.len() as u64, 8 * nonce.len() as u64);
    CK_GCM_PARAMS {
        pIv: nonce.as_ptr().cast_mut(),
        ulIvLen: len,
        ulIvBits: bits,
        pAAD: std::ptr::null_mut(),
        ulAADLen: 0,
        ulTagBits: 8 * TAG_LEN as u64,
    }
}

fn mechanism(parameters: &mut CK_GCM_PARAMS) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: CKM_AES_GCM,
        pParameter: std::ptr::from_mut(parameters).cast(),
        ulParameterLen: size_of::<CK_GCM_PARAMS>() as u64,
    }
}

impl Layer for SoftHsm {
    const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

    fn name(&self) -> String {
        "SoftHSM2".to_owned()
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let (nonce, sealed) = out.split_at_mut(NONCE_LEN);
        self.calls.random(nonce);
        let mut parameters = parameters(nonce);
        // SAFETY: the parameters and the nonce are there, and are those of AES-GCM.
        let len = unsafe { self.calls.encrypt(mechanism(&mut parameters), self.key, plaintext, sealed) };
        assert_eq!(len, sealed.len());
    }

    /// Not what is timed, see [`SoftHsm::decrypting`].
    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let (nonce, sealed) = sealed.split_at(NONCE_LEN);
        let mut parameters = parameters(nonce);
        let mut longer = vec![0; sealed.len()];
        // SAFETY: as for `encrypt`.
        let len = unsafe { self.calls.decrypt(mechanism(&mut parameters), self.key, sealed, &mut longer) };
        out.copy_from_slice(&longer[..len]);
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        self.calls.random(data_key);
        self.encrypt(data_key, out);
    }
}

/// EVP with SM4-CTR: less than the others do, there is no tag.
struct Sm4Ctr {
    seal: CipherCtx,
    open: CipherCtx,
}

const COUNTER_LEN: usize = 16;

impl Sm4Ctr {
    fn new() -> Self {
        let (mut seal, mut open) = (done(CipherCtx::new()), done(CipherCtx::new()));
        done(seal.encrypt_init(Some(Cipher::sm4_ctr()), Some(&KEY[..16]), None));
        done(open.decrypt_init(Some(Cipher::sm4_ctr()), Some(&KEY[..16]), None));
        Self { seal, open }
    }
}

impl Layer for Sm4Ctr {
    const OVERHEAD: usize = COUNTER_LEN;

    fn name(&self) -> String {
        "OpenSSL, SM4-CTR, without a tag".to_owned()
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let (counter, sealed) = out.split_at_mut(COUNTER_LEN);
        done(rand_bytes(counter));
        done(self.seal.encrypt_init(None, None, Some(counter)));
        done(self.seal.cipher_update(plaintext, Some(sealed)));
        done(self.seal.cipher_final(&mut []));
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let (counter, sealed) = sealed.split_at(COUNTER_LEN);
        done(self.open.decrypt_init(None, None, Some(counter)));
        done(self.open.cipher_update(sealed, Some(out)));
        done(self.open.cipher_final(&mut []));
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        done(rand_bytes(data_key));
        self.encrypt(data_key, out);
    }
}
