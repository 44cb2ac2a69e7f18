//! Tools that cargo builds: kept under `target/tools`, so that nothing of the user's is touched.

use std::process::{Command, Stdio};

use crate::run::{cargo, finish, target};

/// A tool of a certain version.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    /// Its path, once it is there.
    pub(crate) fn get(&self) -> Result<String, String> {
        let root = target("tools")?;
        let path = format!("{root}/bin/{}", self.name);
        let mut probe = Command::new(&path);
        let told = probe.arg("--version").stdin(Stdio::null()).output();
        let is_there = told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).trim().ends_with(self.version));
        if !is_there {
            let install = ["install", "--quiet", "--locked", "--force", "--root", &root, "--version", self.version];
            finish(cargo(install).arg(self.name))?;
        }
        Ok(path)
    }
}
