//! Changes that a program outside of the sandbox would act upon by itself.
//!
//! A sandbox that may write a project may also write what the next `git status` executes, or a link that leads the next editor to a file of the
//! user's. Such a change is held back unless it is asked for by its name.

use std::ffi::OsStr;
use std::path::{Component, Path};

use super::State;

/// Why a change is not taken with all others; `None`: nothing speaks against it.
#[must_use]
pub fn hazard(path: &str, now: Option<&State>) -> Option<String> {
    let now = now?;
    let parts: Vec<&str> = path.split('/').collect();
    // As git finds it on file systems that ignore case.
    if let Some(at) = parts.iter().position(|part| part.eq_ignore_ascii_case(".git")) {
        let rest = &parts[at + 1..];
        if rest.is_empty() && !matches!(now, State::Directory { .. }) {
            return Some("it would lead git to another repository".to_owned());
        }
        // Also of repositories inside (modules/NAME/…, worktrees/NAME/…).
        let acted = |part: &str| matches!(part, "hooks" | "config" | "config.worktree" | "commondir" | "gitdir");
        let of_history = matches!(rest.first(), Some(&("objects" | "refs" | "logs")));
        if !of_history && rest.iter().any(|part| acted(part)) && !matches!(now, State::Directory { .. }) {
            return Some("git outside would execute it, or what it names".to_owned());
        }
    }
    if let State::Link { target } = now
        && leads_out(&parts, target)
    {
        return Some(format!("it is a link that leads out of the directory, to {target:?}"));
    }
    None
}

/// Whether a link at a path leads above the top, by its text.
fn leads_out(parts: &[&str], target: &OsStr) -> bool {
    let mut depth = parts.len() as i64 - 1;
    for component in Path::new(target).components() {
        match component {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_acted_upon_is_named() {
        let file = State::File { mode: 0o755, size: 1 };
        let directory = State::Directory { mode: 0o755 };
        let link = |target: &str| State::Link { target: target.into() };
        for (path, state) in [
            (".git", file.clone()),
            (".git/hooks/post-commit", file.clone()),
            (".GIT/config", file.clone()),
            ("vendor/lib/.git/config", file.clone()),
            (".git/modules/x/hooks/pre-push", file.clone()),
            (".git/commondir", file.clone()),
            ("a", link("/etc/passwd")),
            ("a/b", link("../../x")),
            ("a", link("b/../../x")),
            (".git", link("elsewhere")),
        ] {
            assert!(hazard(path, Some(&state)).is_some(), "{path}");
        }
        for (path, state) in [
            (".git/index", file.clone()),
            (".git/objects/ab/config", file.clone()),
            (".git/refs/heads/hooks", file.clone()),
            (".git/hooks", directory.clone()),
            (".gitignore", file.clone()),
            ("config", file),
            ("a/b", link("../x")),
            ("a", link("b")),
        ] {
            assert_eq!(hazard(path, Some(&state)), None, "{path}");
        }
        assert_eq!(hazard(".git/config", None), None);
    }
}
