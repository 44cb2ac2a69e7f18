//! Where secrets come from: files, standard input, a prompt.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use kms_core::params;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::Failure;

/// The most bytes that a passphrase or a parameter may have. Those of the API have 30,720 at most, in Base64 a third more.
const MOST: usize = 1 << 20;

/// What a passphrase is asked for by.
pub(crate) const PASSPHRASE: &str = "Passphrase";

/// What stands for standard input in the place of a file.
const STDIN: &str = "-";

/// Reads a file, or standard input for `-`, without one line break at its end. A terminal is asked for a line, named `name`.
pub(crate) fn read(path: &Path, name: &str) -> Result<Zeroizing<String>, Failure> {
    let read_from = |mut source: Box<dyn io::Read>| read_all(MOST, |buffer| source.read(buffer));
    let text = match path.to_str() {
        Some(STDIN) if io::stdin().is_terminal() => return ask(name).map_err(Failure::at(name)),
        Some(STDIN) => read_from(Box::new(io::stdin().lock())),
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

/// Asks on the terminal for a line, and shows nothing of it. Control characters, a tab among them, are not taken.
fn ask(name: &str) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(format!("{name}: ")).map(Zeroizing::new)
}

/// Asks for the passphrase of a store: once, or twice for a new one.
pub(crate) fn passphrase(is_new: bool) -> Result<Zeroizing<String>, Failure> {
    let ask = |name| {
        ask(name).map_err(|error| {
            Failure::Cannot(format!("the passphrase cannot be asked for ({error}): name a file by --passphrase-file"))
        })
    };
    let first = ask(PASSPHRASE)?;
    if is_new && ask("Once more")? != first {
        return Err(Failure::Cannot("the two passphrases differ".to_owned()));
    }
    Ok(first)
}

/// A parameter as an argument gives it.
pub(crate) struct Parameter<'a> {
    name: &'a str,
    source: Source<'a>,
}

enum Source<'a> {
    Argument(&'a str),
    File(&'a Path),
}

/// What the arguments of a call say. Nothing is read or asked for before all of them make sense.
pub(crate) fn understood(arguments: &[String]) -> Result<Vec<Parameter<'_>>, Failure> {
    let mut all: Vec<Parameter<'_>> = Vec::with_capacity(arguments.len());
    let mut takes_stdin = false;
    for argument in arguments {
        // What of an argument may stand in a message: its name.
        let name = argument.split(['=', '@']).next().unwrap_or_default();
        let unfit = |why: &str| Failure::Usage(format!("parameter {name:?} {why}"));
        let source = match argument[name.len()..].split_at_checked(1) {
            Some(("=", text)) => Source::Argument(text),
            Some((_, path)) => Source::File(Path::new(path)),
            None => return Err(unfit("is neither NAME=VALUE nor NAME@FILE")),
        };
        if name.is_empty() || all.iter().any(|other| other.name == name) {
            return Err(unfit("has no name, or one that another has"));
        }
        match source {
            Source::Argument(_) if params::SECRETS.contains(&name) => {
                let instead = format!("use {name}@FILE, or {name}@- to be asked or to pipe it in");
                return Err(unfit(&format!(
                    "is a secret, and every user of the machine can read command lines: {instead}"
                )));
            }
            Source::File(path) if path == Path::new(STDIN) => {
                if takes_stdin {
                    return Err(unfit("is to come from standard input, and so is another"));
                }
                takes_stdin = true;
            }
            _ => {}
        }
        all.push(Parameter { name, source });
    }
    Ok(all)
}

/// The parameters of a call, as a JSON object of texts.
pub(crate) fn parameters(arguments: &[String]) -> Result<Zeroizing<String>, Failure> {
    let mut object = Zeroizing::new(String::from("{"));
    for (number, Parameter { name, source }) in understood(arguments)?.into_iter().enumerate() {
        let text = match source {
            Source::Argument(text) => Zeroizing::new(text.to_owned()),
            Source::File(path) => read(path, name)?,
        };
        let separator = if number == 0 { "" } else { "," };
        let text = json(text.as_str()).map_err(|error| Failure::Cannot(format!("parameter {name:?}: {error}")))?;
        object = Zeroizing::new(format!("{}{separator}{}:{}", *object, Value::from(name), *text));
    }
    Ok(Zeroizing::new(format!("{}}}", *object)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;

    use super::*;

    fn read_parameters(arguments: &[&str]) -> Result<Value, Failure> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        parameters(&arguments).map(|json| serde_json::from_str(&json).unwrap())
    }

    fn read_well(arguments: &[&str]) -> Value {
        read_parameters(arguments).unwrap_or_else(|_| panic!("{arguments:?}"))
    }

    #[test]
    fn parameters_are_names_and_texts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a=b");
        fs::write(&file, "from a \"file\"\r\n").unwrap();
        let from_file = format!("C@{}", file.display());
        let read = read_well(&["A=1", "B=x=y@z", &from_file, "D="]);
        assert_eq!(read, serde_json::json!({ "A": "1", "B": "x=y@z", "C": "from a \"file\"", "D": "" }));
        assert_eq!(read_well(&[]), serde_json::json!({}));
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        // With a file that is not there first: the arguments are looked at before it is.
        let gone = "Z@/no/such/file";
        for arguments in [&[gone, "A"][..], &[gone, "=1"], &[gone, "@x"], &[gone, "A=1", "A=2"], &[gone, "A@-", "B@-"]]
        {
            assert!(matches!(read_parameters(arguments), Err(Failure::Usage(_))), "{arguments:?}");
        }
        assert!(matches!(read_parameters(&[gone]), Err(Failure::Cannot(_))));
    }

    #[test]
    fn a_secret_is_no_argument() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "hush").unwrap();
        for name in ["Plaintext", "SecretData"] {
            for text in ["hush", ""] {
                let refused = read_parameters(&["KeyId=alias/app", &format!("{name}={text}")]);
                let Err(Failure::Usage(why)) = refused else { panic!("{name}={text} was taken") };
                assert!(why.contains(&format!("{name}@FILE")) && why.contains(&format!("{name}@-")), "{why}");
                assert!(!why.contains("hush"), "{why}");
            }
            assert_eq!(read_well(&[&format!("{name}@{}", file.display())])[name], "hush");
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
