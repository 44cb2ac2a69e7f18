//! Turns a reply into JSON text without leaving copies of a plaintext behind.

use std::io;

use zeroize::{Zeroize, Zeroizing};

use crate::error::{ErrorCode, KmsError};

/// The JSON text of a reply.
///
/// # Errors
/// `InternalFailure`; no reply of ours brings it about.
pub(crate) fn render(reply: &impl serde::Serialize) -> Result<Zeroizing<String>, KmsError> {
    let mut out = WipingBuffer(Zeroizing::new(Vec::with_capacity(1024)));
    serde_json::to_writer(&mut out, reply).map_err(|_| ErrorCode::InternalFailure)?;
    match String::from_utf8(std::mem::take(&mut *out.0)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(ErrorCode::InternalFailure.into())
        }
    }
}

/// A growing buffer that wipes the smaller one it grows out of; `Vec` would free it as it is.
struct WipingBuffer(Zeroizing<Vec<u8>>);

impl io::Write for WipingBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
