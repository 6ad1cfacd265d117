//! What is left of a workspace, for whoever has the time to deal with it.

use std::path::PathBuf;

use super::{files, passing};
use crate::VfsError;

/// What is left of a workspace that is gone. Removed when it is dropped; what cannot be removed goes when the store is opened next.
#[derive(Debug)]
#[must_use = "dropping it takes as long as removing the files does: do it where nobody waits"]
pub struct Leftover {
    pub(super) path: Option<PathBuf>,
    /// It may serve again.
    pub(super) again: Option<(passing::Place, passing::Free)>,
}

impl Leftover {
    /// Removes it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(mut self) -> Result<(), VfsError> {
        self.path.take().map_or(Ok(()), |path| files::remove(&path))
    }

    /// Keeps what can serve again ([`Vfs::create_passing`]), and removes everything else. Nobody may have it mounted any more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn recycle(mut self) -> Result<(), VfsError> {
        match self.again.take() {
            None => self.remove(),
            Some((place, free)) => {
                self.path = None;
                passing::keep(place, &free)
            }
        }
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = files::remove(&path);
        }
    }
}
