//! What is read out of an upper and put onto its base gives what the upper shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use enclos_vfs::{Committed, HeldBack, Preset};
use proptest::prelude::*;

use crate::world::{Mode, World, make_opaque, white_out};

/// Files by path; directories are what their names imply.
type Files = BTreeMap<String, String>;

fn files() -> impl Strategy<Value = Files> {
    // No path is a directory of another: a name has one letter on each level, and depth tells files from directories.
    let path = prop_oneof!["[abc]/[def]/[ghi]", "[abc]/[jkl]", "[mno]"];
    proptest::collection::btree_map(path, "[xyz]{0,2}", 0..10)
}

fn below<'a>(files: &'a Files, directory: &str) -> Vec<(&'a str, &'a str)> {
    let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    files.iter().filter_map(|(path, text)| path.strip_prefix(&start).map(|rest| (rest, text.as_str()))).collect()
}

fn names(files: &Files, directory: &str) -> std::collections::BTreeSet<String> {
    below(files, directory).iter().filter_map(|(rest, _)| rest.split('/').next()).map(str::to_owned).collect()
}

/// Writes the upper that makes `after` of `before`, by the rules of overlayfs; `replace`: directories are replaced instead of changed.
fn write_upper(world: &World, upper: &Path, before: &Files, after: &Files, directory: &str, replace: bool) {
    for name in names(before, directory).union(&names(after, directory)) {
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        let at = upper.join(name);
        match (before.get(&path), after.get(&path)) {
            (old, Some(new)) if old != Some(new) || replace => fs::write(&at, new).unwrap(),
            (Some(_), None) if !replace => white_out(&at),
            (None, None) => match (below(before, &path).is_empty(), below(after, &path).is_empty()) {
                (false, true) if !replace => white_out(&at),
                (_, false) => {
                    fs::create_dir(&at).unwrap();
                    let opaque = !below(before, &path).is_empty() && !replace && name.starts_with('b');
                    if opaque {
                        make_opaque(&at, world.mode.marks());
                    }
                    write_upper(world, &at, before, after, &path, replace || opaque);
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn paired(files: &Files) -> Vec<(&str, &str)> {
    files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn diff_then_apply_is_identity(before in files(), after in files()) {
        let world = World::new(Mode::all()[0], &paired(&before), &Preset::FullAccess.rules());
        write_upper(&world, &world.upper(), &before, &after, "", false);
        let changes = world.changes();
        prop_assert!(changes.iter().all(|change| change.denied.is_none()));
        let version = match world.commit(HeldBack::Refuse) {
            Committed::Made { version, .. } => version,
            Committed::Nothing { .. } => world.head(),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let found: Files = world.contents(&version).iter().filter_map(|line| line.split_once(" = ").map(|(path, text)| (path[1..].to_owned(), text.to_owned()))).collect();
        prop_assert_eq!(&found, &after);
        prop_assert_eq!(changes.is_empty(), before == after);
        prop_assert!(world.diff().is_empty(), "the new upper is empty");
    }
}
