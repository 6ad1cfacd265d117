//! Codebases, from outside.

use std::collections::BTreeMap;
use std::io::Read;

use enclos_cas::{Digest, Entry, Import, Quota};
use enclos_vfs::{By, Edit, Limits, PageRequest, TreePath, Version, Vfs, VfsError};
use proptest::prelude::*;

const BY: By<'static> = By { author: "tester", now: 1_000 };

fn vfs(limits: Limits) -> (tempfile::TempDir, Vfs) {
    let directory = tempfile::tempdir().unwrap();
    let vfs = Vfs::open(directory.path().join("vfs"), Quota::default(), limits).unwrap();
    (directory, vfs)
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn put(vfs: &Vfs, codebase: &str, at: &str, content: &[u8]) -> Version {
    vfs.upload(codebase, &path(at), content, 0o644, None, BY).unwrap().version
}

fn get(vfs: &Vfs, version: &Version, at: &str) -> Vec<u8> {
    let mut out = Vec::new();
    vfs.download(version, &path(at)).unwrap().0.read_to_end(&mut out).unwrap();
    out
}

fn listing(vfs: &Vfs, version: &Version, at: &str, recursive: bool) -> Vec<String> {
    vfs.files(version, &path(at), recursive, &PageRequest::default()).unwrap().items.iter().map(|f| f.path.to_string()).collect()
}

#[test]
fn files_make_versions_and_versions_stay() {
    let (_directory, vfs) = vfs(Limits::default());
    let made = vfs.create_codebase("demo", "alice", 5).unwrap();
    assert_eq!((made.head.number, made.head.files, made.created), (0, 0, 5));
    let first = put(&vfs, &made.id, "/src//main.py", b"print(1)");
    let second = vfs.upload(&made.id, &path("run.sh"), &b"#!"[..], 0o4755, Some(2), BY).unwrap();
    assert_eq!((second.digest, second.size), (Digest::of(b"#!"), 2));
    let mut named = enclos_vfs::Md5::of(&b"message digest"[..]);
    vfs.upload(&vfs.create_codebase("md5", "alice", 5).unwrap().id, &path("m"), &mut named, 0o644, None, BY).unwrap();
    assert_eq!(named.finish(), "f96b697d7cb7938d525a2f31aaf161d0", "RFC 1321, A.5");
    let third = put(&vfs, &made.id, "src/main.py", b"print(2)!");
    assert_eq!((third.number, third.parent, third.files, third.bytes, third.author.as_str()), (3, Some(2), 2, 11, "tester"));
    assert_eq!((get(&vfs, &first, "src/main.py"), get(&vfs, &third, "src/main.py")), (b"print(1)".to_vec(), b"print(2)!".to_vec()));
    assert_eq!(vfs.download(&third, &path("run.sh")).unwrap().1, 0o755, "set-id bits are not kept");
    assert_eq!(listing(&vfs, &third, "", true), ["/run.sh", "/src", "/src/main.py"]);
    assert_eq!(listing(&vfs, &third, "src", false), ["/src/main.py"]);
    for (at, expected) in [("nope", "/nope: not there"), ("src", "/src: it is a directory"), ("run.sh/x", "/run.sh/x: not there")] {
        assert_eq!(vfs.download(&third, &path(at)).unwrap_err().to_string(), expected);
    }
    for at in ["src", "", "run.sh/x"] {
        assert!(vfs.upload(&made.id, &path(at), &b"x"[..], 0o644, None, BY).is_err(), "{at}");
    }
    assert!(vfs.upload(&made.id, &path("x"), &b"x"[..], 0o644, Some(2), BY).unwrap_err().to_string().starts_with("total_size"));
    assert_eq!(vfs.codebase(&made.id).unwrap().head, third);
    let numbers: Vec<_> = vfs.versions(&made.id, &PageRequest::default()).unwrap().items.iter().map(|v| v.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[test]
fn everything_survives_a_restart_and_a_collection() {
    let (directory, first) = vfs(Limits::default());
    let id = first.create_codebase("demo", "alice", 5).unwrap().id;
    put(&first, &id, "a", b"old");
    let last = put(&first, &id, "a", b"new");
    drop(first);
    let vfs = Vfs::open(directory.path().join("vfs"), Quota::default(), Limits::default()).unwrap();
    assert_eq!(vfs.collect().unwrap().unwrap().objects, 0);
    assert_eq!(get(&vfs, &vfs.version(&id, Some(1)).unwrap(), "a"), b"old");
    assert_eq!(vfs.prune(&id, 1).unwrap(), 2);
    assert_eq!(vfs.collect().unwrap().unwrap().objects, 3, "the empty tree, the old tree and the old file");
    assert_eq!(get(&vfs, &last, "a"), b"new");
    vfs.delete_codebase(&id).unwrap();
    vfs.collect().unwrap();
    assert_eq!(vfs.store().usage().objects, 0);
}

#[test]
fn w40_an_id_cannot_be_a_path() {
    let (_directory, vfs) = vfs(Limits::default());
    let id = vfs.create_codebase("demo", "alice", 5).unwrap().id;
    for bad in [
        "",
        "..",
        "../files",
        &format!("../files/{id}"),
        &format!("{id}/"),
        &id.to_uppercase(),
        "cb_0",
        &format!("{id}0"),
        "ws_0123456789abcdef",
    ] {
        assert!(matches!(vfs.codebase(bad), Err(VfsError::Invalid { field: "codebase_id", .. })), "{bad:?}");
        assert!(matches!(vfs.delete_codebase(bad), Err(VfsError::Invalid { .. })), "{bad:?}");
    }
    assert!(matches!(vfs.codebase("cb_0123456789abcdef"), Err(VfsError::Unknown { .. })));
    for (name, owner) in [("", "x"), ("x", ""), ("a\nb", "x"), (&*"x".repeat(257), "x")] {
        assert!(matches!(vfs.create_codebase(name, owner, 0), Err(VfsError::Invalid { .. })), "{name:?}");
    }
}

#[test]
fn w45_pages_and_quotas_have_an_effect() {
    let (_directory, vfs) = vfs(Limits { codebases_per_owner: 3, bytes: 10, files: 2, versions: 5 });
    let ids: Vec<_> = (0..3).map(|n| vfs.create_codebase(&format!("c{n}"), "alice", 0).unwrap().id).collect();
    assert!(matches!(vfs.create_codebase("c3", "alice", 0), Err(VfsError::Quota { limit: 3, .. })));
    vfs.create_codebase("c3", "bob", 0).unwrap();
    let mut request = PageRequest { size: 2, token: String::new() };
    let page = vfs.codebases(Some("alice"), &request).unwrap();
    assert_eq!(page.items.iter().map(|c| &c.id).collect::<Vec<_>>(), [&ids[0], &ids[1]]);
    request.token = page.next.unwrap();
    let page = vfs.codebases(Some("alice"), &request).unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(vfs.codebases(None, &PageRequest::default()).unwrap().items.len(), 4);
    let bad = PageRequest { size: 2, token: "x' OR 1".into() };
    assert!(matches!(vfs.codebases(None, &bad), Err(VfsError::Invalid { field: "page_token", .. })));

    let upload = |at: &str, size: usize| vfs.upload(&ids[0], &path(at), &vec![b'x'; size][..], 0o644, None, BY);
    upload("a", 6).unwrap();
    assert!(matches!(upload("b", 5), Err(VfsError::Quota { limit: 10, .. })));
    assert!(matches!(upload("b", 11), Err(VfsError::Quota { limit: 10, .. })));
    upload("b", 4).unwrap();
    assert!(matches!(upload("c", 0), Err(VfsError::Quota { limit: 2, .. })));
    for size in 0..3 {
        upload("a", size).unwrap();
    }
    assert!(matches!(upload("a", 0), Err(VfsError::Quota { limit: 5, .. })));
    let head = vfs.version(&ids[0], None).unwrap();
    let page = vfs.files(&head, &path("/"), true, &PageRequest { size: 1, token: String::new() }).unwrap();
    assert_eq!(page.items[0].path, path("a"));
    let page = vfs.files(&head, &path("/"), true, &PageRequest { size: 1, token: page.next.unwrap() }).unwrap();
    assert_eq!((page.items[0].path.clone(), page.next), (path("b"), None));
}

#[test]
fn w44_an_import_of_many_files_is_one_version() {
    let (directory, vfs) = vfs(Limits::default());
    let source = directory.path().join("source");
    for n in 0..1000 {
        let folder = source.join(format!("d{}", n % 10));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("f{n}")), format!("{n}")).unwrap();
    }
    let id = vfs.create_codebase("demo", "alice", 0).unwrap().id;
    let (version, found) = vfs.import(&id, std::fs::File::open(&source).unwrap(), &Import::default(), &mut |_, _| true, BY).unwrap();
    assert_eq!((version.number, version.files, found.entries), (1, 1000, 1010));
    assert_eq!(get(&vfs, &version, "d7/f17"), b"17");
}

#[test]
fn uploads_at_the_same_time_all_arrive() {
    let (_directory, vfs) = vfs(Limits::default());
    let id = vfs.create_codebase("demo", "alice", 0).unwrap().id;
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (vfs, id) = (&vfs, &id);
            scope.spawn(move || (0..5).for_each(|n| drop(put(vfs, id, &format!("w{writer}/f{n}"), b"x"))));
        }
    });
    let head = vfs.version(&id, None).unwrap();
    assert_eq!((head.files, head.number), (20, 20));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Edits done on trees are edits done on a map of paths.
    #[test]
    fn edits_do_what_they_say(steps in proptest::collection::vec(("[ab](/[ab]){0,2}", proptest::option::of("[xy]{0,3}")), 1..12)) {
        let (_directory, vfs) = vfs(Limits::default());
        let id = vfs.create_codebase("demo", "alice", 0).unwrap().id;
        let mut model = BTreeMap::<String, String>::new();
        for (at, content) in steps {
            let below = format!("{at}/");
            let mut session = vfs.store().session();
            let edit = match &content {
                Some(text) => Edit::Put(Entry::File { digest: session.put_bytes(text.as_bytes()).unwrap(), size: text.len() as u64, mode: 0o644 }),
                None => Edit::Remove,
            };
            let blocked = model.keys().any(|file| at.starts_with(&format!("{file}/")));
            let done = vfs.change(&mut session, &id, &BTreeMap::from([(path(&at), edit)]), BY);
            prop_assert_eq!(done.is_err(), blocked, "{}", at);
            if !blocked {
                model.retain(|file, _| *file != at && !file.starts_with(&below));
                content.map(|text| model.insert(at, text));
            }
        }
        let head = vfs.version(&id, None).unwrap();
        let files = vfs.files(&head, &TreePath::top(), true, &PageRequest::default()).unwrap().items;
        let found: BTreeMap<String, String> = files.iter().filter(|f| !matches!(f.entry, Entry::Directory { .. }))
            .map(|f| (f.path.to_string()[1..].to_owned(), String::from_utf8(get(&vfs, &head, &f.path.to_string())).unwrap())).collect();
        prop_assert_eq!(&found, &model);
        prop_assert_eq!((head.files, head.bytes), (model.len() as u64, model.values().map(|t| t.len() as u64).sum::<u64>()));
    }
}
