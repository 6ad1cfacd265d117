//! Files reached below a descriptor, beside somebody who would have us reach others.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use enclos_vfs::files::{Files, acting_as};
use enclos_vfs::{TreePath, VfsError};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn open(at: &Path) -> OwnedFd {
    rustix::fs::open(at, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn text(files: &Files<'_>, at: &str) -> Result<String, VfsError> {
    let mut text = String::new();
    files.read(&path(at))?.0.read_to_string(&mut text).unwrap();
    Ok(text)
}

#[test]
fn files_are_read_written_listed_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let top = open(directory.path());
    let files = Files::below(top.as_fd());
    files.make_directories(&path("a/b/c"), 0o750).unwrap();
    assert_eq!(files.write(&path("a/b/f"), &b"hello"[..], 0o640, 5).unwrap(), 5);
    assert_eq!(text(&files, "/a//b/f").unwrap(), "hello");
    let status = files.status(&path("a/b/f")).unwrap();
    assert_eq!((status.kind, status.size, status.mode), (FileType::RegularFile, 5, 0o640));
    fs::set_permissions(directory.path().join("a/b/f"), fs::Permissions::from_mode(0o600)).unwrap();
    files.write(&path("a/b/f"), &b"again"[..], 0o777, 5).unwrap();
    assert_eq!(files.status(&path("a/b/f")).unwrap().mode, 0o600, "what is there keeps its bits");
    let over = files.write(&path("a/b/f"), &b"longer"[..], 0o777, 5).unwrap_err();
    assert!(matches!(over, VfsError::Quota { limit: 5, .. }), "{over}");
    assert_eq!(text(&files, "a/b/f").unwrap(), "again", "all or nothing");
    symlink("f", directory.path().join("a/b/link")).unwrap();
    let listed = |after: Option<&str>, most| {
        let (names, more) = files.list(&path("a/b"), after.map(std::ffi::OsStr::new), most).unwrap();
        (names.into_iter().map(|(name, _)| name.into_string().unwrap()).collect::<Vec<_>>().join(" "), more)
    };
    assert_eq!(listed(None, 9), ("c f link".into(), false));
    assert_eq!((listed(None, 2), listed(Some("f"), 2)), (("c f".into(), true), ("link".into(), false)));
    assert_eq!(files.status(&path("a/b/link")).unwrap().target.unwrap(), "f");
    files.rename(&path("a/b/f"), &path("a/g")).unwrap();
    assert!(matches!(files.read(&path("a/b/f")), Err(VfsError::NotThere(_))));
    assert!(files.remove(&path("a"), false).unwrap_err().to_string().contains("not empty"));
    files.remove(&path("a/g"), false).unwrap();
    files.remove(&path("a"), true).unwrap();
    assert!(matches!(files.remove(&path("a"), true), Err(VfsError::NotThere(_))));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    for refused in [files.remove(&TreePath::top(), true), files.write(&TreePath::top(), &b""[..], 0o600, 1).map(|_| ())] {
        assert!(matches!(refused, Err(VfsError::WrongKind { .. })));
    }
}

#[test]
fn w16_no_link_is_followed_and_nothing_special_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    fs::create_dir_all(inside.join("d")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    for (name, target) in [("file", "../out/secret"), ("up", "../out"), ("root", "/"), ("magic", "/proc/self/root"), ("own", "d")] {
        symlink(target, inside.join(name)).unwrap();
    }
    mknodat(CWD, inside.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap();
    if rustix::process::geteuid().is_root() {
        mknodat(CWD, inside.join("device"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), rustix::fs::makedev(1, 3)).unwrap();
    }
    let top = open(&inside);
    let files = Files::below(top.as_fd());
    for name in ["file", "up/secret", "root/etc/passwd", "magic/etc/passwd", "own/x", "fifo", "socket", "d"] {
        let (read, written) = (files.read(&path(name)), files.write(&path(name), &b"x"[..], 0o600, 9));
        assert!(matches!(read, Err(VfsError::WrongKind { .. }) | Err(VfsError::NotThere(_))), "{name}: {read:?}");
        assert!(matches!(written, Err(VfsError::WrongKind { .. })), "{name}: {written:?}");
        assert!(name == "d" || files.make_directories(&path(name).join("n".as_ref()), 0o700).is_err(), "{name}");
        assert!(name == "d" || files.list(&path(name), None, 9).is_err(), "{name}");
    }
    for name in ["up/secret", "root/etc/passwd", "own/x"] {
        assert!(matches!(files.remove(&path(name), true), Err(VfsError::WrongKind { .. })), "{name}");
        assert!(files.rename(&path("d"), &path(name)).is_err() && files.status(&path(name)).is_err(), "{name}");
    }
    if inside.join("device").exists() {
        assert!(files.read(&path("device")).unwrap_err().to_string().contains("neither a file nor a directory"));
    }
    files.remove(&path("up"), true).unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret", "the link went, not what it names");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

/// A directory is exchanged for a link out, over and over, while files below it are read, written and removed.
#[test]
fn w16_a_link_swapped_in_leads_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    for (place, content) in [(&inside.join("d/e"), "inside"), (&outside.join("e"), "outside")] {
        fs::create_dir_all(place).unwrap();
        fs::write(place.join("f"), content).unwrap();
        fs::write(place.join("g"), content).unwrap();
    }
    symlink(&outside, inside.join("l")).unwrap();
    let top = open(&inside);
    let files = Files::below(top.as_fd());
    let stop = AtomicBool::new(false);
    let (mut inside_seen, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(&top, "d", &top, "l", rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        for round in 0..6000 {
            match text(&files, "d/e/f") {
                Ok(text) => {
                    inside_seen += 1;
                    assert_eq!(text, "inside");
                }
                Err(VfsError::WrongKind { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            let _ = files.write(&path("d/e/written"), &b"w"[..], 0o600, 9);
            let _ = files.make_directories(&path("d/e/made/deep"), 0o700);
            if round % 3 == 0 {
                let _ = files.remove(&path("d/e/g"), false);
                let _ = files.remove(&path("d/e/made"), true);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(inside_seen > 0 && refused > 0, "both were met: {inside_seen} {refused}");
    let mut names: Vec<_> = fs::read_dir(outside.join("e")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["f", "g"], "nothing outside was made or removed");
}

#[test]
fn the_kernel_judges_by_the_ids_taken() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: the_kernel_judges_by_the_ids_taken: not root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| directory.path().join(name);
    for (name, owner, mode) in [("own", 4000, 0o600), ("roots", 0, 0o600), ("other", 4001, 0o644)] {
        fs::write(at(name), name).unwrap();
        std::os::unix::fs::chown(at(name), Some(owner), Some(owner)).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let top = open(directory.path());
    let files = Files::below(top.as_fd());
    let as_command = |act: &(dyn Fn() -> Result<String, VfsError> + Sync)| acting_as(4000, 4000, false, act);
    assert_eq!(as_command(&|| text(&files, "own")).unwrap(), "own");
    assert_eq!(as_command(&|| text(&files, "other")).unwrap(), "other");
    let refused = |result: Result<String, VfsError>| matches!(result, Err(VfsError::System { errno: rustix::io::Errno::ACCESS, .. }));
    assert!(refused(as_command(&|| text(&files, "roots"))));
    let write = |name: &'static str| as_command(&|| files.write(&path(name), &b"new"[..], 0o644, 9).map(|n| n.to_string()));
    // Its directory is root's: the file itself may be changed.
    assert_eq!(write("own").unwrap(), "3");
    assert_eq!((fs::read_to_string(at("own")).unwrap(), fs::metadata(at("own")).unwrap().uid()), ("new".into(), 4000));
    assert!(refused(write("other")) && write("none").is_err());
    assert!(as_command(&|| files.remove(&path("own"), false).map(|()| String::new())).is_err());
    let with_rights = acting_as(4000, 4000, true, || files.write(&path("made"), &b"m"[..], 0o644, 9));
    assert_eq!((with_rights.unwrap(), fs::metadata(at("made")).unwrap().uid()), (1, 4000));
    assert_eq!(rustix::process::geteuid().as_raw(), 0, "nothing was taken from this thread");
}
