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
        more: "Not carried out yet: refused by name. Use enclos run --report.",
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
        help: "Add a limit, named and written as in a policy of enclos run, e.g. open-files=64",
        more: "May be given more than once. open-files, file-size, stack and cpus are carried out; the limits that need a watcher (wall, idle, cpu, memory, processes) are refused by name.",
        apply: |parser, flag, values| {
            let limit = limits::split(&values[0]).map_err(|error| format!("{}: {error}", flag.name))?;
            parser.line.limits.push(limit);
            Ok(())
        },
    },
];
