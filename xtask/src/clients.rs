//! The server, driven by the SDKs that its users have; `kms-server/clients` holds the tests.

use crate::needs;
use crate::run::{cargo, command, finish, target};

const PYTHON: &str = "kms-server/clients/python";
const NODE: &str = "kms-server/clients/node";

/// Builds the server and runs them all.
pub(crate) fn check() -> Result<(), String> {
    needs::install(&[needs::CLIENTS])?;
    finish(&mut cargo(["build", "--package", "kms-cli", "--locked"]))?;
    let kms = target("debug/kms")?;
    let python = needs::environment("clients", &format!("{PYTHON}/requirements.txt"))?;
    finish(command(&python, ["-m", "pytest", "-q"]).current_dir(PYTHON).env("KMS_BIN", &kms))?;
    finish(command("npm", ["ci", "--no-audit", "--no-fund"]).current_dir(NODE))?;
    finish(command("npm", ["test"]).current_dir(NODE).env("KMS_BIN", &kms))
}
