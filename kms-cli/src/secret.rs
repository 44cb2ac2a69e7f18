//! Where secrets come from: files, standard input, a prompt.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::Failure;

/// The most bytes that a passphrase or a parameter may have. Those of the API have 30,720 at most, in Base64 a third more.
const MOST: u64 = 1 << 20;

/// Reads a file, or standard input for `-`, without one line break at its end.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let at = || Failure::at(path.display());
    let text = if path == Path::new("-") {
        read_from(io::stdin().lock()).map_err(at())?
    } else {
        read_from(File::open(path).map_err(at())?).map_err(at())?
    };
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(line.to_owned()))
}

fn read_from(source: impl io::Read) -> io::Result<Zeroizing<String>> {
    // Room for all before it is filled: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MOST as usize + 1));
    if source.take(MOST + 1).read_to_string(&mut text)? as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB"));
    }
    Ok(text)
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
        let text = Zeroizing::new(Value::String(value.as_str().to_owned()).to_string());
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
        let read = |len: usize| read_from(io::repeat(b'x').take(len as u64));
        assert_eq!(read(MOST as usize).unwrap().len(), MOST as usize);
        assert!(read(MOST as usize + 1).is_err());
    }
}
