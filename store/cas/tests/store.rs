//! The store, from outside: what is kept, what is collected, what a crash leaves, what a hostile directory cannot do.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use enclos_cas::{Attributes, CasError, Check, Digest, Entry, Import, Quantity, Quota, Special, Store, Tree};
use rustix::fs::{FileType, Mode, OFlags};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store"), Quota::default()).unwrap();
    (directory, store)
}

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn every(_: &Path, _: FileType) -> bool {
    true
}

fn as_stored(_: &Path, entry: &Entry) -> Attributes {
    match entry {
        Entry::File { mode, .. } | Entry::Directory { mode, .. } => Attributes { mode: *mode, owner: None, time: Some(1_000_000_000) },
        Entry::Link { .. } => Attributes { mode: 0, owner: None, time: None },
    }
}

fn none() -> Result<Vec<Digest>, CasError> {
    Ok(Vec::new())
}

#[test]
fn bytes_go_in_and_come_out() {
    let (_directory, store) = store();
    let mut session = store.session();
    let large: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let (digest, size) = session.put(&large[..], u64::MAX).unwrap();
    assert_eq!((digest, size), (Digest::of(&large), large.len() as u64));
    assert!(matches!(store.blob(&digest, Check::Verify), Err(CasError::Missing(missing)) if missing == digest), "not settled yet");
    session.settle().unwrap();
    let mut out = Vec::new();
    store.blob(&digest, Check::Verify).unwrap().read_to_end(&mut out).unwrap();
    assert!(out == large);
    assert_eq!(store.usage().objects, 1);
    session.put_bytes(&large).unwrap();
    assert_eq!((store.usage().objects, store.usage().bytes), (1, size), "the same bytes are kept once");
}

#[test]
fn damage_is_seen() {
    let (directory, store) = store();
    let mut session = store.session();
    let digest = session.put_bytes(b"precious").unwrap();
    session.settle().unwrap();
    let text = digest.to_string();
    let path = directory.path().join("store/objects").join(&text[..2]).join(&text[2..]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, b"precioux").unwrap();
    assert!(matches!(store.read(&digest, 100), Err(CasError::Damaged { .. })));
    let read = store.blob(&digest, Check::Verify).unwrap().read_to_end(&mut Vec::new());
    assert!(read.unwrap_err().to_string().contains("damaged"));
    store.blob(&digest, Check::Trust).unwrap().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn quotas_hold_and_give_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Quota { bytes: 1000, objects: 2 }).unwrap();
    let mut session = store.session();
    let over = session.put(&[1u8; 1001][..], u64::MAX).unwrap_err();
    assert!(matches!(over, CasError::Quota { quantity: Quantity::StoreBytes, limit: 1000 }), "{over}");
    assert!(matches!(session.put(&[1u8; 11][..], 10), Err(CasError::Quota { quantity: Quantity::Bytes, limit: 10 })));
    assert_eq!((store.usage().bytes, store.usage().objects), (0, 0), "what failed costs nothing");
    session.put_bytes(&[1; 500]).unwrap();
    session.put_bytes(&[2; 500]).unwrap();
    assert!(matches!(session.put_bytes(b""), Err(CasError::Quota { quantity: Quantity::StoreObjects, limit: 2 })));
    drop(session);
    assert_eq!((store.usage().bytes, store.usage().objects), (0, 0), "what was not settled is gone");
    assert_eq!(fs::read_dir(directory.path().join("staging")).unwrap().count(), 0);
}

#[test]
fn a_tree_names_only_what_is_there() {
    let (_directory, store) = store();
    let mut session = store.session();
    let absent = Digest::of(b"absent");
    let mut tree = Tree::default();
    tree.insert("file", Entry::File { digest: absent, size: 6, mode: 0o644 }).unwrap();
    assert!(matches!(session.put_tree(&tree), Err(CasError::Missing(digest)) if digest == absent));
    // Having asked in vain does not make it look present.
    session.put_bytes(b"absent").unwrap();
    let root = session.put_tree(&tree).unwrap();
    session.settle().unwrap();
    assert_eq!(store.tree(&root).unwrap(), tree);
    assert!(matches!(store.tree(&absent), Err(CasError::NotATree { .. })));
}

#[test]
fn one_process_at_a_time() {
    let (directory, store) = store();
    let again = || Store::open(directory.path().join("store"), Quota::default());
    assert!(matches!(again(), Err(CasError::InUse(_))));
    drop(store);
    again().unwrap();
}

#[test]
fn a_collection_keeps_what_roots_and_sessions_reach() {
    let (_directory, store) = store();
    let put = |name: &str, content: &[u8]| {
        let mut session = store.session();
        let digest = session.put_bytes(content).unwrap();
        let mut inner = Tree::default();
        inner.insert(name, Entry::File { digest, size: content.len() as u64, mode: 0o644 }).unwrap();
        let inner_digest = session.put_tree(&inner).unwrap();
        let mut outer = Tree::default();
        outer.insert("inner", inner.as_entry(inner_digest, 0o755)).unwrap();
        // A file that holds the bytes of the inner tree must not hide what the inner tree names.
        let copy = session.put_bytes(&inner.encode()).unwrap();
        outer.insert("copy", Entry::File { digest: copy, size: 1, mode: 0o644 }).unwrap();
        let root = session.put_tree(&outer).unwrap();
        session.settle().unwrap();
        (root, digest, session)
    };
    let (kept, kept_file, first) = put("a", b"kept");
    let (dropped, dropped_file, second) = put("b", b"dropped");
    let (_, held_file, third) = put("c", b"held by its session");
    drop((first, second));
    let done = store.collect::<CasError>(|| Ok(vec![kept])).unwrap().unwrap();
    assert_eq!((done.objects, done.kept), (3, 6));
    assert!(store.contains(&kept_file).unwrap() && store.contains(&held_file).unwrap());
    assert!(!store.contains(&dropped).unwrap() && !store.contains(&dropped_file).unwrap());
    drop(third);
    store.collect::<CasError>(|| Ok(vec![kept])).unwrap();
    assert_eq!(store.usage().objects, 3);
    assert!(
        matches!(store.collect::<CasError>(|| Ok(vec![dropped])), Err(CasError::Missing(_))),
        "a root that is not there stops everything"
    );
    assert_eq!(store.usage().objects, 3);
    store.collect(none).unwrap();
    assert_eq!((store.usage().objects, store.usage().bytes), (0, 0));
}

#[test]
fn collections_beside_writers_lose_nothing() {
    let (_directory, store) = store();
    let roots = std::sync::Mutex::new(Vec::<Digest>::new());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2u32)
            .map(|writer| {
                let (store, roots) = (&store, &roots);
                scope.spawn(move || {
                    for round in 0..60u32 {
                        let mut session = store.session();
                        let mut tree = Tree::default();
                        // Few contents, so that writers meet what another wrote and what is about to be collected.
                        for n in 0..4 {
                            let content = format!("{}", (round + n + writer) % 7);
                            let digest = session.put_bytes(content.as_bytes()).unwrap();
                            tree.insert(format!("{n}"), Entry::File { digest, size: 1, mode: 0o644 }).unwrap();
                        }
                        let root = session.put_tree(&tree).unwrap();
                        session.settle().unwrap();
                        let mut roots = roots.lock().unwrap();
                        if roots.len() > 5 {
                            roots.remove(0);
                        }
                        roots.push(root);
                    }
                })
            })
            .collect();
        let collector = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) || rounds == 0 {
                store.collect::<CasError>(|| Ok(roots.lock().unwrap().clone())).unwrap();
                rounds += 1;
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        collector.join().unwrap();
    });
    let roots: HashSet<_> = roots.into_inner().unwrap().into_iter().collect();
    for root in &roots {
        for (_, entry) in store.tree(root).unwrap().iter() {
            let Entry::File { digest, .. } = entry else { panic!("only files were written") };
            store.read(digest, 100).unwrap();
        }
    }
    store.collect::<CasError>(|| Ok(roots.iter().copied().collect())).unwrap();
    assert!(store.usage().objects <= 7 + roots.len() as u64);
}

/// Writes objects until it is killed, and names each that it has settled. This test is that child too, told by a variable.
#[test]
fn a_killed_writer_leaves_no_torn_object() {
    const TOLD: &str = "ENCLOS_CAS_WRITE_INTO";
    if let Some(path) = std::env::var_os(TOLD) {
        let store = Store::open(path, Quota::default()).unwrap();
        for round in 0u64.. {
            let mut session = store.session();
            for part in 0..12u64 {
                let content = format!("{round} {part} ").repeat(3000);
                let digest = session.put_bytes(content.as_bytes()).unwrap();
                if part == 11 {
                    session.settle().unwrap();
                    println!("\nsettled {digest}");
                    std::io::stdout().flush().unwrap();
                }
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    for round in 0..4u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_writer_leaves_no_torn_object", "--nocapture"])
            .env(TOLD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut settled = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while settled.len() < 3 {
            let line = lines.next().unwrap().unwrap();
            settled.extend(line.strip_prefix("settled ").map(|text| text.parse::<Digest>().unwrap()));
        }
        std::thread::sleep(std::time::Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(directory.path(), Quota::default()).unwrap();
        for digest in settled {
            store.read(&digest, 1 << 20).unwrap();
        }
        let mut objects = 0;
        for shard in fs::read_dir(directory.path().join("objects")).unwrap() {
            let shard = shard.unwrap();
            for object in fs::read_dir(shard.path()).unwrap() {
                let object = object.unwrap();
                let name = format!("{}{}", shard.file_name().to_str().unwrap(), object.file_name().to_str().unwrap());
                assert_eq!(Digest::of(&fs::read(object.path()).unwrap()).to_string(), name);
                objects += 1;
            }
        }
        assert_eq!(store.usage().objects, objects);
        assert_eq!(fs::read_dir(directory.path().join("staging")).unwrap().count(), 0);
    }
}

#[test]
fn a_directory_goes_in_and_comes_out_as_it_was() {
    let (directory, store) = store();
    let source = directory.path().join("source");
    fs::create_dir_all(source.join("sub/empty")).unwrap();
    fs::write(source.join("sub/run"), b"#!/bin/sh\n").unwrap();
    fs::set_permissions(source.join("sub/run"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::write(source.join("one"), b"one").unwrap();
    fs::hard_link(source.join("one"), source.join("two")).unwrap();
    symlink("/etc/passwd", source.join("out")).unwrap();
    symlink("sub", source.join("by")).unwrap();
    let mut session = store.session();
    let (root, found) = session.import(open(&source), &Import::default(), &mut every).unwrap();
    session.settle().unwrap();
    assert_eq!((found.entries, found.bytes), (7, 16));
    let target = directory.path().join("target");
    fs::create_dir(&target).unwrap();
    store.export(&root, open(&target), &mut as_stored).unwrap();
    assert_eq!(fs::read_link(target.join("out")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(fs::read_link(target.join("by")).unwrap(), Path::new("sub"));
    let run = fs::metadata(target.join("sub/run")).unwrap();
    assert_eq!((run.mode() & 0o7777, run.mtime()), (0o750, 1_000_000_000), "set-id bits are not kept");
    assert_ne!(fs::metadata(target.join("one")).unwrap().ino(), fs::metadata(target.join("two")).unwrap().ino());
    let (again, _) = session.import(open(&target), &Import::default(), &mut every).unwrap();
    assert_eq!(again, root, "what comes out is what went in");
    assert!(matches!(store.export(&root, open(&target), &mut as_stored), Err(CasError::NotEmpty)));
}

#[test]
fn w16_an_import_follows_no_link_and_reads_no_special_file() {
    let (directory, store) = store();
    let (source, secret) = (directory.path().join("source"), directory.path().join("secret"));
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), b"the host's secret").unwrap();
    symlink(secret.join("key"), source.join("file")).unwrap();
    symlink(&secret, source.join("sub/directory")).unwrap();
    symlink("../../secret/key", source.join("sub/up")).unwrap();
    symlink("/proc/self/root", source.join("magic")).unwrap();
    let mut session = store.session();
    let (root, found) = session.import(open(&source), &Import::default(), &mut every).unwrap();
    session.settle().unwrap();
    assert_eq!((found.entries, found.bytes), (5, 0), "links are stored as links");
    assert!(!store.contains(&Digest::of(b"the host's secret")).unwrap());
    assert!(matches!(store.tree(&root).unwrap().get("file".as_ref()), Some(Entry::Link { .. })));

    rustix::fs::mknodat(rustix::fs::CWD, source.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(source.join("sub/socket")).unwrap();
    let refused = session.import(open(&source), &Import::default(), &mut every).unwrap_err();
    assert_eq!(refused.to_string(), "fifo: a FIFO cannot be stored; only files, directories and symbolic links can");
    let lenient = Import { special: Special::LeaveOut, ..Import::default() };
    let (same, found) = session.import(open(&source), &lenient, &mut every).unwrap();
    assert_eq!(same, root);
    assert_eq!(found.left_out, [("fifo".into(), "FIFO"), ("sub/socket".into(), "socket")]);
}

#[test]
fn an_import_is_bounded_and_filtered() {
    let (directory, store) = store();
    let source = directory.path().join("source");
    fs::create_dir_all(source.join("a/b/c/d")).unwrap();
    fs::write(source.join("a/file"), [0; 100]).unwrap();
    fs::write(source.join("file"), [1; 100]).unwrap();
    let mut session = store.session();
    let mut with = |bounds: Import| session.import(open(&source), &bounds, &mut every).map(drop).map_err(|e| e.to_string());
    assert_eq!(with(Import { depth: 3, ..Import::default() }), Err("levels of directories: 3 is the most, and this needs more".into()));
    assert_eq!(with(Import { entries: 5, ..Import::default() }), Err("files and directories: 5 is the most, and this needs more".into()));
    assert_eq!(with(Import { bytes: 199, ..Import::default() }), Err("bytes: 199 is the most, and this needs more".into()));
    assert_eq!(with(Import { bytes: 200, entries: 6, depth: 4, ..Import::default() }), Ok(()));
    let mut only = |path: &Path, _: FileType| !path.starts_with("a/b");
    let (_, found) = session.import(open(&source), &Import::default(), &mut only).unwrap();
    assert_eq!(found.entries, 3);
}
