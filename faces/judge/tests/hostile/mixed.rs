//! Many jobs at once: every answer is the job's own, also beside hostile ones. Dossier row 47.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use enclos_judge::api::{Cancel, Job, JobError, Judge, NoObserver, SourceFile, Test, Verdict};

use crate::case::{Case, judge, tight};

fn honest(number: usize) -> Job {
    let (language, source) = match number % 3 {
        0 => ("python", format!("import sys\nprint('answer {number}', sys.stdin.read())\n")),
        1 => ("lua", format!("print('answer {number} ' .. io.read('a'))\n")),
        _ => ("perl", format!("local $/; my $in = <STDIN>; print \"answer {number} $in\\n\";\n")),
    };
    let tests = (0..2).map(|test| Test { stdin: format!("input {number}.{test}").into_bytes(), ..Test::default() }).collect();
    Job { language: language.to_owned(), sources: vec![SourceFile { name: None, contents: source.into_bytes() }], tests, ..Job::default() }
}

fn check(number: usize) {
    let answer = judge().run(&honest(number), &Cancel::new(), &NoObserver).unwrap();
    assert_eq!(answer.verdict, Verdict::Ok, "{number}: {answer:?}");
    for (index, test) in answer.tests.iter().enumerate() {
        let said = String::from_utf8_lossy(&test.step.as_ref().unwrap().stdout).into_owned();
        assert_eq!(said, format!("answer {number} input {number}.{index}\n"));
    }
}

/// Honest jobs from eight threads.
fn honest_from_eight(count: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    check(number);
                }
            });
        }
    });
}

#[test]
fn no_answer_is_mixed_with_another() {
    honest_from_eight(240);
}

#[test]
fn honest_jobs_are_judged_the_same_beside_hostile_ones() {
    let programs = [
        ("c", include_str!("programs/fork_bomb.c"), Verdict::RuntimeError),
        ("c", include_str!("programs/memory_bomb.c"), Verdict::OutOfMemory),
        ("c", include_str!("programs/flood.c"), Verdict::OutputLimit),
        ("c", include_str!("programs/inodes.c"), Verdict::DiskLimit),
        ("c", include_str!("programs/daemon.c"), Verdict::Ok),
        ("c", include_str!("programs/kill_all.c"), Verdict::Ok),
    ];
    std::thread::scope(|scope| {
        for round in 0..2 {
            for (language, source, verdict) in programs {
                scope.spawn(move || {
                    let mut job = Case::new(language, source).job;
                    job.run.limits = tight();
                    let answer = judge().run(&job, &Cancel::new(), &NoObserver).unwrap();
                    assert_eq!(answer.verdict, verdict, "round {round}: {:?}", answer.tests);
                });
            }
        }
        scope.spawn(|| honest_from_eight(60));
    });
}

#[test]
fn a_cancelled_job_ends_at_once_and_leaves_nothing() {
    let cancel = Cancel::new();
    let mut job = Case::new("python", "import time\nprint('up', flush=True)\ntime.sleep(1000)\n").job;
    job.run.limits.wall = Some(Duration::from_secs(100));
    job.tests = vec![Test::default(); 8];
    let later = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        later.cancel();
    });
    let started = Instant::now();
    assert_eq!(judge().run(&job, &cancel, &NoObserver), Err(JobError::Cancelled));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    check(7);
}
