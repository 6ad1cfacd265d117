//! A plan with every kind of operation in it.

use enclos_spec::plan::{Capabilities, Join, Landlock, Rlimit, ScratchPlace};

use super::*;

fn everything() -> Plan {
    let from = |path: &str| Source::Path(path.into());
    let bind = |src: Source, dst: &str, access, optional, idmap| Op::Bind { src, dst: dst.into(), access, optional, idmap };
    Plan {
        namespaces: Namespaces { user: true, pid: true, net: true, ipc: true, uts: true, cgroup: true, ..Namespaces::default() },
        identity: Identity {
            uid: Some(1000),
            gid: Some(1000),
            uid_map: vec![IdRange { inside: 0, outside: 200_000, count: 65_536 }, IdRange { inside: 70_000, outside: 0, count: 1 }],
            gid_map: vec![IdRange { inside: 0, outside: 200_000, count: 65_536 }],
            setup: Some((0, 0)),
            clear_groups: true,
            ..Identity::default()
        },
        ops: vec![
            bind(from("/usr"), "/usr", Access::ReadOnly, false, false),
            bind(from("/srv/data"), "/data", Access::ReadWrite, true, true),
            bind(Source::Fd(7), "/dev/kvm", Access::Devices, false, false),
            Op::Overlay { lower: vec![from("/a"), from("/b")], upper: Upper::Discard, dst: "/a".into() },
            Op::Overlay { lower: vec![from("/a")], upper: Upper::Keep { upper: from("/up"), work: from("/work") }, dst: "/c".into() },
            Op::Overlay { lower: vec![from("/a"), from("/b")], upper: Upper::None, dst: "/d".into() },
            Op::Tmpfs { dst: "/run".into(), size: Some(64 << 20), inodes: None, mode: 0o755, parent_mode: 0o700 },
            Op::Scratch {
                size: Some(1 << 30),
                inodes: Some(262_144),
                places: vec![
                    ScratchPlace { dst: "/tmp".into(), mode: 0o1777, owned: false },
                    ScratchPlace { dst: "/home/enclos".into(), mode: 0o700, owned: true },
                ],
            },
            Op::Proc { dst: "/proc".into(), cover: ProcCover::Secrets },
            Op::Dev { dst: "/dev".into(), own_file_system: false, terminals: true, console: None },
            Op::Mqueue { dst: "/mq".into() },
            Op::Dir { dst: "/empty".into(), mode: 0o755, parent_mode: 0o755 },
            Op::File { dst: "/etc/hostname".into(), content: Content::Bytes(b"enclos\n".to_vec()), mode: 0o644, parent_mode: 0o755 },
            Op::BindData { dst: "/x".into(), content: Content::Fd(9), mode: 0o600, parent_mode: 0o755, read_only: true },
            Op::Symlink { target: "usr/bin".into(), dst: "/bin".into() },
            Op::Chmod { dst: "/empty".into(), mode: 0o500 },
            Op::RemountReadOnly { dst: "/".into() },
            Op::Hide { dst: "/srv/\x1b[2Jsecret".into() },
        ],
        hostname: Some("enclos".into()),
        capabilities: Some(Capabilities { keep: vec![], ambient: false, bound: true }),
        lock_securebits: true,
        seccomp: vec![FilterSource::Default, FilterSource::Program(vec![0; 24])],
        landlock: Some(Landlock { write: vec!["/tmp".into(), "/home/enclos".into()], exact: Vec::new(), deny_tcp: true }),
        rlimits: vec![Rlimit { resource: Resource::OpenFiles, value: 4096 }, Rlimit { resource: Resource::Core, value: 0 }],
        cpus: vec![0, 1],
        new_session: true,
        die_with_parent: true,
        hide_init: true,
        ..Plan::default()
    }
}

#[test]
fn a_plan_is_as_kept() {
    crate::expect::file("src/snapshots/plan.txt", &render(&everything(), Look::PLAIN));
}

#[test]
fn what_is_taken_away_is_told() {
    let plan = Plan {
        join: Join { user: Some(5), ..Join::default() },
        init: Init::None,
        linger: true,
        descriptors: Descriptors::KeepAllBut(vec![3]),
        block_fd: Some(8),
        lock_files: vec!["/lock".into()],
        ..Plan::default()
    };
    crate::expect::file("src/snapshots/plan-bare.txt", &render(&plan, Look::PLAIN));
}
