use super::*;
use crate::bwrap::command_line::FileOp;
use crate::bwrap::parse::{Wanted, parse};
use enclos_spec::plan::{Access, Op, Source, Upper};

const FULL: u64 = (1 << 41) - 1;

fn root() -> Caller {
    Caller {
        capabilities: FULL,
        last_capability: 40,
        directory: Some("/here".into()),
        environment: vec![("HOME".into(), "/root".into()), ("PATH".into(), "/bin".into()), ("PWD".into(), "/here".into())],
        user_namespaces: true,
        cgroup_namespaces: true,
        ..Caller::default()
    }
}

fn user() -> Caller {
    Caller { uid: 1000, gid: 1001, capabilities: 0, ..root() }
}

fn line(words: &str) -> CommandLine {
    let words: Vec<OsString> = words.split_whitespace().map(Into::into).collect();
    match parse(&words, &mut |_| Ok(Vec::new())).wanted {
        Some(Wanted::Run(line)) => *line,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn launch(words: &str, caller: &Caller) -> Launch {
    plan(&line(words), caller).unwrap()
}

fn refusal(words: &str, caller: &Caller) -> String {
    plan(&line(words), caller).unwrap_err()
}

#[test]
fn root_gets_no_user_namespace_unasked_and_a_user_does() {
    assert!(!launch("true", &root()).plan.namespaces.user);
    assert!(launch("true", &user()).plan.namespaces.user);
    assert!(launch("--unshare-user true", &root()).plan.namespaces.user);
    assert!(launch("--unshare-user-try true", &root()).plan.namespaces.user);
    assert!(!launch("--unshare-all true", &Caller { user_namespaces: false, ..root() }).plan.namespaces.user);
    assert!(!launch("--userns 5 true", &user()).plan.namespaces.user);
}

#[test]
fn ids_map_to_the_callers() {
    let plan = launch("--uid 7 true", &user()).plan;
    assert_eq!(plan.identity.uid_map, [IdRange { inside: 7, outside: 1000, count: 1 }]);
    assert_eq!(plan.identity.gid_map, [IdRange { inside: 1001, outside: 1001, count: 1 }]);
    assert_eq!(plan.identity.nested, None);
    assert!(launch("true", &root()).plan.identity.uid_map.is_empty());
}

#[test]
fn terminals_and_disabling_need_a_second_user_namespace() {
    let plan = launch("--dev /dev true", &user()).plan;
    assert_eq!(plan.identity.uid_map, [IdRange { inside: 0, outside: 1000, count: 1 }]);
    assert_eq!(plan.identity.nested, Some((1000, 1001)));
    assert_eq!(launch("--unshare-user --uid 0 --gid 0 --dev /dev true", &user()).plan.identity.nested, None);
    assert_eq!(launch("--dev /dev true", &root()).plan.identity, Identity::default());
    let plan = launch("--unshare-user --disable-userns --uid 5 true", &user()).plan;
    assert_eq!(plan.identity.uid_map, [IdRange { inside: 5, outside: 1000, count: 1 }]);
    assert_eq!(plan.identity.nested, Some((5, 1001)));
    assert!(plan.namespaces.disable_nested_user);
}

#[test]
fn somebody_else_maps_with_userns_block_fd() {
    let plan = launch("--unshare-user --userns-block-fd 3 --info-fd 4 --uid 5 true", &root()).plan;
    assert!(plan.namespaces.user);
    assert_eq!(plan.identity, Identity::default());
    assert_eq!(plan.userns_block_fd, Some(3));
}

#[test]
fn capabilities_of_root_and_user() {
    assert_eq!(launch("true", &root()).plan.capabilities, None);
    let caps = |words: &str, caller: &Caller| launch(words, caller).plan.capabilities.unwrap();
    assert_eq!(caps("true", &user()), Capabilities { keep: vec![], ambient: true, bound: true });
    assert_eq!(caps("--cap-add CAP_KILL true", &user()), Capabilities { keep: vec![5], ambient: true, bound: true });
    let dropped = caps("--cap-drop CAP_KILL true", &root());
    assert!(!dropped.keep.contains(&5) && dropped.keep.len() == 40 && dropped.ambient && !dropped.bound);
    let kept = caps("--unshare-user true", &root());
    assert!(kept.keep.len() == 41 && !kept.ambient && kept.bound);
    let lacking = Caller { capabilities: FULL & !(1 << 24), ..root() };
    assert!(!caps("--cap-add ALL true", &lacking).keep.contains(&24), "what root lacks cannot be had");
    assert!(caps("--unshare-user --cap-add ALL true", &lacking).keep.contains(&24));
}

#[test]
fn contradictions_are_refused_in_bubblewraps_words_and_order() {
    for (words, wanted) in [
        ("--userns-block-fd 0 true", "--userns-block-fd requires --unshare-user"),
        ("--userns-block-fd 0 --unshare-user true", "--userns-block-fd requires --info-fd"),
        ("--userns 0 --unshare-user true", "--userns not compatible --unshare-user"),
        ("--userns 0 --unshare-all true", "--userns not compatible --unshare-user-try"),
        ("--disable-userns true", "--disable-userns requires --unshare-user"),
        ("--unshare-user-try --disable-userns true", "--disable-userns requires --unshare-user"),
        ("--uid 5 --gid 5 --hostname x true", "Specifying --uid requires --unshare-user or --userns"),
        ("--gid 5 --hostname x true", "Specifying --gid requires --unshare-user or --userns"),
        ("--hostname x --as-pid-1 true", "Specifying --hostname requires --unshare-uts"),
        ("--as-pid-1 --lock-file a true", "Specifying --as-pid-1 requires --unshare-pid"),
        ("--as-pid-1 --unshare-pid --lock-file a true", "Specifying --as-pid-1 and --lock-file is not permitted"),
    ] {
        assert_eq!(refusal(words, &root()), wanted, "{words}");
    }
    assert!(launch("--uid 5 true", &user()).plan.namespaces.user, "implied for a user");
}

#[test]
fn parents_are_made_as_bubblewrap_makes_them() {
    let ops = launch("--bind / /p/x --perms 0750 --dir /q/r --perms 0700 --file 3 /s/t --tmpfs /u/v --symlink a /b true", &root()).plan.ops;
    assert_eq!(ops[0], Op::Dir { dst: "/p".into(), mode: 0o700, parent_mode: 0o700 });
    assert!(matches!(ops[1], Op::Bind { access: Access::ReadWrite, .. }));
    assert!(matches!(ops[2], Op::Dir { mode: 0o750, parent_mode: 0o750, .. }));
    assert!(matches!(ops[3], Op::File { mode: 0o700, parent_mode: 0o700, .. }));
    assert!(matches!(ops[4], Op::Tmpfs { mode: 0o755, parent_mode: 0o755, .. }));
    assert!(matches!(ops[5], Op::Symlink { .. }), "nothing to make above /b");
}

#[test]
fn origins_follow_the_operations() {
    let launch = launch("--dir /a --bind / /p/x --dir /b true", &root());
    let told: Vec<(usize, bool)> = launch.origins.iter().map(|origin| (origin.op, origin.parents)).collect();
    assert_eq!(told, [(0, false), (1, true), (1, false), (2, false)]);
    assert_eq!(launch.origins.len(), launch.plan.ops.len());
}

#[test]
fn a_missing_optional_source_leaves_nothing() {
    let caller = Caller { missing: vec!["/none".into()], ..root() };
    assert!(launch("--bind-try /none /p/x true", &caller).plan.ops.is_empty());
    assert_eq!(launch("--bind /none /p/x true", &caller).plan.ops.len(), 2, "only -try may be skipped");
}

#[test]
fn sources_count_from_the_callers_directory_and_destinations_from_the_new_root() {
    let ops = launch("--ro-bind a b true", &root()).plan.ops;
    assert_eq!(
        ops[0],
        Op::Bind { src: Source::Path("/here/a".into()), dst: "/b".into(), access: Access::ReadOnly, optional: false, idmap: false }
    );
}

#[test]
fn an_overlays_first_source_is_its_lowest() {
    let ops = launch("--overlay-src /low --overlay-src /high --ro-overlay /x true", &root()).plan.ops;
    let Op::Overlay { lower, upper, .. } = &ops[0] else { panic!("{ops:?}") };
    assert_eq!(*lower, [Source::Path("/high".into()), Source::Path("/low".into())]);
    assert_eq!(*upper, Upper::None);
}

#[test]
fn an_init_is_there_where_something_must_be_reaped_or_held() {
    for (words, wanted) in [
        ("true", Init::None),
        ("--unshare-pid true", Init::Reaper),
        ("--unshare-pid --as-pid-1 true", Init::None),
        ("--sync-fd 3 true", Init::Reaper),
        ("--lock-file /x true", Init::Reaper),
    ] {
        assert_eq!(launch(words, &root()).plan.init, wanted, "{words}");
    }
}

#[test]
fn descriptors_of_options_do_not_reach_the_command() {
    let plan = launch(
        "--sync-fd 9 --file 4 /a --bind-fd 5 /b --json-status-fd 3 --block-fd 7 --add-seccomp-fd 6 --add-seccomp-fd 8 true",
        &root(),
    )
    .plan;
    assert_eq!(plan.descriptors, Descriptors::KeepAllBut(vec![3, 4, 5, 6, 7, 8, 9]));
}

#[test]
fn the_environment_changes_in_order_and_pwd_follows_the_directory() {
    let set = launch("--setenv A 1 --clearenv --setenv B 2 --setenv PWD /no --setenv B 3 true", &root());
    assert_eq!(set.environment, [("B".into(), "3".into())]);
    assert_eq!(set.directory, Directory::First(vec!["/here".into()]), "HOME was cleared");
    let set = launch("--setenv HOME rel --unsetenv PATH true", &root());
    assert_eq!(set.directory, Directory::First(vec!["/here".into(), "/rel".into()]));
    assert_eq!(set.environment, [("HOME".into(), "rel".into())]);
    assert_eq!(launch("--chdir usr true", &root()).directory, Directory::Must("/usr".into()));
}

#[test]
fn the_command_may_have_another_name() {
    let launch = launch("--argv0 name sh -c true", &root());
    assert_eq!(launch.program, "sh");
    assert_eq!(launch.arguments, ["name", "-c", "true"]);
}

#[test]
fn a_sandbox_outlives_us_unless_it_is_told_not_to_or_is_limited() {
    assert!(launch("true", &root()).plan.linger);
    assert!(!launch("--die-with-parent true", &root()).plan.linger);
    assert!(!launch("--unshare-pid --enclos-limits memory=64M true", &root()).plan.linger);
    assert!(!launch("--enclos-report r true", &root()).plan.linger);
    assert!(launch("--enclos-limits open-files=64 true", &root()).plan.linger);
}

#[test]
fn nothing_is_added_that_was_not_asked_for() {
    let plan = launch("--unshare-all --ro-bind / / true", &root()).plan;
    assert!(plan.seccomp.is_empty() && plan.landlock.is_none() && plan.rlimits.is_empty() && plan.cpus.is_empty());
    assert!(!plan.hide_init && !plan.lock_securebits && !plan.new_session);
    assert_eq!(plan.ops.len(), 1);
}

#[test]
fn operations_keep_the_name_they_were_given_by() {
    let line = line("--ro-bind-try / /a --dev-bind / /b true");
    let flags: Vec<&str> = line.ops.iter().map(|FileOp { flag, .. }| *flag).collect();
    assert_eq!(flags, ["--ro-bind-try", "--dev-bind"]);
}

#[test]
fn a_procfs_is_new_where_its_pid_namespace_is() {
    assert!(matches!(launch("--unshare-pid --proc /proc true", &user()).plan.ops[..], [Op::Proc { .. }]));
    assert!(matches!(launch("--pidns 3 --proc /proc true", &root()).plan.ops[..], [Op::Proc { .. }]));
    let ops = launch("--proc /proc true", &user()).plan.ops;
    assert!(
        matches!(&ops[..], [Op::Bind { src: Source::Path(path), access: Access::ReadWrite, .. }] if path.as_path() == Path::new("/proc/"))
    );
    let ops = launch("--proc /p/q true", &root()).plan.ops;
    assert_eq!(ops.len(), 5, "the parent, the procfs and three covers");
    assert!(ops[2..].iter().all(|op| matches!(op, Op::Bind { access: Access::ReadOnly, optional: true, .. })));
}

#[test]
fn an_empty_source_is_nothing() {
    for words in ["--bind@@/x", "--overlay-src@@--tmp-overlay@/x"] {
        let words: Vec<OsString> = words.split('@').chain(["true"]).map(Into::into).collect();
        let Some(Wanted::Run(line)) = parse(&words, &mut |_| Ok(Vec::new())).wanted else { panic!() };
        assert_eq!(plan(&line, &root()).unwrap_err(), "Can't find source path : No such file or directory");
    }
}
