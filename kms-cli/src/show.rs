//! An answer as lines and columns.

use serde_json::{Map, Value};

/// Renders a JSON object: its plain members a line each, every list of objects as a table of its own.
pub(crate) fn table(json: &str) -> serde_json::Result<String> {
    let mut out = Out::default();
    out.object("", &serde_json::from_str(json)?);
    let mut parts = vec![columns(&out.lines)];
    parts.extend(out.lists);
    parts.retain(|part| !part.is_empty());
    Ok(parts.join("\n\n"))
}

#[derive(Default)]
struct Out {
    lines: Vec<Vec<String>>,
    lists: Vec<String>,
}

impl Out {
    fn object(&mut self, path: &str, object: &Map<String, Value>) {
        for (name, value) in object {
            let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                Value::Object(inner) => self.object(&name, inner),
                Value::Array(rows) if rows.iter().any(Value::is_object) => self.lists.push(rows_of(rows)),
                Value::Array(items) => {
                    let items = items.iter().map(text).collect::<Vec<_>>().join(", ");
                    self.lines.push(vec![name, items]);
                }
                plain => self.lines.push(vec![name, text(plain)]),
            }
        }
    }
}

/// A table of a list of objects, with a column for each name that one of them has.
fn rows_of(rows: &[Value]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut cells: Vec<Vec<String>> = vec![names.iter().map(|name| (*name).clone()).collect()];
    cells.extend(rows.iter().map(|row| names.iter().map(|name| text(&row[name.as_str()])).collect()));
    columns(&cells)
}

/// A value on one line. A control character in it must not move the terminal's cursor.
fn text(value: &Value) -> String {
    let Value::String(text) = value else {
        return if value.is_null() { String::new() } else { value.to_string() };
    };
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() { shown.extend(char.escape_default()) } else { shown.push(char) }
    }
    shown
}

/// Lines whose cells stand under each other.
fn columns(rows: &[Vec<String>]) -> String {
    let most = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..most).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let so_far = line.len();
            line.push_str(cell);
            // By hand: what formats can pad ends at 65,535 characters.
            let gap = width + 2 - line[so_far..].chars().count();
            line.extend(std::iter::repeat_n(' ', gap));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_lines_and_lists_are_tables() {
        let json = r#"{"Keys":{"Key":[{"KeyId":"1","KeyArn":"a1"},{"KeyId":"22","KeyArn":"a"}]},"TotalCount":2,"RequestId":"r"}"#;
        let expected = "TotalCount  2\nRequestId   r\n\nKeyArn  KeyId\na1      1\na       22";
        assert_eq!(sorted(&table(json).unwrap()), sorted(expected));
        assert_eq!(table(r#"{"KeyMetadata":{"KeyId":"k"}}"#).unwrap(), "KeyMetadata.KeyId  k");
        assert_eq!(table(r#"{"Regions":{"Region":[]}}"#).unwrap(), "Regions.Region");
        assert_eq!(table(r#"{"A":"1\n2\u001b[m","B":true}"#).unwrap(), "A  1\\n2\\u{1b}[m\nB  true");
        let long = "x".repeat(100_000);
        assert_eq!(table(&format!(r#"{{"A":"{long}"}}"#)).unwrap(), format!("A  {long}"));
        assert!(table("[]").is_err());
    }

    /// The words of each line, whatever the order of members.
    fn sorted(table: &str) -> Vec<Vec<&str>> {
        let mut lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| {
                let mut words: Vec<&str> = line.split_whitespace().collect();
                words.sort_unstable();
                words
            })
            .collect();
        lines.sort();
        lines
    }
}
