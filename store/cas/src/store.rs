//! The directory, and reading from it.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::error::During;
use crate::pins::Pins;
use crate::{CasError, Digest, Hasher, Quantity, Tree, beneath};

/// Bytes copied at once.
pub(crate) const CHUNK: usize = 128 << 10;
/// Largest encoding of a tree that is read, in bytes: about 200 000 entries in one directory.
const TREE_MAX: u64 = 64 << 20;

/// The most a store may hold; what is staged counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all objects.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
}

impl Default for Quota {
    /// No bound.
    fn default() -> Quota {
        Quota { bytes: u64::MAX, objects: u64::MAX }
    }
}

/// What a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all objects, staged ones included.
    pub bytes: u64,
    /// Objects, staged ones included.
    pub objects: u64,
}

/// Whether bytes are compared with their name while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// They are: reading a damaged object ends in an error instead of at its end.
    Verify,
    /// They are not.
    Trust,
}

/// An open store. One process at a time has it; its threads share it.
#[derive(Debug)]
pub struct Store {
    pub(crate) root: OwnedFd,
    pub(crate) objects: OwnedFd,
    pub(crate) staging: OwnedFd,
    quota: Quota,
    pins: Mutex<Pins>,
    next: AtomicU64,
    _lock: OwnedFd,
}

impl Store {
    /// Opens the store in this directory, which is made if it is missing, and takes what an earlier process had staged away.
    ///
    /// # Errors
    /// [`CasError::InUse`], or the kernel's.
    pub fn open(path: impl AsRef<Path>, quota: Quota) -> Result<Store, CasError> {
        let path = path.as_ref();
        make(CWD, path)?;
        let root = folder(CWD, path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = openat(&root, "lock", flags, Mode::RUSR | Mode::WUSR).during("opening", path.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(CasError::InUse(path.to_owned())),
            other => other.during("locking", path.join("lock"))?,
        }
        for name in ["objects", "staging"] {
            make(&root, Path::new(name))?;
        }
        let (objects, staging) = (folder(&root, Path::new("objects"))?, folder(&root, Path::new("staging"))?);
        for name in beneath::names(&staging).during("reading", "staging")? {
            unlinkat(&staging, &name, AtFlags::empty()).during("removing", Path::new("staging").join(&name))?;
        }
        for shard in 0..=0xffu8 {
            make(&objects, Path::new(&format!("{shard:02x}")))?;
        }
        let store = Store { root, objects, staging, quota, pins: Mutex::default(), next: AtomicU64::new(0), _lock: lock };
        let mut usage = Usage { bytes: 0, objects: 0 };
        store.each_object(|_, size| {
            usage.bytes += size;
            usage.objects += 1;
            Ok(())
        })?;
        (store.pins().bytes, store.pins().objects) = (usage.bytes, usage.objects);
        Ok(store)
    }

    /// What it holds now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let pins = self.pins();
        Usage { bytes: pins.bytes, objects: pins.objects }
    }

    /// Whether this object is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn contains(&self, digest: &Digest) -> Result<bool, CasError> {
        match statat(&self.objects, digest.place(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno).during("looking for", digest.place()),
        }
    }

    /// Opens a blob.
    ///
    /// # Errors
    /// [`CasError::Missing`], or the kernel's.
    pub fn blob(&self, digest: &Digest, check: Check) -> Result<Blob, CasError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.objects, digest.place(), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Err(CasError::Missing(*digest)),
            other => other.during("opening", digest.place())?,
        };
        let size = u64::try_from(fstat(&file).during("reading", digest.place())?.st_size).unwrap_or(0);
        let hasher = (check == Check::Verify).then(Hasher::default);
        Ok(Blob { file: file.into(), size, digest: *digest, hasher })
    }

    /// Reads a whole blob of at most `max` bytes, verified.
    ///
    /// # Errors
    /// [`CasError::Missing`], [`CasError::Damaged`], [`CasError::Quota`] when it is larger, or the kernel's.
    pub fn read(&self, digest: &Digest, max: u64) -> Result<Vec<u8>, CasError> {
        let mut blob = self.blob(digest, Check::Trust)?;
        if blob.size > max {
            return Err(CasError::Quota { quantity: Quantity::Bytes, limit: max });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(blob.size).unwrap_or(0));
        blob.file.read_to_end(&mut bytes).during("reading", digest.place())?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(CasError::Damaged { digest: *digest, found }) }
    }

    /// Reads a tree, verified.
    ///
    /// # Errors
    /// As [`Store::read`], and [`CasError::NotATree`].
    pub fn tree(&self, digest: &Digest) -> Result<Tree, CasError> {
        Tree::decode(&self.read(digest, TREE_MAX)?).map_err(|source| CasError::NotATree { digest: *digest, source })
    }

    /// Calls `act` with every object in place and its bytes.
    pub(crate) fn each_object(&self, mut act: impl FnMut(Digest, u64) -> Result<(), CasError>) -> Result<(), CasError> {
        for shard in beneath::names(&self.objects).during("reading", "objects")? {
            let directory = folder(&self.objects, Path::new(&shard))?;
            for name in beneath::names(&directory).during("reading", &shard)? {
                let text = format!("{}{}", shard.to_string_lossy(), name.to_string_lossy());
                // Only what is called like an object is one.
                let Ok(digest) = text.parse::<Digest>() else { continue };
                let stat = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW).during("reading", digest.place())?;
                act(digest, u64::try_from(stat.st_size).unwrap_or(0))?;
            }
        }
        Ok(())
    }

    pub(crate) fn pins(&self) -> MutexGuard<'_, Pins> {
        // Nothing panics while it holds the lock; the counts are whole.
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes or objects that are about to be staged.
    pub(crate) fn reserve(&self, bytes: u64, objects: u64) -> Result<(), CasError> {
        let mut pins = self.pins();
        let (all_bytes, all_objects) = (pins.bytes.saturating_add(bytes), pins.objects.saturating_add(objects));
        if all_bytes > self.quota.bytes {
            return Err(CasError::Quota { quantity: Quantity::StoreBytes, limit: self.quota.bytes });
        }
        if all_objects > self.quota.objects {
            return Err(CasError::Quota { quantity: Quantity::StoreObjects, limit: self.quota.objects });
        }
        (pins.bytes, pins.objects) = (all_bytes, all_objects);
        Ok(())
    }

    /// Takes back what was counted.
    pub(crate) fn release(&self, bytes: u64, objects: u64) {
        let mut pins = self.pins();
        (pins.bytes, pins.objects) = (pins.bytes.saturating_sub(bytes), pins.objects.saturating_sub(objects));
    }

    /// A name in `staging` that nothing else has.
    pub(crate) fn staging_name(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

fn make(at: impl std::os::fd::AsFd, path: &Path) -> Result<(), CasError> {
    match mkdirat(at, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).during("making", path),
    }
}

fn folder(at: impl std::os::fd::AsFd, path: &Path) -> Result<OwnedFd, CasError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty()).during("opening", path)
}

/// A blob being read.
#[derive(Debug)]
pub struct Blob {
    file: File,
    size: u64,
    digest: Digest,
    hasher: Option<Hasher>,
}

impl Blob {
    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        match (&mut self.hasher, count) {
            (Some(hasher), 1..) => hasher.update(&buffer[..count]),
            (Some(hasher), 0) if !buffer.is_empty() => {
                let found = hasher.clone().finish();
                if found != self.digest {
                    return Err(std::io::Error::other(CasError::Damaged { digest: self.digest, found }));
                }
            }
            _ => {}
        }
        Ok(count)
    }
}
