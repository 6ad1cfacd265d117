//! `--enclos-limits KEY=VALUE`: limits of ours on top of bubblewrap's command line, named and written as in a policy of `enclos run`.

use std::ffi::OsStr;
use std::str::FromStr;

use enclos_spec::Policy;
use enclos_spec::policy::edit_distance;

use super::command_line::CommandLine;

/// The keys that make sense here. The others of a policy say what the sandbox sees, which here the command line says alone, or need a stream or a
/// file system of ours, which here is the caller's.
pub const KEYS: &[&str] = &["wall", "idle", "cpu", "memory", "processes", "file-size", "stack", "open-files", "cpus"];

/// Splits and checks one limit.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn split(text: &OsStr) -> Result<(String, String), String> {
    let text = text.to_str().ok_or_else(|| format!("{} is not text", text.display()))?;
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE, e.g. memory=64M"))?;
    set(&mut Policy::default(), key, value)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// The limits as a policy that says nothing else.
///
/// # Errors
/// As [`split`].
pub fn policy(limits: &[(String, String)]) -> Result<Policy, String> {
    let mut policy = Policy::default();
    for (key, value) in limits {
        set(&mut policy, key, value)?;
    }
    Ok(policy)
}

/// Limits that somebody must watch, or that hold for all processes together. The others are bounds of each process, which the kernel holds.
const WATCHED: &[&str] = &["wall", "idle", "cpu", "memory", "processes"];

/// The first of the limits that somebody must watch.
#[must_use]
pub fn watched(limits: &[(String, String)]) -> Option<&str> {
    limits.iter().map(|(key, _)| key.as_str()).find(|key| WATCHED.contains(key))
}

/// Refuses limits that could not be held: what is ended must be the whole sandbox, and only a pid namespace with our process in it can be ended as a whole.
///
/// # Errors
/// The limit and the option that it needs or that forbids it.
pub fn check(line: &CommandLine) -> Result<(), String> {
    let Some(key) = watched(&line.limits) else { return Ok(()) };
    if !line.unshare.pid {
        return Err(format!("--enclos-limits: {key} requires --unshare-pid"));
    }
    if line.as_pid_1 {
        return Err(format!("--enclos-limits: {key} is not compatible with --as-pid-1"));
    }
    Ok(())
}

fn set(policy: &mut Policy, key: &str, value: &str) -> Result<(), String> {
    match key {
        "wall" => policy.wall = Some(read(key, value)?),
        "idle" => policy.idle = Some(read(key, value)?),
        "cpu" => policy.cpu = Some(read(key, value)?),
        "memory" => policy.memory = Some(read(key, value)?),
        "processes" => policy.processes = Some(read(key, value)?),
        "file-size" => policy.file_size = Some(read(key, value)?),
        "stack" => policy.stack = Some(read(key, value)?),
        "open-files" => policy.open_files = Some(read(key, value)?),
        "cpus" => policy.cpus = Some(read(key, value)?),
        _ => {
            let nearest = KEYS.iter().min_by_key(|known| edit_distance(key, known)).unwrap_or(&"memory");
            return Err(format!("{key:?} is not one of {}: did you mean {nearest}?", KEYS.join(", ")));
        }
    }
    Ok(())
}

fn read<T: FromStr<Err: std::fmt::Display>>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{key}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_taken() {
        for key in KEYS {
            let value = if *key == "cpus" { "0" } else { "2" };
            split(OsStr::new(&format!("{key}={value}"))).unwrap();
        }
    }

    #[test]
    fn what_is_watched_needs_all_of_the_sandbox() {
        let checked = |limit: &str, unshare_pid, as_pid_1| {
            let mut line = CommandLine { limits: vec![split(OsStr::new(limit)).unwrap()], as_pid_1, ..CommandLine::default() };
            line.unshare.pid = unshare_pid;
            check(&line)
        };
        for key in WATCHED {
            let limit = format!("{key}=2M").replace(if *key == "memory" { " " } else { "M" }, "");
            assert_eq!(checked(&limit, false, false).unwrap_err(), format!("--enclos-limits: {key} requires --unshare-pid"));
            assert_eq!(checked(&limit, true, true).unwrap_err(), format!("--enclos-limits: {key} is not compatible with --as-pid-1"));
            checked(&limit, true, false).unwrap();
        }
        checked("open-files=64", false, false).unwrap();
        checked("cpus=0", true, true).unwrap();
    }

    #[test]
    fn a_wrong_limit_says_what_would_be_right() {
        assert_eq!(split(OsStr::new("memory")).unwrap_err(), "\"memory\" is not KEY=VALUE, e.g. memory=64M");
        assert!(split(OsStr::new("memry=1")).unwrap_err().ends_with("did you mean memory?"));
        assert!(split(OsStr::new("memory=much")).unwrap_err().starts_with("memory: \"much\" is not a size"));
        assert!(split(OsStr::new("net=host")).is_err(), "the network is the command line's business");
    }
}
