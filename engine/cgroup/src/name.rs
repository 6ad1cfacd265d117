//! Names of groups: unique, used once, and telling who made them, so that a leftover is known as one.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// What every name of ours starts with.
pub(crate) const PREFIX: &str = "enclos-";

/// A process that made groups, known beyond the reuse of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Maker {
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start: u64,
    /// Inode of its pid namespace: a process id means nothing outside it.
    pub pid_namespace: u64,
}

impl Maker {
    /// The calling process.
    ///
    /// # Errors
    /// Whatever reading `/proc/self/stat` gives.
    pub fn current() -> std::io::Result<Maker> {
        static CURRENT: OnceLock<(u32, Maker)> = OnceLock::new();
        let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
        // A forked child inherits the cell, but is another maker.
        if let Some((of, maker)) = CURRENT.get()
            && *of == pid
        {
            return Ok(*maker);
        }
        let stat = crate::file::read(rustix::fs::CWD, "/proc/self/stat")?;
        let stat = Stat::parse(&stat).ok_or_else(|| std::io::Error::other("/proc/self/stat: not as in proc_pid_stat(5)"))?;
        let maker = Maker { pid: stat.pid, start: stat.start, pid_namespace: own_pid_namespace() };
        let _ = CURRENT.set((pid, maker));
        Ok(maker)
    }

    /// Whether that process still runs. In doubt (another pid namespace, a `/proc` that hides processes) the answer is yes.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        if self.pid_namespace != own_pid_namespace() {
            return true;
        }
        match crate::file::read(rustix::fs::CWD, &format!("/proc/{}/stat", self.pid)) {
            Ok(text) => Stat::parse(&text).is_none_or(|stat| stat.start == self.start && !stat.is_dead()),
            Err(_) => {
                let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
                pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
            }
        }
    }
}

/// The inode in the text `pid:[4026531836]` of the namespace link; 0 on a kernel without pid namespaces.
fn own_pid_namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = link.to_string_lossy();
    text.strip_prefix("pid:[").and_then(|rest| rest.strip_suffix(']')).and_then(|inode| inode.parse().ok()).unwrap_or(0)
}

/// The few fields of `proc_pid_stat(5)` we need.
struct Stat {
    pid: u32,
    state: u8,
    threads: i64,
    start: u64,
}

impl Stat {
    fn parse(text: &[u8]) -> Option<Stat> {
        let text = String::from_utf8_lossy(text);
        let pid = text.split(' ').next()?.parse().ok()?;
        // The second field, the command's name in parentheses, may hold anything, parentheses too.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        Some(Stat {
            pid,
            state: *fields.first()?.as_bytes().first()?,
            threads: fields.get(17)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    /// Dead, if not yet waited for. A process whose first thread has ended while others run also reads `Z`.
    fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }
}

/// The name of one group: `enclos-PID-START-PIDNS-N`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    maker: Maker,
    text: String,
}

impl Name {
    /// A name that was never used before.
    ///
    /// # Errors
    /// As for [`Maker::current`].
    pub fn fresh() -> std::io::Result<Name> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let maker = Maker::current()?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Ok(Name { maker, text: format!("{PREFIX}{}-{}-{}-{number}", maker.pid, maker.start, maker.pid_namespace) })
    }

    /// Reads a directory's name; `None` when it is no name of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Name> {
        let mut numbers = text.strip_prefix(PREFIX)?.split('-').map(|digits| {
            let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
            digits.parse::<u64>().ok().filter(|_| canonical)
        });
        let mut next = || numbers.next().flatten();
        let maker = Maker { pid: u32::try_from(next()?).ok()?, start: next()?, pid_namespace: next()? };
        next()?;
        numbers.next().is_none().then(|| Name { maker, text: text.to_owned() })
    }

    /// Who made the group.
    #[must_use]
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// The directory's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fresh_names_differ_and_read_back() {
        let (one, two) = (Name::fresh().unwrap(), Name::fresh().unwrap());
        assert_ne!(one, two);
        assert_eq!(Name::parse(one.as_str()), Some(one.clone()));
        assert_eq!(one.maker(), Maker::current().unwrap());
        assert_eq!(one.maker().pid, std::process::id());
    }

    #[test]
    fn other_names_are_not_ours() {
        for text in ["enclos", "enclos.0", "enclos-1-2-3", "enclos-1-2-3-4-5", "enclos-1-2-3-", "enclos-01-2-3-4", "enclos-+1-2-3-4", "x"] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_maker_is_alive_until_waited_for_or_even_only_ended() {
        let me = Maker::current().unwrap();
        assert!(me.is_alive());
        assert!(!Maker { start: me.start + 1, ..me }.is_alive(), "a recycled number protects nobody");
        assert!(Maker { pid_namespace: 1, pid: u32::MAX, ..me }.is_alive(), "what cannot be judged is left alone");

        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stat = std::fs::read(format!("/proc/{}/stat", child.id())).unwrap();
        let maker = Maker { pid: child.id(), start: Stat::parse(&stat).unwrap().start, ..me };
        assert!(maker.is_alive());
        child.kill().unwrap();
        rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
        assert!(!maker.is_alive(), "a zombie makes nothing any more");
        child.wait().unwrap();
        assert!(!maker.is_alive());
    }

    #[test]
    fn the_name_of_a_command_cannot_lead_us_astray() {
        let text = b"42 (a) Z 1 (b)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 777 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.pid, stat.state, stat.threads, stat.start), (42, b'S', 3, 777));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, tail in "[-0-9]{0,40}") {
            let _ = Name::parse(&text);
            let _ = Name::parse(&format!("{PREFIX}{tail}"));
            let _ = Stat::parse(text.as_bytes());
        }

        #[test]
        fn what_is_read_is_what_was_written(pid: u32, start: u64, ns: u64, n: u64) {
            let text = format!("{PREFIX}{pid}-{start}-{ns}-{n}");
            let name = Name::parse(&text).unwrap();
            prop_assert_eq!(name.maker(), Maker { pid, start, pid_namespace: ns });
            prop_assert_eq!(name.as_str(), text);
        }
    }
}
