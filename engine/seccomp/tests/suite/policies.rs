//! The built-in policies: what they answer, and that setting up and narrowing gives the default.

use enclos_seccomp::{
    Action, Arch, Condition, Options, Policy, Program, SeccompData, Stage, Syscall, Test, X32_BIT, compile, default_policy,
    default_policy_for, errno, interpret, narrow_policy_for, ready_made, run, setup_policy_for, strictest, syscall_number,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generators::shot;

const I386: u32 = 0x4000_0003;

/// Every number that may mean something on some ABI, and the edges of what a register holds.
fn numbers() -> impl Iterator<Item = u32> {
    (0..600).chain(X32_BIT - 1..X32_BIT + 600).chain([0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX])
}

/// Arguments that decide something somewhere: every constant of the policy in every position, with garbage above.
fn arguments(policy: &Policy) -> Vec<[u64; 6]> {
    let constants = |condition: &Condition| match condition.test {
        Test::Equal { mask, value } | Test::NotEqual { mask, value } => vec![value, mask, mask & mask.wrapping_neg()],
        Test::Less(bound) | Test::Greater(bound) => vec![bound],
    };
    let mut values: Vec<u64> = policy.rules.values().flat_map(|rule| &rule.cases).flat_map(|case| &case.when).flat_map(constants).collect();
    values.extend([0, 1, u64::MAX]);
    values.sort_unstable();
    values.dedup();
    let in_all = values.iter().map(|value| [*value; 6]);
    let above = values.iter().map(|value| [*value | 1 << 32; 6]);
    let mixed = values.iter().zip(values.iter().rev()).map(|(a, b)| [*a, *b, *a, *b, *a, *b]);
    in_all.chain(above).chain(mixed).collect()
}

/// Every number on every ABI; all the arguments above where the policy looks at arguments, a few elsewhere.
fn every_call(policy: &Policy) -> Vec<SeccompData> {
    let (all, few) = (arguments(policy), [[0; 6], [0x1000_0000; 6], [u64::MAX; 6]]);
    let looks = |nr: u32| policy.rules.get(&nr).is_some_and(|rule| rule.unconditional().is_none());
    let mut calls = Vec::new();
    for arch in [policy.arch.audit(), I386, 0] {
        for nr in numbers() {
            let arguments = if arch == policy.arch.audit() && looks(nr) { &all[..] } else { &few[..] };
            calls.extend(arguments.iter().map(|&args| SeccompData { nr, arch, instruction_pointer: 0x7f00_dead_beef, args }));
        }
    }
    calls
}

fn every_variant() -> impl Iterator<Item = (Arch, Options)> {
    Arch::ALL.into_iter().flat_map(|arch| Options::all().map(move |options| (arch, options)))
}

#[test]
fn the_programs_answer_as_the_policies_do() {
    for (arch, options) in every_variant() {
        let calls = every_call(&default_policy_for(arch, &Options::default()));
        for policy in [default_policy_for(arch, &options), setup_policy_for(arch, &options), narrow_policy_for(arch, &options)] {
            let program = compile(&policy).unwrap();
            for data in &calls {
                assert_eq!(interpret(&program, data), policy.decide(data).encode(), "{arch:?} {options:?} {data:?}");
            }
        }
    }
}

struct Stages {
    strict: Policy,
    setup: Program,
    narrow: Program,
    whole: Program,
}

fn stages(arch: Arch, options: &Options) -> Stages {
    let strict = default_policy_for(arch, options);
    let [setup, narrow, whole] =
        [setup_policy_for(arch, options), narrow_policy_for(arch, options), strict.clone()].map(|policy| compile(&policy).unwrap());
    Stages { strict, setup, narrow, whole }
}

impl Stages {
    /// The kernel's answer with the set-up filter installed first and the narrow one on top of it.
    fn both(&self, data: &SeccompData) -> u32 {
        strictest(&[interpret(&self.narrow, data), interpret(&self.setup, data)])
    }
}

#[test]
fn setting_up_and_narrowing_is_the_default_for_every_call() {
    for (arch, options) in every_variant() {
        let stages = stages(arch, &options);
        for data in every_call(&default_policy_for(arch, &Options::default())) {
            assert_eq!(stages.both(&data), interpret(&stages.whole, &data), "{arch:?} {options:?} {data:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn setting_up_and_narrowing_is_the_default(variant in 0..16_usize, shots in vec(shot(), 60)) {
        let (arch, options) = every_variant().nth(variant).unwrap();
        let stages = stages(arch, &options);
        for shot in shots {
            let data = shot.at(&stages.strict);
            prop_assert_eq!(stages.both(&data), interpret(&stages.whole, &data), "{:?}", data);
        }
    }
}

/// A call by name on this machine's ABI, under the ready-made default program.
fn answer(options: &Options, name: &str, args: [u64; 6]) -> Action {
    let nr = syscall_number(name).unwrap_or_else(|| panic!("{name} is no call here"));
    let data = SeccompData { nr, arch: Arch::NATIVE.audit(), instruction_pointer: 0, args };
    Action::decode(interpret(&ready_made(Stage::Default, options), &data)).unwrap()
}

const EPERM: Action = Action::Errno(errno::EPERM);
const ENOSYS: Action = Action::Errno(errno::ENOSYS);
const EAFNOSUPPORT: Action = Action::Errno(errno::EAFNOSUPPORT);
const EPROTONOSUPPORT: Action = Action::Errno(errno::EPROTONOSUPPORT);
/// A register whose upper half the kernel does not look at.
const GARBAGE: u64 = 0xdead_beef_0000_0000;

/// Name, arguments, answer. Calls that only x86_64 has come last.
const EXAMPLES: &[(&str, [u64; 6], Action)] = &[
    ("read", [0; 6], Action::Allow),
    ("execve", [0; 6], Action::Allow),
    // pthread_create and fork of glibc 2.33 and before, and of every libc once clone3 is refused.
    ("clone", [0x003d_0f00, 0, 0, 0, 0, 0], Action::Allow),
    ("clone", [0x0120_0011, 0, 0, 0, 0, 0], Action::Allow),
    ("clone", [0x1000_0011, 0, 0, 0, 0, 0], EPERM),
    ("clone", [GARBAGE | 0x0002_0000, 0, 0, 0, 0, 0], EPERM),
    ("clone3", [0; 6], ENOSYS),
    ("unshare", [0x600, 0, 0, 0, 0, 0], Action::Allow),
    ("unshare", [0x1000_0000, 0, 0, 0, 0, 0], EPERM),
    ("unshare", [0x80, 0, 0, 0, 0, 0], EPERM),
    ("setns", [3, 0, 0, 0, 0, 0], EPERM),
    // Without O_CREAT or O_TMPFILE the mode is garbage; O_DIRECTORY alone is no O_TMPFILE.
    ("openat", [0, 0, 0o2_000_000, 0o7777, 0, 0], Action::Allow),
    ("openat", [0, 0, 0o200_000, 0o6777, 0, 0], Action::Allow),
    ("openat", [0, 0, 0o102, 0o1777, 0, 0], Action::Allow),
    ("openat", [0, 0, 0o102, 0o4755, 0, 0], EPERM),
    ("openat", [0, 0, GARBAGE | 0o102, GARBAGE | 0o2755, 0, 0], EPERM),
    ("openat", [0, 0, 0o20_200_002, 0o4755, 0, 0], EPERM),
    ("openat2", [0; 6], ENOSYS),
    ("fchmod", [3, 0o1777, 0, 0, 0, 0], Action::Allow),
    ("fchmod", [3, 0o4755, 0, 0, 0, 0], EPERM),
    ("fchmodat", [3, 0, 0o2755, 0, 0, 0], EPERM),
    ("fchmodat2", [3, 0, 0o6755, 0, 0, 0], EPERM),
    ("fchmodat2", [3, 0o6755, 0o755, 0, 0, 0], Action::Allow),
    ("mkdirat", [3, 0, 0o2775, 0, 0, 0], Action::Allow),
    ("mknodat", [3, 0, 0o010_644, 0, 0, 0], Action::Allow),
    ("mknodat", [3, 0, 0o140_644, 0, 0, 0], Action::Allow),
    ("mknodat", [3, 0, 0o100_644, 0, 0, 0], Action::Allow),
    ("mknodat", [3, 0, 0o104_755, 0, 0, 0], EPERM),
    ("mknodat", [3, 0, 0o060_660, 0x800, 0, 0], EPERM),
    ("mknodat", [3, 0, 0o020_000, 0, 0, 0], EPERM),
    ("renameat2", [0, 0, 0, 0, 3, 0], Action::Allow),
    ("renameat2", [0, 0, 0, 0, 4, 0], Action::Errno(errno::EINVAL)),
    ("socket", [1, 1, 0, 0, 0, 0], Action::Allow),
    ("socket", [2, 0o2_000_001, 0, 0, 0, 0], Action::Allow),
    ("socket", [2, 1, 6, 0, 0, 0], Action::Allow),
    ("socket", [10, 2, 17, 0, 0, 0], Action::Allow),
    ("socket", [2, 2, 1, 0, 0, 0], Action::Allow),
    ("socket", [2, 1, 262, 0, 0, 0], Action::Allow),
    ("socket", [2, 1, 132, 0, 0, 0], EPROTONOSUPPORT),
    ("socket", [10, 6, 33, 0, 0, 0], EPROTONOSUPPORT),
    ("socket", [2, 10, 0, 0, 0, 0], EAFNOSUPPORT),
    ("socket", [16, 3, 0, 0, 0, 0], Action::Allow),
    ("socket", [16, 3, 12, 0, 0, 0], EAFNOSUPPORT),
    ("socket", [17, 3, 0x300, 0, 0, 0], EAFNOSUPPORT),
    ("socket", [38, 5, 0, 0, 0, 0], EAFNOSUPPORT),
    ("socket", [40, 1, 0, 0, 0, 0], EAFNOSUPPORT),
    ("socket", [GARBAGE | 40, 1, 0, 0, 0, 0], EAFNOSUPPORT),
    ("socketpair", [1, 1, 0, 0, 0, 0], Action::Allow),
    ("socketpair", [30, 1, 0, 0, 0, 0], EAFNOSUPPORT),
    ("ioctl", [0, 0x5401, 0, 0, 0, 0], Action::Allow),
    ("ioctl", [0, 0x5412, 0, 0, 0, 0], EPERM),
    ("ioctl", [0, GARBAGE | 0x5412, 0, 0, 0, 0], EPERM),
    ("ioctl", [0, 1 << 32 | 0x541c, 0, 0, 0, 0], EPERM),
    ("ioctl", [0, 0x5423, 0, 0, 0, 0], EPERM),
    ("prlimit64", [0, 7, 0, 0, 0, 0], Action::Allow),
    ("prlimit64", [GARBAGE, 7, 0, 0, 0, 0], Action::Allow),
    ("prlimit64", [1, 7, 0, 0, 0, 0], EPERM),
    ("personality", [0xffff_ffff, 0, 0, 0, 0, 0], Action::Allow),
    ("personality", [u64::MAX, 0, 0, 0, 0, 0], Action::Allow),
    ("personality", [0x0004_0000, 0, 0, 0, 0, 0], Action::Allow),
    ("personality", [0x0040_0000, 0, 0, 0, 0, 0], EPERM),
    ("seccomp", [1, 0, 0, 0, 0, 0], Action::Allow),
    ("seccomp", [1, 8, 0, 0, 0, 0], EPERM),
    ("prctl", [22, 2, 0, 0, 0, 0], Action::Allow),
    ("sched_setaffinity", [0; 6], Action::Allow),
    ("pidfd_send_signal", [0; 6], Action::Allow),
];

#[cfg(target_arch = "x86_64")]
const EXAMPLES_OF_X86_64: &[(&str, [u64; 6], Action)] = &[
    ("open", [0, 0, 0o6777, 0, 0, 0], Action::Allow),
    ("open", [0, 0o101, 0o4777, 0, 0, 0], EPERM),
    ("creat", [0, 0o2777, 0, 0, 0, 0], EPERM),
    ("chmod", [0, 0o4755, 0, 0, 0, 0], EPERM),
    ("chmod", [0o4755, 0o755, 0, 0, 0, 0], Action::Allow),
    ("mknod", [0, 0o060_660, 0x800, 0, 0, 0], EPERM),
    ("mknod", [0, 0o010_644, 0, 0, 0, 0], Action::Allow),
    ("arch_prctl", [0x1002, 0, 0, 0, 0, 0], Action::Allow),
    ("modify_ldt", [0; 6], EPERM),
    ("iopl", [3, 0, 0, 0, 0, 0], EPERM),
    ("vfork", [0; 6], Action::Allow),
];

#[cfg(target_arch = "aarch64")]
const EXAMPLES_OF_X86_64: &[(&str, [u64; 6], Action)] = &[];

#[test]
fn the_default_answers_these_calls_so() {
    for (name, args, expected) in EXAMPLES.iter().chain(EXAMPLES_OF_X86_64) {
        assert_eq!(answer(&Options::default(), name, *args), *expected, "{name}({args:x?})");
    }
}

/// Calls that no built-in policy allows, whatever the options and arguments.
const NEVER: &[&str] = &[
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "init_module",
    "io_setup",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "lsm_set_self_attr",
    "memfd_secret",
    "migrate_pages",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "openat2",
    "perf_event_open",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "userfaultfd",
    "vhangup",
];

/// Calls that change what a sandbox sees; allowed only where the sandbox may build others.
const BUILDING: &[&str] = &[
    "chroot",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "pivot_root",
    "setdomainname",
    "sethostname",
    "setns",
    "umount2",
];

#[test]
fn what_is_dangerous_is_refused_whatever_the_arguments() {
    for options in Options::all().filter(|options| !options.log) {
        for args in arguments(&default_policy(&Options::default())) {
            for name in NEVER {
                assert!(matches!(answer(&options, name, args), EPERM | ENOSYS), "{name} {options:?}");
            }
            for name in BUILDING {
                let expected = if options.nested_user_namespaces { Action::Allow } else { EPERM };
                assert_eq!(answer(&options, name, args), expected, "{name} {options:?}");
            }
        }
    }
}

#[test]
fn nesting_allows_namespaces_and_nothing_else_new() {
    let (plain, nested) = (Options::default(), Options { nested_user_namespaces: true, ..Options::default() });
    assert_eq!(answer(&nested, "unshare", [0x1000_0000, 0, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(answer(&nested, "clone3", [0; 6]), Action::Allow);
    assert_eq!(answer(&nested, "socket", [16, 3, 12, 0, 0, 0]), EAFNOSUPPORT);
    let differing = |call: &&Syscall| {
        let rule = |options: &Options| {
            default_policy(options).rules.get(&Arch::NATIVE.number(**call)?).map(|rule| (rule.cases.clone(), rule.otherwise))
        };
        rule(&plain) != rule(&nested)
    };
    let names: Vec<&str> = Syscall::ALL.iter().filter(differing).map(|call| call.name()).collect();
    let mut expected = [BUILDING, &["clone", "clone3", "unshare"]].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn fixed_cpus_cannot_be_changed() {
    let options = Options { fixed_cpus: true, ..Options::default() };
    assert_eq!(answer(&options, "sched_setaffinity", [0; 6]), EPERM);
    assert_eq!(answer(&options, "sched_getaffinity", [0; 6]), Action::Allow);
}

#[test]
fn calls_of_kernels_to_come_are_not_implemented() {
    for (arch, options) in every_variant().filter(|(_, options)| !options.log) {
        let policy = default_policy_for(arch, &options);
        for nr in [470, 471, 500, 1000, X32_BIT - 1] {
            assert_eq!(policy.decide(&SeccompData { nr, arch: arch.audit(), ..SeccompData::default() }), ENOSYS);
        }
    }
}

#[test]
fn other_abis_are_refused() {
    let program = ready_made(Stage::Default, &Options::default());
    for nr in numbers() {
        let other = SeccompData { nr, arch: I386, ..SeccompData::default() };
        assert_eq!(interpret(&program, &other), Action::KillProcess.encode());
        let x32 = SeccompData { nr: nr | X32_BIT, arch: Arch::NATIVE.audit(), ..SeccompData::default() };
        assert_eq!(interpret(&program, &x32), ENOSYS.encode());
    }
}

#[test]
fn logging_refuses_nothing_and_logs_what_the_default_refuses() {
    for (arch, options) in every_variant().filter(|(_, options)| options.log) {
        let strict = default_policy_for(arch, &Options { log: false, ..options });
        let logging = default_policy_for(arch, &options);
        for data in every_call(&strict) {
            let expected = if strict.decide(&data) == Action::Allow { Action::Allow } else { Action::Log };
            assert_eq!(logging.decide(&data), expected);
        }
    }
}

/// The narrow program is installed for every sandbox, and the kernel runs it for each allowed call when it is.
#[test]
fn the_programs_stay_small() {
    let options = Options::default();
    for (stages, most) in [
        (Arch::ALL.map(|arch| default_policy_for(arch, &options)), 140),
        (Arch::ALL.map(|arch| setup_policy_for(arch, &options)), 140),
        (Arch::ALL.map(|arch| narrow_policy_for(arch, &options)), 22),
    ] {
        for policy in stages {
            let length = compile(&policy).unwrap().instructions().len();
            assert!(length <= most, "{:?}: {length} instructions, the bound is {most}", policy.arch);
        }
    }
    for (stage, most) in [(Stage::Default, 11.0), (Stage::Narrow, 6.0)] {
        let program = ready_made(stage, &options);
        let steps = |nr| run(&program, &SeccompData { nr, arch: Arch::NATIVE.audit(), ..SeccompData::default() }).steps;
        let mean = (0..470).map(steps).sum::<usize>() as f64 / 470.0;
        assert!(mean <= most, "{stage:?}: {mean} instructions a call, the bound is {most}");
    }
    let nested = Options { nested_user_namespaces: true, ..options };
    assert!(ready_made(Stage::Narrow, &nested).instructions().len() <= 4, "only openat2 is left to take away");
}
