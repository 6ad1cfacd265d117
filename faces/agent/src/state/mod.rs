//! What is known of sandboxes and sessions, in a database that outlives the process.
//!
//! Reading a sandbox never comes here: everything is in memory as well, and this is written beside it. `WAL` with `synchronous = NORMAL` survives
//! a kill of the server at any point; what was written in the last moments before the *machine* lost power may be missing, and then the sandbox is
//! gone too. A thread of its own moves the log into the database, so that nobody's write waits for the disk.

mod record;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::api::{AgentError, Result};

pub use record::{Sandbox, Session, Status, network_word, runtime_word};

/// Version of the tables (`PRAGMA user_version`).
const SCHEMA: i64 = 1;

/// How long another holder of the file is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The database.
#[derive(Debug)]
pub struct State {
    connection: Mutex<Connection>,
    checkpoints: Mutex<Connection>,
}

fn failed(doing: &str) -> impl Fn(rusqlite::Error) -> AgentError + '_ {
    move |error| {
        enclos_host::tracing::error!(%error, doing, "the agent's records");
        AgentError::Internal(format!("{doing} the records: {error}"))
    }
}

impl State {
    /// Opens the database, which is made if it is missing.
    ///
    /// # Errors
    /// SQLite's, or tables of another version.
    pub fn open(path: &Path) -> Result<State> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(PATIENCE)?;
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;")?;
            connection.set_prepared_statement_cache_capacity(32);
            Ok(connection)
        };
        let connection = open().map_err(failed("opening"))?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed("reading"))?;
        match found {
            0 => connection
                .execute_batch(&format!("BEGIN IMMEDIATE; {} PRAGMA user_version = {SCHEMA}; COMMIT;", include_str!("schema.sql")))
                .map_err(failed("making"))?,
            SCHEMA => {}
            _ => return Err(AgentError::Internal(format!("the records have version {found}, and this program knows {SCHEMA} only"))),
        }
        let checkpoints = open().map_err(failed("opening"))?;
        Ok(State { connection: Mutex::new(connection), checkpoints: Mutex::new(checkpoints) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A statement that a panic cut off was rolled back when it was dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the log into the database, off everybody's path. Somebody calls it from time to time.
    pub fn checkpoint(&self) {
        let connection = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            enclos_host::tracing::warn!(%error, "the log of the agent's records could not be moved");
        }
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<()> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed("writing"))?;
        statement.execute(values).map(drop).map_err(failed("writing"))
    }

    /// Writes a sandbox, over what was known of it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_sandbox(&self, number: u64, sandbox: &Sandbox) -> Result<()> {
        let text = text(sandbox)?;
        self.execute("INSERT OR REPLACE INTO sandbox (number, id, record) VALUES (?1, ?2, ?3)", params![number, sandbox.id, text])
    }

    /// Forgets a sandbox with its sessions.
    ///
    /// # Errors
    /// SQLite's.
    pub fn remove_sandbox(&self, id: &str) -> Result<()> {
        self.execute("DELETE FROM session WHERE sandbox = ?1", [id])?;
        self.execute("DELETE FROM sandbox WHERE id = ?1", [id])
    }

    /// Every sandbox with its number, in order.
    ///
    /// # Errors
    /// SQLite's, or a record that cannot be read.
    pub fn sandboxes(&self) -> Result<Vec<(u64, Sandbox)>> {
        self.read("SELECT number, record FROM sandbox ORDER BY number")
    }

    /// Writes a session, over what was known of it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_session(&self, number: u64, session: &Session) -> Result<()> {
        let text = text(session)?;
        self.execute(
            "INSERT OR REPLACE INTO session (number, id, sandbox, record) VALUES (?1, ?2, ?3, ?4)",
            params![number, session.id, session.sandbox, text],
        )
    }

    /// Every session with its number, in order.
    ///
    /// # Errors
    /// SQLite's, or a record that cannot be read.
    pub fn sessions(&self) -> Result<Vec<(u64, Session)>> {
        self.read("SELECT number, record FROM session ORDER BY number")
    }

    /// Says whose a codebase is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_codebase(&self, id: &str, owner: &str) -> Result<()> {
        self.execute("INSERT OR REPLACE INTO codebase (id, owner) VALUES (?1, ?2)", [id, owner])
    }

    /// Forgets a codebase.
    ///
    /// # Errors
    /// SQLite's.
    pub fn remove_codebase(&self, id: &str) -> Result<()> {
        self.execute("DELETE FROM codebase WHERE id = ?1", [id])
    }

    /// Every codebase and whose it is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn codebases(&self) -> Result<Vec<(String, String)>> {
        self.pairs("SELECT id, owner FROM codebase")
    }

    /// Says of which sandbox a snapshot is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_snapshot(&self, id: &str, sandbox: &str, owner: &str) -> Result<()> {
        self.execute("INSERT OR REPLACE INTO snapshot (id, sandbox, owner) VALUES (?1, ?2, ?3)", [id, sandbox, owner])
    }

    /// The sandbox of a snapshot, and whose it is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn snapshot(&self, id: &str) -> Result<Option<(String, String)>> {
        let connection = self.lock();
        let found = connection.query_row("SELECT sandbox, owner FROM snapshot WHERE id = ?1", [id], |row| Ok((row.get(0)?, row.get(1)?)));
        found.optional().map_err(failed("reading"))
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// SQLite's.
    pub fn remove_snapshot(&self, id: &str) -> Result<()> {
        self.execute("DELETE FROM snapshot WHERE id = ?1", [id])
    }

    /// A text that is kept under a name.
    ///
    /// # Errors
    /// SQLite's.
    pub fn note(&self, name: &str) -> Result<Option<String>> {
        let connection = self.lock();
        connection.query_row("SELECT value FROM note WHERE name = ?1", [name], |row| row.get(0)).optional().map_err(failed("reading"))
    }

    /// Keeps a text under a name.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_note(&self, name: &str, value: &str) -> Result<()> {
        self.execute("INSERT OR REPLACE INTO note (name, value) VALUES (?1, ?2)", [name, value])
    }

    fn pairs(&self, sql: &str) -> Result<Vec<(String, String)>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed("reading"))?;
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed("reading"))?;
        found.collect::<rusqlite::Result<_>>().map_err(failed("reading"))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, sql: &str) -> Result<Vec<(u64, T)>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed("reading"))?;
        let found = statement.query_map([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?))).map_err(failed("reading"))?;
        let mut records = Vec::new();
        for row in found {
            let (number, text) = row.map_err(failed("reading"))?;
            let record = serde_json::from_str(&text).map_err(|error| AgentError::Internal(format!("a record cannot be read: {error}")))?;
            records.push((number, record));
        }
        Ok(records)
    }
}

fn text(record: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(record).map_err(|error| AgentError::Internal(format!("a record cannot be written: {error}")))
}
