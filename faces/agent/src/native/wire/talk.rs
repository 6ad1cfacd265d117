//! What a client says to a command, over a WebSocket.

use std::collections::BTreeMap;

use enclos_host::wire::{Signal, object};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Data, Size, Span};

object!(StreamedExec, ClientMessage);

/// A command to talk to, over a WebSocket. Its standard input comes afterwards.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct StreamedExec {
    /// A command line for `/bin/sh -c`. This or `argv`.
    #[schema(min_length = 1)]
    pub command: Option<String>,
    /// A program and its arguments, without a shell.
    #[schema(min_items = 1, max_items = 10_000)]
    pub argv: Option<Vec<String>>,
    /// Variables over the sandbox's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it starts; the workspace without it.
    pub workdir: Option<String>,
    /// When it is ended, with all it started.
    pub timeout: Option<Span>,
    /// A terminal of this size for all of its streams; without it they are three pipes.
    pub terminal: Option<Size>,
}

/// What a client says to a command that runs, over a WebSocket, after the request itself. A binary message is standard input as it is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Standard input.
    Stdin {
        /// Exact bytes.
        data: Data,
    },
    /// Standard input ends. On a terminal its end-of-file character is typed, once.
    StdinEnd {},
    /// Sends a signal to the command's process group; on a terminal `SIGINT`, `SIGQUIT` and `SIGTSTP` are for the foreground group.
    Signal {
        /// Which.
        signal: Signal,
    },
    /// The command's terminal has another size.
    Resize {
        /// Lines.
        #[schema(minimum = 1, maximum = 65_535)]
        rows: u16,
        /// Characters in a line.
        #[schema(minimum = 1, maximum = 65_535)]
        cols: u16,
    },
    /// Ends the command.
    Cancel {},
}
