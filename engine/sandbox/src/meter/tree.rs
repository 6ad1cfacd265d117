//! CPU time of a tree of processes where no control group counts it: every living process's own clock, and what each has waited for.

use std::fs;
use std::time::Duration;

use rustix::process::Pid;

/// CPU time of `root` and all its living descendants, with that of the dead ones they waited for (`proc(5)`, stat fields 14 to 17).
///
/// A process that ends while this looks may be missed until its parent has waited for it; the next look has it.
pub fn cpu_time(root: Pid) -> Duration {
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let mut ticks = 0;
    let mut left = vec![root.as_raw_nonzero().get()];
    while let Some(pid) = left.pop() {
        ticks += fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|text| ticks_of(&text)).unwrap_or(0);
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let Ok(children) = fs::read_to_string(task.path().join("children")) else { continue };
            left.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    Duration::from_micros(ticks * 1_000_000 / ticks_per_second)
}

/// utime + stime + cutime + cstime.
fn ticks_of(stat: &str) -> Option<u64> {
    let after_name = stat.get(stat.rfind(')')? + 2..)?;
    // The first field here is number 3.
    let times: Option<Vec<u64>> = after_name.split_ascii_whitespace().skip(14 - 3).take(4).map(|field| field.parse().ok()).collect();
    times.filter(|t| t.len() == 4).map(|t| t.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let line = "7 (a) (b) S 1 7 7 0 -1 4194560 100 0 0 0 5 6 7 8 20 0 1 0 1 1 1";
        assert_eq!(ticks_of(line), Some(26));
        assert_eq!(ticks_of("7 (x"), None);
    }

    #[test]
    fn a_child_counts() {
        let mut child =
            std::process::Command::new("sh").args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 5"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let this = Pid::from_raw(std::process::id() as i32).unwrap();
        assert!(cpu_time(this) > Duration::ZERO);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
