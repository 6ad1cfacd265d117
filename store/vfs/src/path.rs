//! Paths inside a tree: one form for each place, and nothing that leads out.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A place in a tree: names joined by `/`, without a leading one; the top is empty. Bytes, as the kernel has them: upper and lower case, and
/// letters that only look alike, stay different, and what is not UTF-8 stays what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

/// A text that names no place in a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?}: {why}")]
pub struct PathError {
    /// The path, shortened.
    pub path: String,
    /// What is wrong.
    pub why: &'static str,
}

/// Longest path, in bytes (`PATH_MAX` without the zero byte).
const LONGEST: usize = 4095;

impl TreePath {
    /// The top of the tree.
    #[must_use]
    pub fn top() -> TreePath {
        TreePath::default()
    }

    /// Reads a path that somebody wrote. One slash or several, `.` and slashes at the ends make no difference; the first slash stands for the top.
    ///
    /// # Errors
    /// `..` (what it would mean depends on links), zero bytes, names over 255 and paths over 4095 bytes.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<TreePath, PathError> {
        let text = text.as_ref();
        let error = |why| PathError { path: String::from_utf8_lossy(text).chars().take(200).collect(), why };
        if text.len() > LONGEST {
            return Err(error("4095 bytes are the most"));
        }
        let mut path = TreePath::top();
        for name in text.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
            if name == b".." {
                return Err(error("`..` is not taken: write the path without it"));
            }
            enclos_cas::check_name(OsStr::from_bytes(name)).map_err(|e| error(e.why))?;
            path.push(OsStr::from_bytes(name));
        }
        Ok(path)
    }

    /// The place called `name` in this directory. `name` must be one that [`enclos_cas::check_name`] takes, as all names in a tree are.
    #[must_use]
    pub fn join(&self, name: &OsStr) -> TreePath {
        let mut path = self.clone();
        path.push(name);
        path
    }

    fn push(&mut self, name: &OsStr) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name.as_bytes());
    }

    /// Its names, from the top.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(OsStr::from_bytes)
    }

    /// Its last name; `None` for the top.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        self.names().next_back()
    }

    /// The directory it is in; `None` for the top.
    #[must_use]
    pub fn parent(&self) -> Option<TreePath> {
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        (!self.0.is_empty()).then(|| TreePath(self.0[..end].to_vec()))
    }

    /// Itself, then the directories above it up to and with the top.
    pub fn ancestors(&self) -> impl Iterator<Item = TreePath> {
        std::iter::successors(Some(self.clone()), TreePath::parent)
    }

    /// Whether it is `above` or below it.
    #[must_use]
    pub fn is_within(&self, above: &TreePath) -> bool {
        above.0.is_empty() || self == above || self.0.strip_prefix(&above.0[..]).is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// Whether it is the top.
    #[must_use]
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// As a path relative to the top.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// With the leading slash; what is not UTF-8 is replaced.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn one_form_for_each_place() {
        for text in ["docs/x", "/docs/x", "/docs//x", "./docs/./x/", "//docs/x/."] {
            assert_eq!(path(text), path("docs/x"), "{text}");
        }
        for text in ["", "/", "//", ".", "/./"] {
            assert!(path(text).is_top(), "{text}");
        }
        assert_eq!(path("a/b/c").ancestors().map(|p| p.to_string()).collect::<Vec<_>>(), ["/a/b/c", "/a/b", "/a", "/"]);
        assert!(path("a/b").is_within(&path("a")) && !path("ab").is_within(&path("a")) && path("a").is_within(&TreePath::top()));
    }

    #[test]
    fn what_only_looks_alike_stays_different() {
        let all =
            ["secret", "Secret", "s\u{435}cret", "secret\u{200b}", "se\u{301}cret", "s\u{e9}cret", "secret ", "secret.", "..secret", "..."];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(path(a) == path(b), i == j, "{a:?} {b:?}");
            }
        }
        assert_ne!(TreePath::parse(b"a\xff").unwrap(), TreePath::parse("a\u{fffd}").unwrap());
    }

    #[test]
    fn what_leads_out_or_cannot_be_is_refused() {
        for text in ["..", "../x", "a/../b", "/..", "a/..", "a\0b", &"x".repeat(256), &"x/".repeat(2048)] {
            assert!(TreePath::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_what_was_shown_changes_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = TreePath::parse(&bytes) {
                prop_assert_eq!(TreePath::parse(path.as_bytes()).unwrap(), path.clone());
                prop_assert!(path.names().all(|name| name != ".." && name != "." && !name.is_empty()));
                prop_assert_eq!(path.names().fold(TreePath::top(), |at, name| at.join(name)), path);
            }
        }
    }
}
