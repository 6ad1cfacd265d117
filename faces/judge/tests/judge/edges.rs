//! The smallest limits a job may ask for: whatever they are, a program gets a verdict and Enclos does not fail.

use std::time::Duration;

use enclos_judge::api::{Cancel, Judge, Limits, NoObserver, Verdict};

use crate::support::{job, judge};

#[test]
fn limits_at_which_nothing_can_run_still_give_a_verdict() {
    let edges: [(&str, Limits); 14] = [
        ("memory", Limits { memory: Some(1 << 20), ..Limits::default() }),
        ("memory 2", Limits { memory: Some(2 << 20), ..Limits::default() }),
        ("address space", Limits { address_space: Some(1), ..Limits::default() }),
        ("stack", Limits { stack: Some(0), ..Limits::default() }),
        ("stack 1", Limits { stack: Some(4096), ..Limits::default() }),
        ("file size", Limits { file_size: Some(0), ..Limits::default() }),
        ("file size 1", Limits { file_size: Some(1), ..Limits::default() }),
        ("processes", Limits { processes: Some(1), ..Limits::default() }),
        ("disk", Limits { disk: Some(1 << 20), ..Limits::default() }),
        ("inodes", Limits { inodes: Some(16), ..Limits::default() }),
        ("output", Limits { output: Some(0), ..Limits::default() }),
        ("open files", Limits { open_files: Some(4), ..Limits::default() }),
        ("cpu", Limits { cpu: Some(Duration::from_micros(1)), ..Limits::default() }),
        ("wall", Limits { wall: Some(Duration::from_micros(1)), ..Limits::default() }),
    ];
    let mut failed = Vec::new();
    for (language, source) in [("python", "print('ran')"), ("c", "#include <stdio.h>\nint main(void) { puts(\"ran\"); return 0; }\n")] {
        for (name, limits) in &edges {
            let mut job = job(language, source);
            job.run.limits = limits.clone();
            match judge().run(&job, &Cancel::new(), &NoObserver) {
                Ok(answer) if answer.verdict != Verdict::InternalError => {}
                other => failed.push(format!("{language} with the least {name}: {other:?}")),
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_least_of_all_limits_for_a_compiler() {
    for limits in [
        Limits { memory: Some(1 << 20), ..Limits::default() },
        Limits { file_size: Some(0), ..Limits::default() },
        Limits { processes: Some(1), ..Limits::default() },
        Limits { disk: Some(1 << 20), ..Limits::default() },
        Limits { output: Some(0), ..Limits::default() },
    ] {
        let mut job = job("c", "int main(void) { return 0; }\n");
        job.compile.limits = limits.clone();
        judge().run(&job, &Cancel::new(), &NoObserver).unwrap_or_else(|error| panic!("{limits:?}: {error}"));
    }
}
