//! Workspaces: an overlay whose layers lie on the host, in a directory of whoever keeps them.
//!
//! They are the library's, so this program runs itself anew to be its caller: `--workspace TOOL|cold DIRECTORY SCRIPT…`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Launcher, Sandbox, Workspace};

use crate::warm::{call, ended};
use crate::{Attempt, Control, Seen, Stage};

const OURS: Control = Control::Without("about mounts of ours");

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "layers_of_a_workspace_reached",
        threat: "H15: the layers by their paths on the host, by what the mount table says, by the place where they were put together, by links and `..`",
        expected: "nothing of the host's paths is known or reached; lower layers stay as they are, byte for byte",
        control: OURS,
        attempt: layers_reached,
    },
    Attempt {
        name: "marks_of_an_overlay_forged",
        threat: "H15: opaque and redirect marks set by the command, to show other parts of a layer the next time it is mounted",
        expected: "refused, or kept under an escaped name: what was hidden stays hidden in the next sandbox",
        control: OURS,
        attempt: marks_forged,
    },
    Attempt {
        name: "set_id_file_in_a_workspace",
        threat: "W-06: a set-id program, or a device, left in the upper layer for the host or for the next sandbox",
        expected: "no such bit and no device is there afterwards",
        control: OURS,
        attempt: set_id_left,
    },
];

/// Makes a sandbox with the workspace of this directory for each script, one after another; prints what each wrote, with a line `--` after it.
#[expect(clippy::print_stdout, reason = "the attempt reads it")]
pub fn workspace_caller(arguments: Vec<String>) -> ExitCode {
    let [tool, directory, scripts @ ..] = &arguments[..] else { return ExitCode::from(2) };
    let run = || -> Result<(), enclos_sandbox::Error> {
        let directory = Path::new(directory);
        let lower = vec![directory.join("mask"), directory.join("tree")];
        let workspace = Workspace::new(lower, directory.join("space/upper"), directory.join("space/work"));
        let policy = Policy { ro: directory.parent().map(|above| above.join("shown")).into_iter().collect(), ..Policy::default() };
        let template = if tool == "cold" { None } else { Some(Launcher::start(tool)?.living_template(&policy, Some(&workspace.at))?) };
        for script in scripts {
            let sandbox = match &template {
                None => Sandbox::create_with(&policy, Some(&workspace))?,
                Some(template) => template.sandbox(Some(&workspace))?,
            };
            let output = sandbox.command("/bin/sh").args(["-c", script]).output()?;
            println!("{}{}--", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            sandbox.destroy()?;
            // What was mounted is gone a moment later.
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        Ok(())
    };
    ended(run())
}

/// The layers, with a secret that the mask hides, and the probe at hand inside.
fn lay_out(stage: &Stage) -> String {
    let world = &stage.world;
    for name in ["out", "out/layers-of-it", "out/layers-of-it/space"] {
        world.make_dir(name);
    }
    for (name, mode) in
        [("mask", 0o1777), ("tree", 0o1777), ("tree/hidden", 0o755), ("tree/open", 0o777), ("space/upper", 0o1777), ("space/work", 0o700)]
    {
        let path = world.make_dir(&format!("out/layers-of-it/{name}"));
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("our own directory");
    }
    for name in ["tree/hidden/secret", "tree/open/below", "tree/plain"] {
        world.make_file(&format!("out/layers-of-it/{name}"), b"canary");
    }
    let whiteout = world.path("out/layers-of-it/mask/hidden");
    let made = rustix::fs::mknodat(rustix::fs::CWD, &whiteout, rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty(), 0);
    made.expect("a whiteout, which everybody may make");
    let shown = world.make_dir("out/shown");
    std::fs::copy(world.path("work/probe"), shown.join("probe")).expect("the probe");
    world.text("out/layers-of-it")
}

/// Runs the scripts in a sandbox made from the start and in one of a template; what each printed.
fn both(stage: &Stage, scripts: &[&str], judge: impl Fn(&[String], &Path) -> Result<String, String>) -> Seen {
    let tool = enclos_testkit::run::program(&stage.world).display().to_string();
    let mut told = Vec::new();
    for tool in ["cold".to_owned(), tool] {
        let directory = lay_out(stage);
        let probe = stage.world.text("out/shown/probe");
        let scripts = scripts.iter().map(|script| script.replace("DIR", &directory).replace("PROBE", &probe));
        let arguments: Vec<String> = ["--workspace".to_owned(), tool, directory.clone()].into_iter().chain(scripts).collect();
        let parts = match call(stage, &arguments) {
            Ok((true, text)) => text.split("--\n").map(str::to_owned).collect::<Vec<_>>(),
            Ok((false, text)) | Err(text) => return Seen::Escaped(text),
        };
        match judge(&parts, Path::new(&directory)) {
            Ok(text) => told.push(text),
            Err(text) => return Seen::Escaped(text),
        }
        // The overlay's own directory is closed to everybody, and only its owner or root can open it.
        let _ = std::fs::set_permissions(stage.world.path("out/layers-of-it/space/work/work"), PermissionsExt::from_mode(0o700));
        if let Err(error) = std::fs::remove_dir_all(stage.world.path("out")) {
            return Seen::Escaped(format!("what was laid out cannot be removed: {error}"));
        }
    }
    Seen::Held(told.join("; "))
}

fn layers_reached(stage: &Stage) -> Seen {
    let script = "cd /workspace; cat /proc/self/mountinfo /proc/mounts; ls -laR /.enclos /.enclos-host; cat DIR/tree/plain DIR/tree/hidden/secret; \
                  cat hidden/secret ../workspace/hidden/secret; ln -s DIR/tree/hidden/secret one; cat one; ln -s /.enclos/w1/hidden/secret two; cat two; \
                  echo changed > plain; echo changed > open/below; echo x > DIR/tree/plain; rm -rf open; mkdir open; ls -A open; \
                  ls -la /proc/*/fd /proc/*/cwd /proc/*/root; true";
    both(stage, &[script], |parts, directory| {
        let seen = &parts[0];
        // Its own words about a path that it was told are no knowledge.
        let known = seen.lines().any(|line| line.contains("layers-of-it") && !line.contains("No such file") && !line.contains("cannot"));
        if known || seen.contains("canary") || !seen.contains("/workspace") {
            return Err(seen.clone());
        }
        let same = ["hidden/secret", "open/below", "plain"]
            .iter()
            .all(|name| std::fs::read(directory.join("tree").join(name)).is_ok_and(|bytes| bytes == b"canary"));
        if same { Ok("all lower files the same".to_owned()) } else { Err("a lower file has changed".to_owned()) }
    })
}

fn marks_forged(stage: &Stage) -> Seen {
    let forge = "cd /workspace; mkdir made; PROBE marks made; PROBE marks open; touch file; PROBE marks file; PROBE marks .; rmdir open; ln -s hidden link; \
                 mknod hidden c 0 0; mknod made/x c 0 0; true";
    let look = "cd /workspace; cat hidden/secret made/secret open/secret link/secret file 2>/dev/null; ls -A";
    both(stage, &[forge, look], |parts, directory| {
        if parts.len() != 3 || parts[1].contains("canary") || parts[0].contains("trusted.overlay.opaque = ok") {
            return Err(parts.join("|"));
        }
        let mut marks = Vec::new();
        for name in ["made", "file", "."] {
            let mut list = [0u8; 4096];
            let length = rustix::fs::listxattr(directory.join("space/upper").join(name), &mut list).unwrap_or(0);
            marks.extend(list[..length].split(|byte| *byte == 0).map(|name| String::from_utf8_lossy(name).into_owned()));
        }
        // The kernel's own on what it has copied up or merged; the command's would say `y` about what it has made.
        let forged = ["user.overlay.redirect", "user.overlay.metacopy"].iter().any(|name| marks.iter().any(|mark| mark == name));
        if forged { Err(format!("{marks:?}")) } else { Ok(format!("{} marks on disk, none of them the command's", marks.len())) }
    })
}

fn set_id_left(stage: &Stage) -> Seen {
    let script = "cd /workspace; cp /bin/true own; chmod 4755 own; chmod 6755 own; install -m 4755 /bin/true other; cp /bin/true open/x; chmod u+s,g+s open/x; \
                  mknod dev c 1 3; mknod open/sda b 8 0; mkdir sub; chmod 2777 sub; true";
    both(stage, &[script], |_, directory| {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let mut open = vec![directory.join("space/upper")];
        let mut seen = 0;
        while let Some(path) = open.pop() {
            for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.path().symlink_metadata() else { continue };
                seen += 1;
                let device = metadata.file_type().is_block_device() || (metadata.file_type().is_char_device() && metadata.rdev() != 0);
                if device || (metadata.is_file() && metadata.mode() & 0o6000 != 0) {
                    return Err(format!("{}: {:o}", entry.path().display(), metadata.mode()));
                }
                if metadata.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        if seen >= 3 { Ok(format!("{seen} entries, none of them more than a file")) } else { Err(format!("only {seen} entries")) }
    })
}
