//! The seam between the agent face and its transports: blocking, free of any runtime and of any wire format.
//!
//! Nouns: a *codebase* is a line of versions; a *sandbox* holds a workspace on one version, seen through rules; a *command* runs in a sandbox; a
//! *session* is a shell that lasts. Every call says who asks ([`Caller`]); what belongs to somebody else does not exist for the caller
//! ([`AgentError::NotFound`]).
//!
//! Ids are a prefix, `_` and 16 lower-case hexadecimal digits (`cb_`, `sb_`, `sess_`, `sn_`): nothing else reaches a path. Times are milliseconds
//! since 1970. Nothing here holds a path of the host, and no error text does: they may be shown to clients.

mod change;
mod codebase;
mod command;
mod error;
mod file;
mod sandbox;
mod session;
mod talk;

use std::io::Read;
use std::sync::Arc;

pub use change::{Change, Commit, Committed, Conflict, Snapshot};
pub use codebase::{Codebase, Download, NewCodebase, TreeEntry, Uploaded, Version};
pub use command::{Evidence, Exec, ExecResult, NoWatcher, Stream, Verdict, Watcher};
pub use error::{AgentError, Result};
pub use file::{Entry, EntryKind, FilePart, FileRange, WatchEvent};
pub use sandbox::{Endings, Image, Network, NewSandbox, Resources, Runtime, Sandbox, SandboxFilter, SandboxStatus};
pub use session::{NewSession, Session, SessionStatus, Signals, Terminal};
pub use talk::{Interaction, MOST_HELD, Next, ROOM, Talk};

pub use enclos_host::cancel::{Cancel, CancelGuard};
pub use enclos_vfs::{Explanation, Kind, Level, Page, PageRequest, Preset, Rule};

/// Who asks. Two callers with different owners see nothing of each other; an operator sees everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the key, or `anonymous` on a server without keys.
    pub name: Arc<str>,
    /// Sees and may change what belongs to others: a server without keys (everybody is the same), or the command line on the same directory.
    pub operator: bool,
}

/// The agent face. Every call blocks; call it from threads that may.
pub trait Agent: Send + Sync {
    /// Makes an empty codebase.
    fn create_codebase(&self, caller: &Caller, new: &NewCodebase) -> Result<Codebase>;
    /// Reads a codebase.
    fn codebase(&self, caller: &Caller, id: &str) -> Result<Codebase>;
    /// Lists codebases, of one owner word or of all that the caller may see.
    fn codebases(&self, caller: &Caller, owner_id: Option<&str>, page: &PageRequest) -> Result<Page<Codebase>>;
    /// Removes a codebase. Refused while a sandbox or snapshot stands on it (W-43).
    fn delete_codebase(&self, caller: &Caller, id: &str) -> Result<()>;
    /// Stores one file as a new version, in constant memory. `mode`: permission bits, 0644 without. `expected`: bytes as announced.
    fn upload(
        &self,
        caller: &Caller,
        codebase: &str,
        path: &str,
        mode: Option<u32>,
        expected: Option<u64>,
        from: &mut dyn Read,
    ) -> Result<Uploaded>;
    /// Stores a tar archive as one new version: over what is there, or in its place. Read in constant memory; links and bits are kept.
    fn upload_archive(&self, caller: &Caller, codebase: &str, replace: bool, from: &mut dyn Read) -> Result<Version>;
    /// Removes paths (with all below them) from the newest version, as one new version.
    fn remove_files(&self, caller: &Caller, codebase: &str, paths: &[String]) -> Result<Version>;
    /// Opens a file of a version (`None`: the newest).
    fn download(&self, caller: &Caller, codebase: &str, version: Option<u64>, path: &str) -> Result<Download>;
    /// A version (`None`: the newest) as a tar archive.
    fn download_archive(&self, caller: &Caller, codebase: &str, version: Option<u64>) -> Result<Box<dyn Read + Send>>;
    /// Lists files of a version (`None`: the newest).
    fn files(
        &self,
        caller: &Caller,
        codebase: &str,
        version: Option<u64>,
        path: &str,
        recursive: bool,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>>;
    /// Lists versions, oldest first.
    fn versions(&self, caller: &Caller, codebase: &str, page: &PageRequest) -> Result<Page<Version>>;

    /// Makes a sandbox; nothing runs yet.
    fn create_sandbox(&self, caller: &Caller, new: &NewSandbox) -> Result<Sandbox>;
    /// Reads a sandbox. Never waits for another call.
    fn sandbox(&self, caller: &Caller, id: &str) -> Result<Sandbox>;
    /// Lists sandboxes in the order in which they were made.
    fn sandboxes(&self, caller: &Caller, filter: &SandboxFilter, page: &PageRequest) -> Result<Page<Sandbox>>;
    /// Brings it to life. [`AgentError::AlreadyRunning`].
    fn start(&self, caller: &Caller, id: &str) -> Result<Sandbox>;
    /// Ends every process in it; files stay. [`AgentError::NotRunning`].
    fn stop(&self, caller: &Caller, id: &str) -> Result<Sandbox>;
    /// Ends every process in it and removes it with its changes. The answer does not wait for the removal of files.
    fn destroy(&self, caller: &Caller, id: &str) -> Result<()>;
    /// Puts other rules in place. A running sandbox is remounted, which ends its processes: refused while any runs unless `endings` allows it.
    fn set_rules(&self, caller: &Caller, id: &str, rules: &[Rule], endings: Endings) -> Result<Sandbox>;
    /// Which rule decides a path (inside the workspace, `/` is its top), and why.
    fn explain(&self, caller: &Caller, id: &str, path: &str) -> Result<Explanation>;
    /// Puts the end of its life elsewhere: milliseconds from now; `None`: never, where the server's bound allows it.
    fn set_expiry(&self, caller: &Caller, id: &str, expires_in_ms: Option<u64>) -> Result<Sandbox>;
    /// Images that can be named in [`NewSandbox::image`].
    fn images(&self, caller: &Caller) -> Result<Vec<Image>>;

    /// What was changed and not committed, sorted by path. A running sandbox is frozen meanwhile.
    fn diff(&self, caller: &Caller, id: &str) -> Result<Vec<Change>>;
    /// Makes a version of what was changed, all of it or nothing. A running sandbox is frozen meanwhile and then goes on, sessions and all.
    fn commit(&self, caller: &Caller, id: &str, commit: &Commit) -> Result<Committed>;
    /// Throws away what was changed; with `onto` goes to another version. Ends processes as [`Agent::set_rules`] does.
    fn rollback(&self, caller: &Caller, id: &str, onto: Option<u64>, endings: Endings) -> Result<Sandbox>;
    /// Copies what was changed. A running sandbox is frozen meanwhile.
    fn snapshot(&self, caller: &Caller, id: &str) -> Result<Snapshot>;
    /// Lists snapshots of a sandbox.
    fn snapshots(&self, caller: &Caller, id: &str, page: &PageRequest) -> Result<Page<Snapshot>>;
    /// Puts a snapshot in place of what was changed. Ends processes as [`Agent::set_rules`] does.
    fn restore(&self, caller: &Caller, id: &str, snapshot: &str, endings: Endings) -> Result<Sandbox>;
    /// Removes a snapshot.
    fn delete_snapshot(&self, caller: &Caller, snapshot: &str) -> Result<()>;
    /// Makes a second sandbox with the same files, rules and settings, stopped. The first is frozen meanwhile.
    fn fork(&self, caller: &Caller, id: &str) -> Result<Sandbox>;

    /// Runs a command to its end, or to its timeout: then everything it started is dead, and what it wrote is in the result.
    fn exec(&self, caller: &Caller, id: &str, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult>;
    /// The same, of a command that is talked to while it runs: its input comes as it is said, after [`Exec::stdin`]. On a terminal everything it shows
    /// is told as standard output.
    fn interact(
        &self,
        caller: &Caller,
        id: &str,
        exec: &Exec,
        with: &Interaction,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult>;
    /// Makes a sandbox, runs a command in it and destroys it.
    fn run(&self, caller: &Caller, new: &NewSandbox, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult>;

    /// Starts a shell that lasts.
    fn create_session(&self, caller: &Caller, sandbox: &str, new: &NewSession) -> Result<Session>;
    /// Reads a session; a closed one too, until its sandbox is destroyed.
    fn session(&self, caller: &Caller, id: &str) -> Result<Session>;
    /// Lists sessions of a sandbox, closed ones too.
    fn sessions(&self, caller: &Caller, sandbox: &str, page: &PageRequest) -> Result<Page<Session>>;
    /// Ends a session with everything its shell started.
    fn destroy_session(&self, caller: &Caller, id: &str) -> Result<()>;
    /// Runs a command in a session's shell. One at a time: the next waits (W-36). [`AgentError::SessionClosed`].
    fn session_exec(
        &self,
        caller: &Caller,
        id: &str,
        command: &str,
        timeout_ms: Option<u64>,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult>;
    /// Takes the terminal of a session that has one; one holder at a time.
    fn attach(&self, caller: &Caller, id: &str) -> Result<Terminal>;

    /// Reads a file of a running sandbox, as its commands would: the rules decide, and no link is followed out of the workspace.
    fn read_file(&self, caller: &Caller, sandbox: &str, path: &str, range: FileRange) -> Result<FilePart>;
    /// Writes a file of a running sandbox, as its commands would; there whole or not at all. `mode`: 0644 without.
    fn write_file(&self, caller: &Caller, sandbox: &str, path: &str, mode: Option<u32>, from: &mut dyn Read) -> Result<u64>;
    /// Lists a directory of a running sandbox, as its commands see it.
    fn list_files(&self, caller: &Caller, sandbox: &str, path: &str) -> Result<Vec<Entry>>;
    /// Removes a file, or a directory with all below it, as a command would.
    fn remove_file(&self, caller: &Caller, sandbox: &str, path: &str, recursive: bool) -> Result<()>;
    /// Tells of changes below a path until `cancel`, or until the receiver says `false`.
    fn watch_files(
        &self,
        caller: &Caller,
        sandbox: &str,
        path: &str,
        cancel: &Cancel,
        receive: &mut dyn FnMut(WatchEvent) -> bool,
    ) -> Result<()>;
}
