//! `cargo xtask demo`: what the product does, in a minute. A C, a Go and a Python program open the same store in turn and
//! encrypt, exchange and decrypt a real file; then the key is disabled and scheduled for deletion, and each program is
//! refused. Finally two of them sign the file, and OpenSSL and all three verify it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::needs;
use crate::run::{cargo, command, finish, here, target};

/// The languages, in the order in which they take their turn.
const LANGUAGES: [&str; 3] = ["C", "Go", "Python"];

/// A key pair of the demo: its name, its kind, how it signs, who signs with it, and how OpenSSL verifies what they wrote.
struct Signer {
    alias: &'static str,
    spec: &'static str,
    algorithm: &'static str,
    language: &'static str,
    signature: &'static str,
    public: &'static str,
    openssl: &'static str,
}

const SIGNERS: [Signer; 2] = [
    Signer {
        alias: "alias/signer",
        spec: "EC_P256",
        algorithm: "ECDSA_SHA_256",
        language: "C",
        signature: "p256.sig",
        public: "p256.pem",
        openssl: "dgst -sha256 -verify p256.pem -signature p256.sig file",
    },
    Signer {
        alias: "alias/signer-sm2",
        spec: "EC_SM2",
        algorithm: "SM2DSA",
        language: "Python",
        signature: "sm2.sig",
        public: "sm2.pem",
        openssl: concat!(
            "pkeyutl -verify -rawin -digest sm3 -pkeyopt distid:1234567812345678 ",
            "-pubin -inkey sm2.pem -sigfile sm2.sig -in file"
        ),
    },
];

/// What the programs end with when a signature is not valid.
const NOT_VALID: i32 = 3;

/// Where the programs are, and the folder that they work in.
struct Demo {
    folder: PathBuf,
    c: String,
    go: String,
    python: String,
    bindings: PathBuf,
    libkms: String,
}

pub(crate) fn demo() -> Result<(), String> {
    heading("1. Build libkms, and the same example programs in C, Go and Python");
    needs::install(&[needs::C, needs::GO_AND_PYTHON])?;
    let demo = Demo::build()?;
    demo.envelopes()?;
    demo.signatures()?;
    say(&format!("\nThe store, its root key and the files are in {}", demo.folder.display()));
    Ok(())
}

impl Demo {
    /// Builds everything, and empties the folder.
    fn build() -> Result<Self, String> {
        let folder = PathBuf::from(target("demo")?);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;

        finish(&mut cargo(["build", "--release", "--package", "kms-ffi", "--locked"]))?;
        let libraries = target("release")?;
        let (c, go) = (target("demo-programs/c")?, target("demo-programs/go")?);

        let (lib, build) = (format!("KMS_LIB={libraries}"), format!("BUILD={c}"));
        let programs = ["envelope", "sign"].map(|name| format!("{c}/{name}"));
        let make = ["-C", "bindings/c", &lib, &build].into_iter().chain(programs.iter().map(String::as_str));
        finish(&mut command("make", make))?;

        // With the slash at its end it is a folder, for as many programs as there are.
        let mut go_build = command("go", ["build", "-o", &format!("{go}/"), "./examples/..."]);
        go_build.current_dir("bindings/go").env("CGO_LDFLAGS", format!("-L{libraries} -Wl,-rpath,{libraries}"));
        finish(&mut go_build)?;

        let libkms = format!("{libraries}/libkms.so");
        Ok(Self { folder, c, go, python: needs::python()?, bindings: here("bindings/python")?, libkms })
    }

    /// Encrypts and decrypts, and takes the key away in between.
    fn envelopes(&self) -> Result<(), String> {
        heading("2. A program in C makes a root key file, a store, a master key, and its name alias/demo");
        self.run("C", "envelope", &["create"])?;

        // The library itself: a real file of several megabytes that is certain to be there.
        let size = fs::copy(&self.libkms, self.folder.join("file")).map_err(|error| format!("the file: {error}"))?;
        let what = format!("a file of {:.1} MB (a copy of libkms)", mega(size));
        heading(&format!("3. Each encrypts {what} under a data key of its own"));
        for language in LANGUAGES {
            self.run(language, "envelope", &["encrypt", "file", &format!("{language}.sealed")])?;
        }

        heading("4. Each opens the store anew and decrypts the files of all three");
        for reader in LANGUAGES {
            for writer in LANGUAGES {
                self.run(reader, "envelope", &["decrypt", &format!("{writer}.sealed"), "opened"])?;
                self.compare("opened")?;
            }
        }
        say("all nine are equal to the original, byte for byte");

        heading(
            "5. Who holds the master key holds every file: disable it, enable it, schedule its deletion, cancel that",
        );
        for (language, writer) in [("C", "Python"), ("Go", "C"), ("Python", "Go")] {
            self.run(language, "envelope", &["lifecycle", &format!("{writer}.sealed")])?;
        }

        heading("6. It works again");
        self.run("C", "envelope", &["decrypt", "Go.sealed", "opened"])?;
        self.compare("opened")?;
        say("equal to the original");
        Ok(())
    }

    /// Signs, and lets everybody verify.
    fn signatures(&self) -> Result<(), String> {
        heading("7. The program in C makes two key pairs; their private halves never leave the store");
        for Signer { alias, spec, .. } in SIGNERS {
            self.run("C", "sign", &["create", alias, spec])?;
        }

        heading("8. C signs the file with one, Python with the other; they hand over signatures and public keys");
        for Signer { alias, algorithm, language, signature, public, .. } in SIGNERS {
            self.run(language, "sign", &["sign", alias, algorithm, "file", signature, public])?;
        }

        heading("9. OpenSSL, which has the public keys and nothing else of ours, verifies them");
        for Signer { openssl, .. } in SIGNERS {
            say(&format!("$ openssl {openssl}"));
            finish(command("openssl", openssl.split(' ')).current_dir(&self.folder))?;
        }

        heading("10. Each language verifies them through the engine");
        for Signer { alias, algorithm, signature, .. } in SIGNERS {
            for language in LANGUAGES {
                self.run(language, "sign", &["verify", alias, algorithm, "file", signature])?;
            }
        }

        heading("11. One bit of the file is changed, and each finds out");
        self.alter("altered")?;
        for Signer { alias, algorithm, signature, .. } in SIGNERS {
            for language in LANGUAGES {
                let mut program = self.program(language, "sign");
                let verify = program.args(["verify", alias, algorithm, "altered", signature]);
                let status = verify.status().map_err(|error| format!("{verify:?}: {error}"))?;
                if status.code() != Some(NOT_VALID) {
                    return Err(format!("{verify:?}: {status}, although the signature is not valid"));
                }
            }
        }
        Ok(())
    }

    /// A program in a language, with the arguments that every step has.
    fn program(&self, language: &str, name: &str) -> Command {
        let mut program = match language {
            "C" => command(&format!("{}/{name}", self.c), []),
            "Go" => command(&format!("{}/{name}", self.go), []),
            _ => {
                let mut program = command(&self.python, []);
                program.arg(self.bindings.join(format!("examples/{name}.py")));
                program.env("PYTHONPATH", &self.bindings).env("KMS_LIBRARY", &self.libkms);
                program
            }
        };
        program.current_dir(&self.folder).args(["store", "root.key"]);
        program
    }

    /// Lets one language's program do one step.
    fn run(&self, language: &str, name: &str, step: &[&str]) -> Result<(), String> {
        finish(self.program(language, name).args(step))
    }

    /// Writes the file with one bit changed in its middle.
    fn alter(&self, name: &str) -> Result<(), String> {
        let mut bytes = fs::read(self.folder.join("file")).map_err(|error| format!("file: {error}"))?;
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        fs::write(self.folder.join(name), bytes).map_err(|error| format!("{name}: {error}"))
    }

    /// Compares a file with the one that was encrypted, and removes it.
    fn compare(&self, name: &str) -> Result<(), String> {
        let read = |name: &str| fs::read(self.folder.join(name)).map_err(|error| format!("{name}: {error}"));
        if read(name)? != read("file")? {
            return Err(format!("{name} is not what was encrypted"));
        }
        fs::remove_file(self.folder.join(name)).map_err(|error| format!("{name}: {error}"))
    }
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn heading(text: &str) {
    say(&format!("\n{text}\n"));
}

#[allow(clippy::print_stdout, reason = "a demonstration shows what it does")]
fn say(text: &str) {
    println!("{text}");
}
