//! From a request to a call of the seam: what the types cannot say is checked here, and refused by field.

use std::collections::BTreeMap;

use enclos_sandbox::spec::policy::edit_distance;
use enclos_vfs::Rules;

use super::problem::Problem;
use super::wire;
use crate::api::{self, Preset};

type Built<T> = Result<T, Problem>;

fn preset(name: &str) -> Built<Preset> {
    if let Some(preset) = Preset::ALL.into_iter().find(|preset| preset.as_str() == name) {
        return Ok(preset);
    }
    let nearest = Preset::ALL.into_iter().min_by_key(|preset| edit_distance(name, preset.as_str())).map_or("", Preset::as_str);
    let shown: String = name.chars().take(100).collect();
    Err(Problem::invalid("preset", &format!("{shown:?} is no preset; did you mean {nearest:?}? There are {}", presets())))
}

fn presets() -> String {
    Preset::ALL.map(Preset::as_str).join(", ")
}

/// The rules of a preset with further ones; `None`: neither is given.
fn rules(named: Option<&str>, given: Option<Vec<wire::Rule>>) -> Built<Option<Vec<api::Rule>>> {
    if named.is_none() && given.is_none() {
        return Ok(None);
    }
    let mut rules = named.map(preset).transpose()?.map(Preset::rules).unwrap_or_default();
    for (index, rule) in given.unwrap_or_default().into_iter().enumerate() {
        let rule = api::Rule { pattern: rule.pattern, kind: rule.kind.into(), level: rule.level.into(), priority: rule.priority };
        // Looked at alone: the message names the rule as the client counted it.
        Rules::new(std::slice::from_ref(&rule)).map_err(|error| {
            let shown: String = rule.pattern.chars().take(100).collect();
            Problem::invalid(&format!("rules[{index}].pattern"), &format!("{shown:?}: {}", error.why))
        })?;
        rules.push(rule);
    }
    Ok(Some(rules))
}

fn needed() -> Problem {
    let message = format!("missing: without any rule nothing is shown; write rules, or a preset: {}", presets());
    Problem::invalid("rules", &message)
}

/// Other rules for a sandbox.
pub fn set_rules(given: wire::SetRules) -> Built<(Vec<api::Rule>, api::Endings)> {
    let rules = rules(given.preset.as_deref(), given.rules)?.ok_or_else(needed)?;
    Ok((rules, endings(given.end_processes)))
}

/// Whether a call may end what runs.
pub fn endings(allowed: bool) -> api::Endings {
    if allowed { api::Endings::Allow } else { api::Endings::Refuse }
}

fn resources(given: wire::Resources) -> api::Resources {
    api::Resources {
        memory_bytes: given.memory.map(|bytes| bytes.0),
        cpu_quota: given.cpu_quota,
        cpu_shares: given.cpu_shares,
        pids_limit: given.pids,
        disk_bytes: given.disk.map(|bytes| bytes.0),
        workspace_bytes: given.workspace.map(|bytes| bytes.0),
    }
}

/// A sandbox to make.
pub fn sandbox(given: wire::NewSandbox) -> Built<api::NewSandbox> {
    let rules = match (rules(given.preset.as_deref(), given.rules)?, &given.codebase_id) {
        (Some(rules), _) => rules,
        // There is nothing in it that could be hidden.
        (None, None) => Preset::FullAccess.rules(),
        (None, Some(_)) => return Err(needed()),
    };
    Ok(api::NewSandbox {
        codebase_id: given.codebase_id,
        version: given.version,
        rules,
        expires_in_ms: given.expires_in.map(|span| span.0),
        labels: given.labels,
        runtime: given.runtime.map(Into::into).unwrap_or_default(),
        image: given.image,
        resources: resources(given.resources),
        network: given.network.map(Into::into).unwrap_or_default(),
        env: given.env,
        shared: given.shared,
    })
}

/// A command to run.
pub fn exec(given: wire::ExecRequest) -> Built<api::Exec> {
    let (command, argv) = match (given.command, given.argv) {
        (Some(command), None) if command.is_empty() => return Err(Problem::invalid("command", "\"\" is no command: write a command line")),
        (Some(command), None) => (command, Vec::new()),
        (None, Some(argv)) if argv.first().is_none_or(String::is_empty) => {
            return Err(Problem::invalid("argv", "names no program: write its path or name first, then its arguments"));
        }
        (None, Some(argv)) => (String::new(), argv),
        (Some(_), Some(_)) => return Err(Problem::invalid("argv", "given together with command: write one of them")),
        (None, None) => {
            return Err(Problem::invalid("command", "missing: write a command line here, or a program and its arguments into argv"));
        }
    };
    Ok(api::Exec {
        command,
        argv,
        stdin: given.stdin.unwrap_or_default().0,
        env: given.env,
        workdir: given.workdir,
        timeout_ms: given.timeout.map(|span| span.0),
    })
}

/// A command to talk to, and the size of its terminal.
pub fn streamed(given: wire::StreamedExec) -> Built<(api::Exec, Option<(u16, u16)>)> {
    let terminal = given.terminal.map(|size| self::size("terminal", size)).transpose()?;
    let wire::StreamedExec { command, argv, env, workdir, timeout, .. } = given;
    Ok((exec(wire::ExecRequest { command, argv, stdin: None, env, workdir, timeout })?, terminal))
}

/// A sandbox to make for one command.
pub fn run(given: wire::RunRequest) -> Built<(api::NewSandbox, api::Exec)> {
    let new = wire::NewSandbox {
        codebase_id: given.codebase_id,
        version: given.version,
        preset: given.preset,
        rules: given.rules,
        expires_in: None,
        labels: given.labels,
        runtime: given.runtime,
        image: given.image,
        resources: given.resources,
        network: given.network,
        env: BTreeMap::new(),
        shared: false,
    };
    let wire::RunRequest { command, argv, stdin, env, workdir, timeout, .. } = given;
    Ok((sandbox(new)?, exec(wire::ExecRequest { command, argv, stdin, env, workdir, timeout })?))
}

/// A shell to start.
pub fn session(given: wire::NewSession) -> Built<api::NewSession> {
    let terminal = given.terminal.map(|size| self::size("terminal", size)).transpose()?;
    if given.argv.as_ref().is_some_and(|argv| argv.first().is_none_or(String::is_empty)) {
        return Err(Problem::invalid("argv", "names no program: write its path or name first, then its arguments"));
    }
    if given.argv.is_some() && terminal.is_none() {
        return Err(Problem::invalid("argv", "only a session with a terminal runs a program: write terminal, or leave it out"));
    }
    let argv = given.argv.unwrap_or_default();
    Ok(api::NewSession { shell: given.shell.unwrap_or_default(), argv, env: given.env, terminal, workdir: given.workdir })
}

/// Rows and columns, which are at least one.
pub fn size(field: &str, size: wire::Size) -> Built<(u16, u16)> {
    rows_and_cols(field, size.rows, size.cols)
}

/// The same of two numbers.
pub fn rows_and_cols(field: &str, rows: u16, cols: u16) -> Built<(u16, u16)> {
    if rows == 0 || cols == 0 {
        return Err(Problem::invalid(field, "rows and cols are numbers from 1 to 65535"));
    }
    Ok((rows, cols))
}
