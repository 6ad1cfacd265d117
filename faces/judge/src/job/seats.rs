//! Seats: sets of CPUs, each for one sandbox at a time, so that what runs beside a program takes none of its time.

use rustix::thread::{CpuSet, sched_getaffinity};

/// The CPUs that this process may use; none when the kernel does not say.
#[must_use]
pub fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// As many seats of `each` CPUs as there are, at least one if there is a CPU; CPUs that do not fill a seat stay free for others. `each` 0: no seats.
#[must_use]
pub fn seats(each: usize, allowed: &[usize]) -> Vec<Vec<usize>> {
    if each == 0 || allowed.is_empty() {
        return Vec::new();
    }
    allowed.chunks_exact(each.min(allowed.len())).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_shared_out() {
        assert_eq!(seats(1, &[0, 2, 5]), [[0], [2], [5]]);
        assert_eq!(seats(2, &[0, 2, 5]), [[0, 2]]);
        assert_eq!(seats(4, &[0, 2]), [[0, 2]]);
        assert!(seats(0, &[0, 1]).is_empty() && seats(2, &[]).is_empty());
    }

    #[test]
    fn this_process_has_a_cpu() {
        assert!(!allowed().is_empty());
    }
}
