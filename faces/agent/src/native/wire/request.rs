//! What a client asks for.

use std::collections::BTreeMap;

use enclos_host::wire::{object, word, written};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Bytes, Data, Span};
use crate::api;

object!(NewCodebase, NewSandbox, Rule, Resources, SetRules, SetExpiry, ExecRequest, RunRequest, SessionExec, NewSession, Size);
object!(Commit, Rollback, Restore, TerminalMessage);
word!(Level, Kind, Network, Runtime);
written!(Level, Kind, Network, Runtime, Rule, Resources);

/// A codebase to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NewCodebase {
    /// What it is called.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// The owner, in your words; without it the name of your key. Says nothing about who may see it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub owner_id: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $api:path { $($(#[$each:meta])* $word:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
        #[serde(remote = "Self", rename_all = "lowercase")]
        pub enum $name { $($(#[$each])* $word),+ }

        impl From<$name> for $api {
            fn from(word: $name) -> Self {
                use $api as Api;
                match word { $($name::$word => Api::$word),+ }
            }
        }
    };
}

words! {
    /// What may be done with a path; each allows what the one before it does.
    Level = api::Level {
        /// It is not there.
        None,
        /// It is listed; its contents are not shown.
        View,
        /// It can be read and executed.
        Read,
        /// It can be changed.
        Write,
    }
}

words! {
    /// How a pattern is meant.
    Kind = api::Kind {
        /// With `*`, `**`, `?`, `[…]` and `{…}`.
        Glob,
        /// A directory and all below it.
        Directory,
        /// This path alone.
        File,
    }
}

words! {
    /// What of the network is seen.
    Network = api::Network {
        /// Nothing.
        None,
        /// A loopback of its own.
        Loopback,
        /// The host's.
        Host,
    }
}

words! {
    /// How system files come to be.
    Runtime = api::Runtime {
        /// The host's system directories, read-only.
        Bwrap,
        /// A root file system that is registered under the name in `image`.
        Docker,
    }
}

impl From<api::Level> for Level {
    fn from(level: api::Level) -> Self {
        match level {
            api::Level::None => Level::None,
            api::Level::View => Level::View,
            api::Level::Read => Level::Read,
            api::Level::Write => Level::Write,
        }
    }
}

impl From<api::Kind> for Kind {
    fn from(kind: api::Kind) -> Self {
        match kind {
            api::Kind::Glob => Kind::Glob,
            api::Kind::Directory => Kind::Directory,
            api::Kind::File => Kind::File,
        }
    }
}

impl From<api::Network> for Network {
    fn from(network: api::Network) -> Self {
        match network {
            api::Network::None => Network::None,
            api::Network::Loopback => Network::Loopback,
            api::Network::Host => Network::Host,
        }
    }
}

/// A rule for paths. Of all that match a path one decides: `GET …/explain` says which, and why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Rule {
    /// Which paths, from the top of the workspace.
    #[schema(min_length = 1, example = "docs/**")]
    pub pattern: String,
    /// How the pattern is meant.
    #[serde(default = "glob")]
    #[schema(default = "glob")]
    pub kind: Kind,
    /// What may be done.
    pub level: Level,
    /// The higher decides.
    #[serde(default)]
    #[schema(default = 0)]
    pub priority: i32,
}

fn glob() -> Kind {
    Kind::Glob
}

/// Limits of a whole sandbox. What is absent has the server's default, which is never unbounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Resources {
    /// Memory of all processes.
    pub memory: Option<Bytes>,
    /// Microseconds of CPU time in each 100 ms: 100000 is one whole CPU.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub cpu_quota: Option<u64>,
    /// Weight against other sandboxes: 1024 is the usual one.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub cpu_shares: Option<u64>,
    /// Processes and threads at once.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub pids: Option<u64>,
    /// What is private and writable outside the workspace.
    pub disk: Option<Bytes>,
    /// What the workspace's changes may take.
    pub workspace: Option<Bytes>,
}

/// A sandbox to make.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NewSandbox {
    /// The codebase that its workspace shows; without one it begins empty, and nobody keeps it.
    pub codebase_id: Option<String>,
    /// Its version; the newest without it.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub version: Option<u64>,
    /// A ready-made list of rules: `GET /v1/agent/presets`. With a codebase, this or `rules` or both.
    #[schema(example = "agent-safe")]
    pub preset: Option<String>,
    /// Rules for paths, over those of the preset.
    #[schema(max_items = 1000)]
    pub rules: Option<Vec<Rule>>,
    /// When it is destroyed, from now.
    pub expires_in: Option<Span>,
    /// Your words about it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How system files come to be.
    pub runtime: Option<Runtime>,
    /// A registered root file system: `GET /v1/agent/images`.
    pub image: Option<String>,
    /// Limits.
    #[serde(default)]
    pub resources: Resources,
    /// What of the network is seen; nothing without it.
    pub network: Option<Network>,
    /// Variables of every command and session.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Show uploads to the codebase at once, and publish changes when somebody looks there.
    #[serde(default)]
    pub shared: bool,
}

/// Other rules.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SetRules {
    /// A ready-made list of rules. This or `rules` or both.
    #[schema(example = "agent-safe")]
    pub preset: Option<String>,
    /// Rules for paths, over those of the preset.
    #[schema(max_items = 1000)]
    pub rules: Option<Vec<Rule>>,
    /// End what runs, where that is needed; otherwise the call is refused then.
    #[serde(default)]
    pub end_processes: bool,
}

/// Another end.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SetExpiry {
    /// From now; null: never, where the server allows it.
    #[serde(deserialize_with = "given")]
    #[schema(required = true)]
    pub expires_in: Option<Span>,
}

/// What may be null but not left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A command to run.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExecRequest {
    /// A command line for `/bin/sh -c`. This or `argv`.
    #[schema(min_length = 1)]
    pub command: Option<String>,
    /// A program and its arguments, without a shell.
    #[schema(min_items = 1, max_items = 10_000)]
    pub argv: Option<Vec<String>>,
    /// All of its standard input.
    #[schema(value_type = Option<Data>)]
    pub stdin: Option<Data>,
    /// Variables over the sandbox's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it starts; the workspace without it.
    pub workdir: Option<String>,
    /// When it is ended, with all it started.
    pub timeout: Option<Span>,
}

/// A sandbox to make, a command to run in it, and nothing to clean up.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RunRequest {
    /// The codebase that its workspace shows; without one it begins empty.
    pub codebase_id: Option<String>,
    /// Its version; the newest without it.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub version: Option<u64>,
    /// A ready-made list of rules. With a codebase, this or `rules` or both.
    #[schema(example = "agent-safe")]
    pub preset: Option<String>,
    /// Rules for paths, over those of the preset.
    #[schema(max_items = 1000)]
    pub rules: Option<Vec<Rule>>,
    /// Your words about it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How system files come to be.
    pub runtime: Option<Runtime>,
    /// A registered root file system.
    pub image: Option<String>,
    /// Limits.
    #[serde(default)]
    pub resources: Resources,
    /// What of the network is seen; nothing without it.
    pub network: Option<Network>,
    /// A command line for `/bin/sh -c`. This or `argv`.
    #[schema(min_length = 1)]
    pub command: Option<String>,
    /// A program and its arguments, without a shell.
    #[schema(min_items = 1, max_items = 10_000)]
    pub argv: Option<Vec<String>>,
    /// All of its standard input.
    #[schema(value_type = Option<Data>)]
    pub stdin: Option<Data>,
    /// Its variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it starts; the workspace without it.
    pub workdir: Option<String>,
    /// When it is ended, with all it started.
    pub timeout: Option<Span>,
}

/// A command for a session's shell.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SessionExec {
    /// A command line.
    #[schema(min_length = 1)]
    pub command: String,
    /// When it is ended; the shell lives on.
    #[serde(default)]
    pub timeout: Option<Span>,
}

/// Rows and columns.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Size {
    /// Lines.
    #[schema(minimum = 1, maximum = 65_535)]
    pub rows: u16,
    /// Characters in a line.
    #[schema(minimum = 1, maximum = 65_535)]
    pub cols: u16,
}

/// A shell to start.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NewSession {
    /// Path of the shell inside; `/bin/sh` without it.
    pub shell: Option<String>,
    /// Variables over the sandbox's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Run this program with these arguments instead of a shell; needs a terminal.
    #[schema(min_items = 1, max_items = 10_000)]
    pub argv: Option<Vec<String>>,
    /// A terminal of this size, to be attached to; without it commands are run one by one.
    pub terminal: Option<Size>,
    /// Where it starts; the workspace without it.
    pub workdir: Option<String>,
}

/// How to commit.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Commit {
    /// Leave out what the rules forbid, instead of refusing all of it.
    #[serde(default)]
    pub drop_denied: bool,
    /// Written into the version; the name of your key without it.
    pub author: Option<String>,
}

/// How to throw changes away.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Rollback {
    /// The version to go to; the one it stands on without it.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub onto: Option<u64>,
    /// End what runs; otherwise the call is refused then.
    #[serde(default)]
    pub end_processes: bool,
}

/// A snapshot to put in place.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Restore {
    /// Which.
    pub snapshot_id: String,
    /// End what runs; otherwise the call is refused then.
    #[serde(default)]
    pub end_processes: bool,
}

/// What a client says to a terminal, as text; what it types are binary messages.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TerminalMessage {
    /// The window has another size.
    pub resize: Size,
}
