//! Keys of `[agent]` that say where the interface is served, and how much of it at once.

use enclos_host::settings::{Kind, Setting, Settings};
use enclos_vfs::Preset;

/// The records.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "agent.grpc",
        kind: Kind::Texts,
        default: "[\"127.0.0.1:9000\"]",
        help: "Where to serve the gRPC interface `sandbox.v1` (clients of AgentFense): as `server.listen`. `[]`: nowhere. An address that other hosts \
               can reach needs `[[keys]]`; a key is sent as metadata, `authorization: Bearer KEY` or `x-api-key: KEY`.",
    },
    Setting {
        key: "agent.rest",
        kind: Kind::Texts,
        default: "[\"127.0.0.1:8080\"]",
        help: "Where to serve the same as JSON over HTTP. `[]`: nowhere.",
    },
    Setting {
        key: "agent.calls",
        kind: Kind::Count(1, 100_000),
        default: "2048",
        help: "Commands, uploads and downloads under way at once; each has a thread. The next is answered UNAVAILABLE (503).",
    },
    Setting {
        key: "agent.max-body",
        kind: Kind::Size,
        default: "\"4M\"",
        help: "Largest body of a request to the JSON interface. A message on gRPC is at most 4M, as its clients expect.",
    },
    Setting {
        key: "agent.view-only",
        kind: Kind::Word(&["view-only", "agent-safe", "read-only", "development", "full-access"]),
        default: "\"view-only\"",
        help: "The preset that stands for the rule `**/*: view` where a client of `sandbox.v1` sends it alone. AgentFense's Python client sends that \
               by default, though its README says that its default is `agent-safe`; `agent-safe` makes the README right.",
    },
];

/// Bounds of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Long calls at once.
    pub calls: usize,
    /// Bytes of a body on the JSON interface.
    pub max_body: usize,
    /// What stands for `**/*: view` alone.
    pub view_only: Preset,
}

impl Options {
    /// As a configuration says, whose records include [`SETTINGS`].
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let size = |size: Option<u64>| size.and_then(|size| usize::try_from(size).ok());
        Options {
            calls: size(settings.count("agent.calls")).unwrap_or(1),
            max_body: size(settings.size("agent.max-body")).unwrap_or(0),
            view_only: settings.text("agent.view-only").and_then(|word| word.parse().ok()).unwrap_or(Preset::ViewOnly),
        }
    }
}

#[cfg(test)]
mod tests {
    use enclos_host::listen::Address;

    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_original_on_this_host_alone() {
        let settings = Settings::read(&[SETTINGS], "", &[]).unwrap();
        for (key, shown) in [("agent.grpc", "http://127.0.0.1:9000"), ("agent.rest", "http://127.0.0.1:8080")] {
            let addresses: Vec<Address> = settings.texts(key).iter().map(|text| text.parse().unwrap()).collect();
            assert!(addresses.len() == 1 && addresses[0].is_local() && addresses[0].to_string() == shown);
        }
        assert_eq!(Options::of(&settings), Options { calls: 2048, max_body: 4 << 20, view_only: Preset::ViewOnly });
    }
}
