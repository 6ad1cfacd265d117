//! Tests of one job: order, limits, files, runs, points.

use std::time::Duration;

use enclos_judge::api::{Checker, SourceFile, Test, Verdict};

use crate::support::{job, run};

fn verdicts(answer: &enclos_judge::api::Answer) -> Vec<Verdict> {
    answer.tests.iter().map(|test| test.verdict).collect()
}

fn file(name: &str, contents: &[u8]) -> SourceFile {
    SourceFile { name: Some(name.to_owned()), contents: contents.to_vec() }
}

/// Fails unless its input is `ok`.
const PICKY: &str = "import sys\nsys.exit(sys.stdin.read() != 'ok')\n";

fn picky(inputs: &[(&str, bool)]) -> enclos_judge::api::Job {
    let mut job = job("python", PICKY);
    job.tests = inputs.iter().map(|(input, fatal)| Test { stdin: input.as_bytes().to_vec(), fatal: *fatal, ..Test::default() }).collect();
    job
}

#[test]
fn a_fatal_test_that_fails_ends_the_job() {
    let answer = run(&picky(&[("no", false), ("no", true), ("ok", false), ("ok", false)]));
    assert_eq!(verdicts(&answer), [Verdict::RuntimeError, Verdict::RuntimeError, Verdict::Skipped, Verdict::Skipped]);
    let answer = run(&picky(&[("ok", true), ("no", false), ("ok", true)]));
    assert_eq!(verdicts(&answer), [Verdict::Ok, Verdict::RuntimeError, Verdict::Ok]);
}

#[test]
fn stopping_at_the_first_failure() {
    let mut job = picky(&[("ok", false), ("no", false), ("ok", false), ("no", false)]);
    job.stop_at_first_failure = true;
    assert_eq!(verdicts(&run(&job)), [Verdict::Ok, Verdict::RuntimeError, Verdict::Skipped, Verdict::Skipped]);
}

#[test]
fn tests_that_run_at_once_keep_their_order() {
    let mut job = job("python", "import sys, time\nn = int(sys.stdin.read())\ntime.sleep(0.02 * (20 - n) / 20)\nprint(n)\n");
    job.tests = (0..20).map(|n| Test { stdin: n.to_string().into_bytes(), ..Test::default() }).collect();
    let answer = run(&job);
    for (n, test) in answer.tests.iter().enumerate() {
        assert_eq!(test.name, format!("test{n:03}"));
        assert_eq!(test.step.as_ref().unwrap().stdout, format!("{n}\n").into_bytes());
    }
}

#[test]
fn limits_of_a_test_come_before_the_jobs() {
    let mut job = job("python", "import time\ntime.sleep(1)\n");
    let wall = |ms| Some(Duration::from_millis(ms));
    job.run.limits.wall = wall(300);
    job.tests = vec![Test::default(), Test::default()];
    job.tests[1].limits.wall = wall(20_000);
    assert_eq!(verdicts(&run(&job)), [Verdict::Idleness, Verdict::Ok]);
    job.run.limits.wall = wall(20_000);
    job.tests[0].limits.wall = wall(300);
    assert_eq!(verdicts(&run(&job)), [Verdict::Idleness, Verdict::Ok]);
}

#[test]
fn arguments_and_variables_reach_the_program() {
    let mut job = job(
        "python",
        "import os, sys\nprint(sys.argv[1:], os.environ.get('A'), os.environ.get('B'), os.environ['HOME'], os.getcwd(), sys.argv[0])\n",
    );
    job.run.arguments = vec!["$x `y`".to_owned(), String::new()];
    job.run.environment.insert("A".to_owned(), "1".to_owned());
    job.tests = vec![Test::default(), Test { arguments: Some(vec!["-z".to_owned()]), ..Test::default() }];
    job.tests[1].environment.insert("B".to_owned(), "é".to_owned());
    let answer = run(&job);
    let said = |index: usize| String::from_utf8_lossy(&answer.tests[index].step.as_ref().unwrap().stdout).into_owned();
    assert_eq!(said(0), "['$x `y`', ''] 1 None /box /box /box/compiled.py\n");
    assert_eq!(said(1), "['-z'] 1 é /box /box /box/compiled.py\n");
}

#[test]
fn files_go_in_and_come_out() {
    let mut job = job("python", "data = open('in/data.bin', 'rb').read()\nopen('out.bin', 'wb').write(data[::-1])\n");
    job.tests[0].files_in = vec![file("in/data.bin", &[0, 255, 1])];
    job.tests[0].files_out = vec!["out.bin".to_owned(), "none".to_owned()];
    let answer = run(&job);
    assert_eq!(answer.verdict, Verdict::Ok, "{answer:?}");
    let files = &answer.tests[0].step.as_ref().unwrap().files;
    assert_eq!((files[0].name.as_str(), files[0].contents.as_deref()), ("out.bin", Ok(&[1u8, 255, 0][..])));
    assert!(files[1].contents.as_ref().unwrap_err().contains("No such file"));
}

#[test]
fn a_program_of_several_files() {
    let mut job = job("python", "from lib.words import WORD\nprint(WORD)\n");
    job.sources.push(file("lib/words.py", b"WORD = 'imported'\n"));
    assert_eq!(run(&job).tests[0].step.as_ref().unwrap().stdout, b"imported\n");
    job.sources[0].name = Some("start.py".to_owned());
    job.sources[0].contents = b"import sys\nprint(sys.argv[0])\n".to_vec();
    assert_eq!(run(&job).tests[0].step.as_ref().unwrap().stdout, b"/box/start.py\n");
}

#[test]
fn runs_are_counted_and_the_worst_one_told() {
    let mut job = job("python", "pass");
    job.runs = 3;
    let answer = run(&job);
    assert_eq!(answer.tests[0].runs.len(), 3);
    assert!(answer.tests[0].runs.iter().all(|run| run.verdict == Verdict::Ok));
    let slowest = answer.tests[0].runs.iter().map(|run| run.cpu).max();
    assert_eq!(answer.tests[0].step.as_ref().map(|step| step.cpu), slowest);
    // One run in several fails, sooner or later: the others do not hide it.
    let mut unsteady = crate::support::job("python", "import os, sys\nsys.exit(os.urandom(1)[0] < 128)\n");
    unsteady.runs = 40;
    assert_eq!(run(&unsteady).verdict, Verdict::RuntimeError);
}

#[test]
fn points_and_groups() {
    let mut job = job("python", "print(input())");
    let test = |input: &str, points: f64, subtask: Option<&str>| Test {
        stdin: format!("{input}\n").into_bytes(),
        expected: Some(b"1\n".to_vec()),
        checker: Checker::Exact,
        points: Some(points),
        subtask: subtask.map(str::to_owned),
        ..Test::default()
    };
    job.tests = vec![
        test("1", 10.0, Some("a")),
        test("1", 20.0, Some("a")),
        test("1", 30.0, Some("b")),
        test("2", 30.0, Some("b")),
        test("1", 5.0, None),
    ];
    let answer = run(&job);
    assert_eq!((answer.verdict, answer.score, answer.points), (Verdict::WrongAnswer, 35.0, 95.0));
    let groups: Vec<(&str, f64)> = answer.subtasks.iter().map(|group| (&group.name[..], group.score)).collect();
    assert_eq!(groups, [("a", 30.0), ("b", 0.0)]);
}

#[test]
fn an_answer_is_bounded_however_much_is_printed() {
    use enclos_judge::api::{Cancel, Judge, NoObserver};
    let settings = enclos_judge::Settings { answer: 1 << 20, ..enclos_judge::Settings::default() };
    let judge = enclos_judge::LocalJudge::new(crate::support::launcher(), settings).unwrap();
    let mut job = job("python", "print('x' * 600000)");
    let test = Test { expected: Some([&[b'x'; 600_000][..], b"\n"].concat()), checker: Checker::Exact, ..Test::default() };
    job.tests = vec![test; 4];
    let answer = judge.run(&job, &Cancel::new(), &NoObserver).unwrap();
    assert_eq!(answer.verdict, Verdict::Ok, "what is cut was compared whole");
    let kept: usize = answer.tests.iter().map(|test| test.step.as_ref().unwrap().stdout.len()).sum();
    assert_eq!(kept, 1 << 20);
    assert!(answer.tests.iter().any(|test| test.step.as_ref().unwrap().stdout_truncated));
}
