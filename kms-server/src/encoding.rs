//! Percent-encoding, both ways: strict reading of `application/x-www-form-urlencoded`, and the one spelling that is signed.
//!
//! Clients spell the same parameters differently (a space as `+` or `%20`; `*` and `'` raw or not), but each signs one
//! spelling: RFC 3986's unreserved characters as they are, everything else as `%XX` in capitals. So everything is decoded
//! first and spelled anew for the signature.

use zeroize::{Zeroize, Zeroizing};

/// A `%` without two hexadecimal digits behind it, or bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A name and its value, decoded. The value may be a plaintext or a secret.
pub(crate) type Pair = (String, Zeroizing<String>);

/// The pairs of a query or of a form, in their order. A piece without `=` is a name with an empty value; an empty piece is
/// none.
pub(crate) fn pairs(encoded: &[u8]) -> impl Iterator<Item = Result<Pair, Malformed>> {
    let mut rest = Some(encoded);
    let pieces = std::iter::from_fn(move || {
        let (piece, behind) = cut(rest?, b'&');
        rest = behind;
        Some(piece)
    });
    pieces.filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = cut(piece, b'=');
        let value = value.unwrap_or_default();
        let mut name = decode(name)?;
        Ok((std::mem::take(&mut *name), decode(value)?))
    })
}

/// Decodes one name or value: `%XX` is a byte, `+` a space.
pub(crate) fn decode(encoded: &[u8]) -> Result<Zeroizing<String>, Malformed> {
    // Room for the whole before it is filled: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded;
    while let Some(at) = find(rest, |byte| (byte == b'%') | (byte == b'+')) {
        bytes.extend_from_slice(&rest[..at]);
        rest = match rest[at..] {
            [b'+', ..] => {
                bytes.push(b' ');
                &rest[at + 1..]
            }
            [_, high, low, ..] => {
                bytes.push(hex_digit(high)? << 4 | hex_digit(low)?);
                &rest[at + 3..]
            }
            _ => return Err(Malformed),
        };
    }
    bytes.extend_from_slice(rest);
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(Malformed)
        }
    }
}

/// What stands before the first `at`, and what behind it.
fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match find(bytes, |byte| byte == at) {
        Some(place) => (&bytes[..place], Some(&bytes[place + 1..])),
        None => (bytes, None),
    }
}

/// Where the first byte of a kind stands. Many are asked at once for whether there is one among them: most have none.
fn find(bytes: &[u8], is: impl Fn(u8) -> bool) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    for (at, chunk) in chunks.iter().enumerate() {
        if chunk.iter().fold(false, |any, byte| any | is(*byte)) {
            return chunk.iter().position(|byte| is(*byte)).map(|within| at * CHUNK + within);
        }
    }
    rest.iter().position(|byte| is(*byte)).map(|within| bytes.len() - rest.len() + within)
}

fn hex_digit(digit: u8) -> Result<u8, Malformed> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Malformed),
    }
}

/// What RFC 3986 leaves as it is. Written so that many can be asked at once.
const fn is_unreserved(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 26)
        | (byte.wrapping_sub(b'0') < 10)
        | (byte == b'-')
        | (byte == b'_')
        | (byte == b'.')
        | (byte == b'~')
}

/// How each byte is spelled: up to seven characters, and in the last place how many they are. So much is copied for every
/// byte, whatever its spelling: it costs less than to ask.
pub(crate) struct Spelling([[u8; 8]; 256]);

impl Spelling {
    /// Encoded once.
    pub(crate) const ONCE: &Self = &Self::new(b"%");
    /// Encoded, and the outcome encoded again: `%` itself is `%25` then.
    pub(crate) const TWICE: &Self = &Self::new(b"%25");

    const fn new(escape: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut table = [[0; 8]; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut row = [0; 8];
            if is_unreserved(byte as u8) {
                row[0] = byte as u8;
                row[7] = 1;
            } else {
                let mut at = 0;
                while at < escape.len() {
                    row[at] = escape[at];
                    at += 1;
                }
                row[at] = DIGITS[byte >> 4];
                row[at + 1] = DIGITS[byte & 15];
                row[7] = at as u8 + 2;
            }
            table[byte] = row;
            byte += 1;
        }
        Self(table)
    }
}

/// Hands a long text on in pieces, so that it never stands anywhere as a whole: it is several times as long as the request,
/// holds what the request holds, and is made before anybody knows who asks.
pub(crate) struct Speller<S: FnMut(&[u8])> {
    sink: S,
    piece: Zeroizing<[u8; PIECE]>,
    len: usize,
}

/// How many bytes are looked at at once.
const CHUNK: usize = 16;
const PIECE: usize = 1024;
/// What a chunk becomes at most, and one that is copied too much.
const ROOM: usize = 5 * CHUNK + 8;

impl<S: FnMut(&[u8])> Speller<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self { sink, piece: Zeroizing::new([0; PIECE]), len: 0 }
    }

    /// Passes on `text` in this spelling.
    pub(crate) fn spell(&mut self, spelling: &Spelling, text: &str) {
        let (chunks, rest) = text.as_bytes().as_chunks::<CHUNK>();
        for chunk in chunks {
            if self.len > PIECE - ROOM {
                self.flush();
            }
            if chunk.iter().fold(true, |all, byte| all & is_unreserved(*byte)) {
                self.piece[self.len..self.len + CHUNK].copy_from_slice(chunk);
                self.len += CHUNK;
            } else {
                self.spell_each(spelling, chunk);
            }
        }
        if self.len > PIECE - ROOM {
            self.flush();
        }
        self.spell_each(spelling, rest);
    }

    /// There is room for them.
    fn spell_each(&mut self, spelling: &Spelling, bytes: &[u8]) {
        for byte in bytes {
            let row = &spelling.0[usize::from(*byte)];
            self.piece[self.len..self.len + row.len()].copy_from_slice(row);
            self.len += usize::from(row[7]);
        }
    }

    /// Passes on bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.flush();
        (self.sink)(bytes);
    }

    /// Passes on what is still here.
    pub(crate) fn finish(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        (self.sink)(&self.piece[..self.len]);
        self.len = 0;
    }
}

/// The text in that spelling.
#[cfg(test)]
pub(crate) fn spelled(spelling: &Spelling, text: &str) -> String {
    let mut out = Vec::new();
    let mut speller = Speller::new(|piece: &[u8]| out.extend_from_slice(piece));
    speller.spell(spelling, text);
    speller.finish();
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(encoded: &str) -> Result<Vec<(String, String)>, Malformed> {
        pairs(encoded.as_bytes()).map(|pair| pair.map(|(name, value)| (name, value.to_string()))).collect()
    }

    #[test]
    fn pairs_are_read() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("&&", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1&&b=2&", &[("a", "1"), ("b", "2")]),
            ("a", &[("a", "")]),
            ("a=", &[("a", "")]),
            ("=a", &[("", "a")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=1&a=2", &[("a", "1"), ("a", "2")]),
            ("a+b=c+d%20e%2B", &[("a b", "c d e+")]),
            ("%41=%e4%b8%ad%E4%B8%AD", &[("A", "中中")]),
            ("a=*!'()~;/?:@", &[("a", "*!'()~;/?:@")]),
            ("a=%00%25%26%3D", &[("a", "\0%&=")]),
        ];
        for (encoded, expected) in cases {
            let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(read(encoded), Ok(expected), "{encoded}");
        }
    }

    #[test]
    fn what_is_malformed_is_not_guessed_at() {
        for encoded in
            ["a=%", "a=%4", "a=%4g", "a=%g4", "a=%+1", "a=%%", "%=1", "a=%ff", "a=%e4%b8", "a=%ed%a0%80", "%c0%af=1"]
        {
            assert_eq!(read(encoded), Err(Malformed), "{encoded}");
        }
        assert_eq!(pairs(b"a=\xff").next().map(|pair| pair.is_err()), Some(true));
    }

    /// Contract, chapter 2: "`A-Z a-z 0-9 - _ . ~` stay, everything else `%XX` upper case, space `%20` (not +), `*` `%2A`".
    #[test]
    fn what_is_signed_has_one_spelling() {
        for (text, once, twice) in [
            ("AZaz09-_.~", "AZaz09-_.~", "AZaz09-_.~"),
            (" *+/", "%20%2A%2B%2F", "%2520%252A%252B%252F"),
            ("é中", "%C3%A9%E4%B8%AD", "%25C3%25A9%25E4%25B8%25AD"),
            ("\0%", "%00%25", "%2500%2525"),
        ] {
            assert_eq!(spelled(Spelling::ONCE, text), once);
            assert_eq!(spelled(Spelling::TWICE, text), twice);
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_spelling(text in any::<String>()) {
            let encoded = spelled(Spelling::ONCE, &text);
            prop_assert_eq!(decode(encoded.as_bytes()).map(|text| text.to_string()), Ok(text));
        }

        // Long enough for several pieces.
        #[test]
        fn twice_is_once_done_twice(text in "[ -~é中]{0,3000}") {
            let once = spelled(Spelling::ONCE, &text);
            prop_assert_eq!(spelled(Spelling::TWICE, &text), spelled(Spelling::ONCE, &once));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = pairs(&bytes).count();
        }
    }
}
