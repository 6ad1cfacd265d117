//! Where state lies on this host.

use std::path::PathBuf;

/// Where state lies unless the configuration says so; absolute.
#[must_use]
pub fn directory(environment: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| environment(name).filter(|path| path.is_absolute());
    // systemd gives several, with colons; the first is ours.
    if let Some(given) = absolute("STATE_DIRECTORY") {
        return given.to_str().and_then(|text| text.split(':').next()).map(PathBuf::from);
    }
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/enclos".into());
    }
    let own = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    own.map(|directory| directory.join("enclos"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_where_the_system_says() {
        let with = |variables: &[(&str, &str)]| {
            let variables: Vec<(String, PathBuf)> = variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            directory(&|name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        assert_eq!(with(&[("STATE_DIRECTORY", "/a:/b"), ("HOME", "/h")]), Some("/a".into()));
        if rustix::process::geteuid().is_root() {
            assert_eq!(with(&[("HOME", "/h")]), Some("/var/lib/enclos".into()));
        } else {
            assert_eq!(with(&[("HOME", "/h")]), Some("/h/.local/state/enclos".into()));
            assert_eq!(with(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]), Some("/s/enclos".into()));
            assert_eq!(with(&[("HOME", "relative")]), None);
        }
    }
}
