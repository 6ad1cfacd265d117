//! The directory that changes are brought back into, looked up through no link and no mount.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use enclos_cas::beneath;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, chownat, fchmod, fchown, linkat, mkdirat, readlinkat, renameat,
    renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::Checked;

/// The top.
#[derive(Debug)]
pub struct Place {
    top: OwnedFd,
    /// New files belong to whoever owns the directory they are in; only root can see to that, and only root needs to.
    root: bool,
}

/// A directory in it.
#[derive(Debug)]
pub struct Parent {
    directory: OwnedFd,
    root: bool,
}

/// Why there is no way to a directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    /// It, or one above it, is not there.
    Missing,
    /// A link, a file or another file system is in the way.
    Blocked(&'static str),
}

impl Way {
    /// In words.
    pub fn words(&self, above: &str) -> String {
        match self {
            Way::Missing => format!("the directory {above:?} was removed meanwhile"),
            Way::Blocked(why) => format!("{above:?}, on the way to it, is now {why}"),
        }
    }
}

/// Something that is there.
#[derive(Debug)]
pub struct Found {
    /// What it is.
    pub kind: FileType,
    /// All twelve bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    stat: Stat,
}

impl Found {
    fn of(stat: Stat) -> Found {
        let kind = FileType::from_raw_mode(stat.st_mode);
        Found { kind, mode: stat.st_mode & 0o7777, size: stat.st_size.unsigned_abs(), stat }
    }

    /// A word for what it is.
    pub fn word(&self) -> &'static str {
        beneath::kind_name(self.kind)
    }

    /// The same file, not written to in between.
    fn is(&self, stat: &Stat) -> bool {
        let told = |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        told(&self.stat) == told(stat)
    }
}

const CHANGED: &str = "it was changed meanwhile";

impl Place {
    /// From a descriptor of the directory.
    pub fn new(directory: &OwnedFd) -> Result<Place, String> {
        let top = beneath::directory(directory, ".").map_err(|errno| format!("the directory cannot be opened: {errno}"))?;
        Ok(Place { top, root: rustix::process::geteuid().is_root() })
    }

    /// Opens a directory in it; empty: the top.
    pub fn open(&self, path: &str) -> Result<Result<Parent, Way>, String> {
        match beneath::directory(&self.top, path) {
            Ok(directory) => Ok(Ok(Parent { directory, root: self.root })),
            Err(Errno::NOENT) => Ok(Err(Way::Missing)),
            Err(Errno::LOOP) => Ok(Err(Way::Blocked("a symbolic link"))),
            Err(Errno::NOTDIR) => Ok(Err(Way::Blocked("a link, or something else that is no directory"))),
            Err(Errno::XDEV) => Ok(Err(Way::Blocked("another file system"))),
            Err(errno) => Err(format!("{path}: {errno}")),
        }
    }
}

fn name(path: &str) -> &OsStr {
    OsStr::new(path.rsplit_once('/').map_or(path, |(_, name)| name))
}

fn failed(path: &str) -> impl Fn(Errno) -> String + '_ {
    move |errno| format!("{path}: {errno}")
}

impl Parent {
    /// What is there now.
    pub fn found(&self, path: &str) -> Result<Option<Found>, String> {
        match beneath::stat(&self.directory, name(path)) {
            Ok(stat) => Ok(Some(Found::of(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(path)(errno)),
        }
    }

    /// Where a link leads.
    pub fn target(&self, path: &str) -> Result<OsString, String> {
        let target = readlinkat(&self.directory, name(path), Vec::new()).map_err(failed(path))?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Whether a file still is the one that was found, with these bytes.
    pub fn same(&self, path: &str, found: &Found, mut wanted: Box<dyn Read + Send>) -> Result<bool, String> {
        let (file, stat) = match beneath::file(&self.directory, name(path)) {
            Ok(opened) => opened,
            // Something else since.
            Err(Errno::INVAL | Errno::LOOP | Errno::NOENT | Errno::NXIO) => return Ok(false),
            Err(errno) => return Err(failed(path)(errno)),
        };
        if !found.is(&stat) {
            return Ok(false);
        }
        let mut file = File::from(file);
        let fail = |error: std::io::Error| format!("{path}: {error}");
        let (mut left, mut right) = (vec![0_u8; 64 << 10], vec![0_u8; 64 << 10]);
        loop {
            let count = fill(&mut file, &mut left).map_err(fail)?;
            let other = fill(&mut *wanted, &mut right).map_err(fail)?;
            if left[..count] != right[..other] {
                return Ok(false);
            }
            if count == 0 {
                return Ok(true);
            }
        }
    }

    /// A directory, or its bits.
    pub fn directory(&self, path: &str, mode: u32, there: bool) -> Checked<()> {
        if !there {
            match mkdirat(&self.directory, name(path), Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => return Ok(Err(CHANGED.to_owned())),
                Err(errno) => return Err(failed(path)(errno)),
            }
            self.give_owner(name(path), path)?;
        }
        let Ok(directory) = beneath::directory(&self.directory, name(path)) else { return Ok(Err(CHANGED.to_owned())) };
        fchmod(&directory, Mode::from_raw_mode(mode & 0o777)).map_err(failed(path))?;
        Ok(Ok(()))
    }

    /// A link, in the place of what was found.
    pub fn link(&self, path: &str, target: &OsStr, found: Option<&Found>) -> Checked<()> {
        let temporary = temporary();
        symlinkat(target, &self.directory, &temporary).map_err(failed(path))?;
        self.give_owner(&temporary, path).and_then(|()| self.exchange(path, &temporary, found)).inspect_err(|_| self.forget(&temporary))
    }

    /// A file, in the place of what was found: whole, or not at all.
    pub fn file(&self, path: &str, mode: u32, mut from: Box<dyn Read + Send>, found: Option<&Found>) -> Checked<()> {
        let temporary = temporary();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, &temporary, flags, Mode::RUSR | Mode::WUSR).map_err(failed(path))?;
        let written = || -> Result<(), String> {
            let fail = |error: std::io::Error| format!("{path}: {error}");
            let mut file = File::from(file);
            std::io::copy(&mut from, &mut file).map_err(fail)?;
            file.flush().map_err(fail)?;
            // The owner first: changing it takes bits away.
            match found.filter(|found| found.kind == FileType::RegularFile) {
                Some(found) if self.root => {
                    let (user, group) = (Uid::from_raw(found.stat.st_uid), Gid::from_raw(found.stat.st_gid));
                    fchown(&file, Some(user), Some(group)).map_err(failed(path))?;
                }
                _ => self.give_owner(&temporary, path)?,
            }
            fchmod(&file, Mode::from_raw_mode(mode & 0o777)).map_err(failed(path))?;
            file.sync_data().map_err(fail)
        };
        written().and_then(|()| self.exchange(path, &temporary, found)).inspect_err(|_| self.forget(&temporary))
    }

    /// Removes a file or link, if it is what was found.
    pub fn remove(&self, path: &str, found: &Found) -> Checked<()> {
        let temporary = temporary();
        match renameat_with(&self.directory, name(path), &self.directory, &temporary, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Ok(())),
            Err(Errno::INVAL | Errno::NOSYS) => {
                renameat(&self.directory, name(path), &self.directory, &temporary).map_err(failed(path))?;
            }
            Err(errno) => return Err(failed(path)(errno)),
        }
        let stat = beneath::stat(&self.directory, &temporary).map_err(failed(path))?;
        if found.is(&stat) {
            unlinkat(&self.directory, &temporary, AtFlags::empty()).map_err(failed(path))?;
            return Ok(Ok(()));
        }
        // Back to where it was; if the place is taken meanwhile, it stays under its other name, which is told.
        match renameat_with(&self.directory, &temporary, &self.directory, name(path), RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Err(CHANGED.to_owned())),
            Err(_) => Ok(Err(format!("{CHANGED}; what was there lies beside it as {}", temporary.display()))),
        }
    }

    /// Removes a directory that holds nothing any more.
    pub fn remove_directory(&self, path: &str) -> Checked<()> {
        match unlinkat(&self.directory, name(path), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(Ok(())),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Err("it holds what was not there when it was copied, or is kept".to_owned())),
            Err(Errno::NOTDIR) => Ok(Err(CHANGED.to_owned())),
            Err(errno) => Err(failed(path)(errno)),
        }
    }

    /// Puts what was made beside a place into it.
    fn exchange(&self, path: &str, temporary: &OsStr, found: Option<&Found>) -> Checked<()> {
        let name = name(path);
        let Some(found) = found else {
            // A second name fails where there is one already, on every file system; a rename that does is not known to all.
            return match linkat(&self.directory, temporary, &self.directory, name, AtFlags::empty()) {
                Ok(()) => {
                    self.forget(temporary);
                    Ok(Ok(()))
                }
                Err(Errno::EXIST) => {
                    self.forget(temporary);
                    Ok(Err("there is something now, which was not there".to_owned()))
                }
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => {
                    match renameat_with(&self.directory, temporary, &self.directory, name, RenameFlags::NOREPLACE) {
                        Ok(()) => Ok(Ok(())),
                        Err(Errno::EXIST) => {
                            self.forget(temporary);
                            Ok(Err("there is something now, which was not there".to_owned()))
                        }
                        Err(errno) => Err(failed(path)(errno)),
                    }
                }
                Err(errno) => Err(failed(path)(errno)),
            };
        };
        match renameat_with(&self.directory, temporary, &self.directory, name, RenameFlags::EXCHANGE) {
            Ok(()) => {
                let stat = beneath::stat(&self.directory, temporary).map_err(failed(path))?;
                if found.is(&stat) {
                    self.forget(temporary);
                    return Ok(Ok(()));
                }
                renameat_with(&self.directory, temporary, &self.directory, name, RenameFlags::EXCHANGE).map_err(failed(path))?;
                self.forget(temporary);
                Ok(Err(CHANGED.to_owned()))
            }
            Err(Errno::NOENT) => {
                self.forget(temporary);
                Ok(Err("it was removed meanwhile".to_owned()))
            }
            // A file system that cannot exchange: look, then rename, with a moment in between.
            Err(Errno::INVAL | Errno::NOSYS) => {
                let stat = beneath::stat(&self.directory, name).map_err(failed(path))?;
                if !found.is(&stat) {
                    self.forget(temporary);
                    return Ok(Err(CHANGED.to_owned()));
                }
                renameat(&self.directory, temporary, &self.directory, name).map_err(failed(path))?;
                Ok(Ok(()))
            }
            Err(errno) => Err(failed(path)(errno)),
        }
    }

    /// Something new belongs to whoever owns the directory.
    fn give_owner(&self, name: &OsStr, path: &str) -> Result<(), String> {
        if !self.root {
            return Ok(());
        }
        let stat = rustix::fs::fstat(&self.directory).map_err(failed(path))?;
        let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        chownat(&self.directory, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW).map_err(failed(path))
    }

    fn forget(&self, temporary: &OsStr) {
        // It is ours; where it cannot be removed it stays, with a name that says whose it is.
        let _ = unlinkat(&self.directory, temporary, AtFlags::empty());
    }
}

/// A name that nobody else has.
fn temporary() -> OsString {
    let mut bytes = [0_u8; 8];
    // Fails only before the kernel has any randomness at all; then the name is taken, and making it fails.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    Path::new(&format!(".enclos-{:016x}.tmp", u64::from_ne_bytes(bytes))).as_os_str().to_owned()
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match from.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
