//! Invariant 1: only `engine/sys` contains `unsafe`; every other crate root forbids it; each block argues why it holds.

use std::path::Path;

use anyhow::{Context, Result};

use crate::source::{code_only, has_word, lines_with};
use crate::workspace::{Target, Workspace};

/// The one crate that may say `unsafe`.
const HOME: &str = "engine/sys/";
const FORBID: &str = "#![forbid(unsafe_code)]";

/// Every breach, one line each.
///
/// # Errors
/// When a source file cannot be read.
pub fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let ships = |target: &&Target| target.kind.iter().any(|kind| kind == "bin" || kind.ends_with("lib") || kind == "proc-macro");
    for target in workspace.crates.iter().flat_map(|c| &c.targets).filter(ships) {
        let path = target.src_path.strip_prefix(&workspace.root).unwrap_or(&target.src_path);
        if !path.starts_with(HOME) {
            let text = std::fs::read_to_string(&target.src_path).with_context(|| format!("reading {}", path.display()))?;
            findings.extend(root_without_forbid(path, &text));
        }
    }
    for (path, text) in workspace.rust_files()? {
        findings.extend(if path.starts_with(HOME) { unargued(&path, &text) } else { misplaced(&path, &text) });
    }
    Ok(findings)
}

/// A crate root that does not forbid `unsafe`.
fn root_without_forbid(path: &Path, text: &str) -> Option<String> {
    (!code_only(text).contains(FORBID)).then(|| format!("{}: a crate root outside engine/sys must start with {FORBID}", path.display()))
}

/// `unsafe` outside its home.
fn misplaced(path: &Path, text: &str) -> Vec<String> {
    let code = code_only(text);
    lines_with(&code, "unsafe").map(|line| format!("{}:{line}: `unsafe` belongs in engine/sys", path.display())).collect()
}

/// Blocks and implementations without a SAFETY comment on the line or directly above the statement.
fn unargued(path: &Path, text: &str) -> Vec<String> {
    let code = code_only(text);
    let code: Vec<&str> = code.lines().collect();
    let lines: Vec<&str> = text.lines().collect();
    let needs = |line: &str| {
        let bare: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
        has_word(line, "unsafe") && (bare.contains("unsafe {") || bare.contains("unsafe{") || bare.contains("unsafe impl"))
    };
    (0..lines.len())
        .filter(|at| needs(code[*at]) && !argued(&lines, &code, *at))
        .map(|at| format!("{}:{}: this `unsafe` has no SAFETY comment", path.display(), at + 1))
        .collect()
}

/// Whether line `at`, a comment directly above its statement, or the statement's own first lines say SAFETY.
fn argued(lines: &[&str], code: &[&str], at: usize) -> bool {
    if lines[at].contains("SAFETY:") {
        return true;
    }
    for above in (0..at).rev() {
        let only_code = code[above].trim();
        if only_code.is_empty() && lines[above].trim().is_empty() {
            return false;
        }
        if lines[above].contains("SAFETY:") && only_code.is_empty() {
            return true;
        }
        // The line above ends another statement: the comment would have to stand below it.
        if only_code.ends_with([';', '{', '}', ',']) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_must_forbid() {
        let path = Path::new("engine/cgroup/src/lib.rs");
        assert!(root_without_forbid(path, "//! Doc.\n\n#![forbid(unsafe_code)]\n").is_none());
        assert!(root_without_forbid(path, "//! #![forbid(unsafe_code)]\n").is_some(), "a comment forbids nothing");
        assert!(root_without_forbid(path, "#![deny(unsafe_code)]\n").is_some());
    }

    #[test]
    fn unsafe_has_one_home() {
        let path = Path::new("faces/run/src/main.rs");
        assert_eq!(misplaced(path, "// unsafe\nlet a = \"unsafe\";\n#![forbid(unsafe_code)]\n"), Vec::<String>::new());
        assert_eq!(misplaced(path, "\nlet a = unsafe { f() };\n"), ["faces/run/src/main.rs:2: `unsafe` belongs in engine/sys"]);
    }

    #[test]
    fn a_block_must_be_argued() {
        let path = Path::new("engine/sys/src/raw.rs");
        for good in [
            "// SAFETY: the pointer is ours.\nunsafe { f() }\n",
            "let x = unsafe { f() }; // SAFETY: no memory is touched.\n",
            "// SAFETY: one\n// two\nlet x =\n    unsafe { f() };\n",
            "// SAFETY: no state.\n#[allow(x)]\nunsafe impl Send for A {}\n",
            "/// # Safety\n/// Give a valid pointer.\npub unsafe fn f() {}\n",
        ] {
            assert_eq!(unargued(path, good), Vec::<String>::new(), "{good}");
        }
        for bad in [
            "unsafe { f() }\n",
            "// SAFETY: of another.\nlet y = 1;\nunsafe { f() }\n",
            "// SAFETY: too far away.\n\nunsafe { f() }\n",
            "unsafe impl Send for A {}\n",
            "let text = \"SAFETY:\";\nunsafe { f() }\n",
        ] {
            assert_eq!(unargued(path, bad).len(), 1, "{bad}");
        }
    }
}
