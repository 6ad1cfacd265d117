//! Random argument vectors under the real program: none hangs, crashes, leaves a process or a mount behind, or fails without a word.
//!
//! Sources lie in the test's own directory and destinations below names that no host has, and root's vectors begin with `--unshare-all`, so that what a
//! vector happens to ask for cannot hurt the host.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use enclos_testkit::Who;
use rustix::process::{Pid, test_kill_process_group};

use crate::judge::{Seen, run};
use crate::place::Place;
use crate::programs;

/// Vectors per user, unless `ENCLOS_FUZZ` says how many.
const VECTORS: u64 = 60;

/// A small generator (xorshift64*): the same vectors every time, so that a failure can be seen again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % bound
    }
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Flags by what they take.
const FLAGS: &[(&str, &str)] = &[
    ("--unshare-all", ""),
    ("--share-net", ""),
    ("--unshare-user", ""),
    ("--unshare-user-try", ""),
    ("--unshare-ipc", ""),
    ("--unshare-pid", ""),
    ("--unshare-net", ""),
    ("--unshare-uts", ""),
    ("--unshare-cgroup-try", ""),
    ("--disable-userns", ""),
    ("--assert-userns-disabled", ""),
    ("--level-prefix", ""),
    ("--clearenv", ""),
    ("--new-session", ""),
    ("--die-with-parent", ""),
    ("--as-pid-1", ""),
    ("--userns", "F"),
    ("--userns2", "F"),
    ("--uid", "N"),
    ("--gid", "N"),
    ("--hostname", "W"),
    ("--chdir", "D"),
    ("--setenv", "WW"),
    ("--unsetenv", "W"),
    ("--argv0", "W"),
    ("--lock-file", "D"),
    ("--sync-fd", "F"),
    ("--block-fd", "F"),
    ("--info-fd", "F"),
    ("--json-status-fd", "F"),
    ("--args", "F"),
    ("--seccomp", "F"),
    ("--add-seccomp-fd", "F"),
    ("--cap-add", "C"),
    ("--cap-drop", "C"),
    ("--perms", "N"),
    ("--size", "N"),
    ("--bind", "SD"),
    ("--bind-try", "SD"),
    ("--ro-bind", "SD"),
    ("--ro-bind-try", "SD"),
    ("--dev-bind", "SD"),
    ("--bind-fd", "FD"),
    ("--ro-bind-fd", "FD"),
    ("--remount-ro", "D"),
    ("--overlay-src", "S"),
    ("--overlay", "SSD"),
    ("--tmp-overlay", "D"),
    ("--ro-overlay", "D"),
    ("--proc", "D"),
    ("--dev", "D"),
    ("--tmpfs", "D"),
    ("--mqueue", "D"),
    ("--dir", "D"),
    ("--file", "FD"),
    ("--bind-data", "FD"),
    ("--ro-bind-data", "FD"),
    ("--symlink", "WD"),
    ("--chmod", "ND"),
    ("--pidns", "F"),
    ("--enclos-limits", "L"),
    ("--enclos-report", "S"),
];

fn value(random: &mut Random, kind: char) -> &'static str {
    match kind {
        'F' => random.one(&["0", "3", "4", "5", "9", "x"]),
        'N' => random.one(&["0", "1", "5", "0700", "04711", "4096", "65536", "-1", "99999999999"]),
        'W' => random.one(&["a", "x/y", "''", "../..", "é", "$(printf '%0200d' 0)"]),
        'D' => random.one(&["/x", "/x/y", "/x/y/z", "/l", "/l/m", "x", "../x", "/x/../y", "/", "''", "/usr/x"]),
        'C' => random.one(&["ALL", "CAP_KILL", "cap_chown", "63", "nonsense"]),
        'L' => random.one(&["open-files=64", "file-size=1M", "cpus=0", "wall=9s", "cpu=9s", "processes=9", "memory=64M", "nonsense"]),
        _ => random.one(&["$W/dir", "$W/file", "$W/low1", "$W/low2", "$W/up", "$W/work", "$W/none", "dir", "''"]),
    }
}

fn vector(random: &mut Random, who: Who) -> String {
    let mut words = String::from(if who == Who::Root { "--unshare-all $RO" } else { "$RO" });
    for _ in 0..=random.below(9) {
        let (flag, kinds) = FLAGS[random.below(FLAGS.len())];
        let _ = write!(words, " {flag}");
        for kind in kinds.chars() {
            let _ = write!(words, " {}", value(random, kind));
        }
    }
    words
}

/// Runs the vectors as `who`.
///
/// # Errors
/// The first vector that does what none may.
pub fn fuzz(who: Who) -> Result<(), String> {
    let Some(ours) = programs::ours() else { return Ok(()) };
    let count = std::env::var("ENCLOS_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(VECTORS);
    let before = mounts()?;
    for seed in 1..=count {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let script = format!("exec $B {} true 3<file 4<filter.1 5<dir 9<&-", vector(&mut random, who));
        let place = Place::new(&format!("fuzz-{}", who.word()), who, &ours).map_err(|e| e.to_string())?;
        let (seen, group) = run(&place, &script).map_err(|error| format!("vector {seed}: {script}\n{error}"))?;
        judge(&seen).and_then(|()| ended(group)).map_err(|error| format!("vector {seed}: {script}\n  {error}\n  {seen:?}"))?;
    }
    let after = mounts()?;
    if before == after { Ok(()) } else { Err(format!("mounts were left behind:\n{before}\n{after}")) }
}

fn judge(seen: &Seen) -> Result<(), String> {
    match seen.status {
        Some(0) => {}
        // `true` fails by no means; so it was us, and then with a word.
        Some(1) if seen.err.lines().any(|line| line.contains("bwrap: ")) => {}
        Some(status) => return Err(format!("status {status}")),
        None => return Err("no status".to_owned()),
    }
    let strange = seen.err.lines().find(|line| !line.contains("bwrap: ") || line.contains("panicked"));
    strange.map_or(Ok(()), |line| Err(format!("not a line of ours: {line:?}")))
}

/// Everything of the vector is gone, at once or after a moment.
fn ended(group: Option<Pid>) -> Result<(), String> {
    let Some(group) = group else { return Ok(()) };
    let started = Instant::now();
    while test_kill_process_group(group).is_ok() {
        if started.elapsed() > Duration::from_secs(5) {
            return Err("a process is left behind".to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn mounts() -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
    // Other tests mount things of their own on this host; ours all lie in our directories.
    Ok(text.lines().filter(|line| line.contains("enclos-compat")).collect::<Vec<_>>().join("\n"))
}
