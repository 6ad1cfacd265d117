//! Removing what nothing reaches.

use std::collections::HashSet;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use crate::error::During;
use crate::{CasError, Digest, Entry, Store};

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects removed.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that stay.
    pub kept: u64,
}

impl Store {
    /// Removes every object that no root and no session reaches. `roots` is asked after the collection has begun, so that a session that ends
    /// meanwhile may record its root before or after: either way its objects stay.
    ///
    /// `None`: a collection is under way already.
    ///
    /// # Errors
    /// [`CasError::Missing`] or [`CasError::NotATree`] for a root that is not whole: then nothing was removed. Else the kernel's.
    pub fn collect<R>(&self, roots: impl FnOnce() -> Result<Vec<Digest>, R>) -> Result<Option<Collected>, R>
    where
        R: From<CasError>,
    {
        let Some(pinned) = self.pins().begin() else { return Ok(None) };
        let _ends = Ending(self);
        let (mut live, mut trees) = (HashSet::new(), HashSet::new());
        for tree in pinned {
            self.mark(tree, true, &mut live, &mut trees)?;
        }
        for root in roots()? {
            self.mark(root, false, &mut live, &mut trees)?;
        }
        loop {
            let late = self.pins().late(&mut live);
            if late.is_empty() {
                break;
            }
            for tree in late {
                self.mark(tree, true, &mut live, &mut trees)?;
            }
        }
        Ok(Some(self.sweep()?))
    }

    /// Adds a tree and all below it. `pinned`: it may be staged still, and then its session pins what it names. What was seen as a tree is kept
    /// apart from what is live: a file may hold the bytes of a tree, and says nothing about what that one names.
    fn mark(&self, root: Digest, pinned: bool, live: &mut HashSet<Digest>, trees: &mut HashSet<Digest>) -> Result<(), CasError> {
        let mut waiting = vec![(root, pinned)];
        while let Some((digest, pinned)) = waiting.pop() {
            if trees.contains(&digest) {
                continue;
            }
            let tree = match self.tree(&digest) {
                Err(CasError::Missing(_)) if pinned => continue,
                other => other?,
            };
            trees.insert(digest);
            live.insert(digest);
            for (_, entry) in tree.iter() {
                match entry {
                    Entry::File { digest, .. } => {
                        live.insert(*digest);
                    }
                    Entry::Directory { digest, .. } => waiting.push((*digest, pinned)),
                    Entry::Link { .. } => {}
                }
            }
        }
        Ok(())
    }

    fn sweep(&self) -> Result<Collected, CasError> {
        let mut done = Collected::default();
        self.each_object(|digest, size| {
            let mut pins = self.pins();
            if !pins.dead(&digest) {
                done.kept += 1;
                return Ok(());
            }
            match unlinkat(&self.objects, digest.place(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno).during("removing", digest.place()),
            }
            (pins.bytes, pins.objects) = (pins.bytes.saturating_sub(size), pins.objects.saturating_sub(1));
            done.objects += 1;
            done.bytes += size;
            Ok(())
        })?;
        Ok(done)
    }
}

/// Ends the collection however it ends.
struct Ending<'a>(&'a Store);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.pins().end();
    }
}
