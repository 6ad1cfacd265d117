//! The records: every flag of `enclos run` and of the small commands.

use crate::flags::{Command, Group};
use crate::run::request::Request;

mod command;
mod doctor;
mod files;
mod isolation;
mod limits;
mod report;
mod streams;

pub use doctor::{DOCTOR, DoctorRequest};

/// `enclos run`.
pub const RUN: Command<Request> = Command {
    name: "run",
    operands: "[--] COMMAND [ARGUMENTS]",
    summary: "Run a command confined, limited and measured",
    about: &[
        "Without any flag the command sees the system directories of the host read-only (/usr, /bin, /lib*, and an /etc with certificates and \
         without secrets), a private bounded /tmp and home, and the current directory read-only. It sees no network, no other process and no \
         variable of yours but TERM, TZ, LANG and LC_*. It cannot become root, and it ends when enclos ends.",
        "Every flag, but --no-cwd, --no-tty and those for the policy and the report, is also a key of a policy file (--policy). Flags override \
         the file; lists add to it.",
    ],
    groups: &[
        Group { title: "What it sees", about: "", flags: files::FLAGS },
        Group { title: "How it starts", about: "", flags: command::FLAGS },
        Group {
            title: "Limits",
            about: "A limit that this host cannot enforce is refused by the name of what is missing, unless --best-effort is given. Sizes: a \
                    number of bytes, or one with K, M, G, T (or KiB ...; counted in 1024s) or kB, MB, GB, TB (in 1000s). Times: a number with \
                    us, ms, s, m or h; without a unit, seconds. The word unlimited lifts a limit.",
            flags: limits::FLAGS,
        },
        Group { title: "Terminal and streams", about: "", flags: streams::FLAGS },
        Group { title: "Isolation", about: "", flags: isolation::FLAGS },
        Group { title: "Policy and report", about: "", flags: report::FLAGS },
    ],
};

#[cfg(test)]
mod tests;
