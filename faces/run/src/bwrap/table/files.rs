//! Operations on the file system: done in the order given.

use std::ffi::{OsStr, OsString};

use super::{DEST, FD, SRC, fd, text};
use crate::bwrap::command_line::{From, Kind};
use crate::bwrap::flag::{Argument, Flag};
use crate::bwrap::number::{self, LARGEST_SIZE, SizeError};
use crate::bwrap::parse::Parser;

/// Records a bind of the path before the destination. What kind is said by the flag's name.
fn bind(parser: &mut Parser<'_>, flag: &'static Flag, values: &[OsString]) -> Result<(), String> {
    let from = From::Path(values[0].clone().into());
    let kind = Kind::Bind {
        from,
        read_only: flag.name.starts_with("--ro-"),
        devices: flag.name.starts_with("--dev-"),
        optional: flag.name.ends_with("-try"),
    };
    parser.operation(flag, kind, &values[1]);
    Ok(())
}

/// Records a bind of a descriptor.
fn bind_fd(parser: &mut Parser<'_>, flag: &'static Flag, values: &[OsString]) -> Result<(), String> {
    let from = From::Fd(fd(&values[0])?);
    let kind = Kind::Bind { from, read_only: flag.name.starts_with("--ro-"), devices: false, optional: false };
    parser.operation(flag, kind, &values[1]);
    Ok(())
}

/// Records a file whose content comes from a descriptor and which is bound.
fn bind_data(parser: &mut Parser<'_>, flag: &'static Flag, values: &[OsString]) -> Result<(), String> {
    let fd = fd(&values[0])?;
    let kind = Kind::BindData { fd, perms: parser.perms.take(), read_only: flag.name.starts_with("--ro-") };
    parser.operation(flag, kind, &values[1]);
    Ok(())
}

fn mode(flag: &Flag, value: &OsStr) -> Result<u32, String> {
    number::mode(value).ok_or_else(|| format!("{} takes an octal argument <= 07777", flag.name))
}

const BIND: &[Argument] = &[SRC, DEST];
const FROM_FD: &[Argument] = &[FD, DEST];

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "--perms",
        arguments: &[text("OCTAL")],
        since: "0.8",
        help: "Permissions of what the next option makes",
        more: "For --dir, --file, --bind-data, --ro-bind-data and --tmpfs. Bits of the group or of others that are all zero are taken from \
               missing parent directories too.",
        apply: |parser, flag, values| {
            if parser.perms.is_some() {
                return Err(format!("{} given twice for the same action", flag.name));
            }
            parser.perms = Some(mode(flag, &values[0])?);
            Ok(())
        },
    },
    Flag {
        name: "--size",
        arguments: &[text("BYTES")],
        since: "0.8",
        help: "Size of the next --tmpfs",
        more: "",
        apply: |parser, flag, values| {
            if parser.size.is_some() {
                return Err(format!("{} given twice for the same action", flag.name));
            }
            parser.size = Some(number::size(&values[0]).map_err(|error| match error {
                SizeError::NotANumber => format!("{} takes a non-zero number of bytes", flag.name),
                SizeError::TooLarge => format!("{} (for tmpfs) is limited to {LARGEST_SIZE}", flag.name),
            })?);
            Ok(())
        },
    },
    Flag { name: "--bind", arguments: BIND, since: "0.8", help: "Show the host's SRC at DEST, writable", more: "", apply: bind },
    Flag {
        name: "--bind-try",
        arguments: BIND,
        since: "0.8",
        help: "Same; nothing happens where SRC does not exist",
        more: "",
        apply: bind,
    },
    Flag {
        name: "--dev-bind",
        arguments: BIND,
        since: "0.8",
        help: "Show the host's SRC at DEST, writable, with working device files",
        more: "",
        apply: bind,
    },
    Flag {
        name: "--dev-bind-try",
        arguments: BIND,
        since: "0.8",
        help: "Same; nothing happens where SRC does not exist",
        more: "",
        apply: bind,
    },
    Flag {
        name: "--ro-bind",
        arguments: BIND,
        since: "0.8",
        help: "Show the host's SRC at DEST, read-only",
        more: "Mounts below SRC become read-only too.",
        apply: bind,
    },
    Flag {
        name: "--ro-bind-try",
        arguments: BIND,
        since: "0.8",
        help: "Same; nothing happens where SRC does not exist",
        more: "",
        apply: bind,
    },
    Flag {
        name: "--bind-fd",
        arguments: FROM_FD,
        since: "0.10",
        help: "Show the open directory or file FD at DEST, writable",
        more: "What FD refers to cannot be exchanged by somebody who can rename on the way to it.",
        apply: bind_fd,
    },
    Flag { name: "--ro-bind-fd", arguments: FROM_FD, since: "0.10", help: "Same, read-only", more: "", apply: bind_fd },
    Flag {
        name: "--remount-ro",
        arguments: &[DEST],
        since: "0.8",
        help: "Make the mount at DEST read-only, not those below it",
        more: "",
        apply: |parser, flag, values| {
            parser.operation(flag, Kind::RemountReadOnly, &values[0]);
            Ok(())
        },
    },
    Flag {
        name: "--proc",
        arguments: &[DEST],
        since: "0.8",
        help: "Mount a new procfs at DEST",
        more: "Those of its parts that change the host (sys, sysrq-trigger, irq, bus) are read-only.",
        apply: |parser, flag, values| {
            parser.operation(flag, Kind::Proc, &values[0]);
            Ok(())
        },
    },
    Flag {
        name: "--dev",
        arguments: &[DEST],
        since: "0.8",
        help: "Make a small /dev at DEST",
        more: "null, zero, full, random, urandom and tty of the host; links stdin, stdout, stderr, fd, core; an empty shm; new \
               terminals in pts; the caller's terminal as console.",
        apply: |parser, flag, values| {
            parser.operation(flag, Kind::Dev, &values[0]);
            Ok(())
        },
    },
    Flag {
        name: "--tmpfs",
        arguments: &[DEST],
        since: "0.8",
        help: "Mount a new tmpfs at DEST",
        more: "Mode 0755 and half of memory, unless --perms and --size say otherwise.",
        apply: |parser, flag, values| {
            let kind = Kind::Tmpfs { size: parser.size.take(), perms: parser.perms.take() };
            parser.operation(flag, kind, &values[0]);
            Ok(())
        },
    },
    Flag {
        name: "--mqueue",
        arguments: &[DEST],
        since: "0.8",
        help: "Mount the message queues of the ipc namespace at DEST",
        more: "",
        apply: |parser, flag, values| {
            parser.operation(flag, Kind::Mqueue, &values[0]);
            Ok(())
        },
    },
    Flag {
        name: "--dir",
        arguments: &[DEST],
        since: "0.8",
        help: "Make a directory at DEST",
        more: "Mode 0755, unless --perms says otherwise. One that exists is left as it is.",
        apply: |parser, flag, values| {
            let kind = Kind::Dir { perms: parser.perms.take() };
            parser.operation(flag, kind, &values[0]);
            Ok(())
        },
    },
    Flag {
        name: "--file",
        arguments: FROM_FD,
        since: "0.8",
        help: "Copy what FD holds into a file at DEST",
        more: "Mode 0666, unless --perms says otherwise.",
        apply: |parser, flag, values| {
            let fd = fd(&values[0])?;
            let kind = Kind::File { fd, perms: parser.perms.take() };
            parser.operation(flag, kind, &values[1]);
            Ok(())
        },
    },
    Flag {
        name: "--bind-data",
        arguments: FROM_FD,
        since: "0.8",
        help: "Copy what FD holds into a file and bind that at DEST",
        more: "Mode 0600, unless --perms says otherwise.",
        apply: bind_data,
    },
    Flag { name: "--ro-bind-data", arguments: FROM_FD, since: "0.8", help: "Same, bound read-only", more: "", apply: bind_data },
    Flag {
        name: "--symlink",
        arguments: &[text("SRC"), DEST],
        since: "0.8",
        help: "Make a symbolic link at DEST with the text SRC",
        more: "A link that exists and has this text is no error.",
        apply: |parser, flag, values| {
            parser.operation(flag, Kind::Symlink { target: values[0].clone().into() }, &values[1]);
            Ok(())
        },
    },
    Flag {
        name: "--chmod",
        arguments: &[text("OCTAL"), text("PATH")],
        since: "0.8",
        help: "Change the permissions of PATH, which must exist",
        more: "",
        apply: |parser, flag, values| {
            let mode = mode(flag, &values[0])?;
            parser.operation(flag, Kind::Chmod { mode }, &values[1]);
            Ok(())
        },
    },
];
