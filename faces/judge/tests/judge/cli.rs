//! The command line (`enclos judge`), through the example that has it.

use std::process::{Command, Output};

fn judge(words: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/judge_launch");
    Command::new(program).arg("judge").args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_program_is_judged_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str, contents: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (program, input) = (path("back.py", "import sys\nprint(input()[::-1], *sys.argv[1:])\n"), path("in", "abc\n"));
    let (right, wrong) = (path("right", "cba x\n"), path("wrong", "abc x\n"));
    let output = judge(&["run", &program, "--stdin", &input, "--expect", &right, "--", "x"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.starts_with("step  verdict") && said.contains("\nrun   OK") && said.ends_with("\nstdout:\ncba x\n"), "{said}");
    let output = judge(&["run", &program, "--stdin", &input, "--expect", &wrong, "--json", "--", "x"]);
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["verdict"], "WRONG_ANSWER");
    assert_eq!(document["run"]["stdout"]["text"], "cba x\n");
    let output = judge(&["run", &path("x.unknown", "")]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("no language has this ending"), "{output:?}");
    let output = judge(&["run", &path("x.pl", "print 1")]);
    assert!(text(&output.stderr).contains("several languages have this ending (perl, prolog)"), "{output:?}");
}

#[test]
fn languages_are_listed_and_tested() {
    let output = judge(&["languages", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let languages = document["languages"].as_array().unwrap();
    assert!(languages.len() >= 22 && languages.iter().any(|language| language["key"] == "python" && language["available"] == true));
    let output = judge(&["test", "python", "C"]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.ends_with("2 ok, 0 failed, 0 not installed\n"), "{said}");
    let output = judge(&["test", "pyton"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("did you mean \"python\"?"));
}

#[test]
fn a_benchmark_finds_the_least_memory() {
    let output = judge(&["benchmark", "c", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let needed = document["languages"][0]["memory_needed"].as_u64().unwrap();
    assert!((1 << 20..64 << 20).contains(&needed), "{document}");
}

#[test]
fn a_language_that_fails_its_reference_program_is_told_with_what_it_said() {
    let directory = tempfile::tempdir().unwrap();
    let text_of = "name = \"Broken\"\nextension = \".x\"\nreference = \"echo 43; echo why >&2; exit 3\"\n[[program]]\ncommand = \"sh\"\n[run]\nprogram = \"sh\"\narguments = [\"{program}\"]\n";
    std::fs::write(directory.path().join("broken.toml"), text_of).unwrap();
    let output = judge(&["test", "broken", "--languages", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(
        said.contains("RUNTIME_ERROR") && said.contains("  | 43\n") && said.contains("  | why\n") && said.contains("0 ok, 1 failed"),
        "{said}"
    );
}

#[test]
fn what_is_no_command_is_a_usage_error() {
    for words in [&["frobnicate"][..], &[], &["run"], &["languages", "x"]] {
        let output = judge(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).starts_with("enclos judge: "));
    }
    assert!(text(&judge(&["--help"]).stdout).contains("enclos judge benchmark"));
}

#[test]
fn a_user_without_rights_is_told_what_is_missing_and_may_do_without() {
    use std::os::unix::fs::PermissionsExt;
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap().parent().unwrap().join("examples/judge_launch");
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("launch");
    std::fs::copy(built, &program).unwrap();
    for path in [directory.path(), &program] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let nobody = |words: &[&str]| {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(&program).arg("judge").args(words);
        command.current_dir("/").output().unwrap()
    };
    if !nobody(&["--help"]).status.success() {
        enclos_testkit::skip("a_user_without_rights", "only root becomes another user");
        return;
    }
    let refused = nobody(&["test", "python"]);
    if refused.status.success() {
        enclos_testkit::skip("a_user_without_rights", "this user may make control groups");
        return;
    }
    assert!(text(&refused.stderr).starts_with("enclos judge: memory: this host cannot enforce it: "), "{refused:?}");
    let output = nobody(&["test", "python", "c", "javascript", "--best-effort"]);
    assert!(text(&output.stdout).contains(" 0 failed"), "{output:?}");
}
