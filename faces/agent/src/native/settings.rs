//! The keys of `[agent.native]`.

use enclos_host::settings::{Kind, Setting, Settings};

/// The records.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "agent.native.max-body-size",
        kind: Kind::Size,
        default: "\"16M\"",
        help: "The largest JSON body of a request; a larger one is answered 413. Files and archives are not bounded by it.",
    },
    Setting {
        key: "agent.native.max-upload-size",
        kind: Kind::Size,
        default: "\"4G\"",
        help: "The largest file or archive in one request; a larger one is answered 413.",
    },
    Setting {
        key: "agent.native.calls",
        kind: Kind::Count(1, 100_000),
        default: "1024",
        help: "Commands, uploads and watches under way at once, of all callers; the next is answered 503.",
    },
];

/// Their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a JSON body.
    pub max_body: usize,
    /// Bytes of a file or archive.
    pub max_upload: u64,
    /// Long calls at once.
    pub calls: usize,
}

impl Options {
    /// Those of a configuration whose records include [`SETTINGS`].
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let number = |value: Option<u64>| usize::try_from(value.unwrap_or(0)).unwrap_or(usize::MAX);
        Self {
            max_body: number(settings.size("agent.native.max-body-size")),
            max_upload: settings.size("agent.native.max-upload-size").unwrap_or(0),
            calls: number(settings.count("agent.native.calls")),
        }
    }
}
