//! Files: too large, too many, and in the place of others. Dossier rows 15 to 17 and section 7.4.

use std::time::{Duration, Instant};

use enclos_judge::api::{JobError, Judge, NoObserver, Verdict};

use crate::case::{Canary, Case, judge};

#[test]
fn a_sparse_file_of_a_terabyte() {
    let ended = Case::new("c", include_str!("programs/sparse.c")).run().ends_as(&[Verdict::RuntimeError, Verdict::DiskLimit]);
    assert_eq!(ended.step().exit_code, Some(3));
}

#[test]
fn fallocate_of_100_gigabytes() {
    let ended = Case::new("c", include_str!("programs/sparse.c")).arguments(&["x"]).run();
    assert_eq!(ended.ends_as(&[Verdict::RuntimeError, Verdict::DiskLimit]).step().exit_code, Some(3));
}

#[test]
fn a_full_disk_python() {
    Case::new("python", include_str!("programs/disk_full.py")).run().is(Verdict::DiskLimit).by("disk").prints("ENOSPC\n");
}

#[test]
fn a_million_files() {
    let started = Instant::now();
    let ended = Case::new("c", include_str!("programs/inodes.c")).run().is(Verdict::DiskLimit).by("inodes");
    let made: u64 = ended.said().trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((950..1050).contains(&made), "{}", ended.said());
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn hard_links() {
    let ended = Case::new("c", include_str!("programs/inodes.c")).arguments(&["x"]).run();
    ended.ends_as(&[Verdict::DiskLimit, Verdict::RuntimeError, Verdict::Ok]);
}

#[test]
fn three_thousand_directories_in_each_other() {
    let started = Instant::now();
    Case::new("python", include_str!("programs/deep.py")).limits(|l| l.inodes = Some(5000)).run().is(Verdict::Ok);
    assert!(started.elapsed() < Duration::from_secs(15));
}

/// What is put in the place of a result, as a shell script. `CANARY` stands for a file of the host.
const IMPOSTORS: [(&str, &str); 12] = [
    ("a link to a file of the host", "ln -s CANARY NAME"),
    ("a dangling link", "ln -s /box/nowhere NAME"),
    ("a link to itself", "ln -s NAME NAME"),
    ("a link to /proc", "ln -s /proc/self/environ NAME"),
    ("a link to a device", "ln -s /dev/zero NAME"),
    ("a directory", "mkdir NAME"),
    ("a fifo", "mkfifo NAME"),
    ("a file with two names", "echo x > NAME; ln NAME other"),
    ("a file that is not there", "true"),
    ("a file nobody may read", "mkdir NAME; chmod 0 NAME"),
    ("a socket", "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"NAME\")'"),
    ("odd names beside", "touch $(printf '\\377\\376') $(head -c 255 /dev/zero | tr '\\0' x); ln -s CANARY NAME"),
];

#[test]
fn impostors_of_what_a_compiler_makes() {
    for (what, script) in IMPOSTORS {
        let canary = Canary::new();
        let script = script.replace("CANARY", &canary.path()).replace("NAME", "compiled");
        let ended = Case::new("script", &script).run();
        assert_eq!(ended.answer.verdict, Verdict::CompileError, "{what}: {}", ended.described());
        let said = String::from_utf8_lossy(&ended.answer.compile.as_ref().unwrap().stderr).into_owned();
        assert!(said.ends_with("Cannot find result binary.\n"), "{what}: {said}");
        assert!(!ended.described().contains(&canary.path()) && !ended.described().contains("secret"), "{what}");
        canary.intact();
    }
}

#[test]
fn impostors_of_files_that_are_given_back() {
    for (what, script) in IMPOSTORS {
        let canary = Canary::new();
        let script = script.replace("CANARY", &canary.path()).replace("NAME", "result");
        let mut case = Case::new("python", &format!("import subprocess\nsubprocess.run(['/bin/sh', '-c', {script:?}])\n"));
        case.job.tests[0].files_out = vec!["result".to_owned()];
        let ended = case.run().is(Verdict::Ok);
        let file = &ended.step().files[0];
        assert!(file.contents.is_err(), "{what}: {file:?}");
        canary.intact();
    }
}

#[test]
fn a_file_below_a_link_is_not_given_back() {
    let canary = Canary::new();
    let directory = std::path::Path::new(&canary.path()).parent().unwrap().to_str().unwrap().to_owned();
    let mut case = Case::new("python", &format!("import os\nos.symlink({directory:?}, 'd')\nos.symlink('/', 'root')\n"));
    case.job.tests[0].files_out = vec!["d/canary".to_owned(), "root/etc/passwd".to_owned()];
    let ended = case.run().is(Verdict::Ok);
    assert!(ended.step().files.iter().all(|file| file.contents.is_err()), "{:?}", ended.step().files);
    canary.intact();
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../../etc/shadow", "a/../../etc/shadow", "/etc/shadow", "", "a//b"] {
        let mut case = Case::new("python", "");
        case.job.tests[0].files_out = vec![name.to_owned()];
        let error = judge().run(&case.job, &enclos_judge::api::Cancel::new(), &NoObserver).unwrap_err();
        assert!(matches!(error, JobError::Refused { ref field, .. } if field == "tests[0].files_out[0]"), "{name}: {error}");
    }
}

/// While its parent ends, a process in the background goes on swapping the result for a link to a file of the host.
const SWAP: &str = "import os, sys\nif os.fork():\n    import time\n    time.sleep(0.05)\n    os._exit(0)\nos.setsid()\nwhile True:\n    try:\n        os.symlink(sys.argv[1], 'x')\n        os.rename('x', 'result')\n        open('y', 'w').close()\n        os.rename('y', 'result')\n    except OSError:\n        pass\n";

#[test]
fn a_race_for_the_result() {
    let canary = Canary::new();
    for _ in 0..10 {
        let mut case = Case::new("python", SWAP).arguments(&[&canary.path()]);
        case.job.tests[0].files_out = vec!["result".to_owned()];
        let ended = case.run().is(Verdict::Ok);
        if let Ok(bytes) = &ended.step().files[0].contents {
            assert!(bytes.is_empty(), "{bytes:?}");
        }
    }
    canary.intact();
}

#[test]
fn a_compiler_may_leave_something_that_cannot_be_executed() {
    let ended = Case::new("script", "echo 'no program' > compiled").run();
    ended.ends_as(&[Verdict::RuntimeError, Verdict::Ok]);
    let ended = Case::new("script", "printf '\\177ELF garbage' > compiled").run().is(Verdict::RuntimeError);
    assert_eq!(ended.step().exit_code, Some(127));
}

#[test]
fn files_that_do_not_fit_are_told() {
    let mut case = Case::new("python", "print('ran')");
    case.job.tests[0].files_in = vec![enclos_judge::api::SourceFile { name: Some("big".to_owned()), contents: vec![0; 32 << 20] }];
    case.run().is(Verdict::DiskLimit);
}
