//! Public-key encryption (GB/T 32918.4-2016), in the order C1, C3, C2 of the standard of 2016.

use core::fmt;

use sm3::{Digest, Sm3};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::curve::Sm2;
use super::{NUMBER_LEN, POINT_LEN, PrivateKey, PublicKey, scalar};
use crate::Forged;
use crate::curve::limbs::{Limbs, is_zero, mask};
use crate::curve::{Affine, Jacobian, Table, on_best, product};
use crate::reveal::reveal;

/// Bytes that a ciphertext `04 || X || Y || C3 || C2` is longer than its plaintext.
pub const OVERHEAD: usize = C1_LEN + NUMBER_LEN;

/// Bytes of an uncompressed point.
const C1_LEN: usize = 1 + POINT_LEN;

/// Why nothing was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptError<E> {
    /// The plaintext is empty: its key stream would be all zeros, which the standard does not allow.
    Empty,
    /// No entropy came.
    Entropy(E),
    /// What came as entropy, time and again, is of no use.
    Broken,
}

impl<E: fmt::Display> fmt::Display for EncryptError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nothing to encrypt"),
            Self::Entropy(error) => error.fmt(f),
            Self::Broken => f.write_str("the source of entropy is broken"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for EncryptError<E> {}

impl PublicKey {
    /// Encrypts to this key (section 6.1): writes `04 || X || Y || C3 || C2`.
    ///
    /// `entropy` fills 64 bytes that nobody else will ever know. It is asked again where the key stream is all zeros: for one
    /// plaintext of a byte in 256, and fewer the longer they are.
    ///
    /// # Errors
    /// [`EncryptError::Empty`] for an empty plaintext, what `entropy` answers, and [`EncryptError::Broken`] if that is of no use
    /// 64 times. The output is then not a ciphertext, and tells nothing of the plaintext.
    ///
    /// # Panics
    /// If the output is not [`OVERHEAD`] bytes longer than the plaintext.
    pub fn encrypt<E>(
        &self,
        plaintext: &[u8],
        mut entropy: impl FnMut(&mut [u8; 64]) -> Result<(), E>,
        out: &mut [u8],
    ) -> Result<(), EncryptError<E>> {
        assert_eq!(out.len(), plaintext.len() + OVERHEAD, "the output has the length of the ciphertext");
        if plaintext.is_empty() {
            return Err(EncryptError::Empty);
        }
        let mut wide = Zeroizing::new([0; 64]);
        // A byte is without a key stream so often once in 2^512.
        for _ in 0..64 {
            entropy(&mut wide).map_err(EncryptError::Entropy)?;
            if self.encrypt_with(plaintext, &Zeroizing::new(scalar::from_wide(&wide)), out) {
                return Ok(());
            }
        }
        Err(EncryptError::Broken)
    }

    /// Encrypts with a nonce. `false` if that has no use.
    pub(super) fn encrypt_with(&self, plaintext: &[u8], k: &Limbs, out: &mut [u8]) -> bool {
        let (c1, rest) = out.split_at_mut(C1_LEN);
        let (c3, c2) = rest.split_at_mut(NUMBER_LEN);
        if reveal(is_zero(k)) {
            return false;
        }
        let points = Zeroizing::new(on_best!(a => {
            Jacobian::all_to_affine(&[Table::of_base(a).mul(a, k).to_jacobian(a), self.mul(a, k)], a)
        }));
        let shared = Shared::new(&points[1]);
        if !reveal(shared.mask(plaintext, c2)) {
            // What stands there is the plaintext.
            c2.fill(0);
            return false;
        }
        c1[0] = 4;
        c1[1..].copy_from_slice(&points[0].to_bytes());
        c3.copy_from_slice(&*shared.hash(plaintext));
        true
    }
}

impl PrivateKey {
    /// Decrypts C1 (X || Y), C3 and C2 (section 7.1) into `plaintext`, which is as long as C2.
    ///
    /// # Errors
    /// [`Forged`] for what nobody has encrypted to this key. The output is then all zeros.
    ///
    /// # Panics
    /// If the output is not as long as C2.
    pub fn decrypt(
        &self,
        c1: &[u8; POINT_LEN],
        c3: &[u8; NUMBER_LEN],
        c2: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), Forged> {
        assert_eq!(plaintext.len(), c2.len(), "a plaintext is as long as its ciphertext");
        // The cofactor is 1: a point on the curve that is not the one at infinity has the full order.
        let opened = Affine::from_bytes(c1).is_some_and(|c1| {
            let shared = Zeroizing::new(on_best!(a => product::mul(a, &c1, &self.d).to_affine(a)));
            let shared = Shared::new(&shared);
            let has_key_stream = shared.mask(c2, plaintext);
            reveal(has_key_stream & mask(shared.hash(plaintext).ct_eq(c3).unwrap_u8().into()))
        });
        if opened {
            return Ok(());
        }
        plaintext.fill(0);
        Err(Forged)
    }
}

/// The point that sender and receiver share: x2 || y2.
struct Shared(Zeroizing<[u8; POINT_LEN]>);

impl Shared {
    fn new(point: &Affine<Sm2>) -> Self {
        Self(Zeroizing::new(point.to_bytes()))
    }

    /// Adds the key stream (section 5.4.3) to `from`. All zeros if it is, all ones if not.
    fn mask(&self, from: &[u8], to: &mut [u8]) -> u64 {
        let hash = Sm3::new().chain_update(self.0.as_slice());
        let mut any = 0u8;
        for ((from, to), counter) in from.chunks(NUMBER_LEN).zip(to.chunks_mut(NUMBER_LEN)).zip(1u32..) {
            let block: Zeroizing<[u8; NUMBER_LEN]> =
                Zeroizing::new(hash.clone().chain_update(counter.to_be_bytes()).finalize().into());
            for ((to, from), key) in to.iter_mut().zip(from).zip(block.iter()) {
                *to = from ^ key;
                any |= key;
            }
        }
        !is_zero(&[any.into(), 0, 0, 0])
    }

    /// C3: SM3 over x2, the plaintext and y2.
    fn hash(&self, plaintext: &[u8]) -> Zeroizing<[u8; NUMBER_LEN]> {
        let (x, y) = self.0.split_at(NUMBER_LEN);
        Zeroizing::new(Sm3::new().chain_update(x).chain_update(plaintext).chain_update(y).finalize().into())
    }
}
