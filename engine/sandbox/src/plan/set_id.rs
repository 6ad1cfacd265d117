//! Programs that give whoever runs them the rights of their owner, in a tree that is to be written.
//!
//! The kernel takes the set-user-id bit, and file capabilities, from a file that is written with write(2), but not from one that is changed through a shared mapping
//! (mmap(2), `MAP_SHARED`). A command that may write such a program as its owner could fill it with what it likes, for somebody on the host to run. No mount flag
//! prevents that, so such a tree is refused.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use enclos_spec::PolicyError;
use enclos_sys::Errno;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, fgetxattr, fstat, openat, statat};

use crate::error::{Failure, Result, Stage};

/// Most levels of directories that are looked through: each costs a descriptor.
const DEPTH: usize = 200;
/// Most entries that are looked at: another sandbox may be adding to the tree as fast as we look.
const ENTRIES: usize = 5_000_000;

/// Refuses a tree in which the command could rewrite such a program, by the program's name.
///
/// `field`, `tree`: the policy's key and the path it names.
///
/// # Errors
/// One was found; or the tree is too deep or too large to be looked through, or cannot be read.
pub fn refuse(field: &'static str, tree: &Path) -> Result<()> {
    match find(tree).map_err(|errno| Failure::about(Stage::Source, errno, tree.display().to_string()))? {
        Found::None => Ok(()),
        Found::Program(path) => {
            let wanted = format!(
                "{} in it has a set-id bit or file capabilities, and could be rewritten while it keeps them: take them off, or show the tree with ro or overlay",
                path.display()
            );
            Err(PolicyError::value(field, &tree.display().to_string(), &wanted).into())
        }
        Found::TooMuch(path) => {
            let wanted = format!(
                "at {} it is deeper than {DEPTH} levels or larger than {ENTRIES} entries, too much to look for set-id programs",
                path.display()
            );
            Err(PolicyError::value(field, &tree.display().to_string(), &wanted).into())
        }
    }
}

enum Found {
    None,
    Program(PathBuf),
    TooMuch(PathBuf),
}

/// Goes through a tree by descriptors: another sandbox may be changing it.
fn find(tree: &Path) -> Result<Found, Errno> {
    let root = openat(CWD, tree, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let owner = fstat(&root)?;
    let owner = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
    if !FileType::from_raw_mode(fstat(&root)?.st_mode).is_dir() {
        let above = openat(CWD, tree.parent().unwrap_or(tree), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = CString::new(tree.file_name().unwrap_or_default().to_owned().into_vec()).map_err(|_| Errno::INVAL)?;
        return Ok(if gives_rights(&above, &name, owner)? { Found::Program(tree.to_owned()) } else { Found::None });
    }
    let mut open = vec![(directory(CWD, tree)?, PathBuf::new())];
    let mut seen = 0;
    loop {
        let depth = open.len();
        let Some((entries, path)) = open.last_mut() else { return Ok(Found::None) };
        let Some(entry) = entries.read() else {
            open.pop();
            continue;
        };
        let entry = entry?;
        seen += 1;
        if seen > ENTRIES {
            return Ok(Found::TooMuch(path.clone()));
        }
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let below = || path.join(std::ffi::OsString::from_vec(name.to_bytes().to_vec()));
        match entry.file_type() {
            FileType::RegularFile if gives_rights(entries.fd()?, name, owner)? => return Ok(Found::Program(below())),
            FileType::Directory | FileType::Unknown => match directory(entries.fd()?, name) {
                Ok(_) if depth >= DEPTH => return Ok(Found::TooMuch(below())),
                Ok(found) => {
                    let path = below();
                    open.push((found, path));
                }
                // Gone or changed meanwhile, or nothing to go into.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {}
                Err(errno) => return Err(errno),
            },
            _ => {}
        }
    }
}

fn directory(at: impl AsFd, name: impl rustix::path::Arg) -> Result<Dir, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Dir::new(openat(at, name, flags, Mode::empty())?)
}

/// Whether a file gives rights, and belongs to the ids that stand behind the command there: what belongs to others it cannot open for writing (an idmapped mount lets
/// nobody write what it has no id for), and what its owner may not write it would first have to change the mode of, which takes the bit away.
fn gives_rights(directory: impl AsFd, name: &std::ffi::CStr, owner: (Uid, Gid)) -> Result<bool, Errno> {
    let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(false),
        other => other?,
    };
    let mode = Mode::from_raw_mode(stat.st_mode);
    let owned = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)) == owner;
    if !owned || !mode.contains(Mode::WUSR) || !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Ok(false);
    }
    let executable = mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH);
    Ok(has_bit(&stat) || (executable && has_capabilities(&directory, name)?))
}

fn has_bit(stat: &Stat) -> bool {
    let mode = Mode::from_raw_mode(stat.st_mode);
    mode.contains(Mode::SUID) || mode.contains(Mode::SGID | Mode::XGRP)
}

/// capabilities(7), "File capabilities".
fn has_capabilities(directory: impl AsFd, name: &std::ffi::CStr) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd = match openat(directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(false),
        other => other?,
    };
    let mut value = [0u8; 64];
    match fgetxattr(&file, c"security.capability", &mut value[..]) {
        Ok(_) | Err(Errno::RANGE) => Ok(true),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn tree(mode: u32) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("/", tree.path().join("a/link")).unwrap();
        let program = tree.path().join("a/b/program");
        std::fs::write(&program, b"x").unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
        tree
    }

    #[test]
    fn a_program_that_its_owner_may_write_is_found() {
        for mode in [0o4755, 0o2755, 0o6711, 0o4600] {
            let tree = tree(mode);
            let told = refuse("rw", tree.path()).unwrap_err().to_string();
            assert!(told.contains("a/b/program") && told.starts_with("rw: "), "{mode:o}: {told}");
            assert!(refuse("rw", &tree.path().join("a/b/program")).is_err(), "a single file");
        }
    }

    #[test]
    fn other_files_are_nobodys_business() {
        for mode in [0o755, 0o4555, 0o2644, 0o1777] {
            refuse("rw", tree(mode).path()).unwrap_or_else(|e| panic!("{mode:o}: {e}"));
        }
        let tree = tree(0o644);
        std::fs::set_permissions(tree.path().join("a"), PermissionsExt::from_mode(0o2755)).unwrap();
        refuse("rw", tree.path()).unwrap();
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("d/".repeat(DEPTH + 5))).unwrap();
        assert!(refuse("rw", tree.path()).unwrap_err().to_string().contains("deeper than"));
    }
}
