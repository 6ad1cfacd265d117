//! Whether the current directory is shown.
//!
//! A command started in a project should find the project. But the same rule, followed blindly, would show a whole home (ssh keys, tokens,
//! browser profiles) to code nobody trusts, only because that is where the shell happened to stand. So some directories are shown only when
//! they are asked for by name, and the user is told.

use std::path::{Path, PathBuf};

use super::environment::Variables;
use super::request::Request;

/// Directories that many owners or services share: shown only by name. What lies below them is shown.
const SHARED: [&str; 9] = ["/", "/home", "/media", "/mnt", "/opt", "/tmp", "/var", "/var/lib", "/var/tmp"];

/// Trees the kernel or the administrator speaks through: nothing below them is shown.
const SYSTEM: [&str; 7] = ["/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/var/run"];

/// Fills in [`current_directory`](enclos_spec::Policy::current_directory) and, where the directory is shown some other way, `workdir`.
pub fn decide(request: &mut Request, variables: &Variables) {
    let Some(directory) = request.anchor.directory().map(PathBuf::from) else { return };
    let policy = &mut request.policy;
    let given = policy.ro.iter().chain(&policy.rw).chain(policy.overlay.iter().map(|layered| &layered.path));
    if given.into_iter().any(|tree| directory.starts_with(tree)) {
        // Shown already, with the access the user chose; binding it once more would cover that.
        policy.workdir.get_or_insert(directory);
        return;
    }
    if policy.current_directory.is_some() || !request.show_directory {
        return;
    }
    let covered = policy.tmpfs.iter().chain(&policy.hide).any(|tree| directory.starts_with(tree));
    let why = if covered {
        return;
    } else if policy.root.is_some() {
        Some("--root gives another file system".to_owned())
    } else {
        let home = variables.get("HOME").map(Path::new).filter(|home| home.is_absolute());
        why_not(&directory, home)
    };
    match why {
        None => policy.current_directory = Some(directory),
        Some(why) => {
            request.notes.push(format!("the current directory {} is not shown: {why}; --ro . shows it", directory.display()));
        }
    }
}

/// Why `directory` is not shown by itself; `None`: it is.
fn why_not(directory: &Path, home: Option<&Path>) -> Option<String> {
    if let Some(tree) = SYSTEM.iter().find(|tree| directory.starts_with(tree)) {
        return Some(format!("it is in {tree}"));
    }
    if SHARED.iter().any(|shared| directory == Path::new(shared)) {
        return Some("it holds what belongs to others".to_owned());
    }
    // Every home counts, not only the caller's: under sudo, HOME is root's while the directory is somebody else's.
    let below_home = |home: &Path| directory.strip_prefix(home).ok().map(PathBuf::from);
    let someone = directory.strip_prefix("/home").ok().and_then(|rest| rest.components().next()).map(|name| Path::new("/home").join(name));
    for home in home.into_iter().chain([Path::new("/root")]).chain(someone.as_deref()) {
        if home.starts_with(directory) {
            return Some(if home == directory { "it is a home" } else { "it holds a home" }.to_owned());
        }
        let first = below_home(home).and_then(|rest| rest.components().next().map(|name| name.as_os_str().to_owned()));
        if first.is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            return Some("it is in a hidden directory of a home".to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::paths::Anchor;
    use super::*;

    #[test]
    fn a_project_is_shown() {
        for directory in
            ["/home/a/project", "/srv/project", "/srv", "/tmp/x", "/workspace", "/var/lib/ci/job", "/root/project", "/home/a/x/.hidden"]
        {
            assert_eq!(why_not(directory.as_ref(), Some("/home/a".as_ref())), None, "{directory}");
        }
    }

    #[test]
    fn what_would_show_too_much_is_not() {
        for (directory, why) in [
            ("/", "it holds what belongs to others"),
            ("/home", "it holds what belongs to others"),
            ("/home/a", "it is a home"),
            ("/home/b", "it is a home"),
            ("/root", "it is a home"),
            ("/srv/homes", "it holds a home"),
            ("/srv/homes/me", "it is a home"),
            ("/srv/homes/me/.ssh", "it is in a hidden directory of a home"),
            ("/home/b/.config/gh", "it is in a hidden directory of a home"),
            ("/root/.cache", "it is in a hidden directory of a home"),
            ("/etc/ssl", "it is in /etc"),
            ("/proc/self", "it is in /proc"),
            ("/run/user/0", "it is in /run"),
            ("/dev/shm/x", "it is in /dev"),
            ("/tmp", "it holds what belongs to others"),
            ("/var", "it holds what belongs to others"),
        ] {
            assert_eq!(why_not(directory.as_ref(), Some("/srv/homes/me".as_ref())).as_deref(), Some(why), "{directory}");
        }
    }

    fn decided(directory: &str, ask: impl FnOnce(&mut Request)) -> Request {
        let mut request = Request::new(Anchor::at(directory.into()));
        ask(&mut request);
        decide(&mut request, &Variables::of(&[("HOME", "/home/a")]));
        request
    }

    #[test]
    fn the_user_is_told_what_is_not_shown() {
        let request = decided("/home/a", |_| {});
        assert_eq!(request.policy.current_directory, None);
        assert_eq!(request.notes, ["the current directory /home/a is not shown: it is a home; --ro . shows it"]);
        let request = decided("/srv/x", |request| request.policy.root = Some("/image".into()));
        assert_eq!(request.notes, ["the current directory /srv/x is not shown: --root gives another file system; --ro . shows it"]);
    }

    #[test]
    fn the_access_the_user_chose_stands() {
        let request = decided("/home/a/x", |request| request.policy.rw.push("/home/a".into()));
        assert_eq!((request.policy.current_directory, request.policy.workdir), (None, Some("/home/a/x".into())));
        assert!(request.notes.is_empty());
        let request = decided("/srv/x", |request| request.policy.hide.push("/srv".into()));
        assert_eq!((request.policy.current_directory, request.policy.workdir), (None, None));
        let request = decided("/srv/x", |request| request.show_directory = false);
        assert_eq!((request.policy.current_directory, request.notes.len()), (None, 0));
        let request = decided("/srv/x", |_| {});
        assert_eq!(request.policy.current_directory, Some("/srv/x".into()));
    }
}
