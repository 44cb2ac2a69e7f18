//! The contract's table of actions and key states, read from its file.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::State;

/// What the row says in a state: `None` for Success, otherwise a code.
///
/// # Panics
/// When the table has no such row.
pub(super) fn refusal(row: &str, state: State) -> Option<&'static str> {
    static TABLE: OnceLock<HashMap<&str, [&str; 4]>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut lines = include_str!("../../../contract/state-table.csv").lines();
        let head: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert_eq!(head[1..5], State::ALL.map(State::text));
        let row = |line: &'static str| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[0], [cells[1], cells[2], cells[3], cells[4]])
        };
        lines.map(row).collect()
    });
    let cell = table.get(row).unwrap_or_else(|| panic!("the state table has no row {row}"))[state as usize];
    (cell != "Success").then_some(cell)
}
