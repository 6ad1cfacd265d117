//! Writing.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, fdatasync, fsync, openat, renameat_with, syncfs, unlinkat};
use rustix::io::Errno;

use crate::error::During;
use crate::store::CHUNK;
use crate::{CasError, Digest, Entry, Hasher, Quantity, Store, Tree};

/// From how many staged objects on one `syncfs` is cheaper than an `fdatasync` for each.
const MANY: usize = 8;

/// One piece of writing. What goes through it is pinned until it is dropped; what it staged and did not [settle](Session::settle) is gone then.
#[derive(Debug)]
pub struct Session<'a> {
    pub(crate) store: &'a Store,
    /// Each is in the store or among `staged`, and counted once among the store's pins.
    pinned: HashSet<Digest>,
    staged: Vec<Staged>,
}

#[derive(Debug)]
struct Staged {
    name: String,
    digest: Digest,
    size: u64,
}

impl Store {
    /// Begins a session.
    #[must_use]
    pub fn session(&self) -> Session<'_> {
        Session { store: self, pinned: HashSet::new(), staged: Vec::new() }
    }
}

impl Session<'_> {
    /// Stages a blob of at most `max` bytes, in constant memory. Returns its digest and bytes.
    ///
    /// # Errors
    /// [`CasError::Quota`] at the first byte too many, [`CasError::Stream`] when `from` fails, or the kernel's.
    pub fn put(&mut self, from: impl Read, max: u64) -> Result<(Digest, u64), CasError> {
        let name = self.store.staging_name();
        self.store.reserve(0, 1)?;
        let mut size = 0;
        match self.stage(&name, from, max, &mut size).and_then(|digest| self.keep(digest, &name, size)) {
            Ok(digest) => Ok((digest, size)),
            Err(error) => {
                let _ = unlinkat(&self.store.staging, &name, AtFlags::empty());
                self.store.release(size, 1);
                Err(error)
            }
        }
    }

    /// Copies into a staged file; `size` grows with what was counted against the quota.
    fn stage(&self, name: &str, mut from: impl Read, max: u64, size: &mut u64) -> Result<Digest, CasError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.store.staging, name, flags, Mode::RUSR).during("making", name)?;
        let mut file = File::from(file);
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(CasError::Stream { doing: "reading", source }),
            };
            if *size + count as u64 > max {
                return Err(CasError::Quota { quantity: Quantity::Bytes, limit: max });
            }
            self.store.reserve(count as u64, 0)?;
            *size += count as u64;
            hasher.update(&buffer[..count]);
            std::io::Write::write_all(&mut file, &buffer[..count]).during("writing", name)?;
        }
    }

    /// Pins what was staged; throws the staged bytes away when the store has them.
    fn keep(&mut self, digest: Digest, name: &str, size: u64) -> Result<Digest, CasError> {
        if !self.pinned.contains(&digest) {
            self.store.pins().pin(digest, false);
            // Looked for after the pin: from here on nobody removes it.
            let there = self.store.contains(&digest).inspect_err(|_| self.store.pins().unpin(&digest))?;
            self.pinned.insert(digest);
            if !there {
                self.staged.push(Staged { name: name.to_owned(), digest, size });
                return Ok(digest);
            }
        }
        unlinkat(&self.store.staging, name, AtFlags::empty()).during("removing", name)?;
        self.store.release(size, 1);
        Ok(digest)
    }

    /// Stages a blob.
    ///
    /// # Errors
    /// As [`Session::put`].
    pub fn put_bytes(&mut self, bytes: &[u8]) -> Result<Digest, CasError> {
        self.put(bytes, u64::MAX).map(|(digest, _)| digest)
    }

    /// Stages a tree. All it names must be in this session or in the store; it is pinned with it.
    ///
    /// # Errors
    /// [`CasError::Missing`] with the first that is neither; else as [`Session::put`].
    pub fn put_tree(&mut self, tree: &Tree) -> Result<Digest, CasError> {
        for (_, entry) in tree.iter() {
            match entry {
                Entry::File { digest, .. } => self.adopt_object(*digest, false)?,
                Entry::Directory { digest, .. } => self.adopt_object(*digest, true)?,
                Entry::Link { .. } => {}
            }
        }
        let digest = self.put_bytes(&tree.encode())?;
        // Its own pin says that it is a tree, so that a collection looks below it.
        self.store.pins().pin(digest, true);
        self.store.pins().unpin(&digest);
        Ok(digest)
    }

    /// Keeps a tree of the store, and all below it, until the session ends.
    ///
    /// # Errors
    /// [`CasError::Missing`], or the kernel's.
    pub fn adopt(&mut self, tree: Digest) -> Result<(), CasError> {
        self.adopt_object(tree, true)
    }

    /// Keeps a blob until the session ends, if the store or this session has it; `false`: neither has.
    ///
    /// # Errors
    /// The kernel's.
    pub fn adopt_blob(&mut self, digest: Digest) -> Result<bool, CasError> {
        match self.adopt_object(digest, false) {
            Ok(()) => Ok(true),
            Err(CasError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn adopt_object(&mut self, digest: Digest, tree: bool) -> Result<(), CasError> {
        if self.pinned.contains(&digest) {
            return Ok(());
        }
        if !self.store.pins().adopt(digest, tree) {
            return Err(CasError::Missing(digest));
        }
        let there = self.store.contains(&digest);
        if !matches!(there, Ok(true)) {
            self.store.pins().unpin(&digest);
            return Err(there.err().unwrap_or(CasError::Missing(digest)));
        }
        self.pinned.insert(digest);
        Ok(())
    }

    /// Makes everything staged so far durable, then puts it into place. After this it can be read.
    ///
    /// # Errors
    /// The kernel's; then nothing that is in place is torn.
    pub fn settle(&mut self) -> Result<(), CasError> {
        let store = self.store;
        if self.staged.len() >= MANY {
            syncfs(&store.root).during("syncing", "staging")?;
        } else {
            for staged in &self.staged {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(&store.staging, &staged.name, flags, Mode::empty()).during("opening", &staged.name)?;
                fdatasync(&file).during("syncing", &staged.name)?;
            }
        }
        let mut shards = HashSet::new();
        while let Some(staged) = self.staged.last() {
            let place = staged.digest.place();
            match renameat_with(&store.staging, &staged.name, &store.objects, &place, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                // Another session was first, with the same bytes.
                Err(Errno::EXIST) => {
                    unlinkat(&store.staging, &staged.name, AtFlags::empty()).during("removing", &staged.name)?;
                    store.release(staged.size, 1);
                }
                Err(errno) => return Err(errno).during("naming", &place),
            }
            shards.insert(place[..2].to_owned());
            self.staged.pop();
        }
        for shard in shards {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = openat(&store.objects, &shard, flags, Mode::empty()).during("opening", &shard)?;
            fsync(&directory).during("syncing", &shard)?;
        }
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        for staged in &self.staged {
            // What cannot be removed now is removed when the store is opened next.
            let _ = unlinkat(&self.store.staging, &staged.name, AtFlags::empty());
            self.store.release(staged.size, 1);
        }
        let mut pins = self.store.pins();
        for digest in &self.pinned {
            pins.unpin(digest);
        }
    }
}
