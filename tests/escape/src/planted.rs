//! What an earlier run left behind, or somebody on the host changes at the wrong moment: links where a directory or a file was expected, programs with rights.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use enclos_spec::Verdict;
use enclos_testkit::{Outcome, Who};

use crate::attempt::{held_if, none_succeeded, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

const OURS: Control = Control::Without("about paths of ours");

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "source_is_a_planted_link",
        threat: "H15: --rw, --ro, --bind, --overlay of D/sub, where an earlier run made D/sub -> a directory of the host",
        expected: "refused by name (ELOOP), also where the link is a parent; nothing run",
        control: OURS,
        attempt: planted_sources,
    },
    Attempt {
        name: "root_entry_swapped",
        threat: "H15, CVE-2021-30465: an entry of --root swapped with a link while the sandbox is made",
        expected: "each run shows the directory or fails cleanly; the canary unseen",
        control: OURS,
        attempt: root_entry_swapped,
    },
    Attempt {
        name: "layer_planted",
        threat: "H15: a kept layer whose upper or work directory an earlier run replaced by a link",
        expected: "refused; nothing written where the link leads",
        control: OURS,
        attempt: layer_planted,
    },
    Attempt {
        name: "output_path_is_a_link",
        threat: "CVE-2024-28185: --report, --stdout, --stderr, --stdin FILE, where an earlier run made FILE -> a file of the host",
        expected: "refused; the file neither read nor written",
        control: OURS,
        attempt: output_path_is_a_link,
    },
    Attempt {
        name: "output_path_is_a_fifo",
        threat: "H15: --report, --stdout, --stderr, --stdin FILE, where an earlier run made FILE a FIFO that nobody reads or writes",
        expected: "refused at once, or run; never held up",
        control: OURS,
        attempt: output_path_is_a_fifo,
    },
    Attempt {
        name: "directory_as_a_stream",
        threat: "CVE-2024-21626: a directory of the host as stdin or stdout",
        expected: "refused in one line; nothing run",
        control: Control::OpenAsUser,
        attempt: directory_as_a_stream,
    },
    Attempt {
        name: "set_id_file_without_the_filter",
        threat: "H26: chmod 6755 in a writable directory, with --seccomp none, log and a filter of the caller's",
        expected: "refused all the same, as root and with the caller's own id",
        control: OURS,
        attempt: set_id_without_the_filter,
    },
    Attempt {
        name: "set_id_program_rewritten",
        threat: "H26: a set-user-id program in a --rw tree, changed through a shared mapping, which takes no bit from it",
        expected: "such a tree is refused by the program's name, also with file capabilities; somebody else's program is not writable",
        control: Control::Without("would change a program of the host"),
        attempt: set_id_program_rewritten,
    },
    Attempt {
        name: "set_id_program_in_a_layer",
        threat: "H26: the same through --overlay D:LAYER, which keeps the changed copy with its bit",
        expected: "the lower program unchanged; nobody but the owner gets into LAYER",
        control: OURS,
        attempt: set_id_program_in_a_layer,
    },
    Attempt {
        name: "hidden_by_path_only",
        threat: "H13: --hide D/x, while another flag shows the same file by another path",
        expected: "hidden at the hidden path, shown at the shown one: --hide is about paths (see \"What you show\")",
        control: Control::Without("states what is not claimed"),
        attempt: hidden_by_path_only,
    },
];

fn shared(stage: &Stage) -> PathBuf {
    let dir = stage.world.make_dir("out/shared");
    if stage.world.who == Who::Root {
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).expect("our own directory");
    }
    dir
}

fn victim(stage: &Stage) -> PathBuf {
    let dir = stage.world.make_dir("out/victim");
    stage.world.make_file("out/victim/canary", b"canary");
    stage.world.make_dir("out/victim/below");
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).expect("our own directory");
    dir
}

fn is_refused(outcome: &Outcome, word: &str) -> bool {
    outcome.code == Some(125) && outcome.err().trim().lines().count() == 1 && outcome.err().contains(word) && outcome.stdout.is_empty()
}

fn planted_sources(stage: &Stage) -> Seen {
    let victim = victim(stage);
    let dir = shared(stage);
    // Planted by a run, so that it is what a run can plant.
    let plant = format!("ln -s {} {}/sub; ln -s ../victim/canary {}/file", victim.display(), dir.display(), dir.display());
    let first = stage.run(&["--rw", &dir.display().to_string()]).sh(&plant).output();
    let at = |name: &str| dir.join(name).display().to_string();
    let (sub, below, file) = (at("sub"), at("sub/below"), at("file"));
    let mut seen = 0;
    for path in [&sub, &below, &file] {
        for (flag, value) in
            [("--rw", path.clone()), ("--ro", path.clone()), ("--bind", format!("{path}:/srv/x")), ("--overlay", path.clone())]
        {
            let outcome = stage.run(&[flag, &value]).sh("echo ran").output();
            if !is_refused(&outcome, "symbolic link") && !is_refused(&outcome, "links") {
                return Seen::Escaped(format!("{flag} {value}: {}", outcome.describe()));
            }
            seen += 1;
        }
    }
    held_if(first.code == Some(0) && seen == 12, format!("{seen} refused"))
}

fn root_entry_swapped(stage: &Stage) -> Seen {
    let victim = victim(stage);
    let root = stage.world.make_dir("out/root");
    for dir in ["bin", "usr", "srv"] {
        stage.world.make_dir(&format!("out/root/{dir}"));
    }
    std::fs::copy(stage.world.path("work/probe"), root.join("bin/probe")).expect("our own directory");
    let stop = AtomicBool::new(false);
    let (real, link, aside) = (root.join("srv"), stage.world.path("out/link"), stage.world.path("out/aside"));
    symlink(&victim, &link).expect("our own directory");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = std::fs::rename(&real, &aside);
                let _ = std::fs::rename(&link, &real);
                let _ = std::fs::rename(&real, &link);
                let _ = std::fs::rename(&aside, &real);
            }
        });
        let mut ended = [0; 2];
        let mut result = Seen::Held(String::new());
        for _ in 0..60 {
            let run = stage.run(&["--root", &root.display().to_string()]).command(["/bin/probe", "open", "r", "/srv/canary"]);
            let outcome = run.without_report().output();
            match outcome.code {
                Some(0) if !outcome.out().contains("= ok") => ended[0] += 1,
                Some(125) if outcome.stdout.is_empty() => ended[1] += 1,
                _ => {
                    result = Seen::Escaped(outcome.describe());
                    break;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        result.and(|| Seen::Held(format!("{} saw no canary, {} refused", ended[0], ended[1])))
    })
}

fn layer_planted(stage: &Stage) -> Seen {
    let victim = victim(stage);
    let data = shared(stage);
    let mut seen = Vec::new();
    for name in ["upper", "work", "."] {
        let layer = stage.world.path("out/layer");
        let _ = std::fs::remove_dir_all(&layer);
        let _ = std::fs::remove_file(&layer);
        if name == "." {
            symlink(&victim, &layer).expect("our own directory");
        } else {
            stage.world.make_dir("out/layer");
            symlink(&victim, layer.join(name)).expect("our own directory");
        }
        let flag = format!("{}:{}", data.display(), layer.display());
        let outcome = stage.run(&["--overlay", &flag]).sh(&format!("echo pwned > {}/new; true", data.display())).output();
        let mut left: Vec<_> = std::fs::read_dir(&victim).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        if left != ["below", "canary"] || outcome.code != Some(125) {
            return Seen::Escaped(format!("{name}: the victim holds {left:?}; {}", outcome.describe()));
        }
        seen.push(name);
    }
    Seen::Held(format!("refused: {}", seen.join(", ")))
}

fn output_path_is_a_link(stage: &Stage) -> Seen {
    let file = stage.world.make_file("out/victim", b"canary");
    let link = stage.world.path("work/link");
    symlink(&file, &link).expect("our own directory");
    // And a directory on the way that is a link.
    symlink(stage.world.path("out"), stage.world.path("work/sub")).expect("our own directory");
    for link in [link.display().to_string(), stage.world.text("work/sub/victim")] {
        let report = format!("--report={link}");
        for flags in [&[report.as_str()][..], &["--stdout", &link], &["--stderr", &link], &["--stdin", &link]] {
            let outcome = stage.run(flags).sh("cat; echo pwned; echo pwned >&2").without_report().output();
            let same = std::fs::read(&file).is_ok_and(|bytes| bytes == b"canary");
            if !is_refused(&outcome, &link) || !same {
                return Seen::Escaped(format!("{flags:?}: unchanged {same}; {}", outcome.describe()));
            }
        }
    }
    Seen::Held("8 refused".into())
}

fn output_path_is_a_fifo(stage: &Stage) -> Seen {
    let dir = shared(stage).display().to_string();
    let fifo = format!("{dir}/fifo");
    let planted = stage.run(&["--rw", &dir]).sh(&format!("mkfifo -m 666 {fifo}")).output();
    let report = format!("--report={fifo}");
    for flags in [&[report.as_str()][..], &["--stdout", &fifo], &["--stderr", &fifo], &["--stdin", &fifo]] {
        let run = stage.run(flags).sh("echo ran").without_report().within(std::time::Duration::from_secs(15));
        let outcome = run.output();
        if !is_refused(&outcome, &fifo) || outcome.stuck {
            return Seen::Escaped(format!("{flags:?}: {}", outcome.describe()));
        }
    }
    held_if(planted.code == Some(0), "4 refused at once")
}

fn directory_as_a_stream(stage: &Stage) -> Seen {
    stage.world.make_file("out/secret", b"canary");
    let out = stage.world.text("out");
    let script = "exec <\"$0\"; exec \"$@\"";
    let read = format!("{} open r /proc/self/fd/0/secret", stage.world.text("work/probe"));
    let outcome = stage.run(&[]).under(["sh", "-c", script, &out]).sh(&read).without_report().output();
    if !stage.is_real() {
        return held_if(!outcome.out().contains("canary"), outcome.describe());
    }
    let named = stage.run(&["--stdin", &out]).sh(&read).without_report().output();
    held_if(is_refused(&outcome, "stdin") && is_refused(&named, "stdin"), format!("{}; {}", outcome.err().trim(), named.err().trim()))
}

/// A filter that allows everything: `BPF_RET | BPF_K` with `SECCOMP_RET_ALLOW` (seccomp(2)).
const ALLOW_ALL: [u8; 8] = [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f];

fn set_id_without_the_filter(stage: &Stage) -> Seen {
    let work = shared(stage).display().to_string();
    let probe = stage.world.text("work/probe");
    let own = stage.world.make_file("out/filter", &ALLOW_ALL).display().to_string();
    let mut seen = Vec::new();
    for (index, way) in ["none", "log", own.as_str()].into_iter().enumerate() {
        let file = format!("{work}/left{index}");
        let run = stage.run(&["--rw", &work, "--seccomp", way]).sh(&format!("cp {probe} {file} && {probe} chmod 6755 {file}"));
        let outcome = run.output();
        if outcome.tries().len() < 20 {
            return Seen::Escaped(format!("--seccomp {way}: {}", outcome.describe()));
        }
        for entry in std::fs::read_dir(&work).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_file() && meta.mode() & 0o6000 != 0 && meta.uid() < 65_536 {
                return Seen::Escaped(format!("--seccomp {way}: mode {:o}, owner {}", meta.mode() & 0o7777, meta.uid()));
            }
        }
        seen.push(if index < 2 { way } else { "a file" });
    }
    Seen::Held(format!("held with {}", seen.join(", ")))
}

/// A program that gives whoever runs it the rights of its owner.
fn set_id_program(tree: &Path) -> PathBuf {
    let program = tree.join("program");
    std::fs::write(&program, [b'#'; 8192]).expect("our own directory");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).expect("our own file");
    program
}

fn set_id_program_rewritten(stage: &Stage) -> Seen {
    if stage.world.who == Who::User && !rustix::process::geteuid().is_root() {
        return Seen::Cannot("only root can make a program of somebody else's".into());
    }
    let dir = shared(stage);
    let program = set_id_program(&dir);
    let (d, p) = (dir.display().to_string(), program.display().to_string());
    let same = || std::fs::read(&program).is_ok_and(|bytes| bytes == [b'#'; 8192]);
    if stage.world.who == Who::User {
        // It is root's: not the user's to write, in the sandbox or out of it.
        let outcome = stage.probe(&["--rw", &d], &["map", &p]);
        return none_succeeded(&outcome, 1).and(|| held_if(same(), "unchanged"));
    }
    let bind = format!("{d}:/srv/x");
    for flags in [["--rw", &d], ["--bind", &bind], ["--rw", &p]] {
        let outcome = stage.run(&flags).probe(&["map", &p]).output();
        if !is_refused(&outcome, "program") || !same() {
            return Seen::Escaped(format!("{flags:?}: {}", outcome.describe()));
        }
    }
    // To look at, and to change a copy of, it may be shown.
    for flags in [["--ro", &d], ["--overlay", &d]] {
        let outcome = stage.run(&flags).sh(&format!("head -c 4 {p}")).output();
        if outcome.out() != "####" {
            return Seen::Escaped(format!("{flags:?}: {}", outcome.describe()));
        }
    }
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("our own file");
    // struct vfs_cap_data of capabilities(7).
    let mut value = 0x0200_0001_u32.to_le_bytes().to_vec();
    value.extend([0xff; 16]);
    if rustix::fs::setxattr(&program, "security.capability", &value, rustix::fs::XattrFlags::empty()).is_ok() {
        let outcome = stage.run(&["--rw", &d]).sh("echo ran").output();
        if !is_refused(&outcome, "program") {
            return Seen::Escaped(format!("file capabilities: {}", outcome.describe()));
        }
    }
    Seen::Held("refused by the program's name".into())
}

fn set_id_program_in_a_layer(stage: &Stage) -> Seen {
    let dir = shared(stage);
    let program = set_id_program(&dir);
    stage.world.give(&program);
    // Giving it away takes the bit.
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).expect("our own file");
    let layer = stage.world.make_dir("out/layer");
    let flag = format!("{}:{}", dir.display(), layer.display());
    let outcome = stage.probe(&["--overlay", &flag], &["map", &program.display().to_string()]);
    let below = std::fs::read(&program).is_ok_and(|bytes| bytes == [b'#'; 8192]);
    let mode = layer.metadata().map_or(0o777, |meta| meta.mode() & 0o777);
    let copied = layer.join("upper/program").metadata().map_or(0, |meta| meta.mode() & 0o7777);
    held_if(
        below && mode.trailing_zeros() >= 6 && outcome.try_of("open").is_some(),
        format!("lower unchanged {below}, layer {mode:o}, copy {copied:o}; {}", outcome.out().trim().replace('\n', ", ")),
    )
}

fn hidden_by_path_only(stage: &Stage) -> Seen {
    let dir = shared(stage);
    let secret = stage.world.make_file("out/shared/secret", b"canary").display().to_string();
    let d = dir.display().to_string();
    let elsewhere = format!("{d}:/srv/elsewhere");
    let script = format!("cat {secret}; echo; cat /srv/elsewhere/secret");
    let outcome = stage.run(&["--ro", &d, "--bind", &elsewhere, "--hide", &secret]).sh(&script).output();
    verdict_among(&outcome, &[Verdict::Ok]).and(|| held_if(outcome.out() == "\ncanary", format!("{:?}", outcome.out())))
}
