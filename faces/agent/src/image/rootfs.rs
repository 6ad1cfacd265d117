//! A root file system while it is filled: every name is looked up inside of it, whatever it says.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use enclos_cas::beneath;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, fstat, futimens, linkat, mkdirat, openat2,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::{During, ImageError, Result};

/// Inside the image only: links and `..` lead nowhere else.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// Permission bits; set-id and sticky bits are no part of an image.
const BITS: u32 = 0o777;

/// Bounds of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files, in all layers.
    pub bytes: u64,
    /// Files, directories and links, in all layers.
    pub entries: u64,
    /// Parts of a path.
    pub depth: usize,
    /// Layers.
    pub layers: usize,
}

impl Default for Bounds {
    /// 16 GiB, a million entries, 64 levels, 128 layers.
    fn default() -> Bounds {
        Bounds { bytes: 16 << 30, entries: 1_000_000, depth: 64, layers: 128 }
    }
}

/// What of an image was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Devices, FIFOs and sockets.
    pub special: u64,
    /// Files and directories that lost set-id bits.
    pub set_id: u64,
}

/// A path inside: its parts, none of them `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inside(Vec<OsString>);

impl Inside {
    /// Reads a path of an archive; `None`: the top itself.
    pub fn read(bytes: &[u8], bounds: &Bounds) -> Result<Option<Inside>> {
        let refused = |why: &str| {
            let shown: String = String::from_utf8_lossy(bytes).chars().take(120).collect();
            Err(ImageError::Refused(format!("the archive holds the path {shown:?}: {why}")))
        };
        if bytes.len() > 4095 || bytes.contains(&0) {
            return refused("a path has at most 4095 bytes, none of them zero");
        }
        let mut parts = Vec::new();
        for part in bytes.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return refused("it may not hold `..`"),
                part if part.len() > 255 => return refused("a name has at most 255 bytes"),
                part => parts.push(OsStr::from_bytes(part).to_owned()),
            }
        }
        if parts.len() > bounds.depth {
            return refused(&format!("it may have at most {} parts", bounds.depth));
        }
        Ok((!parts.is_empty()).then_some(Inside(parts)))
    }

    /// Its last part.
    pub fn name(&self) -> &OsStr {
        self.0.last().map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// What holds it; `None`: the top.
    pub fn parent(&self) -> Option<Inside> {
        let above = &self.0[..self.0.len().saturating_sub(1)];
        (!above.is_empty()).then(|| Inside(above.to_vec()))
    }

    /// The same place under another name.
    pub fn sibling(&self, name: &[u8]) -> Inside {
        let mut parts = self.0.clone();
        parts.pop();
        parts.push(OsStr::from_bytes(name).to_owned());
        Inside(parts)
    }

    /// A name in it.
    pub fn join(&self, name: &OsStr) -> Inside {
        Inside(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }

    /// For a look-up from the top.
    pub fn path(&self) -> PathBuf {
        self.0.iter().collect()
    }
}

/// Bits and time of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// As the archive says.
    pub mode: u32,
    /// Seconds since 1970.
    pub time: i64,
}

/// A root file system while it is filled.
#[derive(Debug)]
pub struct Rootfs {
    top: OwnedFd,
    bounds: Bounds,
    entries: u64,
    bytes: u64,
    left_out: LeftOut,
    /// Bits and times of directories: set at the end, or nothing could be put into some of them.
    directories: BTreeMap<PathBuf, Look>,
}

impl Rootfs {
    /// Makes an empty one.
    pub fn make(path: &Path, bounds: Bounds) -> Result<Rootfs> {
        std::fs::create_dir(path).during("making", path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(path, flags, Mode::empty()).during("opening", path)?;
        fchmod(&top, Mode::from_raw_mode(0o755)).during("setting the mode of", path)?;
        Ok(Rootfs { top, bounds, entries: 0, bytes: 0, left_out: LeftOut::default(), directories: BTreeMap::new() })
    }

    /// Its bounds.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Gives directories their bits and times; says how much there is.
    pub fn finish(self) -> Result<(u64, u64, LeftOut)> {
        // From below: a directory that may not be entered comes after what is in it.
        for (path, look) in self.directories.iter().rev() {
            let found =
                openat2(&self.top, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), INSIDE);
            match found {
                Ok(directory) => {
                    fchmod(&directory, Mode::from_raw_mode(look.mode & BITS)).during("setting the mode of", path)?;
                    futimens(&directory, &times(look.time)).during("setting the time of", path)?;
                }
                // A later layer took it away, or put something else there.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno).during("opening", path),
            }
        }
        Ok((self.entries, self.bytes, self.left_out))
    }

    /// A directory, made or given another look.
    pub fn directory(&mut self, path: &Inside, look: Look) -> Result<()> {
        self.count()?;
        let (parent, name) = self.parent(path)?;
        match kind(&parent, name)? {
            Some(FileType::Directory) => {}
            other => {
                if other.is_some() {
                    remove(&parent, name)?;
                }
                mkdirat(&parent, name, Mode::RWXU).during("making", path.path())?;
            }
        }
        self.set_id(look.mode);
        self.directories.insert(path.path(), look);
        Ok(())
    }

    /// A file, over whatever is there.
    pub fn file(&mut self, path: &Inside, look: Look, size: u64, from: &mut dyn Read) -> Result<()> {
        self.count()?;
        if size > self.bounds.bytes - self.bytes {
            return Err(ImageError::Refused(format!("the image has more than {} bytes of files", self.bounds.bytes)));
        }
        let (parent, name) = self.parent(path)?;
        remove(&parent, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR).during("making", path.path())?;
        let mut file = File::from(file);
        let copied = copy(&mut from.take(size), &mut file)
            .map_err(|error| ImageError::Io { doing: format!("unpacking {:?}", path.path()), error })?;
        if copied != size {
            return Err(ImageError::Refused(format!("the archive ends inside {:?}", path.path())));
        }
        self.bytes += size;
        self.set_id(look.mode);
        fchmod(&file, Mode::from_raw_mode(look.mode & BITS)).during("setting the mode of", path.path())?;
        futimens(&file, &times(look.time)).during("setting the time of", path.path())
    }

    /// A symbolic link, over whatever is there. What it says is not looked at: it is followed inside a sandbox only.
    pub fn link(&mut self, path: &Inside, target: &[u8], time: i64) -> Result<()> {
        self.count()?;
        if target.is_empty() || target.len() > 4095 || target.contains(&0) {
            return Err(ImageError::Refused(format!("the archive holds a link {:?} that leads to no path", path.path())));
        }
        let (parent, name) = self.parent(path)?;
        remove(&parent, name)?;
        symlinkat(OsStr::from_bytes(target), &parent, name).during("making", path.path())?;
        utimensat(&parent, name, &times(time), AtFlags::SYMLINK_NOFOLLOW).during("setting the time of", path.path())
    }

    /// A second name of a file.
    pub fn hard_link(&mut self, path: &Inside, target: &Inside) -> Result<()> {
        self.count()?;
        let (parent, name) = self.parent(path)?;
        let (from, from_name) = self.parent(target)?;
        match kind(&from, from_name)? {
            Some(FileType::RegularFile | FileType::Symlink) => {}
            _ => {
                return Err(ImageError::Refused(format!("the archive links {:?} to {:?}, which is no file", path.path(), target.path())));
            }
        }
        if path == target {
            return Ok(());
        }
        remove(&parent, name)?;
        linkat(&from, from_name, &parent, name, AtFlags::empty()).during("linking", path.path())
    }

    /// Something that no image may hold.
    pub fn special(&mut self) {
        self.left_out.special += 1;
    }

    /// Takes away what an earlier layer put there.
    pub fn whiteout(&mut self, path: &Inside) -> Result<()> {
        self.count()?;
        let (parent, name) = self.parent(path)?;
        remove(&parent, name)
    }

    /// Takes away everything in a directory (`None`: the top) but `kept`, the places this layer made.
    pub fn opaque(&mut self, path: Option<&Inside>, kept: &dyn Fn(&Inside) -> bool) -> Result<()> {
        self.count()?;
        let directory = match path {
            None => self.top.try_clone().during("opening", ".")?,
            Some(path) => {
                match openat2(&self.top, path.path(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), INSIDE) {
                    Ok(directory) => directory,
                    Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
                    Err(errno) => return Err(errno).during("opening", path.path()),
                }
            }
        };
        for name in beneath::names(&directory).during("reading", path.map(Inside::path).unwrap_or_default())? {
            let below = path.map_or_else(|| Inside(vec![name.clone()]), |path| path.join(&name));
            if kept(&below) {
                if kind(&directory, &name)? == Some(FileType::Directory) {
                    self.opaque(Some(&below), kept)?;
                }
            } else {
                remove(&directory, &name)?;
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(ImageError::Refused(format!("the image has more than {} entries", self.bounds.entries)));
        }
        Ok(())
    }

    fn set_id(&mut self, mode: u32) {
        if mode & 0o6000 != 0 {
            self.left_out.set_id += 1;
        }
    }

    /// The directory that holds a path, made if it is missing, and the name in it.
    fn parent<'p>(&self, path: &'p Inside) -> Result<(OwnedFd, &'p OsStr)> {
        let Some(above) = path.parent() else {
            return Ok((self.top.try_clone().during("opening", ".")?, path.name()));
        };
        match self.open(&above.path()) {
            Ok(directory) => return Ok((directory, path.name())),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).during("opening", above.path()),
        }
        let mut so_far = PathBuf::new();
        let mut directory = self.top.try_clone().during("opening", ".")?;
        for part in &above.0 {
            so_far.push(part);
            directory = match self.open(&so_far) {
                Ok(directory) => directory,
                Err(Errno::NOENT) => {
                    // 0755, as everybody does who finds a directory missing from an archive; a link that leads nowhere is in the way and stays.
                    mkdirat(&directory, part, Mode::from_raw_mode(0o755)).during("making", &so_far)?;
                    self.open(&so_far).during("opening", &so_far)?
                }
                Err(errno) => return Err(errno).during("opening", &so_far),
            };
        }
        Ok((directory, path.name()))
    }

    fn open(&self, path: &Path) -> std::result::Result<OwnedFd, Errno> {
        openat2(&self.top, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), INSIDE)
    }
}

fn times(seconds: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        // What no file system can store is the year 1970.
        last_modification: Timespec { tv_sec: if (0..1 << 33).contains(&seconds) { seconds } else { 0 }, tv_nsec: 0 },
    }
}

fn kind(directory: impl AsFd, name: &OsStr) -> Result<Option<FileType>> {
    match beneath::stat(directory, name) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).during("looking at", name),
    }
}

/// Removes what is there, with all below it, through no link.
fn remove(directory: impl AsFd, name: &OsStr) -> Result<()> {
    match kind(&directory, name)? {
        None => Ok(()),
        Some(FileType::Directory) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = match rustix::fs::openat(&directory, name, flags, Mode::empty()) {
                // Not ours to look into as an ordinary user, until its bits say so.
                Err(Errno::ACCESS) => {
                    rustix::fs::chmodat(&directory, name, Mode::RWXU, AtFlags::empty()).during("setting the mode of", name)?;
                    rustix::fs::openat(&directory, name, flags, Mode::empty())
                }
                other => other,
            }
            .during("opening", name)?;
            if fstat(&inner).during("looking at", name)?.st_mode & 0o700 != 0o700 {
                fchmod(&inner, Mode::RWXU).during("setting the mode of", name)?;
            }
            for below in beneath::names(&inner).during("reading", name)? {
                remove(&inner, &below)?;
            }
            unlinkat(&directory, name, AtFlags::REMOVEDIR).during("removing", name)
        }
        Some(_) => unlinkat(&directory, name, AtFlags::empty()).during("removing", name),
    }
}

/// Removes a directory of ours with all below it.
pub fn remove_all(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).during("opening", parent)?;
    remove(parent, path.file_name().unwrap_or_default())
}

/// Reads errors of an archive apart from ours: what is wrong with it is told as it is.
fn copy(from: &mut dyn Read, to: &mut File) -> std::io::Result<u64> {
    let mut buffer = vec![0_u8; 128 << 10];
    let mut total = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..count])?;
        total += count as u64;
    }
}
