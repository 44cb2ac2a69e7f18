//! `cargo xtask instructions`: how many instructions the most frequent calls take inside libkms as it is shipped, counted by
//! callgrind and compared with `benches/instructions.txt`.
//!
//! Unlike a time, a count does not hang on what else the machine does. What is left of chance is in the program: seeds of
//! hash tables, random nonces and keys. So each number is the median of several processes, each of which has taken the
//! median of several means; `docs/performance.md` tells how far those still differ.
//!
//! valgrind shows programs a processor of its own making, with fewer instructions than the real one: all machines with
//! AVX2 look alike in it but for a few. The table has a section for each such processor, and there is no comparison
//! across sections.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::needs;
use crate::run::{cargo, command, finish, target};

const TABLE: &str = "benches/instructions.txt";

/// What the table begins with.
const FRONT: &str = "\
# Instructions of one call inside libkms, counted by callgrind; written by `cargo xtask instructions --update`.
# A section for each processor, as valgrind shows it to programs. A line: the count, how far another one may be from it,
# and the call. That distance may be edited, and stays.
";

/// How far a count may be from the table's where nothing else is said, in hundredths of it.
const DISTANCE: f64 = 3.0;

/// How many processes count. Each has hash seeds and keys of its own.
const PROCESSES: usize = 3;

/// The functions of libkms between which callgrind counts.
const FUNCTIONS: [&str; 7] =
    ["kms_encrypt", "kms_decrypt", "kms_generate_data_key", "kms_sign", "kms_verify", "kms_call", "kms_string_free"];

/// The function of the counting program at whose end there is a count.
const COUNTED: &str = "kms_benches_counted";

/// Counts, and compares with the table, or writes the counts into it.
pub(crate) fn instructions(update: bool) -> Result<(), String> {
    needs::install(&[needs::MEMCHECK])?;
    finish(&mut cargo(["build", "--release", "--locked", "--package", "kms-benches", "--bin", "count_instructions"]))?;
    // That makes a libkms too, with what the program wants of their common dependencies, under the same name; cargo does not
    // see that the one which is shipped is gone. Without the file it makes that one.
    let built = target("release/deps/libkms.so")?;
    fs::remove_file(&built).map_err(|error| format!("{built}: {error}"))?;
    finish(&mut cargo(["build", "--release", "--locked", "--package", "kms-ffi"]))?;
    let counts = (0..PROCESSES).map(|_| count()).collect::<Result<Vec<_>, _>>()?;
    let counted = combine(counts)?;
    let text = fs::read_to_string(TABLE).unwrap_or_default();
    let mut table = parse(&text).map_err(|why| format!("{TABLE}: {why}"))?;
    if update {
        renew(&mut table, counted);
        return fs::write(TABLE, print(&table)).map_err(|error| format!("{TABLE}: {error}"));
    }
    compare(&table, &counted)
}

/// The counts of one kind of processor.
#[derive(Clone, Debug, PartialEq)]
struct Section {
    /// What programs see of it.
    processor: String,
    /// What else has a share in the counts, for who wonders at a difference.
    tools: String,
    rows: Vec<Row>,
}

/// The count of one call.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    name: String,
    count: u64,
    /// How far another count may be from this one, in hundredths of it.
    distance: f64,
}

/// Runs the counting program once under callgrind.
fn count() -> Result<Section, String> {
    let folder = target("instructions")?;
    if Path::new(&folder).exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let out = format!("{folder}/callgrind");
    let mut run = command("valgrind", ["-q", "--tool=callgrind", "--dump-line=no"]);
    run.arg(format!("--callgrind-out-file={out}"));
    run.args([format!("--zero-before={COUNTED}"), format!("--dump-after={COUNTED}")]);
    run.args(FUNCTIONS.map(|function| format!("--toggle-collect={function}")));
    // Chunks of memory that wait unmerged are merged now and then, which costs more than all else that chance decides here.
    run.env("GLIBC_TUNABLES", "glibc.malloc.mxfast=0");
    run.arg(target("release/count_instructions")?).env("KMS_LIBRARY", target("release/libkms.so")?);
    let told = run.output().map_err(|error| format!("{run:?}: {error}"))?;
    if !told.status.success() {
        return Err(format!("{run:?}: {}\n{}", told.status, String::from_utf8_lossy(&told.stderr)));
    }

    let told = String::from_utf8_lossy(&told.stdout);
    let line =
        |key: &str| told.lines().find_map(|line| line.strip_prefix(key)).ok_or(format!("{run:?} tells no {key}"));
    let processor = line("processor ")?.to_owned();
    let tools = tools(line("libc ")?)?;
    let mut rows: Vec<(String, Vec<u64>)> = Vec::new();
    for (dump, count) in told.lines().filter_map(|line| line.strip_prefix("count ")).enumerate() {
        let (times, name) = count.split_once(' ').ok_or(format!("{count:?} is no count"))?;
        let times: u64 = times.parse().map_err(|_| format!("{count:?} is no count"))?;
        let each =
            dumped(&format!("{out}.{}", dump + 1))?.checked_div(times).ok_or(format!("{count:?} counts nothing"))?;
        match rows.last_mut() {
            Some((last, counts)) if last == name => counts.push(each),
            _ => rows.push((name.to_owned(), vec![each])),
        }
    }
    let rows = rows.into_iter().map(|(name, counts)| Row { name, count: median(counts), distance: DISTANCE }).collect();
    Ok(Section { processor, tools, rows })
}

/// The instructions in one dump of callgrind.
fn dumped(path: &str) -> Result<u64, String> {
    let dump = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    // Anything else that triggers a dump would shift all that come after it.
    let is_ours = dump.lines().any(|line| line == format!("desc: Trigger: --dump-after={COUNTED}"));
    let total =
        dump.lines().find_map(|line| line.strip_prefix("summary: ")).and_then(|total| total.trim().parse().ok());
    match total {
        Some(total) if is_ours && total > 0 => Ok(total),
        _ => Err(format!("{path} is not a dump of {COUNTED}")),
    }
}

/// What the counts were made with.
fn tools(libc: &str) -> Result<String, String> {
    let version = |program: &str, argument: &str| {
        let mut ask = command(program, [argument]);
        let told = ask.output().map_err(|error| format!("{ask:?}: {error}"))?;
        let told = String::from_utf8_lossy(&told.stdout);
        Ok::<_, String>(told.lines().next().unwrap_or_default().trim().to_owned())
    };
    let rustc = version("rustc", "--version")?;
    Ok(format!("{rustc}, {}, glibc {libc}, {}", version("cc", "--version")?, version("valgrind", "--version")?))
}

fn median(mut counts: Vec<u64>) -> u64 {
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().unwrap_or_default()
}

/// The median of each row.
fn combine(counts: Vec<Section>) -> Result<Section, String> {
    let mut all = counts.iter();
    let mut combined = all.next().ok_or("nobody has counted")?.clone();
    if all.any(|other| !other.rows.iter().map(|row| &row.name).eq(combined.rows.iter().map(|row| &row.name))) {
        return Err("two runs have counted different calls".to_owned());
    }
    for (at, row) in combined.rows.iter_mut().enumerate() {
        row.count = median(counts.iter().filter_map(|section| section.rows.get(at)).map(|row| row.count).collect());
    }
    Ok(combined)
}

/// Reads the table.
fn parse(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bad = || format!("{line:?} cannot be understood");
        if let Some(processor) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push(Section { processor: processor.to_owned(), tools: String::new(), rows: Vec::new() });
            continue;
        }
        let section = sections.last_mut().ok_or_else(bad)?;
        if let Some(tools) = line.strip_prefix("with ") {
            tools.clone_into(&mut section.tools);
            continue;
        }
        let mut words = line.trim_start().splitn(2, ' ');
        let count = words.next().and_then(|count| count.parse().ok()).ok_or_else(bad)?;
        let (distance, name) = words.next().and_then(|rest| rest.split_once('%')).ok_or_else(bad)?;
        let distance = distance.trim().parse().ok().filter(|distance| *distance > 0.0).ok_or_else(bad)?;
        section.rows.push(Row { name: name.trim().to_owned(), count, distance });
    }
    Ok(sections)
}

/// Writes the table as [`parse`] reads it.
fn print(sections: &[Section]) -> String {
    let mut text = FRONT.to_owned();
    for section in sections {
        let _ = write!(text, "\n[{}]\nwith {}\n", section.processor, section.tools);
        for row in &section.rows {
            let _ = writeln!(text, "{:>9} {:>4} %  {}", row.count, row.distance, row.name);
        }
    }
    text
}

/// Puts counts in the place of the old ones of their processor; distances and other sections stay.
fn renew(table: &mut Vec<Section>, mut counted: Section) {
    let Some(old) = table.iter_mut().find(|section| section.processor == counted.processor) else {
        table.push(counted);
        return;
    };
    for row in &mut counted.rows {
        if let Some(before) = old.rows.iter().find(|before| before.name == row.name) {
            row.distance = before.distance;
        }
    }
    *old = counted;
}

/// Prints old and new counts, and fails if one is too far away, on either side.
#[allow(clippy::print_stdout, reason = "a command shows what it has found")]
fn compare(table: &[Section], counted: &Section) -> Result<(), String> {
    let Some(section) = table.iter().find(|section| section.processor == counted.processor) else {
        let known: Vec<&str> = table.iter().map(|section| section.processor.as_str()).collect();
        return Err(format!(
            "{TABLE} has no counts for this processor, so nothing can be compared.\n  under valgrind it is: {}\n  the table has: {}\n\
             Take the last good commit, count there with `cargo xtask instructions --update`, and keep that section.",
            counted.processor,
            known.join("\n                 ")
        ));
    };
    println!("instructions of a call, by the section [{}] of {TABLE}", section.processor);
    println!("{:>9} {:>9} {:>8}  call", "table", "now", "change");
    let mut wrong = Vec::new();
    for row in &counted.rows {
        let Some(old) = section.rows.iter().find(|old| old.name == row.name) else {
            wrong.push(format!("{}: {} instructions, and none in the table", row.name, row.count));
            continue;
        };
        let change = 100.0 * (row.count as f64 - old.count as f64) / old.count as f64;
        println!("{:>9} {:>9} {change:>+7.2}%  {}", old.count, row.count, row.name);
        if change.abs() > old.distance {
            let kind = if change > 0.0 { "more" } else { "fewer" };
            wrong.push(format!(
                "{}: {} instructions, {:.2} % {kind} than {}, where {} % are let pass",
                row.name,
                row.count,
                change.abs(),
                old.count,
                old.distance
            ));
        }
    }
    let gone = section.rows.iter().filter(|old| counted.rows.iter().all(|row| row.name != old.name));
    wrong.extend(
        gone.map(|old| format!("{}: {} instructions in the table, and not counted any more", old.name, old.count)),
    );
    if wrong.is_empty() {
        return Ok(());
    }
    let tools = if section.tools == counted.tools {
        String::new()
    } else {
        format!("\nThe tools are others:\n  table: {}\n  here:  {}", section.tools, counted.tools)
    };
    Err(format!(
        "{}\nIf that is meant, fewer as well as more: `cargo xtask instructions --update`, and say in the commit why.{tools}",
        wrong.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(processor: &str, rows: &[(&str, u64, f64)]) -> Section {
        let rows = rows.iter().map(|&(name, count, distance)| Row { name: name.to_owned(), count, distance }).collect();
        Section { processor: processor.to_owned(), tools: "cc 1, glibc 2".to_owned(), rows }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let table = [section("x: a b", &[("Encrypt 32 B, X", 1000, 3.0), ("Sign", 123_456, 0.5)]), section("y", &[])];
        assert_eq!(parse(&print(&table)).unwrap(), table);
        for bad in ["1 3 % x", "[x]\n1 x", "[x]\none 3 % x", "[x]\n1 0 % x", "[x]\n1 3 x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    /// Goal: a count may leave the table's by the distance of its line and no further, up or down; and every call stands on both
    /// sides.
    #[test]
    fn a_count_too_far_away_is_refused() {
        let table = [section("other", &[("a", 1, 1.0)]), section("x", &[("a", 1000, 3.0), ("b", 1000, 1.0)])];
        for (a, b, passes) in [
            (1000, 1000, true),
            (1030, 1010, true),
            (970, 990, true),
            (1031, 1000, false),
            (969, 1000, false),
            (1000, 1011, false),
            (1000, 989, false),
        ] {
            let counted = section("x", &[("a", a, 3.0), ("b", b, 3.0)]);
            assert_eq!(compare(&table, &counted).is_ok(), passes, "{a} {b}");
        }
        let refused = |rows: &[_]| compare(&table, &section("x", rows)).unwrap_err();
        assert!(
            refused(&[("a", 1100, 3.0), ("b", 1000, 1.0)]).contains("a: 1100 instructions, 10.00 % more than 1000")
        );
        assert!(refused(&[("a", 1000, 3.0)]).contains("b: 1000 instructions in the table"));
        assert!(refused(&[("a", 1000, 3.0), ("b", 1000, 3.0), ("c", 7, 3.0)]).contains("c: 7 instructions, and none"));
        assert!(
            compare(&table, &section("z", &[("a", 1000, 3.0)])).unwrap_err().contains("no counts for this processor")
        );
    }

    #[test]
    fn an_update_keeps_distances_and_other_processors() {
        let mut table = vec![section("x", &[("a", 1000, 0.5), ("b", 1, 1.0)]), section("y", &[("a", 2, 1.0)])];
        renew(&mut table, section("x", &[("a", 900, 3.0), ("c", 7, 3.0)]));
        renew(&mut table, section("z", &[("a", 5, 3.0)]));
        let expected = [
            section("x", &[("a", 900, 0.5), ("c", 7, 3.0)]),
            section("y", &[("a", 2, 1.0)]),
            section("z", &[("a", 5, 3.0)]),
        ];
        assert_eq!(table, expected);
    }

    /// Goal: one process that is off does not move the result.
    #[test]
    fn processes_are_combined_by_their_median() {
        let counts = [1000, 1300, 1001].map(|count| section("x", &[("a", count, 3.0)]));
        assert_eq!(combine(counts.into()).unwrap(), section("x", &[("a", 1001, 3.0)]));
        let different = ["a", "b"].map(|name| section("x", &[(name, 1, 3.0)]));
        assert!(combine(different.into()).is_err());
    }
}
