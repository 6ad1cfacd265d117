//! Compiling: cache, stages, several files, what a user defines.

use enclos_judge::api::{Cancel, Judge, NoObserver, SourceFile, Verdict};
use enclos_judge::{LocalJudge, Settings};

use crate::support::{first, job, judge, launcher, run};

#[test]
fn the_same_source_is_compiled_once() {
    let source = format!("#include <stdio.h>\nint main(void) {{ puts(\"{}\"); return 0; }}\n", std::process::id());
    let job = job("c", &source);
    let before = judge().cache();
    assert!(!run(&job).compile_cached);
    let answer = run(&job);
    assert!(answer.compile_cached && judge().cache().hits > before.hits);
    assert_eq!(first(&answer), (Verdict::Ok, Some(0), format!("{}\n", std::process::id())));
    let mut other = job.clone();
    other.compile.arguments = vec!["-O0".to_owned()];
    assert!(!run(&other).compile_cached, "other options are another program");
    let mut other = job.clone();
    other.sources[0].name = Some("named.c".to_owned());
    assert!(!run(&other).compile_cached);
}

#[test]
fn what_is_not_compiled_is_remembered_too() {
    let job = job("c", &format!("int main(void) {{ return {}; }} nonsense\n", std::process::id()));
    assert!(!run(&job).compile_cached);
    let answer = run(&job);
    assert!(answer.compile_cached);
    assert_eq!(answer.verdict, Verdict::CompileError);
}

#[test]
fn several_sources_and_a_header() {
    let mut job = job("c", "#include \"words.h\"\nint main(void) { say(); return 0; }\n");
    let file = |name: &str, text: &str| SourceFile { name: Some(name.to_owned()), contents: text.as_bytes().to_vec() };
    job.sources.push(file("words.h", "void say(void);\n"));
    job.sources.push(file("words.c", "#include <stdio.h>\nvoid say(void) { puts(WORD); }\n"));
    job.compile.arguments = vec!["-DWORD=\"hello\"".to_owned()];
    let answer = run(&job);
    assert!(!answer.tests.is_empty(), "{}", String::from_utf8_lossy(&answer.compile.unwrap().stderr));
    assert_eq!(first(&answer), (Verdict::Ok, Some(0), "hello\n".to_owned()));
}

const PIPELINE: &str = r#"
name = "Shout"
extension = ".shout"
reference = "ignored"
[[program]]
command = "sh"
[[program]]
command = "gcc"
[[compile]]
program = "sh"
arguments = ["{helpers}/to-c.sh", "{source}", "{output}"]
outputs = ["made.c"]
helpers = { "to-c.sh" = "case $(cat $1) in fail) exit 9;; nothing) exit 0;; loud) echo warning >&2;; esac; echo '#include <stdio.h>' > $2; printf 'int main(void) { puts(\"%s!\"); return 0; }' $(cat $1) >> $2" }
[[compile]]
program = "gcc"
source = "stage.c"
arguments = ["-o", "{output}", "{source}"]
"#;

const PRINTED: &str = r#"
name = "Printed"
extension = ".p"
reference = ""
[[program]]
command = "cat"
[[program]]
command = "python3"
[[compile]]
program = "cat"
arguments = ["{source}"]
output-is-stdout = true
outputs = ["printed.py"]
[run]
program = "python3"
arguments = ["{program}"]
"#;

fn with(definitions: &[(&str, &str)]) -> LocalJudge {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in definitions {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    LocalJudge::new(launcher(), Settings { languages: Some(directory.path().to_owned()), ..Settings::default() }).unwrap()
}

#[test]
fn stages_follow_each_other_until_one_fails() {
    let judge = with(&[("shout.toml", PIPELINE)]);
    let answer = |source: &str| judge.run(&job("shout", source), &Cancel::new(), &NoObserver).unwrap();
    assert_eq!(first(&answer("hello")), (Verdict::Ok, Some(0), "hello!\n".to_owned()));
    let failed = answer("fail").compile.unwrap();
    assert_eq!((failed.verdict, failed.exit_code), (Verdict::RuntimeError, Some(9)));
    let nothing = answer("nothing");
    assert_eq!(nothing.verdict, Verdict::CompileError);
    let report = nothing.compile.unwrap();
    assert_eq!((report.exit_code, &report.stderr[..]), (Some(0), &b"Cannot find result binary.\n"[..]));
    assert_eq!(first(&answer("loud")).0, Verdict::Ok);
}

#[test]
fn what_a_compiler_prints_can_be_its_result() {
    let judge = with(&[("printed.toml", PRINTED)]);
    let answer = judge.run(&job("printed", "print('from stdout')"), &Cancel::new(), &NoObserver).unwrap();
    assert_eq!(first(&answer), (Verdict::Ok, Some(0), "from stdout\n".to_owned()));
}

#[test]
fn a_language_file_that_makes_no_sense_stops_the_judge_by_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("x.toml"), "nmae = 'X'").unwrap();
    let settings = Settings { languages: Some(directory.path().to_owned()), ..Settings::default() };
    let error = LocalJudge::new(launcher(), settings).unwrap_err().to_string();
    assert!(error.starts_with("x.toml: line 1: unknown field `nmae`"), "{error}");
}
