//! Policies and flags that are odd, huge or hostile: refused in one line or meant as written; never a crash, never half.

use std::os::unix::fs::symlink;
use std::time::Duration;

use enclos_testkit::Outcome;

use crate::attempt::held_if;
use crate::{Attempt, Control, Seen, Stage};

const OURS: Control = Control::Without("about how policies are read");

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "policy_of_odd_values",
        threat: "W-10: zero bytes, escape sequences, huge and negative numbers, wrong types, nesting without end",
        expected: "exit 125 and one plain line for each; nothing run",
        control: OURS,
        attempt: odd_values,
    },
    Attempt {
        name: "policy_of_huge_values",
        threat: "W-10: numbers at the edge of what a limit can be",
        expected: "the run takes place, its limits no wider than asked; or one line",
        control: OURS,
        attempt: huge_values,
    },
    Attempt {
        name: "policy_paths_climb",
        threat: "W-10: .. and links in a policy's paths, and a policy reached through a link",
        expected: "relative to the directory the policy was named in; what leads through a link is refused as a source",
        control: OURS,
        attempt: paths_climb,
    },
    Attempt {
        name: "covers_own_walls",
        threat: "W-10: --rw, --bind, --tmpfs, --overlay over /, /proc, /proc/sys, /dev, /etc/passwd",
        expected: "the masks and the devices stay as they are, or it is refused",
        control: OURS,
        attempt: covers,
    },
];

fn with_policy(stage: &Stage, text: &[u8]) -> Outcome {
    let path = stage.world.make_file("out/policy.toml", text).display().to_string();
    stage.run(&["--policy", &path]).sh("echo ran").without_report().within(Duration::from_secs(20)).output()
}

/// Refused in one line of plain text.
fn refused(outcome: &Outcome) -> bool {
    let text = outcome.err();
    outcome.code == Some(125)
        && !outcome.stuck
        && outcome.stdout.is_empty()
        && text.trim().lines().count() == 1
        && !text.trim_end().contains(|c: char| c.is_control())
        && text.len() < 4096
}

fn odd_values(stage: &Stage) -> Seen {
    let nested = [b"ro = ".to_vec(), vec![b'['; 200_000]].concat();
    let tables = b"a.".repeat(50_000);
    let texts: Vec<&[u8]> = vec![
        b"hide = [\"/tmp/\\u0000x\"]",
        b"rw = [\"/no/such/\\u001b[31mred\\u0007\"]",
        b"rw = [\"/no/such/\\u202eevil\"]",
        b"ro = [\"\"]",
        b"workdir = \"relative/nowhere/../..\\u0000\"",
        b"memory = -1",
        b"memory = \"18446744073709551616\"",
        b"memory = \"99999999999999999999999999T\"",
        b"memory = \"0\"",
        b"processes = 0",
        b"processes = -5",
        b"processes = 1e30",
        b"wall = \"99999999999999999999h\"",
        b"wall = \"-1s\"",
        b"wall = \"0s\"",
        b"cpu = \"NaN\"",
        b"cpus = \"0-4294967295\"",
        b"cpus = \"18446744073709551615\"",
        b"cpus = \"5-1\"",
        b"uid = 4294967295",
        b"uid = -1",
        b"gid = 65535",
        b"hostname = \"a b\"",
        b"hostname = \"\\u00fcml\\u00e4ut\"",
        b"hostname = \"a\\nb\"",
        b"env = { \"A=B\" = \"x\" }",
        b"env = { A = \"\\u0000\" }",
        b"env = { \"\" = \"x\" }",
        b"net = \"none\"\nnet = \"host\"",
        b"net = \"Host\"",
        b"seccomp = \"./no-such-filter\"",
        b"seccomp = \"/dev/zero/x\"",
        b"best-effort = \"yes\"",
        b"\xff\xfe\x00",
        b"rw = \"/tmp\"",
        &nested,
        &tables,
    ];
    for text in &texts {
        let outcome = with_policy(stage, text);
        if !refused(&outcome) {
            let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
            return Seen::Escaped(format!("{shown:?}: {}", outcome.describe()));
        }
    }
    let directory = stage.world.text("out");
    let outcome = stage.run(&["--policy", &directory]).sh("echo ran").without_report().output();
    held_if(refused(&outcome), format!("{} refused, a directory too: {}", texts.len(), outcome.err().trim()))
}

fn huge_values(stage: &Stage) -> Seen {
    let texts = [
        "wall = \"1000000h\"",
        "cpu = \"500000h\"\nidle = \"500000h\"",
        "output = \"15E\"\nfile-size = \"7E\"",
        "disk = \"15E\"",
        "inodes = 18446744073709551615",
        "inodes = 9223372036854775807",
        "processes = 18446744073709551615",
        "processes = 9223372036854775807",
        "open-files = 9223372036854775807",
        "stack = \"15E\"",
        "uid = 65532\ngid = 65532",
        "uid = 0\ngid = 0",
    ];
    let mut ran = 0;
    for text in texts {
        let outcome = with_policy(stage, text.as_bytes());
        if outcome.out() == "ran\n" && outcome.code == Some(0) {
            ran += 1;
        } else if !refused(&outcome) {
            return Seen::Escaped(format!("{text:?}: {}", outcome.describe()));
        }
    }
    Seen::Held(format!("{ran} ran, {} refused", texts.len() - ran))
}

fn paths_climb(stage: &Stage) -> Seen {
    stage.world.make_dir("out/a/b");
    stage.world.make_file("out/a/data", b"beside");
    stage.world.make_file("out/data", b"above");
    let policy = stage.world.make_file("out/a/b/policy.toml", b"ro = [\"../data\"]\nworkdir = \"/tmp\"\n");
    let link = stage.world.path("out/link.toml");
    symlink(&policy, &link).expect("our own directory");
    let (beside, above) = (stage.world.text("out/a/data"), stage.world.text("out/data"));
    let script = format!("cat {beside} {above}");
    let direct = stage.run(&["--policy", &policy.display().to_string()]).sh(&script).without_report().output();
    // Through the link the directory is the link's: `..` of it is the world.
    let linked = stage.run(&["--policy", &link.display().to_string()]).sh(&script).without_report().output();
    symlink(stage.world.path("out/a"), stage.world.path("out/planted")).expect("our own directory");
    let planted = with_policy(stage, b"ro = [\"planted/data\"]");
    let climbed = with_policy(stage, b"ro = [\"planted/../data\"]\nworkdir = \"/tmp\"");
    held_if(
        direct.out() == "beside" && !linked.out().contains("beside") && refused(&planted) && climbed.out() == "ran\n",
        format!("{:?}, {:?}, {}, {:?}", direct.out(), linked.err().trim(), planted.err().trim(), climbed.out()),
    )
}

fn covers(stage: &Stage) -> Seen {
    let empty = stage.world.make_dir("out/empty").display().to_string();
    let over = |dst: &str| format!("{empty}:{dst}");
    let mut flags: Vec<(&str, String)> = Vec::new();
    for dst in ["/", "/proc", "/proc/sys", "/proc/self", "/proc/kcore", "/dev", "/dev/null", "/etc/passwd", "/etc", "/tmp/../proc"] {
        flags.push(("--tmpfs", dst.to_owned()));
        flags.push(("--bind", over(dst)));
        flags.push(("--rw", dst.to_owned()));
    }
    let script = "cat /proc/sysrq-trigger /proc/kcore /proc/keys 2>/dev/null | head -c 1; echo x 2>/dev/null > /proc/sys/kernel/hostname; \
                  head -c 1 /dev/mem 2>/dev/null; grep -h Seccomp: /proc/self/status";
    let mut ran = 0;
    for (flag, value) in &flags {
        let outcome = stage.run(&[flag, value]).command(["/bin/sh", "-c", script]).without_report().output();
        let text = outcome.out();
        let whole = text.is_empty() || text == "Seccomp:\t2\n";
        if !whole || outcome.stuck || (outcome.code == Some(125) && !refused(&outcome)) {
            return Seen::Escaped(format!("{flag} {value}: {}", outcome.describe()));
        }
        ran += usize::from(outcome.code != Some(125));
    }
    Seen::Held(format!("{ran} ran with every mask, {} refused", flags.len() - ran))
}
