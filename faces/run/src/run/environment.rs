//! Which variables of the caller the command gets. The engine reads no environment; this face does, here and nowhere else.

use std::ffi::{OsStr, OsString};

use enclos_spec::Policy;

/// Variables that pass on their own: what a program needs to write text and times as the user reads them. Beside them, every `LC_*`.
const PASSED: [&str; 3] = ["LANG", "TERM", "TZ"];

/// The caller's variables.
pub struct Variables(Vec<(OsString, OsString)>);

impl Variables {
    /// This process's.
    pub fn current() -> Self {
        Variables(std::env::vars_os().collect())
    }

    /// These.
    #[cfg(test)]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Variables(pairs.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }
}

/// Puts the variables that pass into [`Policy::env`]; one that is already there stays as it is.
///
/// # Errors
/// A variable the user named that is not UTF-8.
pub fn resolve(policy: &mut Policy, variables: &Variables) -> Result<(), String> {
    for name in &policy.keep_env {
        if let Some(value) = variables.get(name)
            && !policy.env.contains_key(name)
        {
            let value = value.to_str().ok_or_else(|| format!("--keep-env: {name} is {value:?}, which is not UTF-8"))?;
            policy.env.insert(name.clone(), value.to_owned());
        }
    }
    for (name, value) in &variables.0 {
        // One that is not text cannot name a locale or a terminal: a program would fall back on its default, as without it.
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if (PASSED.contains(&name) || name.starts_with("LC_")) && !policy.env.contains_key(name) {
            policy.env.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_kept_variable_that_is_no_text_is_refused() {
        let variables = Variables(vec![("A".into(), OsString::from_vec(vec![0xff])), ("TERM".into(), OsString::from_vec(vec![0xff]))]);
        let mut policy = Policy { keep_env: vec!["A".into(), "UNSET".into()], ..Policy::default() };
        assert_eq!(resolve(&mut policy, &variables).unwrap_err(), "--keep-env: A is \"\\xFF\", which is not UTF-8");
        policy.keep_env.clear();
        assert_eq!(resolve(&mut policy, &variables), Ok(()));
        assert!(policy.env.is_empty());
    }

    #[test]
    fn locale_and_terminal_pass() {
        let mut policy = Policy::default();
        let variables =
            Variables::of(&[("LC_ALL", "C.UTF-8"), ("LANG", "C"), ("TZ", "UTC"), ("LCX", "no"), ("PATH", "/no"), ("HOME", "/no")]);
        resolve(&mut policy, &variables).unwrap();
        assert_eq!(policy.env.keys().collect::<Vec<_>>(), ["LANG", "LC_ALL", "TZ"]);
    }
}
