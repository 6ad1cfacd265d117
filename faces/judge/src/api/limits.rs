//! Limits of a step.

use std::time::Duration;

/// Limits of one step; `None`: not said here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of the whole tree.
    pub cpu: Option<Duration>,
    /// The program is killed only when its CPU time exceeds both `cpu` and this (camisole's `extra-time`); the verdict is by `cpu`.
    pub extra_cpu: Option<Duration>,
    /// Wall clock.
    pub wall: Option<Duration>,
    /// Longest time with neither output nor CPU time.
    pub idle: Option<Duration>,
    /// Memory of the whole tree, bytes.
    pub memory: Option<u64>,
    /// Address space of each process, bytes (`RLIMIT_AS`).
    pub address_space: Option<u64>,
    /// Stack of each process, bytes.
    pub stack: Option<u64>,
    /// Largest file, bytes. Standard output and error count as files of their own here, as they do for isolate.
    pub file_size: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<u64>,
    /// Everything the program can write, bytes.
    pub disk: Option<u64>,
    /// Files and directories it can make.
    pub inodes: Option<u64>,
    /// Bytes on each of standard output and standard error; the program is killed at the cap.
    pub output: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
}

macro_rules! each_limit {
    ($macro:ident) => {
        $macro!(cpu, extra_cpu, wall, idle, memory, address_space, stack, file_size, processes, disk, inodes, output, open_files)
    };
}

impl Limits {
    /// These, and where one is `None`, `base`'s.
    #[must_use]
    pub fn over(&self, base: &Limits) -> Limits {
        macro_rules! merge {
            ($($field:ident),+) => { Limits { $($field: self.$field.or(base.$field),)+ } };
        }
        each_limit!(merge)
    }

    /// Each limit at most `most`'s.
    #[must_use]
    pub fn capped(&self, most: &Limits) -> Limits {
        macro_rules! cap {
            ($($field:ident),+) => { Limits { $($field: match (self.$field, most.$field) {
                (Some(mine), Some(most)) => Some(mine.min(most)),
                (mine, _) => mine,
            },)+ } };
        }
        each_limit!(cap)
    }

    /// Names of the limits that are greater than `most`'s.
    #[must_use]
    pub fn beyond(&self, most: &Limits) -> Vec<&'static str> {
        let mut names = Vec::new();
        macro_rules! compare {
            ($($field:ident),+) => { $(if matches!((self.$field, most.$field), (Some(mine), Some(most)) if mine > most) {
                names.push(stringify!($field));
            })+ };
        }
        each_limit!(compare);
        names
    }
}

/// What holds where a job says nothing, and what it may ask for at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// For compiling, unless the language or the job says otherwise.
    pub compile: Limits,
    /// For running, unless the language or the job says otherwise.
    pub run: Limits,
    /// The greatest a job may ask for. [`Judge::run`](super::Judge::run) refuses more by name; a transport that may not refuse uses
    /// [`Limits::capped`].
    pub most: Limits,
}

const MIB: u64 = 1 << 20;

impl Default for LimitSettings {
    fn default() -> Self {
        let run = Limits {
            cpu: Some(Duration::from_secs(5)),
            extra_cpu: None,
            wall: Some(Duration::from_secs(15)),
            idle: None,
            memory: Some(512 * MIB),
            address_space: None,
            stack: Some(256 * MIB),
            file_size: Some(64 * MIB),
            processes: Some(64),
            disk: Some(128 * MIB),
            inodes: Some(10_000),
            output: Some(16 * MIB),
            open_files: Some(256),
        };
        let compile = Limits {
            cpu: Some(Duration::from_secs(20)),
            wall: Some(Duration::from_secs(40)),
            memory: Some(1024 * MIB),
            file_size: Some(128 * MIB),
            processes: Some(256),
            disk: Some(256 * MIB),
            output: Some(MIB),
            open_files: Some(1024),
            ..run.clone()
        };
        let most = Limits {
            cpu: Some(Duration::from_secs(60)),
            extra_cpu: Some(Duration::from_secs(60)),
            wall: Some(Duration::from_secs(120)),
            idle: Some(Duration::from_secs(120)),
            memory: Some(4096 * MIB),
            address_space: None,
            stack: Some(4096 * MIB),
            file_size: Some(1024 * MIB),
            processes: Some(4096),
            disk: Some(1024 * MIB),
            inodes: Some(100_000),
            output: Some(64 * MIB),
            open_files: Some(4096),
        };
        LimitSettings { compile, run, most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_limit_wins() {
        let mine = Limits { memory: Some(1), ..Limits::default() };
        let base = Limits { memory: Some(2), processes: Some(3), ..Limits::default() };
        assert_eq!(mine.over(&base), Limits { memory: Some(1), processes: Some(3), ..Limits::default() });
    }

    #[test]
    fn what_is_beyond_is_named_and_capped() {
        let settings = LimitSettings::default();
        let asked = Limits { memory: Some(u64::MAX), cpu: Some(Duration::from_secs(1)), ..Limits::default() };
        assert_eq!(asked.beyond(&settings.most), ["memory"]);
        assert_eq!(asked.capped(&settings.most).memory, settings.most.memory);
    }

    #[test]
    fn the_defaults_are_within_the_most() {
        let settings = LimitSettings::default();
        assert_eq!(settings.run.beyond(&settings.most), Vec::<&str>::new());
        assert_eq!(settings.compile.beyond(&settings.most), Vec::<&str>::new());
    }
}
