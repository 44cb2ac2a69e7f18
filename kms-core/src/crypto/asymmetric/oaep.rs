//! EME-OAEP decoding (RFC 8017, section 7.1.2, step 3) with no label.
//!
//! The `rsa` crate leaves the first byte unchecked, so that a time could not tell it apart (Manger, CRYPTO 2001). That byte
//! is to be zero, and aws-lc sees to it; here it is one of the conditions that are worked out without a branch and asked
//! together at the end.

use sha2::Digest;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::Refused;

/// Takes the padding off `block`, which is destroyed, and writes the message to the front of `out`.
pub(super) fn decode<H: Digest>(block: &mut [u8], out: &mut [u8]) -> Result<usize, Refused> {
    let hash_len = <H as Digest>::output_size();
    if block.len() < 2 * hash_len + 2 {
        return Err(Refused);
    }
    let (first, rest) = block.split_at_mut(1);
    let (seed, data) = rest.split_at_mut(hash_len);
    mask::<H>(seed, data);
    mask::<H>(data, seed);

    let (label_hash, padded) = data.split_at(hash_len);
    let (mut start, mut found, mut only_zeros) = (0u32, Choice::from(0), Choice::from(1));
    for (i, byte) in (1..).zip(padded) {
        let (is_zero, is_one) = (byte.ct_eq(&0), byte.ct_eq(&1));
        start.conditional_assign(&i, !found & is_one);
        found |= is_one;
        only_zeros &= found | is_zero;
    }
    let good = first[0].ct_eq(&0) & label_hash.ct_eq(&H::digest([])) & found & only_zeros;
    if !bool::from(good) {
        return Err(Refused);
    }
    // That it is good is told now, and so is the length.
    let message = &padded[start as usize..];
    out.get_mut(..message.len()).ok_or(Refused)?.copy_from_slice(message);
    Ok(message.len())
}

/// Adds MGF1 of `from` (RFC 8017, section B.2.1) to `to`.
fn mask<H: Digest>(to: &mut [u8], from: &[u8]) {
    for (counter, chunk) in (0u32..).zip(to.chunks_mut(<H as Digest>::output_size())) {
        let block = H::new().chain_update(from).chain_update(counter.to_be_bytes()).finalize();
        let block = Zeroizing::new(block.to_vec());
        chunk.iter_mut().zip(block.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }
}
