//! The shape of the tree: no file too long, no drawer, no forgotten file.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use crate::source::{code_only, has_word};
use crate::workspace::Workspace;

/// Lines a file of code may have; more fails.
const SPLIT: usize = 800;
/// Lines from which a file is named, so that somebody thinks about it.
const LONG: usize = 400;
/// What is code, by file name extension.
const CODE: [&str; 8] = ["rs", "py", "ts", "js", "svelte", "sh", "c", "proto"];
/// Names that say nothing about what is inside, so that everything ends up there.
const DRAWERS: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];
/// A file whose first lines hold this is written by a program and may be long.
const GENERATED: &str = "@generated";

/// What the size check found.
#[derive(Debug, Default)]
pub struct Sizes {
    /// Files to split, one line each.
    pub failures: Vec<String>,
    /// Files to think about, one line each.
    pub warnings: Vec<String>,
}

/// Files over [`SPLIT`] and over [`LONG`] lines.
///
/// # Errors
/// When a file cannot be read.
pub fn sizes(workspace: &Workspace) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    for path in workspace.files()? {
        if path.extension().is_some_and(|e| CODE.iter().any(|code| e == *code)) {
            let text = std::fs::read(workspace.root.join(&path)).with_context(|| format!("reading {}", path.display()))?;
            size(&path, &String::from_utf8_lossy(&text), &mut sizes);
        }
    }
    Ok(sizes)
}

fn size(path: &Path, text: &str, sizes: &mut Sizes) {
    if text.lines().take(5).any(|line| line.contains(GENERATED)) {
        return;
    }
    match text.lines().count() {
        lines if lines > SPLIT => sizes.failures.push(format!("{}: {lines} lines; split it, {SPLIT} is the most", path.display())),
        lines if lines > LONG => sizes.warnings.push(format!("{}: {lines} lines; aim at {LONG}", path.display())),
        _ => {}
    }
}

/// Folders and files of code named like drawers.
///
/// # Errors
/// When a folder cannot be read.
pub fn names(workspace: &Workspace) -> Result<Vec<String>> {
    let code = |p: &Path| p.extension().is_some_and(|e| CODE.iter().any(|code| e == *code));
    Ok(workspace.files()?.iter().filter(|p| code(p)).filter_map(|p| drawer(p)).collect())
}

fn drawer(path: &Path) -> Option<String> {
    // The name of a protocol's file is part of the protocol: clients' descriptors have it.
    if path.extension().is_some_and(|extension| extension == "proto") {
        return None;
    }
    let stem = path.with_extension("");
    let name = stem.components().filter_map(|c| if let Component::Normal(name) = c { name.to_str() } else { None });
    let mut bad = name.filter(|name| DRAWERS.contains(name) || DRAWERS.iter().any(|d| name.ends_with(&format!("_{d}"))));
    bad.next().map(|name| format!("{}: `{name}` says nothing about what is inside; name it after what it does", path.display()))
}

/// Rust files that no crate compiles: a test runner's or a module's `mod` list forgot them.
///
/// Files below a folder called `fixtures` are data for tests and not covered.
///
/// # Errors
/// When a file cannot be read.
pub fn forgotten(workspace: &Workspace) -> Result<Vec<String>> {
    let mut known = BTreeSet::new();
    for target in workspace.crates.iter().flat_map(|c| &c.targets) {
        reach(&target.src_path, true, &mut known)?;
    }
    let folders: Vec<&str> = workspace.crates.iter().map(|c| c.folder.as_str()).collect();
    let data = |p: &Path| p.components().any(|c| c.as_os_str() == "fixtures");
    let all = workspace.files()?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs") && !data(p));
    Ok(all
        .filter(|p| folders.iter().any(|f| p.starts_with(f)) && !known.contains(&workspace.root.join(p)))
        .map(|p| format!("{}: no crate compiles this file; name it in a `mod` list or remove it", p.display()))
        .collect())
}

/// Adds `file` and every file it declares to `known`. `root`: whether its modules lie beside it, not in a folder of its name.
fn reach(file: &Path, root: bool, known: &mut BTreeSet<PathBuf>) -> Result<()> {
    if !known.insert(file.to_owned()) {
        return Ok(());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let beside = file.parent().context("a source file without a folder")?;
    let home = if root || file.file_name().is_some_and(|n| n == "mod.rs") { beside.to_owned() } else { file.with_extension("") };
    for module in declared(&text) {
        let candidates = match &module {
            // `include!`, and `#[path]` on a module, are relative to the folder of the file that says so.
            Declared::Path(path) => vec![beside.join(path)],
            Declared::Name(name) => vec![home.join(format!("{name}.rs")), home.join(name).join("mod.rs")],
        };
        for found in candidates.iter().filter(|p| p.is_file()) {
            reach(found, matches!(module, Declared::Path(_)), known)?;
        }
    }
    Ok(())
}

/// One `mod name;`, `#[path = "…"]` or `include!("…")`.
#[derive(Debug, PartialEq, Eq)]
enum Declared {
    Name(String),
    Path(String),
}

fn declared(text: &str) -> Vec<Declared> {
    let code = code_only(text);
    let mut found = Vec::new();
    for (code, line) in code.lines().zip(text.lines()) {
        if code.contains("#[path") || has_word(code, "include!") {
            found.extend(line.split('"').nth(1).map(|path| Declared::Path(path.to_owned())));
        }
        if has_word(code, "mod") {
            let name = code.split_once("mod ").and_then(|(_, rest)| rest.trim().strip_suffix(';'));
            found.extend(name.map(|name| Declared::Name(name.trim().trim_start_matches("r#").to_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(text: &str) -> (usize, usize) {
        let mut sizes = Sizes::default();
        size(Path::new("a.rs"), text, &mut sizes);
        (sizes.failures.len(), sizes.warnings.len())
    }

    #[test]
    fn long_files_fail_and_longish_ones_are_named() {
        assert_eq!(sized(&"x\n".repeat(400)), (0, 0));
        assert_eq!(sized(&"x\n".repeat(401)), (0, 1));
        assert_eq!(sized(&"x\n".repeat(801)), (1, 0));
        assert_eq!(sized(&format!("// @generated by x\n{}", "x\n".repeat(900))), (0, 0));
    }

    #[test]
    fn drawers_fail() {
        for bad in ["engine/sys/src/util.rs", "engine/common/src/lib.rs", "faces/run/src/path_helpers.rs", "serve/pool/src/manager/mod.rs"]
        {
            assert!(drawer(Path::new(bad)).is_some(), "{bad}");
        }
        for good in ["engine/sys/src/utility_meter.rs", "engine/sandbox/src/watch/uncommon.rs", "serve/proto/proto/x/v1/common.proto"] {
            assert!(drawer(Path::new(good)).is_none(), "{good}");
        }
    }

    #[test]
    fn modules_are_read_from_code_alone() {
        let text = "mod a;\npub(crate) mod b;\n// mod c;\nmod d { }\n#[path = \"x/e.rs\"]\nmod e;\nlet t = \"mod f;\";\n";
        let names: Vec<_> = declared(text).into_iter().collect();
        let name = |n: &str| Declared::Name(n.to_owned());
        assert_eq!(names, [name("a"), name("b"), Declared::Path("x/e.rs".to_owned()), name("e")]);
    }

    #[test]
    fn a_file_missing_from_the_list_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let tests = dir.path().join("tests/e2e/tests");
        std::fs::create_dir_all(tests.join("limits")).unwrap();
        for (name, text) in [
            ("main.rs", "mod exit;\nmod limits;\n"),
            ("exit.rs", ""),
            ("limits/mod.rs", "mod wall;\n"),
            ("limits/wall.rs", ""),
            ("lost.rs", ""),
        ] {
            std::fs::write(tests.join(name), text).unwrap();
        }
        let workspace = Workspace {
            root: dir.path().to_owned(),
            target_dir: dir.path().join("target"),
            crates: vec![crate::workspace::Crate {
                name: "e2e".to_owned(),
                folder: "tests/e2e".to_owned(),
                inside: Vec::new(),
                outside: Vec::new(),
                shipped: BTreeSet::new(),
                targets: vec![crate::workspace::Target { kind: vec!["test".to_owned()], src_path: tests.join("main.rs") }],
            }],
        };
        let findings = forgotten(&workspace).unwrap();
        assert!(findings.len() == 1 && findings[0].starts_with("tests/e2e/tests/lost.rs:"), "{findings:?}");
    }
}
