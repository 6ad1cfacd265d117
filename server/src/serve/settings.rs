//! The keys of `[server]` and `[queue]`, and every record there is.

use enclos_agent::{native as agent_native, sandbox_v1, settings as agent};
use enclos_host::settings::{Kind, Setting};
use enclos_host::{keys, log, outbound, tls};
use enclos_judge::{camisole, native, settings as judge};

/// What the process itself needs.
const SERVER: &[Setting] = &[
    Setting {
        key: "server.listen",
        kind: Kind::Texts,
        default: "[\"127.0.0.1:42920\"]",
        help: "Where to listen: `ADDRESS:PORT`, `[ADDRESS]:PORT`, `localhost:PORT` or `unix:/PATH`. An address that other hosts can reach needs `[[keys]]`. \
               With `[tls]` addresses speak TLS, but for those with `http://` before them; `https://` insists on it.",
    },
    Setting {
        key: "server.admin",
        kind: Kind::Texts,
        default: "[]",
        help: "Where to serve `/healthz`, `/readyz` and `/metrics` alone, without keys: as `listen`.",
    },
    Setting {
        key: "server.anonymous",
        kind: Kind::Flag,
        default: "false",
        help: "Listen on addresses that other hosts can reach though there are no keys: whoever reaches them may run programs.",
    },
    Setting {
        key: "server.hosts",
        kind: Kind::Texts,
        default: "[]",
        help: "Further names of this server, without ports. While there are no keys, a request that names the server otherwise than as localhost, by a loopback address, by an address of `server.listen` or by one of these is answered 421, and one that a web page of another host sends 403: a browser must not lend its place on this host to every page it shows. `\"*\"` switches this off. Requests over `unix:` sockets are not asked.",
    },
    Setting {
        key: "server.state",
        kind: Kind::Path,
        default: "",
        help: "Directory of what outlives the process. Without it: `$STATE_DIRECTORY` (systemd sets it), else `/var/lib/enclos` for root, else `$XDG_STATE_HOME/enclos` or `$HOME/.local/state/enclos`.",
    },
    Setting {
        key: "server.connections",
        kind: Kind::Count(1, 1_000_000),
        default: "4096",
        help: "Connections at once; the next one waits until one ends.",
    },
    Setting {
        key: "server.head-timeout",
        kind: Kind::Span,
        default: "\"10s\"",
        help: "For a handshake of TLS to end, for the head of a request to come, and for the next request on a connection that is kept.",
    },
    Setting { key: "server.body-timeout", kind: Kind::Span, default: "\"60s\"", help: "For the body of a request to come; then 408." },
    Setting {
        key: "server.write-timeout",
        kind: Kind::Span,
        default: "\"60s\"",
        help: "For the client to read some of its answer; then the connection is closed.",
    },
    Setting {
        key: "server.drain-timeout",
        kind: Kind::Span,
        default: "\"30s\"",
        help: "For work under way to end after SIGTERM; what is left is cancelled. A second SIGTERM ends at once.",
    },
    Setting {
        key: "server.body-memory",
        kind: Kind::Size,
        default: "\"512M\"",
        help: "What the bodies of all requests and answers under way may hold together; then 503.",
    },
];

const QUEUE: &[Setting] = &[
    Setting {
        key: "queue.cores",
        kind: Kind::Count(1, 10_000),
        default: "",
        help: "Cores that jobs may use together. Without it: all that this process may use.",
    },
    Setting {
        key: "queue.capacity",
        kind: Kind::Count(0, 1_000_000),
        default: "1024",
        help: "Jobs that may wait; then 503 with `Retry-After`.",
    },
    Setting {
        key: "queue.per-key",
        kind: Kind::Count(0, 1_000_000),
        default: "512",
        help: "Jobs of one key that may wait; then 429 with `Retry-After`. The queue is fair between keys.",
    },
    Setting {
        key: "queue.memory",
        kind: Kind::Size,
        default: "\"512M\"",
        help: "What the jobs that wait may hold together; a job that is larger alone waits alone.",
    },
];

const KEYS: &[Setting] = &[Setting {
    key: "keys",
    kind: Kind::Tables(keys::KEY_SETTINGS),
    default: "",
    help: "Who may call. A key is sent as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or as the password in `http://any:KEY@host`; or it is a \
           certificate (`certificates`). Without any key the server is open, and listens on addresses of this host only.",
}];

/// Every record, in the order of the guide.
#[must_use]
pub fn records() -> Vec<&'static [Setting]> {
    let mut groups = vec![SERVER, tls::SETTINGS, QUEUE, log::SETTINGS];
    groups.extend(judge::GROUPS);
    groups.extend([camisole::SETTINGS, native::SETTINGS, outbound::SETTINGS]);
    groups.extend(agent::GROUPS);
    groups.extend([sandbox_v1::SETTINGS, agent_native::SETTINGS]);
    groups.push(KEYS);
    groups
}
