//! Where secrets come from: files, standard input, a prompt.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::Failure;

/// The most bytes that a passphrase or a parameter may have. Those of the API have 30,720 at most, in Base64 a third more.
const MOST: usize = 1 << 20;

/// Reads a file, or standard input for `-`, without one line break at its end.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let read_from = |mut source: Box<dyn io::Read>| read_all(MOST, |buffer| source.read(buffer));
    let text = match path.to_str() {
        Some("-") => read_from(Box::new(io::stdin().lock())),
        _ => File::open(path).and_then(|file| read_from(Box::new(file))),
    };
    let text = text.map_err(Failure::at(path.display()))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(line.to_owned()))
}

/// Reads to the end, `most` bytes at most. What was read stands nowhere but in the result: a buffer that grows by itself
/// leaves copies behind.
pub(crate) fn read_all(
    most: usize,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0; 4096]);
    let mut len = 0;
    loop {
        if len == bytes.len() {
            let mut larger = Zeroizing::new(vec![0; 2 * len]);
            larger[..len].copy_from_slice(&bytes);
            bytes = larger;
        }
        match read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if len > most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {most} bytes")));
        }
    }
    let text =
        std::str::from_utf8(&bytes[..len]).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The JSON text of something that may be secret, in a place of the right size from the beginning.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Zeroizing<String>> {
    let mut size = Size(0);
    serde_json::to_writer(&mut size, value)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *bytes, value)?;
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(serde::ser::Error::custom)
}

/// Counts what is written.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks for the passphrase of a store: once, or twice for a new one.
pub(crate) fn passphrase(is_new: bool) -> Result<Zeroizing<String>, Failure> {
    let ask = |prompt| {
        let told = rpassword::prompt_password(prompt).map(Zeroizing::new);
        told.map_err(|error| {
            Failure::Cannot(format!("the passphrase cannot be asked for ({error}): name a file by --passphrase-file"))
        })
    };
    let first = ask("Passphrase: ")?;
    if is_new && ask("Once more: ")? != first {
        return Err(Failure::Cannot("the two passphrases differ".to_owned()));
    }
    Ok(first)
}

/// The parameters of a call, as a JSON object of texts.
pub(crate) fn parameters(arguments: &[String]) -> Result<Zeroizing<String>, Failure> {
    let mut object = Zeroizing::new(String::from("{"));
    let mut names = Vec::new();
    for argument in arguments {
        let unfit = |why: &str| Failure::Cannot(format!("parameter {:?} {why}", shown(argument)));
        let at = argument.find(['=', '@']).ok_or_else(|| unfit("is neither NAME=VALUE nor NAME@FILE"))?;
        let (name, rest) = argument.split_at(at);
        if name.is_empty() || names.contains(&name) {
            return Err(unfit("has no name, or one that another has"));
        }
        let value = match rest.split_at(1) {
            ("@", path) => read(Path::new(path))?,
            (_, value) => Zeroizing::new(value.to_owned()),
        };
        let separator = if names.is_empty() { "" } else { "," };
        names.push(name);
        let text = json(value.as_str()).map_err(|_| unfit("cannot be written"))?;
        object = Zeroizing::new(format!("{}{separator}{}:{}", *object, Value::from(name), *text));
    }
    Ok(Zeroizing::new(format!("{}}}", *object)))
}

/// What of a parameter may stand in a message: its name.
fn shown(argument: &str) -> &str {
    argument.split(['=', '@']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;

    use super::*;

    fn read_parameters(arguments: &[&str]) -> Result<Value, ()> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        parameters(&arguments).map(|json| serde_json::from_str(&json).unwrap()).map_err(|_| ())
    }

    #[test]
    fn parameters_are_names_and_texts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a=b");
        fs::write(&file, "from a \"file\"\r\n").unwrap();
        let from_file = format!("C@{}", file.display());
        let read = read_parameters(&["A=1", "B=x=y@z", &from_file, "D="]).unwrap();
        assert_eq!(read, serde_json::json!({ "A": "1", "B": "x=y@z", "C": "from a \"file\"", "D": "" }));
        assert_eq!(read_parameters(&[]).unwrap(), serde_json::json!({}));
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for arguments in [&["A"][..], &["=1"], &["@x"], &["A=1", "A=2"], &["A@/no/such/file"]] {
            assert!(read_parameters(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn a_file_has_a_limit() {
        let read = |len: usize| {
            let mut source = io::repeat(b'x').take(len as u64);
            read_all(10_000, |buffer| source.read(buffer))
        };
        for len in [0, 1, 4096, 4097, 10_000] {
            assert_eq!(read(len).unwrap().as_str(), "x".repeat(len));
        }
        assert!(read(10_001).is_err());
        assert!(read_all(10, |_| Err(io::ErrorKind::TimedOut.into())).is_err());
        let mut bytes = &b"\xff"[..];
        assert!(read_all(10, |buffer| bytes.read(buffer)).is_err());
    }
}
