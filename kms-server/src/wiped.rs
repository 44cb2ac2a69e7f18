//! A text that grows and leaves nothing behind.

use zeroize::Zeroizing;

/// A growing text. One that outgrows its place is copied and its old place wiped; a string by itself frees it as it is.
pub(crate) struct Wiped(Zeroizing<String>);

impl Wiped {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(String::with_capacity(bytes)))
    }

    pub(crate) fn push(&mut self, text: &str) {
        let needed = self.0.len() + text.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(needed.max(2 * self.0.capacity())));
            larger.push_str(&self.0);
            self.0 = larger;
        }
        self.0.push_str(text);
    }

    /// Adds `text`, each of whose characters that `escape` knows stands as what it says.
    pub(crate) fn push_escaped(&mut self, text: &str, escape: impl Fn(u8) -> Option<&'static str>) {
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if let Some(escaped) = escape(byte) {
                self.push(&text[plain..at]);
                self.push(escaped);
                plain = at + 1;
            }
        }
        self.push(&text[plain..]);
    }

    /// Adds `text` as a JSON text, with its quotation marks.
    pub(crate) fn push_json_text(&mut self, text: &str) {
        const CONTROLS: [&str; 32] = [
            "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\u0008",
            "\\u0009", "\\u000a", "\\u000b", "\\u000c", "\\u000d", "\\u000e", "\\u000f", "\\u0010", "\\u0011",
            "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a",
            "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
        ];
        self.push("\"");
        self.push_escaped(text, |byte| match byte {
            b'"' => Some("\\\""),
            b'\\' => Some("\\\\"),
            _ => CONTROLS.get(usize::from(byte)).copied(),
        });
        self.push("\"");
    }

    pub(crate) fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_texts_are_those_that_serde_json_reads(text in any::<String>()) {
            let mut wiped = Wiped::with_capacity(0);
            wiped.push_json_text(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&wiped.into_text()).unwrap(), text);
        }

        #[test]
        fn what_was_there_stays_when_it_grows(pieces in prop::collection::vec(any::<String>(), 0..20)) {
            let mut wiped = Wiped::with_capacity(1);
            for piece in &pieces {
                wiped.push(piece);
            }
            prop_assert_eq!(&*wiped.into_text(), &pieces.concat());
        }
    }
}
