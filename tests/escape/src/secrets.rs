//! What the host must not tell: environment, paths, kernel, descriptors.

use enclos_spec::Verdict;

use crate::attempt::{held_if, none_succeeded, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "environment_of_the_caller",
        threat: "W-05: AWS_SECRET_ACCESS_KEY",
        expected: "in no environment, pid 1's included",
        control: Control::Weak,
        attempt: |stage| {
            let outcome = stage
                .run(&[])
                .env("AWS_SECRET_ACCESS_KEY", "planted-secret")
                .sh("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; echo end")
                .output();
            let text = outcome.out();
            held_if(text.contains("end") && !text.contains("planted-secret") && !text.contains("AWS_"), outcome.describe())
        },
    },
    Attempt {
        name: "variables_left",
        threat: "W-05: LD_PRELOAD, SSH_AUTH_SOCK and the like",
        expected: "a short list: PATH, HOME, TERM, LANG, USER …",
        control: Control::Weak,
        attempt: variables_left,
    },
    Attempt {
        name: "paths_of_the_host",
        threat: "W-06: pid 1's command line, the mount table",
        expected: "in no file of /proc",
        control: Control::OpenAsUser,
        attempt: paths_of_the_host,
    },
    Attempt {
        name: "layer_path",
        threat: "W-06: upperdir= in the mount table",
        expected: "the layer's host path is in no file of /proc",
        control: Control::Without("about overlays of ours"),
        attempt: layer_path,
    },
    Attempt {
        name: "doors_of_init",
        threat: "H13: root, cwd, exe, fd, environ and maps of pid 1",
        expected: "EACCES, EPERM or ENOENT",
        control: Control::Weak,
        attempt: |stage| {
            let read = ["environ", "maps", "mem", "auxv", "io", "stack", "syscall", "fd/0", "root/etc/passwd"];
            let paths: Vec<String> = read.iter().map(|name| format!("/proc/1/{name}")).collect();
            let mut arguments = vec!["open", "r"];
            arguments.extend(paths.iter().map(String::as_str));
            none_succeeded(&stage.probe(&[], &arguments), paths.len()).and(|| {
                let links = ["/proc/1/root", "/proc/1/cwd", "/proc/1/exe", "/proc/1/ns/mnt"];
                let mut arguments = vec!["readlink"];
                arguments.extend(links);
                none_succeeded(&stage.probe(&[], &arguments), links.len())
            })
        },
    },
    Attempt {
        name: "tool_overwritten",
        threat: "CVE-2019-5736: the sandbox tool through /proc/1/exe and /proc/self/exe",
        expected: "never run, never read, never written from inside",
        control: Control::Without("about our own program"),
        attempt: tool_overwritten,
    },
    Attempt {
        name: "working_directory_from_a_descriptor",
        threat: "CVE-2024-21626: --workdir /proc/self/fd/N",
        expected: "refused, or a directory inside",
        control: Control::Without("about our own descriptors"),
        attempt: working_directory,
    },
    Attempt {
        name: "descriptors_inherited",
        threat: "CVE-2016-9962, CVE-2024-21626: a file and a directory left open by the caller",
        expected: "only 0, 1 and 2 are open",
        control: Control::Weak,
        attempt: descriptors,
    },
    Attempt {
        name: "kernel_settings_written",
        threat: "H32, W-03: core_pattern, modprobe, sysrq-trigger",
        expected: "EROFS, EACCES, EPERM or ENOENT; the host unchanged",
        control: Control::Open,
        attempt: |stage| {
            let paths = [
                "/proc/sys/kernel/core_pattern",
                "/proc/sys/kernel/modprobe",
                "/proc/sys/kernel/hostname",
                "/proc/sys/kernel/domainname",
                "/proc/sys/vm/overcommit_memory",
                "/proc/sys/vm/drop_caches",
                "/proc/sys/user/max_user_namespaces",
                "/proc/sys/fs/binfmt_misc/register",
                "/proc/sys/net/ipv4/ip_forward",
                "/proc/sys/kernel/msgmax",
                "/proc/sysrq-trigger",
                "/proc/irq/default_smp_affinity",
                "/proc/mtrr",
                "/proc/acpi/wakeup",
                "/proc/1/oom_score_adj",
                "/proc/1/uid_map",
                "/proc/self/uid_map",
                "/proc/self/setgroups",
            ];
            let mut arguments = vec!["open", "w"];
            arguments.extend(paths);
            let outcome = stage.probe(&[], &arguments);
            // A process may open its own id maps; that they are written already, and only once, is the kernel's rule.
            let through: Vec<_> =
                outcome.tries().into_iter().filter(|(path, result)| result == "ok" && !path.starts_with("/proc/self/")).collect();
            held_if(outcome.tries().len() == paths.len() && through.is_empty(), format!("opened: {through:?}"))
        },
    },
    Attempt {
        name: "kernel_told",
        threat: "W-03, W-07: addresses, memory, keys, timers, configuration",
        expected: "absent, closed, empty or zero",
        control: Control::Open,
        attempt: |stage| {
            let paths = [
                "/proc/kallsyms",
                "/proc/kcore",
                "/proc/keys",
                "/proc/key-users",
                "/proc/timer_list",
                "/proc/config.gz",
                "/proc/kmsg",
                "/proc/sched_debug",
                "/proc/kpagecount",
                "/proc/kpageflags",
                "/proc/kpagecgroup",
                "/proc/vmallocinfo",
                "/proc/slabinfo",
                "/proc/iomem",
                "/proc/ioports",
                "/proc/modules",
                "/proc/latency_stats",
                "/proc/scsi/scsi",
            ];
            let mut arguments = vec!["open", "r"];
            arguments.extend(paths);
            let outcome = stage.probe(&[], &arguments);
            let told = |result: &str| {
                result.starts_with("ok")
                    && !result.contains("of zero")
                    && !result.contains(": 0000")
                    && !result.contains("ok, 0 bytes")
                    && !result.contains("ok, -1 bytes")
            };
            let through: Vec<_> = outcome.tries().into_iter().filter(|(_, result)| told(result)).collect();
            held_if(outcome.tries().len() == paths.len() && through.is_empty(), format!("told: {through:?}"))
        },
    },
    Attempt {
        name: "sysfs",
        threat: "W-07: devices, firmware, cgroups",
        expected: "no /sys, or an empty one",
        control: Control::Weak,
        attempt: |stage| {
            let outcome = stage.probe(&[], &["list", "/sys", "/sys/fs/cgroup", "/sys/kernel"]);
            let text = outcome.out();
            held_if(
                text.lines().all(|line| line.contains(" = E")) && outcome.code == Some(0),
                text.lines().take(5).collect::<Vec<_>>().join(", "),
            )
        },
    },
    Attempt {
        name: "etc_is_sane",
        threat: "W-12: a root without /etc, or with all of the host's",
        expected: "passwd names the user, CA certificates are there, nothing secret",
        control: Control::Without("about what must be there"),
        attempt: |stage| {
            let script =
                "id -un && test -r /etc/passwd && test -r /etc/group && test -r /etc/hosts && test -r /etc/nsswitch.conf && ls /etc";
            let outcome = stage.run(&[]).sh(script).output();
            let text = outcome.out();
            let secret = ["shadow", "gshadow", "sudoers", "sudoers.d", "shadow-", "subuid", "crontab", "machine-id", "krb5.keytab"];
            let found: Vec<&str> = text.lines().skip(1).filter(|name| secret.contains(name)).collect();
            let certificates = std::path::Path::new("/etc/ssl/certs").is_dir();
            let trusted = !certificates
                || stage
                    .run(&[])
                    .sh("test -d /etc/ssl/certs && ls /etc/ssl/private 2>/dev/null | grep -q . && exit 1; exit 0")
                    .output()
                    .code
                    == Some(0);
            verdict_among(&outcome, &[Verdict::Ok])
                .and(|| held_if(found.is_empty() && trusted, format!("user {}, secrets {found:?}", text.lines().next().unwrap_or(""))))
        },
    },
    Attempt {
        name: "core_dump",
        threat: "a crash makes the host run its core handler, or leaves a core file",
        expected: "SIGNALED 11, no core",
        control: Control::Without("changes the host's settings"),
        attempt: |stage| {
            let work = stage.world.text("work");
            let outcome =
                stage.run(&["--rw", &work]).sh(&format!("cd {work}; ulimit -c unlimited 2>/dev/null; ulimit -Hc; kill -SEGV $$")).output();
            let cores = std::fs::read_dir(&work).map_or(0, |entries| entries.flatten().filter(|e| e.file_name() != "probe").count());
            verdict_among(&outcome, &[Verdict::Signaled])
                .and(|| held_if(cores == 0 && outcome.out().trim() == "0", format!("{cores} files, limit {}", outcome.out().trim())))
        },
    },
];

fn variables_left(stage: &Stage) -> Seen {
    let planted =
        ["LD_PRELOAD", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "PYTHONPATH", "BASH_ENV", "ENV"];
    let mut run = stage.run(&[]);
    for name in planted {
        // A value that harms nobody: LD_PRELOAD of a file that is not there only warns.
        run = run.env(name, "");
    }
    let outcome = run.command(["/usr/bin/env"]).output();
    let text = outcome.out();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name)).collect();
    let known = ["PATH", "HOME", "TERM", "LANG", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "LC_ALL", "TZ", "HOSTNAME", "COLORTERM"];
    let extra: Vec<&&str> = names.iter().filter(|name| !known.contains(name)).collect();
    held_if(extra.is_empty() && names.contains(&"PATH") && names.contains(&"HOME"), format!("{names:?}"))
}

/// Looks for a secret word in every file of `/proc`; the word goes in by stdin, so no command line inside holds it.
fn grep_proc(run: enclos_testkit::Run<'_>, word: &str) -> Seen {
    let outcome = run.probe(&["grepproc"]).stdin(format!("{word}\n").as_bytes()).output();
    let text = outcome.out();
    let found: Vec<&str> = text.lines().filter(|line| line.starts_with("found ")).collect();
    let searched = outcome.try_of("searched").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
    held_if(found.is_empty() && searched > 20, format!("{searched} files of /proc searched, {found:?}"))
}

fn paths_of_the_host(stage: &Stage) -> Seen {
    let word = "HiddenPlace";
    let dir = stage.world.make_dir(&format!("out/{word}")).display().to_string();
    let report = format!("--report={dir}/report.json");
    let policy = format!("{dir}/policy.toml");
    std::fs::write(&policy, "wall = \"20s\"\n").expect("our own directory");
    let flags = [report.as_str(), "--policy", &policy];
    // In the control run the word is on no command line, so it is given in the environment: a process of ours must be found by it.
    let run = stage.run(&flags).without_report().env("ENCLOS_TEST_PLACE", &dir);
    grep_proc(run, word)
}

fn layer_path(stage: &Stage) -> Seen {
    let word = "HiddenLayer";
    let data = stage.world.make_dir("out/data").display().to_string();
    let layer = stage.world.make_dir(&format!("out/{word}")).display().to_string();
    let flag = format!("{data}:{layer}");
    grep_proc(stage.run(&["--overlay", &flag]), word)
}

fn tool_overwritten(stage: &Stage) -> Seen {
    let tool = enclos_testkit::run::program(&stage.world);
    let before = std::fs::read(&tool).unwrap_or_default();
    let script = stage.world.make_file("work/script", b"#!/proc/self/exe\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("our own file");
    let mut seen = Vec::new();
    for command in ["/proc/self/exe".to_owned(), "/proc/1/exe".to_owned(), script.display().to_string()] {
        let outcome = stage.run(&[]).command([command.as_str(), "--version"]).output();
        if outcome.out().contains("enclos") || outcome.code == Some(0) {
            return Seen::Escaped(format!("{command} ran: {}", outcome.describe()));
        }
        seen.push(format!("{:?}", outcome.code));
    }
    let outcome = stage.run(&[]).sh("cat /proc/1/exe | wc -c; echo x >> /proc/1/exe; cp /bin/true /proc/1/exe; true").output();
    let same = std::fs::read(&tool).unwrap_or_default() == before;
    held_if(same && outcome.out().trim() == "0", format!("exit {}, {} bytes read", seen.join(" "), outcome.out().trim()))
}

fn working_directory(stage: &Stage) -> Seen {
    stage.world.make_file("out/secret", b"canary");
    let secret = stage.world.text("out/secret");
    let relative = format!("../../../../../../../..{secret}");
    for number in (3..16).chain([100]) {
        for pid in ["self", "1"] {
            let directory = format!("/proc/{pid}/fd/{number}");
            let outcome = stage.run(&["--workdir", &directory]).command(["/bin/cat", &relative]).output();
            if outcome.out().contains("canary") || outcome.code == Some(0) {
                return Seen::Escaped(format!("{directory}: {}", outcome.describe()));
            }
        }
    }
    // And a link inside that leads there.
    let link = stage.world.path("work/link");
    std::os::unix::fs::symlink("/proc/self/fd/5", &link).expect("our own directory");
    let outcome = stage.run(&["--workdir", &link.display().to_string()]).command(["/bin/cat", &relative]).output();
    held_if(!outcome.out().contains("canary"), format!("{:?}", outcome.code))
}

fn descriptors(stage: &Stage) -> Seen {
    let secret = stage.world.make_file("out/secret", b"canary").display().to_string();
    let script = "exec 7<\"$0\" 9</ 200</etc; exec \"$@\"";
    let outcome = stage.run(&[]).under(["bash", "-c", script, &secret]).probe(&["fds"]).output();
    let text = outcome.out();
    let open: Vec<&str> = text.lines().filter(|line| line.starts_with("open ") || line.starts_with("fd ")).collect();
    let extra: Vec<&&str> =
        open.iter().filter(|line| !["fd 0", "fd 1", "fd 2"].iter().any(|known| line.starts_with(&format!("{known} =")))).collect();
    held_if(extra.is_empty() && open.len() >= 3, format!("{open:?}"))
}
