//! Secret bytes that clear themselves and do not show themselves.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Owned secret bytes: key material, a data key, a secret's value.
///
/// They are overwritten on drop, never printed, never serialized, compared in constant time, and copied
/// only where [`duplicate`](Self::duplicate) says so. [`expose`](Self::expose) is the one way to the
/// bytes, so that a search for it finds every use.
#[derive(Eq)]
pub struct SecretBytes(Box<[u8]>);

impl SecretBytes {
    /// Copies `bytes`; clearing the original is the caller's.
    #[must_use]
    pub fn copied_from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// `len` zero bytes, filled in place by `fill` before anybody sees them.
    ///
    /// # Errors
    ///
    /// What `fill` returns; the bytes are then cleared and gone.
    pub fn filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(vec![0; len].into());
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The bytes themselves. Do not let them reach a log, an error or an unwiped buffer.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Bytes in the secret, which is not secret.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second copy. Not `Clone`, so that no copy is made unseen.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Takes the vector over. One with spare capacity is copied and cleared instead: cutting it to size could
/// move the bytes and leave the old ones behind.
impl From<Vec<u8>> for SecretBytes {
    fn from(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(bytes.into_boxed_slice());
        }
        let exact = Self::copied_from(&bytes);
        bytes.zeroize();
        exact
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Equal length and content. Only the lengths can be told from the time it takes.
impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_alone() {
        let secret = SecretBytes::copied_from(b"hunter2");
        assert_eq!(format!("{secret:?}"), "SecretBytes(7 bytes)");
    }

    #[test]
    fn equality_is_that_of_the_bytes() {
        let secret = SecretBytes::copied_from(&[1, 2, 3]);
        assert_eq!(secret, secret.duplicate());
        assert_ne!(secret, SecretBytes::copied_from(&[1, 2, 4]));
        assert_ne!(secret, SecretBytes::copied_from(&[1, 2]));
        assert_ne!(secret, SecretBytes::copied_from(&[]));
    }

    #[test]
    fn a_vector_is_taken_over_with_and_without_spare_capacity() {
        let mut roomy = Vec::with_capacity(100);
        roomy.extend_from_slice(b"abc");
        assert_eq!(SecretBytes::from(roomy).expose(), b"abc");
        assert_eq!(SecretBytes::from(b"abc".to_vec()).expose(), b"abc");
    }

    #[test]
    fn filling_may_fail() {
        let filled = SecretBytes::filled(4, |b| {
            b.fill(9);
            Ok::<(), ()>(())
        });
        assert_eq!(filled.map(|s| s.expose().to_vec()), Ok(vec![9; 4]));
        assert_eq!(SecretBytes::filled(4, |_| Err("no entropy")), Err("no entropy"));
    }
}
