//! Invariant 8: every number in SPECIFICATION.md names the measurement or test that holds it, and every promise in SECURITY.md names an
//! escape test, or of a server a test over its connections.
//!
//! Both are markdown tables with a column whose head is [`HELD_BY`]. In it stand names in backticks: in SPECIFICATION.md
//! `` `cargo xtask perf --only P1` `` or a test's name, in SECURITY.md the name of a test below one of [`ATTEMPTS`]. A path may
//! stand before the name (`` `tests/escape::mounts::proc_is_masked` ``): the part after the last `::` counts.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::source::code_only;
use crate::workspace::Workspace;

/// Head of the column that names the proof.
const HELD_BY: &str = "held by";

/// Where attempts are made that a promise of security holds against.
const ATTEMPTS: [&str; 4] = ["tests/escape", "engine/sandbox/tests/engine/cpus.rs", "serve/host/tests/tls", "server/tests/server/tls.rs"];

/// What a table row may name.
struct Proofs {
    tests: BTreeSet<String>,
    perf: BTreeSet<String>,
}

/// Every row of SPECIFICATION.md with a number that nothing holds.
///
/// # Errors
/// When a source file cannot be read.
pub fn specification(workspace: &Workspace) -> Result<Vec<String>> {
    let proofs = Proofs { tests: tests_below(workspace, "")?, perf: crate::perf::ids().map(str::to_owned).collect() };
    Ok(document(workspace, "SPECIFICATION.md", &proofs, |row| row.chars().any(|c| c.is_ascii_digit())))
}

/// Every row of SECURITY.md with a promise that no attempt holds.
///
/// # Errors
/// When a source file cannot be read.
pub fn security(workspace: &Workspace) -> Result<Vec<String>> {
    let mut tests = BTreeSet::new();
    for folder in ATTEMPTS {
        tests.append(&mut tests_below(workspace, folder)?);
    }
    let proofs = Proofs { tests, perf: BTreeSet::new() };
    Ok(document(workspace, "SECURITY.md", &proofs, |_| false))
}

fn document(workspace: &Workspace, name: &str, proofs: &Proofs, needs_column: impl Fn(&str) -> bool) -> Vec<String> {
    match std::fs::read_to_string(workspace.root.join(name)) {
        Ok(text) => unheld(name, &text, proofs, needs_column),
        Err(error) => vec![format!("{name}: {error}")],
    }
}

/// Names of all tests in files below `folder`: functions under `#[test]` (or inside a macro such as `proptest!`), those of the end-to-end
/// suite's `both!`, and the attempts of the escape suite.
fn tests_below(workspace: &Workspace, folder: &str) -> Result<BTreeSet<String>> {
    let files = workspace.rust_files()?;
    let below = files.iter().filter(|(path, _)| path.starts_with(folder));
    Ok(below
        .flat_map(|(path, text)| {
            let mut names = test_names(text);
            if path.starts_with("tests/escape/src") {
                names.extend(attempt_names(text));
            }
            names
        })
        .collect())
}

fn test_names(text: &str) -> Vec<String> {
    let mut marked = false;
    let mut both = false;
    let mut found = Vec::new();
    for line in code_only(text).lines() {
        // `both!` makes two tests of each function in it; it ends with a brace at the margin.
        both = (both || line.starts_with("both! {")) && line != "}";
        let line = line.trim();
        marked |= line.starts_with("#[test]") || line.starts_with("#[rstest");
        let function = line.trim_start_matches("#[test]").trim().trim_start_matches("pub ").strip_prefix("fn ");
        if let (true, Some(rest)) = (marked || both, function) {
            found.push(word(rest));
            marked = false;
        }
    }
    found
}

/// Names of `Attempt { name: "…", … }`, and of the macros that make some: the first word in `calls!(…)` and `memory!(…)`.
fn attempt_names(text: &str) -> Vec<String> {
    let code = code_only(text);
    let literal = code.lines().zip(text.lines()).filter(|(code, _)| code.trim_start().starts_with("name:"));
    let mut found: Vec<String> = literal.filter_map(|(_, line)| line.split('"').nth(1)).map(str::to_owned).collect();
    for call in ["calls!(", "memory!("] {
        found.extend(code.split(call).skip(1).map(|rest| word(rest.trim_start())));
    }
    found
}

/// The identifier at the start.
fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Rows whose proof is missing, and tables that lack the column though `needs_column` says one of their rows needs it.
fn unheld(name: &str, text: &str, proofs: &Proofs, needs_column: impl Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    let mut column = None;
    let mut in_table = false;
    let mut held = 0;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if !line.starts_with('|') {
            in_table = false;
            continue;
        }
        let cells = cells(line);
        if !in_table {
            in_table = true;
            column = cells.iter().position(|cell| cell.eq_ignore_ascii_case(HELD_BY));
        } else if cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-: ".contains(c))) {
            // The line under the head.
        } else if let Some(column) = column {
            held += 1;
            findings.extend(missing(cells.get(column).map_or("", String::as_str), proofs).map(|why| format!("{name}:{number}: {why}")));
        } else if needs_column(line) {
            findings.push(format!("{name}:{number}: a number in a table without a column `{HELD_BY}`"));
        }
    }
    if held == 0 {
        findings.push(format!("{name}: no table with a column `{HELD_BY}`"));
    }
    findings
}

/// Cells of a table row; `\|` does not end one.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\u{0}");
    line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// Why a cell proves nothing, if so.
fn missing(cell: &str, proofs: &Proofs) -> Option<String> {
    let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    if names.is_empty() {
        return Some(format!("`{HELD_BY}` names nothing in backticks"));
    }
    names.iter().find_map(|name| unknown(name, proofs))
}

fn unknown(name: &str, proofs: &Proofs) -> Option<String> {
    if let Some(ids) = name.strip_prefix("cargo xtask perf --only ") {
        return ids.split(',').find(|id| !proofs.perf.contains(*id)).map(|id| format!("cargo xtask perf does not measure {id}"));
    }
    if let Some(lane) = name.strip_prefix("cargo xtask test --lane ") {
        return (!crate::lanes::is_one(lane)).then(|| format!("cargo xtask test has no lane {lane}"));
    }
    let function = name.rsplit("::").next().unwrap_or(name);
    (!proofs.tests.contains(function)).then(|| format!("there is no test `{function}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs() -> Proofs {
        Proofs { tests: BTreeSet::from(["proc_is_masked".to_owned()]), perf: BTreeSet::from(["P1".to_owned()]) }
    }

    fn spec(text: &str) -> Vec<String> {
        unheld("S.md", text, &proofs(), |row| row.chars().any(|c| c.is_ascii_digit()))
    }

    #[test]
    fn held_rows_pass() {
        let text = "| id | promise | held by |\n|---|---|---|\n| P1 | 0.5 | `cargo xtask perf --only P1` |\n| L | 20 ms | `tests/escape::a::proc_is_masked` |\n";
        assert_eq!(spec(text), Vec::<String>::new());
    }

    #[test]
    fn each_gap_is_found() {
        let row = |cell: &str| spec(&format!("| id | held by |\n|---|---|\n| 1 | {cell} |\n"));
        assert_eq!(row("`cargo xtask perf --only P1,P9`"), ["S.md:3: cargo xtask perf does not measure P9"]);
        assert_eq!(row("`cargo xtask test --lane schemathesis`"), Vec::<String>::new());
        assert_eq!(row("`cargo xtask test --lane none`"), ["S.md:3: cargo xtask test has no lane none"]);
        assert_eq!(row("`no_such_test`"), ["S.md:3: there is no test `no_such_test`"]);
        assert_eq!(row("proc_is_masked"), ["S.md:3: `held by` names nothing in backticks"]);
        assert_eq!(row("`proc_is_masked` and `no_such_test`").len(), 1);
        let bare = spec("| id | promise |\n|---|---|\n| P1 | 0.5 |\n");
        assert_eq!(bare, ["S.md:3: a number in a table without a column `held by`", "S.md: no table with a column `held by`"]);
        assert_eq!(spec("words\n"), ["S.md: no table with a column `held by`"]);
    }

    #[test]
    fn only_functions_under_test_count() {
        let text = "#[test]\n#[should_panic]\nfn a() {}\nfn b() {}\n// #[test]\nfn c() {}\nproptest! {\n#[test]\nfn d(x: u8) {}\n}\n#[test] fn e() {}\n";
        assert_eq!(test_names(text), ["a", "d", "e"]);
    }

    #[test]
    fn both_makes_tests_of_its_functions() {
        let text = "fn helper() {}\nboth! {\n    fn a(world) {\n        fn_call();\n    }\n    fn b(world) {\n    }\n}\nfn c() {}\n";
        assert_eq!(test_names(text), ["a", "b"]);
    }

    #[test]
    fn attempts_are_found_by_name() {
        let text = "Attempt {\n    name: \"fork_bomb\",\n    threat: \"x\",\n},\n// name: \"none\",\ncalls!(bpf, \"H32\"),\ncalls!(\n    io_uring,\n";
        assert_eq!(attempt_names(text), ["fork_bomb", "bpf", "io_uring"]);
    }
}
