//! The table of cases for the bubblewrap front. See the crate for what a case is.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use enclos_testkit::Who;
use enclos_tests_compat::fuzz::fuzz;
use enclos_tests_compat::races;
use enclos_tests_compat::runner::{self, Extra, Topic};

mod cases;

const TOPICS: &[Topic] = cases::TOPICS;

const EXTRAS: &[Extra] = &[
    ("table::every_file_is_in_it", every_file_is_in_it),
    ("table::has_every_option", has_every_option),
    ("races::a_destination_that_becomes_a_link::root", || races::destination(Who::Root)),
    ("races::a_destination_that_becomes_a_link::user", || races::destination(Who::User)),
    ("races::a_parent_that_ends_at_any_moment::root", || races::parent(Who::Root)),
    ("races::a_parent_that_ends_at_any_moment::user", || races::parent(Who::User)),
    ("fuzz::user", || fuzz(Who::User)),
    ("fuzz::root", || if Who::all_here().contains(&Who::Root) { fuzz(Who::Root) } else { Ok(()) }),
];

fn main() -> ExitCode {
    runner::main(TOPICS, EXTRAS)
}

/// No file of cases is forgotten in the list.
fn every_file_is_in_it() -> Result<(), String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let files = std::fs::read_dir(dir).map_err(|e| format!("{dir}: {e}"))?;
    for name in files.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let topic = name.trim_end_matches(".rs");
        if topic != "mod" && !TOPICS.iter().any(|(known, cases)| *known == topic && !cases.is_empty()) {
            return Err(format!("{name}: not in TOPICS"));
        }
    }
    Ok(())
}

/// Every option that our help names has a case.
fn has_every_option() -> Result<(), String> {
    let Some(ours) = enclos_tests_compat::programs::ours() else { return Ok(()) };
    let output = std::process::Command::new(&ours.path).args(["bwrap", "--help"]).output().map_err(|e| e.to_string())?;
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let options = help.lines().filter_map(|line| line.strip_prefix("    --")).filter_map(|rest| rest.split_whitespace().next());
    let scripts: Vec<&str> = TOPICS.iter().flat_map(|(_, cases)| cases.iter().map(|case| case.script)).collect();
    let missing: Vec<&str> = options
        .filter(|option| !scripts.iter().any(|script| script.split_whitespace().any(|word| word.trim_start_matches("--") == *option)))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("options without a case: {missing:?}")) }
}
