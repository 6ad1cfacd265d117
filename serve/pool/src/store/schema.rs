//! The file: how it is opened, locked and shaped.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::{During as _, StoreError};

/// `PRAGMA user_version` of files written by this program.
const FORMAT: i64 = 1;

/// `size`: bytes of request and result, so that the retention need not read them.
const SCHEMA: &str = "
CREATE TABLE runs (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    token    TEXT NOT NULL UNIQUE,
    batch    TEXT,
    owner    TEXT NOT NULL,
    state    INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    request  BLOB NOT NULL,
    result   BLOB,
    summary  TEXT,
    size     INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    started  INTEGER,
    ended    INTEGER,
    attempts INTEGER NOT NULL,
    notice   INTEGER NOT NULL CHECK (notice BETWEEN 0 AND 3)
) STRICT;
CREATE INDEX runs_of_a_batch ON runs (batch, id) WHERE batch IS NOT NULL;
CREATE INDEX unfinished_runs ON runs (id) WHERE state <= 1;
CREATE INDEX ended_runs ON runs (ended, id, size) WHERE state >= 2;
CREATE INDEX due_notices ON runs (id) WHERE notice = 1;
";

/// The store's connection, of the current format.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    // SQLite would make it with the mode of the umask, and its companions with the mode of the file.
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::Io { operation: "open the file", source })?;
    let mut connection = Connection::open(path).during("open")?;
    // A server that was just killed holds the lock until the kernel has taken it apart.
    connection.busy_timeout(Duration::from_secs(2)).during("set up")?;
    // The exclusive mode keeps the lock from the first change to the end of the process, and needs no shared memory beside the file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").during("ask for the lock")?;
    in_use(path, connection.pragma_update(None, "journal_mode", "WAL"))?;
    connection.pragma_update(None, "synchronous", "FULL").during("set up")?;
    // The journal is written over from its start instead of growing for ever.
    connection.pragma_update(None, "journal_size_limit", 64 << 20).during("set up")?;
    let change = in_use_transaction(path, &mut connection)?;
    let found: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0)).during("read the format")?;
    match found {
        FORMAT => {}
        0 => {
            change.execute_batch(SCHEMA).during("make the tables")?;
            change.pragma_update(None, "user_version", FORMAT).during("write the format")?;
        }
        found => return Err(StoreError::Later { path: path.to_owned(), found, known: FORMAT }),
    }
    change.commit().during("make the tables")?;
    Ok(connection)
}

fn in_use_transaction<'a>(path: &Path, connection: &'a mut Connection) -> Result<rusqlite::Transaction<'a>, StoreError> {
    in_use(path, connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive))
}

/// SQLite's "busy" by its cause.
fn in_use<T>(path: &Path, result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse(path.to_owned()),
        _ => StoreError::Sqlite { operation: "take the lock", source },
    })
}
