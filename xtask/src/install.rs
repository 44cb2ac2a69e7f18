//! `cargo xtask install`: puts libkms where compilers find it.

use std::fs;
use std::path::Path;

use crate::run::{cargo, finish, here, target};

/// Copies header, libraries and pkg-config file under `prefix`.
pub(crate) fn install(prefix: &str) -> Result<(), String> {
    finish(&mut cargo(["build", "--release", "--package", "kms-ffi", "--locked"]))?;
    let prefix = here(prefix)?;
    let library = prefix.join("lib");
    copy("include/kms.h", &prefix.join("include/kms.h"))?;
    for file in ["libkms.so", "libkms.a"] {
        copy(&target(&format!("release/{file}"))?, &library.join(file))?;
    }
    let file = library.join("pkgconfig/kms.pc");
    folder_of(&file)?;
    fs::write(&file, pkg_config(&prefix)).map_err(|error| format!("{}: {error}", file.display()))
}

/// What `pkg-config kms` answers.
fn pkg_config(prefix: &Path) -> String {
    format!(
        "\
prefix={}

Name: kms
Description: An embedded key-management engine
Version: {}
Cflags: -I${{prefix}}/include
Libs: -L${{prefix}}/lib -lkms
Libs.private: -lpthread -ldl -lm
",
        prefix.display(),
        env!("CARGO_PKG_VERSION")
    )
}

fn copy(from: &str, to: &Path) -> Result<(), String> {
    folder_of(to)?;
    // A program that runs keeps the library that it has mapped.
    let _ = fs::remove_file(to);
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{from} to {}: {error}", to.display()))
}

fn folder_of(file: &Path) -> Result<(), String> {
    let Some(folder) = file.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
