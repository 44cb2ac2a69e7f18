//! How a sealed record lies in the backend's values: whole, or in pieces where it is too large for one.
//!
//! ```text
//! under the record's key:   0 | sealed record
//!                     or:   1 | number of pieces u16 | front of the sealed record
//! under the piece's key:    the rest of the sealed record, piece by piece
//! ```
//!
//! A piece is written once: its key names the incarnation and revision of the record it belongs to. The layout is not sealed
//! and need not be: put together wrongly, a record does not open.

use kms_core::{ErrorCode, KmsError};

use crate::keys;
use crate::raw::Write;
use crate::seal::{FRONT_LEN, Front};

const WHOLE: u8 = 0;
const SPLIT: u8 = 1;

/// A value, as it lies.
pub(crate) enum Layout<'v> {
    /// The sealed record.
    Whole(&'v [u8]),
    /// The front of a sealed record, and in how many pieces the rest lies.
    Split(&'v [u8; FRONT_LEN], u16),
}

/// The writes that put a sealed record under `key`, no key and value longer than `max` bytes together.
pub(crate) fn lay_out(key: Vec<u8>, front: &Front, sealed: &[u8], max: usize) -> Result<Vec<Write>, KmsError> {
    if key.len() + 1 + sealed.len() <= max {
        return Ok(vec![Write::Put { key, value: [&[WHOLE], sealed].concat() }]);
    }
    let too_large = || KmsError::from(ErrorCode::InternalFailure);
    let piece_key = |i| keys::piece(&key, &front.incarnation, front.revision, i);
    let (front_bytes, rest) = sealed.split_at_checked(FRONT_LEN).ok_or_else(too_large)?;
    let room = max.checked_sub(piece_key(0).len()).filter(|room| *room > 0).ok_or_else(too_large)?;
    let count = u16::try_from(rest.len().div_ceil(room)).map_err(|_| too_large())?;
    let mut writes: Vec<_> = (0..count)
        .zip(rest.chunks(room))
        .map(|(i, piece)| Write::Put { key: piece_key(i), value: piece.to_vec() })
        .collect();
    let value = [&[SPLIT], count.to_be_bytes().as_slice(), front_bytes].concat();
    writes.push(Write::Put { key, value });
    Ok(writes)
}

/// Reads how a value lies; `None` when it lies in no way of ours.
pub(crate) fn read_layout(value: &[u8]) -> Option<Layout<'_>> {
    match value.split_first()? {
        (&WHOLE, sealed) => Some(Layout::Whole(sealed)),
        (&SPLIT, rest) => {
            let (count, front) = rest.split_first_chunk::<2>()?;
            Some(Layout::Split(front.try_into().ok()?, u16::from_be_bytes(*count)))
        }
        _ => None,
    }
}
