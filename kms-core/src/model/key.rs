//! A key: everything about it except its material.

use super::{Tags, texts};
use crate::crypto::Cipher;
use crate::crypto::asymmetric;
use crate::id::{KeyId, KeyVersionId};
use crate::state::{Event, KeyState, Next};
use crate::time::{Interval, Timestamp};

texts! {
    /// The kind of a key's material (contract, chapter 4).
    KeySpec {
        /// AES with 256 bits, the default.
        Aes256 = "Aliyun_AES_256",
        /// AES with 128 bits.
        Aes128 = "Aliyun_AES_128",
        /// AES with 192 bits.
        Aes192 = "Aliyun_AES_192",
        /// SM4 (GB/T 32907), 128 bits.
        Sm4 = "Aliyun_SM4",
        /// RSA with a modulus of 2048 bits.
        Rsa2048 = "RSA_2048",
        /// RSA with a modulus of 3072 bits.
        Rsa3072 = "RSA_3072",
        /// NIST P-256 (secp256r1).
        EcP256 = "EC_P256",
        /// secp256k1.
        EcP256K = "EC_P256K",
        /// SM2 (GB/T 32918).
        EcSm2 = "EC_SM2",
    }

    /// What a key may be used for, fixed at its creation.
    KeyUsage {
        /// Encryption and decryption.
        EncryptDecrypt = "ENCRYPT/DECRYPT",
        /// Signatures.
        SignVerify = "SIGN/VERIFY",
    }

    /// Where the material of a key comes from.
    Origin {
        /// Drawn by the engine.
        AliyunKms = "Aliyun_KMS",
        /// Imported by the caller.
        External = "EXTERNAL",
    }

    /// The protection that the key's creator asked for. This engine has no hardware: it records the word (OP-18).
    ProtectionLevel {
        /// Software.
        Software = "SOFTWARE",
        /// Hardware module.
        Hsm = "HSM",
    }
}

impl KeySpec {
    /// The cipher of a symmetric spec; `None` for the asymmetric ones.
    #[must_use]
    pub const fn cipher(self) -> Option<Cipher> {
        match self {
            Self::Aes256 => Some(Cipher::Aes256),
            Self::Aes128 => Some(Cipher::Aes128),
            Self::Aes192 => Some(Cipher::Aes192),
            Self::Sm4 => Some(Cipher::Sm4),
            Self::Rsa2048 | Self::Rsa3072 | Self::EcP256 | Self::EcP256K | Self::EcSm2 => None,
        }
    }

    /// The kind of an asymmetric spec; `None` for the symmetric ones.
    #[must_use]
    pub const fn asymmetric(self) -> Option<asymmetric::Kind> {
        match self {
            Self::Aes256 | Self::Aes128 | Self::Aes192 | Self::Sm4 => None,
            Self::Rsa2048 => Some(asymmetric::Kind::Rsa2048),
            Self::Rsa3072 => Some(asymmetric::Kind::Rsa3072),
            Self::EcP256 => Some(asymmetric::Kind::P256),
            Self::EcP256K => Some(asymmetric::Kind::Secp256k1),
            Self::EcSm2 => Some(asymmetric::Kind::Sm2),
        }
    }

    /// The usage of a key whose creator names none (OP-16).
    #[must_use]
    pub const fn default_usage(self) -> KeyUsage {
        if self.cipher().is_some() { KeyUsage::EncryptDecrypt } else { KeyUsage::SignVerify }
    }

    /// Whether keys of this spec can be made for `usage` (contract, chapter 4).
    #[must_use]
    pub const fn allows(self, usage: KeyUsage) -> bool {
        match self {
            Self::Aes256 | Self::Aes128 | Self::Aes192 | Self::Sm4 => matches!(usage, KeyUsage::EncryptDecrypt),
            Self::EcP256 | Self::EcP256K => matches!(usage, KeyUsage::SignVerify),
            Self::Rsa2048 | Self::Rsa3072 | Self::EcSm2 => true,
        }
    }
}

/// A key. It is also the head of what belongs to it: whoever adds or removes a version or an alias writes the key too, so
/// that two such writers meet here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name for ever.
    pub id: KeyId,
    /// The kind of its material.
    pub spec: KeySpec,
    /// What it may be used for.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
    /// The protection its creator asked for.
    pub protection: ProtectionLevel,
    /// The account that created it.
    pub creator: String,
    /// When it was created.
    pub created: Timestamp,
    /// Free text, at most 8192 characters.
    pub description: String,
    /// Where it stands in its life.
    pub state: KeyState,
    /// When it is destroyed; present in [`KeyState::PendingDeletion`] only.
    pub delete_at: Option<Timestamp>,
    /// Present while the key is protected against deletion: the reason given, possibly empty.
    pub deletion_protection: Option<String>,
    /// Its newest version. Of a symmetric key this is the one that encrypts, the contract's PrimaryKeyVersion; of an asymmetric
    /// key the one that is meant where none is named.
    pub primary: Option<KeyVersionId>,
    /// How many versions it has; they are numbered from 1.
    pub versions: u32,
    /// When its newest version was made.
    pub last_rotation: Timestamp,
    /// How long a version encrypts before the next takes its place; `None` while rotation is off.
    pub rotation: Option<Interval>,
    /// What was imported into it; `None` before the first import, and for a key whose material the engine draws.
    pub imported: Option<Imported>,
    /// How many aliases stand for it.
    pub aliases: u32,
    /// Its tags.
    pub tags: Tags,
}

/// The material of an EXTERNAL key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The keyed fingerprint of the first material. Only the same may be imported again, also after it was lost (OP-21).
    pub fingerprint: [u8; 32],
    /// Whether it is there: neither deleted nor expired.
    pub present: bool,
    /// When it expires. It stays here after that, until the expired material is destroyed.
    pub expires: Option<Timestamp>,
}

impl Key {
    /// How many versions CreateKeyVersion has made: the first of a key came with it.
    #[must_use]
    pub fn added_versions(&self) -> u64 {
        if self.spec.asymmetric().is_some() { u64::from(self.versions.saturating_sub(1)) } else { 0 }
    }

    /// Whether the key is gone at `now`: its DeleteDate has come, swept away or not (OP-26).
    #[must_use]
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.delete_at.is_some_and(|at| at <= now)
    }

    /// Whether it has material at `now`; that of an EXTERNAL key may not be there, or have expired.
    #[must_use]
    pub fn has_material(&self, now: Timestamp) -> bool {
        match self.origin {
            Origin::AliyunKms => true,
            Origin::External => self.imported.is_some_and(|imported| imported.present) && !self.has_expired(now),
        }
    }

    /// When its imported material expires.
    #[must_use]
    pub fn expiry(&self) -> Option<Timestamp> {
        self.imported.filter(|imported| imported.present)?.expires
    }

    /// Whether its imported material has expired at `now`, destroyed or not.
    fn has_expired(&self, now: Timestamp) -> bool {
        self.expiry().is_some_and(|at| at <= now)
    }

    /// The state that the key is in at `now`: expiry changes it before anybody has recorded that.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> KeyState {
        if self.has_expired(now) { self.state_without_material() } else { self.state }
    }

    /// The state after its imported material was lost: [`KeyState::PendingImport`], unless it awaits its own deletion.
    #[must_use]
    pub fn state_without_material(&self) -> KeyState {
        match Event::LoseMaterial.on(self.state) {
            Next::State(state) => state,
            Next::Gone | Next::Refused => self.state,
        }
    }

    /// When the next version is due, while rotation is on.
    #[must_use]
    pub fn next_rotation(&self) -> Option<Timestamp> {
        Some(self.last_rotation.plus(self.rotation?.seconds()))
    }

    /// Whether the next version is due at `now`. Rotation is suspended while the key is not Enabled (OP-28).
    #[must_use]
    pub fn rotation_is_due(&self, now: Timestamp) -> bool {
        // At the end of time the next date is no later than the last.
        let due = |at: Timestamp| at <= now && at > self.last_rotation;
        self.next_rotation().is_some_and(due) && self.state == KeyState::Enabled
    }
}
