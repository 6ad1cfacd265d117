//! What the bash script offers, asked of bash itself.

use std::process::Command;

/// What bash offers for these words; the last is being written. As readline does, `=` is a word of its own.
fn offered(words: &[&str]) -> Vec<String> {
    let quoted = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let script = format!(
        "{}\nCOMP_WORDS=({quoted}); COMP_CWORD={}; _enclos; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        super::bash::script(),
        words.len() - 1
    );
    let output = Command::new("bash").args(["--norc", "-c", &script]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_flags_and_words() {
    assert_eq!(offered(&["enclos", "do"]), ["doctor"]);
    assert_eq!(offered(&["enclos", "run", "--mem"]), ["--memory"]);
    assert_eq!(offered(&["enclos", "run", "--net", "h"]), ["host"]);
    assert_eq!(offered(&["enclos", "run", "--net", "=", "loop"]), ["loopback"]);
    assert_eq!(offered(&["enclos", "run", "--net", "="]), ["none", "loopback", "host"]);
    assert_eq!(offered(&["enclos", "run", "--memory", "64M", "--land"]), ["--landlock"]);
    assert_eq!(offered(&["enclos", "run", "--memory", "="]), [""; 0]);
    assert_eq!(offered(&["enclos", "doctor", "--j"]), ["--json"]);
    assert_eq!(offered(&["enclos", "completions", "z"]), ["zsh"]);
}

#[test]
fn bash_offers_files_where_files_go() {
    assert_eq!(offered(&["enclos", "run", "--ro", "Cargo."]), ["Cargo.toml"]);
    assert_eq!(offered(&["enclos", "run", "--root", "sr"]), ["src"]);
    assert_eq!(offered(&["enclos", "run", "--report", "=", "Cargo."]), ["Cargo.toml"]);
}

#[test]
fn bash_offers_programs_then_their_files() {
    assert!(offered(&["enclos", "run", "--net", "host", "--", "bas"]).contains(&"bash".to_owned()));
    assert!(offered(&["enclos", "run", "--report", "bas"]).contains(&"bash".to_owned()));
    assert_eq!(offered(&["enclos", "run", "--", "cat", "Cargo."]), ["Cargo.toml"]);
    assert_eq!(offered(&["enclos", "run", "--report", "=", "x", "cat", "Cargo."]), ["Cargo.toml"]);
}
