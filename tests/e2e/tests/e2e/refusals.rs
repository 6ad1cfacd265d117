//! Bad input: status 125, one line that names it, nothing run, nothing left.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use enclos_testkit::{Run, World};
use enclos_tests_e2e::{assert_refused, both};

/// Wrong words before the command, and what the message must name.
const WRONG: &[(&[&str], &str)] = &[
    (&["--memory", "lots"], "lots"),
    (&["--memory", "-1"], "-1"),
    (&["--memory", "64Q"], "64Q"),
    (&["--memory", "99999999999999999999"], "99999999999999999999"),
    (&["--memory"], "--memory"),
    (&["--disk", "1..5G"], "1..5G"),
    (&["--output", "ten"], "ten"),
    (&["--file-size", "1X"], "1X"),
    (&["--stack", ""], "--stack"),
    (&["--wall", "1 day"], "1 day"),
    (&["--wall", "-2s"], "-2s"),
    (&["--idle", "soon"], "soon"),
    (&["--cpu", "2parsecs"], "2parsecs"),
    (&["--processes", "many"], "many"),
    (&["--processes", "0"], "processes"),
    (&["--inodes", "-5"], "-5"),
    (&["--open-files", "1e3"], "1e3"),
    (&["--cpu-quota", "half"], "half"),
    (&["--cpu-quota", "0.001"], "0.001"),
    (&["--cpu-shares", "many"], "many"),
    (&["--cpu-shares", "1"], "cpu-shares"),
    (&["--cpus", "x"], "cpus"),
    (&["--cpus", "1-0"], "1-0"),
    (&["--cpus", "9999"], "9999"),
    (&["--cpus", "1023"], "1023"),
    (&["--net", "internet"], "internet"),
    (&["--landlock", "maybe"], "maybe"),
    (&["--seccomp", "strict"], "strict"),
    (&["--seccomp", "/no/such/filter"], "/no/such/filter"),
    (&["--seccomp", "/dev/null"], "/dev/null"),
    (&["--seccomp", "/etc/passwd"], "/etc/passwd"),
    (&["--ids", "theirs"], "theirs"),
    (&["--uid", "-1"], "-1"),
    (&["--uid", "root"], "root"),
    (&["--uid", "4294967295"], "4294967295"),
    (&["--gid", "99999999999"], "99999999999"),
    (&["--hostname", "a-name-that-is-much-longer-than-the-sixty-four-bytes-that-linux-has-for-it"], "hostname"),
    (&["--hostname", ""], "hostname"),
    (&["--env", "NOVALUE"], "NOVALUE"),
    (&["--env", "=x"], "=x"),
    (&["--ro", "/no/such/path"], "/no/such/path"),
    (&["--rw", "/no/such/path"], "/no/such/path"),
    (&["--root", "/no/such/path"], "/no/such/path"),
    (&["--root", "/etc/passwd"], "/etc/passwd"),
    (&["--bind", "/etc"], "/etc"),
    (&["--bind", "relative:/x"], "relative"),
    (&["--bind", "/no/such/path:/x"], "/no/such/path"),
    (&["--bind", "/usr:x"], "/usr:x"),
    (&["--tmpfs", "/"], "tmpfs"),
    (&["--overlay", "relative"], "relative"),
    (&["--overlay", "/no/such/path"], "/no/such/path"),
    (&["--overlay", "/usr:/etc/passwd/layer"], "/etc/passwd/layer"),
    (&["--overlay", "/etc/passwd"], "/etc/passwd"),
    (&["--workdir", "relative"], "relative"),
    (&["--dev", "/dev/no-such-device"], "/dev/no-such-device"),
    (&["--dev", "/etc/passwd"], "/etc/passwd"),
    (&["--stdin", "/no/such/file"], "/no/such/file"),
    (&["--stdout", "/no/such/dir/file"], "/no/such/dir/file"),
    (&["--stderr", "/no/such/dir/file"], "/no/such/dir/file"),
    (&["--policy", "/no/such/file"], "/no/such/file"),
    (&["--memroy", "64M"], "memroy"),
    (&["--no-such-flag"], "no-such-flag"),
    (&["-Z"], "-Z"),
];

fn refused(world: &World, arguments: Vec<OsString>, part: &str) {
    let marker = world.text("out/ran");
    let mut words: Vec<OsString> = vec!["run".into()];
    words.extend(arguments);
    words.extend(["--".into(), "/bin/echo".into(), "ran".into()]);
    assert_refused(&Run::tool(world, words).output(), part);
    assert!(!std::path::Path::new(&marker).exists());
}

both! {
    fn wrong_words_are_named_in_one_line(world) {
        let mut wrong = Vec::new();
        for (words, part) in WRONG {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            let attempt = std::panic::AssertUnwindSafe(|| refused(world, words.clone(), part));
            if let Err(panic) = std::panic::catch_unwind(attempt) {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                wrong.push(format!("{words:?}: {text}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), WRONG.len(), wrong.join("\n\n"));
    }

    fn the_nearest_flag_is_named(world) {
        let outcome = Run::tool(world, ["run", "--memroy", "64M", "--", "true"]).output();
        assert_refused(&outcome, "--memory");
    }

    fn no_command_is_said(world) {
        for words in [vec!["run"], vec!["run", "--"], vec!["run", "--net", "none"]] {
            let outcome = Run::tool(world, words).output();
            assert_refused(&outcome, "command");
        }
    }

    fn an_empty_command_is_said(world) {
        let outcome = Run::tool(world, ["run", "--", ""]).output();
        assert!(matches!(outcome.code, Some(125 | 127)), "{}", outcome.describe());
        assert_eq!(outcome.err().trim().lines().count(), 1, "{}", outcome.describe());
    }

    fn an_unknown_subcommand_is_said(world) {
        assert_refused(&Run::tool(world, ["rnu", "--", "true"]).output(), "rnu");
    }

    fn odd_bytes_are_values_like_others(world) {
        let name = OsString::from_vec(b"/no/such/\xff\xfe".to_vec());
        refused(world, vec!["--ro".into(), name.clone()], "/no/such/");
        refused(world, vec!["--memory".into(), OsString::from_vec(b"\xff".to_vec())], "memory");
        refused(world, vec!["--hostname".into(), OsString::from_vec(b"\xff".to_vec())], "hostname");
        let odd = world.path("out").join(OsString::from_vec(b"odd\xff name".to_vec()));
        std::fs::create_dir(&odd).expect("our own directory");
        let mut words: Vec<OsString> = vec!["run".into(), "--ro".into(), odd.clone().into(), "--".into(), "/usr/bin/test".into(), "-d".into()];
        words.push(odd.into());
        let outcome = Run::tool(world, words).output();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    }

    fn long_values_are_refused_or_work(world) {
        let long = "x".repeat(100_000);
        let outcome = Run::tool(world, ["run", "--env", &format!("A={long}"), "--", "/bin/sh", "-c", "echo ${#A}"]).output();
        assert_eq!(outcome.out().trim(), "100000", "{}", outcome.describe());
        refused(world, vec!["--ro".into(), format!("/{long}").into()], "/xxxx");
    }

    fn help_and_version_are_no_errors(world) {
        for words in [vec!["--help"], vec!["run", "--help"], vec!["--version"], vec!["doctor", "--help"]] {
            let outcome = Run::tool(world, words).output();
            assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
            assert!(!outcome.stdout.is_empty() && outcome.stderr.is_empty(), "{}", outcome.describe());
        }
    }
}
