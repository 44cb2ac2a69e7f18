//! Copying bytes without falling into a slow path of the C library.

/// Bytes moved at a time.
///
/// glibc 2.36 on Zen 3 copies 4 KiB and more some 25 times slower when the destination stands a few bytes
/// past the source modulo 4096, and a nonce or a header in front of a payload makes that offset likely.
/// Pieces of up to 1 KiB never take that path and cost nothing where it is absent.
const PIECE: usize = 1024;

/// Copies `source` into `destination` in pieces that keep the C library on its fast path.
///
/// # Panics
///
/// If the lengths differ.
#[inline]
pub fn copy(destination: &mut [u8], source: &[u8]) {
    assert_eq!(destination.len(), source.len(), "both sides of a copy have one length");
    for (to, from) in destination.chunks_mut(PIECE).zip(source.chunks(PIECE)) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_at_every_length() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 6 * PIECE, 6 * PIECE + 16] {
            let source: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
            let mut target = vec![0xee; len];
            copy(&mut target, &source);
            assert_eq!(target, source);
        }
    }

    #[test]
    #[should_panic(expected = "one length")]
    fn unequal_lengths_are_a_bug() {
        copy(&mut [0; 3], &[0; 2]);
    }
}
