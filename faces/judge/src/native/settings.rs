//! The keys of `[judge.native]`.

use std::time::Duration;

use enclos_host::settings::{Kind, Setting, Settings};
use enclos_pool::Retention;

/// The records.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "judge.native.max-body-size",
        kind: Kind::Size,
        default: "\"64M\"",
        help: "The largest body of a request; a larger one is answered 413.",
    },
    Setting {
        key: "judge.native.store",
        kind: Kind::Path,
        default: "",
        help: "The file of asynchronous runs (SQLite). Without it they are kept in the server's state directory; see `state`.",
    },
    Setting { key: "judge.native.keep-age", kind: Kind::Span, default: "\"168h\"", help: "For how long ended asynchronous runs are kept." },
    Setting {
        key: "judge.native.keep-runs",
        kind: Kind::Count(0, 1_000_000_000),
        default: "10000",
        help: "How many ended asynchronous runs are kept; the oldest go first.",
    },
    Setting {
        key: "judge.native.keep-size",
        kind: Kind::Size,
        default: "\"1G\"",
        help: "How many bytes requests and results of ended asynchronous runs may hold together; the oldest go first.",
    },
];

/// Their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a body.
    pub max_body: usize,
}

impl Options {
    /// Those of a configuration whose records include [`SETTINGS`].
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let size = |key| usize::try_from(settings.size(key).unwrap_or(0)).unwrap_or(usize::MAX);
        Self { max_body: size("judge.native.max-body-size") }
    }
}

/// How long ended runs are kept, of a configuration whose records include [`SETTINGS`].
#[must_use]
pub fn retention(settings: &Settings) -> Retention {
    let default = Retention::default();
    Retention {
        age: settings.span("judge.native.keep-age").unwrap_or(Duration::ZERO),
        runs: settings.count("judge.native.keep-runs").unwrap_or(default.runs),
        bytes: settings.size("judge.native.keep-size").unwrap_or(default.bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_store() {
        let settings = Settings::read(&[SETTINGS], "", &[]).unwrap();
        assert_eq!(retention(&settings), Retention::default());
        assert_eq!(Options::of(&settings), Options { max_body: 64 << 20 });
    }
}
