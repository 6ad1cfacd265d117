use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::bwrap::command_line::{Change, From};
use crate::bwrap::table::flags;

fn words(text: &[&str]) -> Vec<OsString> {
    text.iter().map(Into::into).collect()
}

fn with_files(arguments: &[&str], files: &[(RawFd, &[u8])]) -> Parsed {
    let files: RefCell<BTreeMap<RawFd, Vec<u8>>> = RefCell::new(files.iter().map(|(fd, data)| (*fd, data.to_vec())).collect());
    // Reading closes a descriptor, so the second time fails.
    parse(&words(arguments), &mut |fd| files.borrow_mut().remove(&fd).ok_or_else(|| "Bad file descriptor".to_owned()))
}

fn run(arguments: &[&str]) -> CommandLine {
    match with_files(arguments, &[]) {
        Parsed { wanted: Some(Wanted::Run(line)), .. } => *line,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn error(arguments: &[&str]) -> String {
    let parsed = with_files(arguments, &[]);
    assert_eq!(parsed.wanted, None, "{arguments:?}");
    parsed.messages.last().unwrap().text.clone()
}

#[test]
fn the_command_begins_at_the_first_word_that_is_no_option() {
    assert_eq!(run(&["--unshare-pid", "ls", "--bogus"]).command, ["ls", "--bogus"]);
    assert_eq!(run(&["--", "--bogus"]).command, ["--bogus"]);
    assert_eq!(run(&["", "a"]).command, ["", "a"]);
    assert_eq!(with_files(&[], &[]).wanted, Some(Wanted::Usage));
    assert_eq!(with_files(&["--unshare-pid", "--"], &[]).wanted, Some(Wanted::Usage));
}

#[test]
fn help_and_version_end_parsing() {
    assert_eq!(with_files(&["--help", "--bogus"], &[]).wanted, Some(Wanted::Help));
    assert_eq!(with_files(&["--unshare-all", "--version", "--bogus"], &[]).wanted, Some(Wanted::Version));
    assert_eq!(error(&["--bogus", "--help"]), "Unknown option --bogus");
}

#[test]
fn options_are_not_abbreviated_or_joined() {
    for word in ["-", "-x", "--Help", "--unshare", "--uid=5", "--bind=/"] {
        assert_eq!(error(&[word, "true"]), format!("Unknown option {word}"));
    }
}

#[test]
fn each_flag_complains_when_an_argument_is_missing() {
    for flag in flags() {
        let needed = flag.arguments.len();
        for given in 0..needed {
            let mut arguments = vec![flag.name];
            arguments.extend(std::iter::repeat_n("a", given));
            assert_eq!(error(&arguments), flag.complaint());
        }
    }
    assert_eq!(error(&["--uid"]), "--uid takes an argument");
    assert_eq!(error(&["--chdir"]), "--chdir takes one argument");
    assert_eq!(error(&["--bind", "a"]), "--bind takes two arguments");
    assert_eq!(error(&["--overlay", "a", "b"]), "--overlay takes three arguments");
}

#[test]
fn modifiers_hold_for_the_next_operation_alone() {
    let line = run(&["--perms", "0700", "--tmpfs", "/a", "--tmpfs", "/b", "--size", "9", "--perms", "1", "--tmpfs", "/c", "true"]);
    let kinds: Vec<Kind> = line.ops.into_iter().map(|op| op.kind).collect();
    let tmpfs = |size, perms| Kind::Tmpfs { size, perms };
    assert_eq!(kinds, [tmpfs(None, Some(0o700)), tmpfs(None, None), tmpfs(Some(9), Some(1))]);
}

#[test]
fn a_modifier_needs_its_operation() {
    let perms = "--perms must be followed by an option that creates a file";
    for next in [&["--bind", "/", "/"][..], &["--chdir", "/"], &["--proc", "/p"], &["--symlink", "a", "b"], &["--unshare-pid"]] {
        assert_eq!(error(&[&["--perms", "700"][..], next, &["true"]].concat()), perms, "{next:?}");
    }
    assert_eq!(error(&["--size", "5", "--dir", "/x", "true"]), "--size must be followed by --tmpfs");
    assert_eq!(error(&["--size", "5", "--perms", "7", "--dir", "/x", "true"]), "--size must be followed by --tmpfs");
    assert_eq!(error(&["--overlay-src", "a", "--dir", "/x", "true"]), OVERLAY_SOURCE_ALONE);
    assert_eq!(error(&["--overlay-src", "a", "true"]), OVERLAY_SOURCE_ALONE);
    assert_eq!(error(&["--perms", "7", "--perms", "7"]), "--perms given twice for the same action");
    assert_eq!(error(&["--size", "7", "--size", "7"]), "--size given twice for the same action");
    // As the very last option it changes nothing, and bubblewrap lets it pass.
    assert!(run(&["--perms", "700", "true"]).ops.is_empty());
}

#[test]
fn overlays_take_their_sources() {
    let line = run(&["--overlay-src", "a", "--overlay-src", "b", "--overlay", "u", "w", "/d", "true"]);
    assert!(matches!(&line.ops[0].kind, Kind::Overlay { sources, .. } if sources.len() == 2));
    assert_eq!(error(&["--tmp-overlay", "/d", "true"]), "--tmp-overlay requires at least one --overlay-src");
    assert_eq!(error(&["--overlay", "u", "w", "/d", "true"]), "--overlay requires at least one --overlay-src");
    assert_eq!(error(&["--overlay-src", "a", "--ro-overlay", "/d", "true"]), "--ro-overlay requires at least two --overlay-src");
}

#[test]
fn arguments_come_from_descriptors_too() {
    let parsed = with_files(&["--args", "3", "--args", "4", "true"], &[(3, b"--dir\0/a\0"), (4, b"--dir\0/b")]);
    let Some(Wanted::Run(line)) = parsed.wanted else { panic!("{parsed:?}") };
    assert_eq!(line.ops.len(), 2);
    assert_eq!(line.argument_fds, [3, 4]);
}

#[test]
fn arguments_from_a_descriptor_hold_options_only() {
    let command = with_files(&["--args", "3", "outer"], &[(3, b"--dir\0/a\0--\0inner\0")]);
    let Some(Wanted::Run(line)) = command.wanted else { panic!("{command:?}") };
    assert_eq!(line.command, ["outer"]);
    let text = |files: &[(RawFd, &[u8])]| with_files(&["--args", "3", "true"], files).messages.last().unwrap().text.clone();
    assert_eq!(text(&[(3, b"--args\x004\0")]), "--args not supported in arguments file");
    assert_eq!(text(&[(3, b"--dir")]), "--dir takes an argument");
    assert_eq!(text(&[(3, b"--perms\x000700\0")]), "--perms must be followed by an option that creates a file");
    assert_eq!(text(&[]), "Can't read --args data: Bad file descriptor");
    for nothing in [&b""[..], b"\0"] {
        assert!(matches!(with_files(&["--args", "3", "true"], &[(3, nothing)]).wanted, Some(Wanted::Run(_))));
    }
    // A modifier before it reaches in.
    let reaches = with_files(&["--perms", "7", "--args", "3", "true"], &[(3, b"--dir\0/a\0")]);
    assert!(matches!(reaches.wanted, Some(Wanted::Run(line)) if line.ops[0].kind == Kind::Dir { perms: Some(7) }));
}

#[test]
fn there_are_at_most_9000_arguments() {
    let many = |n: usize| {
        let mut list = vec![OsString::from("--unshare-ipc"); n - 1];
        list.push("true".into());
        parse(&list, &mut |_| Ok(b"--unshare-ipc\0".repeat(10))).messages
    };
    assert!(many(9000).is_empty());
    assert_eq!(many(9001)[0].text, "Exceeded maximum number of arguments 9000");
    let mut list = words(&["--args", "3"]);
    list.resize(8990, "--unshare-ipc".into());
    assert!(parse(&list, &mut |_| Ok(b"--unshare-ipc\0".repeat(10))).messages.is_empty());
    assert!(!parse(&list, &mut |_| Ok(b"--unshare-ipc\0".repeat(11))).messages.is_empty());
}

#[test]
fn what_can_hold_once_warns() {
    let parsed = with_files(&["--chdir", "a", "--chdir", "b", "--level-prefix", "--uid", "1", "--uid", "2", "true"], &[]);
    let lines: Vec<String> = parsed.messages.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["bwrap: Only the last --chdir option will take effect", "<4>bwrap: Only the last --uid option will take effect"]);
    let Some(Wanted::Run(line)) = parsed.wanted else { panic!() };
    assert_eq!((line.chdir, line.uid), (Some("b".into()), Some(2)));
    assert_eq!(error(&["--argv0", "a", "--argv0", "b", "true"]), "--argv0 used multiple times");
}

#[test]
fn filters_are_given_one_way() {
    assert_eq!(error(&["--seccomp", "3", "--add-seccomp-fd", "4"]), "--add-seccomp-fd cannot be combined with --seccomp");
    assert_eq!(error(&["--add-seccomp-fd", "3", "--seccomp", "4"]), "--seccomp cannot be combined with --add-seccomp-fd");
    assert_eq!(run(&["--add-seccomp-fd", "3", "--add-seccomp-fd", "4", "true"]).add_seccomp, [3, 4]);
}

#[test]
fn values_are_checked_in_bubblewraps_words() {
    for (arguments, wanted) in [
        (&["--uid", "x"][..], "Invalid uid: x"),
        (&["--gid", "-1"], "Invalid gid: -1"),
        (&["--sync-fd", "3x"], "Invalid fd: 3x"),
        (&["--file", "x", "/a"], "Invalid fd: x"),
        (&["--perms", "9"], "--perms takes an octal argument <= 07777"),
        (&["--chmod", "9", "/"], "--chmod takes an octal argument <= 07777"),
        (&["--size", "0"], "--size takes a non-zero number of bytes"),
        (&["--size", "18446744073709551615"], "--size (for tmpfs) is limited to 9223372036854775807"),
        (&["--cap-add", "kill"], "unknown cap: kill"),
        (&["--setenv", "A=B", "c"], "setenv failed"),
        (&["--unsetenv", ""], "unsetenv failed"),
        (&["--exec-label", "x"], "labeling not supported on this system"),
    ] {
        assert_eq!(error(arguments), wanted);
    }
}

#[test]
fn user_4294967296_is_not_root() {
    assert_eq!(error(&["--uid", "4294967296"]), "Invalid uid: 4294967296");
}

#[test]
fn operations_and_changes_keep_their_order() {
    let line = run(&["--setenv", "A", "1", "--clearenv", "--unsetenv", "B", "--ro-bind", "/", "/", "--bind-fd", "7", "/a", "true"]);
    assert_eq!(line.environment, [Change::Set("A".into(), "1".into()), Change::Clear, Change::Unset("B".into())]);
    assert!(matches!(&line.ops[0].kind, Kind::Bind { read_only: true, devices: false, optional: false, .. }));
    assert!(matches!(&line.ops[1].kind, Kind::Bind { from: From::Fd(7), read_only: false, .. }));
}

#[test]
fn the_network_is_shared_by_the_last_word_on_it() {
    assert!(!run(&["--unshare-all", "--share-net", "true"]).unshare.net);
    assert!(run(&["--share-net", "--unshare-all", "true"]).unshare.net);
}

/// A word for a fuzzed argument vector: mostly flags and plausible values, sometimes anything.
fn word() -> impl Strategy<Value = OsString> {
    let names: Vec<&'static str> = flags().map(|flag| flag.name).collect();
    prop_oneof![
        6 => proptest::sample::select(names).prop_map(OsString::from),
        4 => proptest::sample::select(vec!["/", "/x", "0", "3", "7", "0700", "8192", "CAP_KILL", "ALL", "--", "", "-", "A", "memory=1M"])
            .prop_map(OsString::from),
        1 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_argument_vector_panics(list in proptest::collection::vec(word(), 0..40), file in proptest::collection::vec(any::<u8>(), 0..64)) {
        let parsed = parse(&list, &mut |fd| if fd == 3 { Ok(file.clone()) } else { Err("Bad file descriptor".to_owned()) });
        // Either something is wanted, or the last message says why not.
        prop_assert_eq!(parsed.wanted.is_none(), parsed.messages.last().is_some_and(|m| m.level == crate::bwrap::message::Level::Error));
        if let Some(Wanted::Run(line)) = parsed.wanted {
            prop_assert!(!line.command.is_empty());
            let caller = crate::bwrap::plan::Caller { last_capability: 40, ..Default::default() };
            if let Ok(launch) = crate::bwrap::plan::plan(&line, &caller) {
                prop_assert_eq!(launch.origins.len(), launch.plan.ops.len());
            }
        }
    }

    #[test]
    fn no_argument_file_panics(file in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&words(&["--args", "3", "true"]), &mut |_| Ok(file.clone()));
    }
}
