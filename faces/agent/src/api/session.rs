//! Sessions: shells that last.

use std::collections::BTreeMap;
use std::fs::File;

/// A session to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSession {
    /// Path of the shell inside; empty: `/bin/sh`.
    pub shell: String,
    /// Variables over the sandbox's.
    pub env: BTreeMap<String, String>,
    /// A terminal of this size (rows, columns), to be attached to; without, commands are run one by one with separate streams.
    pub terminal: Option<(u16, u16)>,
    /// Run this program with these arguments in the shell's place; needs a terminal, and then `shell` is empty. The session ends with it.
    pub argv: Vec<String>,
    /// Where it starts; `None`: the workspace.
    pub workdir: Option<String>,
}

/// Whether the shell lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// It lives.
    Active,
    /// It has ended.
    Closed,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sess_…`.
    pub id: String,
    /// Its sandbox.
    pub sandbox_id: String,
    /// Whether the shell lives.
    pub status: SessionStatus,
    /// Path of the shell.
    pub shell: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub closed_at: Option<i64>,
    /// What the shell ended with; 128 + n after signal n. Absent while it lives, and where nobody can say.
    pub exit_code: Option<i32>,
    /// It has a terminal.
    pub terminal: bool,
}

/// Sends a signal to the program of a terminal; one that has ended gets none.
pub type Signals = Box<dyn Fn(i32) + Send + Sync>;

/// The caller's end of a session's terminal. Reading gives what is shown, writing types; the end of the file (or EIO) is the end of the shell.
/// The holder may put `master` into non-blocking mode, which every copy of the descriptor shares.
pub struct Terminal {
    /// To read from and to write to.
    pub master: File,
    /// To its program: the shell, or what runs in its place.
    pub signals: Signals,
    /// Dropped when the holder is done: the next may attach then.
    pub place: Box<dyn Send>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("master", &self.master).finish_non_exhaustive()
    }
}
