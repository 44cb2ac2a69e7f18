//! The seal around every record.
//!
//! ```text
//! magic "KMSR" | type 1 | schema 2 | sealing epoch 4 | incarnation 16 | revision 8 | nonce 24 | ciphertext | tag 16
//! ```
//!
//! The payload is sealed with XAES-256-GCM (C2SP). Everything before the nonce, and the key under which the record stands,
//! is additional data: a changed bit, a record moved to another key, one of another kind or of an older revision under a
//! newer front does not open. An incarnation is drawn when a record is first written under a key and stays until it is
//! removed; the revision counts its writes.

use kms_core::crypto::{Cipher, DerivingKey, NONCE_LEN, TAG_LEN};
use kms_core::id::KeyId;
use kms_core::rng::{EntropyError, Rng};
use kms_core::secret::SecretBytes;
use kms_core::view::ImportKeys;
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::keys::NameHash;

/// Length of the key that a store is sealed with, in bytes.
pub(crate) const STORE_KEY_LEN: usize = 32;

const MAGIC: [u8; 4] = *b"KMSR";
pub(crate) const FRONT_LEN: usize = 4 + 1 + 2 + 4 + 16 + 8;
/// How many bytes a sealed record is longer than its payload.
const SEAL_OVERHEAD: usize = FRONT_LEN + NONCE_LEN + TAG_LEN;

/// The kind of a record. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordType {
    Settings = 1,
    Totals = 2,
    Key = 3,
    Version = 4,
    Alias = 5,
    /// An entry of a list: its key says all, its seal that it was put there by us.
    Entry = 6,
    AccessKey = 7,
}

/// What stands before the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) kind: RecordType,
    pub(crate) schema: u16,
    pub(crate) incarnation: [u8; 16],
    pub(crate) revision: u64,
}

/// The record does not open: it was changed, moved, or sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsealed;

/// The subkeys of a store.
pub(crate) struct Sealer {
    records: DerivingKey,
    names: hmac::Key,
    tokens: DerivingKey,
    fingerprints: hmac::Key,
}

/// The sealing epoch of a store that was never resealed.
const EPOCH: u32 = 1;

impl Sealer {
    /// Derives the subkeys of a store by HKDF-SHA-256 (RFC 5869).
    pub(crate) fn new(store_key: &SecretBytes) -> Self {
        let derive = |label: &[u8]| {
            let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"kms-store-v1").extract(store_key.expose());
            let mut subkey = Zeroizing::new([0; 32]);
            let labels = [label];
            let okm = prk.expand(&labels, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut subkey[..]));
            okm.expect("32 bytes are within HKDF's bounds");
            subkey
        };
        let cipher = |label: &[u8]| {
            let key = DerivingKey::new(Cipher::Aes256, &derive(label)[..]);
            key.expect("a subkey has the length of the cipher's key")
        };
        let mac = |label: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, &derive(label)[..]);
        Self {
            records: cipher(&[b"seal/".as_slice(), &EPOCH.to_be_bytes()].concat()),
            names: mac(b"names"),
            tokens: cipher(b"import tokens"),
            fingerprints: mac(b"import fingerprints"),
        }
    }

    /// What stands in a store's keys for a name.
    pub(crate) fn name(&self, kind: &str, name: &str) -> NameHash {
        keyed_hash(&self.names, &[kind.as_bytes(), &[0], name.as_bytes()])
    }

    pub(crate) fn seal(
        &self,
        key: &[u8],
        front: &Front,
        payload: &[u8],
        rng: &mut dyn Rng,
    ) -> Result<Vec<u8>, EntropyError> {
        let mut nonce = [0; NONCE_LEN];
        rng.public(&mut nonce)?;
        let mut record = vec![0; SEAL_OVERHEAD + payload.len()];
        let (head, sealed) = record.split_at_mut(FRONT_LEN + NONCE_LEN);
        head[..FRONT_LEN].copy_from_slice(&front.encode());
        head[FRONT_LEN..].copy_from_slice(&nonce);
        self.records.seal(&nonce, &aad(&head[..FRONT_LEN], key), payload, sealed);
        Ok(record)
    }

    pub(crate) fn open(&self, key: &[u8], record: &[u8]) -> Result<(Front, Zeroizing<Vec<u8>>), Unsealed> {
        let front = Front::decode(record).ok_or(Unsealed)?;
        let (head, sealed) = record.split_at_checked(FRONT_LEN + NONCE_LEN).ok_or(Unsealed)?;
        let nonce = head[FRONT_LEN..].try_into().map_err(|_| Unsealed)?;
        let mut payload = Zeroizing::new(vec![0; sealed.len().checked_sub(TAG_LEN).ok_or(Unsealed)?]);
        self.records.open(nonce, &aad(&head[..FRONT_LEN], key), sealed, &mut payload).map_err(|_| Unsealed)?;
        Ok((front, payload))
    }
}

impl ImportKeys for Sealer {
    fn tokens(&self) -> &DerivingKey {
        &self.tokens
    }

    fn fingerprint(&self, key: &KeyId, material: &[u8]) -> [u8; 32] {
        keyed_hash(&self.fingerprints, &[key.as_bytes(), material])
    }
}

fn keyed_hash(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.sign().as_ref());
    hash
}

fn aad(front: &[u8], key: &[u8]) -> Vec<u8> {
    [front, key].concat()
}

impl Front {
    /// The front of a record that is written where none stands.
    pub(crate) fn first(kind: RecordType, schema: u16, rng: &mut dyn Rng) -> Result<Self, EntropyError> {
        let mut incarnation = [0; 16];
        rng.public(&mut incarnation)?;
        Ok(Self { kind, schema, incarnation, revision: 1 })
    }

    fn encode(&self) -> [u8; FRONT_LEN] {
        let mut front = [0; FRONT_LEN];
        front[..4].copy_from_slice(&MAGIC);
        front[4] = self.kind as u8;
        front[5..7].copy_from_slice(&self.schema.to_be_bytes());
        front[7..11].copy_from_slice(&EPOCH.to_be_bytes());
        front[11..27].copy_from_slice(&self.incarnation);
        front[27..].copy_from_slice(&self.revision.to_be_bytes());
        front
    }

    /// Reads the front of a record; nothing in it is to be believed before the record has opened.
    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let (magic, rest) = record.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first()?;
        let (schema, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (incarnation, rest) = rest.split_first_chunk()?;
        let (revision, _) = rest.split_first_chunk()?;
        if *magic != MAGIC || u32::from_be_bytes(*epoch) != EPOCH {
            return None;
        }
        let kind = match kind {
            1 => RecordType::Settings,
            2 => RecordType::Totals,
            3 => RecordType::Key,
            4 => RecordType::Version,
            5 => RecordType::Alias,
            6 => RecordType::Entry,
            7 => RecordType::AccessKey,
            _ => return None,
        };
        let schema = u16::from_be_bytes(*schema);
        Some(Self { kind, schema, incarnation: *incarnation, revision: u64::from_be_bytes(*revision) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);

    impl Rng for Counter {
        fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            self.public(out)
        }

        fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            self.0 += 1;
            out.fill(self.0);
            Ok(())
        }
    }

    const FRONT: Front = Front { kind: RecordType::Key, schema: 1, incarnation: [7; 16], revision: 3 };

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&SecretBytes::copied_from(&[byte; STORE_KEY_LEN]))
    }

    #[test]
    fn a_record_opens_where_it_was_put() {
        let record = sealer(1).seal(b"k1", &FRONT, b"payload", &mut Counter(0)).unwrap();
        assert_eq!(record.len(), SEAL_OVERHEAD + 7);
        let (front, payload) = sealer(1).open(b"k1", &record).unwrap();
        assert_eq!((front, payload.as_slice()), (FRONT, b"payload".as_slice()));
    }

    #[test]
    fn a_record_changed_moved_or_sealed_by_another_does_not_open() {
        let record = sealer(1).seal(b"k1", &FRONT, b"payload", &mut Counter(0)).unwrap();
        assert_eq!(sealer(1).open(b"k2", &record).unwrap_err(), Unsealed);
        assert_eq!(sealer(2).open(b"k1", &record).unwrap_err(), Unsealed);
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer(1).open(b"k1", &changed).is_err(), "bit {bit}");
        }
        for len in 0..record.len() {
            assert!(sealer(1).open(b"k1", &record[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn names_are_hashed_under_the_store_key_and_their_kind() {
        let hash = sealer(1).name("alias", "alias/a");
        assert_eq!(hash, sealer(1).name("alias", "alias/a"));
        assert_ne!(hash, sealer(2).name("alias", "alias/a"));
        assert_ne!(hash, sealer(1).name("secret", "alias/a"));
    }
}
