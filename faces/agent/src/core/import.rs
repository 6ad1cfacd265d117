//! A directory of this host as a version: for whoever runs the face in their own process.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use enclos_cas::Import;
use rustix::fs::FileType;

use super::{LocalAgent, by, fault};
use crate::api::{Caller, Result};

impl LocalAgent {
    /// Makes a version of a whole directory; `filter` is asked for each path in it. Gives its number, and what could not be taken and why.
    ///
    /// # Errors
    /// A directory that cannot be read, with the path; more than the bounds.
    pub fn import(
        &self,
        caller: &Caller,
        codebase: &str,
        directory: impl AsFd,
        bounds: &Import,
        filter: &mut dyn FnMut(&Path, FileType) -> bool,
    ) -> Result<(u64, Vec<(PathBuf, &'static str)>)> {
        self.inner.check_codebase(caller, codebase)?;
        let done = self.inner.vfs.import(codebase, directory, bounds, filter, by(&caller.name));
        let (version, found) = done.map_err(fault::of_store)?;
        Ok((version.number, found.left_out))
    }
}
