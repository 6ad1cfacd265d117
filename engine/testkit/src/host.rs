//! The host before and after: what a sandbox must not leave behind.
//!
//! Other programs, other tests among them, work on the same machine at the same time. So a snapshot holds only what carries a mark of
//! ours, or what a whole-host count can tell when nothing else of ours runs ([`HostState::counts`]).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Ids of all processes this test process started for a [`Run`](crate::Run). Cgroups carry the id of the process that made them in their name.
static STARTED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Notes a process as ours.
pub(crate) fn started(pid: u32) {
    STARTED.lock().expect("nobody panics while holding it").insert(pid);
}

/// First user id of the ranges that sandboxes of root get; nobody else on a plain host owns files from here on.
const FIRST_RANGE_ID: u32 = 100_000;

/// What is there now, each thing as a line a person can read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    /// Everything found, by kind.
    found: BTreeMap<&'static str, BTreeSet<String>>,
}

impl HostState {
    /// Looks at the host. `mark` is a [`World`](crate::World)'s: processes with it in their environment or command line are ours.
    #[must_use]
    pub fn take(mark: &str) -> HostState {
        let mut found = BTreeMap::new();
        found.insert("process", processes_marked(mark));
        found.insert("cgroup", cgroups().iter().map(|path| path.display().to_string()).collect());
        found.insert("mount", mounts());
        found.insert("key", keys());
        found.insert("ipc", system_v());
        found.insert("file", files(mark));
        HostState { found }
    }

    /// What is here now and was not there in `before`.
    #[must_use]
    pub fn since(&self, before: &HostState) -> Vec<String> {
        let none = BTreeSet::new();
        let mut new = Vec::new();
        for (kind, things) in &self.found {
            let old = before.found.get(kind).unwrap_or(&none);
            let left = things.difference(old).filter(|thing| *kind != "cgroup" || is_left_over(thing));
            new.extend(left.map(|thing| format!("{kind} {thing}")));
        }
        new
    }

    /// Waits until nothing is left that was not there before; destruction is off the request path, so it may take a moment.
    ///
    /// # Errors
    /// What is still there after ten seconds.
    pub fn settled(&self, mark: &str) -> Result<(), Vec<String>> {
        let started = Instant::now();
        let mut left: Option<BTreeSet<String>> = None;
        loop {
            let now: BTreeSet<String> = HostState::take(mark).since(self).into_iter().collect();
            // Only what was there every time is left behind: what comes and goes belongs to tests that run beside this one.
            let still = left.map_or(now.clone(), |before| before.intersection(&now).cloned().collect());
            if still.is_empty() {
                return Ok(());
            }
            if started.elapsed() > Duration::from_secs(10) {
                return Err(still.into_iter().collect());
            }
            left = Some(still);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Counts of the whole host: processes, namespaces, cgroups, mounts, keys, System V objects, open files of this process. Only for a test that
    /// runs alone.
    #[must_use]
    pub fn counts() -> BTreeMap<&'static str, usize> {
        let pids = pids();
        let mut namespaces = BTreeSet::new();
        for pid in &pids {
            for link in list(&Path::new("/proc").join(pid).join("ns")) {
                namespaces.extend(std::fs::read_link(link));
            }
        }
        BTreeMap::from([
            ("processes", pids.iter().filter(|pid| is_of_enclos(pid)).count()),
            ("namespaces", namespaces.len()),
            ("cgroups", cgroups().len()),
            ("mounts", std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines().count()),
            ("keys", keys().len()),
            ("ipc", system_v().len()),
            ("descriptors", list(Path::new("/proc/self/fd")).len()),
            ("files", ["/tmp", "/run", "/dev/shm", "/var/tmp"].iter().map(|dir| files_of_enclos(Path::new(dir))).sum()),
        ])
    }
}

/// Whether a process is the program itself, or lives in a pid namespace that is not ours: the machine's other processes come and go.
fn is_of_enclos(pid: &str) -> bool {
    let link = |name: &str| Path::new("/proc").join(pid).join(name).read_link();
    let Ok(program) = link("exe") else { return false };
    let own = Path::new("/proc/self/ns/pid").read_link();
    program.file_name().is_some_and(|name| name == "enclos") || link("ns/pid").is_ok_and(|theirs| own.is_ok_and(|own| own != theirs))
}

/// Entries of a directory that could be ours by their name: the machine's other programs leave files as well.
fn files_of_enclos(dir: &Path) -> usize {
    let is_ours = |name: &str| name.contains("enclos") || name.starts_with(".tmp");
    list(dir).iter().filter(|path| path.file_name().is_some_and(|name| is_ours(&name.to_string_lossy()))).count()
}

/// Ids of the processes whose environment or command line holds `mark`.
#[must_use]
pub fn pids_marked(mark: &str) -> Vec<u32> {
    let holds = |file: PathBuf| std::fs::read(file).is_ok_and(|bytes| contains(&bytes, mark.as_bytes()));
    let own = std::process::id().to_string();
    let marked = pids().into_iter().filter(|pid| *pid != own).filter(|pid| {
        let dir = Path::new("/proc").join(pid);
        holds(dir.join("cmdline"))
            || holds(dir.join("environ"))
            || dir.join("cwd").read_link().is_ok_and(|d| d.to_string_lossy().contains(mark))
    });
    marked.filter_map(|pid| pid.parse().ok()).collect()
}

fn processes_marked(mark: &str) -> BTreeSet<String> {
    pids_marked(mark)
        .into_iter()
        .map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("{pid}: {}", String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn list(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn pids() -> Vec<String> {
    let names = list(Path::new("/proc")).into_iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
    names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).collect()
}

/// Every cgroup whose name starts with `enclos`, in every hierarchy, with those below it.
fn cgroups() -> Vec<PathBuf> {
    fn below(dir: &Path, ours: bool, depth: u8, found: &mut Vec<PathBuf>) {
        for path in list(dir) {
            if depth > 8 || path.is_symlink() || !path.is_dir() {
                continue;
            }
            let ours = ours || path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"enclos"));
            if ours {
                found.push(path.clone());
            }
            below(&path, ours, depth + 1, found);
        }
    }
    let mut found = Vec::new();
    below(Path::new("/sys/fs/cgroup"), false, 0, &mut found);
    found
}

/// Whether a cgroup is one that should be gone: it holds no process, so no sandbox lives in it, and a process we started made it; one with
/// another id in its name (`enclos-PID-…`) belongs to somebody who works beside us.
fn is_left_over(path: &str) -> bool {
    let path = Path::new(path);
    let started = STARTED.lock().expect("nobody panics while holding it");
    let maker = |path: &Path| path.file_name()?.to_str()?.strip_prefix("enclos-")?.split('-').next()?.parse::<u32>().ok();
    let ours = path.ancestors().filter_map(maker).any(|pid| started.contains(&pid));
    ours && std::fs::read_to_string(path.join("cgroup.procs")).is_ok_and(|text| text.is_empty())
}

/// Mount points of this process, without the numbers that say nothing to a reader.
fn mounts() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

/// Keys of `keyrings(7)` that we can see, without the time left and the count of users.
fn keys() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/keys").unwrap_or_default();
    let line = |line: &str| -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The user and session keyrings of whoever logs in come and go with logins.
        let login = words.iter().any(|word| word.starts_with("_uid") || word.starts_with("_ses") || word.starts_with("_persistent"));
        (!login).then(|| format!("{} {}", words.first().unwrap_or(&""), words.get(7..).unwrap_or(&[]).join(" ")))
    };
    text.lines().filter_map(line).collect()
}

fn system_v() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for kind in ["shm", "msg", "sem"] {
        let text = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        found.extend(text.lines().skip(1).map(|line| format!("{kind} {}", line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))));
    }
    found
}

/// Entries of the shared places that are ours: named so, or owned by an id that only sandboxes have.
fn files(mark: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for dir in ["/tmp", "/var/tmp", "/run", "/run/lock", "/dev/shm", "/dev/mqueue"] {
        for path in list(Path::new(dir)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What tests that run beside this one put there is theirs.
            let of_a_test = ["enclos-test-", "enclos-compat-"].iter().any(|prefix| name.starts_with(prefix)) && !name.contains(mark);
            let owned = path.symlink_metadata().is_ok_and(|meta| meta.uid() >= FIRST_RANGE_ID);
            // `/run/enclos` holds the ledger of id ranges in use; it stays, as `/run/lock` does.
            if !of_a_test && (owned || name.starts_with("enclos-") || name.contains(mark)) {
                found.insert(path.display().to_string());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Who, World};

    #[test]
    fn a_process_left_behind_is_seen_until_it_ends() {
        let world = World::new(Who::User);
        let before = HostState::take(&world.mark);
        let mut child = std::process::Command::new("sleep").arg("20").env("ENCLOS_TEST_MARK", &world.mark).spawn().unwrap();
        let started = Instant::now();
        while pids_marked(&world.mark).is_empty() && started.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let new = HostState::take(&world.mark).since(&before);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(new.iter().any(|line| line == &format!("process {}: sleep 20 ", child.id())), "{new:?}");
        assert_eq!(before.settled(&world.mark), Ok(()));
    }

    #[test]
    fn a_file_in_a_shared_place_is_seen() {
        let world = World::new(Who::User);
        let before = HostState::take(&world.mark);
        let path = Path::new("/tmp").join(format!("enclos-{}", world.mark));
        std::fs::write(&path, "").unwrap();
        let new = HostState::take(&world.mark).since(&before);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(new, [format!("file {}", path.display())]);
    }

    #[test]
    fn cgroups_of_others_are_not_ours() {
        assert!(!is_left_over("/sys/fs/cgroup/enclos-0-1-2-3"));
        assert!(!is_left_over("/sys/fs/cgroup/system.slice"));
    }
}
