//! Digests of messages that are signed: SHA-256 (FIPS 180-4) and SM3 (GB/T 32905-2016).

use core::fmt;

use sha2::Sha256;
use sm3::{Digest as _, Sm3};

use super::asymmetric::DIGEST_LEN;

/// A message on its way to its digest. Its state is wiped when it goes.
pub struct Digester(State);

enum State {
    Sha256(Sha256),
    Sm3(Sm3),
}

impl Digester {
    /// For SHA-256.
    #[must_use]
    pub fn sha256() -> Self {
        Self(State::Sha256(Sha256::new()))
    }

    /// For SM3, with Z_A of the signer in front of the message.
    #[must_use]
    pub fn sm3(identity_hash: &[u8; DIGEST_LEN]) -> Self {
        Self(State::Sm3(Sm3::new().chain_update(identity_hash)))
    }

    /// Adds a piece of the message.
    pub fn update(&mut self, message: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(message),
            State::Sm3(hash) => hash.update(message),
        }
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> [u8; DIGEST_LEN] {
        match self.0 {
            State::Sha256(hash) => hash.finalize().into(),
            State::Sm3(hash) => hash.finalize().into(),
        }
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Sha256(_) => "Digester(SHA-256)",
            State::Sm3(_) => "Digester(SM3)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: FIPS 180-4 example "abc"; `openssl dgst -sm3` of 32 bytes 0x01 and "abc".
    #[test]
    fn a_message_may_come_in_pieces() {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sm3 = "9c69d295b470d4babd95404991db5b367fab7b681c5bc227f4603cdc1a7c5f55";
        for split in 0..=3 {
            for (mut digester, expected) in [(Digester::sha256(), sha256), (Digester::sm3(&[1; 32]), sm3)] {
                let (front, rest) = b"abc".split_at(split);
                digester.update(front);
                digester.update(rest);
                assert_eq!(hex::encode(digester.finish()), expected);
            }
        }
    }
}
