//! The command's directory and environment; locks and descriptors that live as long as the sandbox; reports to whoever watches.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{FD, fd, path, text};
use crate::bwrap::command_line::Change;
use crate::bwrap::flag::Flag;

/// Whether the C library would take this as the name of a variable: `setenv(3)`.
fn is_name(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_bytes().contains(&b'=')
}

pub(super) const ENVIRONMENT: &[Flag] = &[
    Flag {
        name: "--chdir",
        arguments: &[text("DIR")],
        since: "0.8",
        help: "Start the command in DIR",
        more: "Without it: the caller's directory where the sandbox has it, else $HOME, else /.",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.chdir = Some(values[0].clone().into());
            Ok(())
        },
    },
    Flag {
        name: "--clearenv",
        arguments: &[],
        since: "0.8",
        help: "Forget every variable but PWD and those set after this",
        more: "",
        apply: |parser, _, _| {
            parser.line.environment.push(Change::Clear);
            Ok(())
        },
    },
    Flag {
        name: "--setenv",
        arguments: &[text("VAR"), text("VALUE")],
        since: "0.8",
        help: "Set a variable",
        more: "",
        apply: |parser, _, values| {
            if !is_name(&values[0]) {
                return Err("setenv failed".to_owned());
            }
            parser.line.environment.push(Change::Set(values[0].clone(), values[1].clone()));
            Ok(())
        },
    },
    Flag {
        name: "--unsetenv",
        arguments: &[text("VAR")],
        since: "0.8",
        help: "Forget a variable",
        more: "",
        apply: |parser, _, values| {
            if !is_name(&values[0]) {
                return Err("unsetenv failed".to_owned());
            }
            parser.line.environment.push(Change::Unset(values[0].clone()));
            Ok(())
        },
    },
];

pub(super) const WATCH: &[Flag] = &[
    Flag {
        name: "--lock-file",
        arguments: &[path("DEST")],
        since: "0.8",
        help: "Hold a shared lock on the sandbox's file DEST while the sandbox lives",
        more: "May be given more than once. The lock is one of fcntl(2).",
        apply: |parser, _, values| {
            parser.line.lock_files.push(values[0].clone().into());
            Ok(())
        },
    },
    Flag {
        name: "--sync-fd",
        arguments: &[FD],
        since: "0.8",
        help: "Keep FD open while the sandbox lives",
        more: "The command does not get it.",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.sync_fd = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--block-fd",
        arguments: &[FD],
        since: "0.8",
        help: "Do not start the command before there is something to read from FD, or its end",
        more: "",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.block_fd = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--userns-block-fd",
        arguments: &[FD],
        since: "0.8",
        help: "Do not map ids: wait on FD until somebody else has (needs --unshare-user and --info-fd)",
        more: "",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.userns_block_fd = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--info-fd",
        arguments: &[FD],
        since: "0.8",
        help: "Write the process id and the namespaces of the sandbox to FD as a JSON object",
        more: "",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.info_fd = Some(fd(&values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--json-status-fd",
        arguments: &[FD],
        since: "0.8",
        help: "Write what happens to the sandbox to FD, a JSON object a line",
        more: "The first line has child-pid and the namespaces made; the last, once the command has run, exit-code.",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.json_status_fd = Some(fd(&values[0])?);
            Ok(())
        },
    },
];
