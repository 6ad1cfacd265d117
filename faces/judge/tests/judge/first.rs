//! One program from its source to its verdict.

use enclos_judge::api::Verdict;

use crate::support::{first, job, run};

#[test]
fn a_python_program_runs() {
    let mut job = job("Python", "import sys\nprint(sys.stdin.read()[::-1])\nsys.stderr.write('e')\n");
    job.tests[0].stdin = b"abc".to_vec();
    let answer = run(&job);
    assert_eq!(first(&answer), (Verdict::Ok, Some(0), "cba\n".to_owned()));
    assert!(answer.compile.is_none());
    assert_eq!(answer.tests[0].step.as_ref().unwrap().stderr, b"e");
}

#[test]
fn a_c_program_is_compiled_and_runs() {
    let answer = run(&job("c", "#include <stdio.h>\nint main(int c, char **v) { puts(v[0]); return 3; }\n"));
    let compile = answer.compile.as_ref().unwrap();
    assert_eq!(compile.verdict, Verdict::Ok, "{}", String::from_utf8_lossy(&compile.stderr));
    assert_eq!(first(&answer), (Verdict::RuntimeError, Some(3), "/box/compiled\n".to_owned()));
    assert_eq!(answer.verdict, Verdict::RuntimeError);
}

#[test]
fn a_program_that_is_not_compiled_says_why() {
    let answer = run(&job("c", "int main( { }\n"));
    assert_eq!(answer.verdict, Verdict::CompileError);
    let compile = answer.compile.unwrap();
    assert_eq!((compile.verdict, compile.exit_code), (Verdict::RuntimeError, Some(1)));
    assert!(String::from_utf8_lossy(&compile.stderr).contains("source.c:1"), "{compile:?}");
    assert!(answer.tests.is_empty());
}
