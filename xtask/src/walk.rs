//! The walk-through of docs/import.md, taken out of it and walked as a reader would: its commands in one shell, in an empty folder,
//! against an installed libkms. The first that fails ends it, and what they print must be what the page shows.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::install::install;
use crate::run::{command, here, target};

const PAGE: &str = "docs/import.md";

/// Walks it.
pub(crate) fn check() -> Result<(), String> {
    let prefix = target("prefix")?;
    install(&prefix)?;
    let page = fs::read_to_string(PAGE).map_err(|error| format!("{PAGE}: {error}"))?;
    let (commands, printed) = (blocks(&page, "sh")?, blocks(&page, "text")?);
    let folder = target("walk")?;
    if Path::new(&folder).exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;

    let mut shell = command("sh", ["-eu", "-c", &commands]);
    shell.env("KMS", here("")?).env("PKG_CONFIG_PATH", format!("{prefix}/lib/pkgconfig"));
    shell.env("LD_LIBRARY_PATH", format!("{prefix}/lib")).current_dir(&folder).stderr(Stdio::inherit());
    let walked = shell.output().map_err(|error| format!("{PAGE}: sh: {error}"))?;
    let told = String::from_utf8_lossy(&walked.stdout);
    if !walked.status.success() {
        return Err(format!("{PAGE}, walked in {folder}: {} after\n{told}", walked.status));
    }
    if told == printed { Ok(()) } else { Err(format!("{PAGE} shows\n{printed}but what is printed is\n{told}")) }
}

/// The code blocks of a language, one after the other; there must be one at least.
fn blocks(text: &str, language: &str) -> Result<String, String> {
    let fence = format!("```{language}\n");
    let blocks = text.split(fence.as_str()).skip(1);
    let blocks: Option<String> = blocks.map(|rest| Some(rest.split_once("```")?.0)).collect();
    blocks
        .filter(|blocks| !blocks.is_empty())
        .ok_or_else(|| format!("{PAGE} should hold blocks of {language}, each closed"))
}
