//! The keys of `[agent]`.

use std::path::PathBuf;
use std::time::Duration;

use enclos_host::settings::{Kind, Setting, Settings as Configuration};

/// What `[agent]` itself holds.
pub const SETTINGS: &[Setting] = &[
    Setting { key: "agent.enabled", kind: Kind::Flag, default: "true", help: "Serve sandboxes that live." },
    Setting {
        key: "agent.state",
        kind: Kind::Path,
        default: "",
        help: "Directory of codebases, workspaces and what is known of sandboxes. Without it: `agent` in the directory of `server.state`.",
    },
    Setting {
        key: "agent.audit",
        kind: Kind::Path,
        default: "",
        help: "File to which every call that changes or runs something adds a line of JSON: when, who, what, which, and what came of it. Without it: none.",
    },
    Setting {
        key: "agent.sandboxes",
        kind: Kind::Count(1, 60_000),
        default: "1024",
        help: "Sandboxes that run at once, of all callers together.",
    },
    Setting {
        key: "agent.templates",
        kind: Kind::Count(1, 1000),
        default: "16",
        help: "Kinds of sandboxes (limits, image, network) that are kept warm.",
    },
    Setting {
        key: "agent.output",
        kind: Kind::Size,
        default: "\"8M\"",
        help: "Most that is kept of each output stream of a command; the rest is counted and thrown away.",
    },
    Setting { key: "agent.timeout", kind: Kind::Span, default: "\"30s\"", help: "For a command that names none." },
    Setting { key: "agent.most-timeout", kind: Kind::Span, default: "\"10m\"", help: "The longest that a command may name." },
    Setting { key: "agent.expiry", kind: Kind::Span, default: "\"24h\"", help: "After which a sandbox that names none is destroyed." },
    Setting {
        key: "agent.most-expiry",
        kind: Kind::Span,
        default: "",
        help: "The longest that a sandbox may name. Without it a sandbox may also live until it is destroyed.",
    },
    Setting {
        key: "agent.on-exit",
        kind: Kind::Word(&["keep", "destroy"]),
        default: "\"keep\"",
        help: "What becomes of running sandboxes when the server ends: they run on for the next server (`keep`), or end.",
    },
    Setting {
        key: "agent.keep",
        kind: Kind::Span,
        default: "\"10m\"",
        help: "How long sandboxes run without a server: for a restart, an upgrade, or a server that was killed.",
    },
    Setting {
        key: "agent.store",
        kind: Kind::Size,
        default: "\"64G\"",
        help: "Bytes that the files of all codebases may have together; equal ones count once.",
    },
    Setting { key: "agent.host-network", kind: Kind::Flag, default: "false", help: "Let callers have sandboxes on the host's network." },
    Setting {
        key: "agent.cpu-shares",
        kind: Kind::Count(0, 262_144),
        default: "256",
        help: "Weight of a sandbox that names none (`resources.cpu_shares`), whatever runs in it, where processors are short; others, the server among them, have 1024. \
               Held where the server may use the `cpu` controller. 0: none of its own.",
    },
    Setting {
        key: "agent.best-effort",
        kind: Kind::Flag,
        default: "false",
        help: "Weaken limits that this host cannot hold; without it such sandboxes are refused by name (`enclos doctor` tells).",
    },
    Setting {
        key: "agent.images",
        kind: Kind::Tables(IMAGES),
        default: "",
        help: "Root file systems that sandboxes may name, as they name images elsewhere.",
    },
];

const IMAGES: &[Setting] = &[
    Setting { key: "name", kind: Kind::Text, default: "", help: "Its name, e.g. `python:3.11-slim`." },
    Setting { key: "root", kind: Kind::Path, default: "", help: "The directory that is its root; shown read-only." },
];

/// How much one caller may have.
pub const QUOTAS: &[Setting] = &[
    Setting {
        key: "agent.quota.sandboxes",
        kind: Kind::Count(0, 1_000_000),
        default: "256",
        help: "Sandboxes of one key, running or not.",
    },
    Setting { key: "agent.quota.sessions", kind: Kind::Count(0, 1_000_000), default: "256", help: "Open sessions of one key." },
    Setting { key: "agent.quota.codebases", kind: Kind::Count(0, 1_000_000), default: "1000", help: "Codebases of one key." },
    Setting {
        key: "agent.quota.commands",
        kind: Kind::Count(1, 500),
        default: "128",
        help: "Commands and sessions of one sandbox at once.",
    },
    Setting { key: "agent.quota.codebase-size", kind: Kind::Size, default: "\"16G\"", help: "Bytes of one version of a codebase." },
    Setting {
        key: "agent.quota.codebase-files",
        kind: Kind::Count(1, 100_000_000),
        default: "1000000",
        help: "Files of one version of a codebase.",
    },
];

macro_rules! limits {
    ($section:literal, $($name:literal = $default:literal: $kind:ident $help:literal),+ $(,)?) => {
        &[$(Setting {
            key: concat!("agent.", $section, ".", $name),
            kind: limits!(kind $kind),
            default: $default,
            help: $help,
        }),+]
    };
    (kind Count) => { Kind::Count(1, u64::MAX) };
    (kind $kind:ident) => { Kind::$kind };
}

/// Limits of a sandbox that names none.
pub const LIMITS: &[Setting] = limits!(
    "limits",
    "memory" = "\"2G\"": Size "Memory of all its processes, and of what they write outside the workspace.",
    "processes" = "512": Count "Processes and threads at once.",
    "disk" = "\"1G\"": Size "Everything it writes outside the workspace.",
    "workspace" = "\"8G\"": Size "What it changes in the workspace.",
    "workspace-files" = "1000000": Count "Names it adds to or changes in the workspace: files, directories and links.",
    "open-files" = "4096": Count "Open files of each process.",
);

/// The greatest limits that a sandbox may name.
pub const MOST: &[Setting] = limits!(
    "most",
    "memory" = "\"16G\"": Size "The greatest that a sandbox may name; so for all that follow.",
    "processes" = "8192": Count "See `[agent.limits]`.",
    "disk" = "\"16G\"": Size "See `[agent.limits]`.",
    "workspace" = "\"64G\"": Size "See `[agent.limits]`.",
);

/// All records of this face but those of its interfaces.
pub const GROUPS: [&[Setting]; 4] = [SETTINGS, QUOTAS, LIMITS, MOST];

/// Four limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes.
    pub memory: u64,
    /// How many at once.
    pub processes: u64,
    /// Bytes.
    pub disk: u64,
    /// Bytes.
    pub workspace: u64,
}

/// How the face is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its directory; made if it is missing.
    pub state: PathBuf,
    /// The file of the audit.
    pub audit: Option<PathBuf>,
    /// Sandboxes that run at once.
    pub sandboxes: u64,
    /// Templates kept.
    pub templates: usize,
    /// Bytes kept of each output stream.
    pub output: u64,
    /// For a command that names none.
    pub timeout: Duration,
    /// The longest that a command may name.
    pub most_timeout: Duration,
    /// For a sandbox that names none.
    pub expiry: Option<Duration>,
    /// The longest that a sandbox may name.
    pub most_expiry: Option<Duration>,
    /// Running sandboxes run on when the server ends.
    pub keep_on_exit: bool,
    /// How long they do without a server.
    pub keep: Duration,
    /// Bytes in the store.
    pub store: u64,
    /// Callers may ask for the host's network.
    pub host_network: bool,
    /// Weight of a sandbox that names none, as `cpu.shares`; held where the host has the controller. `None`: none of its own.
    pub cpu_shares: Option<u64>,
    /// Weaken what cannot be held.
    pub best_effort: bool,
    /// Images by name.
    pub images: Vec<(String, PathBuf)>,
    /// Sandboxes of one caller.
    pub quota_sandboxes: u64,
    /// Open sessions of one caller.
    pub quota_sessions: u64,
    /// Codebases of one caller.
    pub quota_codebases: u64,
    /// Commands and sessions of one sandbox.
    pub quota_commands: u64,
    /// Bytes of one version.
    pub codebase_bytes: u64,
    /// Files of one version.
    pub codebase_files: u64,
    /// Where a sandbox names none.
    pub limits: Bounds,
    /// Names of what a sandbox changes in its workspace.
    pub workspace_files: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// The greatest that a sandbox may name.
    pub most: Bounds,
}

/// How a configuration, whose records include [`GROUPS`], sets the face up in `state`.
#[must_use]
pub fn of(configuration: &Configuration, state: PathBuf) -> Settings {
    let count = |key: &str| configuration.count(key).unwrap_or(0);
    let size = |key: &str| configuration.size(key).unwrap_or(u64::MAX);
    let span = |key: &str| configuration.span(key);
    let bounds = |section: &str| Bounds {
        memory: size(&format!("agent.{section}.memory")),
        processes: count(&format!("agent.{section}.processes")),
        disk: size(&format!("agent.{section}.disk")),
        workspace: size(&format!("agent.{section}.workspace")),
    };
    let image = |table: &Configuration| Some((table.text("name")?.to_owned(), PathBuf::from(table.text("root")?)));
    Settings {
        state,
        audit: configuration.text("agent.audit").map(PathBuf::from),
        sandboxes: count("agent.sandboxes"),
        templates: usize::try_from(count("agent.templates")).unwrap_or(1),
        output: size("agent.output"),
        timeout: span("agent.timeout").unwrap_or(Duration::from_secs(30)),
        most_timeout: span("agent.most-timeout").unwrap_or(Duration::from_secs(600)),
        expiry: span("agent.expiry"),
        most_expiry: span("agent.most-expiry"),
        keep_on_exit: configuration.text("agent.on-exit") != Some("destroy"),
        keep: span("agent.keep").unwrap_or(Duration::from_secs(600)),
        store: size("agent.store"),
        host_network: configuration.flag("agent.host-network"),
        cpu_shares: configuration.count("agent.cpu-shares").filter(|shares| *shares > 0),
        best_effort: configuration.flag("agent.best-effort"),
        images: configuration.tables("agent.images").iter().filter_map(image).collect(),
        quota_sandboxes: count("agent.quota.sandboxes"),
        quota_sessions: count("agent.quota.sessions"),
        quota_codebases: count("agent.quota.codebases"),
        quota_commands: count("agent.quota.commands"),
        codebase_bytes: size("agent.quota.codebase-size"),
        codebase_files: count("agent.quota.codebase-files"),
        limits: bounds("limits"),
        workspace_files: count("agent.limits.workspace-files"),
        open_files: count("agent.limits.open-files"),
        most: bounds("most"),
    }
}

/// What is wrong with it, one line each: a default that is more than the greatest, an image that is not there.
#[must_use]
pub fn faults(settings: &Settings) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, given, most) in [
        ("memory", settings.limits.memory, settings.most.memory),
        ("processes", settings.limits.processes, settings.most.processes),
        ("disk", settings.limits.disk, settings.most.disk),
        ("workspace", settings.limits.workspace, settings.most.workspace),
    ] {
        if given > most {
            faults.push(format!("agent.limits.{name}: {given} is more than agent.most.{name}, which is {most}"));
        }
    }
    if settings.timeout > settings.most_timeout {
        faults.push("agent.timeout: it is longer than agent.most-timeout".to_owned());
    }
    if let (Some(most), expiry) = (settings.most_expiry, settings.expiry)
        && expiry.is_none_or(|expiry| expiry > most)
    {
        faults.push("agent.expiry: it is longer than agent.most-expiry".to_owned());
    }
    for (name, root) in &settings.images {
        if !root.is_dir() {
            faults.push(format!("agent.images: {name}: {} is no directory", root.display()));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_together_and_faults_are_named() {
        let read = |file: &str| of(&Configuration::read(&GROUPS, file, &[]).unwrap(), "/s".into());
        let defaults = read("");
        assert_eq!(faults(&defaults), Vec::<String>::new());
        assert!(defaults.keep_on_exit && defaults.most_expiry.is_none());
        assert_eq!((defaults.limits.memory, defaults.output, defaults.cpu_shares), (2 << 30, 8 << 20, Some(256)));
        assert_eq!(read("[agent]\ncpu-shares = 0").cpu_shares, None);
        let bad = read(
            "[agent]\ntimeout = \"20m\"\nmost-expiry = \"1h\"\n[agent.limits]\nmemory = \"32G\"\n[[agent.images]]\nname = \"x\"\nroot = \"/does/not/exist\"",
        );
        let told = faults(&bad);
        let starts = ["agent.limits.memory: ", "agent.timeout: ", "agent.expiry: ", "agent.images: x: /does/not/exist"];
        assert!(told.len() == starts.len() && told.iter().zip(starts).all(|(told, start)| told.starts_with(start)), "{told:?}");
    }
}
