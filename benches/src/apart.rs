//! Memory of one contestant alone: where two of them wrote to one cache line, a second thread would seem to cost what
//! in truth only this program does wrong.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line and of the one that processors fetch with it.
const LINE: usize = align_of::<Apart<()>>();

/// A value at the front of a cache line, with no other one on it.
#[derive(Debug)]
#[repr(align(128))]
pub struct Apart<T>(pub T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Apart<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Bytes that start on a cache line, with no others on any of their lines.
#[derive(Debug)]
pub struct Buffer {
    memory: Vec<u8>,
    at: usize,
    len: usize,
}

impl Buffer {
    /// That many bytes, each of the value that `byte` gives its place.
    pub fn new(len: usize, byte: impl FnMut(usize) -> u8) -> Self {
        let memory = vec![0; len.next_multiple_of(LINE) + LINE];
        let at = memory.as_ptr().align_offset(LINE);
        let mut buffer = Self { memory, at, len };
        buffer.iter_mut().zip((0..len).map(byte)).for_each(|(to, byte)| *to = byte);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.at..][..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.at..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no two of them share a cache line, however the allocator places them.
    #[test]
    fn buffers_are_apart() {
        let buffers: Vec<Buffer> = (0..100).map(|len| Buffer::new(len, |at| at as u8)).collect();
        let mut lines: Vec<usize> = buffers
            .iter()
            .flat_map(|buffer| {
                assert!(buffer.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at));
                assert_eq!(buffer.as_ptr().addr() % LINE, 0);
                let start = buffer.as_ptr().addr() / LINE;
                start..start + buffer.len().div_ceil(LINE)
            })
            .collect();
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), all);
    }
}
