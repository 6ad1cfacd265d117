//! Ranges of ids that are nobody on the host, and leases on them.
//!
//! As root every sandbox gets 65 536 ids of its own, so that two alive at once share none (design, section 3). A lease is a lock on one byte of
//! `/run/enclos/ids` (`F_OFD_SETLK`): the kernel gives it up when the last process that holds the open file is gone, also after SIGKILL. The
//! file itself is the only thing that stays.

use std::os::fd::OwnedFd;

use enclos_spec::plan::IdRange;
use enclos_sys::lock::try_lock_byte;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use crate::error::{Failure, Result, Stage};
use enclos_sys::Errno;

/// Ids of one sandbox.
pub const RANGE: u32 = 65_536;
/// First id used, where the launcher's user namespace has it: above what distributions hand out (`login.defs(5)`, `systemd(1)` container ranges).
const FIRST: u32 = 0x7000_0000;
/// How many ranges are used at most.
const SLOTS: u32 = 0x0e00;
const DIRECTORY: &str = "/run/enclos";

/// A range of host ids, reserved for as long as this is alive (or any copy of its open file).
#[derive(Debug)]
pub struct Lease {
    /// Holds the lock.
    pub file: OwnedFd,
    /// First id.
    pub base: u32,
}

/// Reads a `uid_map`.
#[must_use]
pub fn parse_map(text: &str) -> Vec<IdRange> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
            let (inside, outside, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
            Some(IdRange { inside, outside, count })
        })
        .collect()
}

/// First id and number of ranges that lie within `own`, the ids of this user namespace: (first, ranges). `None` when there is no room.
#[must_use]
pub fn room(own: &[IdRange]) -> Option<(u32, u32)> {
    let has = |first: u32| {
        own.iter().any(|r| first >= r.inside && u64::from(first) + u64::from(RANGE) <= u64::from(r.inside) + u64::from(r.count))
    };
    if has(FIRST) {
        return Some((FIRST, (0..SLOTS).take_while(|slot| has(FIRST + slot * RANGE)).count() as u32));
    }
    // In a container: whole blocks above the first one.
    let largest = own.iter().max_by_key(|r| r.count)?;
    let first = largest.inside.max(RANGE).next_multiple_of(RANGE);
    let end = u64::from(largest.inside) + u64::from(largest.count);
    let blocks = (end.saturating_sub(u64::from(first)) / u64::from(RANGE)).min(u64::from(SLOTS)) as u32;
    (blocks > 0).then_some((first, blocks))
}

/// Leases a range nobody else has.
///
/// # Errors
/// When `/run/enclos` cannot be made, or every range is taken.
pub fn lease(own: &[IdRange]) -> Result<Lease> {
    let fail = |errno: Errno, what: &str| Failure::about(Stage::MapIds, errno, what);
    let (first, slots) = room(own).ok_or_else(|| fail(Errno::NOSPC, "this user namespace has no ids to give away"))?;
    let file = open_table().map_err(|e| fail(e, "/run/enclos/ids"))?;
    // What the administrator has given to a user of this host is that user's: they could signal and trace the command.
    let given: String = ["/etc/subuid", "/etc/subgid"].iter().filter_map(|table| std::fs::read_to_string(table).ok()).collect();
    // Neighbours start at different places, so that two seldom try the same.
    let start = std::process::id().wrapping_mul(0x9e37) % slots;
    for step in 0..slots {
        let slot = (start + step) % slots;
        if is_given(&given, first + slot * RANGE) {
            continue;
        }
        if try_lock_byte(&file, slot).map_err(|e| fail(e, "/run/enclos/ids"))? {
            return Ok(Lease { file, base: first + slot * RANGE });
        }
    }
    Err(fail(Errno::USERS, "every range of ids is taken by a living sandbox, or given to a user in /etc/subuid").into())
}

/// Whether a line of `/etc/subuid` (or `subgid`) gives some of the ids from `base` on to anybody.
fn is_given(table: &str, base: u32) -> bool {
    let (first, end) = (u64::from(base), u64::from(base) + u64::from(RANGE));
    table.lines().any(|line| {
        let mut numbers = line.split(':').skip(1).map(|field| field.trim().parse::<u64>());
        let (Some(Ok(from)), Some(Ok(count))) = (numbers.next(), numbers.next()) else { return false };
        from < end && from.saturating_add(count) > first
    })
}

fn open_table() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open = || openat(CWD, format!("{DIRECTORY}/ids"), flags, Mode::from_raw_mode(0o600));
    match open() {
        Err(Errno::NOENT) => {
            match mkdirat(CWD, DIRECTORY, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            open()
        }
        other => other,
    }
}

/// The range `/etc/subuid` (or `subgid`; subuid(5)) gives a user: the first line for its name or number with at least 65 533 ids.
#[must_use]
pub fn subordinate(table: &str, name: Option<&str>, id: u32) -> Option<u32> {
    let number = id.to_string();
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (user, first, count) = (fields.next()?, fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?);
        ((Some(user) == name || user == number) && count >= RANGE - 3).then_some(first)
    })
}

/// A user's name in the text of `/etc/passwd`.
#[must_use]
pub fn user_name(passwd: &str, id: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse::<u32>().ok()? == id).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_id_space_has_room_high_up() {
        let own = parse_map("         0          0 4294967295\n");
        assert_eq!(room(&own), Some((FIRST, SLOTS)));
    }

    #[test]
    fn a_container_has_what_lies_above_its_first_block() {
        assert_eq!(room(&parse_map("0 100000 65536")), None);
        assert_eq!(room(&parse_map("0 100000 262144")), Some((65_536, 3)));
        assert_eq!(room(&[]), None);
    }

    #[test]
    fn what_is_given_to_a_user_is_not_leased() {
        let table = format!("ada:100000:65536\nbob:{}:10\n# {FIRST}:1\nbad\n", FIRST + RANGE + 5);
        let given = |slot: u32| is_given(&table, FIRST + slot * RANGE);
        assert_eq!([given(0), given(1), given(2)], [false, true, false]);
        assert!(is_given("x:0:4294967295", FIRST) && !is_given("", FIRST));
    }

    #[test]
    fn subordinate_ranges_by_name_or_number() {
        let table = "other:1:65536\nada:100000:65536\n1001:300000:65536\nbob:5:10\n";
        assert_eq!(subordinate(table, Some("ada"), 1000), Some(100_000));
        assert_eq!(subordinate(table, None, 1001), Some(300_000));
        assert_eq!(subordinate(table, Some("bob"), 1002), None);
        assert_eq!(user_name("root:x:0:0::/:\nada:x:1000:1000::/:\n", 1000), Some("ada"));
    }
}
