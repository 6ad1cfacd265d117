//! How much an upper holds, while somebody hostile writes to it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use enclos_vfs::{Used, VfsError};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const BLOCK: usize = 64 << 10;

#[test]
fn a_look_follows_nobody() {
    let place = tempfile::tempdir().unwrap();
    let (upper, outside) = (place.path().join("upper"), place.path().join("outside"));
    fs::create_dir_all(upper.join("d")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("large"), vec![1; 64 * BLOCK]).unwrap();
    assert_eq!(Used::of(&place.path().join("nothing")).unwrap(), Used::default());
    fs::write(upper.join("d/file"), vec![1; BLOCK]).unwrap();
    let plain = Used::of(&upper).unwrap();
    assert!(plain.names == 2 && plain.bytes >= BLOCK as u64 && plain.bytes < 4 * BLOCK as u64, "{plain:?}");
    // Links, to directories and files, and what would make whoever opens it wait.
    symlink(&outside, upper.join("out")).unwrap();
    symlink(outside.join("large"), upper.join("large")).unwrap();
    symlink("/proc/self/root", upper.join("magic")).unwrap();
    symlink("..", upper.join("d/up")).unwrap();
    mknodat(CWD, upper.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(upper.join("socket")).unwrap();
    // Many names of one file, and holes.
    for name in ["one", "two", "three"] {
        fs::hard_link(upper.join("d/file"), upper.join(name)).unwrap();
    }
    fs::File::create(upper.join("holes")).unwrap().set_len(1 << 40).unwrap();
    let more = Used::of(&upper).unwrap();
    assert!(more.names == 12 && more.bytes < plain.bytes + BLOCK as u64, "{more:?}");
    // What forbids its owner to look is counted, and forbids it afterwards.
    fs::create_dir(upper.join("shut")).unwrap();
    fs::write(upper.join("shut/file"), vec![1; 8 * BLOCK]).unwrap();
    fs::set_permissions(upper.join("shut"), fs::Permissions::from_mode(0o000)).unwrap();
    let shut = Used::of(&upper).unwrap();
    assert!(shut.names == more.names + 2 && shut.bytes >= more.bytes + 8 * BLOCK as u64, "{shut:?}");
    assert_eq!(fs::metadata(upper.join("shut")).unwrap().permissions().mode() & 0o777, 0);
    fs::set_permissions(upper.join("shut"), fs::Permissions::from_mode(0o700)).unwrap();
    // An upper that is a link is none.
    symlink(&upper, place.path().join("link")).unwrap();
    assert!(Used::of(&place.path().join("link")).is_err());
}

#[test]
fn a_look_beside_a_writer_ends_and_stays_inside() {
    let place = tempfile::tempdir().unwrap();
    let (upper, outside) = (place.path().join("upper"), place.path().join("outside"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&outside).unwrap();
    for number in 0..200 {
        fs::write(outside.join(number.to_string()), vec![1; BLOCK]).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // A directory that becomes a link out and a directory again.
                let _ = fs::create_dir(upper.join("swap"));
                let _ = fs::remove_dir(upper.join("swap"));
                let _ = symlink(&outside, upper.join("swap"));
                let _ = fs::remove_file(upper.join("swap"));
            }
        });
        for _ in 0..2000 {
            let used = Used::of(&upper).unwrap();
            assert!(used.names <= 1 && used.bytes < BLOCK as u64, "{used:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_too_deep_is_said() {
    let place = tempfile::tempdir().unwrap();
    let mut at = fs::File::open(place.path()).unwrap();
    for _ in 0..600 {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "d", rustix::fs::OFlags::RDONLY, Mode::empty()).unwrap().into();
    }
    assert!(matches!(Used::of(place.path()), Err(VfsError::Quota { limit: 512, .. })));
}
