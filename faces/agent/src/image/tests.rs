//! Images from archives and directories, honest and hostile.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::*;

struct World {
    directory: tempfile::TempDir,
    images: Images,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let images = Images::open(&directory.path().join("agent")).unwrap();
        World { directory, images }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn add(&self, name: &str, bytes: &[u8]) -> Result<Added> {
        self.images.add(name, Source::Archive(&self.file("archive", bytes)), Bounds::default(), 7)
    }

    fn refused(&self, bytes: &[u8]) -> String {
        let error = self.add("bad", bytes).unwrap_err().to_string();
        assert_eq!(self.images.list().unwrap(), []);
        let left = std::fs::read_dir(self.directory.path().join("agent/images")).unwrap().count();
        assert_eq!(left, 0, "something of what was refused stays: {error}");
        error
    }

    fn see(&self, name: &str, path: &str) -> String {
        let root = self.images.root(name).unwrap();
        std::fs::read_to_string(root.path().join(path)).unwrap_or_else(|error| error.kind().to_string())
    }
}

/// One entry: path, kind, mode, what it holds or where it leads.
type Entry<'a> = (&'a str, EntryType, u32, &'a str);

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for &(path, kind, mode, text) in entries {
        let mut header = Header::new_gnu();
        // Not through the crate's setters: they refuse what a hostile archive holds.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000);
        header.set_uid(1234);
        let body = if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            &b""[..]
        } else {
            text.as_bytes()
        };
        header.set_size(body.len() as u64);
        header.set_cksum();
        builder.append(&header, body).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bytes_tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What `docker save` writes.
fn saved(layers: &[&[Entry<'_>]]) -> Vec<u8> {
    let layers: Vec<(String, Vec<u8>)> = layers.iter().enumerate().map(|(at, layer)| (format!("{at}/layer.tar"), tar(layer))).collect();
    let names: Vec<&str> = layers.iter().map(|(name, _)| &name[..]).collect();
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": ["x:1"], "Layers": names }]).to_string();
    let config = serde_json::json!({ "config": { "Env": ["PATH=/usr/local/bin:/bin", "=x"], "WorkingDir": "/srv" } }).to_string();
    let mut files = vec![("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())];
    files.extend(layers.iter().map(|(name, bytes)| (&name[..], &bytes[..])));
    bytes_tar(&files)
}

fn sha256(bytes: &[u8]) -> String {
    enclos_cas::Digest::of(bytes).to_string()
}

/// An OCI layout: a layer, compressed, behind an index with an image for another machine beside it.
fn oci(layer: &[u8], garble: bool) -> Vec<u8> {
    let config = br#"{"config": null}"#;
    let digest = |bytes: &[u8]| format!("sha256:{}", sha256(bytes));
    let manifest = serde_json::json!({
        "config": { "digest": digest(config) },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(layer) }],
    })
    .to_string();
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let index = serde_json::json!({ "manifests": [
        { "digest": digest(b"other"), "platform": { "os": "linux", "architecture": "s390x" } },
        { "digest": digest(manifest.as_bytes()), "platform": { "os": "linux", "architecture": machine } },
    ] })
    .to_string();
    let place = |bytes: &[u8]| format!("blobs/sha256/{}", sha256(bytes));
    let (of_layer, of_config, of_manifest) = (place(layer), place(config), place(manifest.as_bytes()));
    let mut layer = layer.to_vec();
    if garble {
        // Padding behind the archive: it unpacks all the same.
        layer.extend([0; 512]);
    }
    bytes_tar(&[("index.json", index.as_bytes()), (&of_layer, &layer), (&of_config, config), (&of_manifest, manifest.as_bytes())])
}

#[test]
fn layers_lie_over_each_other() {
    let world = World::new();
    let lower: &[Entry<'_>] = &[
        ("usr/lib/", DIR, 0o755, ""),
        ("usr/lib/a", FILE, 0o644, "one"),
        ("lib", EntryType::Symlink, 0o777, "usr/lib"),
        ("opt/old", FILE, 0o644, "old"),
        ("etc/gone", FILE, 0o644, "gone"),
        ("etc/stays", FILE, 0o600, "stays"),
        ("becomes", FILE, 0o644, "file"),
    ];
    let upper: &[Entry<'_>] = &[
        // Through a link of the lower layer, as /lib is on most systems.
        ("lib/b", FILE, 0o755, "two"),
        ("opt/new", FILE, 0o644, "new"),
        ("opt/.wh..wh..opq", FILE, 0o644, ""),
        ("etc/.wh.gone", FILE, 0o644, ""),
        ("becomes/", DIR, 0o700, ""),
        ("becomes/full", FILE, 0o644, "directory"),
        ("usr/lib/c", EntryType::Link, 0o644, "usr/lib/a"),
    ];
    let added = world.add("x/y:1", &saved(&[lower, upper])).unwrap();
    assert_eq!(added.left_out, LeftOut::default());
    let see = |path| world.see("x/y:1", path);
    assert_eq!(["usr/lib/a", "usr/lib/b", "usr/lib/c", "lib/b"].map(see), ["one", "two", "one", "two"]);
    assert_eq!(
        ["opt/old", "opt/new", "etc/gone", "etc/stays", "becomes/full"].map(see),
        ["entity not found", "new", "entity not found", "stays", "directory"]
    );
    let root = world.images.root("x/y:1").unwrap();
    let stat = |path: &str| std::fs::symlink_metadata(root.path().join(path)).unwrap();
    assert_eq!(stat("becomes").permissions().mode() & 0o7777, 0o700);
    assert_eq!((stat("usr/lib/b").permissions().mode() & 0o7777, stat("usr/lib/b").mtime()), (0o755, 1_000_000));
    assert_eq!(stat("usr/lib/b").uid(), rustix::process::geteuid().as_raw());
    let record = root.record();
    assert_eq!(
        (&record.env[..], &record.workdir[..], &record.source[..]),
        (&["PATH=/usr/local/bin:/bin".to_owned()][..], "/srv", "docker archive")
    );
    assert_eq!(world.images.list().unwrap(), std::slice::from_ref(record));
}

#[test]
fn oci_archives_are_read_and_their_digests_checked() {
    let world = World::new();
    let layer = gzip(&tar(&[("bin/sh", FILE, 0o755, "shell")]));
    assert_eq!(world.add("oci", &oci(&layer, false)).unwrap().image.source, "oci archive");
    assert_eq!(world.see("oci", "bin/sh"), "shell");
    world.images.remove("oci").unwrap();
    let why = world.refused(&oci(&tar(&[("bin/sh", FILE, 0o755, "shell")]), true));
    assert!(why.contains("another digest"), "{why}");
    // The whole archive compressed.
    world.add("gz", &gzip(&oci(&layer, false))).unwrap();
    assert_eq!(world.see("gz", "bin/sh"), "shell");
}

#[test]
fn no_entry_leaves_the_image() {
    let world = World::new();
    let outside = world.file("outside", b"host");
    let folder = world.directory.path().to_str().unwrap().to_owned();
    let many = "../".repeat(20);
    let up = format!("{many}{}", &folder[1..]);
    for target in [&folder[..], &up] {
        if target.len() > 99 {
            continue;
        }
        let layer: &[Entry<'_>] = &[
            ("etc/", DIR, 0o755, ""),
            ("way", EntryType::Symlink, 0o777, target),
            ("way/outside", FILE, 0o644, "mine"),
            ("/absolute", FILE, 0o644, "inside"),
        ];
        // The link leads to a directory that the image does not have.
        let added = world.add("x", &saved(&[layer]));
        assert_eq!(std::fs::read(&outside).unwrap(), b"host", "{target}");
        if added.is_ok() {
            assert_eq!(world.see("x", "absolute"), "inside");
            world.images.remove("x").unwrap();
        }
    }
    for (layer, part) in [
        (&[("../outside", FILE, 0o644, "mine")][..], "`..`"),
        (&[("a/../../outside", FILE, 0o644, "mine")], "`..`"),
        (&[("way", EntryType::Link, 0o644, "../../outside")], "`..`"),
        (&[("way", EntryType::Link, 0o644, "/etc/passwd")], "no file"),
        (&[("etc/.wh..", FILE, 0o644, "")], "names nothing"),
        (&[("x", EntryType::GNUSparse, 0o644, "")], "not unpacked"),
        (&[("link", EntryType::Symlink, 0o777, "")], "leads to no path"),
    ] as [(&[Entry<'_>], &str); 7]
    {
        let why = world.refused(&saved(&[layer]));
        assert!(why.contains(part), "{layer:?}: {why}");
    }
    assert_eq!(std::fs::read(&outside).unwrap(), b"host");
}

#[test]
fn a_hard_link_through_a_link_gets_no_file_of_the_host() {
    let world = World::new();
    let outside = world.file("outside", b"host");
    let folder = world.directory.path().to_str().unwrap();
    let layer: &[Entry<'_>] =
        &[("way", EntryType::Symlink, 0o777, folder), ("mine", EntryType::Link, 0o644, "way/outside"), ("mine", FILE, 0o666, "changed")];
    world.refused(&saved(&[layer]));
    assert_eq!((std::fs::read(&outside).unwrap(), std::fs::metadata(&outside).unwrap().nlink()), (b"host".to_vec(), 1));
}

#[test]
fn devices_and_set_id_bits_are_left_out() {
    let world = World::new();
    let layer: &[Entry<'_>] = &[
        ("bin/su", FILE, 0o4755, "su"),
        ("tmp/", DIR, 0o1777, ""),
        ("var/mail/", DIR, 0o2775, ""),
        ("dev/null", EntryType::Char, 0o666, ""),
        ("run/fifo", EntryType::Fifo, 0o666, ""),
    ];
    let added = world.add("x", &saved(&[layer])).unwrap();
    assert_eq!(added.left_out, LeftOut { special: 2, set_id: 2 });
    let root = world.images.root("x").unwrap();
    let mode = |path: &str| std::fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(["bin/su", "tmp", "var/mail"].map(mode), [0o755, 0o777, 0o775]);
    assert!(!root.path().join("dev/null").exists());
}

#[test]
fn bounds_hold() {
    let world = World::new();
    let archive = saved(&[&[("etc/a", FILE, 0o644, "12345"), ("etc/b", FILE, 0o644, "12345")]]);
    let path = world.file("archive", &archive);
    let small = |bounds| world.images.add("x", Source::Archive(&path), bounds, 0).unwrap_err().to_string();
    let usual = Bounds::default();
    assert!(small(Bounds { bytes: 9, ..usual }).contains("more than 9 bytes"));
    assert!(small(Bounds { entries: 1, ..usual }).contains("more than 1 entries"));
    assert!(small(Bounds { depth: 1, ..usual }).contains("at most 1 parts"));
    assert!(small(Bounds { layers: 0, ..usual }).contains("0 are the most"));
    // A name as long as a disk, and one cut off.
    let mut long = tar(&[("././@LongLink", EntryType::GNULongName, 0, "x")]);
    long[124..136].copy_from_slice(b"77777777777\0");
    let sum: u32 = long[..512].iter().enumerate().map(|(at, &byte)| u32::from(if (148..156).contains(&at) { b' ' } else { byte })).sum();
    long[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let manifest = br#"[{"Config": "c", "Layers": ["l"]}]"#;
    let why = world.refused(&bytes_tar(&[("manifest.json", manifest), ("c", b"{}"), ("l", &long)]));
    assert!(why.contains("extended header of"), "{why}");
    world.refused(&archive[..archive.len() / 2]);
    world.refused(b"");
    let why = world.refused(&tar(&[("notes.txt", FILE, 0o644, "x")]));
    assert!(why.contains("no root file system"), "{why}");
}

#[test]
fn bare_root_file_systems_and_directories_are_images_too() {
    let world = World::new();
    let added = world.add("bare", &gzip(&tar(&[("./usr/", DIR, 0o755, ""), ("./usr/x", FILE, 0o644, "x")]))).unwrap();
    assert_eq!((&added.image.source[..], world.see("bare", "usr/x")), ("root file system archive", "x".to_owned()));
    let from = world.directory.path().join("from");
    std::fs::create_dir_all(from.join("etc")).unwrap();
    std::fs::write(from.join("etc/a"), "a").unwrap();
    std::fs::hard_link(from.join("etc/a"), from.join("etc/b")).unwrap();
    symlink("/etc/a", from.join("link")).unwrap();
    std::fs::set_permissions(from.join("etc"), PermissionsExt::from_mode(0o555)).unwrap();
    let added = world.images.add("dir", Source::Directory(&from), Bounds::default(), 0).unwrap();
    assert_eq!((&added.image.source[..], added.image.entries, added.image.bytes), ("directory", 4, 1));
    let root = world.images.root("dir").unwrap();
    assert_eq!(std::fs::metadata(root.path().join("etc/b")).unwrap().nlink(), 2);
    assert_eq!(std::fs::read_link(root.path().join("link")).unwrap(), Path::new("/etc/a"));
    drop(root);
    world.images.remove("dir").unwrap();
    assert_eq!(world.images.list().unwrap().len(), 1);
}

#[test]
fn what_is_shown_to_a_sandbox_is_not_removed() {
    let world = World::new();
    world.add("x", &saved(&[&[("bin/sh", FILE, 0o755, "")]])).unwrap();
    let root = world.images.root("x").unwrap();
    assert!(matches!(world.images.remove("x"), Err(ImageError::InUse(_))));
    assert!(matches!(world.add("x", b""), Err(ImageError::Exists(_))));
    drop(root);
    world.images.remove("x").unwrap();
    assert!(matches!(world.images.root("x"), Err(ImageError::NotFound(_))));
    assert!(matches!(world.images.remove("x"), Err(ImageError::NotFound(_))));
    for name in ["", ".x", "a b", "../x", "é", "x\n"] {
        assert!(matches!(world.images.root(name), Err(ImageError::Name { .. })), "{name:?}");
    }
}
