//! The keys of `[judge]`.

use std::path::PathBuf;

use enclos_host::settings::{Kind, Setting, Settings as Configuration};

use crate::Settings;
use crate::api::{LimitSettings, Limits};

/// What `[judge]` itself holds.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "judge.languages",
        kind: Kind::Path,
        default: "",
        help: "A directory of language files (`*.toml`). A file there with the name of a built-in language replaces it.",
    },
    Setting {
        key: "judge.cache",
        kind: Kind::Size,
        default: "\"256M\"",
        help: "How much of compiled programs is kept in memory, so that the same source is not compiled again. 0: nothing.",
    },
    Setting { key: "judge.answer", kind: Kind::Size, default: "\"64M\"", help: "Output and files that one answer may hold." },
    Setting {
        key: "judge.parallel",
        kind: Kind::Count(1, 10_000),
        default: "",
        help: "Sandboxes that run at once. Without it: as many as `cpus` of each leave room for.",
    },
    Setting {
        key: "judge.cpus",
        kind: Kind::Count(0, 1024),
        default: "1",
        help: "Processors of each sandbox, which no other of the judge uses unless `parallel` asks for more than there are: the time a program takes then does not hang on what is judged beside it. \
               Nobody inside can change them. 0: all, for whoever wants them.",
    },
    Setting {
        key: "judge.templates",
        kind: Kind::Count(1, 1000),
        default: "24",
        help: "Policies (a language with its limits) for which warm sandboxes are kept.",
    },
    Setting {
        key: "judge.cpu-shares",
        kind: Kind::Count(0, 262_144),
        default: "256",
        help: "Weight of each sandbox, whatever runs in it, where processors are short; others, the server among them, have 1024. With less the server answers sooner; \
               with more jobs take less long beside other work of this machine. \
               Held where the server may use the `cpu` controller. 0: none of its own.",
    },
    Setting {
        key: "judge.best-effort",
        kind: Kind::Flag,
        default: "false",
        help: "Weaken what this host cannot hold, and say so in each report; without it such jobs are refused by name (`enclos doctor` tells).",
    },
];

const SPAN: [&str; 4] = ["cpu", "extra-cpu", "wall", "idle"];

/// Records of the limits of one step: the key, its default, what it is. An empty default is no limit, or none but another's.
macro_rules! limits {
    ($section:literal, $($name:literal = $default:literal: $kind:ident $help:literal),+ $(,)?) => {
        &[$(Setting {
            key: concat!("judge.limits.", $section, ".", $name),
            kind: limits!(kind $kind),
            default: $default,
            help: $help,
        }),+]
    };
    (kind Count) => { Kind::Count(1, u64::MAX) };
    (kind $kind:ident) => { Kind::$kind };
}

/// Limits of running, where neither the language nor the job says otherwise.
pub const RUN_LIMITS: &[Setting] = limits!(
    "run",
    "cpu" = "\"5s\"": Span "CPU time of all its processes together.",
    "wall" = "\"15s\"": Span "Wall clock.",
    "idle" = "": Span "Longest time in which it neither computes nor prints.",
    "memory" = "\"512M\"": Size "Memory of all its processes, and of what it writes.",
    "address-space" = "": Size "Address space of each process.",
    "stack" = "\"256M\"": Size "Stack of each process.",
    "file-size" = "\"64M\"": Size "Its largest file.",
    "processes" = "64": Count "Processes and threads at once.",
    "disk" = "\"128M\"": Size "Everything it writes.",
    "inodes" = "10000": Count "Files and directories it makes.",
    "output" = "\"16M\"": Size "Standard output, and standard error.",
    "open-files" = "256": Count "Open files of each process.",
);

/// Limits of compiling.
pub const COMPILE_LIMITS: &[Setting] = limits!(
    "compile",
    "cpu" = "\"20s\"": Span "As for running; so for all that follow.",
    "wall" = "\"40s\"": Span "See `[judge.limits.run]`.",
    "idle" = "": Span "See `[judge.limits.run]`.",
    "memory" = "\"1G\"": Size "See `[judge.limits.run]`.",
    "address-space" = "": Size "See `[judge.limits.run]`.",
    "stack" = "\"256M\"": Size "See `[judge.limits.run]`.",
    "file-size" = "\"128M\"": Size "See `[judge.limits.run]`.",
    "processes" = "256": Count "See `[judge.limits.run]`.",
    "disk" = "\"256M\"": Size "See `[judge.limits.run]`.",
    "inodes" = "10000": Count "See `[judge.limits.run]`.",
    "output" = "\"1M\"": Size "See `[judge.limits.run]`.",
    "open-files" = "1024": Count "See `[judge.limits.run]`.",
);

/// The greatest limits that a job may ask for.
pub const MOST_LIMITS: &[Setting] = limits!(
    "most",
    "cpu" = "\"60s\"": Span "The greatest that a job may ask for; so for all that follow. Without one: anything.",
    "extra-cpu" = "\"60s\"": Span "CPU time after which it is killed, where that is more than the limit by which it is judged (camisole's `extra-time`).",
    "wall" = "\"120s\"": Span "See `[judge.limits.run]`.",
    "idle" = "\"120s\"": Span "See `[judge.limits.run]`.",
    "memory" = "\"4G\"": Size "See `[judge.limits.run]`.",
    "address-space" = "": Size "See `[judge.limits.run]`.",
    "stack" = "\"4G\"": Size "See `[judge.limits.run]`.",
    "file-size" = "\"1G\"": Size "See `[judge.limits.run]`.",
    "processes" = "4096": Count "See `[judge.limits.run]`.",
    "disk" = "\"1G\"": Size "See `[judge.limits.run]`.",
    "inodes" = "100000": Count "See `[judge.limits.run]`.",
    "output" = "\"64M\"": Size "See `[judge.limits.run]`.",
    "open-files" = "4096": Count "See `[judge.limits.run]`.",
);

/// All records of this face but those of its interfaces.
pub const GROUPS: [&[Setting]; 4] = [SETTINGS, RUN_LIMITS, COMPILE_LIMITS, MOST_LIMITS];

/// How a configuration, whose records include [`GROUPS`], sets the judge up.
#[must_use]
pub fn of(configuration: &Configuration) -> Settings {
    let number = |key: &str| configuration.count(key).and_then(|count| usize::try_from(count).ok());
    Settings {
        limits: LimitSettings {
            compile: limits(configuration, "compile"),
            run: limits(configuration, "run"),
            most: limits(configuration, "most"),
        },
        languages: configuration.text("judge.languages").map(PathBuf::from),
        cache: configuration.size("judge.cache").unwrap_or(0),
        answer: configuration.size("judge.answer").unwrap_or(0),
        parallel: number("judge.parallel"),
        templates: number("judge.templates").unwrap_or(1),
        cpus: number("judge.cpus").unwrap_or(0),
        cpu_shares: configuration.count("judge.cpu-shares").filter(|shares| *shares > 0),
        best_effort: configuration.flag("judge.best-effort"),
    }
}

fn limits(configuration: &Configuration, section: &str) -> Limits {
    let key = |name: &str| format!("judge.limits.{section}.{name}");
    let span = |name: &str| configuration.span(&key(name));
    let size = |name: &str| configuration.size(&key(name));
    let count = |name: &str| configuration.count(&key(name));
    Limits {
        cpu: span(SPAN[0]),
        extra_cpu: if section == "most" { span(SPAN[1]) } else { None },
        wall: span(SPAN[2]),
        idle: span(SPAN[3]),
        memory: size("memory"),
        address_space: size("address-space"),
        stack: size("stack"),
        file_size: size("file-size"),
        processes: count("processes"),
        disk: size("disk"),
        inodes: count("inodes"),
        output: size("output"),
        open_files: count("open-files"),
    }
}

/// Limits that contradict each other: one line each.
#[must_use]
pub fn faults(limits: &LimitSettings) -> Vec<String> {
    let beyond = |section: &str, own: &Limits| {
        let names = own.beyond(&limits.most).into_iter();
        names
            .map(|name| {
                let name = name.replace('_', "-");
                format!("judge.limits.{section}.{name}: greater than judge.limits.most.{name}: raise that one, or lower this one")
            })
            .collect::<Vec<_>>()
    };
    [beyond("run", &limits.run), beyond("compile", &limits.compile)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str) -> Configuration {
        Configuration::read(&GROUPS, file, &[]).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_judge() {
        let (ours, theirs) = (of(&read("")), Settings::default());
        assert_eq!(ours.limits, theirs.limits);
        assert_eq!(
            (ours.languages, ours.cache, ours.answer, ours.parallel, ours.cpus, ours.templates, ours.cpu_shares, ours.best_effort),
            (
                theirs.languages,
                theirs.cache,
                theirs.answer,
                theirs.parallel,
                theirs.cpus,
                theirs.templates,
                theirs.cpu_shares,
                theirs.best_effort
            )
        );
    }

    #[test]
    fn each_key_reaches_its_place() {
        let settings = of(&read(
            "[judge]\nlanguages = \"/x\"\ncache = 1\nparallel = 3\ncpus = 2\ncpu-shares = 0\nbest-effort = true\n[judge.limits.run]\ncpu = \"1s\"\nopen-files = 9\n\
             [judge.limits.compile]\nmemory = \"2M\"\n[judge.limits.most]\nextra-cpu = \"7s\"",
        ));
        assert_eq!((settings.languages, settings.cache, settings.parallel, settings.cpus), (Some("/x".into()), 1, Some(3), 2));
        assert_eq!((settings.limits.run.cpu.map(|span| span.as_secs()), settings.limits.run.open_files), (Some(1), Some(9)));
        assert_eq!(settings.limits.compile.memory, Some(2 << 20));
        assert_eq!(settings.limits.most.extra_cpu.map(|span| span.as_secs()), Some(7));
        assert!(settings.best_effort && settings.cpu_shares.is_none());
    }

    #[test]
    fn a_default_beyond_the_most_is_a_fault() {
        assert_eq!(faults(&LimitSettings::default()), Vec::<String>::new());
        let told = faults(&of(&read("[judge.limits.run]\nopen-files = 5000")).limits);
        let wanted = "judge.limits.run.open-files: greater than judge.limits.most.open-files: raise that one, or lower this one";
        assert_eq!(told, [wanted]);
    }
}
