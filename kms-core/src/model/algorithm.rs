//! The contract's names of what asymmetric keys do.

use super::texts;
use crate::crypto::asymmetric::{EncryptionScheme, Kind, MAX_SIGNATURE, SignatureScheme};
use crate::model::KeySpec;

texts! {
    /// How a digest is signed (contract, chapter 4).
    SigningAlgorithm {
        /// RSASSA-PSS with SHA-256.
        RsaPss = "RSA_PSS_SHA_256",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsaPkcs1 = "RSA_PKCS1_SHA_256",
        /// ECDSA with SHA-256.
        Ecdsa = "ECDSA_SHA_256",
        /// SM2 with SM3.
        Sm2Dsa = "SM2DSA",
    }

    /// How bytes are encrypted to a public key (contract, chapter 4).
    EncryptionAlgorithm {
        /// RSAES-OAEP with SHA-256.
        OaepSha256 = "RSAES_OAEP_SHA_256",
        /// RSAES-OAEP with SHA-1.
        OaepSha1 = "RSAES_OAEP_SHA_1",
        /// SM2 public-key encryption.
        Sm2Pke = "SM2PKE",
    }

    /// How material that is to be imported is wrapped (contract, 8.2).
    WrappingAlgorithm {
        /// RSAES-PKCS1-v1_5.
        RsaPkcs1 = "RSAES_PKCS1_V1_5",
        /// RSAES-OAEP with SHA-1.
        OaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSAES-OAEP with SHA-256.
        OaepSha256 = "RSAES_OAEP_SHA_256",
        /// SM2 public-key encryption.
        Sm2Pke = "SM2PKE",
    }
}

impl WrappingAlgorithm {
    /// The spec of the keys that wrap like this.
    #[must_use]
    pub const fn spec(self) -> KeySpec {
        match self {
            Self::RsaPkcs1 | Self::OaepSha1 | Self::OaepSha256 => KeySpec::Rsa2048,
            Self::Sm2Pke => KeySpec::EcSm2,
        }
    }

    pub(crate) const fn scheme(self) -> EncryptionScheme {
        match self {
            Self::RsaPkcs1 => EncryptionScheme::RsaPkcs1,
            Self::OaepSha1 => EncryptionScheme::OaepSha1,
            Self::OaepSha256 => EncryptionScheme::OaepSha256,
            Self::Sm2Pke => EncryptionScheme::Sm2,
        }
    }

    /// The number by which import tokens name it.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::RsaPkcs1 => 0,
            Self::OaepSha1 => 1,
            Self::OaepSha256 => 2,
            Self::Sm2Pke => 3,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.number() == number)
    }
}

impl SigningAlgorithm {
    /// Whether keys of `spec` sign like this.
    #[must_use]
    pub const fn fits(self, spec: KeySpec) -> bool {
        match self {
            Self::RsaPss | Self::RsaPkcs1 => matches!(spec, KeySpec::Rsa2048 | KeySpec::Rsa3072),
            Self::Ecdsa => matches!(spec, KeySpec::EcP256 | KeySpec::EcP256K),
            Self::Sm2Dsa => matches!(spec, KeySpec::EcSm2),
        }
    }

    /// Bytes of the longest signature that is made like this, whatever the key.
    #[must_use]
    pub fn max_signature(self) -> usize {
        let kinds = KeySpec::ALL.iter().filter(|spec| self.fits(**spec)).filter_map(|spec| spec.asymmetric());
        kinds.map(Kind::max_signature).max().unwrap_or(MAX_SIGNATURE)
    }

    /// Whether digests are of SM3 with Z_A rather than of SHA-256.
    #[must_use]
    pub const fn digests_with_sm3(self) -> bool {
        matches!(self, Self::Sm2Dsa)
    }

    pub(crate) const fn scheme(self) -> SignatureScheme {
        match self {
            Self::RsaPss => SignatureScheme::RsaPss,
            Self::RsaPkcs1 => SignatureScheme::RsaPkcs1,
            Self::Ecdsa => SignatureScheme::Ecdsa,
            Self::Sm2Dsa => SignatureScheme::Sm2,
        }
    }
}

impl EncryptionAlgorithm {
    /// Whether keys of `spec` encrypt like this.
    #[must_use]
    pub const fn fits(self, spec: KeySpec) -> bool {
        match self {
            Self::OaepSha256 | Self::OaepSha1 => matches!(spec, KeySpec::Rsa2048 | KeySpec::Rsa3072),
            Self::Sm2Pke => matches!(spec, KeySpec::EcSm2),
        }
    }

    pub(crate) const fn scheme(self) -> EncryptionScheme {
        match self {
            Self::OaepSha256 => EncryptionScheme::OaepSha256,
            Self::OaepSha1 => EncryptionScheme::OaepSha1,
            Self::Sm2Pke => EncryptionScheme::Sm2,
        }
    }
}
