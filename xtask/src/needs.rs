//! What the commands need beside Rust. On Debian and its kin, a missing package is installed if we may; otherwise the
//! command ends and names what to install.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::{command, finish, target};

/// Something a command needs, the Debian packages that bring it, and how to tell that it is there.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    probe: &'static [&'static str],
}

const CC: Need = Need { what: "a C compiler", packages: &["gcc"], probe: &["cc", "--version"] };
const MAKE: Need = Need { what: "make", packages: &["make"], probe: &["make", "--version"] };
const PKG_CONFIG: Need = Need { what: "pkg-config", packages: &["pkg-config"], probe: &["pkg-config", "--version"] };
const JANSSON: Need =
    Need { what: "jansson", packages: &["libjansson-dev"], probe: &["pkg-config", "--exists", "jansson"] };
const OPENSSL: Need = Need {
    what: "OpenSSL's libcrypto",
    packages: &["libssl-dev"],
    probe: &["pkg-config", "--exists", "libcrypto >= 3"],
};
const OPENSSL_COMMAND: Need =
    Need { what: "the openssl command", packages: &["openssl"], probe: &["openssl", "version"] };
const GO: Need = Need { what: "Go, 1.19 or later", packages: &["golang-go"], probe: &["go", "version"] };
const VENV: Need = Need {
    what: "Python, 3.9 or later, with venv",
    packages: &["python3-venv"],
    probe: &["python3", "-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 9)"],
};
const NODE: Need = Need {
    what: "Node.js, 18 or later, with npm",
    packages: &["nodejs", "npm"],
    probe: &["sh", "-c", "npm --version && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'"],
};
const CURL: Need = Need { what: "curl", packages: &["curl"], probe: &["curl", "--version"] };
const ASAN_PROBE: &str = "echo 'int main(void) { return 0; }' | clang -fsanitize=address -x c - -o /dev/null";
const CLANG: Need = Need {
    what: "clang with AddressSanitizer",
    packages: &["clang", "libclang-rt-dev"],
    probe: &["sh", "-c", ASAN_PROBE],
};
const VALGRIND: Need = Need { what: "valgrind", packages: &["valgrind"], probe: &["valgrind", "--version"] };
/// Where Debian has it, or where the variable says that `benches/peers/` shall look.
const SOFTHSM_PROBE: &str = "test -e \"${SOFTHSM2_MODULE:-/usr/lib/softhsm/libsofthsm2.so}\"";
const SOFTHSM: Need = Need { what: "SoftHSM2", packages: &["softhsm2"], probe: &["sh", "-c", SOFTHSM_PROBE] };

/// What the C programs need, and the tests of what others can read.
pub(crate) const C: &[Need] = &[CC, MAKE, PKG_CONFIG, JANSSON, OPENSSL, OPENSSL_COMMAND];
/// What the Go and Python programs need beside that.
pub(crate) const GO_AND_PYTHON: &[Need] = &[GO, VENV];
/// What the SDKs need that drive the server.
pub(crate) const CLIENTS: &[Need] = &[VENV, NODE, CURL, OPENSSL_COMMAND];
/// What AddressSanitizer needs, also for fuzzing.
pub(crate) const ASAN: &[Need] = &[CLANG];
/// What memcheck and callgrind need.
pub(crate) const MEMCHECK: &[Need] = &[VALGRIND];
/// What libkms is measured beside.
pub(crate) const PEERS: &[Need] = &[CC, PKG_CONFIG, OPENSSL, SOFTHSM];

impl Need {
    fn is_there(&self) -> bool {
        let [program, arguments @ ..] = self.probe else { return false };
        let mut probe = Command::new(program);
        probe.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }
}

/// Makes sure that everything is there.
pub(crate) fn install(needs: &[&[Need]]) -> Result<(), String> {
    let needs = needs.concat();
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let by_hand = format!("apt-get install {}", packages.join(" "));
    let what = missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    let apt = |arguments: &[&str]| {
        finish(command("apt-get", arguments.iter().copied()).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"])
        .and_then(|()| apt(&[&["install", "-y", "-q"][..], &packages].concat()))
        .map_err(|why| format!("{why}\nmissing here: {what}; on Debian: {by_hand}"))?;
    match missing.iter().find(|need| !need.is_there()) {
        None => Ok(()),
        Some(need) => Err(format!("{} brought no {}", need.packages.join(", "), need.what)),
    }
}

/// Makes the Python environment for the package's tests and example, and names its interpreter.
pub(crate) fn python() -> Result<String, String> {
    environment("python", "bindings/python/requirements-test.txt")
}

/// Makes a Python environment with what is required, and names its interpreter.
pub(crate) fn environment(name: &str, requirements: &str) -> Result<String, String> {
    let folder = target(name)?;
    let python = format!("{folder}/bin/python");
    if !Path::new(&python).exists() {
        finish(&mut command("python3", ["-m", "venv", &folder]))?;
    }
    finish(&mut command(&python, ["-m", "pip", "install", "--quiet", "--requirement", requirements]))?;
    Ok(python)
}
