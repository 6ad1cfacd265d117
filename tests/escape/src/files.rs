//! Files of the host: read, written, run with other rights, reached through another door.

use std::fs::{File, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use enclos_spec::Verdict;
use enclos_testkit::Who;

use crate::attempt::{held_if, none_succeeded, tries_among, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

/// What `/dev` may hold, with what is behind it.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "files_of_the_host",
        threat: "H13: by path, by .., through /proc",
        expected: "ENOENT, EACCES or EPERM for each",
        control: Control::Weak,
        attempt: files_of_the_host,
    },
    Attempt {
        name: "secrets_of_the_system",
        threat: "H13, H44, W-12",
        expected: "no shadow, no keys of ssh, no sudoers, no home of others",
        control: Control::Open,
        attempt: |stage| {
            let paths = [
                "/etc/shadow",
                "/etc/gshadow",
                "/etc/sudoers",
                "/etc/ssh/ssh_host_ed25519_key",
                "/root/.bashrc",
                "/root/.profile",
                "/root/.ssh/id_ed25519",
                "/var/log/dpkg.log",
                "/var/lib/dpkg/status",
                "/boot/vmlinuz",
                "/run/systemd/private",
                "/var/run/docker.sock",
                "/etc/ssl/private/ssl-cert-snakeoil.key",
            ];
            let mut arguments = vec!["open", "r"];
            arguments.extend(paths);
            none_succeeded(&stage.probe(&[], &arguments), paths.len())
        },
    },
    Attempt {
        name: "system_written",
        threat: "W-02: the host's /usr changed",
        expected: "EROFS, EACCES, EPERM or ENOENT; the host unchanged",
        control: Control::Open,
        attempt: system_written,
    },
    Attempt {
        name: "current_directory_written",
        threat: "the directory it was started in is shown, not given",
        expected: "EROFS or EACCES",
        control: Control::OpenAsUser,
        attempt: |stage| {
            let (new, probe) = (stage.world.text("work/new"), stage.world.text("work/probe"));
            tries_among(&stage.probe(&[], &["open", "c", &new, &probe]), 2, &["EROFS", "EACCES", "EEXIST"])
                .and(|| held_if(!std::path::Path::new(&new).exists(), "nothing new on the host"))
        },
    },
    Attempt {
        name: "everything_writable",
        threat: "W-09: a writable place nobody thought of",
        expected: "only /tmp, the home, /dev/shm and the few devices",
        control: Control::OpenAsUser,
        attempt: everything_writable,
    },
    Attempt {
        name: "setuid_program",
        threat: "H26: a setuid-root program of the host",
        expected: "runs with the sandbox's uid and no capability",
        control: Control::OpenAsUser,
        attempt: |stage| privileged_program(stage, "setuid"),
    },
    Attempt {
        name: "file_capabilities",
        threat: "H26: a program of the host with every file capability",
        expected: "runs with the sandbox's uid and no capability",
        control: Control::OpenAsUser,
        attempt: |stage| privileged_program(stage, "capability"),
    },
    Attempt {
        name: "setuid_file_for_the_host",
        threat: "H26: chmod 6755 in a writable directory, for somebody outside to run",
        expected: "refused, or owned by an id that is nobody on the host",
        control: Control::OpenAsUser,
        attempt: setuid_for_the_host,
    },
    Attempt {
        name: "device_made",
        threat: "H28, W-04: mknod",
        expected: "EPERM, in a private and in a shared directory",
        control: Control::Open,
        attempt: |stage| {
            let work = stage.world.text("work");
            let errors = &["EPERM", "ENOENT", "EACCES", "ENOSYS"];
            let shared = tries_among(&stage.probe(&["--rw", &work], &["mknod", &work]), 4, errors);
            if stage.is_real() { shared.and(|| tries_among(&stage.probe(&[], &["mknod", "/tmp"]), 4, errors)) } else { shared }
        },
    },
    Attempt {
        name: "device_found",
        threat: "H28, W-04: a device node lying in a shared directory",
        expected: "EACCES: nodev on every mount",
        control: Control::Open,
        attempt: device_found,
    },
    Attempt {
        name: "devices_listed",
        threat: "H28",
        expected: "null zero full random urandom tty, links, shm and pts; nothing else",
        control: Control::OpenAsUser,
        attempt: devices_listed,
    },
    Attempt {
        name: "devices_opened",
        threat: "H28: kmsg, mem, disks, fuse, kvm, tun, userfaultfd, vsock",
        expected: "ENOENT or EACCES for each",
        control: Control::Open,
        attempt: |stage| {
            let names = [
                "kmsg",
                "mem",
                "port",
                "vda",
                "sda",
                "fuse",
                "kvm",
                "net/tun",
                "userfaultfd",
                "vsock",
                "loop-control",
                "console",
                "uinput",
            ];
            let paths: Vec<String> = names.iter().map(|name| format!("/dev/{name}")).collect();
            let mut arguments = vec!["open", "w"];
            arguments.extend(paths.iter().map(String::as_str));
            none_succeeded(&stage.probe(&[], &arguments), names.len())
        },
    },
    Attempt {
        name: "root_of_the_disk_by_handle",
        threat: "H25, CVE-2014-9357 (shocker)",
        expected: "EPERM or ENOSYS",
        control: Control::Without("needs CAP_DAC_READ_SEARCH of the host and a file system with this layout"),
        attempt: |stage| tries_among(&stage.probe(&[], &["handle", "/usr"]), 1, &["EPERM", "ENOSYS"]),
    },
    Attempt {
        name: "stdin_reopened_for_writing",
        threat: "H13: a file given to read, reopened through /proc/self/fd/0",
        expected: "refused; the file unchanged",
        control: Control::OpenAsUser,
        attempt: stdin_reopened,
    },
    Attempt {
        name: "log_reopened_and_truncated",
        threat: "H13: a file given to append to, read and cut through /proc/self/fd/1",
        expected: "refused; what stood there before still stands and is not read",
        control: Control::OpenAsUser,
        attempt: log_reopened,
    },
    Attempt {
        name: "odd_names_and_kinds",
        threat: "H15: 255 bytes, no UTF-8, FIFOs, loops, 1500 levels, where the host will clean up",
        expected: "OK; no hang, the host cleans up its own",
        control: Control::Without("about cleaning up"),
        attempt: |stage| verdict_among(&stage.probe(&[], &["names", "/tmp"]), &[Verdict::Ok]),
    },
    Attempt {
        name: "fifo_in_place_of_output",
        threat: "H15, CVE-2024-28185: the host opens what the program left behind",
        expected: "OK; kept layers are never opened by us, no hang",
        control: Control::Without("about our own reading"),
        attempt: traps_in_a_layer,
    },
];

fn files_of_the_host(stage: &Stage) -> Seen {
    let secret = stage.world.make_file("out/secret", b"canary").display().to_string();
    let tree = stage.world.path("out").parent().map(|dir| dir.display().to_string()).unwrap_or_default();
    let above = format!("{tree}/work/../out/secret");
    let doors = ["/proc/1/root", "/proc/self/root", "/proc/1/cwd/../../../../..", "/proc/self/root/../.."];
    let mut paths = vec![secret.clone(), above, "../out/secret".to_owned()];
    paths.extend(doors.iter().map(|door| format!("{door}{secret}")));
    let mut arguments = vec!["open", "r"];
    arguments.extend(paths.iter().map(String::as_str));
    none_succeeded(&stage.probe(&[], &arguments), paths.len())
}

fn system_written(stage: &Stage) -> Seen {
    let name = format!("enclos-{}", stage.world.mark);
    let paths: Vec<String> = ["/usr", "/usr/bin", "/usr/lib", "/etc", "/etc/ssl", "/var", "/boot", "/opt", "/srv", ""]
        .iter()
        .map(|dir| format!("{dir}/{name}"))
        .collect();
    let mut arguments = vec!["open", "c"];
    arguments.extend(paths.iter().map(String::as_str));
    let outcome = stage.probe(&[], &arguments);
    let changed: Vec<&String> = paths.iter().filter(|path| std::fs::remove_file(path).is_ok()).collect();
    tries_among(&outcome, paths.len(), &["EROFS", "EACCES", "EPERM", "ENOENT"])
        .and(|| held_if(changed.is_empty(), format!("on the host: {changed:?}")))
}

fn everything_writable(stage: &Stage) -> Seen {
    let home = stage.run(&[]).sh("echo $HOME").output().out().trim().to_owned();
    let outcome = stage.probe(&[], &["writable"]);
    let allowed = |path: &str| {
        let beneath = |dir: &str| !dir.is_empty() && (path == dir || path.starts_with(&format!("{dir}/")));
        let device = path.strip_prefix("/dev/").is_some_and(|name| DEVICES.contains(&name) || name == "ptmx" || name == "pts/ptmx");
        // The way to the current directory is made of private directories; the directory itself is the host's.
        beneath("/tmp") && (!path.contains("enclos-test-") || stage.world.path("work").starts_with(path) && !path.ends_with("/work"))
            || beneath(&home)
            || beneath("/dev/shm")
            || beneath("/dev/mqueue")
            || beneath("/var/tmp")
            || device
    };
    let text = outcome.out();
    let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("writable ")?.get(2..)).collect();
    let extra: Vec<&&str> = found.iter().filter(|path| !allowed(path)).take(20).collect();
    if !text.contains("searched = ") {
        return Seen::Escaped(outcome.describe());
    }
    held_if(extra.is_empty() && !found.is_empty(), if extra.is_empty() { format!("{} places", found.len()) } else { format!("{extra:?}") })
}

fn privileged_program(stage: &Stage, kind: &str) -> Seen {
    if !rustix::process::geteuid().is_root() {
        return Seen::Cannot("only root can make such a program".into());
    }
    let path = stage.world.path("work/privileged");
    std::fs::copy(stage.world.path("work/probe"), &path).expect("a copy in our own directory");
    if kind == "setuid" {
        std::fs::set_permissions(&path, Permissions::from_mode(0o6755)).expect("our own file");
    } else {
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("our own file");
        // struct vfs_cap_data of capabilities(7): revision 2, every capability permitted and inheritable.
        let mut value = 0x0200_0000_u32.to_le_bytes().to_vec();
        for word in [u32::MAX, u32::MAX, 0x1ff, 0x1ff] {
            value.extend(word.to_le_bytes());
        }
        if rustix::fs::setxattr(&path, "security.capability", &value, rustix::fs::XattrFlags::empty()).is_err() {
            return Seen::Cannot("the file system here keeps no file capabilities".into());
        }
    }
    let outcome = stage.run(&[]).command([path.display().to_string(), "ids".to_owned()]).output();
    let text = outcome.out();
    let first = text.lines().next().unwrap_or("").to_owned();
    let capabilities = text.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap_or("").trim().to_owned();
    let ids: Vec<&str> = first.split(' ').collect();
    let same = ids.len() > 7 && ids[1] == ids[3] && ids[5] == ids[7];
    held_if(same && ids.get(3) != Some(&"0") && capabilities == "0000000000000000", format!("{first}, capabilities {capabilities}"))
}

fn setuid_for_the_host(stage: &Stage) -> Seen {
    let work = stage.world.text("work");
    if stage.world.who == Who::Root {
        // Behind a range of ids of its own the sandbox writes where everybody may.
        std::fs::set_permissions(&work, Permissions::from_mode(0o777)).expect("our own directory");
    }
    let file = stage.world.text("work/left");
    let outcome = stage.run(&["--rw", &work]).sh(&format!("cp {work}/probe {file} && {work}/probe chmod 6755 {file}")).output();
    // The copy itself, and what each of the calls that make a file may have made.
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(&work).expect("our own directory").flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("left") && meta.mode() & 0o6000 != 0 && meta.uid() < 65_536 {
            let tries = outcome.tries();
            return Seen::Escaped(format!("{name}: mode {:o}, owner {}; {tries:?}", meta.mode() & 0o7777, meta.uid()));
        }
        seen.push(format!("{name} {:o} owner {}", meta.mode() & 0o7777, meta.uid()));
    }
    held_if(outcome.tries().len() > 20, if outcome.tries().len() > 20 { seen.join(", ") } else { outcome.describe() })
}

fn device_found(stage: &Stage) -> Seen {
    let work = stage.world.text("work");
    let made = std::process::Command::new("mknod").args(["-m", "666", &format!("{work}/zero"), "c", "1", "5"]).status();
    if !made.is_ok_and(|status| status.success()) {
        return Seen::Cannot("only root can make a device node".into());
    }
    none_succeeded(&stage.probe(&["--rw", &work], &["open", "r", &format!("{work}/zero")]), 1)
        .and(|| none_succeeded(&stage.probe(&[], &["open", "r", &format!("{work}/zero")]), 1))
}

fn devices_listed(stage: &Stage) -> Seen {
    let outcome = stage.probe(&[], &["list", "/dev"]);
    let text = outcome.out();
    let mut count = 0;
    for line in text.lines() {
        let (kind, name) = (line.get(..1).unwrap_or(""), line.strip_prefix(&line[..line.len().min(7)]).unwrap_or(""));
        let fine = match kind {
            "c" => DEVICES.contains(&name),
            "l" => ["fd", "stdin", "stdout", "stderr", "core", "ptmx"].contains(&name),
            "d" => ["shm", "pts", "mqueue"].contains(&name),
            _ => false,
        };
        if !fine {
            return Seen::Escaped(line.to_owned());
        }
        count += 1;
    }
    held_if(count >= DEVICES.len(), format!("{count} entries"))
}

fn stdin_reopened(stage: &Stage) -> Seen {
    let path = stage.world.make_file("out/input", b"original");
    let opened = File::open(&path).expect("our own file");
    let outcome = stage.run(&[]).probe(&["reopen", "0"]).stdin_from(opened).output();
    let named = stage.is_real().then(|| stage.probe(&["--stdin", &path.display().to_string()], &["reopen", "0"]));
    let content = std::fs::read(&path).unwrap_or_default();
    let told = outcome.tries().len() >= 3 && named.is_none_or(|named| named.tries().len() >= 3);
    held_if(
        told && content == b"original",
        format!("{}; the file holds {:?}", outcome.out().replace('\n', ", "), String::from_utf8_lossy(&content)),
    )
}

fn log_reopened(stage: &Stage) -> Seen {
    let path = stage.world.make_file("out/log", b"EARLIER-SECRET\n");
    let log = path.display().to_string();
    // What the probe reads it can only tell through the log itself, so that is where to look for a second copy.
    let _ = stage.run(&[]).under(["sh", "-c", "exec \"$@\" >>\"$0\"", &log]).probe(&["reopen", "1"]).output();
    let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
    held_if(
        content.starts_with("EARLIER-SECRET\n") && content.matches("EARLIER-SECRET").count() == 1 && content.contains("truncate = "),
        format!("the log holds {content:?}"),
    )
}

fn traps_in_a_layer(stage: &Stage) -> Seen {
    let data = stage.world.make_dir("out/data");
    stage.world.make_file("out/data/result", b"old");
    let canary = stage.world.make_file("out/canary", b"canary");
    let layer = stage.world.make_dir("out/layer");
    if stage.world.who == Who::Root {
        std::fs::set_permissions(&data, Permissions::from_mode(0o777)).expect("our own directory");
    }
    let flag = format!("{}:{}", data.display(), layer.display());
    let (data, canary) = (data.display(), canary.display());
    let script = format!(
        "cd {data} && rm -f result && ln -s {canary} result && mkfifo fifo && ln -s / rootlink && mkdir -p upper work && ln -s {canary} upper/x; ls -la"
    );
    let first = stage.run(&["--overlay", &flag]).sh(&script).within(std::time::Duration::from_secs(20)).output();
    let second =
        stage.run(&["--overlay", &flag]).sh(&format!("cat {data}/result; ls {data}")).within(std::time::Duration::from_secs(20)).output();
    let untouched = std::fs::read(stage.world.path("out/canary")).is_ok_and(|bytes| bytes == b"canary");
    let source = std::fs::symlink_metadata(stage.world.path("out/data/result"))
        .is_ok_and(|meta| meta.file_type().is_file() && !meta.file_type().is_fifo());
    let silent = !second.out().contains("canary") || second.out().contains("No such");
    verdict_among(&first, &[Verdict::Ok]).and(|| {
        held_if(
            untouched && source && silent && !second.stuck && second.code.is_some_and(|code| code != 125),
            format!("canary {untouched}, source {source}, second run {}", second.describe()),
        )
    })
}
