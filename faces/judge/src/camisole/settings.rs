//! The keys of `[judge.camisole]`.

use enclos_host::settings::{Kind, Setting, Settings};

/// The records.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "judge.camisole.max-body-size",
        kind: Kind::Size,
        default: "50000000",
        help: "The largest body of a request; a larger one is answered 413.",
    },
    Setting { key: "judge.camisole.max-tests", kind: Kind::Count(1, 1_000_000), default: "1000", help: "The most tests in one request." },
    Setting {
        key: "judge.camisole.beyond",
        kind: Kind::Word(&["cap", "refuse"]),
        default: "\"cap\"",
        help: "What becomes of a limit that is greater than `[judge.limits.most]` allows: the greatest there is, or an error by name.",
    },
];

/// Their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a body.
    pub max_body: usize,
    /// Tests of a request.
    pub max_tests: usize,
    /// Whether a limit that is too great is refused; else it is capped.
    pub refuse_beyond: bool,
}

impl Options {
    /// Those of a configuration whose records include [`SETTINGS`].
    #[must_use]
    pub fn of(settings: &Settings) -> Options {
        let size = |value: Option<u64>| usize::try_from(value.unwrap_or(0)).unwrap_or(usize::MAX);
        Options {
            max_body: size(settings.size("judge.camisole.max-body-size")),
            max_tests: size(settings.count("judge.camisole.max-tests")),
            refuse_beyond: settings.text("judge.camisole.beyond") == Some("refuse"),
        }
    }
}
