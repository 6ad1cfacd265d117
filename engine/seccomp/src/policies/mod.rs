//! The built-in policies.
//!
//! The default is an allowlist: a call that no list names, as those of kernels to come, is answered ENOSYS, so that programs take the way
//! they have for older kernels. Every call this crate knows is on exactly one list, with the reason for its answer.
//!
//! What programs notice: debuggers cannot trace, and LeakSanitizer, which traces, gives up (`ASAN_OPTIONS=detect_leaks=0`); directories cannot be
//! made set-group-id; 32-bit programs die of SIGSYS; sockets are local, TCP, UDP or ping; databases run without native asynchronous I/O.

mod allowed;
mod inspected;
mod refused;

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{Action, errno, strictest};
use crate::arch::Arch;
use crate::policy::{Policy, Rule};
use crate::table::Syscall;

/// System calls with one answer and one reason.
struct Group {
    why: &'static str,
    calls: &'static [Syscall],
}

/// What may differ between sandboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Let the program make namespaces of its own, and mount in them: containers inside a sandbox. Off by default: it opens much of the
    /// kernel to the program.
    pub nested_user_namespaces: bool,
    /// Refuse `sched_setaffinity(2)`: for a sandbox whose CPUs are chosen by it alone, with no cpuset cgroup that would hold.
    pub fixed_cpus: bool,
    /// Let everything through, and have the kernel log what would have been refused ([`Policy::logged`]).
    pub log: bool,
}

impl Options {
    /// Every combination.
    pub fn all() -> impl Iterator<Item = Options> {
        (0..8).map(|bits| Options { nested_user_namespaces: bits & 1 != 0, fixed_cpus: bits & 2 != 0, log: bits & 4 != 0 })
    }

    /// The combination's place in [`Options::all`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.nested_user_namespaces) | usize::from(self.fixed_cpus) << 1 | usize::from(self.log) << 2
    }
}

/// What payloads live under, on this machine.
#[must_use]
pub fn default_policy(options: &Options) -> Policy {
    default_policy_for(Arch::NATIVE, options)
}

/// What the process that prepares sandboxes lives under: [`default_policy`], and the calls that build a sandbox.
///
/// Every later answer of its children is the stricter of this one's and those of what they add; adding [`narrow_policy`] gives exactly
/// [`default_policy`].
#[must_use]
pub fn setup_policy(options: &Options) -> Policy {
    setup_policy_for(Arch::NATIVE, options)
}

/// What a child under [`setup_policy`] adds before it runs the payload. It does not look at the ABI a call comes through: never use it alone.
#[must_use]
pub fn narrow_policy(options: &Options) -> Policy {
    narrow_policy_for(Arch::NATIVE, options)
}

/// [`default_policy`], for another architecture.
#[must_use]
pub fn default_policy_for(arch: Arch, options: &Options) -> Policy {
    let mut policy = allowlist(arch);
    let mut set = |calls: &[Syscall], action, why| calls.iter().for_each(|call| answer(&mut policy, *call, Rule::always(action, why)));
    if options.nested_user_namespaces {
        set(SANDBOX_BUILDING, Action::Allow, "builds a sandbox in the sandbox, with capabilities over its own namespaces only");
    }
    if options.fixed_cpus {
        set(&[Syscall::sched_setaffinity], Action::Errno(errno::EPERM), "would undo the choice of CPUs, which nothing else holds");
    }
    if options.log { policy.logged() } else { policy }
}

/// [`setup_policy`], for another architecture.
#[must_use]
pub fn setup_policy_for(arch: Arch, options: &Options) -> Policy {
    let mut policy = default_policy_for(arch, options);
    for call in SANDBOX_BUILDING.iter().chain(SETUP_ONLY) {
        answer(&mut policy, *call, Rule::always(Action::Allow, "builds the sandbox; taken away before the payload runs"));
    }
    policy
}

/// [`narrow_policy`], for another architecture.
#[must_use]
pub fn narrow_policy_for(arch: Arch, options: &Options) -> Policy {
    narrow(&default_policy_for(arch, options), &setup_policy_for(arch, options))
}

/// What builds a sandbox, and so what a sandbox in the sandbox needs.
const SANDBOX_BUILDING: &[Syscall] = &[
    Syscall::chroot,
    Syscall::clone,
    Syscall::clone3,
    Syscall::fsconfig,
    Syscall::fsmount,
    Syscall::fsopen,
    Syscall::fspick,
    Syscall::mount,
    Syscall::mount_setattr,
    Syscall::move_mount,
    Syscall::open_tree,
    Syscall::open_tree_attr,
    Syscall::pivot_root,
    Syscall::setdomainname,
    Syscall::sethostname,
    Syscall::setns,
    Syscall::umount2,
    Syscall::unshare,
];

/// What only our own set-up needs: paths resolved inside the new root, and the choice of CPUs.
const SETUP_ONLY: &[Syscall] = &[Syscall::openat2, Syscall::sched_setaffinity];

/// The lists, without options.
fn allowlist(arch: Arch) -> Policy {
    let mut policy = Policy::new(arch, Action::Errno(errno::ENOSYS));
    let answered = [
        (Action::Allow, allowed::GROUPS),
        (Action::Errno(errno::EPERM), refused::NOT_PERMITTED),
        (Action::Errno(errno::ENOSYS), refused::NOT_IMPLEMENTED),
    ];
    for (action, groups) in answered {
        for group in groups {
            group.calls.iter().for_each(|call| answer(&mut policy, *call, Rule::always(action, group.why)));
        }
    }
    for (call, rule) in inspected::rules() {
        answer(&mut policy, call, rule);
    }
    policy
}

/// Sets the rule for a call, on architectures that have it.
fn answer(policy: &mut Policy, call: Syscall, rule: Rule) {
    if let Some(number) = policy.arch.number(call) {
        policy.rules.insert(number, rule);
    }
}

/// The smallest policy that turns `wide` into `strict` when both are asked and the stricter answer wins.
fn narrow(strict: &Policy, wide: &Policy) -> Policy {
    let mut policy = Policy { foreign: None, x32: None, ..Policy::new(strict.arch, Action::Allow) };
    let numbers: BTreeSet<u32> = strict.rules.keys().chain(wide.rules.keys()).copied().collect();
    let answers = |policy: &Policy, number: u32| policy.rules.get(&number).map(|rule| (rule.cases.clone(), rule.otherwise));
    let differing = numbers.into_iter().filter(|&number| answers(strict, number) != answers(wide, number));
    policy.rules = differing.filter_map(|number| Some((number, strict.rules.get(&number)?.clone()))).collect();
    let joints = joints(&policy.rules, strict, wide);
    policy.rules.extend(joints);
    policy
}

/// Numbers between two equal answers that both policies refuse in the same way: answering them too makes one range of three.
fn joints(rules: &BTreeMap<u32, Rule>, strict: &Policy, wide: &Policy) -> Vec<(u32, Rule)> {
    let unconditional = |policy: &Policy, number| policy.rules.get(&number).map_or(Some(policy.default), Rule::unconditional);
    let mut joints = Vec::new();
    for ((&low, rule), (&high, next)) in rules.iter().zip(rules.iter().skip(1)) {
        let Some(action) = rule.unconditional().filter(|_| next.unconditional() == rule.unconditional()) else { continue };
        let unchanged = |number| match (unconditional(strict, number), unconditional(wide, number)) {
            (Some(strict), Some(wide)) => strictest(&[action.encode(), wide.encode()]) == strict.encode(),
            _ => false,
        };
        if (low + 1..high).all(unchanged) {
            let why = "refused by the wider filter as well; answered here so that its neighbours make one range";
            joints.extend((low + 1..high).map(|number| (number, Rule::always(action, why))));
        }
    }
    joints
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_call_is_on_exactly_one_list() {
        let groups = [allowed::GROUPS, refused::NOT_PERMITTED, refused::NOT_IMPLEMENTED].concat_calls();
        let mut seen: HashMap<Syscall, usize> = HashMap::new();
        groups.into_iter().chain(inspected::rules().map(|(call, _)| call)).for_each(|call| *seen.entry(call).or_default() += 1);
        let wrong: Vec<_> = Syscall::ALL.iter().filter(|call| seen.get(call) != Some(&1)).collect();
        assert!(wrong.is_empty(), "on no list, or on two: {wrong:?}");
    }

    #[test]
    fn every_rule_says_why_in_one_line() {
        for arch in Arch::ALL {
            for options in Options::all() {
                for policy in [default_policy_for(arch, &options), setup_policy_for(arch, &options), narrow_policy_for(arch, &options)] {
                    for line in policy.describe() {
                        assert!(line.why.len() > 10 && !line.why.contains('\n'), "{line}");
                        assert!(line.name.is_some(), "{line}");
                    }
                }
            }
        }
    }

    trait Calls {
        fn concat_calls(&self) -> Vec<Syscall>;
    }

    impl Calls for [&[Group]; 3] {
        fn concat_calls(&self) -> Vec<Syscall> {
            self.iter().flat_map(|groups| groups.iter()).flat_map(|group| group.calls).copied().collect()
        }
    }
}
