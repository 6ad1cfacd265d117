//! Help, arguments from elsewhere, the command's name.

use super::{FD, fd, text};
use crate::bwrap::flag::Flag;
use crate::bwrap::parse::Wanted;

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "--help",
        arguments: &[],
        since: "0.8",
        help: "Show this help and end",
        more: "",
        apply: |parser, _, _| {
            parser.stop(Wanted::Help);
            Ok(())
        },
    },
    Flag {
        name: "--version",
        arguments: &[],
        since: "0.8",
        help: "Show the version and end",
        more: "",
        apply: |parser, _, _| {
            parser.stop(Wanted::Version);
            Ok(())
        },
    },
    Flag {
        name: "--args",
        arguments: &[FD],
        since: "0.8",
        help: "Take NUL-separated options from FD",
        more: "May be given more than once. Options only: what follows the first word there that is no option is ignored. At most 9000 \
               arguments in all. Not allowed inside the arguments of FD themselves.",
        apply: |parser, _, values| {
            let fd = fd(&values[0])?;
            parser.arguments_from(fd)
        },
    },
    Flag {
        name: "--argv0",
        arguments: &[text("VALUE")],
        since: "0.9",
        help: "Give the command VALUE as its argv[0]",
        more: "",
        apply: |parser, flag, values| {
            if parser.line.argv0.replace(values[0].clone()).is_some() {
                return Err(format!("{} used multiple times", flag.name));
            }
            Ok(())
        },
    },
    Flag {
        name: "--level-prefix",
        arguments: &[],
        since: "0.11",
        help: "Begin each message after this with its severity, e.g. <3>",
        more: "The numbers are those of syslog(3): 3 is an error, 4 a warning.",
        apply: |parser, _, _| {
            parser.level_prefix = true;
            Ok(())
        },
    },
];
