//! Lists and filters tests as libtest does, so that `cargo test` and nextest both work.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use enclos_testkit::Who;

use crate::case::{Case, Users};
use crate::judge::{Verdict, judge};

/// A topic and its cases.
pub type Topic = (&'static str, &'static [Case]);

/// A test beside the table's.
pub type Extra = (&'static str, fn() -> Result<(), String>);

enum Test {
    Case(&'static str, &'static Case, Who),
    Extra(fn() -> Result<(), String>),
}

struct Options {
    list: bool,
    ignored: bool,
    exact: bool,
    threads: usize,
    filters: Vec<String>,
    skip: Vec<String>,
}

fn options() -> Options {
    let mut options = Options { list: false, ignored: false, exact: false, threads: 2, filters: Vec::new(), skip: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => options.list = true,
            "--ignored" => options.ignored = true,
            "--exact" => options.exact = true,
            "--skip" => options.skip.extend(words.next()),
            "--test-threads" => options.threads = words.next().and_then(|n| n.parse().ok()).unwrap_or(options.threads),
            "--format" | "--color" | "--logfile" => drop(words.next()),
            word if word.starts_with("--") => {}
            filter => options.filters.push(filter.to_owned()),
        }
    }
    options
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        let hit = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(hit)) && !self.skip.iter().any(hit)
    }
}

fn users(case: &Case) -> Vec<Who> {
    let wanted: &[Who] = match case.users {
        Users::Both => &[Who::Root, Who::User],
        Users::Root => &[Who::Root],
        Users::Ordinary => &[Who::User],
    };
    wanted.to_vec()
}

/// Runs what the command line asks for.
#[must_use]
#[expect(clippy::print_stdout, reason = "this is the test runner")]
pub fn main(topics: &'static [Topic], extras: &'static [Extra]) -> ExitCode {
    let options = options();
    let mut tests: Vec<(String, Test)> = extras.iter().map(|(name, run)| ((*name).to_owned(), Test::Extra(*run))).collect();
    for (topic, cases) in topics {
        for case in *cases {
            tests.extend(
                users(case).into_iter().map(|who| (format!("{topic}::{}::{}", case.name, who.word()), Test::Case(topic, case, who))),
            );
        }
    }
    let names: BTreeSet<&String> = tests.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), tests.len(), "two cases have one name");
    if options.ignored {
        tests.clear();
    }
    tests.retain(|(name, _)| options.wants(name));
    if options.list {
        for (name, _) in &tests {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    run(&tests, options.threads)
}

#[expect(clippy::print_stdout, reason = "this is the test runner")]
fn run(tests: &[(String, Test)], threads: usize) -> ExitCode {
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((name, test)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match one(test) {
                        Verdict::Holds => println!("test {name} ... ok"),
                        Verdict::Skipped(reason) => println!("SKIP: {name}: {reason}\ntest {name} ... ok"),
                        Verdict::Fails(why) => {
                            println!("test {name} ... FAILED\n{why}");
                            failures.lock().expect("no thread panics while it holds the list").push(name.clone());
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("the threads have ended");
    for name in &failures {
        println!("failed: {name}");
    }
    println!("\ntest result: {} passed; {} failed", tests.len() - failures.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(test: &Test) -> Verdict {
    match test {
        Test::Extra(run) => run().map_or_else(Verdict::Fails, |()| Verdict::Holds),
        Test::Case(topic, case, who) if Who::all_here().contains(who) => judge(topic, case, *who),
        Test::Case(_, _, who) => Verdict::Skipped(format!("the tests do not run as {}", who.word())),
    }
}
