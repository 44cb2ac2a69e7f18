//! EME-PKCS1-v1_5 decoding (RFC 8017, section 7.2.2, step 3).
//!
//! A block is `00 02 || padding || 00 || message`, with eight bytes of padding or more and no zero among them. Who learns of
//! many blocks whether they are of this form decrypts whatever he likes (Bleichenbacher, CRYPTO 1998). So here too all
//! conditions are worked out without a branch and asked together; and who wants a message of a length that he knows has
//! [`decode_exactly`], which does not even ask.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};

use super::Refused;

/// Where the zero before the message stands at the earliest: behind two bytes and eight of padding.
const FIRST_END: usize = 10;

/// Writes the message in `block` to the front of `out`.
pub(super) fn decode(block: &[u8], out: &mut [u8]) -> Result<usize, Refused> {
    let [first, second, padded @ ..] = block else { return Err(Refused) };
    let (mut end, mut found) = (0u32, Choice::from(0));
    for (i, byte) in (2..).zip(padded) {
        let is_zero = byte.ct_eq(&0);
        end.conditional_assign(&i, !found & is_zero);
        found |= is_zero;
    }
    // An end that was not found is at 0.
    let good = first.ct_eq(&0) & second.ct_eq(&2) & end.ct_gt(&(FIRST_END as u32 - 1));
    if !bool::from(good) {
        return Err(Refused);
    }
    // That it is good is told now, and so is the length.
    let message = &block[end as usize + 1..];
    out.get_mut(..message.len()).ok_or(Refused)?.copy_from_slice(message);
    Ok(message.len())
}

/// Overwrites `out` with the message in `block` if there is one of just that length, and returns whether there is. Neither
/// branches nor reads at a place that hangs on the block.
pub(super) fn decode_exactly(block: &[u8], out: &mut [u8]) -> Choice {
    // The length wanted says where the padding has to end.
    let end = match block.len().checked_sub(out.len() + 1) {
        Some(end) if end >= FIRST_END => end,
        _ => return Choice::from(0),
    };
    let mut good = block[0].ct_eq(&0) & block[1].ct_eq(&2) & block[end].ct_eq(&0);
    for byte in &block[2..end] {
        good &= !byte.ct_eq(&0);
    }
    for (to, from) in out.iter_mut().zip(&block[end + 1..]) {
        to.conditional_assign(from, good);
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the standard says, read from the front.
    fn expected(block: &[u8]) -> Option<&[u8]> {
        let padded = block.strip_prefix(&[0, 2])?;
        let end = padded.iter().position(|byte| *byte == 0)?;
        (end >= 8).then(|| &padded[end + 1..])
    }

    /// Goal: both decoders judge as the standard does, wherever the padding ends, whatever stands in front, for every length
    /// that is wanted. Method: all blocks of 24 bytes with at most two zeros behind the first two bytes.
    #[test]
    fn every_end_of_the_padding() {
        const LEN: usize = 24;
        let mut good = 0;
        for front in [[0, 2], [0, 0], [0, 1], [0, 3], [0, 0x82], [1, 2], [0x80, 2], [2, 0]] {
            for (first_zero, second_zero) in (2..=LEN).flat_map(|a| (a..=LEN).map(move |b| (a, b))) {
                let mut block: [u8; LEN] = core::array::from_fn(|i| 0x80 | i as u8);
                block[..2].copy_from_slice(&front);
                for zero in [first_zero, second_zero] {
                    // At the length there is none.
                    if let Some(byte) = block.get_mut(zero) {
                        *byte = 0;
                    }
                }
                let expected = expected(&block);
                good += usize::from(expected.is_some());
                let mut out = [0x5a; LEN];
                let len = decode(&block, &mut out);
                assert_eq!(len.ok(), expected.map(<[u8]>::len), "{block:x?}");
                assert_eq!(&out[..len.unwrap_or(0)], expected.unwrap_or_default());
                assert!(out[len.unwrap_or(0)..].iter().all(|byte| *byte == 0x5a), "no more is written");
                for wanted in 0..=LEN + 1 {
                    let mut out = vec![0x5a; wanted];
                    let is_there = bool::from(decode_exactly(&block, &mut out));
                    assert_eq!(is_there, expected.is_some_and(|message| message.len() == wanted), "{block:x?}");
                    assert_eq!(out, if is_there { expected.unwrap().to_vec() } else { vec![0x5a; wanted] });
                }
            }
        }
        // The first zero from place 10 to the last, the second there, behind it or nowhere.
        assert_eq!(good, (10..LEN).map(|end| LEN + 1 - end).sum::<usize>());
    }

    #[test]
    fn a_short_block_or_a_short_place_is_refused() {
        let block = [&[0, 2][..], &[7; 8], &[0], b"key"].concat();
        assert_eq!(decode(&block, &mut [0; 3]), Ok(3));
        assert_eq!(decode(&block, &mut [0; 2]), Err(Refused));
        for len in 0..=10 {
            assert_eq!(decode(&block[..len], &mut [0; 3]), Err(Refused));
            assert!(!bool::from(decode_exactly(&block[..len], &mut [])));
        }
    }
}
