//! Checkers: compared by the judge, and programs of the problem.

use std::sync::Arc;

use enclos_judge::api::{Checker, Job, Program, SourceFile, Test, Verdict};

use crate::support::{job, run};

fn printing(text: &str, expected: &str, checker: Checker) -> Job {
    let mut job = job("python", "import sys\nsys.stdout.write(sys.stdin.read())\n");
    job.tests[0].stdin = text.as_bytes().to_vec();
    job.tests[0].expected = Some(expected.as_bytes().to_vec());
    job.tests[0].checker = checker;
    job
}

#[test]
fn every_built_in_checker_passes_and_fails() {
    let float = || Checker::Float { absolute: 1e-3, relative: 0.0 };
    for (checker, expected, right, wrong) in [
        (Checker::Exact, "1 2\n", "1 2\n", "1 2"),
        (Checker::Trimmed, "1 2\n", "1 2  \n\n", "1  2\n"),
        (Checker::Tokens, "1 2\n", " 1\n\n2", "12\n"),
        (float(), "0.5\n", "0.5001", "0.6"),
        (Checker::Unordered, "a\nb\n", "b\na\n", "b\nb\n"),
    ] {
        let answer = run(&printing(right, expected, checker.clone()));
        assert_eq!((answer.verdict, answer.score), (Verdict::Ok, 1.0), "{checker:?}");
        let answer = run(&printing(wrong, expected, checker.clone()));
        assert_eq!((answer.verdict, answer.score), (Verdict::WrongAnswer, 0.0), "{checker:?}");
        assert!(answer.tests[0].check.as_ref().unwrap().message.contains("expected") || checker == Checker::Unordered);
    }
}

fn program(source: &str) -> Arc<Program> {
    let source = SourceFile { name: None, contents: source.as_bytes().to_vec() };
    Arc::new(Program { language: "python".to_owned(), sources: vec![source], ..Program::default() })
}

/// Passes when the output is the input backwards; says what it saw.
const BACKWARDS: &str = "import sys\nread = [open(p).read() for p in sys.argv[1:4]]\nprint(sys.argv[4:], file=sys.stderr)\nsys.exit(0 if read[1].strip() == read[0].strip()[::-1] and read[2] == 'answer' else 1)\n";

#[test]
fn a_program_is_given_input_output_and_answer() {
    for (source, verdict) in [("print(input()[::-1])", Verdict::Ok), ("print(input())", Verdict::WrongAnswer)] {
        let mut job = job("python", source);
        let checker = Program {
            run: enclos_judge::api::StepOptions { arguments: vec!["more".to_owned()], ..Default::default() },
            ..(*program(BACKWARDS)).clone()
        };
        let checker = Checker::Program(Arc::new(checker));
        job.tests[0] = Test { stdin: b"abc\n".to_vec(), expected: Some(b"answer".to_vec()), checker, ..Test::default() };
        let answer = run(&job);
        assert_eq!(answer.verdict, verdict, "{answer:?}");
        assert_eq!(answer.tests[0].check.as_ref().unwrap().message, "['more']");
    }
}

#[test]
fn exit_codes_of_testlib_are_verdicts_and_points() {
    for (code, said, verdict, score) in [
        ("0", "", Verdict::Ok, 10.0),
        ("1", "wrong", Verdict::WrongAnswer, 0.0),
        ("2", "", Verdict::WrongAnswer, 0.0),
        ("3", "no answer", Verdict::CheckerFailed, 0.0),
        ("7", "points 0.5", Verdict::Partial, 5.0),
        ("41", "", Verdict::Partial, 2.5),
    ] {
        let mut job = job("python", "pass");
        let source = format!("import sys\nprint('{said}', file=sys.stderr)\nsys.exit({code})\n");
        job.tests[0] = Test { checker: Checker::Program(program(&source)), points: Some(10.0), ..Test::default() };
        let answer = run(&job);
        assert_eq!((answer.verdict, answer.score, answer.points), (verdict, score, 10.0), "{code}: {answer:?}");
    }
}

#[test]
fn a_checker_that_fails_in_any_way_is_told_from_a_wrong_answer() {
    for source in ["while True: pass", "x = 'a' * (1 << 40)", "import os\nos.kill(os.getpid(), 9)", "this is no python"] {
        let mut job = job("python", "pass");
        let mut checker = (*program(source)).clone();
        checker.run.limits.cpu = Some(std::time::Duration::from_secs(1));
        job.tests[0].checker = Checker::Program(Arc::new(checker));
        let answer = run(&job);
        // Python's own failures end with status 1, which testlib reads as a wrong answer: only what cannot be a judgement is a failure.
        let fine = if source.contains("1 <<") || source.contains("no python") { Verdict::WrongAnswer } else { Verdict::CheckerFailed };
        assert_eq!(answer.verdict, fine, "{source}: {answer:?}");
    }
}

#[test]
fn a_checker_that_is_not_compiled_fails_every_test_of_it_and_no_other() {
    let mut job = job("python", "pass");
    let source = SourceFile { name: None, contents: b"int main( {".to_vec() };
    let checker = Checker::Program(Arc::new(Program { language: "c".to_owned(), sources: vec![source], ..Program::default() }));
    job.tests = vec![Test::default(), Test { checker, ..Test::default() }];
    let answer = run(&job);
    assert_eq!(answer.tests.iter().map(|test| test.verdict).collect::<Vec<_>>(), [Verdict::Ok, Verdict::CheckerFailed]);
    assert!(answer.tests[1].check.as_ref().unwrap().message.contains("not compiled"), "{answer:?}");
}

#[test]
fn a_hostile_output_does_not_reach_the_judge_through_the_checker() {
    let mut job = job("python", "import sys\nsys.stdout.write('x' * (1 << 20))\n");
    job.tests[0].checker = Checker::Program(program("import sys\nprint('y' * 100000, file=sys.stderr)\nsys.exit(1)\n"));
    let answer = run(&job);
    assert!(answer.tests[0].check.as_ref().unwrap().message.len() <= 1000);
}
