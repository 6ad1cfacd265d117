//! Workspaces: an overlay of layers that each sandbox is brought.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Error, Sandbox, Template, Workspace};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, mknodat, openat2};

use crate::warm::launcher;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A codebase checked out, a mask over it, and one workspace.
struct Layers {
    dir: tempfile::TempDir,
}

impl Layers {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layers = Layers { dir };
        layers.directory("tree", 0o1777);
        layers.file("tree/own", 1000, 0o644, "lower\n");
        layers.file("tree/secret", 1000, 0o644, "secret\n");
        layers.file("tree/placed", 1000, 0o644, "placed\n");
        layers.directory("mask", 0o1777);
        mknodat(CWD, layers.at("mask/secret"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        layers.file("mask/placed", 0, 0o000, "");
        fs::OpenOptions::new().write(true).open(layers.at("mask/placed")).map(|f| f.set_len(7).unwrap()).unwrap_or_default();
        layers.file("mask/kept", 0, 0o444, "protected\n");
        layers.space("one");
        layers
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn directory(&self, name: &str, mode: u32) {
        fs::create_dir_all(self.at(name)).unwrap();
        fs::set_permissions(self.at(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn file(&self, name: &str, owner: u32, mode: u32, text: &str) {
        fs::write(self.at(name), text).unwrap();
        if is_root() {
            chown(self.at(name), Some(owner), Some(owner)).unwrap();
        }
        fs::set_permissions(self.at(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn space(&self, name: &str) -> Workspace {
        self.directory(name, 0o700);
        self.directory(&format!("{name}/upper"), 0o1777);
        self.directory(&format!("{name}/work"), 0o700);
        let upper = self.at(name).join("upper");
        Workspace::new(vec![self.at("mask"), self.at("tree")], upper, self.at(name).join("work"))
    }
}

fn says(sandbox: &Sandbox, script: &str) -> String {
    let output = sandbox.command("sh").args(["-c", script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The same in a sandbox made from the start, and in one of a template.
fn in_both(act: impl Fn(&Layers, &dyn Fn(&Workspace) -> Sandbox)) {
    let policy = Policy::default();
    act(&Layers::new(), &|workspace| Sandbox::create_with(&policy, Some(workspace)).unwrap());
    let launcher = launcher();
    let template = launcher.living_template(&policy, Some(Path::new(Workspace::AT))).unwrap();
    act(&Layers::new(), &|workspace| template.sandbox(Some(workspace)).unwrap());
}

#[test]
fn a_workspace_shows_its_layers_and_keeps_what_is_written() {
    in_both(|layers, make| {
        let sandbox = make(&layers.space("one"));
        assert_eq!(
            says(&sandbox, "pwd; cat own kept; ls secret 2>&1 | wc -l; echo new > made; echo more >> own; mkdir d"),
            "/workspace\nlower\nprotected\n1\n"
        );
        assert!(says(&sandbox, "cat placed").contains("Permission denied"));
        assert_eq!(says(&sandbox, "ls"), "d\nkept\nmade\nown\nplaced\n");
        assert!(says(&sandbox, "echo x > kept").contains("Permission denied"));
        drop(sandbox);
        assert_eq!(fs::read_to_string(layers.at("one/upper/own")).unwrap(), "lower\nmore\n");
        assert_eq!(fs::read_to_string(layers.at("tree/own")).unwrap(), "lower\n");
        let sandbox = make(&layers.space("one"));
        assert_eq!(says(&sandbox, "cat made own"), "new\nlower\nmore\n");
    });
}

#[test]
fn ids_on_disk_are_the_same_whatever_range_is_leased() {
    if !is_root() {
        println!("SKIP: ids_on_disk_are_the_same_whatever_range_is_leased: only root's sandboxes have ids of their own");
        return;
    }
    in_both(|layers, make| {
        let (one, two) = (layers.space("one"), layers.space("two"));
        let (first, second) = (make(&one), make(&two));
        assert_ne!(first.host_ids(), second.host_ids());
        for (sandbox, workspace) in [(&first, &one), (&second, &two)] {
            assert_eq!(
                says(sandbox, "stat -c '%u %g' own kept . ; echo x > made; stat -c %u made; echo more >> own"),
                "1000 1000\n0 0\n0 0\n1000\n"
            );
            for name in ["made", "own"] {
                let on_disk = fs::metadata(workspace.upper.join(name)).unwrap();
                assert_eq!((on_disk.uid(), on_disk.gid()), (1000, 1000), "{name}");
            }
            let (uid, _) = sandbox.host_ids().unwrap();
            assert!(uid >= 65_536, "{uid}");
        }
    });
}

#[test]
fn sandboxes_on_one_codebase_do_not_see_each_other() {
    in_both(|layers, make| {
        let (one, two) = (make(&layers.space("one")), make(&layers.space("two")));
        says(&one, "echo mine > own; rm -f made; echo 1 > made");
        assert_eq!(says(&two, "cat own; ls made 2>/dev/null"), "lower\n");
        says(&two, "rm own");
        assert_eq!(says(&one, "cat own"), "mine\n");
        drop((one, two));
        assert!(fs::symlink_metadata(layers.at("two/upper/own")).unwrap().file_type().is_char_device());
        assert_eq!(fs::read_to_string(layers.at("tree/own")).unwrap(), "lower\n");
    });
}

#[test]
fn the_host_looks_into_the_workspace_by_its_descriptor() {
    in_both(|layers, make| {
        let sandbox = make(&layers.space("one"));
        says(&sandbox, "echo from inside > note; ln -s /etc/passwd out");
        let top = sandbox.workspace().unwrap();
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let open = |name: &str| openat2(top, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), resolve);
        let mut text = [0; 64];
        let length = rustix::io::read(open("note").unwrap(), &mut text).unwrap();
        assert_eq!(&text[..length], b"from inside\n");
        assert!(open("out").is_err());
        let make = |name| openat2(top, name, OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC, Mode::from_raw_mode(0o644), resolve);
        let made = sandbox.with_ids(1000, 1000, || make("pushed")).unwrap().unwrap();
        rustix::io::write(&made, b"pushed\n").unwrap();
        assert_eq!(says(&sandbox, "cat pushed; stat -c %u pushed; echo more >> pushed"), "pushed\n1000\n");
        // As the command would, not as root of the host.
        let over = || openat2(top, "kept", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve);
        assert!(sandbox.with_ids(1000, 1000, over).unwrap().is_err());
    });
}

#[test]
fn nothing_of_the_layers_is_seen_inside() {
    in_both(|layers, make| {
        let sandbox = make(&layers.space("one"));
        let table = says(&sandbox, "cat /proc/self/mountinfo");
        let dir = layers.dir.path().to_string_lossy().into_owned();
        let name = dir.rsplit('/').next().unwrap();
        assert!(table.contains(" /workspace ") && !table.contains(name) && !table.contains("/.enclos"), "{table}");
        assert_eq!(says(&sandbox, "ls -A /.enclos /.enclos/wk 2>/dev/null | wc -l"), "0\n");
    });
}

#[test]
fn writes_go_only_where_the_second_wall_lets_them() {
    let layers = Layers::new();
    let workspace = Workspace { writable: Some(vec!["open".into(), "link".into()]), ..layers.space("one") };
    for name in ["open", "shut"] {
        layers.directory(&format!("tree/{name}"), 0o777);
    }
    std::os::unix::fs::symlink("shut", layers.at("tree/link")).unwrap();
    let sandbox = match Sandbox::create_with(&Policy::default(), Some(&workspace)) {
        Err(Error::Unenforceable { missing, .. }) => {
            println!("SKIP: writes_go_only_where_the_second_wall_lets_them: {missing}");
            return;
        }
        made => made.unwrap(),
    };
    assert_eq!(says(&sandbox, "echo 1 > open/x; cat open/x"), "1\n");
    for place in ["shut/x", "own", "new", "link/x"] {
        assert!(says(&sandbox, &format!("echo 1 > {place}")).contains("Permission denied"), "{place}");
    }
}

#[test]
fn a_living_sandbox_of_a_template_takes_many_commands() {
    let launcher = launcher();
    let template = launcher.living_template(&Policy::default(), None).unwrap();
    template.park_ahead(1).unwrap();
    let before: Vec<u32> = (0..3).map(|_| one_life(&template)).collect();
    assert!(before.iter().all(|pid| *pid != 0));
}

fn one_life(template: &Template) -> u32 {
    let sandbox = template.sandbox(None).unwrap();
    assert!(sandbox.workspace().is_none());
    assert_eq!(says(&sandbox, "ls /tmp; echo 1 > /tmp/x; (sleep 60 > /dev/null 2>&1 &)"), "");
    let threads: Vec<_> = (0..4)
        .map(|worker| {
            let sandbox = sandbox.clone();
            std::thread::spawn(move || {
                for round in 0..5 {
                    assert_eq!(says(&sandbox, &format!("cat /tmp/x; echo {worker}.{round}")), format!("1\n{worker}.{round}\n"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(sandbox.command("no-such").output().unwrap_err().exit_code(), 127);
    sandbox.kill_all().unwrap();
    let left = "i=0; while grep -qs sleep /proc/[0-9]*/comm; do i=$((i+1)); [ $i -lt 200 ] || exit 1; sleep 0.05; done; echo none";
    assert_eq!(says(&sandbox, left), "none\n");
    let id = sandbox.id();
    sandbox.destroy().unwrap();
    id
}

#[test]
fn a_parked_process_that_is_killed_ends_no_living_sandbox() {
    let launcher = launcher();
    let sandbox = launcher.living_template(&Policy::default(), None).unwrap().sandbox(None).unwrap();
    sandbox.kill_all().unwrap();
    assert_eq!(says(&sandbox, "echo alive"), "alive\n");
    let failed = launcher.living_template(&Policy::default(), None).unwrap().sandbox(None).unwrap();
    assert_eq!(failed.command("no-such").output().unwrap_err().exit_code(), 127);
    assert_eq!(says(&failed, "echo alive"), "alive\n");
}

#[test]
fn one_command_of_a_living_template_has_no_workspace() {
    let launcher = launcher();
    let template = launcher.living_template(&Policy::default(), Some(Path::new("/workspace"))).unwrap();
    template.park(1).unwrap();
    let output = template.command("ls").arg("/workspace").output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
}

#[test]
fn a_wrong_workspace_is_refused_by_its_path() {
    let layers = Layers::new();
    let launcher = launcher();
    let template = launcher.living_template(&Policy::default(), Some(Path::new("/workspace"))).unwrap();
    let good = layers.space("one");
    let told = |workspace: &Workspace| {
        let (warm, cold) =
            (template.sandbox(Some(workspace)).unwrap_err(), Sandbox::create_with(&Policy::default(), Some(workspace)).unwrap_err());
        let texts = [warm.to_string(), cold.to_string()];
        texts.iter().for_each(|text| assert!(!text.contains('\n'), "{text}"));
        texts
    };
    std::os::unix::fs::symlink(layers.at("tree"), layers.at("planted")).unwrap();
    for (workspace, word) in [
        (Workspace { lower: vec!["/no/such".into()], ..good.clone() }, "/no/such"),
        (Workspace { lower: vec![layers.at("planted")], ..good.clone() }, "symbolic link"),
        (Workspace { work: layers.at("tree"), ..good.clone() }, "beside"),
        (Workspace { lower: Vec::new(), ..good.clone() }, "layers"),
    ] {
        for text in told(&workspace) {
            assert!(text.contains(word) || (!is_root() && text.contains("workspace")), "{word}: {text}");
        }
    }
    let elsewhere = Workspace { at: "/elsewhere".into(), ..good.clone() };
    assert!(template.sandbox(Some(&elsewhere)).unwrap_err().to_string().contains("/workspace"));
    assert!(Sandbox::create_with(&Policy::default(), Some(&Workspace { at: "/proc".into(), ..good.clone() })).is_err());
    assert_eq!(says(&template.sandbox(Some(&good)).unwrap(), "cat own"), "lower\n");
}
