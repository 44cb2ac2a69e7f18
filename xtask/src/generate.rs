//! The files that are made from the code: the C header and the two tables in the documentation.

use std::fs;

use crate::run::{cargo, finish};

const HEADER: &str = "include/kms.h";

/// Writes them.
pub(crate) fn write() -> Result<(), String> {
    fs::write(HEADER, header()?).map_err(|error| format!("{HEADER}: {error}"))?;
    finish(cargo(["test", "--quiet", "--locked", "--package", "kms-core", "--test", "docs"]).env("UPDATE_DOCS", "1"))
}

/// Fails if the committed header is not what the code says. The tables are checked by kms-core's own tests.
pub(crate) fn check_header() -> Result<(), String> {
    let committed = fs::read_to_string(HEADER).map_err(|error| format!("{HEADER}: {error}"))?;
    if committed == header()? { Ok(()) } else { Err(format!("{HEADER} is stale: cargo xtask generate")) }
}

/// The header, as cbindgen makes it from the crate.
fn header() -> Result<String, String> {
    let config = cbindgen::Config::from_file("kms-ffi/cbindgen.toml")?;
    let bindings = cbindgen::Builder::new()
        .with_crate("kms-ffi")
        .with_config(config)
        .generate()
        .map_err(|error| format!("cbindgen: {error}"))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).map_err(|error| format!("{HEADER}: {error}"))
}
