//! What is allowed or refused by its arguments.
//!
//! The kernel reads most of these arguments as 32-bit or 16-bit numbers, whatever the upper bits of the register hold; the conditions look at
//! the bits the kernel looks at and at no other.

use crate::action::{Action, errno};
use crate::policy::{Case, Condition, Rule};
use crate::table::Syscall;

const EPERM: Action = Action::Errno(errno::EPERM);

/// `S_ISUID | S_ISGID`.
const SET_ID: u64 = 0o6000;
/// The bits of `S_IFMT` in which `S_IFCHR` (020000) and `S_IFBLK` (060000) agree, and no other type with them.
const DEVICE_TYPE: u64 = 0o130_000;
const DEVICE: u64 = 0o020_000;
/// `O_CREAT`, and the bit of `O_TMPFILE` that is not `O_DIRECTORY`: with neither, the kernel ignores the mode, and libcs leave garbage in it.
const CREATES: u64 = 0o100 | 0o20_000_000;
/// `RENAME_WHITEOUT`.
const WHITEOUT: u64 = 4;

/// Every `CLONE_NEW*` bit. `CLONE_NEWTIME` (0x80) lies within clone's exit signal, where no signal has that bit.
const NAMESPACES: u64 = 0x7e02_0000 | 0x80;

const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const NETLINK_ROUTE: u32 = 0;
/// The type of an AF_INET socket that the kernel turns into an AF_PACKET one, and the bits it looks at.
const SOCK_PACKET: u64 = 10;
const SOCK_TYPE: u64 = 0xf;
/// 0 (by type), ICMP, TCP, UDP, ICMPv6, MPTCP.
const INTERNET_PROTOCOLS: [u32; 6] = [0, 1, 6, 17, 58, 262];

const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
const TIOCSETD: u32 = 0x5423;

const SECCOMP_SET_MODE_FILTER: u32 = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: u64 = 8;

/// `PER_LINUX`, the query, and `ADDR_NO_RANDOMIZE`.
const PERSONALITIES: [u32; 3] = [0, 0xffff_ffff, 0x0004_0000];

/// The rules, with the calls they are for.
pub(super) fn rules() -> impl Iterator<Item = (Syscall, Rule)> {
    let families = [
        modes_of_new_files(),
        modes_of_files(),
        device_nodes(),
        vec![(
            Syscall::renameat2,
            refuse(vec![any(4, WHITEOUT)], errno::EINVAL, "leaves no whiteout: a device node that hides a file in a layer"),
        )],
        namespaces(),
        sockets(),
        vec![(Syscall::ioctl, terminals())],
        vec![(Syscall::prlimit64, own_limits()), (Syscall::personality, personality()), (Syscall::seccomp, filters())],
    ];
    families.into_iter().flatten()
}

/// A condition that one of these bits of an argument is set.
const fn any(argument: u8, bits: u64) -> Condition {
    Condition::any_bit(argument, bits)
}

fn case(when: Vec<Condition>, action: Action) -> Case {
    Case { when, action }
}

/// Refuses under these conditions, allows otherwise.
fn refuse(when: Vec<Condition>, errno: u16, why: &'static str) -> Rule {
    Rule { cases: vec![case(when, Action::Errno(errno))], otherwise: Action::Allow, why }
}

fn modes_of_new_files() -> Vec<(Syscall, Rule)> {
    let why = "opens; a new file may not be set-user-id or set-group-id, which would act for the sandbox's user on the host";
    let creating = |flags: u8| refuse(vec![any(flags, CREATES), any(flags + 1, SET_ID)], errno::EPERM, why);
    vec![(Syscall::open, creating(1)), (Syscall::openat, creating(2)), (Syscall::creat, refuse(vec![any(1, SET_ID)], errno::EPERM, why))]
}

/// A directory's set-group-id bit, which would be harmless, cannot be told from a file's.
fn modes_of_files() -> Vec<(Syscall, Rule)> {
    let why = "changes modes; not to set-user-id or set-group-id, which would act for the sandbox's user on the host";
    let mode = |argument: u8| refuse(vec![any(argument, SET_ID)], errno::EPERM, why);
    vec![(Syscall::chmod, mode(1)), (Syscall::fchmod, mode(1)), (Syscall::fchmodat, mode(2)), (Syscall::fchmodat2, mode(2))]
}

fn device_nodes() -> Vec<(Syscall, Rule)> {
    let rule = |mode: u8| Rule {
        cases: vec![case(vec![Condition::masked(mode, DEVICE_TYPE, DEVICE)], EPERM), case(vec![any(mode, SET_ID)], EPERM)],
        otherwise: Action::Allow,
        why: "makes pipes, sockets and files; no devices, and nothing set-id",
    };
    vec![(Syscall::mknod, rule(1)), (Syscall::mknodat, rule(2))]
}

fn namespaces() -> Vec<(Syscall, Rule)> {
    let without = |why| refuse(vec![any(0, NAMESPACES)], errno::EPERM, why);
    vec![
        (
            Syscall::clone,
            without("threads and processes, but no namespaces: with a user namespace of its own a program has all capabilities in it"),
        ),
        (Syscall::unshare, without("may part with shared descriptors and directories, but make no namespaces")),
    ]
}

fn sockets() -> Vec<(Syscall, Rule)> {
    let no_family = Action::Errno(errno::EAFNOSUPPORT);
    let mut cases = vec![
        case(vec![Condition::low32(0, AF_UNIX)], Action::Allow),
        case(vec![Condition::low32(0, AF_NETLINK), Condition::low32(2, NETLINK_ROUTE)], Action::Allow),
        case(vec![Condition::not_low32(0, AF_INET), Condition::not_low32(0, AF_INET6)], no_family),
        case(vec![Condition::masked(1, SOCK_TYPE, SOCK_PACKET)], no_family),
    ];
    cases.extend(INTERNET_PROTOCOLS.map(|protocol| case(vec![Condition::low32(2, protocol)], Action::Allow)));
    let socket = Rule {
        cases,
        otherwise: Action::Errno(errno::EPROTONOSUPPORT),
        why: "local, TCP, UDP and ping sockets, and the netlink that lists interfaces; every other family and protocol is kernel code to attack",
    };
    let pair = Rule { cases: vec![case(vec![Condition::low32(0, AF_UNIX)], Action::Allow)], otherwise: no_family, why: "local pairs only" };
    vec![(Syscall::socket, socket), (Syscall::socketpair, pair)]
}

/// The command is the low 32 bits: comparing all 64 would let TIOCSTI past with any higher bit set.
fn terminals() -> Rule {
    Rule {
        cases: [TIOCSTI, TIOCLINUX, TIOCSETD].map(|command| case(vec![Condition::low32(1, command)], EPERM)).into(),
        otherwise: Action::Allow,
        why: "types nothing into a terminal as if its user did (TIOCSTI, TIOCLINUX), and loads no line disciplines (TIOCSETD)",
    }
}

fn own_limits() -> Rule {
    let own = case(vec![Condition::low32(0, 0)], Action::Allow);
    Rule { cases: vec![own], otherwise: EPERM, why: "limits of the caller; not of another process, such as the sandbox's init" }
}

fn personality() -> Rule {
    Rule {
        cases: PERSONALITIES.map(|wanted| case(vec![Condition::low32(0, wanted)], Action::Allow)).into(),
        otherwise: EPERM,
        why: "asks, or turns address randomisation off for itself, as sanitizers do; other personalities weaken or open old code",
    }
}

fn filters() -> Rule {
    let listener = vec![Condition::low32(0, SECCOMP_SET_MODE_FILTER), any(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)];
    refuse(listener, errno::EPERM, "adds filters, which can only confine further; not one that answers for other processes")
}
