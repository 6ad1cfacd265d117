//! The policy of a step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use enclos_sandbox::spec::{Bound, Policy, Size, Span};

use super::step::BOX;
use crate::api::Limits;

/// A private, bounded working directory, the host's system directories read-only, what the language needs to see, no network, and every limit.
#[must_use]
pub fn of(limits: &Limits, see: &[PathBuf], best_effort: bool) -> Policy {
    let span = |span: Option<Duration>| span.map(|span| Bound::At(Span(span)));
    let size = |size: Option<u64>| size.map(|size| Bound::At(Size(size)));
    let count = |count: Option<u64>| count.map(Bound::At);
    Policy {
        ro: see.iter().filter(|path| path.exists()).cloned().collect(),
        tmpfs: vec![PathBuf::from(BOX)],
        workdir: Some(Path::new(BOX).to_owned()),
        env: BTreeMap::from([("HOME".to_owned(), BOX.to_owned()), ("LIBC_FATAL_STDERR_".to_owned(), "1".to_owned())]),
        wall: span(limits.wall),
        idle: span(limits.idle),
        cpu: span(limits.cpu.map(|cpu| limits.extra_cpu.map_or(cpu, |extra| cpu.max(extra)))),
        memory: size(limits.memory),
        disk: size(limits.disk),
        output: size(output_cap(limits)),
        file_size: size(limits.file_size),
        stack: size(limits.stack),
        processes: count(limits.processes),
        inodes: count(limits.inodes),
        open_files: count(limits.open_files),
        best_effort,
        ..Policy::default()
    }
}

/// Bytes that may be written to each stream: a stream counts as a file too.
#[must_use]
pub fn output_cap(limits: &Limits) -> Option<u64> {
    [limits.output, limits.file_size].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LimitSettings;

    #[test]
    fn every_default_limit_is_in_the_policy() {
        let settings = LimitSettings::default();
        for limits in [&settings.run, &settings.compile] {
            let policy = of(limits, &[], false);
            assert!(policy.cpu.is_some() && policy.wall.is_some() && policy.memory.is_some() && policy.disk.is_some());
            assert!(policy.output.is_some() && policy.processes.is_some() && policy.inodes.is_some() && policy.open_files.is_some());
            assert!(policy.file_size.is_some() && policy.stack.is_some());
        }
    }

    #[test]
    fn extra_time_kills_later_and_never_sooner() {
        let limits = |extra: u64| Limits {
            cpu: Some(Duration::from_millis(300)),
            extra_cpu: Some(Duration::from_millis(extra)),
            ..Limits::default()
        };
        assert_eq!(of(&limits(600), &[], false).cpu, Some(Bound::At(Span(Duration::from_millis(600)))));
        assert_eq!(of(&limits(100), &[], false).cpu, Some(Bound::At(Span(Duration::from_millis(300)))));
    }

    #[test]
    fn a_stream_is_a_file_too() {
        let limits = Limits { output: Some(100), file_size: Some(10), ..Limits::default() };
        assert_eq!(of(&limits, &[], false).output, Some(Bound::At(Size(10))));
    }
}
