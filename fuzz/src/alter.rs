//! What may happen to any bytes.

use arbitrary::Arbitrary;

#[derive(Arbitrary, Debug)]
pub(crate) enum Alteration<'a> {
    Flip { at: u16, bit: u8 },
    Truncate { len: u16 },
    Extend { tail: &'a [u8] },
}

impl Alteration<'_> {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { at, bit } => {
                let len = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(usize::from(*at) % len) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Truncate { len } => bytes.truncate(usize::from(*len) % (bytes.len() + 1)),
            Self::Extend { tail } => bytes.extend_from_slice(tail),
        }
    }
}
