//! Asynchronous runs on disk: what was accepted is answered, also by the next server.
//!
//! ```text
//!           accept            begin               finish
//!   client ───────► Waiting ───────► Running ───────────────► Finished ─┐ retention
//!                      │  ▲             │ server killed                 ├──────────► gone
//!                      │  └─────────────┘ (next start: unfinished)      │
//!                      └──── cancel ────┴──────────────► Cancelled ─────┘
//! ```
//!
//! SQLite in write-ahead mode, one connection, every change one transaction on disk before it is answered (`synchronous = FULL`), so
//! neither `kill -9` nor a power cut loses an accepted run. A run may be executed twice (when the server dies between its end and
//! [`Store::finish`]), but has one result. A run during which the server dies again and again would kill every next server: after
//! [`Store::ATTEMPTS`] beginnings it is given up, and says so.
//!
//! The file is for one server at a time: it is locked while open, and a second one is refused by name.

mod batch;
mod record;
mod schema;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

pub use batch::Batch;
pub use record::{Begun, Halted, Notice, Record, Retention, State, Unfinished};

use crate::token::Token;

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{}: another process has this store of runs open; give each server its own", .0.display())]
    InUse(PathBuf),
    /// It was written by a later version.
    #[error("{}: written by a later version (format {found}, this program knows {known})", .path.display())]
    Later {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest known here.
        known: i64,
    },
    /// SQLite says no.
    #[error("store of runs, {operation}: {source}")]
    Sqlite {
        /// What was being done.
        operation: &'static str,
        /// SQLite's words.
        source: rusqlite::Error,
    },
    /// The kernel says no.
    #[error("store of runs, {operation}: {source}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The kernel's words.
        source: std::io::Error,
    },
}

pub(crate) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for rusqlite::Result<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Sqlite { operation, source })
    }
}

/// Ended runs between two looks at the retention.
const PRUNE_EVERY: u32 = 32;

/// Asynchronous runs, on disk.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    retention: Retention,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    ended_since_prune: u32,
}

impl Store {
    /// How often a run is begun before it is given up.
    pub const ATTEMPTS: u32 = 5;

    /// Opens the store, making it if there is none: readable by this user alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the place cannot be written, another process has it open, or it is of a later version.
    pub fn open(path: &Path, retention: Retention) -> Result<Self, StoreError> {
        let store = Self { inner: Mutex::new(Inner { connection: schema::open(path)?, ended_since_prune: 0 }), retention };
        store.prune()?;
        Ok(store)
    }

    /// Takes a run; from now on it is promised. `notify`: somebody is to be told of its end.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing was taken.
    pub fn accept(&self, owner: &str, request: &[u8], notify: bool) -> Result<Token, StoreError> {
        let token = new_token()?;
        insert(&self.lock().connection, &token, None, owner, request, notify, now()).during("accept")?;
        Ok(token)
    }

    /// Gives a run back that found no place in the queue.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the run may then be executed at the next start, though nobody has its token.
    pub fn forget(&self, token: &Token) -> Result<(), StoreError> {
        self.lock().connection.execute("DELETE FROM runs WHERE token = ?1", [token.to_string()]).during("forget")?;
        Ok(())
    }

    /// A run is about to be executed.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the run must not be executed then.
    pub fn begin(&self, token: &Token) -> Result<Begun, StoreError> {
        let inner = self.lock();
        let attempt = "UPDATE runs SET state = 1, started = ?2, attempts = attempts + 1 WHERE token = ?1 AND state <= 1 RETURNING attempts";
        let attempts: Option<u32> =
            inner.connection.query_row(attempt, params![token.to_string(), now()], |row| row.get(0)).optional().during("begin")?;
        Ok(match attempts {
            None => Begun::Ended,
            Some(attempts) if attempts > Self::ATTEMPTS => Begun::GivenUp,
            Some(attempts) => Begun::Attempt(attempts),
        })
    }

    /// A begun run was stopped by the orderly end of this server: the beginning does not count, and the next server takes it up.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the next server takes it up all the same.
    pub fn put_back(&self, token: &Token) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = 0, started = NULL, attempts = attempts - 1 WHERE token = ?1 AND state = 1";
        self.lock().connection.execute(sql, [token.to_string()]).during("put back")?;
        Ok(())
    }

    /// A run has its result, and in short `summary`, for lists. `false`: it had ended before (it was cancelled), and the result was not taken.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the run counts as unfinished, and will be executed again at the next start.
    pub fn finish(&self, token: &Token, result: &[u8], summary: &str) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        let sql =
            "UPDATE runs SET state = 2, ended = ?2, result = ?3, summary = ?4, size = size + length(?3) WHERE token = ?1 AND state <= 1";
        let changed = inner.connection.execute(sql, params![token.to_string(), now(), result, summary]).during("finish")?;
        self.pruned_sometimes(&mut inner)?;
        Ok(changed == 1)
    }

    /// Cancels a run of this owner.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing was cancelled.
    pub fn cancel(&self, owner: &str, token: &Token) -> Result<Halted, StoreError> {
        let inner = self.lock();
        let sql = "UPDATE runs SET state = 3, ended = ?3 WHERE token = ?1 AND owner = ?2 AND state <= 1";
        if inner.connection.execute(sql, params![token.to_string(), owner, now()]).during("cancel")? == 1 {
            return Ok(Halted::Now);
        }
        let sql = "SELECT state FROM runs WHERE token = ?1 AND owner = ?2";
        let state = inner.connection.query_row(sql, params![token.to_string(), owner], |row| state(row, 0)).optional().during("cancel")?;
        Ok(state.map_or(Halted::Unknown, Halted::Already))
    }

    /// A run of this owner; `None`: it has none of this name.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn get(&self, owner: &str, token: &Token) -> Result<Option<Record>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE token = ?1 AND owner = ?2");
        self.lock().connection.query_row(&sql, params![token.to_string(), owner], record).optional().during("get")
    }

    /// What was accepted, here or by servers before, and has not ended; oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let inner = self.lock();
        let mut statement =
            inner.connection.prepare("SELECT token, owner, request FROM runs WHERE state <= 1 ORDER BY id").during("list")?;
        let rows = statement.query_map([], |row| Ok(Unfinished { token: token(row, 0)?, owner: row.get(1)?, request: row.get(2)? }));
        rows.and_then(Iterator::collect).during("list")
    }

    /// Ended runs whose end somebody is still to be told of, with whose they are; oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn notices(&self) -> Result<Vec<(String, Record)>, StoreError> {
        let inner = self.lock();
        let sql = format!("SELECT {COLUMNS}, owner FROM runs WHERE notice = 1 AND state >= 2 ORDER BY id");
        let mut statement = inner.connection.prepare(&sql).during("list notices")?;
        let rows = statement.query_map([], |row| Ok((row.get(10)?, record(row)?)));
        rows.and_then(Iterator::collect).during("list notices")
    }

    /// Somebody was told, or cannot be.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; they may be told again.
    pub fn noticed(&self, token: &Token, delivered: bool) -> Result<(), StoreError> {
        let notice = if delivered { 2 } else { 3 };
        self.lock()
            .connection
            .execute("UPDATE runs SET notice = ?2 WHERE token = ?1", params![token.to_string(), notice])
            .during("note the notice")?;
        Ok(())
    }

    /// Removes ended runs beyond the retention. Done by itself at the start and now and then.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn prune(&self) -> Result<u64, StoreError> {
        self.prune_at(&mut self.lock(), now())
    }

    fn prune_at(&self, inner: &mut Inner, now: u64) -> Result<u64, StoreError> {
        inner.ended_since_prune = 0;
        let oldest = now.saturating_sub(u64::try_from(self.retention.age.as_millis()).unwrap_or(u64::MAX));
        // The bytes are summed from the newest to the oldest; what lies behind the first that passes a bound goes.
        let sql = "DELETE FROM runs WHERE id IN (SELECT id FROM (
                SELECT id, ended, row_number() OVER newest AS place, sum(size) OVER newest AS bytes FROM runs WHERE state >= 2
                WINDOW newest AS (ORDER BY ended DESC, id DESC ROWS UNBOUNDED PRECEDING)
            ) WHERE ended < ?1 OR place > ?2 OR bytes > ?3)";
        let bound = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let removed = inner
            .connection
            .execute(sql, params![bound(oldest), bound(self.retention.runs), bound(self.retention.bytes)])
            .during("remove old runs")?;
        Ok(removed as u64)
    }

    fn pruned_sometimes(&self, inner: &mut Inner) -> Result<(), StoreError> {
        inner.ended_since_prune += 1;
        if inner.ended_since_prune >= PRUNE_EVERY {
            self.prune_at(inner, now())?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const COLUMNS: &str = "token, batch, state, request, result, created, started, ended, notice, summary";

fn insert(
    connection: &Connection,
    token: &Token,
    batch: Option<&Token>,
    owner: &str,
    request: &[u8],
    notify: bool,
    now: u64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO runs (token, batch, owner, state, request, size, created, attempts, notice)
        VALUES (?1, ?2, ?3, 0, ?4, length(?4), ?5, 0, ?6)";
    connection.execute(sql, params![token.to_string(), batch.map(Token::to_string), owner, request, now, u8::from(notify)]).map(drop)
}

fn new_token() -> Result<Token, StoreError> {
    Token::new().map_err(|source| StoreError::Io { operation: "make a token", source })
}

/// Milliseconds since 1970: the time of day, because it has to mean something to the next server.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn bad(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, what.into())
}

fn token(row: &Row<'_>, column: usize) -> rusqlite::Result<Token> {
    row.get::<_, String>(column)?.parse().map_err(|_| bad(column, "no token"))
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    Ok(match row.get::<_, u8>(column)? {
        0 => State::Waiting,
        1 => State::Running,
        2 => State::Finished,
        3 => State::Cancelled,
        _ => return Err(bad(column, "no state")),
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let batch: Option<String> = row.get(1)?;
    Ok(Record {
        token: token(row, 0)?,
        batch: batch.map(|text| text.parse().map_err(|_| bad(1, "no token"))).transpose()?,
        state: state(row, 2)?,
        request: row.get(3)?,
        result: row.get(4)?,
        summary: row.get(9)?,
        created: row.get(5)?,
        started: row.get(6)?,
        ended: row.get(7)?,
        notice: match row.get::<_, u8>(8)? {
            0 => Notice::None,
            1 => Notice::Due,
            2 => Notice::Delivered,
            3 => Notice::Failed,
            _ => return Err(bad(8, "no notice")),
        },
    })
}
