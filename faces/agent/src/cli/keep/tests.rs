//! Bringing changes back, honestly and against somebody who is at the directory too.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// Both sides as directories; `meanwhile` happens when the new contents of a file are read, after everything was checked.
struct World {
    directory: tempfile::TempDir,
    meanwhile: Option<fn(&Path)>,
}

impl World {
    /// The same files on both sides and in the project.
    fn new(files: &[(&str, &str)]) -> World {
        let world = World { directory: tempfile::tempdir().unwrap(), meanwhile: None };
        for side in ["base", "now", "project"] {
            std::fs::create_dir(world.directory.path().join(side)).unwrap();
            for (path, text) in files {
                world.write(side, path, text);
            }
        }
        world
    }

    fn at(&self, side: &str, path: &str) -> PathBuf {
        self.directory.path().join(side).join(path)
    }

    fn write(&self, side: &str, path: &str, text: &str) {
        let path = self.at(side, path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn mode(&self, side: &str, path: &str, mode: u32) {
        std::fs::set_permissions(self.at(side, path), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn keep(&self, path: &str) -> Vec<(String, Outcome)> {
        let project: OwnedFd = std::fs::File::open(self.at("project", "")).unwrap().into();
        let keeper = Keeper::new(&project, self, &self.at("aside", "")).unwrap();
        keeper.keep(path).unwrap()
    }

    fn kept(&self, path: &str) {
        assert_eq!(self.keep(path), [(path.to_owned(), Outcome::Kept)]);
        self.nothing_of_ours_stays();
    }

    /// Why the one change is a conflict.
    fn conflict(&self, path: &str) -> String {
        let outcomes = self.keep(path);
        self.nothing_of_ours_stays();
        match &outcomes[..] {
            [(_, Outcome::Conflict { why, .. })] => why.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn nothing_of_ours_stays(&self) {
        let mut left = vec![self.at("project", "")];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
                assert!(!entry.file_name().to_str().unwrap().starts_with(".enclos-"), "{entry:?}");
                if entry.file_type().unwrap().is_dir() {
                    left.push(entry.path());
                }
            }
        }
    }

    fn read(&self, side: &str, path: &str) -> String {
        std::fs::read_to_string(self.at(side, path)).unwrap_or_else(|error| error.kind().to_string())
    }

    fn side(side: Side) -> &'static str {
        if side == Side::Base { "base" } else { "now" }
    }
}

impl Versions for World {
    fn state(&self, side: Side, path: &str) -> Result<Option<State>, String> {
        let at = self.at(World::side(side), path);
        let Ok(metadata) = std::fs::symlink_metadata(&at) else { return Ok(None) };
        let mode = metadata.mode() & 0o777;
        Ok(Some(if metadata.is_symlink() {
            State::Link { target: std::fs::read_link(at).unwrap().into() }
        } else if metadata.is_dir() {
            State::Directory { mode }
        } else {
            State::File { mode, size: metadata.len() }
        }))
    }

    fn names(&self, side: Side, path: &str) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(self.at(World::side(side), path)).unwrap();
        Ok(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
    }

    fn open(&self, side: Side, path: &str) -> Result<Box<dyn Read + Send>, String> {
        if let (Side::Now, Some(meanwhile)) = (side, self.meanwhile) {
            meanwhile(&self.at("project", ""));
        }
        Ok(Box::new(std::fs::File::open(self.at(World::side(side), path)).unwrap()))
    }
}

#[test]
fn changes_arrive_with_their_bits() {
    let world = World::new(&[("a", "old"), ("dir/b", "old"), ("script", "x"), ("gone", "x"), ("tree/x/y", "y"), ("tree/z", "z")]);
    world.write("now", "a", "new");
    world.write("now", "new/deep/c", "c");
    world.mode("now", "script", 0o755);
    world.mode("now", "new/deep/c", 0o640);
    world.mode("now", "new", 0o750);
    symlink("a", world.at("now", "link")).unwrap();
    std::fs::remove_file(world.at("now", "gone")).unwrap();
    std::fs::remove_dir_all(world.at("now", "tree")).unwrap();
    world.kept("a");
    // Its directories come along, as they are there.
    world.kept("new/deep/c");
    world.kept("script");
    world.kept("link");
    world.kept("gone");
    world.kept("tree");
    assert_eq!(["a", "new/deep/c", "script"].map(|path| world.read("project", path)), ["new", "c", "x"]);
    let mode = |path: &str| std::fs::metadata(world.at("project", path)).unwrap().mode() & 0o7777;
    assert_eq!(["script", "new/deep/c", "new"].map(mode), [0o755, 0o640, 0o750]);
    assert_eq!(std::fs::read_link(world.at("project", "link")).unwrap(), Path::new("a"));
    assert!(!world.at("project", "gone").exists() && !world.at("project", "tree").exists());
    // Once more changes nothing.
    for path in ["a", "new/deep/c", "script", "link", "gone", "tree"] {
        world.kept(path);
    }
}

#[test]
fn a_kind_may_become_another() {
    let world = World::new(&[("file", "x"), ("dir/inner", "x")]);
    std::fs::remove_file(world.at("now", "file")).unwrap();
    world.write("now", "file/inside", "y");
    std::fs::remove_dir_all(world.at("now", "dir")).unwrap();
    world.write("now", "dir", "z");
    world.kept("file");
    world.kept("file/inside");
    world.kept("dir");
    assert_eq!((world.read("project", "file/inside"), world.read("project", "dir")), ("y".to_owned(), "z".to_owned()));
}

#[test]
fn what_somebody_changed_meanwhile_is_theirs() {
    let world = World::new(&[("a", "old"), ("b", "old"), ("c", "old"), ("d", "old"), ("e", "old")]);
    for path in ["a", "b", "c", "new"] {
        world.write("now", path, "ours");
    }
    std::fs::remove_file(world.at("now", "d")).unwrap();
    std::fs::remove_file(world.at("now", "e")).unwrap();
    // Of the same length, so that only the bytes tell.
    world.write("project", "a", "0ld");
    std::fs::remove_file(world.at("project", "b")).unwrap();
    world.mode("project", "c", 0o600);
    world.write("project", "d", "theirs");
    std::fs::remove_file(world.at("project", "e")).unwrap();
    world.write("project", "new", "theirs");
    assert_eq!(world.conflict("a"), "it was changed meanwhile");
    assert_eq!(world.conflict("b"), "it was removed meanwhile");
    assert!(world.conflict("c").contains("mode was changed meanwhile, from 0644 to 0600"), "{}", world.conflict("c"));
    assert_eq!(world.conflict("d"), "it was changed meanwhile");
    assert_eq!(world.conflict("new"), "there is a regular file now, which was not there");
    // Both wanted it gone.
    world.kept("e");
    assert_eq!(["a", "c", "d", "new"].map(|path| world.read("project", path)), ["0ld", "old", "theirs", "theirs"]);
    assert_eq!(["a", "b", "c", "new"].map(|path| world.read("aside", path)), ["ours", "ours", "ours", "ours"]);
    // Both made the same.
    world.write("project", "a", "ours");
    world.kept("a");
}

#[test]
fn what_changes_between_the_look_and_the_exchange_is_put_back() {
    let mut world = World::new(&[("a", "old"), ("b", "old"), ("c", "old")]);
    for path in ["a", "b", "c", "new"] {
        world.write("now", path, "ours");
    }
    world.meanwhile = Some(|project| std::fs::write(project.join("a"), "theirs").unwrap());
    assert_eq!(world.conflict("a"), "it was changed meanwhile");
    assert_eq!(world.read("project", "a"), "theirs");
    world.meanwhile = Some(|project| {
        let _ = std::fs::remove_file(project.join("b"));
    });
    assert_eq!(world.conflict("b"), "it was removed meanwhile");
    world.meanwhile = Some(|project| {
        let _ = std::fs::remove_file(project.join("c"));
        let _ = symlink("/etc/passwd", project.join("c"));
    });
    assert_eq!(world.conflict("c"), "it was changed meanwhile");
    assert_eq!(std::fs::read_link(world.at("project", "c")).unwrap(), Path::new("/etc/passwd"));
    world.meanwhile = Some(|project| std::fs::write(project.join("new"), "theirs").unwrap());
    assert_eq!(world.conflict("new"), "there is something now, which was not there");
    assert_eq!(world.read("project", "new"), "theirs");
}

#[test]
fn no_link_is_followed() {
    let world = World::new(&[("dir/a", "old"), ("dir/gone", "old"), ("file", "old")]);
    let outside = world.at("outside", "");
    std::fs::create_dir(&outside).unwrap();
    for name in ["a", "gone", "file"] {
        std::fs::write(outside.join(name), "old").unwrap();
    }
    world.write("now", "dir/a", "ours");
    world.write("now", "dir/new", "ours");
    world.write("now", "file", "ours");
    std::fs::remove_file(world.at("now", "dir/gone")).unwrap();
    std::fs::remove_dir_all(world.at("project", "dir")).unwrap();
    symlink(&outside, world.at("project", "dir")).unwrap();
    std::fs::remove_file(world.at("project", "file")).unwrap();
    symlink(outside.join("file"), world.at("project", "file")).unwrap();
    for path in ["dir/a", "dir/new", "dir/gone"] {
        assert!(world.conflict(path).contains("\"dir\", on the way to it, is now a link"), "{path}");
    }
    assert_eq!(world.conflict("file"), "it became a symbolic link meanwhile");
    let mut names: Vec<_> = std::fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "file", "gone"]);
    assert!(["a", "gone", "file"].iter().all(|name| std::fs::read(outside.join(name)).unwrap() == b"old"));
}

#[test]
fn a_removed_directory_takes_only_what_was_copied() {
    let world = World::new(&[("tree/a", "a"), ("tree/b", "b"), ("tree/sub/c", "c")]);
    std::fs::remove_dir_all(world.at("now", "tree")).unwrap();
    world.write("project", "tree/b", "changed");
    world.write("project", "tree/sub/theirs", "theirs");
    let outcomes = world.keep("tree");
    let conflicts: Vec<&str> = outcomes.iter().filter(|(_, outcome)| *outcome != Outcome::Kept).map(|(path, _)| &path[..]).collect();
    assert_eq!(conflicts, ["tree/b", "tree/sub", "tree"]);
    assert!(!world.at("project", "tree/a").exists() && !world.at("project", "tree/sub/c").exists());
    assert_eq!((world.read("project", "tree/b"), world.read("project", "tree/sub/theirs")), ("changed".to_owned(), "theirs".to_owned()));
}

#[test]
fn files_keep_their_owner_and_new_ones_get_the_directorys() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: files_keep_their_owner: only root gives files away");
        return;
    }
    let world = World::new(&[("a", "old")]);
    world.write("now", "a", "new");
    world.write("now", "b", "new");
    std::os::unix::fs::chown(world.at("project", ""), Some(1000), Some(1001)).unwrap();
    std::os::unix::fs::chown(world.at("project", "a"), Some(1002), Some(1003)).unwrap();
    world.kept("a");
    world.kept("b");
    let owner = |path: &str| std::fs::metadata(world.at("project", path)).map(|stat| (stat.uid(), stat.gid())).unwrap();
    assert_eq!((owner("a"), owner("b")), ((1002, 1003), (1000, 1001)));
}

#[test]
fn differences_are_shown_as_text() {
    let world = World::new(&[("a", "one\ntwo\n"), ("gone", "x\n"), ("bin", "x")]);
    world.write("now", "a", "one\nthree\n");
    world.write("now", "bin", "\0");
    world.mode("now", "gone", 0o600);
    std::fs::remove_file(world.at("now", "gone")).unwrap();
    assert_eq!(unified(&world, "a").unwrap(), "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n");
    assert_eq!(unified(&world, "gone").unwrap(), "--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n");
    assert_eq!(unified(&world, "bin").unwrap(), "bin: 1 bytes that are no text\n");
}
