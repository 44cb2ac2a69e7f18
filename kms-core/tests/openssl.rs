//! Interoperation with the OpenSSL command line, both ways, for every algorithm: what one signs or encrypts the other
//! verifies or decrypts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kms_core::crypto::asymmetric::{
    EncryptionScheme, Kind, MAX_SIGNATURE, PrivateKey, PublicKey, Purpose, SM2_DEFAULT_USER_ID, SignatureScheme, pem,
};
use kms_core::crypto::digest::Digester;
use kms_core::rng::{EntropyError, Rng};

/// Another number for each draw; nothing here is a secret.
struct Counting(u64);

impl Rng for Counting {
    fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in out.chunks_mut(32) {
            self.0 += 1;
            let mut digester = Digester::sha256();
            digester.update(&self.0.to_le_bytes());
            chunk.copy_from_slice(&digester.finish()[..chunk.len()]);
        }
        Ok(())
    }

    fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.secret(out)
    }
}

const MESSAGE: &[u8] = b"a message that is signed here and verified there";

/// A directory of files that are handed to the command.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs `openssl` with these arguments, in the directory.
    fn try_openssl(&self, arguments: &str) -> Output {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.0.path() as &Path);
        command.output().unwrap_or_else(|error| panic!("the command openssl does not start: {error}"))
    }

    fn openssl(&self, arguments: &str) {
        let output = self.try_openssl(arguments);
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

struct Signing {
    kind: Kind,
    scheme: SignatureScheme,
    /// How OpenSSL makes such a key, and its options for `pkeyutl`.
    genpkey: &'static str,
    options: &'static str,
}

const RSA_2048: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const RSA_3072: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:3072";
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const SECP256K1: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1";
const SM2: &str = "-algorithm SM2";
const PSS: &str = "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32";

/// SM2 hashes in `pkeyutl` itself, with Z_A; the others are given the digest.
const SIGNINGS: [Signing; 7] = [
    Signing { kind: Kind::Rsa2048, scheme: SignatureScheme::RsaPss, genpkey: RSA_2048, options: PSS },
    Signing { kind: Kind::Rsa3072, scheme: SignatureScheme::RsaPss, genpkey: RSA_3072, options: PSS },
    Signing {
        kind: Kind::Rsa2048,
        scheme: SignatureScheme::RsaPkcs1,
        genpkey: RSA_2048,
        options: "-pkeyopt digest:sha256",
    },
    Signing {
        kind: Kind::Rsa3072,
        scheme: SignatureScheme::RsaPkcs1,
        genpkey: RSA_3072,
        options: "-pkeyopt digest:sha256",
    },
    Signing { kind: Kind::P256, scheme: SignatureScheme::Ecdsa, genpkey: P256, options: "" },
    Signing { kind: Kind::Secp256k1, scheme: SignatureScheme::Ecdsa, genpkey: SECP256K1, options: "" },
    Signing {
        kind: Kind::Sm2,
        scheme: SignatureScheme::Sm2,
        genpkey: SM2,
        options: "-rawin -digest sm3 -pkeyopt distid:1234567812345678",
    },
];

fn digest(key: &PublicKey) -> [u8; 32] {
    let mut digester = match key.sm2_identity_hash(SM2_DEFAULT_USER_ID) {
        Some(identity_hash) => Digester::sm3(&identity_hash),
        None => Digester::sha256(),
    };
    digester.update(MESSAGE);
    digester.finish()
}

/// Writes what `pkeyutl` signs or verifies.
fn write_input(desk: &Desk, kind: Kind, digest: &[u8; 32]) {
    if kind == Kind::Sm2 { desk.write("input", MESSAGE) } else { desk.write("input", digest) }
}

fn own_key(kind: Kind, purpose: Purpose) -> PrivateKey {
    let material = PrivateKey::generate(kind, &mut Counting(7)).unwrap();
    PrivateKey::parse(kind, purpose, material.expose()).unwrap()
}

#[test]
fn openssl_verifies_what_we_sign() {
    for Signing { kind, scheme, options, .. } in SIGNINGS {
        let (desk, key) = (Desk::new(), own_key(kind, Purpose::Sign));
        let digest = digest(key.public());
        let mut signature = [0; MAX_SIGNATURE];
        let len = key.sign(scheme, &digest, &mut Counting(9), &mut signature).unwrap();
        desk.write("public.pem", pem(&key.public().spki()));
        desk.write("signature", &signature[..len]);
        write_input(&desk, kind, &digest);
        let verify = format!("pkeyutl -verify -pubin -inkey public.pem -in input -sigfile signature {options}");
        desk.openssl(&verify);
        signature[len - 1] ^= 1;
        desk.write("signature", &signature[..len]);
        assert!(!desk.try_openssl(&verify).status.success(), "the command does verify");
    }
}

#[test]
fn we_verify_what_openssl_signs() {
    for Signing { kind, scheme, genpkey, options } in SIGNINGS {
        let desk = Desk::new();
        desk.openssl(&format!("genpkey {genpkey} -out private.pem"));
        desk.openssl("pkey -in private.pem -pubout -outform DER -out public.der");
        let spki = desk.read("public.der");
        let key = PublicKey::parse(kind, &spki).expect("OpenSSL's public key");
        assert_eq!(key.spki(), spki);
        desk.openssl("pkey -in private.pem -pubout -out public.pem");
        assert_eq!(pem(&spki).as_bytes(), desk.read("public.pem"));
        let digest = digest(&key);
        write_input(&desk, kind, &digest);
        // Half of OpenSSL's signatures on secp256k1 have the higher s, which `k256` by itself refuses.
        for _ in 0..if kind == Kind::Secp256k1 { 12 } else { 1 } {
            desk.openssl(&format!("pkeyutl -sign -inkey private.pem -in input -out signature {options}"));
            let signature = desk.read("signature");
            assert!(key.verify(scheme, &digest, &signature), "{kind:?} {scheme:?}");
            assert!(!key.verify(scheme, &[0; 32], &signature));
        }
    }
}

/// PSS with every other length of salt (OP-50): none, one byte, SHA-1's, the longest.
#[test]
fn we_verify_pss_with_any_salt() {
    let desk = Desk::new();
    desk.openssl(&format!("genpkey {RSA_2048} -out private.pem"));
    desk.openssl("pkey -in private.pem -pubout -outform DER -out public.der");
    let key = PublicKey::parse(Kind::Rsa2048, &desk.read("public.der")).unwrap();
    let digest = digest(&key);
    desk.write("input", digest);
    for salt in ["0", "1", "20", "digest", "64", "max"] {
        let options = PSS.replace("saltlen:32", &format!("saltlen:{salt}"));
        desk.openssl(&format!("pkeyutl -sign -inkey private.pem -in input -out signature {options}"));
        let mut signature = desk.read("signature");
        assert!(key.verify(SignatureScheme::RsaPss, &digest, &signature), "salt {salt}");
        signature[100] ^= 1;
        assert!(!key.verify(SignatureScheme::RsaPss, &digest, &signature), "salt {salt}");
    }
}

const OAEP_SHA256: &str = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";
const OAEP_SHA1: &str = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha1";

const PKCS1: &str = "-pkeyopt rsa_padding_mode:pkcs1";

/// Kind, scheme, how OpenSSL makes a key, and its options.
const ENCRYPTIONS: [(Kind, EncryptionScheme, &str, &str); 7] = [
    (Kind::Rsa2048, EncryptionScheme::OaepSha256, RSA_2048, OAEP_SHA256),
    (Kind::Rsa2048, EncryptionScheme::OaepSha1, RSA_2048, OAEP_SHA1),
    (Kind::Rsa2048, EncryptionScheme::RsaPkcs1, RSA_2048, PKCS1),
    (Kind::Rsa3072, EncryptionScheme::OaepSha256, RSA_3072, OAEP_SHA256),
    (Kind::Rsa3072, EncryptionScheme::OaepSha1, RSA_3072, OAEP_SHA1),
    (Kind::Rsa3072, EncryptionScheme::RsaPkcs1, RSA_3072, PKCS1),
    (Kind::Sm2, EncryptionScheme::Sm2, SM2, "-pkeyopt digest:sm3"),
];

#[test]
fn we_decrypt_what_openssl_encrypts() {
    for (kind, scheme, _, options) in ENCRYPTIONS {
        let purpose = if scheme == EncryptionScheme::RsaPkcs1 { Purpose::Unwrap } else { Purpose::Decrypt };
        let (desk, key) = (Desk::new(), own_key(kind, purpose));
        desk.write("public.pem", pem(&key.public().spki()));
        desk.write("input", MESSAGE);
        desk.openssl(&format!("pkeyutl -encrypt -pubin -inkey public.pem -in input -out ciphertext {options}"));
        let mut out = [0; 512];
        let len = key.decrypt(scheme, &desk.read("ciphertext"), &mut Counting(1), &mut out);
        assert_eq!(len.map(|len| &out[..len]), Ok(MESSAGE), "{kind:?} {scheme:?}");
        let mut out = [0; MESSAGE.len()];
        let good = key.unwrap(scheme, &desk.read("ciphertext"), &mut Counting(1), &mut out).unwrap();
        assert!(bool::from(good) && out == MESSAGE, "{kind:?} {scheme:?}");
    }
}

#[test]
fn openssl_decrypts_what_we_encrypt() {
    for (kind, scheme, genpkey, options) in ENCRYPTIONS {
        let desk = Desk::new();
        desk.openssl(&format!("genpkey {genpkey} -out private.pem"));
        desk.openssl("pkey -in private.pem -pubout -outform DER -out public.der");
        let key = PublicKey::parse(kind, &desk.read("public.der")).unwrap();
        let mut ciphertext = vec![0; key.ciphertext_len(MESSAGE.len())];
        key.encrypt(scheme, MESSAGE, &mut Counting(3), &mut ciphertext).unwrap();
        desk.write("ciphertext", if kind == Kind::Sm2 { sm2_der(&ciphertext) } else { ciphertext });
        desk.openssl(&format!("pkeyutl -decrypt -inkey private.pem -in ciphertext -out plaintext {options}"));
        assert_eq!(desk.read("plaintext"), MESSAGE, "{kind:?} {scheme:?}");
    }
}

/// The DER form of GM/T 0009, the only one that OpenSSL reads, of `04 || X || Y || C3 || C2`.
fn sm2_der(raw: &[u8]) -> Vec<u8> {
    let element = |tag: u8, bytes: &[u8]| match u8::try_from(bytes.len()).unwrap() {
        len @ ..0x80 => [&[tag, len], bytes].concat(),
        len => [&[tag, 0x81, len], bytes].concat(),
    };
    let integer = |bytes: &[u8]| {
        let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
        element(2, &[sign, &digits].concat())
    };
    let body = [integer(&raw[1..33]), integer(&raw[33..65]), element(4, &raw[65..97]), element(4, &raw[97..])].concat();
    element(0x30, &body)
}
