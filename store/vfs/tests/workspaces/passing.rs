//! Workspaces of one mount: what is left of one that nobody wrote to serves the next of the same owner, and nothing else does.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use enclos_cas::Quota;
use enclos_vfs::{Leftover, Limits, Ownership, Preset, Rules, Vfs, VfsError};

struct World {
    directory: tempfile::TempDir,
    vfs: Vfs,
    codebase: String,
    rules: Rules,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let vfs = Vfs::open(directory.path().join("vfs"), Quota::default(), Limits::default()).unwrap();
        let codebase = vfs.create_codebase("demo", "alice", 0).unwrap().id;
        World { directory, vfs, codebase, rules: Rules::new(&Preset::FullAccess.rules()).unwrap() }
    }

    /// One life: its place, given out and mounted as the engine does it; what happens there meanwhile; its end.
    fn life(&self, whose: &str, act: impl FnOnce(&Path)) -> (PathBuf, Leftover) {
        let id = self.vfs.create_passing(&self.codebase, None, whose, 0).unwrap().id;
        let upper = self.vfs.layers(&id, &self.rules, Ownership::One).unwrap().upper;
        let place = upper.parent().unwrap().to_owned();
        // As overlayfs leaves it.
        std::fs::create_dir_all(place.join("work/work/incompat/volatile")).unwrap();
        std::fs::write(place.join("work/work/incompat/volatile/dirty"), "").unwrap();
        act(&place);
        (place, self.vfs.delete_workspace(&id).unwrap())
    }

    /// A life that ends before the next begins.
    fn whole(&self, whose: &str, act: impl FnOnce(&Path)) -> PathBuf {
        let (place, leftover) = self.life(whose, act);
        leftover.recycle().unwrap();
        place
    }

    fn places(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("vfs/passing")).unwrap().count()
    }
}

#[test]
fn a_place_that_nobody_wrote_to_serves_its_owner_again() {
    let world = World::new();
    let first = world.whole("alice", |_| ());
    let before = std::fs::metadata(first.join("upper")).unwrap();
    assert_eq!(std::fs::read_dir(first.join("work")).unwrap().count(), 0, "what the mount has made is gone");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let again = world.whole("alice", |place| {
        let now = std::fs::metadata(place.join("upper")).unwrap();
        assert_eq!((now.ino(), now.mode(), now.uid(), now.gid()), (before.ino(), before.mode(), before.uid(), before.gid()));
        let times = |of: &std::fs::Metadata| [(of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec()), (of.atime(), of.atime_nsec())];
        assert!(times(&now).iter().zip(times(&before)).all(|(now, before)| *now > before), "its times are those of this life");
    });
    assert_eq!(first, again);
    // Two at once have two, and another owner has neither.
    let ((one, left_one), (two, left_two)) = (world.life("alice", |_| ()), world.life("alice", |_| ()));
    assert!(one == first && two != first);
    for left in [left_one, left_two] {
        left.recycle().unwrap();
    }
    let other = world.whole("bob", |_| ());
    assert!(other != one && other != two);
    assert_eq!(world.places(), 3);
    // It does so for a while, and then another does.
    let lives: Vec<_> = (0..100).map(|_| world.whole("bob", |_| ())).collect();
    let places: std::collections::BTreeSet<_> = lives.iter().collect();
    assert_eq!((places.len(), lives[0] == other, lives[99] == other), (4, true, false));
    assert!(!other.exists());
}

#[test]
fn a_place_that_was_touched_is_removed() {
    type Touch = fn(&Path);
    let touches: [(&str, Touch); 9] = [
        ("a file", |place| std::fs::write(place.join("upper/file"), "secret").unwrap()),
        ("a file that was removed again", |place| {
            std::fs::write(place.join("upper/file"), "secret").unwrap();
            std::fs::remove_file(place.join("upper/file")).unwrap();
        }),
        ("bits", |place| std::fs::set_permissions(place.join("upper"), Permissions::from_mode(0o711)).unwrap()),
        ("bits that were put back", |place| {
            let was = std::fs::metadata(place.join("upper")).unwrap().permissions();
            std::fs::set_permissions(place.join("upper"), Permissions::from_mode(0o711)).unwrap();
            std::fs::set_permissions(place.join("upper"), was).unwrap();
        }),
        ("an attribute", |place| xattr(place, b"1")),
        ("times", |place| {
            let upper = std::fs::File::open(place.join("upper")).unwrap();
            upper.set_times(std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH)).unwrap();
        }),
        ("times that were put back", |place| {
            let upper = std::fs::File::open(place.join("upper")).unwrap();
            let was = upper.metadata().unwrap().modified().unwrap();
            upper.set_times(std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH)).unwrap();
            upper.set_times(std::fs::FileTimes::new().set_modified(was)).unwrap();
        }),
        ("something that a copy of the overlay left", |place| std::fs::write(place.join("work/work/#1"), "secret").unwrap()),
        ("another overlay directory", |place| std::fs::create_dir(place.join("work/index")).unwrap()),
    ];
    let world = World::new();
    for (what, touch) in touches {
        let place = world.whole("alice", touch);
        assert!(!place.exists(), "{what}");
        assert_eq!(world.places(), 0, "{what}");
    }
    // Nor one that was given out twice, or never.
    let id = world.vfs.create_passing(&world.codebase, None, "alice", 0).unwrap().id;
    for _ in 0..2 {
        world.vfs.layers(&id, &world.rules, Ownership::One).unwrap();
    }
    world.vfs.delete_workspace(&id).unwrap().recycle().unwrap();
    let id = world.vfs.create_passing(&world.codebase, None, "alice", 0).unwrap().id;
    world.vfs.delete_workspace(&id).unwrap().recycle().unwrap();
    assert_eq!(world.places(), 0);
}

fn xattr(place: &Path, value: &[u8]) {
    let upper = std::fs::File::open(place.join("upper")).unwrap();
    rustix::fs::fsetxattr(&upper, "user.note", value, rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn so_many_are_kept_and_none_outlives_the_process() {
    let world = World::new();
    let crowd = |whose: &str| {
        let lives: Vec<_> = (0..40).map(|_| world.life(whose, |_| ())).collect();
        lives.into_iter().for_each(|(_, leftover)| leftover.recycle().unwrap());
    };
    crowd("alice");
    assert_eq!(world.places(), 16);
    for n in 0..5 {
        crowd(&format!("bob {n}"));
    }
    assert_eq!(world.places(), 64);
    // What is dropped, as a server's end does, is removed.
    let (place, leftover) = world.life("carol", |place| std::fs::write(place.join("upper/file"), "").unwrap());
    drop(leftover);
    assert!(!place.exists());
    let World { directory, vfs, .. } = world;
    drop(vfs);
    let vfs = Vfs::open(directory.path().join("vfs"), Quota::default(), Limits::default()).unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("vfs/passing")).unwrap().count(), 0);
    drop(vfs);
}

#[test]
fn what_it_stands_on_stays_and_it_is_no_record() {
    let world = World::new();
    let passing = world.vfs.create_passing(&world.codebase, None, "alice", 0).unwrap();
    let upper = world.vfs.layers(&passing.id, &world.rules, Ownership::One).unwrap().upper;
    assert_eq!((world.vfs.workspace(&passing.id).unwrap(), world.vfs.upper(&passing.id).unwrap()), (passing.clone(), upper));
    assert_eq!(world.vfs.workspaces(None, &Default::default()).unwrap().items, []);
    assert!(matches!(world.vfs.delete_codebase(&world.codebase), Err(VfsError::InUse { .. })));
    assert!(matches!(world.vfs.rollback(&passing.id, None), Err(VfsError::InUse { .. })));
    assert_eq!(world.vfs.drop_unused_layers().unwrap(), 0);
    world.vfs.delete_workspace(&passing.id).unwrap().recycle().unwrap();
    assert!(matches!(world.vfs.workspace(&passing.id), Err(VfsError::Unknown { .. })));
    assert!(world.vfs.drop_unused_layers().unwrap() > 0);
    world.vfs.delete_codebase(&world.codebase).unwrap();
    assert!(matches!(world.vfs.create_passing(&world.codebase, None, "alice", 0), Err(VfsError::Unknown { .. })));
}
