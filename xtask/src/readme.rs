//! The three programs of README.md, taken out of it and run as a reader would: in an empty folder, one after the other, against
//! an installed libkms.

use std::fs;
use std::path::Path;

use crate::install::install;
use crate::needs;
use crate::run::{command, finish, here, target};

/// Runs them.
pub(crate) fn check() -> Result<(), String> {
    let prefix = target("prefix")?;
    install(&prefix)?;
    let library = format!("{prefix}/lib");
    let readme = fs::read_to_string("README.md").map_err(|error| format!("README.md: {error}"))?;
    let folder = target("readme")?;
    if Path::new(&folder).exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
    for (language, file) in [("python", "first.py"), ("c", "first.c"), ("go", "first.go")] {
        fs::write(format!("{folder}/{file}"), block(&readme, language)?)
            .map_err(|error| format!("{folder}/{file}: {error}"))?;
    }

    let mut python = command(&needs::python()?, ["first.py"]);
    python.env("PYTHONPATH", here("bindings/python")?).env("KMS_LIBRARY", format!("{library}/libkms.so"));
    finish(python.current_dir(&folder))?;

    let compile = "cc -Wall -Wextra -Werror -o first first.c $(pkg-config --cflags --libs kms)";
    let mut cc = command("sh", ["-c", compile]);
    cc.env("PKG_CONFIG_PATH", format!("{library}/pkgconfig"));
    finish(cc.current_dir(&folder))?;
    finish(command(&format!("{folder}/first"), []).current_dir(&folder).env("LD_LIBRARY_PATH", &library))?;

    let package = format!("-replace=kms={}", here("bindings/go")?.display());
    for step in [
        &["mod", "init", "first"][..],
        &["mod", "edit", "-require=kms@v0.0.0", &package],
        &["run", "-mod=mod", "first.go"],
    ] {
        let mut go = command("go", step.iter().copied());
        go.env("CGO_CFLAGS", format!("-I{prefix}/include")).env("CGO_LDFLAGS", format!("-L{library}"));
        finish(go.env("LD_LIBRARY_PATH", &library).current_dir(&folder))?;
    }
    Ok(())
}

/// The code block of a language; there must be exactly one.
fn block<'t>(text: &'t str, language: &str) -> Result<&'t str, String> {
    let fence = format!("```{language}\n");
    let mut blocks = text.split(fence.as_str()).skip(1);
    match (blocks.next().and_then(|rest| rest.split_once("```")), blocks.next()) {
        (Some((block, _)), None) => Ok(block),
        _ => Err(format!("README.md should hold one block of {language}")),
    }
}
