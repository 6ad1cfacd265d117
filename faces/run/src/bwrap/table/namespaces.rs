//! Which namespaces are made or joined, and who the command is in them.

use super::{FD, fd, text};
use crate::bwrap::flag::Flag;
use crate::bwrap::number;

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "--unshare-all",
        arguments: &[],
        since: "0.8",
        help: "Make every kind of namespace: user and cgroup where possible, ipc, pid, net, uts",
        more: "",
        apply: |parser, _, _| {
            let unshare = &mut parser.line.unshare;
            (unshare.user_try, unshare.cgroup_try) = (true, true);
            (unshare.ipc, unshare.pid, unshare.net, unshare.uts) = (true, true, true, true);
            Ok(())
        },
    },
    Flag {
        name: "--share-net",
        arguments: &[],
        since: "0.8",
        help: "Keep the caller's network after all: undoes an --unshare-all or --unshare-net before it",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.net = false;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-user",
        arguments: &[],
        since: "0.8",
        help: "Make a user namespace",
        more: "Implied for everyone but root, unless --userns says which one to use.",
        apply: |parser, _, _| {
            parser.line.unshare.user = true;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-user-try",
        arguments: &[],
        since: "0.8",
        help: "Make a user namespace where the kernel allows one",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.user_try = true;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-ipc",
        arguments: &[],
        since: "0.8",
        help: "Make an ipc namespace",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.ipc = true;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-pid",
        arguments: &[],
        since: "0.8",
        help: "Make a pid namespace",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.pid = true;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-net",
        arguments: &[],
        since: "0.8",
        help: "Make a network namespace, with nothing in it but lo",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.net = true;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-uts",
        arguments: &[],
        since: "0.8",
        help: "Make a uts namespace",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.uts = true;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-cgroup",
        arguments: &[],
        since: "0.8",
        help: "Make a cgroup namespace",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.cgroup = true;
            Ok(())
        },
    },
    Flag {
        name: "--unshare-cgroup-try",
        arguments: &[],
        since: "0.8",
        help: "Make a cgroup namespace where the kernel has them",
        more: "",
        apply: |parser, _, _| {
            parser.line.unshare.cgroup_try = true;
            Ok(())
        },
    },
    Flag {
        name: "--userns",
        arguments: &[FD],
        since: "0.8",
        help: "Use the user namespace FD refers to instead of making one",
        more: "It must be a descendant of the caller's.",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.userns = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--userns2",
        arguments: &[FD],
        since: "0.8",
        help: "Go into the user namespace FD refers to once the sandbox is set up",
        more: "It must be a descendant of the one used for the set-up.",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.userns2 = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--disable-userns",
        arguments: &[],
        since: "0.8",
        help: "Let nothing inside make further user namespaces (needs --unshare-user)",
        more: "",
        apply: |parser, _, _| {
            parser.line.disable_userns = true;
            Ok(())
        },
    },
    Flag {
        name: "--assert-userns-disabled",
        arguments: &[],
        since: "0.8",
        help: "Fail unless nothing inside can make further user namespaces",
        more: "",
        apply: |parser, _, _| {
            parser.line.assert_userns_disabled = true;
            Ok(())
        },
    },
    Flag {
        name: "--pidns",
        arguments: &[FD],
        since: "0.8",
        help: "Use the pid namespace FD refers to; as the parent of the new one with --unshare-pid",
        more: "",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.pidns = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--uid",
        arguments: &[text("UID")],
        since: "0.8",
        help: "User id inside (needs --unshare-user or --userns)",
        more: "",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            let id = number::id(&values[0]).ok_or_else(|| format!("Invalid uid: {}", values[0].display()))?;
            parser.line.uid = Some(id);
            Ok(())
        },
    },
    Flag {
        name: "--gid",
        arguments: &[text("GID")],
        since: "0.8",
        help: "Group id inside (needs --unshare-user or --userns)",
        more: "",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            let id = number::id(&values[0]).ok_or_else(|| format!("Invalid gid: {}", values[0].display()))?;
            parser.line.gid = Some(id);
            Ok(())
        },
    },
    Flag {
        name: "--hostname",
        arguments: &[text("NAME")],
        since: "0.8",
        help: "Host name inside (needs --unshare-uts)",
        more: "",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.hostname = Some(values[0].clone());
            Ok(())
        },
    },
];
