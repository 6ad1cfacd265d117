//! The flags of `enclos doctor`.

use crate::flags::{Command, Flag, Group, Takes};

/// What `enclos doctor` was asked.
#[derive(Default)]
pub struct DoctorRequest {
    /// Write JSON.
    pub json: bool,
}

/// `enclos doctor`.
pub const DOCTOR: Command<DoctorRequest> = Command {
    name: "doctor",
    operands: "",
    summary: "Say what this host can enforce, what is missing, and the remedy",
    about: &[
        "One line for each thing Enclos stands on: namespaces, id maps, every cgroup controller and its tree, seccomp, Landlock, overlay, and \
             the newer system calls. The exit status is 0 when nothing is missing and 1 when something is.",
    ],
    groups: &[Group {
        title: "Flags",
        about: "",
        flags: &[Flag {
            name: "json",
            takes: Takes::Nothing,
            key: None,
            default: "",
            adds: false,
            help: "Write JSON",
            more: "",
            apply: |request, _| {
                request.json = true;
                Ok(())
            },
        }],
    }],
};
