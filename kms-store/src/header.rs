//! The header: how a store is opened.
//!
//! A store is sealed with a random key of its own, and that key stands in the header, wrapped with the root key that the host
//! gives. Two levels, so that the root key can be changed without touching a record. Beside it stands the recipe, a few bytes
//! that the host's side wrote when the store was made and needs again to come to the same root key: the salt and cost of
//! a passphrase.
//!
//! ```text
//! magic "KMSH" | format u16 | recipe length u16 | recipe | nonce 24 | wrapped store key 48 | SHA-256 of all before 32
//! ```
//!
//! Everything before the nonce is additional data of the wrapping (XAES-256-GCM). The hash tells damage from a wrong root
//! key; it keeps nobody from changing anything, the wrapping does.

use kms_core::crypto::{Cipher, DerivingKey, NONCE_LEN, TAG_LEN};
use kms_core::rng::Rng;
use kms_core::secret::SecretBytes;
use kms_core::{ErrorCode, KmsError};
use ring::digest;

use crate::seal::STORE_KEY_LEN;

/// Length of a root key, in bytes.
pub const ROOT_KEY_LEN: usize = 32;
/// The longest recipe, in bytes.
pub const MAX_RECIPE: usize = 1024;

const MAGIC: &[u8; 4] = b"KMSH";
const FORMAT: u16 = 1;
const WRAPPED_LEN: usize = STORE_KEY_LEN + TAG_LEN;
const HASH_LEN: usize = 32;

/// Where the root key of a store comes from.
pub trait RootKey {
    /// The root key of a new store, [`ROOT_KEY_LEN`] bytes, and the recipe that leads to it again, at most [`MAX_RECIPE`].
    ///
    /// # Errors
    /// The host's, when it cannot give one.
    fn establish(&self) -> Result<(SecretBytes, Vec<u8>), KmsError>;

    /// The root key that belongs to the recipe of a store.
    ///
    /// # Errors
    /// The host's, when it cannot give one.
    fn recall(&self, recipe: &[u8]) -> Result<SecretBytes, KmsError>;
}

/// Makes the header of a new store and the key that it is sealed with.
pub(crate) fn create(root: &dyn RootKey, rng: &mut dyn Rng) -> Result<(Vec<u8>, SecretBytes), KmsError> {
    let (root_key, recipe) = root.establish()?;
    let recipe_len = u16::try_from(recipe.len()).ok().filter(|len| usize::from(*len) <= MAX_RECIPE);
    let recipe_len = recipe_len.ok_or(ErrorCode::InternalFailure)?;
    let store_key = SecretBytes::filled(STORE_KEY_LEN, |bytes| rng.secret(bytes))?;
    let mut nonce = [0; NONCE_LEN];
    rng.public(&mut nonce)?;
    let mut header = [MAGIC.as_slice(), &FORMAT.to_be_bytes(), &recipe_len.to_be_bytes(), &recipe].concat();
    let mut wrapped = [0; WRAPPED_LEN];
    wrapping_key(&root_key)?.seal(&nonce, &header, store_key.expose(), &mut wrapped);
    header.extend_from_slice(&nonce);
    header.extend_from_slice(&wrapped);
    let hash = digest::digest(&digest::SHA256, &header);
    header.extend_from_slice(hash.as_ref());
    Ok((header, store_key))
}

/// The key that the store of this header is sealed with.
///
/// # Errors
/// `KMS_STORE_CORRUPT`, `KMS_STORE_FOREIGN` for a format of another version, `KMS_WRONG_ROOT_KEY`, and the host's.
pub(crate) fn open(header: &[u8], root: &dyn RootKey) -> Result<SecretBytes, KmsError> {
    let damaged = || KmsError::with_detail(ErrorCode::StoreCorrupt, "its header is not whole");
    let (front, hash) = header.split_last_chunk::<HASH_LEN>().ok_or_else(damaged)?;
    if digest::digest(&digest::SHA256, front).as_ref() != hash {
        return Err(damaged());
    }
    let (magic, rest) = front.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (format, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
    if magic != MAGIC || u16::from_be_bytes(*format) != FORMAT {
        return Err(KmsError::with_detail(ErrorCode::StoreForeign, "its format is of another version"));
    }
    let (recipe_len, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
    let (recipe, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*recipe_len))).ok_or_else(damaged)?;
    let (nonce, wrapped) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
    if wrapped.len() != WRAPPED_LEN {
        return Err(damaged());
    }
    let aad = &front[..front.len() - NONCE_LEN - WRAPPED_LEN];
    let key = wrapping_key(&root.recall(recipe)?)?;
    SecretBytes::filled(STORE_KEY_LEN, |store_key| key.open(nonce, aad, wrapped, store_key))
        .map_err(|_| ErrorCode::WrongRootKey.into())
}

fn wrapping_key(key: &SecretBytes) -> Result<DerivingKey, KmsError> {
    DerivingKey::new(Cipher::Aes256, key.expose()).map_err(|_| ErrorCode::InternalFailure.into())
}

#[cfg(test)]
mod tests {
    use kms_core::rng::EntropyError;

    use super::*;

    struct Fixed(u8);

    impl RootKey for Fixed {
        fn establish(&self) -> Result<(SecretBytes, Vec<u8>), KmsError> {
            Ok((self.recall(b"salt")?, b"salt".to_vec()))
        }

        fn recall(&self, recipe: &[u8]) -> Result<SecretBytes, KmsError> {
            assert_eq!(recipe, b"salt");
            Ok(SecretBytes::copied_from(&[self.0; ROOT_KEY_LEN]))
        }
    }

    struct Ones;

    impl Rng for Ones {
        fn secret(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            out.fill(1);
            Ok(())
        }

        fn public(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            out.fill(1);
            Ok(())
        }
    }

    #[test]
    fn the_root_key_opens_the_header_and_no_other_does() {
        let (header, store_key) = create(&Fixed(1), &mut Ones).unwrap();
        assert_eq!(open(&header, &Fixed(1)).unwrap(), store_key);
        assert_eq!(open(&header, &Fixed(2)).unwrap_err().code(), ErrorCode::WrongRootKey);
    }

    #[test]
    fn damage_is_told_from_a_wrong_key() {
        let (header, _) = create(&Fixed(1), &mut Ones).unwrap();
        for bit in 0..header.len() * 8 {
            let mut changed = header.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&changed, &Fixed(1)).unwrap_err().code(), ErrorCode::StoreCorrupt, "bit {bit}");
        }
        for len in 0..header.len() {
            assert_eq!(open(&header[..len], &Fixed(1)).unwrap_err().code(), ErrorCode::StoreCorrupt, "length {len}");
        }
    }

    /// Whoever rewrites the header, hash and all, still cannot make it open to something else.
    #[test]
    fn a_forged_header_does_not_open() {
        let (header, _) = create(&Fixed(1), &mut Ones).unwrap();
        let end = header.len() - HASH_LEN;
        let mut forged = header[..end].to_vec();
        forged[end - 1] ^= 1;
        let hash = digest::digest(&digest::SHA256, &forged);
        forged.extend_from_slice(hash.as_ref());
        assert_eq!(open(&forged, &Fixed(1)).unwrap_err().code(), ErrorCode::WrongRootKey);
    }
}
