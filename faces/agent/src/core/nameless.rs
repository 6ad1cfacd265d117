//! Files of a workspace that have no name any more, and take space for as long as somebody holds them.
//!
//! They are found where a process has them open (`/proc/PID/fd`) or mapped (`/proc/PID/map_files`, which only root may read): the kernel's own
//! links to the files themselves, of which nothing but stat(2) is asked. What is only on its way through a socket is seen nowhere.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::life::Life;

/// Bytes of a block, as stat(2) counts them.
const BLOCK: u64 = 512;

/// How many bytes of the disk they take.
pub fn bytes(life: &Life) -> u64 {
    let Ok(top) = life.workspace().and_then(|top| rustix::fs::fstat(top).map_err(|e| super::fault::internal("a workspace", &e))) else {
        return 0;
    };
    let mut held = Held { device: top.st_dev, seen: HashSet::new(), bytes: 0 };
    for pid in life.processes() {
        for link in links(pid) {
            held.look(&link);
        }
    }
    held.bytes
}

/// What a process has open, and what it has mapped without a name.
fn links(pid: u32) -> Vec<PathBuf> {
    let place = PathBuf::from(format!("/proc/{pid}"));
    // A process that has ended since, or that this user may not look into, has nothing to show.
    let open = std::fs::read_dir(place.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
    let maps = std::fs::read_to_string(place.join("maps")).unwrap_or_default();
    let of_line = |line: &str| {
        let range = line.strip_suffix(" (deleted)")?.split(' ').next()?;
        // As the directory names it: without leading zeros (proc_pid_map_files(5)).
        let (start, end) = range.split_once('-')?;
        let [start, end] = [start, end].map(|number| number.trim_start_matches('0'));
        Some(place.join("map_files").join(format!("{start}-{end}")))
    };
    let mapped: Vec<PathBuf> = maps.lines().filter_map(of_line).collect();
    open.chain(mapped).collect()
}

struct Held {
    /// The overlay's.
    device: u64,
    seen: HashSet<u64>,
    bytes: u64,
}

impl Held {
    fn look(&mut self, link: &std::path::Path) {
        // Through the link on purpose: it is the kernel's, and leads to the open file and nowhere else.
        let Ok(stat) = std::fs::metadata(link) else { return };
        if stat.is_file() && stat.nlink() == 0 && stat.dev() == self.device && self.seen.insert(stat.ino()) {
            self.bytes = self.bytes.saturating_add(stat.blocks() * BLOCK);
        }
    }
}
