//! Invariant 2: nothing allocates, locks, logs or drops between clone and exec.
//!
//! This reads the source: in the files where every line runs there, the words that allocate, lock or print do not occur. What the launcher
//! prepares for the child lies in other files.

use std::path::Path;

use anyhow::Result;

use crate::source::{code_only, lines_with, without_tests};
use crate::workspace::Workspace;

/// Files in which every function runs between clone and exec.
const FILES: [&str; 6] = [
    "engine/sandbox/src/child/mod.rs",
    "engine/sandbox/src/child/confine.rs",
    "engine/sandbox/src/child/mounts.rs",
    "engine/sandbox/src/child/nearby.rs",
    "engine/sandbox/src/child/workspace.rs",
    "engine/sandbox/src/init/command.rs",
];

/// What allocates, locks, prints, or panics with a text it must first make.
const WORDS: [&str; 26] = [
    "vec!",
    "format!",
    "Vec::new",
    "Vec::with_capacity",
    "Box::new",
    "Rc::new",
    "Arc::new",
    "String::new",
    "String::from",
    "CString::new",
    "PathBuf::from",
    "to_owned(",
    "to_vec(",
    "to_string(",
    "to_path_buf(",
    "collect(",
    "collect::",
    "clone(",
    "lock(",
    "Mutex",
    "println!",
    "eprintln!",
    "panic!",
    "unwrap(",
    "expect(",
    "std::fs",
];

/// Every breach, one line each; also a file that is gone, so that a new name does not end the check unnoticed.
///
/// # Errors
/// When a file is there but cannot be read.
pub fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in FILES {
        match std::fs::read_to_string(workspace.root.join(file)) {
            Ok(text) => findings.extend(breaches(Path::new(file), &text)),
            Err(error) => findings.push(format!("{file}: {error}; xtask/src/child_check.rs lists what runs between clone and exec")),
        }
    }
    Ok(findings)
}

fn breaches(path: &Path, text: &str) -> Vec<String> {
    let code = without_tests(&code_only(text));
    let found = WORDS.iter().flat_map(|word| lines_with(&code, word).map(move |line| (line, word)));
    found.map(|(line, word)| format!("{}:{line}: {word} between clone and exec", path.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found() {
        for word in WORDS {
            let text = format!("fn f() {{ {word} }}\n");
            assert_ne!(breaches(Path::new("a.rs"), &text).len(), 0, "{word}");
        }
    }

    #[test]
    fn borrowed_data_and_tests_pass() {
        let text = "// vec!\nfn f(paths: &Vec<CString>) { clone3(); }\n#[cfg(test)]\nmod tests { fn t() { vec![1].clone(); } }\n";
        assert_eq!(breaches(Path::new("a.rs"), text), Vec::<String>::new());
    }
}
