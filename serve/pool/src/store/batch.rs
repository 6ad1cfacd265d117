//! Many runs under one token: taken together or not at all.

use rusqlite::params;

use super::{COLUMNS, During as _, Record, Store, StoreError, insert, new_token, now, record};
use crate::token::Token;

/// A batch that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its own name.
    pub token: Token,
    /// The names of its runs, in the order they were given.
    pub runs: Vec<Token>,
}

impl Store {
    /// Takes many runs, in one transaction. `notify`, for each: somebody is to be told of its end.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then none was taken.
    pub fn accept_batch(&self, owner: &str, requests: &[(Vec<u8>, bool)]) -> Result<Batch, StoreError> {
        let token = new_token()?;
        let runs = requests.iter().map(|_| new_token()).collect::<Result<Vec<_>, _>>()?;
        let mut inner = self.lock();
        let change = inner.connection.transaction().during("accept a batch")?;
        let now = now();
        for (run, (request, notify)) in runs.iter().zip(requests) {
            insert(&change, run, Some(&token), owner, request, *notify, now).during("accept a batch")?;
        }
        change.commit().during("accept a batch")?;
        Ok(Batch { token, runs })
    }

    /// The runs of a batch of this owner, in the order they were given, without what was asked and answered; empty: it has no such batch, or the
    /// retention took it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn batch(&self, owner: &str, token: &Token) -> Result<Vec<Record>, StoreError> {
        let inner = self.lock();
        let columns = COLUMNS.replace("request, result", "x'' AS request, NULL AS result");
        let sql = format!("SELECT {columns} FROM runs WHERE batch = ?1 AND owner = ?2 ORDER BY id");
        let mut statement = inner.connection.prepare(&sql).during("get a batch")?;
        let rows = statement.query_map(params![token.to_string(), owner], record);
        rows.and_then(Iterator::collect).during("get a batch")
    }

    /// Gives a whole batch back that found no place in the queue.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; its runs may then be executed at the next start.
    pub fn forget_batch(&self, token: &Token) -> Result<(), StoreError> {
        self.lock().connection.execute("DELETE FROM runs WHERE batch = ?1", [token.to_string()]).during("forget a batch")?;
        Ok(())
    }
}
