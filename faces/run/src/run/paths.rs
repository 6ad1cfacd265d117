//! Paths as people write them, made absolute.

use std::path::{Component, Path, PathBuf};

use enclos_spec::{Policy, Seccomp};

/// The directory that relative paths start from: the caller's for flags, the policy file's own for what stands in it.
#[derive(Clone, Debug, Default)]
pub struct Anchor {
    directory: Option<PathBuf>,
}

impl Anchor {
    /// Starts from the current directory; where there is none (it was removed), only absolute paths are taken.
    pub fn current() -> Self {
        Anchor { directory: std::env::current_dir().ok() }
    }

    /// Starts from `directory`, which is absolute.
    pub fn at(directory: PathBuf) -> Self {
        Anchor { directory: Some(directory) }
    }

    /// The directory itself.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// `path` from the root on, without `.` and `..`.
    ///
    /// `..` is resolved as the kernel would, through symbolic links; so what stands before it must exist.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn absolute(&self, path: &Path) -> Result<PathBuf, String> {
        if path.as_os_str().is_empty() {
            return Err("the path is empty: write a path".to_owned());
        }
        let mut whole = match (&self.directory, path.is_absolute()) {
            (_, true) => PathBuf::from("/"),
            (Some(directory), false) => directory.clone(),
            (None, false) => return Err(format!("{path:?} is relative, and the current directory is gone: write an absolute path")),
        };
        for component in path.components() {
            match component {
                Component::Normal(name) => whole.push(name),
                Component::ParentDir => {
                    whole = whole.canonicalize().map_err(|error| format!("{path:?} leads through {whole:?}: {}", reason(&error)))?;
                    whole.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(whole)
    }

    /// Makes every path of a policy absolute. [`Binding`](enclos_spec::policy::Binding) and [`Layered`](enclos_spec::policy::Layered) hold
    /// absolute ones by construction.
    ///
    /// # Errors
    /// The key, and what is wrong with the path.
    pub fn policy(&self, policy: &mut Policy) -> Result<(), String> {
        let lists = [
            ("ro", &mut policy.ro),
            ("rw", &mut policy.rw),
            ("hide", &mut policy.hide),
            ("tmpfs", &mut policy.tmpfs),
            ("dev", &mut policy.dev),
        ];
        let singles = [
            ("root", &mut policy.root),
            ("workdir", &mut policy.workdir),
            ("current-directory", &mut policy.current_directory),
            ("stdin", &mut policy.stdin),
            ("stdout", &mut policy.stdout),
            ("stderr", &mut policy.stderr),
        ];
        let seccomp = match &mut policy.seccomp {
            Seccomp::File(path) => Some(("seccomp", path)),
            _ => None,
        };
        let all = lists.into_iter().flat_map(|(key, paths)| paths.iter_mut().map(move |path| (key, path)));
        for (key, path) in all.chain(singles.into_iter().filter_map(|(key, path)| Some((key, path.as_mut()?)))).chain(seccomp) {
            *path = self.absolute(path).map_err(|wrong| format!("{key}: {wrong}"))?;
        }
        Ok(())
    }
}

/// What the kernel said, without Rust's `(os error 2)`.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_from_the_anchor() {
        let anchor = Anchor::at("/usr".into());
        for (path, whole) in
            [("bin", "/usr/bin"), (".", "/usr"), ("./a/./b/", "/usr/a/b"), ("/etc//x/.", "/etc/x"), ("..", "/"), ("../etc", "/etc")]
        {
            assert_eq!(anchor.absolute(path.as_ref()), Ok(whole.into()), "{path}");
        }
    }

    #[test]
    fn dot_dot_follows_links_as_the_kernel_does() {
        let base = std::env::temp_dir().join(format!("enclos-paths-{}", std::process::id()));
        std::fs::create_dir_all(base.join("far/away")).unwrap();
        std::os::unix::fs::symlink(base.join("far/away"), base.join("link")).unwrap();
        let seen = Anchor::at(base.clone()).absolute("link/../x".as_ref());
        let whole = base.canonicalize().unwrap().join("far/x");
        std::fs::remove_dir_all(&base).unwrap();
        assert_eq!(seen, Ok(whole));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let wrong = Anchor::at("/".into()).absolute("/no/such/../x".as_ref()).unwrap_err();
        assert_eq!(wrong, "\"/no/such/../x\" leads through \"/no/such\": No such file or directory");
        assert_eq!(
            Anchor::default().absolute("x".as_ref()).unwrap_err(),
            "\"x\" is relative, and the current directory is gone: write an absolute path"
        );
        assert_eq!(Anchor::current().absolute("".as_ref()).unwrap_err(), "the path is empty: write a path");
    }

    #[test]
    fn a_policy_file_means_its_own_directory() {
        let mut policy = Policy::from_toml(
            "ro = [\"data\"]\nhide = [\"/secret\"]\nroot = \"tree\"\nworkdir = \"/w\"\nstdout = \"out\"\nseccomp = \"./filter\"\n",
        )
        .unwrap();
        Anchor::at("/srv/job".into()).policy(&mut policy).unwrap();
        assert_eq!(policy.ro, [PathBuf::from("/srv/job/data")]);
        assert_eq!(policy.hide, [PathBuf::from("/secret")]);
        assert_eq!(policy.root, Some("/srv/job/tree".into()));
        assert_eq!(policy.workdir, Some("/w".into()));
        assert_eq!(policy.stdout, Some("/srv/job/out".into()));
        assert_eq!(policy.seccomp, Seccomp::File("/srv/job/filter".into()));
    }
}
