//! A test runner for attempts. It speaks libtest's command line as far as cargo and nextest use it (`--list`, `--format terse`, `--exact`,
//! `--skip`, `--ignored`, `--test-threads`, name filters), and prints the table at the end.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test runner prints")]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use enclos_testkit::{Wall, Who};

use crate::{ATTEMPTS, Attempt, Control, Seen, Stage};

/// One attempt as somebody, or as a control.
struct Case {
    name: String,
    attempt: &'static Attempt,
    who: Who,
    wall: Wall,
}

/// What the command line asked for.
#[derive(Default)]
struct Options {
    list: bool,
    exact: bool,
    ignored: bool,
    threads: Option<usize>,
    filters: Vec<String>,
    skip: Vec<String>,
}

/// Runs the suite as the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("escape: {message}");
            return ExitCode::from(2);
        }
    };
    // Nothing here is ever ignored; nextest asks for the ignored ones separately.
    let chosen: Vec<Case> =
        if options.ignored { Vec::new() } else { cases().into_iter().filter(|case| options.chooses(&case.name)).collect() };
    if options.list {
        for case in &chosen {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    let seen = run_all(&chosen, options.threads);
    print_table(&chosen, &seen);
    let failed = seen.iter().filter(|seen| matches!(seen, Seen::Escaped(_))).count();
    println!("\ntest result: {}. {} passed; {failed} failed; 0 ignored", if failed == 0 { "ok" } else { "FAILED" }, chosen.len() - failed);
    ExitCode::from(u8::from(failed > 0) * 101)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let (flag, given) = argument.split_once('=').map_or((argument.as_str(), None), |(flag, value)| (flag, Some(value.to_owned())));
        let mut value = || given.clone().or_else(|| arguments.next()).ok_or(format!("{flag} takes a value"));
        match flag {
            "--list" => options.list = true,
            "--exact" => options.exact = true,
            "--ignored" => options.ignored = true,
            "--include-ignored" | "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q" | "--test" => {}
            "--skip" => options.skip.push(value()?),
            "--test-threads" => options.threads = Some(value()?.parse().map_err(|_| "--test-threads takes a number".to_owned())?),
            "--format" | "--color" | "--logfile" | "-Z" => drop(value()?),
            _ if flag.starts_with('-') => return Err(format!("{flag} is not known; --list, --exact, --skip, --test-threads or a name")),
            _ => options.filters.push(argument),
        }
    }
    Ok(options)
}

impl Options {
    fn chooses(&self, name: &str) -> bool {
        let matches = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skip.iter().any(matches)
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for attempt in ATTEMPTS.iter().copied().flatten() {
        for who in Who::all_here() {
            cases.push(Case { name: format!("{}::{}", who.word(), attempt.name), attempt, who: *who, wall: Wall::Enclos });
        }
        let wall = match attempt.control {
            Control::Weak => Wall::Weak,
            Control::Open | Control::OpenAsUser => Wall::None,
            Control::Without(_) => continue,
        };
        let who = if matches!(attempt.control, Control::Open) { Who::Root } else { Who::User };
        cases.push(Case { name: format!("control::{}", attempt.name), attempt, who, wall });
    }
    cases
}

fn run_all(cases: &[Case], threads: Option<usize>) -> Vec<Seen> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into)).max(1);
    let next = AtomicUsize::new(0);
    let seen: Vec<Mutex<Option<Seen>>> = cases.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { break };
                    let result = case.run();
                    let word = match &result {
                        Seen::Held(_) => "ok",
                        Seen::Escaped(_) => "FAILED",
                        Seen::Cannot(_) => "ok (skipped)",
                    };
                    println!("test {} ... {word}", case.name);
                    if let Seen::Cannot(reason) = &result {
                        enclos_testkit::skip(&case.name, reason);
                    }
                    let _ = std::io::stdout().flush();
                    *seen[index].lock().expect("no thread panics while it holds this") = Some(result);
                }
            });
        }
    });
    let taken = |slot: Mutex<Option<Seen>>| slot.into_inner().ok().flatten().unwrap_or(Seen::Escaped("was not run".to_owned()));
    seen.into_iter().map(taken).collect()
}

impl Case {
    fn run(&self) -> Seen {
        if self.wall == Wall::None && self.who == Who::Root && !rustix::process::geteuid().is_root() {
            return Seen::Cannot("this control runs without a wall, as root, and we are not root".to_owned());
        }
        let stage = match Stage::new(self.who, self.wall) {
            Ok(stage) => stage,
            Err(reason) => return Seen::Cannot(reason),
        };
        if self.wall == Wall::Weak && stage.run(&[]).command(["/bin/true"]).output().code != Some(0) {
            return Seen::Cannot("this host lets no ordinary user make namespaces, so there is no weak wall".to_owned());
        }
        let tried = catch_unwind(AssertUnwindSafe(|| (self.attempt.attempt)(&stage)));
        let seen = tried.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
            Seen::Escaped(format!("the test panicked: {}", text.unwrap_or_default()))
        });
        if self.wall != Wall::Enclos {
            return match seen {
                Seen::Escaped(how) => Seen::Held(format!("noticed: {how}")),
                Seen::Held(how) => Seen::Escaped(format!("noticed nothing where there is no wall: {how}")),
                cannot @ Seen::Cannot(_) => cannot,
            };
        }
        match (seen, stage.settled()) {
            (Seen::Held(_), Err(left)) => Seen::Escaped(format!("left behind: {}", left.join("; "))),
            (seen, _) => seen,
        }
    }
}

/// Longest text of a column, in characters.
const WIDEST: usize = 90;

fn print_table(cases: &[Case], seen: &[Seen]) {
    let short = |text: &str| -> String {
        let line = text.lines().next().unwrap_or("");
        if line.chars().count() <= WIDEST { line.to_owned() } else { line.chars().take(WIDEST - 1).chain(['…']).collect() }
    };
    let name_width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
    let expected_width = cases.iter().map(|case| short(case.attempt.expected).chars().count()).max().unwrap_or(0);
    println!("\n{:name_width$} | {:expected_width$} | seen", "attempt", "expected");
    for (case, seen) in cases.iter().zip(seen) {
        let expected = if case.wall == Wall::Enclos { short(case.attempt.expected) } else { "the attempt succeeds".to_owned() };
        let text = match seen {
            Seen::Held(how) => short(how),
            Seen::Escaped(how) => format!("ESCAPED: {}", short(how)),
            Seen::Cannot(why) => format!("skipped: {}", short(why)),
        };
        println!("{:name_width$} | {expected:expected_width$} | {text}", case.name);
    }
    for (case, seen) in cases.iter().zip(seen) {
        if let Seen::Escaped(how) = seen {
            eprintln!("\n---- {} ({})\nexpected: {}\nseen: {how}", case.name, case.attempt.threat, case.attempt.expected);
        }
    }
}
