//! Root file systems that an operator registered under a name, for sandboxes that shall not see the host's.
//!
//! ```text
//! <state>/agent/images/
//!   python:3.11-slim/       the name, `/` written as `+`
//!     rootfs/               what a sandbox sees as its root, read-only
//!     image.json            what it is made from, its environment; locked (flock, shared) by whoever shows the root to a sandbox
//!   .adding-…, .removing-…  on the way in or out; cleared when nobody holds them
//! ```
//!
//! An image comes in whole or not at all: it is made under another name and renamed. It never changes after that.
//!
//! **Archives are unpacked in this process, not in a sandbox.** The tree's rule is that what a sandboxed program wrote is not parsed outside of
//! one. An image is the operator's own choice, as a package is, and is unpacked by the operator's command line, not by the server. What reads it
//! is Rust without `unsafe` (`tar`, `flate2` with miniz_oxide) or nearly so (`ruzstd`), under strict bounds: bytes, entries, depth, lengths of
//! names, levels of manifests. What it names is looked up from one descriptor with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV`, so a
//! link or `..` in it leads nowhere but into the image itself; devices, FIFOs and set-id bits are left out and counted; everything belongs to
//! whoever unpacks.

mod archive;
mod directory;
mod inflate;
mod layer;
mod manifest;
mod rootfs;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use rootfs::Rootfs;

pub(crate) use rootfs::remove_all;
pub use rootfs::{Bounds, LeftOut};

/// An image, as its `image.json` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// `directory`, `oci archive`, `docker archive` or `root file system archive`.
    pub source: String,
    /// Milliseconds since 1970.
    pub registered_at: i64,
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// `NAME=VALUE` that its maker wants for every process, such as `PATH`.
    pub env: Vec<String>,
    /// Where its maker wants processes to start; empty: nowhere in particular.
    pub workdir: String,
}

/// What was added, and what of it was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The image.
    pub image: Record,
    /// What was left out.
    pub left_out: LeftOut,
}

/// Why an image could not be added, found or removed: one line.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A name that cannot be one.
    #[error("{name:?} cannot be the name of an image: {why}")]
    Name {
        /// As given.
        name: String,
        /// What would be right.
        why: &'static str,
    },
    /// None of this name.
    #[error("image {0:?} is not known")]
    NotFound(String),
    /// There is one of this name.
    #[error("image {0:?} is there already: remove it first, or choose another name")]
    Exists(String),
    /// A sandbox shows it.
    #[error("image {0:?} is in use")]
    InUse(String),
    /// The archive is none, or not one of ours to unpack.
    #[error("{0}")]
    Refused(String),
    /// The kernel's.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why not.
        error: std::io::Error,
    },
}

/// Result of what is done with images.
pub type Result<T> = std::result::Result<T, ImageError>;

/// Adds what was being done to an error of the kernel.
pub(crate) trait During<T> {
    /// The error with it.
    fn during(self, doing: &str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> During<T> for std::result::Result<T, E> {
    fn during(self, doing: &str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|error| ImageError::Io { doing: format!("{doing} {:?}", path.as_ref()), error: error.into() })
    }
}

/// The images of a state directory.
#[derive(Debug)]
pub struct Images {
    path: PathBuf,
    directory: OwnedFd,
}

/// The root of an image, held: while this lives the image is not removed.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    record: Record,
    _lock: File,
}

impl Root {
    /// Where it is on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}

/// Where an image comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A directory with a root file system, or an OCI layout.
    Directory(&'a Path),
    /// A tar archive, as it is or compressed: an OCI layout, what `docker save` writes, or a root file system (`docker export`).
    Archive(&'a Path),
}

impl Images {
    /// Opens the images below the agent face's state directory (`<state>/agent`), which is made if it is missing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(agent: &Path) -> Result<Images> {
        let path = agent.join("images");
        std::fs::create_dir_all(&path).during("making", &path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty()).during("opening", &path)?;
        rustix::fs::fchmod(&directory, Mode::RWXU).during("setting the mode of", &path)?;
        Ok(Images { path, directory })
    }

    /// Every image, sorted by name.
    ///
    /// # Errors
    /// The kernel's; a record that cannot be read.
    pub fn list(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for name in enclos_cas::beneath::names(&self.directory).during("reading", &self.path)? {
            let Some(folder) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            match self.read(folder) {
                Ok((record, _)) => records.push(record),
                // Removed meanwhile.
                Err(ImageError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    /// Holds the root of an image.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::Name`]; the kernel's.
    pub fn root(&self, name: &str) -> Result<Root> {
        let folder = folder(name)?;
        let (record, file) = self.read(&folder)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            // Whoever removes it holds it alone.
            Err(Errno::AGAIN) => return Err(ImageError::NotFound(name.to_owned())),
            Err(errno) => return Err(errno).during("locking", self.path.join(&folder)),
        }
        Ok(Root { path: self.path.join(folder).join("rootfs"), record, _lock: file })
    }

    /// Adds an image. `now`: milliseconds since 1970.
    ///
    /// # Errors
    /// [`ImageError::Exists`], [`ImageError::Refused`], [`ImageError::Name`]; the kernel's. Then nothing was added.
    pub fn add(&self, name: &str, source: Source<'_>, bounds: Bounds, now: i64) -> Result<Added> {
        let folder = folder(name)?;
        if self.path.join(&folder).exists() {
            return Err(ImageError::Exists(name.to_owned()));
        }
        self.sweep()?;
        let building = Building::make(self, "adding")?;
        let mut rootfs = Rootfs::make(&building.path.join("rootfs"), bounds)?;
        let (source, config) = match source {
            Source::Directory(path) => directory::add(path, &mut rootfs)?,
            Source::Archive(path) => archive::add(path, &building.path, &mut rootfs)?,
        };
        let (entries, bytes, left_out) = rootfs.finish()?;
        let image = Record {
            name: name.to_owned(),
            source: source.to_owned(),
            registered_at: now,
            entries,
            bytes,
            env: config.env,
            workdir: config.workdir,
        };
        let text = serde_json::to_vec_pretty(&image).map_err(|error| ImageError::Refused(error.to_string()))?;
        std::fs::write(building.path.join("image.json"), text).during("writing", "image.json")?;
        match renameat_with(&self.directory, &building.name, &self.directory, &folder, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(ImageError::Exists(name.to_owned())),
            Err(errno) => return Err(errno).during("naming", self.path.join(&folder)),
        }
        building.keep();
        Ok(Added { image, left_out })
    }

    /// Removes an image.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::InUse`]; the kernel's.
    pub fn remove(&self, name: &str) -> Result<()> {
        let folder = folder(name)?;
        let (_, file) = self.read(&folder)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Err(ImageError::InUse(name.to_owned())),
            Err(errno) => return Err(errno).during("locking", self.path.join(&folder)),
        }
        let away = unique("removing");
        renameat_with(&self.directory, &folder, &self.directory, &away, RenameFlags::NOREPLACE)
            .during("renaming", self.path.join(&folder))?;
        rootfs::remove_all(&self.path.join(away))
    }

    fn read(&self, folder: &str) -> Result<(Record, File)> {
        let path = self.path.join(folder).join("image.json");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(ImageError::NotFound(folder.replace('+', "/"))),
            Err(error) => return Err(error).during("opening", &path),
        };
        let record = serde_json::from_reader(std::io::BufReader::new(&file))
            .map_err(|error| ImageError::Refused(format!("{}: {error}", path.display())))?;
        Ok((record, file))
    }

    /// Clears what an earlier process left half done; what one that lives works on is locked.
    fn sweep(&self) -> Result<()> {
        for name in enclos_cas::beneath::names(&self.directory).during("reading", &self.path)? {
            let Some(name) = name.to_str().filter(|name| name.starts_with('.')) else { continue };
            let path = self.path.join(name);
            let Ok(directory) = File::open(&path) else { continue };
            if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
                rootfs::remove_all(&path)?;
            }
        }
        Ok(())
    }
}

/// A directory on its way in; removed unless kept.
struct Building {
    path: PathBuf,
    name: String,
    kept: bool,
    _lock: File,
}

impl Building {
    fn make(images: &Images, why: &str) -> Result<Building> {
        let name = unique(why);
        let path = images.path.join(&name);
        std::fs::create_dir(&path).during("making", &path)?;
        let lock = File::open(&path).during("opening", &path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).during("locking", &path)?;
        Ok(Building { path, name, kept: false, _lock: lock })
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is cleared by the next one.
            let _ = rootfs::remove_all(&self.path);
        }
    }
}

fn unique(why: &str) -> String {
    let mut bytes = [0_u8; 8];
    // Fails only before the kernel has any randomness at all; then the name is taken, and making it fails.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    format!(".{why}-{:016x}", u64::from_ne_bytes(bytes))
}

/// The directory of a name.
fn folder(name: &str) -> Result<String> {
    let wrong = |why| Err(ImageError::Name { name: name.chars().take(80).collect(), why });
    if name.is_empty() || name.len() > 200 {
        return wrong("1 to 200 characters are right");
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return wrong("it begins with a letter or digit");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._/:@-".contains(c)) {
        return wrong("letters, digits and . _ / : @ - are right");
    }
    Ok(name.replace('/', "+"))
}
