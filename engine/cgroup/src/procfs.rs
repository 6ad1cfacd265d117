//! Reads `/proc/self/mountinfo` and `/proc/self/cgroup` (`proc_pid_mountinfo(5)`, `cgroups(7)`).
//!
//! Both are bytes, not text: a mount point may hold anything but NUL.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::ControllerSet;

/// Which hierarchy something belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// A v1 hierarchy with these controllers of ours (a `name=` hierarchy has none).
    V1(ControllerSet),
    /// The v2 tree.
    V2,
}

/// One mount of a cgroup file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub flavor: Flavor,
    /// Which group is the root of the mount, seen from our cgroup namespace: `/`, `/docker/1`, `/../..`.
    pub root: Vec<u8>,
    pub point: PathBuf,
    pub read_only: bool,
}

/// One line of `/proc/self/cgroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub flavor: Flavor,
    /// Our group, seen from our cgroup namespace.
    pub path: Vec<u8>,
}

/// The cgroup mounts among the lines of a mountinfo file; lines that do not read as one are passed over.
pub(crate) fn cgroup_mounts(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n').filter_map(cgroup_mount).collect()
}

fn cgroup_mount(line: &[u8]) -> Option<Mount> {
    // id parent major:minor root point options [tag…] - type source super-options
    let mut fields = line.split(|b| *b == b' ');
    let (root, point, options) = (fields.nth(3)?, fields.next()?, fields.next()?);
    fields.by_ref().find(|field| *field == b"-")?;
    let (kind, _source, super_options) = (fields.next()?, fields.next()?, fields.next()?);
    let flavor = match kind {
        b"cgroup2" => Flavor::V2,
        b"cgroup" => Flavor::V1(ControllerSet::from_v1(super_options)),
        _ => return None,
    };
    let read_only = [options, super_options].iter().any(|list| list.split(|b| *b == b',').any(|option| option == b"ro"));
    Some(Mount { flavor, root: unescape(root), point: PathBuf::from(OsString::from_vec(unescape(point))), read_only })
}

/// Our groups, from the lines of a `/proc/PID/cgroup` file; lines that do not read as one are passed over.
pub(crate) fn memberships(text: &[u8]) -> Vec<Membership> {
    text.split(|b| *b == b'\n').filter_map(membership).collect()
}

fn membership(line: &[u8]) -> Option<Membership> {
    // hierarchy:controllers:path; the path may hold colons, and is never escaped.
    let mut fields = line.splitn(3, |b| *b == b':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let flavor = if id == b"0" && controllers.is_empty() { Flavor::V2 } else { Flavor::V1(ControllerSet::from_v1(controllers)) };
    path.starts_with(b"/").then(|| Membership { flavor, path: path.to_vec() })
}

/// Undoes the kernel's `\ooo` escapes (space, tab, newline, backslash, `#`). A backslash that starts no escape stands for itself.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if first == b'\\' => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

/// The path of group `own` inside a mount whose root is group `root`; `None` when it is not inside, or cannot be named from here.
///
/// Both are as seen from one cgroup namespace, where a group outside it reads `/..` (its parent), `/../sibling`, `/../..`. The kernel
/// writes such steps only in front, so a comparison by components is exact.
pub(crate) fn below(root: &[u8], own: &[u8]) -> Option<PathBuf> {
    let mut own = components(own);
    for step in components(root) {
        if own.next() != Some(step) {
            return None;
        }
    }
    let mut path = PathBuf::new();
    for step in own {
        if step == b".." || step == b"." {
            return None;
        }
        path.push(OsString::from_vec(step.to_vec()));
    }
    Some(path)
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|step| !step.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_undone_and_other_backslashes_kept() {
        assert_eq!(unescape(br"/a\040b\011c\012d\134e\043f"), b"/a b\tc\nd\\e#f");
        assert_eq!(unescape(br"/a\4z\\040\777\04"), b"/a\\4z\\ \\777\\04");
        assert_eq!(unescape(br"\303\244"), "ä".as_bytes());
    }

    #[test]
    fn a_line_is_read_with_tags_escapes_and_read_only_on_either_side() {
        let line = br"41 31 0:38 /docker/a\040b /mnt/x\040y ro,nosuid shared:9 master:1 - cgroup2 none rw,nsdelegate";
        let mount = cgroup_mount(line).unwrap();
        assert_eq!(
            (mount.flavor, mount.root, mount.point, mount.read_only),
            (Flavor::V2, b"/docker/a b".to_vec(), "/mnt/x y".into(), true)
        );
        assert!(cgroup_mount(b"32 31 0:29 / /m rw - cgroup cgroup ro,cpu").unwrap().read_only);
        assert!(cgroup_mount(b"32 31 0:29 / /m rw - ext4 /dev/ro rw").is_none());
        assert!(cgroup_mount(b"32 31 0:29 / /m rw - cgroup2").is_none(), "a torn line is passed over");
    }

    #[test]
    fn our_group_is_found_below_the_root_of_a_mount() {
        let cases: [(&str, &str, Option<&str>); 9] = [
            ("/", "/", Some("")),
            ("/", "/user.slice/a:b", Some("user.slice/a:b")),
            ("/docker/1", "/docker/1", Some("")),
            ("/docker/1", "/docker/1/x", Some("x")),
            ("/docker/1", "/docker/12", None),
            ("/docker/1", "/", None),
            ("/..", "/", None),
            ("/..", "/../sibling", Some("sibling")),
            ("/", "/../outside", None),
        ];
        for (root, own, expected) in cases {
            assert_eq!(below(root.as_bytes(), own.as_bytes()).as_deref(), expected.map(Path::new), "{own} in {root}");
        }
    }

    #[test]
    fn memberships_keep_colons_and_odd_names() {
        let found = memberships(b"4:memory:/a:b c\n1:name=systemd:/\n0::/init.scope\nnonsense\n3:cpu,cpuacct:relative\n");
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].path, b"/a:b c");
        assert_eq!(found[1].flavor, Flavor::V1(ControllerSet::NONE));
        assert_eq!(found[2], Membership { flavor: Flavor::V2, path: b"/init.scope".to_vec() });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..400), root: Vec<u8>, own: Vec<u8>) {
            let _ = cgroup_mounts(&text);
            let _ = memberships(&text);
            let _ = below(&root, &own);
        }

        #[test]
        fn no_almost_right_line_panics(fields in proptest::collection::vec("[-0-9:/a-z\\\\., ]{0,9}", 0..14)) {
            let line = fields.join(" ") + " - cgroup x rw,memory\n0::/" + &fields.concat();
            let _ = cgroup_mounts(line.as_bytes());
            let _ = memberships(line.as_bytes());
        }

        #[test]
        fn what_the_kernel_escapes_comes_back(name: Vec<u8>) {
            let escaped: Vec<u8> = name.iter().flat_map(|b| match b {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{b:03o}").into_bytes(),
                other => vec![*other],
            }).collect();
            prop_assert_eq!(unescape(&escaped), name);
        }
    }
}
