//! Removing a group: nothing of ours stays behind.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::file::open_dir;
use crate::group::Node;
use crate::wait::Deadline;
use crate::{CgroupError, Group};

/// How long [`Group::remove`] waits for the last process to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long dropping a group may take.
const DROP_PATIENCE: Duration = Duration::from_millis(250);

/// How deep groups made inside a group are followed. A sandbox sees no cgroup file system, so there are none; a delegated one may.
pub(crate) const DEPTH: usize = 16;

impl Group {
    /// Removes the group in every hierarchy. Kill first: it waits up to two seconds for processes that are on their way out, and no longer.
    /// May be called again after an error; what was removed stays removed.
    ///
    /// # Errors
    /// [`CgroupError::Io`] naming the directory; `EBUSY` when there still are processes.
    pub fn remove(&mut self) -> Result<(), CgroupError> {
        self.remove_within(Deadline::after(PATIENCE))
    }

    fn remove_within(&mut self, deadline: Deadline) -> Result<(), CgroupError> {
        // Write handles on a group's files do not hold it, but they would be of no use any more.
        self.close_v1_tasks();
        let mut first_error = None;
        for node in std::mem::take(&mut self.nodes) {
            match remove_node(&node, self.name.as_str(), deadline) {
                Ok(()) => node.parent.left(),
                Err(errno) => {
                    first_error = first_error.or_else(|| Some(self.io("remove", &node, "", errno)));
                    self.nodes.push(node);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.nodes.is_empty() || self.remove_within(Deadline::after(Duration::ZERO)).is_ok() {
            return;
        }
        let _ = self.kill();
        let _ = self.remove_within(Deadline::after(DROP_PATIENCE));
    }
}

fn remove_node(node: &Node, name: &str, deadline: Deadline) -> Result<(), Errno> {
    loop {
        match remove_tree(&*node.within, name, DEPTH) {
            Err(Errno::BUSY) => {}
            result => return result,
        }
        // The kernel counts a process out a moment after it tells of its end; hence the pause even when it says there is none.
        let empty = Group::node_empties(node, deadline)?;
        if !deadline.pause() || !empty {
            return Err(Errno::BUSY);
        }
    }
}

/// Removes the group `name` in `within`, with groups inside it, deepest first. One that is gone already is no failure.
pub(crate) fn remove_tree(within: impl AsFd, name: &str, depth: usize) -> Result<(), Errno> {
    let remove = || match unlinkat(&within, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT | Errno::NODEV) => Ok(()),
        result => result,
    };
    match remove() {
        Err(Errno::BUSY | Errno::NOTEMPTY) if depth > 0 => {}
        result => return result,
    }
    let dir = match open_dir(&within, name) {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        result => result?,
    };
    for inner in subdirectories(&dir)? {
        remove_tree(&dir, &inner, depth - 1)?;
    }
    remove()
}

/// The names of the directories in a directory; names that are not UTF-8 are left out, ours are.
pub(crate) fn subdirectories(dir: impl AsFd) -> Result<Vec<String>, Errno> {
    let listing = openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(listing)? {
        let entry = match entry {
            Err(Errno::NOENT) => break,
            result => result?,
        };
        match entry.file_name().to_str() {
            Ok(name) if name != "." && name != ".." && entry.file_type() == FileType::Directory => names.push(name.to_owned()),
            _ => {}
        }
    }
    Ok(names)
}
