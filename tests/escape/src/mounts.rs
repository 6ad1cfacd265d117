//! Mount points that are not what they seem: links in writable directories, hostile root file systems, swaps while the sandbox is
//! being made.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use enclos_spec::Verdict;
use enclos_testkit::Who;

use crate::attempt::{held_if, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

const OURS: Control = Control::Without("about mounts of ours");

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "mount_point_is_a_link_out",
        threat: "H15: --tmpfs D/link, where an earlier run made D/link -> a directory of the host",
        expected: "resolved inside; the host's directory untouched and unseen",
        control: OURS,
        attempt: |stage| link_out(stage, "--tmpfs"),
    },
    Attempt {
        name: "bind_target_is_a_link_out",
        threat: "H15: --bind SRC:D/link",
        expected: "resolved inside; the host's directory untouched and unseen",
        control: OURS,
        attempt: |stage| link_out(stage, "--bind"),
    },
    Attempt {
        name: "hidden_path_is_a_link_out",
        threat: "H15: --hide D/link",
        expected: "resolved inside; the host's directory untouched and unseen",
        control: OURS,
        attempt: |stage| link_out(stage, "--hide"),
    },
    Attempt {
        name: "mount_point_climbs_out",
        threat: "H15: --tmpfs D/a/../../../x with links on the way",
        expected: "refused or inside; nothing made on the host outside D",
        control: OURS,
        attempt: climbs_out,
    },
    Attempt {
        name: "mount_point_swapped",
        threat: "H15, CVE-2021-30465: a directory swapped with a link while the sandbox is made",
        expected: "each run fails cleanly or stays inside; the canary untouched",
        control: OURS,
        attempt: swapped,
    },
    Attempt {
        name: "root_of_links",
        threat: "CVE-2019-19921: --root with proc, dev, tmp, etc as links",
        expected: "resolved inside or refused; masks in force; the host untouched",
        control: OURS,
        attempt: root_of_links,
    },
    Attempt {
        name: "root_with_devices",
        threat: "H28: --root with device nodes and setuid programs",
        expected: "nodev and nosuid",
        control: OURS,
        attempt: root_with_devices,
    },
    Attempt {
        name: "hidden_path_reached_around",
        threat: "H13: --hide D/x by another name, through .., a link, or a rename of its parent",
        expected: "not readable by any name",
        control: OURS,
        attempt: hidden_reached,
    },
    Attempt {
        name: "read_only_reached_around",
        threat: "W-02: a read-only bind below a writable one, and a writable mount below a read-only one",
        expected: "each keeps its own rule",
        control: OURS,
        attempt: nested_rules,
    },
    Attempt {
        name: "lower_of_overlay_changed",
        threat: "W-15, W-16: writes through an overlay reach the lower directory",
        expected: "the lower directory is as it was; the layer holds the change",
        control: OURS,
        attempt: overlay_lower,
    },
];

/// A directory of the host with a canary, owned by the test's user and writable by all.
fn victim(stage: &Stage) -> PathBuf {
    let dir = stage.world.make_dir("out/victim");
    stage.world.make_file("out/victim/canary", b"canary");
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).expect("our own directory");
    dir
}

/// Nothing of the victim was changed, added or taken away.
fn untouched(victim: &Path) -> Seen {
    let names: Vec<_> =
        std::fs::read_dir(victim).map(|entries| entries.flatten().map(|entry| entry.file_name()).collect()).unwrap_or_default();
    let canary = std::fs::read(victim.join("canary")).unwrap_or_default();
    let mode = victim.metadata().map_or(0, |meta| meta.mode() & 0o7777);
    held_if(names == ["canary"] && canary == b"canary" && mode == 0o777, format!("the victim holds {names:?}, mode {mode:o}"))
}

fn shared(stage: &Stage) -> PathBuf {
    let dir = stage.world.make_dir("out/shared");
    if stage.world.who == Who::Root {
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).expect("our own directory");
    }
    dir
}

fn link_out(stage: &Stage, flag: &str) -> Seen {
    let victim = victim(stage);
    let dir = shared(stage);
    let source = stage.world.make_dir("out/source");
    let up = "../".repeat(20);
    let targets = [victim.display().to_string(), "../victim".to_owned(), format!("{up}{}", victim.display()), "/proc/self/root".to_owned()];
    let mut seen = Vec::new();
    for target in targets {
        let link = dir.join("link");
        let _ = std::fs::remove_file(&link);
        symlink(&target, &link).expect("our own directory");
        let value = if flag == "--bind" { format!("{}:{}", source.display(), link.display()) } else { link.display().to_string() };
        let script = format!(
            "cat {0}/link/canary {1}/canary; echo pwned > {0}/link/new; echo pwned > {1}/new; true",
            dir.display(),
            victim.display()
        );
        let outcome = stage.run(&["--rw", &dir.display().to_string(), flag, &value]).sh(&script).output();
        if outcome.out().contains("canary") || !matches!(outcome.code, Some(0 | 125)) {
            return Seen::Escaped(outcome.describe());
        }
        if let Seen::Escaped(how) = untouched(&victim) {
            return Seen::Escaped(format!("link -> {target}: {how}"));
        }
        seen.push(if outcome.code == Some(0) { "inside" } else { "refused" });
    }
    Seen::Held(seen.join(", "))
}

fn climbs_out(stage: &Stage) -> Seen {
    let victim = victim(stage);
    let dir = shared(stage);
    symlink("..", dir.join("up")).expect("our own directory");
    symlink("/", dir.join("top")).expect("our own directory");
    let before = std::fs::read_dir(stage.world.path("out")).map(Iterator::count).unwrap_or(0);
    let d = dir.display();
    let paths =
        [format!("{d}/up/victim/made"), format!("{d}/up/made"), format!("{d}/top{}/made", victim.display()), format!("{d}/../victim/made")];
    let mut seen = Vec::new();
    for path in paths {
        let outcome = stage.run(&["--rw", &d.to_string(), "--tmpfs", &path]).sh("true").without_report().output();
        let after = std::fs::read_dir(stage.world.path("out")).map(Iterator::count).unwrap_or(0);
        if before != after || !matches!(outcome.code, Some(0 | 125)) {
            return Seen::Escaped(format!("{path}: {before} entries before, {after} after; {}", outcome.describe()));
        }
        if let Seen::Escaped(how) = untouched(&victim) {
            return Seen::Escaped(format!("{path}: {how}"));
        }
        seen.push(format!("{:?}", outcome.code.unwrap_or(-1)));
    }
    Seen::Held(format!("exit {}", seen.join(", ")))
}

fn swapped(stage: &Stage) -> Seen {
    let victim = victim(stage);
    let dir = shared(stage);
    let stop = AtomicBool::new(false);
    let (real, link, aside) = (dir.join("a"), dir.join("b"), dir.join("c"));
    std::fs::create_dir(&real).expect("our own directory");
    symlink(&victim, &link).expect("our own directory");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // a -> c, b -> a, c -> b: what `a` is changes between a directory and a link all the time.
                let _ = std::fs::rename(&real, &aside);
                let _ = std::fs::rename(&link, &real);
                let _ = std::fs::rename(&aside, &link);
            }
        });
        let mut ended = [0; 2];
        let mut result = Seen::Held(String::new());
        for round in 0..60 {
            let point = dir.join(if round % 2 == 0 { "a/deep" } else { "a" }).display().to_string();
            let script = format!("cat {0}/a/canary; echo pwned > {point}/new; true", dir.display());
            let outcome = stage.run(&["--rw", &dir.display().to_string(), "--tmpfs", &point]).sh(&script).without_report().output();
            match outcome.code {
                Some(0) if !outcome.out().contains("canary") => ended[0] += 1,
                Some(125) => ended[1] += 1,
                _ => {
                    result = Seen::Escaped(outcome.describe());
                    break;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        result.and(|| untouched(&victim)).and(|| Seen::Held(format!("{} ran inside, {} refused", ended[0], ended[1])))
    })
}

/// A root file system with the probe and nothing else.
fn bare_root(stage: &Stage) -> PathBuf {
    let root = stage.world.make_dir("out/root");
    for dir in ["bin", "usr", "home"] {
        stage.world.make_dir(&format!("out/root/{dir}"));
    }
    std::fs::copy(stage.world.path("work/probe"), root.join("bin/probe")).expect("our own directory");
    root
}

fn root_of_links(stage: &Stage) -> Seen {
    let victim = victim(stage);
    let root = bare_root(stage);
    for name in ["proc", "dev", "tmp", "etc", "sys", "run", "var"] {
        symlink(&victim, root.join(name)).expect("our own directory");
    }
    let outcome = stage
        .run(&["--root", &root.display().to_string()])
        .command(["/bin/probe", "open", "r", "/tmp/canary", "/proc/canary", "/etc/canary", "/proc/kcore", "/proc/sysrq-trigger"])
        .output();
    let read: Vec<_> = outcome
        .tries()
        .into_iter()
        .filter(|(_, result)| result.starts_with("ok") && !result.contains("of zero") && !result.contains("ok, 0"))
        .collect();
    held_if(
        matches!(outcome.code, Some(0 | 125)) && read.is_empty(),
        format!("exit {:?}, read {read:?}, {}", outcome.code, outcome.err().trim()),
    )
    .and(|| untouched(&victim))
}

fn root_with_devices(stage: &Stage) -> Seen {
    let root = bare_root(stage);
    let zero = root.join("home/zero");
    let made = std::process::Command::new("mknod").arg("-m").arg("666").arg(&zero).args(["c", "1", "5"]).status();
    if !made.is_ok_and(|status| status.success()) {
        return Seen::Cannot("only root can make a device node".into());
    }
    let program = root.join("bin/setuid");
    std::fs::copy(stage.world.path("work/probe"), &program).expect("our own directory");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o6755)).expect("our own file");
    let flags = ["--root", &root.display().to_string()];
    let device = stage.run(&flags).command(["/bin/probe", "open", "r", "/home/zero"]).output();
    let ids = stage.run(&flags).command(["/bin/setuid", "ids"]).output();
    let same = ids.out().lines().next().is_some_and(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words.len() > 7 && words[1] == words[3] && words[3] != "0"
    });
    crate::attempt::none_succeeded(&device, 1).and(|| held_if(same, ids.describe()))
}

fn hidden_reached(stage: &Stage) -> Seen {
    let dir = shared(stage);
    stage.world.make_dir("out/shared/x");
    stage.world.make_file("out/shared/x/canary", b"canary");
    stage.world.make_file("out/shared/file", b"canary");
    symlink("x", dir.join("around")).expect("our own directory");
    let d = dir.display().to_string();
    let (x, file) = (format!("{d}/x"), format!("{d}/file"));
    let script = format!(
        "cat {d}/x/canary {d}/around/canary {d}/x/../x/canary {d}/file /proc/self/root{d}/x/canary; \
         mv {d}/x {d}/y; cat {d}/y/canary; mv {d}/file {d}/file2; cat {d}/file2; \
         mkdir {d}/z; mv {d}/x {d}/z/; ln {d}/file {d}/hard; cat {d}/hard; umount {d}/x; cat {d}/x/canary; true"
    );
    let outcome = stage.run(&["--rw", &d, "--hide", &x, "--hide", &file]).sh(&script).output();
    let intact = std::fs::read(dir.join("x/canary")).is_ok_and(|bytes| bytes == b"canary")
        && std::fs::read(dir.join("file")).is_ok_and(|bytes| bytes == b"canary");
    verdict_among(&outcome, &[Verdict::Ok])
        .and(|| held_if(!outcome.out().contains("canary") && intact, format!("intact {intact}; {}", outcome.describe())))
}

fn nested_rules(stage: &Stage) -> Seen {
    let dir = shared(stage);
    let inner = stage.world.make_dir("out/shared/inner");
    let below = stage.world.make_dir("out/shared/inner/below");
    for path in [&inner, &below] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect("our own directory");
    }
    let (d, i, b) = (dir.display().to_string(), inner.display().to_string(), below.display().to_string());
    let script = format!("echo x > {d}/one; echo x > {i}/two; echo x > {b}/three; mv {i} {d}/moved; true");
    // The more specific path has the last word, whatever the order of the flags.
    for flags in [["--rw", &d, "--ro", &i, "--rw", &b], ["--rw", &b, "--ro", &i, "--rw", &d]] {
        let outcome = stage.run(&flags).sh(&script).output();
        let there: Vec<bool> =
            [dir.join("one"), inner.join("two"), below.join("three"), dir.join("moved")].iter().map(|path| path.exists()).collect();
        if there != [true, false, true, false] {
            return Seen::Escaped(format!("{flags:?}: one, inner/two, inner/below/three, moved exist: {there:?}; {}", outcome.describe()));
        }
        for file in [dir.join("one"), below.join("three")] {
            std::fs::remove_file(file).expect("our own directory");
        }
    }
    Seen::Held("the more specific path decides".into())
}

fn overlay_lower(stage: &Stage) -> Seen {
    let dir = shared(stage);
    stage.world.make_file("out/shared/kept", b"old");
    stage.world.make_file("out/shared/gone", b"old");
    if stage.world.who == Who::Root {
        for name in ["out/shared/kept", "out/shared/gone"] {
            std::fs::set_permissions(stage.world.path(name), PermissionsExt::from_mode(0o666)).expect("our own file");
        }
    }
    let d = dir.display().to_string();
    let script = format!("cd {d} && echo new > kept && rm gone && echo x > added && ln -s ../../../../../../etc/shadow link && cat kept");
    let outcome = stage.run(&["--overlay", &d]).sh(&script).output();
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(&dir).map(|entries| entries.flatten().map(|entry| entry.file_name()).collect()).unwrap_or_default();
        names.sort();
        names
    };
    let same = names() == ["gone", "kept"] && std::fs::read(dir.join("kept")).is_ok_and(|bytes| bytes == b"old");
    verdict_among(&outcome, &[Verdict::Ok])
        .and(|| held_if(same && outcome.out() == "new\n", format!("the lower directory holds {:?}", names())))
}
