//! What bubblewrap does not have.

use super::{path, text};
use crate::bwrap::flag::Flag;
use crate::bwrap::limits;

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "--enclos-report",
        arguments: &[path("FILE")],
        since: "enclos",
        help: "Write our report of the run to FILE, as JSON",
        more: "How it ended, what it used, which limits and layers were in force. The sandbox then ends with the command: with --unshare-pid what that left running is killed.",
        apply: |parser, flag, values| {
            parser.only_last(flag);
            parser.line.report = Some(values[0].clone().into());
            Ok(())
        },
    },
    Flag {
        name: "--enclos-limits",
        arguments: &[text("KEY=VALUE")],
        since: "enclos",
        help: "Add a limit, named and written as in a policy of enclos run, e.g. memory=64M",
        more: "wall, idle, cpu, memory and processes hold for the whole sandbox and need --unshare-pid; file-size, stack and open-files bound each process; cpus says where all run. May be given more than once; of one kind the last one holds.",
        apply: |parser, flag, values| {
            let limit = limits::split(&values[0]).map_err(|error| format!("{}: {error}", flag.name))?;
            parser.line.limits.push(limit);
            Ok(())
        },
    },
];
