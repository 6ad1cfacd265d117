//! Logs: lines on standard error, for people or as JSON.

use tracing::level_filters::LevelFilter;

use crate::settings::{Kind, Setting, Settings};

/// The keys of `[log]`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "log.format",
        kind: Kind::Word(&["text", "json"]),
        default: "\"text\"",
        help: "How a line looks: for people, or one JSON object a line.",
    },
    Setting {
        key: "log.level",
        kind: Kind::Word(&["off", "error", "warn", "info", "debug"]),
        default: "\"info\"",
        help: "What is logged: this and everything graver. `debug` has a line for each request.",
    },
];

/// Begins to log, for the whole process. Does nothing when somebody else did.
pub fn begin(settings: &Settings) {
    let level = match settings.text("log.level") {
        Some("off") => LevelFilter::OFF,
        Some("error") => LevelFilter::ERROR,
        Some("warn") => LevelFilter::WARN,
        Some("debug") => LevelFilter::DEBUG,
        _ => LevelFilter::INFO,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    // An error means that a test has begun before us.
    let _ = match settings.text("log.format") {
        Some("json") => builder.json().flatten_event(true).try_init(),
        _ => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_target(false).try_init(),
    };
}
