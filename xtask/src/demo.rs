//! `cargo xtask demo`: what the product does, in a minute. A C, a Go and a Python program open the same store in turn and
//! encrypt, exchange and decrypt a real file; then the key is disabled and scheduled for deletion, and each program is
//! refused.

use std::fs;
use std::path::PathBuf;

use crate::needs;
use crate::run::{cargo, command, finish, here, target};

/// The languages, in the order in which they take their turn.
const LANGUAGES: [&str; 3] = ["C", "Go", "Python"];

/// The programs, and the folder that they work in.
struct Demo {
    folder: PathBuf,
    c: String,
    go: String,
    python: String,
    libkms: String,
}

pub(crate) fn demo() -> Result<(), String> {
    heading("1. Build libkms, and the same example program in C, Go and Python");
    needs::install(&[needs::C, needs::GO_AND_PYTHON])?;
    let demo = Demo::build()?;

    heading("2. A program in C makes a root key file, a store, a master key, and its name alias/demo");
    demo.run("C", &["create"])?;

    // The library itself: a real file of several megabytes that is certain to be there.
    let size = fs::copy(&demo.libkms, demo.folder.join("file")).map_err(|error| format!("the file: {error}"))?;
    heading(&format!("3. Each encrypts a file of {:.1} MB (a copy of libkms) under a data key of its own", mega(size)));
    for language in LANGUAGES {
        demo.run(language, &["encrypt", "file", &format!("{language}.sealed")])?;
    }

    heading("4. Each opens the store anew and decrypts the files of all three");
    for reader in LANGUAGES {
        for writer in LANGUAGES {
            demo.run(reader, &["decrypt", &format!("{writer}.sealed"), "opened"])?;
            demo.compare("opened")?;
        }
    }
    say("all nine are equal to the original, byte for byte");

    heading("5. Who holds the master key holds every file: disable it, enable it, schedule its deletion, cancel that");
    for (language, writer) in [("C", "Python"), ("Go", "C"), ("Python", "Go")] {
        demo.run(language, &["lifecycle", &format!("{writer}.sealed")])?;
    }

    heading("6. It works again");
    demo.run("C", &["decrypt", "Go.sealed", "opened"])?;
    demo.compare("opened")?;
    say(&format!("equal to the original; the store, its root key and the files are in {}", demo.folder.display()));
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
        let (c, go) = (target("demo-c")?, target("demo-go")?);

        let c_program = format!("{c}/envelope");
        let (lib, build) = (format!("KMS_LIB={libraries}"), format!("BUILD={c}"));
        finish(&mut command("make", ["-C", "bindings/c", &lib, &build, &c_program]))?;

        let mut go_build = command("go", ["build", "-o", &go, "./examples/envelope"]);
        go_build.current_dir("bindings/go").env("CGO_LDFLAGS", format!("-L{libraries} -Wl,-rpath,{libraries}"));
        finish(&mut go_build)?;

        Ok(Self { folder, c: c_program, go, python: needs::python()?, libkms: format!("{libraries}/libkms.so") })
    }

    /// Lets one language's program do one step.
    fn run(&self, language: &str, step: &[&str]) -> Result<(), String> {
        let bindings = here("bindings/python")?;
        let mut program = match language {
            "C" => command(&self.c, []),
            "Go" => command(&self.go, []),
            _ => {
                let mut program = command(&self.python, []);
                program.arg(bindings.join("examples/envelope.py"));
                program.env("PYTHONPATH", bindings).env("KMS_LIBRARY", &self.libkms);
                program
            }
        };
        finish(program.current_dir(&self.folder).args(["store", "root.key"]).args(step))
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
