//! Invariant 3: the engine reads no environment variable, home directory or clock it was not given, and prints nothing.
//!
//! A clock is read only where time is the job ([`CLOCK_READERS`]), and even there only `CLOCK_MONOTONIC`: the time of day is never the
//! engine's.

use std::path::Path;

use anyhow::Result;

use crate::source::{code_only, lines_with, without_tests};
use crate::workspace::Workspace;

/// What the rule covers.
const ENGINE: [&str; 5] = ["engine/spec/src", "engine/sys/src", "engine/seccomp/src", "engine/cgroup/src", "engine/sandbox/src"];

/// Where time is the job.
const CLOCK_READERS: [&str; 6] = [
    // Holds the call.
    "engine/sys/src",
    // Enforces limits.
    "engine/sandbox/src/watch",
    "engine/sandbox/src/watch.rs",
    // Measures.
    "engine/sandbox/src/meter",
    "engine/sandbox/src/meter.rs",
    // Waits until a group is empty, for as long as its caller says.
    "engine/cgroup/src/wait.rs",
];

/// Why a word is banned, and where it is not.
struct Ban {
    words: &'static [&'static str],
    why: &'static str,
    /// Whether a place where clocks are read may use it.
    clock: bool,
}

const BANS: [Ban; 4] = [
    Ban {
        words: &["std::env", "env::var", "env::var_os", "env::vars", "env::vars_os", "env::args", "env::args_os", "env::current_dir"],
        why: "the engine reads no environment: the caller gives it what it needs",
        clock: false,
    },
    Ban {
        words: &["env::temp_dir", "env::home_dir", "env::current_exe", "libc::getenv", "getpwuid", "getpwuid_r", "getpwnam"],
        why: "the engine knows no home, temporary or own directory: the caller gives it paths",
        clock: false,
    },
    Ban {
        words: &["println!", "eprintln!", "print!", "eprint!", "dbg!", "io::stdout", "io::stderr", "io::stdin"],
        why: "the engine prints nothing: it returns values and errors",
        clock: false,
    },
    Ban {
        words: &["Instant::now", "clock_gettime(", "libc::time("],
        why: "a clock is read only where time is the job; xtask/src/purity.rs lists where",
        clock: true,
    },
];

/// Never, not even where clocks are read.
const TIME_OF_DAY: [&str; 4] = ["SystemTime::now", "ClockId::Realtime", "CLOCK_REALTIME", "gettimeofday("];

/// Every breach, one line each. Tests are not covered: neither `#[cfg(test)]` items nor files called `tests.rs` or below `tests/`.
///
/// # Errors
/// When a source file cannot be read.
pub fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for (path, text) in workspace.rust_files()? {
        let test = path.components().any(|c| matches!(c.as_os_str().to_str(), Some("tests" | "tests.rs")));
        if !test && ENGINE.iter().any(|home| path.starts_with(home)) {
            findings.extend(breaches(&path, &text));
        }
    }
    Ok(findings)
}

fn breaches(path: &Path, text: &str) -> Vec<String> {
    let code = without_tests(&code_only(text));
    let clocks = CLOCK_READERS.iter().any(|place| path.starts_with(place));
    let mut findings = Vec::new();
    let mut report = |word: &str, why: &str| {
        for line in lines_with(&code, word) {
            findings.push(format!("{}:{line}: {word}: {why}", path.display()));
        }
    };
    for ban in BANS.iter().filter(|ban| !(ban.clock && clocks)) {
        for word in ban.words {
            report(word, ban.why);
        }
    }
    for word in TIME_OF_DAY {
        report(word, "the engine never asks for the time of day");
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, text: &str) -> usize {
        breaches(Path::new(path), text).len()
    }

    #[test]
    fn each_ban_bites() {
        for text in [
            "let home = std::env::temp_path();",
            "use std::env;",
            "let home = env::var(\"HOME\");",
            "let exe = env::current_exe();",
            "println!(\"x\");",
            "std::io::stderr().write_all(b\"x\")",
            "let t = Instant::now();",
            "let t = rustix::time::clock_gettime(ClockId::Monotonic);",
            "let t = std::time::SystemTime::now();",
        ] {
            assert_ne!(at("engine/sandbox/src/launch.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn clocks_are_read_where_time_is_the_job() {
        let text = "let t = Instant::now();";
        assert_eq!(at("engine/sandbox/src/watch/deadline.rs", text), 0);
        assert_eq!(at("engine/sandbox/src/meter.rs", text), 0);
        assert_eq!(at("engine/sys/src/clock.rs", text), 0);
        assert_eq!(at("engine/cgroup/src/v2.rs", text), 1);
        assert_eq!(at("engine/cgroup/src/watch.rs", text), 1, "the name alone is no licence");
        assert_eq!(at("engine/sandbox/src/watch/deadline.rs", "let t = SystemTime::now();"), 1, "the time of day nowhere");
        assert_eq!(at("engine/sandbox/src/watch/deadline.rs", "println!()"), 1, "and printing neither");
    }

    #[test]
    fn comments_texts_and_tests_are_free() {
        assert_eq!(
            at("engine/spec/src/lib.rs", "/// println!(\"x\")\nconst A: &str = \"std::env\";\n#[cfg(test)]\nmod tests { use std::env; }\n"),
            0
        );
    }
}
