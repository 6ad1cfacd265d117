//! A directory as a tar archive, made while it is sent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use enclos_cas::beneath;
use rustix::fs::{FileType, Mode, OFlags, readlinkat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

/// What was not packed, and what it is.
pub type LeftOut = Vec<(PathBuf, &'static str)>;

/// Packs a directory for `send`; gives what `send` does, and what was left out.
///
/// # Errors
/// One line: of the directory, or of `send`.
pub fn pack<T>(directory: &Path, send: impl FnOnce(&mut dyn Read) -> Result<T, String>) -> Result<(T, LeftOut), String> {
    let shown = directory.display();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open(directory, flags, Mode::empty()).map_err(|errno| format!("{shown}: {errno}"))?;
    let (mut from, to) = io::pipe().map_err(|error| format!("a pipe: {error}"))?;
    std::thread::scope(|scope| {
        let packer = scope.spawn(move || {
            let mut packing = Packing { builder: Builder::new(io::BufWriter::with_capacity(64 << 10, to)), left_out: Vec::new() };
            packing.directory(&top, Path::new(""))?;
            packing.builder.into_inner().and_then(|mut to| to.flush()).map_err(|error| (PathBuf::new(), error))?;
            Ok(packing.left_out)
        });
        let sent = send(&mut from);
        drop(from);
        match (packer.join(), sent) {
            (Ok(Ok(left_out)), Ok(sent)) => Ok((sent, left_out)),
            // The other end is closed: it has said why.
            (Ok(Err((_, error))), Err(line)) if error.kind() == io::ErrorKind::BrokenPipe => Err(line),
            (Ok(Err((path, error))), _) => Err(format!("{}: {error}", directory.join(path).display())),
            (_, Err(line)) => Err(line),
            (Err(_), _) => Err(format!("{shown} could not be packed")),
        }
    })
}

struct Packing<W: Write> {
    builder: Builder<W>,
    left_out: LeftOut,
}

type Packed = Result<(), (PathBuf, io::Error)>;

impl<W: Write> Packing<W> {
    fn directory(&mut self, directory: &OwnedFd, path: &Path) -> Packed {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |errno: Errno| (path, errno.into())
        };
        for name in beneath::names(directory).map_err(at(path))? {
            let below = path.join(&name);
            let stat = match beneath::stat(directory, &name) {
                Ok(stat) => stat,
                // Removed meanwhile.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(at(&below)(errno)),
            };
            let mut header = Header::new_gnu();
            header.set_mode(stat.st_mode & 0o777);
            header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => match beneath::directory(directory, &name) {
                    Ok(inner) => {
                        header.set_entry_type(EntryType::Directory);
                        header.set_size(0);
                        self.builder.append_data(&mut header, &below, io::empty()).map_err(|error| (below.clone(), error))?;
                        self.directory(&inner, &below)?;
                    }
                    Err(Errno::XDEV) => self.left_out.push((below, "other file system")),
                    Err(errno) => return Err(at(&below)(errno)),
                },
                FileType::RegularFile => {
                    let (file, stat) = beneath::file(directory, &name).map_err(at(&below))?;
                    let size = stat.st_size.unsigned_abs();
                    header.set_size(size);
                    // A file that grows is packed as long as it was; one that shrinks is an error, or the archive would be out of step.
                    let mut exact = Exact { from: File::from(file).take(size), left: size };
                    self.builder.append_data(&mut header, &below, &mut exact).map_err(|error| (below, error))?;
                }
                FileType::Symlink => {
                    let target = readlinkat(directory, &name, Vec::new()).map_err(at(&below))?;
                    header.set_entry_type(EntryType::Symlink);
                    header.set_size(0);
                    let target = std::ffi::OsStr::from_bytes(target.as_bytes());
                    self.builder.append_link(&mut header, &below, target).map_err(|error| (below, error))?;
                }
                other => self.left_out.push((below, beneath::kind_name(other))),
            }
        }
        Ok(())
    }
}

struct Exact<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        if count == 0 && self.left > 0 && !into.is_empty() {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_arrives_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let long = "n".repeat(200);
        std::fs::create_dir_all(directory.path().join("sub/empty")).unwrap();
        std::fs::write(directory.path().join("sub").join(&long), "long").unwrap();
        std::fs::write(directory.path().join("run"), "x").unwrap();
        std::fs::set_permissions(directory.path().join("run"), PermissionsExt::from_mode(0o4755)).unwrap();
        symlink("/etc/passwd", directory.path().join("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, directory.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let (bytes, left_out) = pack(directory.path(), |from| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            Ok(bytes)
        })
        .unwrap();
        assert_eq!(left_out, [(PathBuf::from("fifo"), "FIFO")]);
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries: Vec<(String, u32, u64, Option<PathBuf>)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let link = entry.link_name().unwrap().map(std::borrow::Cow::into_owned);
                (entry.path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned(), header.mode().unwrap(), entry.size(), link)
            })
            .collect();
        let shown: Vec<(&str, u64)> = entries.iter().map(|(path, _, size, _)| (&path[..], *size)).collect();
        let in_sub = format!("sub/{long}");
        assert_eq!(shown, [("link", 0), ("run", 1), ("sub", 0), ("sub/empty", 0), (&in_sub, 4)]);
        assert_eq!((entries[1].1, entries[0].3.as_deref()), (0o755, Some(Path::new("/etc/passwd"))));
    }

    #[test]
    fn what_the_other_end_says_is_told() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("large"), vec![0; 1 << 20]).unwrap();
        assert_eq!(pack(directory.path(), |_| Err::<(), _>("refused".to_owned())).unwrap_err(), "refused");
        assert!(pack(&directory.path().join("none"), |_| Ok(())).unwrap_err().contains("No such file"));
    }
}
