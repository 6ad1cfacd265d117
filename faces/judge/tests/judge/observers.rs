//! What is heard while a job runs, and what can be said to it.

use std::sync::Mutex;
use std::time::Duration;

use enclos_judge::api::{Cancel, Controls, Judge, Observer, Step, StepReport, Stream, Test, TestReport, Verdict};

use crate::support::{job, judge};

/// Remembers everything in order.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
    fn lines(self) -> Vec<String> {
        self.0.into_inner().unwrap()
    }
}

impl Observer for Log {
    fn wants_output(&self) -> bool {
        true
    }
    fn compiled(&self, report: &StepReport) {
        self.add(format!("compiled {}", report.verdict));
    }
    fn started(&self, step: Step, _: &Controls) {
        self.add(format!("started {step:?}"));
    }
    fn output(&self, step: Step, stream: Stream, bytes: &[u8]) {
        self.add(format!("{step:?} {stream:?} {}", String::from_utf8_lossy(bytes).trim()));
    }
    fn test(&self, index: usize, report: &TestReport) {
        self.add(format!("test {index} {}", report.verdict));
    }
}

#[test]
fn everything_is_told_in_its_order() {
    let log = Log::default();
    let job = job("c", "#include <stdio.h>\n#warning careful\nint main(void) { puts(\"out\"); return 0; }\n// observers\n");
    judge().run(&job, &Cancel::new(), &log).unwrap();
    let lines = log.lines();
    let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {lines:?}"));
    let order = ["started Compile", "Compile Stderr", "compiled OK", "started Test(0)", "Test(0) Stdout out", "test 0 OK"].map(at);
    assert!(order.is_sorted(), "{lines:?}");
}

#[test]
fn every_test_is_told_once_even_when_not_compiled() {
    let log = Log::default();
    let mut job = job("c", "no program\n");
    job.tests = vec![Test::default(); 3];
    judge().run(&job, &Cancel::new(), &log).unwrap();
    let tests: Vec<String> = log.lines().into_iter().filter(|line| line.starts_with("test ")).collect();
    assert_eq!(tests, ["test 0 SKIPPED", "test 1 SKIPPED", "test 2 SKIPPED"]);
}

/// Answers each prompt, then closes.
struct Talker {
    controls: Mutex<Option<Controls>>,
}

impl Observer for Talker {
    fn wants_output(&self) -> bool {
        true
    }
    fn started(&self, step: Step, controls: &Controls) {
        if matches!(step, Step::Test(_)) {
            *self.controls.lock().unwrap() = Some(controls.clone());
        }
    }
    fn output(&self, _: Step, _: Stream, bytes: &[u8]) {
        let controls = self.controls.lock().unwrap().clone().expect("started before it prints");
        match String::from_utf8_lossy(bytes).trim() {
            "name?" => controls.write_stdin(b"world\n").unwrap(),
            "hello world" => controls.close_stdin(),
            "signal?" => controls.signal(10).unwrap(),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn an_open_input_is_fed_and_closed() {
    let talker = Talker { controls: Mutex::new(None) };
    let mut job = job(
        "python",
        "import sys\nassert input() == 'first'\nprint('name?', flush=True)\nprint('hello', input(), flush=True)\nsys.exit(len(sys.stdin.read()))\n",
    );
    job.interactive = true;
    job.tests[0].stdin = b"first\n".to_vec();
    let answer = judge().run(&job, &Cancel::new(), &talker).unwrap();
    assert_eq!(answer.verdict, Verdict::Ok, "{answer:?}");
    let controls = talker.controls.into_inner().unwrap().unwrap();
    assert_eq!(controls.write_stdin(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(controls.signal(15).unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(controls.signal(0).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_signal_reaches_the_program() {
    let talker = Talker { controls: Mutex::new(None) };
    let mut job = job(
        "python",
        "import signal, sys, time\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))\nprint('signal?', flush=True)\ntime.sleep(60)\nsys.exit(1)\n",
    );
    job.interactive = true;
    job.run.limits.wall = Some(Duration::from_secs(30));
    assert_eq!(judge().run(&job, &Cancel::new(), &talker).unwrap().verdict, Verdict::Ok);
}

#[test]
fn an_open_input_that_nobody_feeds_ends_with_the_wall_clock() {
    let mut job = job("python", "input()");
    job.interactive = true;
    job.run.limits.wall = Some(Duration::from_secs(1));
    assert_eq!(judge().run(&job, &Cancel::new(), &enclos_judge::api::NoObserver).unwrap().verdict, Verdict::Idleness);
}
