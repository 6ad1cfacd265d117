//! The flags, by topic, in the order of the help.

use std::ffi::OsStr;

use super::flag::{Argument, Flag, Section, Value};

mod environment;
mod extras;
mod files;
mod general;
mod lockdown;
mod namespaces;
mod overlays;

/// All flags.
pub const SECTIONS: &[Section] = &[
    Section { title: "General options", flags: general::FLAGS },
    Section { title: "Kernel namespaces", flags: namespaces::FLAGS },
    Section { title: "Environment", flags: environment::ENVIRONMENT },
    Section { title: "Watching the sandbox from outside", flags: environment::WATCH },
    Section { title: "File system, in the order given", flags: files::FLAGS },
    Section { title: "Overlays, in the order given with the others", flags: overlays::FLAGS },
    Section { title: "Lockdown", flags: lockdown::FLAGS },
    Section { title: "Enclos, beyond bubblewrap", flags: extras::FLAGS },
];

/// All flags, in the order of the help.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    SECTIONS.iter().flat_map(|section| section.flags)
}

/// The flag with this name. Names are never abbreviated and never joined to a value by `=`.
#[must_use]
pub fn find(name: &OsStr) -> Option<&'static Flag> {
    flags().find(|flag| name == flag.name)
}

const fn text(name: &'static str) -> Argument {
    Argument { name, value: Value::Text }
}
const fn path(name: &'static str) -> Argument {
    Argument { name, value: Value::Path }
}
const FD: Argument = Argument { name: "FD", value: Value::Fd };
const DEST: Argument = Argument { name: "DEST", value: Value::Text };
const SRC: Argument = Argument { name: "SRC", value: Value::Path };
const CAP: Argument = Argument { name: "CAP", value: Value::Capability };

/// A descriptor from the command line.
fn fd(text: &OsStr) -> Result<std::os::fd::RawFd, String> {
    super::number::fd(text).ok_or_else(|| format!("Invalid fd: {}", text.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every option of the manual of 0.11.1.
    const MANUAL: &[&str] = &[
        "--help",
        "--version",
        "--args",
        "--argv0",
        "--level-prefix",
        "--unshare-user",
        "--unshare-user-try",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup",
        "--unshare-cgroup-try",
        "--unshare-all",
        "--share-net",
        "--userns",
        "--userns2",
        "--disable-userns",
        "--assert-userns-disabled",
        "--pidns",
        "--uid",
        "--gid",
        "--hostname",
        "--chdir",
        "--setenv",
        "--unsetenv",
        "--clearenv",
        "--lock-file",
        "--sync-fd",
        "--perms",
        "--size",
        "--bind",
        "--bind-try",
        "--dev-bind",
        "--dev-bind-try",
        "--ro-bind",
        "--ro-bind-try",
        "--bind-fd",
        "--ro-bind-fd",
        "--remount-ro",
        "--overlay-src",
        "--overlay",
        "--tmp-overlay",
        "--ro-overlay",
        "--proc",
        "--dev",
        "--tmpfs",
        "--mqueue",
        "--dir",
        "--file",
        "--bind-data",
        "--ro-bind-data",
        "--symlink",
        "--chmod",
        "--seccomp",
        "--add-seccomp-fd",
        "--exec-label",
        "--file-label",
        "--block-fd",
        "--userns-block-fd",
        "--info-fd",
        "--json-status-fd",
        "--new-session",
        "--die-with-parent",
        "--as-pid-1",
        "--cap-add",
        "--cap-drop",
    ];

    #[test]
    fn every_option_of_the_manual_has_one_record_and_no_other_name_has() {
        let known: Vec<&str> = flags().map(|flag| flag.name).collect();
        let unique: BTreeSet<&str> = known.iter().copied().collect();
        assert_eq!(known.len(), unique.len(), "a flag has two records");
        let ours: BTreeSet<&str> = flags().filter(|flag| flag.since == "enclos").map(|flag| flag.name).collect();
        let manual: BTreeSet<&str> = MANUAL.iter().copied().collect();
        assert_eq!(unique.difference(&ours).copied().collect::<BTreeSet<_>>(), manual);
        assert!(ours.iter().all(|name| name.starts_with("--enclos-")), "{ours:?}");
    }

    #[test]
    fn every_record_is_complete() {
        for flag in flags() {
            assert!(!flag.help.is_empty() && !flag.help.ends_with('.'), "{}", flag.name);
            assert!(flag.more.is_empty() || flag.more.ends_with('.'), "{}", flag.name);
            assert!(flag.arguments.len() <= 3, "{}", flag.name);
            assert!(flag.since == "enclos" || flag.since.starts_with("0."), "{}", flag.name);
        }
    }
}
