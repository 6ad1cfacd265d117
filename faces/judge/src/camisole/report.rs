//! The answer of `/run`: from an [`Answer`] to camisole's words.

use std::time::Duration;

use super::value::Value;
use crate::api::{Answer, StepReport, TestReport, Verdict};

/// Said on the compiler's standard error when it ended well and left nothing to run.
const NO_BINARY: &str = "Cannot find result binary.\n";

/// A signal's number and what `strsignal(3)` calls it.
const SIGNALS: [(i32, &str); 31] = [
    (1, "Hangup"),
    (2, "Interrupt"),
    (3, "Quit"),
    (4, "Illegal instruction"),
    (5, "Trace/breakpoint trap"),
    (6, "Aborted"),
    (7, "Bus error"),
    (8, "Floating point exception"),
    (9, "Killed"),
    (10, "User defined signal 1"),
    (11, "Segmentation fault"),
    (12, "User defined signal 2"),
    (13, "Broken pipe"),
    (14, "Alarm clock"),
    (15, "Terminated"),
    (16, "Stack fault"),
    (17, "Child exited"),
    (18, "Continued"),
    (19, "Stopped (signal)"),
    (20, "Stopped"),
    (21, "Stopped (tty input)"),
    (22, "Stopped (tty output)"),
    (23, "Urgent I/O condition"),
    (24, "CPU time limit exceeded"),
    (25, "File size limit exceeded"),
    (26, "Virtual timer expired"),
    (27, "Profiling timer expired"),
    (28, "Window changed"),
    (29, "I/O possible"),
    (30, "Power failure"),
    (31, "Bad system call"),
];

/// `SIGXFSZ`: how a program ends that writes more than it may.
const SIGXFSZ: i32 = 25;
/// `SIGSYS`: how a program ends that calls what the filter forbids.
const SIGSYS: i32 = 31;
/// `SIGKILL`: how a program ends that the kernel killed for memory.
const SIGKILL: i32 = 9;

/// The fields of an answer, `success` left out. An empty list of tests is no list.
#[must_use]
pub fn answer(answer: Answer) -> Vec<(&'static str, Value)> {
    let mut fields = Vec::new();
    if let Some(step) = answer.compile {
        let not_compiled = answer.verdict == Verdict::CompileError;
        fields.push(("compile", Value::map(compile(step, not_compiled))));
        if not_compiled {
            return fields;
        }
    }
    if !answer.tests.is_empty() {
        fields.push(("tests", Value::List(answer.tests.into_iter().map(test).collect())));
    }
    fields
}

fn compile(mut step: StepReport, not_compiled: bool) -> Vec<(&'static str, Value)> {
    if not_compiled && ended_well(&step) && !step.stderr.ends_with(NO_BINARY.as_bytes()) {
        if !step.stderr.is_empty() {
            step.stderr.extend(if step.stderr.ends_with(b"\n") { &b"\n"[..] } else { b"\n\n" });
        }
        step.stderr.extend(NO_BINARY.as_bytes());
    }
    report(step)
}

/// Whether the command itself did what it should, whatever is said about what it left.
fn ended_well(step: &StepReport) -> bool {
    step.exit_code == Some(0) && !step.killed
}

/// One test; one that was skipped is an empty mapping.
fn test(test: TestReport) -> Value {
    let Some(step) = test.step else { return Value::map::<&str>([]) };
    let mut fields = report(step);
    fields.push(("name", Value::Text(test.name)));
    Value::map(fields)
}

/// How isolate would have told of an end.
struct End {
    status: &'static str,
    exit_code: i32,
    signal: i32,
    killed: bool,
    message: Option<String>,
}

impl End {
    fn exited(code: i32) -> End {
        let message = (code != 0).then(|| format!("Exited with error status {code}"));
        End { status: if code == 0 { "OK" } else { "RUNTIME_ERROR" }, exit_code: code, signal: 0, killed: false, message }
    }

    fn signaled(signal: i32) -> End {
        let message = Some(format!("Caught fatal signal {signal}"));
        End { status: "SIGNALED", exit_code: 0, signal, killed: false, message }
    }

    fn out_of_time(message: &str) -> End {
        End { status: "TIMED_OUT", exit_code: 0, signal: 0, killed: true, message: Some(message.to_owned()) }
    }

    fn of(step: &StepReport) -> End {
        let by_itself = |otherwise: End| match (step.signal, step.exit_code) {
            (Some(signal), _) => End::signaled(signal),
            (None, Some(code)) if code != 0 => End::exited(code),
            _ => otherwise,
        };
        match step.verdict {
            Verdict::TimedOut => End::out_of_time("Time limit exceeded"),
            Verdict::Idleness => End::out_of_time("Time limit exceeded (wall clock)"),
            // A program whose child was killed may itself have ended well; the status says what happened all the same.
            Verdict::OutOfMemory if ended_well(step) => End { status: "OUT_OF_MEMORY", ..End::exited(0) },
            Verdict::OutOfMemory => End { status: "OUT_OF_MEMORY", ..by_itself(End::signaled(SIGKILL)) },
            Verdict::OutputLimit => End { killed: step.killed, ..End::signaled(SIGXFSZ) },
            Verdict::Security => End::signaled(step.signal.unwrap_or(SIGSYS)),
            Verdict::Signaled => End::signaled(step.signal.unwrap_or(SIGKILL)),
            Verdict::InternalError => End { status: "INTERNAL_ERROR", exit_code: 0, signal: 0, killed: step.killed, message: None },
            Verdict::RuntimeError | Verdict::DiskLimit => by_itself(End::exited(1)),
            // How a step ended, not what somebody thought of its output; and the compiler's own end, where that is what is told.
            _ => by_itself(End::exited(0)),
        }
    }
}

fn report(step: StepReport) -> Vec<(&'static str, Value)> {
    let end = End::of(&step);
    let failed = step.exit_code != Some(0) || !matches!(end.status, "OK" | "OUT_OF_MEMORY");
    let meta = meta(&step, end);
    vec![
        ("stdout", Value::Bytes(step.stdout)),
        ("stderr", Value::Bytes(step.stderr)),
        ("exitcode", Value::Int(failed.into())),
        ("meta", meta),
    ]
}

fn meta(step: &StepReport, end: End) -> Value {
    let kilobytes = |bytes: Option<u64>| Value::Int((bytes.unwrap_or(0) / 1024).into());
    let count = |number: Option<u64>| Value::Int(number.unwrap_or(0).into());
    let signal = (end.signal != 0).then(|| signal_text(end.signal));
    Value::map([
        ("status", Value::Text(end.status.to_owned())),
        ("exitcode", Value::Int(end.exit_code.into())),
        ("exitsig", Value::Int(end.signal.into())),
        ("exitsig-message", Value::text_or_null(signal)),
        ("killed", Value::Bool(end.killed)),
        ("message", Value::text_or_null(end.message)),
        ("time", seconds(step.cpu)),
        ("wall-time", seconds(step.wall)),
        ("cg-mem", kilobytes(step.memory)),
        ("cg-oom-killed", Value::Int((step.oom_kills > 0 || step.verdict == Verdict::OutOfMemory).into())),
        ("max-rss", kilobytes(step.max_rss)),
        ("csw-voluntary", count(step.switches_voluntary)),
        ("csw-forced", count(step.switches_forced)),
    ])
}

/// As isolate writes them: three decimals.
fn seconds(span: Duration) -> Value {
    Value::Float((span.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// What `strsignal(3)` of glibc says.
fn signal_text(number: i32) -> String {
    match SIGNALS.iter().find(|(known, _)| *known == number) {
        Some((_, text)) => (*text).to_owned(),
        None if (34..=64).contains(&number) => format!("Real-time signal {}", number - 34),
        None => format!("Unknown signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Format;
    use super::*;

    pub(super) fn step(verdict: Verdict, exit_code: Option<i32>, signal: Option<i32>, killed: bool) -> StepReport {
        StepReport {
            verdict,
            evidence: None,
            exit_code,
            signal,
            killed,
            stdout: b"out".to_vec(),
            stderr: Vec::new(),
            stdout_truncated: false,
            stderr_truncated: false,
            cpu: Duration::from_micros(16_400),
            wall: Duration::from_micros(20_600),
            memory: Some(5 << 20),
            max_rss: Some(4 << 20),
            oom_kills: 0,
            processes: Some(1),
            switches_voluntary: Some(3),
            switches_forced: None,
            disk: None,
            files: Vec::new(),
            weakened: Vec::new(),
        }
    }

    #[test]
    fn a_report_has_exactly_camisole_s_keys() {
        let value = Value::map(report(step(Verdict::Ok, Some(0), None, false)));
        let json = String::from_utf8(Format::Json.encode(&value).unwrap()).unwrap();
        let wanted = concat!(
            r#"{"exitcode": 0, "meta": {"cg-mem": 5120, "cg-oom-killed": 0, "csw-forced": 0, "csw-voluntary": 3, "exitcode": 0, "#,
            r#""exitsig": 0, "exitsig-message": null, "killed": false, "max-rss": 4096, "message": null, "status": "OK", "#,
            r#""time": 0.016, "wall-time": 0.021}, "stderr": "", "stdout": "out"}"#
        );
        assert_eq!(json, wanted);
    }

    #[test]
    fn every_verdict_has_camisole_s_status() {
        use Verdict::*;
        for (verdict, exit_code, signal, killed, status, own, code, sig, told) in [
            (Ok, Some(0), None, false, "OK", 0, 0, 0, None),
            (RuntimeError, Some(3), None, false, "RUNTIME_ERROR", 1, 3, 0, Some("Exited with error status 3")),
            (Signaled, None, Some(8), false, "SIGNALED", 1, 0, 8, Some("Caught fatal signal 8")),
            (TimedOut, None, Some(9), true, "TIMED_OUT", 1, 0, 0, Some("Time limit exceeded")),
            (TimedOut, Some(0), None, false, "TIMED_OUT", 1, 0, 0, Some("Time limit exceeded")),
            (Idleness, None, Some(9), true, "TIMED_OUT", 1, 0, 0, Some("Time limit exceeded (wall clock)")),
            (OutOfMemory, None, Some(9), true, "OUT_OF_MEMORY", 1, 0, 9, Some("Caught fatal signal 9")),
            (OutOfMemory, Some(1), None, false, "OUT_OF_MEMORY", 1, 1, 0, Some("Exited with error status 1")),
            (OutOfMemory, Some(0), None, false, "OUT_OF_MEMORY", 0, 0, 0, None),
            (OutputLimit, None, Some(9), true, "SIGNALED", 1, 0, 25, Some("Caught fatal signal 25")),
            (DiskLimit, Some(1), None, false, "RUNTIME_ERROR", 1, 1, 0, Some("Exited with error status 1")),
            (DiskLimit, None, Some(25), false, "SIGNALED", 1, 0, 25, Some("Caught fatal signal 25")),
            (Security, None, Some(31), true, "SIGNALED", 1, 0, 31, Some("Caught fatal signal 31")),
        ] {
            let fields = report(step(verdict, exit_code, signal, killed));
            let Value::Map(report) = Value::map(fields) else { unreachable!() };
            let Value::Map(meta) = &report["meta"] else { unreachable!() };
            let told = told.map_or(Value::Null, |told: &str| Value::Text(told.to_owned()));
            assert_eq!((&meta["status"], &meta["message"]), (&Value::Text(status.to_owned()), &told), "{verdict} {exit_code:?}");
            assert_eq!((&report["exitcode"], &meta["exitcode"]), (&Value::Int(own), &Value::Int(code)), "{verdict} {exit_code:?}");
            assert_eq!(meta["exitsig"], Value::Int(sig), "{verdict} {exit_code:?}");
        }
    }

    #[test]
    fn signals_are_named_as_glibc_names_them() {
        for (number, name) in [
            (8, "Floating point exception"),
            (11, "Segmentation fault"),
            (34, "Real-time signal 0"),
            (64, "Real-time signal 30"),
            (32, "Unknown signal 32"),
        ] {
            assert_eq!(signal_text(number), name);
        }
    }

    fn whole(verdict: Verdict, compile: Option<StepReport>, tests: Vec<TestReport>) -> Value {
        let whole = Answer { verdict, score: 0.0, points: 0.0, subtasks: Vec::new(), compile, compile_cached: false, tests };
        Value::map(answer(whole))
    }

    #[test]
    fn what_was_not_compiled_has_no_tests() {
        let failed = whole(Verdict::CompileError, Some(step(Verdict::RuntimeError, Some(1), None, false)), Vec::new());
        let Value::Map(fields) = &failed else { unreachable!() };
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["compile"]);
    }

    #[test]
    fn a_compiler_that_leaves_nothing_is_told_of() {
        for (stderr, told) in [("", NO_BINARY.to_owned()), ("hm", format!("hm\n\n{NO_BINARY}")), ("hm\n", format!("hm\n\n{NO_BINARY}"))] {
            let step = StepReport { stderr: stderr.into(), ..step(Verdict::Ok, Some(0), None, false) };
            let Value::Map(fields) = whole(Verdict::CompileError, Some(step), Vec::new()) else { unreachable!() };
            let Value::Map(report) = &fields["compile"] else { unreachable!() };
            assert_eq!((&report["stderr"], &report["exitcode"]), (&Value::Bytes(told.into()), &Value::Int(0)));
        }
    }

    #[test]
    fn skipped_tests_are_empty_and_keep_their_places() {
        let test = |step| TestReport {
            name: "test000".to_owned(),
            verdict: Verdict::Ok,
            score: 1.0,
            points: 1.0,
            subtask: None,
            step,
            check: None,
            runs: Vec::new(),
        };
        let Value::Map(fields) = whole(Verdict::Ok, None, vec![test(Some(step(Verdict::Ok, Some(0), None, false))), test(None)]) else {
            unreachable!()
        };
        let Value::List(tests) = &fields["tests"] else { unreachable!() };
        let Value::Map(first) = &tests[0] else { unreachable!() };
        assert_eq!((first["name"].clone(), &tests[1]), (Value::Text("test000".to_owned()), &Value::map::<&str>([])));
        assert_eq!(whole(Verdict::Ok, None, Vec::new()), Value::map::<&str>([]));
    }
}
