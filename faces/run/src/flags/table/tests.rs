//! What must hold for every record, and the texts made from them.

use std::collections::{BTreeMap, BTreeSet};

use enclos_spec::policy::{Binding, CpuList, Layered};
use enclos_spec::{Bound, Ids, Net, Policy, Seccomp, Size, Span, Switch};

use super::*;
use crate::expect;
use crate::flags::Flag;
use crate::flags::help;
use crate::flags::parse::Length;
use crate::text::Look;

/// A policy with every key set. Written out in full on purpose: a new key does not compile until it stands here, and then needs its flag.
fn everything() -> Policy {
    let (size, span) = (Some(Bound::At(Size(1))), Some(Bound::At(Span(std::time::Duration::from_secs(1)))));
    Policy {
        ro: vec!["/a".into()],
        rw: vec!["/a".into()],
        hide: vec!["/a".into()],
        tmpfs: vec!["/a".into()],
        bind: vec![Binding { src: "/a".into(), dst: "/b".into() }],
        root: Some("/a".into()),
        overlay: vec![Layered { path: "/a".into(), layer: None }],
        workdir: Some("/a".into()),
        current_directory: Some("/a".into()),
        env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        keep_env: vec!["A".to_owned()],
        hostname: Some("a".to_owned()),
        uid: Some(1),
        gid: Some(1),
        ids: Ids::Own,
        dev: vec!["/dev/kvm".into()],
        net: Net::Host,
        wall: span,
        idle: span,
        cpu: span,
        memory: size,
        disk: size,
        output: size,
        file_size: size,
        stack: size,
        processes: Some(Bound::At(1)),
        inodes: Some(Bound::At(1)),
        open_files: Some(Bound::At(1)),
        cpus: Some(CpuList(vec![0])),
        cpu_quota: Some(Bound::At(enclos_spec::CpuQuota(500))),
        cpu_shares: Some(512),
        tty: Some(true),
        stdin: Some("/a".into()),
        stdout: Some("/a".into()),
        stderr: Some("/a".into()),
        seccomp: Seccomp::None,
        landlock: Switch::Off,
        best_effort: true,
    }
}

#[test]
fn every_key_of_a_policy_is_a_flag_and_the_other_way_round() {
    let json = serde_json::to_value(everything()).unwrap();
    let keys: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut flags: BTreeSet<&str> = RUN.flags().filter_map(|flag| flag.key).collect();
    // The one key without a value on the command line: there, it is the current directory itself, or --no-cwd.
    flags.insert("current-directory");
    assert_eq!(keys, flags);
}

#[test]
fn the_flags_that_are_no_keys_are_those_the_help_names() {
    let without: Vec<&str> = RUN.flags().filter(|flag| flag.key.is_none()).map(|flag| flag.name).collect();
    assert_eq!(without, ["no-cwd", "no-tty", "policy", "report", "json", "explain"]);
}

#[test]
fn a_key_is_called_as_its_flag() {
    for flag in RUN.flags() {
        assert!(flag.key.is_none_or(|key| key == flag.name), "{}", flag.name);
    }
}

#[test]
fn the_words_of_a_record_are_in_order() {
    fn check<T>(command: &Command<T>) {
        let mut names = BTreeSet::new();
        for flag in command.flags() {
            let Flag { name, help, more, .. } = flag;
            assert!(names.insert(*name), "{name}: twice");
            assert!(!help.is_empty() && !help.ends_with('.') && help.len() <= 80, "{name}: {help}");
            assert!(more.is_empty() || more.ends_with('.'), "{name}: {more}");
            assert!(!more.contains("  ") && !help.contains("  "), "{name}: a line break went wrong");
        }
        for text in command.about.iter().copied().chain(command.groups.iter().map(|group| group.about)) {
            assert!(!text.contains("  "), "{text}: a line break went wrong");
        }
    }
    check(&RUN);
    check(&DOCTOR);
}

#[test]
fn the_help_is_as_kept() {
    expect::file("src/snapshots/run-h.txt", &help::render(&RUN, Length::Short, Look::PLAIN));
    expect::file("src/snapshots/run-help.txt", &help::render(&RUN, Length::Long, Look::PLAIN));
    expect::file("src/snapshots/doctor-help.txt", &help::render(&DOCTOR, Length::Long, Look::PLAIN));
    expect::file("src/snapshots/help.txt", &crate::commands::help(Look::PLAIN));
}

#[test]
fn the_generated_documents_are_as_kept() {
    for (name, page) in crate::man::pages() {
        expect::file(&format!("../../docs/generated/{name}"), &page);
    }
    for (name, script) in crate::completions::SHELLS.iter().flat_map(|shell| [shell.own, shell.bwrap]) {
        expect::file(&format!("../../docs/generated/{name}"), &script());
    }
}

#[test]
fn the_tables_of_the_guide_are_as_kept() {
    expect::parts("../../docs/guide/run.md", |name| RUN.groups.iter().find(|group| group.title == name).map(help::markdown));
}
