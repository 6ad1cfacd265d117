//! Uppers as somebody hostile would leave them.

use std::fs;
use std::os::unix::fs::symlink;

use enclos_vfs::{Bounds, Committed, HeldBack, Level, Preset, Rule, TreePath, VfsError, View};
use rustix::fs::{CWD, FileType, Mode as Bits, mknodat};

use crate::world::{Mode, World, make_opaque, white_out};

#[test]
fn w16_w17_a_commit_follows_no_link() {
    let world = World::new(Mode::all()[0], &[("d/f", "f"), ("e/g", "g")], &Preset::FullAccess.rules());
    let outside = world.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "the host's secret").unwrap();
    let upper = world.upper();
    symlink(&outside, upper.join("d")).unwrap();
    symlink(outside.join("secret"), upper.join("file")).unwrap();
    symlink("../../../outside/secret", upper.join("up")).unwrap();
    symlink("/proc/self/root/etc/passwd", upper.join("magic")).unwrap();
    assert_eq!(world.diff(), ["M /d", "A /file", "A /magic", "A /up"]);
    let version = world.made();
    let text = world.contents(&version).join("\n");
    assert!(!text.contains("the host's secret") && text.contains("/magic -> /proc/self/root/etc/passwd"), "{text}");
    // A link in the codebase is written out as a link, and nothing is written through it.
    fs::create_dir(world.upper().join("e")).unwrap();
    fs::write(world.upper().join("e/g"), "evil").unwrap();
    world.made();
    world.vfs.layers(&world.workspace, &world.rules, world.mode.ownership()).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "the host's secret");
    assert!(matches!(world.vfs.download(&world.head(), &crate::world::path("file")), Err(VfsError::WrongKind { .. })));
    assert!(matches!(world.vfs.download(&world.head(), &crate::world::path("d/secret")), Err(VfsError::NotThere(_))));
}

#[test]
fn special_files_are_named_and_never_opened() {
    let world = World::new(Mode::all()[0], &[("f", "f")], &Preset::FullAccess.rules());
    let upper = world.upper();
    mknodat(CWD, upper.join("fifo"), FileType::Fifo, Bits::from_raw_mode(0o666), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(upper.join("socket")).unwrap();
    mknodat(CWD, upper.join("f"), FileType::Fifo, Bits::from_raw_mode(0o666), 0).unwrap();
    fs::write(upper.join("good"), "g").unwrap();
    assert_eq!(world.diff(), ["M /f !", "A /fifo !", "A /good", "A /socket !"]);
    let Committed::Denied(denied) = world.commit(HeldBack::Refuse) else { panic!("refused") };
    assert_eq!(denied[1].to_string(), "A /fifo (a FIFO cannot be stored)");
    let Committed::Made { version, .. } = world.commit(HeldBack::Drop) else { panic!("made") };
    assert_eq!(world.contents(&version), ["/f = f", "/good = g"]);
}

#[test]
fn w18_marks_of_the_other_kind_mean_nothing() {
    for mode in Mode::two_owners() {
        let world = World::new(mode, &[("d/f", "f"), ("d/g", "g")], &Preset::FullAccess.rules());
        let upper = world.upper();
        fs::create_dir(upper.join("d")).unwrap();
        // What the command can set itself, where the overlay keeps its own marks elsewhere.
        let other = if mode.marks() == enclos_vfs::Marks::User { enclos_vfs::Marks::Trusted } else { enclos_vfs::Marks::User };
        make_opaque(&upper.join("d"), other);
        fs::write(upper.join("d/.wh.f"), "").unwrap();
        fs::write(upper.join("d/.wh..wh..opq"), "").unwrap();
        assert_eq!(world.diff(), ["A /d/.wh..wh..opq", "A /d/.wh.f"], "{mode:?}");
    }
}

#[test]
fn an_overlay_mounted_otherwise_is_refused() {
    let world = World::new(Mode::OneOwner, &[("f", "f"), ("d/g", "g")], &Preset::FullAccess.rules());
    let upper = world.upper();
    fs::create_dir(upper.join("moved")).unwrap();
    let set = |path: &std::path::Path, name: &str, value: &[u8]| {
        rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap()
    };
    set(&upper.join("moved"), "user.overlay.redirect", b"/secrets");
    let error = world.vfs.diff(&world.workspace, &world.view()).unwrap_err();
    assert!(error.to_string().contains("/moved: it was renamed by an overlay with redirect_dir on"), "{error}");
    fs::remove_dir(upper.join("moved")).unwrap();
    fs::write(upper.join("f"), "").unwrap();
    set(&upper.join("f"), "user.overlay.metacopy", b"");
    assert!(world.vfs.diff(&world.workspace, &world.view()).unwrap_err().to_string().contains("metacopy"));
}

#[test]
fn w19_w22_hidden_things_survive_whatever_the_upper_says() {
    let rules = [
        Rule::glob("**/*", Level::Write),
        Rule::glob("**/secret*", Level::None).priority(1),
        Rule::glob("**/lock", Level::Read).priority(1),
    ];
    let files = [("d/secret", "s"), ("d/f", "f"), ("e/lock", "l"), ("e/f", "f"), ("secrets/x", "x"), ("g/f", "f")];
    let world = World::new(Mode::all()[0], &files, &rules);
    let upper = world.upper();
    // Whiteouts and opaque directories where the mask does not let the command make them.
    for name in ["d", "secrets", "g"] {
        white_out(&upper.join(name));
    }
    fs::create_dir(upper.join("e")).unwrap();
    make_opaque(&upper.join("e"), world.mode.marks());
    assert_eq!(world.diff(), ["D /d !", "D /e/f", "D /e/lock !", "D /g"]);
    let changes = world.changes();
    assert!(changes[0].to_string().contains("it would remove what the rules protect: /d/secret: none"), "{}", changes[0]);
    let Committed::Made { version, .. } = world.commit(HeldBack::Drop) else { panic!("made") };
    let expected = ["/d/", "/d/f = f", "/d/secret = s", "/e/", "/e/lock = l", "/secrets/", "/secrets/x = x"];
    assert_eq!(world.contents(&version), expected);
    // A file where a directory with something hidden is.
    fs::write(world.upper().join("d"), "file").unwrap();
    fs::write(world.upper().join("secrets"), "file").unwrap();
    assert_eq!(world.diff(), ["M /d !", "M /secrets !"]);
    assert!(matches!(world.commit(HeldBack::Drop), Committed::Nothing { .. }));
}

#[test]
fn names_of_one_file_are_files_of_their_own() {
    let world = World::new(
        Mode::all()[0],
        &[("a", "a"), ("lock", "l")],
        &[Rule::glob("**/*", Level::Write), Rule::glob("lock", Level::Read).priority(1)],
    );
    let upper = world.upper();
    fs::write(upper.join("b"), "shared").unwrap();
    fs::hard_link(upper.join("b"), upper.join("a")).unwrap();
    fs::hard_link(upper.join("b"), upper.join("lock")).unwrap();
    assert_eq!(world.diff(), ["M /a", "A /b", "M /lock !"]);
    let Committed::Made { version, .. } = world.commit(HeldBack::Drop) else { panic!("made") };
    assert_eq!(world.contents(&version), ["/a = shared", "/b = shared", "/lock = l"]);
}

#[test]
fn a_walk_is_bounded() {
    let world = World::new(Mode::all()[0], &[("f", "f")], &Preset::FullAccess.rules());
    let upper = world.upper();
    let deep: std::path::PathBuf = std::iter::repeat_n("d", 40).collect();
    fs::create_dir_all(upper.join(deep)).unwrap();
    fs::File::create(upper.join("sparse")).unwrap().set_len(1 << 40).unwrap();
    let with =
        |bounds: Bounds| world.vfs.diff(&world.workspace, &View { bounds, ..world.view() }).map(|c| c.len()).map_err(|e| e.to_string());
    assert_eq!(with(Bounds { depth: 30, ..Bounds::default() }), Err("levels of directories in the workspace: 30 is the most".into()));
    assert_eq!(with(Bounds { names: 20, ..Bounds::default() }), Err("names in the workspace: 20 is the most".into()));
    assert_eq!(with(Bounds { bytes: 1 << 20, ..Bounds::default() }), Err(format!("bytes in the workspace: {} is the most", 1 << 20)));
    let commit = world.vfs.commit(
        &world.workspace,
        &View { bounds: Bounds { bytes: 1 << 20, ..Bounds::default() }, ..world.view() },
        HeldBack::Drop,
        crate::world::BY,
    );
    assert!(matches!(commit, Err(VfsError::Quota { .. })));
}

#[test]
fn a_very_deep_upper_can_be_thrown_away() {
    let world = World::new(Mode::all()[0], &[("f", "f")], &Preset::FullAccess.rules());
    let mut at = rustix::fs::open(world.upper(), rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY, Bits::empty()).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&at, "d", Bits::RWXU).unwrap();
        rustix::fs::mkdirat(&at, ".removing-0", Bits::from_raw_mode(0o000)).unwrap();
        at = rustix::fs::openat(&at, "d", rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY, Bits::empty()).unwrap();
    }
    drop(at);
    assert!(matches!(world.vfs.diff(&world.workspace, &world.view()), Err(VfsError::Quota { .. })));
    let old = world.upper();
    world.vfs.rollback(&world.workspace, None).unwrap();
    assert!(!old.exists());
}

#[test]
fn names_that_look_alike_stay_apart() {
    let rules = [Rule::glob("**/*", Level::Write), Rule::glob("secret", Level::None).priority(1)];
    let world = World::new(Mode::all()[0], &[("secret", "s")], &rules);
    use std::os::unix::ffi::OsStrExt;
    for name in ["Secret".as_bytes(), "s\u{435}cret".as_bytes(), b"secret\xff", b"secret "] {
        fs::write(world.upper().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    fs::write(world.upper().join("secret"), "x").unwrap();
    let denied: Vec<_> = world.changes().into_iter().filter(|c| c.denied.is_some()).map(|c| c.path).collect();
    assert_eq!(denied, [TreePath::parse("secret").unwrap()]);
    assert_eq!(world.changes().len(), 5);
}
