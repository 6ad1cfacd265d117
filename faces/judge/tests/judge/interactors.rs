//! Two programs joined by pipes.

use std::sync::Arc;
use std::time::Duration;

use enclos_judge::api::{Job, Program, SourceFile, Verdict};

use crate::support::{job, run};

/// Thinks of the number in its input file, answers each guess, gives up after ten.
const GUESS: &str = "import sys\nnumber = int(open(sys.argv[1]).read())\nfor turn in range(10):\n    line = sys.stdin.readline()\n    if not line:\n        sys.exit(8)\n    guess = int(line)\n    print('=' if guess == number else '<' if number < guess else '>', flush=True)\n    if guess == number:\n        print(turn + 1, 'guesses', file=sys.stderr)\n        sys.exit(0)\nprint('too many guesses', file=sys.stderr)\nsys.exit(1)\n";

const HALVE: &str = "low, high = 0, 1000\nwhile True:\n    middle = (low + high) // 2\n    print(middle, flush=True)\n    said = input()\n    if said == '=':\n        break\n    low, high = (low, middle - 1) if said == '<' else (middle + 1, high)\n";

fn guessing(solution: &str, interactor: &str) -> Job {
    let mut job = job("python", solution);
    let source = SourceFile { name: None, contents: interactor.as_bytes().to_vec() };
    job.interactor = Some(Arc::new(Program { language: "python".to_owned(), sources: vec![source], ..Program::default() }));
    job.tests[0].stdin = b"321".to_vec();
    job
}

#[test]
fn a_right_program_wins() {
    let answer = run(&guessing(HALVE, GUESS));
    assert_eq!(answer.verdict, Verdict::Ok, "{answer:?}");
    assert!(answer.tests[0].check.as_ref().unwrap().message.ends_with("guesses"));
}

#[test]
fn a_wrong_program_loses_whatever_becomes_of_it_then() {
    let stubborn = "while True:\n    print(1, flush=True)\n    input()\n";
    let answer = run(&guessing(stubborn, GUESS));
    assert_eq!(answer.verdict, Verdict::WrongAnswer, "{answer:?}");
    assert_eq!(answer.tests[0].check.as_ref().unwrap().message, "too many guesses");
}

#[test]
fn a_program_that_ends_without_a_word_loses() {
    assert_eq!(run(&guessing("pass", GUESS)).verdict, Verdict::WrongAnswer);
}

#[test]
fn a_program_that_fails_by_itself_is_told_so() {
    let mut burning = guessing("while True: pass", GUESS);
    burning.run.limits.cpu = Some(Duration::from_secs(1));
    assert_eq!(run(&burning).verdict, Verdict::TimedOut);
    let mut hungry = guessing("x = []\nwhile True: x.append(bytes(1 << 20))", GUESS);
    hungry.run.limits.memory = Some(64 << 20);
    assert_eq!(run(&hungry).verdict, Verdict::OutOfMemory);
}

#[test]
fn both_waiting_for_each_other_ends() {
    let mut job = guessing("input()", GUESS);
    job.run.limits.wall = Some(Duration::from_secs(1));
    assert_eq!(run(&job).verdict, Verdict::Idleness, "the interactor saw the end of its input, and not why");
    let mut job = guessing("input()", "import time\ntime.sleep(100)");
    job.run.limits.wall = Some(Duration::from_secs(1));
    let mut interactor = (**job.interactor.as_ref().unwrap()).clone();
    interactor.run.limits.wall = Some(Duration::from_secs(1));
    job.interactor = Some(Arc::new(interactor));
    assert_eq!(run(&job).verdict, Verdict::Idleness);
}

#[test]
fn an_interactor_that_fails_is_the_problems_fault() {
    let answer = run(&guessing("import sys\nsys.stdin.read()", "import sys\nsys.exit(3)"));
    assert_eq!(answer.verdict, Verdict::CheckerFailed, "{answer:?}");
}

#[test]
fn a_flood_between_them_is_capped() {
    let mut job = guessing("import sys\nwhile True: sys.stdout.write('1\\n' * 10000)", "import sys\nfor line in sys.stdin: pass");
    job.run.limits.output = Some(1 << 20);
    assert_eq!(run(&job).verdict, Verdict::OutputLimit);
}
