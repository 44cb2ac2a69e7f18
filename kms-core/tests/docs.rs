//! `docs/states.md` and `docs/errors.md` are written from the tables of the code. A stale one fails here;
//! `UPDATE_DOCS=1 cargo test -p kms-core --test docs` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kms_core::ErrorCode;
use kms_core::gate::Gate;
use kms_core::state::{Event, KeyState, Next};

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/{name} is stale: UPDATE_DOCS=1 cargo test -p kms-core --test docs");
}

fn row<'c>(text: &mut String, cells: impl IntoIterator<Item = &'c str>) {
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}

#[test]
fn states() {
    let names = KeyState::ALL.map(KeyState::as_str);
    let mut text =
        "# Key states\n\nWritten from `kms-core/src/state.rs` and `kms-core/src/gate.rs`; do not edit.\n".to_owned();
    text.push_str("\n## What happens to a key\n\n");
    row(&mut text, ["event"].into_iter().chain(names));
    row(&mut text, ["---"; 5]);
    for &event in Event::ALL {
        let cell = |state| match event.on(state) {
            Next::State(next) => next.as_str(),
            Next::Gone => "gone",
            Next::Refused => "-",
        };
        row(&mut text, [format!("{event:?}").as_str()].into_iter().chain(KeyState::ALL.map(cell)));
    }
    text.push_str("\n## What an action answers\n\n");
    row(&mut text, ["action"].into_iter().chain(names));
    row(&mut text, ["---"; 5]);
    for &gate in Gate::ALL {
        let cell = |state| gate.verdict(state).error().map_or("Success", ErrorCode::as_str);
        row(&mut text, [gate.row()].into_iter().chain(KeyState::ALL.map(cell)));
    }
    check("states.md", &text);
}

#[test]
fn errors() {
    let mut text = "# Errors\n\nWritten from `kms-core/src/error.rs`; do not edit. Numbers never change. Numbers from 1000 on are \
         this library's own and have no HTTP status.\n\n"
        .to_owned();
    row(&mut text, ["number", "code", "HTTP", "message"]);
    row(&mut text, ["---"; 4]);
    for code in ErrorCode::ALL {
        let (number, http) = (code.number().to_string(), code.http_status().to_string());
        row(&mut text, [number.as_str(), code.as_str(), if http == "0" { "" } else { http.as_str() }, code.message()]);
    }
    check("errors.md", &text);
}
