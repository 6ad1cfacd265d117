//! What the command may do, and when it ends.

use super::{CAP, FD, fd, text};
use crate::bwrap::capability;
use crate::bwrap::flag::Flag;

/// SELinux contexts are refused by name, in the words of a bubblewrap that runs without SELinux: we set none, so we promise none.
const NO_LABELS: &str = "labeling not supported on this system";

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "--seccomp",
        arguments: &[FD],
        since: "0.8",
        help: "Install the compiled filter that FD holds",
        more: "Classic BPF as seccomp_export_bpf(3) writes it. Given again, the last one holds.",
        apply: |parser, flag, values| {
            if !parser.line.add_seccomp.is_empty() {
                return Err(format!("{} cannot be combined with --add-seccomp-fd", flag.name));
            }
            parser.only_last(flag);
            parser.line.seccomp = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--add-seccomp-fd",
        arguments: &[FD],
        since: "0.8",
        help: "Install the compiled filter that FD holds, beside others",
        more: "Installed in the order given, so the kernel asks the last one first. All but the last must allow prctl(PR_SET_SECCOMP).",
        apply: |parser, flag, values| {
            if parser.line.seccomp.is_some() {
                return Err(format!("{} cannot be combined with --seccomp", flag.name));
            }
            parser.line.add_seccomp.push(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--exec-label",
        arguments: &[text("LABEL")],
        since: "0.8",
        help: "Refused: SELinux context of the command",
        more: "",
        apply: |_, _, _| Err(NO_LABELS.to_owned()),
    },
    Flag {
        name: "--file-label",
        arguments: &[text("LABEL")],
        since: "0.8",
        help: "Refused: SELinux context of the files made",
        more: "",
        apply: |_, _, _| Err(NO_LABELS.to_owned()),
    },
    Flag {
        name: "--new-session",
        arguments: &[],
        since: "0.8",
        help: "Give the command a session of its own, away from the caller's terminal",
        more: "Without it, or a filter that refuses the ioctl TIOCSTI, a command on a terminal can type into it (CVE-2017-5226).",
        apply: |parser, _, _| {
            parser.line.new_session = true;
            Ok(())
        },
    },
    Flag {
        name: "--die-with-parent",
        arguments: &[],
        since: "0.8",
        help: "Kill the sandbox when bwrap or its parent dies",
        more: "",
        apply: |parser, _, _| {
            parser.line.die_with_parent = true;
            Ok(())
        },
    },
    Flag {
        name: "--as-pid-1",
        arguments: &[],
        since: "0.8",
        help: "Make the command itself process 1 (needs --unshare-pid)",
        more: "",
        apply: |parser, _, _| {
            parser.line.as_pid_1 = true;
            Ok(())
        },
    },
    Flag {
        name: "--cap-add",
        arguments: &[CAP],
        since: "0.8",
        help: "Add a capability, or ALL",
        more: "--cap-add and --cap-drop are applied in the order given, to nothing for an ordinary user and to everything for root.",
        apply: |parser, _, values| {
            let change = capability::add(&values[0]).ok_or_else(|| format!("unknown cap: {}", values[0].display()))?;
            parser.line.capabilities.push(change);
            Ok(())
        },
    },
    Flag {
        name: "--cap-drop",
        arguments: &[CAP],
        since: "0.8",
        help: "Drop a capability, or ALL",
        more: "",
        apply: |parser, _, values| {
            let change = capability::drop(&values[0]).ok_or_else(|| format!("unknown cap: {}", values[0].display()))?;
            parser.line.capabilities.push(change);
            Ok(())
        },
    },
];
