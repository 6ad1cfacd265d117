//! `--enclos-limits KEY=VALUE`: limits of ours on top of bubblewrap's command line, named and written as in a policy of `enclos run`.

use std::ffi::OsStr;
use std::str::FromStr;

use enclos_spec::plan::{Plan, Resource, Rlimit};
use enclos_spec::policy::edit_distance;
use enclos_spec::{Bound, Policy};

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

/// Writes the limits that need nobody to watch them into a plan.
///
/// # Errors
/// The first limit that needs somebody who watches it: nothing is ever dropped.
pub fn apply(policy: &Policy, plan: &mut Plan) -> Result<(), String> {
    let watched = [
        ("wall", policy.wall.is_some()),
        ("idle", policy.idle.is_some()),
        ("cpu", policy.cpu.is_some()),
        ("memory", policy.memory.is_some()),
        ("processes", policy.processes.is_some()),
    ];
    if let Some((key, _)) = watched.iter().find(|(_, given)| *given) {
        return Err(format!("--enclos-limits: {key}: a sandbox made from bubblewrap's options is not watched; use enclos run"));
    }
    let sizes = [(Resource::FileSize, policy.file_size), (Resource::Stack, policy.stack)];
    let sizes = sizes.into_iter().filter_map(|(resource, bound)| Some((resource, bound?.value()?.bytes())));
    let files = policy.open_files.and_then(Bound::value).map(|value| (Resource::OpenFiles, value));
    plan.rlimits = sizes.chain(files).map(|(resource, value)| Rlimit { resource, value }).collect();
    plan.cpus = policy.cpus.as_ref().map(|list| list.0.clone()).unwrap_or_default();
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
    fn limits_reach_the_plan_or_are_refused() {
        let given = |texts: &[&str]| {
            let limits: Vec<_> = texts.iter().map(|text| split(OsStr::new(text)).unwrap()).collect();
            let mut plan = Plan::default();
            apply(&policy(&limits).unwrap(), &mut plan).map(|()| plan)
        };
        let plan = given(&["open-files=64", "file-size=1M", "cpus=0", "open-files=32"]).unwrap();
        let wanted = [(Resource::FileSize, 1 << 20), (Resource::OpenFiles, 32)].map(|(resource, value)| Rlimit { resource, value });
        assert_eq!(plan.rlimits, wanted);
        assert_eq!(plan.cpus, [0]);
        assert!(given(&["memory=64M"]).unwrap_err().starts_with("--enclos-limits: memory: "));
    }

    #[test]
    fn a_wrong_limit_says_what_would_be_right() {
        assert_eq!(split(OsStr::new("memory")).unwrap_err(), "\"memory\" is not KEY=VALUE, e.g. memory=64M");
        assert!(split(OsStr::new("memry=1")).unwrap_err().ends_with("did you mean memory?"));
        assert!(split(OsStr::new("memory=much")).unwrap_err().starts_with("memory: \"much\" is not a size"));
        assert!(split(OsStr::new("net=host")).is_err(), "the network is the command line's business");
    }
}
