//! Names of capabilities, as `--cap-add` and `--cap-drop` take them.

use std::ffi::OsStr;

use super::command_line::CapabilityChange;

/// Names of `capabilities(7)` without `CAP_`; the position is the number.
pub const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Sets hold this many capabilities (`_LINUX_CAPABILITY_U32S_3` words of 32 bits).
const BITS: u8 = 64;

/// The number of a capability: `CAP_KILL` in any case, or a number as `strtoul(3)` reads one (libcap takes both).
#[must_use]
pub fn number(text: &OsStr) -> Option<u8> {
    let text = text.to_str()?;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
            None => (text, 10),
        };
        return digits.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| u8::from_str_radix(digits, radix).ok())?.filter(|n| *n < BITS);
    }
    let name = text.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("cap_")).map(|_| &text[4..])?;
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).and_then(|n| u8::try_from(n).ok())
}

/// `ALL` in any case.
fn is_all(text: &OsStr) -> bool {
    text.eq_ignore_ascii_case("all")
}

/// The change `--cap-add` asks for.
#[must_use]
pub fn add(text: &OsStr) -> Option<CapabilityChange> {
    if is_all(text) { Some(CapabilityChange::AddAll) } else { number(text).map(CapabilityChange::Add) }
}

/// The change `--cap-drop` asks for.
#[must_use]
pub fn drop(text: &OsStr) -> Option<CapabilityChange> {
    if is_all(text) { Some(CapabilityChange::DropAll) } else { number(text).map(CapabilityChange::Drop) }
}

/// Applies changes in order to a set written as a bit mask. `all` is what ALL stands for.
#[must_use]
pub fn apply(start: u64, changes: &[CapabilityChange], all: u64) -> u64 {
    changes.iter().fold(start, |set, change| match *change {
        CapabilityChange::AddAll => set | all,
        CapabilityChange::DropAll => 0,
        CapabilityChange::Add(n) => set | (1u64.checked_shl(n.into()).unwrap_or(0) & all),
        CapabilityChange::Drop(n) => set & !1u64.checked_shl(n.into()).unwrap_or(0),
    })
}

/// The numbers in a bit mask, smallest first.
#[must_use]
pub fn numbers(set: u64) -> Vec<u8> {
    (0..BITS).filter(|n| set >> n & 1 == 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, wanted) in
            [("CAP_KILL", 5), ("cap_kill", 5), ("Cap_Kill", 5), ("5", 5), ("0x5", 5), ("05", 5), ("63", 63), ("CAP_BPF", 39)]
        {
            assert_eq!(number(OsStr::new(text)), Some(wanted), "{text:?}");
        }
        for text in ["", "kill", "CAP_", "CAP_FOO", "cap_5", "-1", "64", "0x", "x", "käp_kill", "ALL"] {
            assert_eq!(number(OsStr::new(text)), None, "{text:?}");
        }
        assert_eq!(add(OsStr::new("aLL")), Some(CapabilityChange::AddAll));
    }

    #[test]
    fn changes_apply_in_order() {
        use CapabilityChange::{Add, AddAll, Drop, DropAll};
        assert_eq!(numbers(apply(0, &[Add(5), Add(0)], 0xff)), [0, 5]);
        assert_eq!(numbers(apply(0xff, &[DropAll, Add(3)], 0xff)), [3]);
        assert_eq!(numbers(apply(0xff, &[Add(3), DropAll], 0xff)), [0u8; 0]);
        assert_eq!(apply(0, &[AddAll, Drop(1)], 0b111), 0b101);
        assert_eq!(apply(0, &[Add(40)], 0b111), 0, "what does not exist here cannot be added");
    }
}
