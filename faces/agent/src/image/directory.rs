//! An image out of a directory: a root file system, or an OCI layout.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use enclos_cas::beneath;
use rustix::fs::{FileType, Mode, OFlags, Stat, readlinkat};
use rustix::io::Errno;

use super::manifest::{self, Config, Parts};
use super::rootfs::{Inside, Look, Rootfs};
use super::{During, ImageError, Result};

/// Copies a directory.
pub fn add(path: &Path, rootfs: &mut Rootfs) -> Result<(&'static str, Config)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open(path, flags, Mode::empty()).during("opening", path)?;
    if beneath::stat(&top, "oci-layout".as_ref()).is_ok() {
        let found = manifest::add(&Layout(top), rootfs)?;
        return found.ok_or_else(|| ImageError::Refused(format!("{path:?} holds oci-layout and no index.json")));
    }
    Copying { rootfs, names: HashMap::new() }.directory(&top, None)?;
    Ok(("directory", Config::default()))
}

/// An OCI layout in a directory.
struct Layout(OwnedFd);

impl Parts for Layout {
    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>> {
        match beneath::file(&self.0, name) {
            Ok((file, _)) => Ok(Some(Box::new(File::from(file)))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno).during("opening", name),
        }
    }

    fn words(&self) -> (&'static str, &'static str) {
        ("oci layout", "docker layout")
    }
}

struct Copying<'a> {
    rootfs: &'a mut Rootfs,
    /// Where files with several names were put first.
    names: HashMap<(u64, u64), Inside>,
}

impl Copying<'_> {
    fn directory(&mut self, from: &OwnedFd, to: Option<&Inside>) -> Result<()> {
        let shown = || to.map(Inside::path).unwrap_or_default();
        for name in beneath::names(from).during("reading", shown())? {
            let full: Vec<u8> = [shown().as_os_str().as_bytes(), b"/", name.as_bytes()].concat();
            let Some(below) = Inside::read(&full, self.rootfs.bounds())? else { continue };
            let stat = beneath::stat(from, &name).during("looking at", below.path())?;
            self.entry(from, &below, &stat)?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, path: &Inside, stat: &Stat) -> Result<()> {
        let look = Look { mode: stat.st_mode & 0o7777, time: stat.st_mtime };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => match beneath::directory(from, path.name()) {
                Ok(inner) => {
                    self.rootfs.directory(path, look)?;
                    self.directory(&inner, Some(path))
                }
                // Another file system is mounted there (/proc of a chroot, say): what is mounted is not part of the image.
                Err(Errno::XDEV) => self.rootfs.directory(path, look),
                Err(errno) => Err(errno).during("opening", path.path()),
            },
            FileType::RegularFile => {
                if let (true, Some(first)) = (stat.st_nlink > 1, self.names.get(&(stat.st_dev, stat.st_ino))) {
                    return self.rootfs.hard_link(path, first);
                }
                let (file, stat) = beneath::file(from, path.name()).during("opening", path.path())?;
                self.rootfs.file(path, look, stat.st_size.unsigned_abs(), &mut File::from(file))?;
                if stat.st_nlink > 1 {
                    self.names.insert((stat.st_dev, stat.st_ino), path.clone());
                }
                Ok(())
            }
            FileType::Symlink => {
                let target = readlinkat(from, path.name(), Vec::new()).during("reading", path.path())?;
                self.rootfs.link(path, target.as_bytes(), look.time)
            }
            _ => {
                self.rootfs.special();
                Ok(())
            }
        }
    }
}
