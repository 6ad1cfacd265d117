//! Flags that take walls away, or accept weaker ones.

use enclos_spec::{Seccomp, Switch};

use crate::flags::{Complete, Flag, Takes, value};
use crate::run::request::Request;

pub const FLAGS: &[Flag<Request>] = &[
    Flag {
        name: "seccomp",
        takes: Takes::Value("default|log|none|FILE", Complete::Words(&["default", "log", "none"])),
        key: Some("seccomp"),
        default: "default",
        adds: false,
        help: "Choose the system call filter",
        more: "default: an allowlist; what is not on it fails with an error. log: what is not on it is written to the kernel's log and let through. none: \
               no filter. FILE (with a / in it): compiled classic BPF, as seccomp_export_bpf(3) writes it.",
        apply: |request, v| {
            request.policy.seccomp = match value::policy(v)? {
                Seccomp::File(path) => Seccomp::File(value::path(&request.anchor, path.as_os_str())?),
                builtin => builtin,
            };
            Ok(())
        },
    },
    Flag {
        name: "landlock",
        takes: Takes::Value("on|off", Complete::Words(Switch::WORDS)),
        key: Some("landlock"),
        default: "on",
        adds: false,
        help: "Choose whether Landlock stands behind the mounts as a second wall",
        more: "",
        apply: |request, v| {
            request.policy.landlock = value::policy(v)?;
            Ok(())
        },
    },
    Flag {
        name: "best-effort",
        takes: Takes::Nothing,
        key: Some("best-effort"),
        default: "refuse",
        adds: false,
        help: "Weaken what this host cannot enforce instead of refusing",
        more: "The report names every weakening. enclos doctor says beforehand what this host can do.",
        apply: |request, _| {
            request.policy.best_effort = true;
            Ok(())
        },
    },
];
