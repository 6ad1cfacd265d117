//! Reading and writing the small files of a group, always relative to an open directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::path::Arg;

/// A handle on a directory: enough for `mkdirat`, `openat`, `unlinkat` and `CLONE_INTO_CGROUP`, and dearer rights are never taken.
pub(crate) fn open_dir(at: impl AsFd, path: impl Arg) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a file of the group for reading.
pub(crate) fn open_read(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a file of the group for writing.
pub(crate) fn open_write(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The whole content of a file of the group.
pub(crate) fn read(dir: impl AsFd, name: &str) -> Result<Vec<u8>, Errno> {
    read_all(open_read(dir, name)?.as_fd())
}

/// The whole content of an open file, from its start.
pub(crate) fn read_all(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut content = vec![0; 4096];
    let mut filled = 0;
    loop {
        match rustix::io::pread(fd, &mut content[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if filled == content.len() {
            content.resize(filled * 2, 0);
        }
    }
    content.truncate(filled);
    Ok(content)
}

/// Writes `value` to a file of the group in one call: kernfs takes each call as a whole request.
pub(crate) fn write(dir: impl AsFd, name: &str, value: &[u8]) -> Result<(), Errno> {
    let fd = open_write(dir, name)?;
    rustix::io::retry_on_intr(|| rustix::io::write(&fd, value)).map(drop)
}

/// The number that is the whole content (`max` is [`u64::MAX`], a negative one counts as 0: per-CPU counters may dip).
pub(crate) fn number(content: &[u8]) -> Option<u64> {
    match content.trim_ascii() {
        b"max" => Some(u64::MAX),
        [b'-', digits @ ..] => decimal(digits).map(|_| 0),
        digits => decimal(digits),
    }
}

/// The number after `key` in a flat keyed file (`key value` lines).
pub(crate) fn keyed(content: &[u8], key: &str) -> Option<u64> {
    content.split(|b| *b == b'\n').find_map(|line| number(line.strip_prefix(key.as_bytes())?.strip_prefix(b" ")?))
}

/// The numbers of a `cgroup.procs` file; 0, which stands for a process outside our pid namespace, is left out.
pub(crate) fn pids(content: &[u8]) -> Vec<u32> {
    content.split(|b| *b == b'\n').filter_map(|line| decimal(line).and_then(|n| u32::try_from(n).ok())).filter(|pid| *pid != 0).collect()
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, d| d.is_ascii_digit().then(|| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_match_whole_words_only() {
        let events = b"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(keyed(events, "oom"), Some(3));
        assert_eq!(keyed(events, "oom_kill"), Some(2));
        assert_eq!(keyed(events, "oom_"), None);
        assert_eq!(keyed(b"max max\n", "max"), Some(u64::MAX));
    }

    #[test]
    fn numbers_are_whole_or_none() {
        for (text, expected) in
            [("7\n", Some(7)), ("max\n", Some(u64::MAX)), ("-4\n", Some(0)), ("", None), ("7x", None), ("99999999999999999999", None)]
        {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(pids(b"1\n0\n\n42\nx\n"), [1, 42]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(content: Vec<u8>, key: String) {
            let _ = (number(&content), keyed(&content, &key), pids(&content));
        }
    }
}
