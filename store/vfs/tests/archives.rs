//! Codebases from archives and as archives, also from those that mean harm.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};

use enclos_cas::{Entry, Import, Quota};
use enclos_vfs::{By, Limits, PageRequest, TreePath, Unpacked, Version, Vfs};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

const BY: By<'static> = By { author: "tester", now: 1_000 };

struct World {
    _directory: tempfile::TempDir,
    vfs: Vfs,
    codebase: String,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let vfs = Vfs::open(directory.path().join("vfs"), Quota::default(), Limits::default()).unwrap();
    let codebase = vfs.create_codebase("demo", "alice", 0).unwrap().id;
    World { _directory: directory, vfs, codebase }
}

impl World {
    fn import(&self, archive: &[u8], unpacked: Unpacked) -> Result<Version, String> {
        let done = self.vfs.import_archive(&self.codebase, archive, unpacked, &Import::default(), BY);
        done.map(|(version, _)| version).map_err(|error| error.to_string())
    }

    fn contents(&self, version: &Version) -> Vec<String> {
        let page = PageRequest { size: 1000, token: String::new() };
        let listed = self.vfs.files(version, &TreePath::top(), true, &page).unwrap().items;
        let text = |path: &TreePath, entry: &Entry| match entry {
            Entry::File { mode, .. } => {
                let mut text = Vec::new();
                self.vfs.download(version, path).unwrap().0.read_to_end(&mut text).unwrap();
                format!("{path} {mode:o} = {}", String::from_utf8_lossy(&text))
            }
            Entry::Link { target } => format!("{path} -> {}", target.display()),
            Entry::Directory { mode, .. } => format!("{path}/ {mode:o}"),
        };
        listed.iter().map(|l| text(&l.path, &l.entry)).collect()
    }
}

/// An archive of these entries, whatever they are called.
fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut out = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4644);
        let linked = matches!(kind, EntryType::Symlink | EntryType::Link);
        header.set_size(if linked { 0 } else { content.len() as u64 });
        if linked {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_cksum();
        out.append(&header, if linked { &b""[..] } else { content.as_bytes() }).unwrap();
    }
    out.into_inner().unwrap()
}

use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink, XHeader};

#[test]
fn an_archive_becomes_one_version_over_or_instead() {
    let world = world();
    world.import(&archive(&[("old", Regular, "old"), ("d/f", Regular, "1")]), Unpacked::Over).unwrap();
    let entries =
        [("./", Directory, ""), ("d/", Directory, ""), ("./d//g", Regular, "2"), ("l", Symlink, "/etc/passwd"), ("d/h", Link, "d/g")];
    let over = world.import(&archive(&entries), Unpacked::Over).unwrap();
    assert_eq!(world.contents(&over), ["/d/ 644", "/d/f 644 = 1", "/d/g 644 = 2", "/d/h 644 = 2", "/l -> /etc/passwd", "/old 644 = old"]);
    let instead = world.import(&archive(&entries), Unpacked::Instead).unwrap();
    assert_eq!(world.contents(&instead), ["/d/ 644", "/d/g 644 = 2", "/d/h 644 = 2", "/l -> /etc/passwd"]);
    assert_eq!((over.number, instead.number), (2, 3));
}

#[test]
fn what_means_harm_is_refused_by_name_and_makes_no_version() {
    let world = world();
    let pax = |text: &str| format!("{} {text}\n", text.len() + 4);
    let (sized, sparse) = (pax("size=99999999999"), pax("GNU.sparse.major=1"));
    let cases = [
        (vec![("/etc/passwd", Regular, "x")], "archive entry \"/etc/passwd\": its name must be relative"),
        (vec![("a/../../x", Regular, "x")], "archive entry \"a/../../x\": `..` is not taken"),
        (vec![("dev", Char, "")], "archive entry \"dev\": only files, directories and links"),
        (vec![("dev", Block, "")], "archive entry \"dev\""),
        (vec![("fifo", Fifo, "")], "archive entry \"fifo\""),
        (vec![("sparse", EntryType::GNUSparse, "")], "archive entry \"sparse\""),
        (vec![("h", Link, "/etc/passwd")], "archive entry \"/etc/passwd\": its name must be relative"),
        (vec![("h", Link, "later"), ("later", Regular, "x")], "archive entry \"h\": a hard link must name a file that came before it"),
        (vec![("l", Symlink, "/etc"), ("h", Link, "l")], "archive entry \"h\": a hard link"),
        (
            vec![("l", Symlink, "/etc"), ("l/passwd", Regular, "x")],
            "archive entry \"l/passwd\": what is above it in the archive is no directory",
        ),
        (vec![("d/f", Regular, "x"), ("d", Symlink, "/etc")], "archive entry \"d\": it is in the archive twice"),
        (vec![("f", Regular, "1"), ("./f", Regular, "2")], "archive entry \"./f\": it is in the archive twice"),
        (vec![("f", Regular, "1"), ("f/", Directory, "")], "archive entry \"f/\": it is in the archive twice"),
        (vec![(".", Regular, "x")], "archive entry \".\": the top is a directory"),
        (vec![("l", Symlink, "")], "archive entry \"l\": a symbolic link says where"),
        (vec![("p", XHeader, &sized), ("f", Regular, "x")], "a size in an extended header is not read"),
        (vec![("p", XHeader, &sparse), ("f", Regular, "x")], "files with holes are not read"),
        (vec![("p", XHeader, "9 path"), ("f", Regular, "x")], "it is not of lines"),
    ];
    for (entries, expected) in cases {
        let error = world.import(&archive(&entries), Unpacked::Over).unwrap_err();
        assert!(error.contains(expected) && error.lines().count() == 1, "{entries:?}: {error}");
    }
    let long = "x".repeat(70 << 10);
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, XHeader] {
        let error = world.import(&archive(&[("long", kind, &long), ("f", Regular, "x")]), Unpacked::Over).unwrap_err();
        assert!(error.contains("extended headers are longer"), "{error}");
    }
    // An end that comes early, and sizes that are lies.
    let whole = archive(&[("f", Regular, &"y".repeat(3000))]);
    assert!(world.import(&whole[..1024], Unpacked::Over).is_err());
    let mut header = Header::new_gnu();
    header.as_old_mut().name[0] = b'f';
    header.set_mode(0o644);
    header.set_size(u64::MAX >> 2);
    header.set_cksum();
    assert!(world.import(header.as_bytes(), Unpacked::Over).is_err());
    assert!(world.import(b"not an archive, though it is longer than one block of one".repeat(20).as_slice(), Unpacked::Over).is_err());
    assert_eq!(world.vfs.codebase(&world.codebase).unwrap().head.number, 0);
    for (bounds, expected) in [
        (Import { bytes: 2999, ..Import::default() }, "bytes of an archive: 2999 is the most"),
        (Import { entries: 0, ..Import::default() }, "entries of an archive: 0 is the most"),
        (Import { depth: 0, ..Import::default() }, "levels of directories in an archive: 0 is the most"),
    ] {
        let error = world.vfs.import_archive(&world.codebase, &whole[..], Unpacked::Over, &bounds, BY).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    world.vfs.collect().unwrap();
    assert!(world.vfs.store().usage().objects <= 1, "nothing is left of what was refused");
}

#[test]
fn w44_ten_thousand_files_go_in_and_the_usual_program_reads_them() {
    let world = world();
    let mut out = Builder::new(Vec::new());
    let long = "long/".repeat(30);
    for n in 0..10_000 {
        let mut header = Header::new_gnu();
        header.set_size(8);
        header.set_mode(0o644);
        out.append_data(&mut header, format!("{long}{}/f{n}", n % 100), format!("{n:08}").as_bytes()).unwrap();
    }
    let bytes = out.into_inner().unwrap();
    let (version, found) = world.vfs.import_archive(&world.codebase, &bytes[..], Unpacked::Over, &Import::default(), BY).unwrap();
    assert_eq!((version.number, version.files, found.entries), (1, 10_000, 10_000));
    let mut exported = Vec::new();
    world.vfs.export_archive(&version).unwrap().read_to_end(&mut exported).unwrap();
    let mut child = Command::new("tar").args(["-t", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let listed = std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut stdin, &exported).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(listed.status.success());
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().filter(|line| line.contains("/f")).count(), 10_000);
}

#[test]
fn what_the_usual_program_packs_is_read() {
    let world = world();
    let directory = tempfile::tempdir().unwrap();
    let name = "n".repeat(200);
    std::fs::create_dir_all(directory.path().join(&name).join("d")).unwrap();
    std::fs::write(directory.path().join(&name).join("f"), "text").unwrap();
    std::fs::hard_link(directory.path().join(&name).join("f"), directory.path().join("g")).unwrap();
    std::os::unix::fs::symlink("t".repeat(300), directory.path().join("l")).unwrap();
    let mut seen = Vec::new();
    for format in ["gnu", "pax", "posix"] {
        let packed =
            Command::new("tar").arg("-C").arg(directory.path()).args(["--format", format, "--sort=name", "-c", "."]).output().unwrap();
        let version = world.import(&packed.stdout, Unpacked::Instead).unwrap();
        seen.push(world.contents(&version));
    }
    assert_eq!((seen[0].len(), seen[0] == seen[1], seen[1] == seen[2]), (5, true, true), "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_exported_is_imported_again(files in proptest::collection::btree_map("[a-c]{1,2}(/[a-z]{1,70}){0,3}", proptest::collection::vec(any::<u8>(), 0..1500), 0..8)) {
        let world = world();
        let mut out = Builder::new(Vec::new());
        let mut kept: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, content) in files {
            if kept.keys().any(|k| k.starts_with(&format!("{name}/")) || name.starts_with(&format!("{k}/"))) {
                continue;
            }
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            out.append_data(&mut header, &name, &content[..]).unwrap();
            kept.insert(name, content);
        }
        let first = world.import(&out.into_inner().unwrap(), Unpacked::Over).unwrap();
        prop_assert_eq!(first.files as usize, kept.len());
        let mut exported = Vec::new();
        world.vfs.export_archive(&first).unwrap().read_to_end(&mut exported).unwrap();
        prop_assert_eq!(exported.len() % 512, 0);
        prop_assert_eq!(world.import(&exported, Unpacked::Instead).unwrap().tree, first.tree);
    }

    /// Whatever comes is an archive or is refused; and of what is taken nothing is outside.
    #[test]
    fn any_bytes_are_read_or_refused(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>(), sum in any::<bool>()) {
        let world = world();
        let mut bytes = archive(&[("d/", Directory, ""), ("d/f", Regular, "content"), ("p", XHeader, "12 path=abc\n"), ("g", Regular, "x"), ("l", Symlink, "d/f"), ("h", Link, "d/f")]);
        for (at, byte) in places {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if sum {
            // Sums that are right again, so that what they guard is read.
            for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
                let mut header = Header::from_byte_slice(block).clone();
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        } else {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(version) = world.import(&bytes, Unpacked::Over) {
            let mut exported = Vec::new();
            world.vfs.export_archive(&version).unwrap().read_to_end(&mut exported).unwrap();
            prop_assert_eq!(world.import(&exported, Unpacked::Instead).unwrap().tree, version.tree);
        }
    }
}
