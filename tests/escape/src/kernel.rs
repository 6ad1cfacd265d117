//! The kernel's own attack surface: system calls a sandboxed program has no use for.

use crate::attempt::held_if;
use crate::{Attempt, Control, Seen, Stage};

const REFUSED: &str = "EPERM or ENOSYS";

macro_rules! calls {
    ($name:ident, $threat:literal, $control:expr, [$($call:literal),+ $(,)?]) => {
        Attempt {
            name: stringify!($name),
            threat: $threat,
            expected: REFUSED,
            control: $control,
            attempt: |stage| stage.calls(&[], &[$($call),+]),
        }
    };
}

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    calls!(
        io_uring,
        "H22: io_uring runs calls the filter never sees",
        Control::Weak,
        ["io_uring_setup", "io_uring_enter", "io_uring_register"]
    ),
    calls!(userfaultfd, "H23: stops the kernel in the middle of a copy", Control::Weak, ["userfaultfd"]),
    calls!(bpf, "H32", Control::Open, ["bpf"]),
    calls!(perf, "H32", Control::Open, ["perf_event_open"]),
    calls!(modules, "H32", Control::Open, ["init_module", "finit_module", "delete_module"]),
    calls!(kexec, "H32", Control::Open, ["kexec_load", "kexec_file_load"]),
    calls!(reboot, "H32", Control::Open, ["reboot"]),
    calls!(swap, "H32", Control::Open, ["swapon", "swapoff"]),
    calls!(accounting, "H32", Control::Open, ["acct"]),
    calls!(quota, "H32", Control::Open, ["quotactl"]),
    calls!(clock, "H32", Control::Open, ["settimeofday", "clock_settime", "adjtimex"]),
    calls!(host_name, "H32, W-07: the host's name", Control::Weak, ["sethostname", "setdomainname"]),
    calls!(personality, "H32: an executable stack by one bit", Control::Weak, ["personality", "personality_high"]),
    calls!(local_descriptor_table, "H32", Control::Weak, ["modify_ldt"]),
    calls!(secret_memory, "H32: memory that is charged to nobody's page cache", Control::Weak, ["memfd_secret"]),
    calls!(kernel_log, "W-07: dmesg", Control::Open, ["syslog"]),
    calls!(io_ports, "direct hardware access", Control::Open, ["iopl", "ioperm"]),
    calls!(fanotify, "watches files of others", Control::Open, ["fanotify_init"]),
    calls!(hang_up, "hangs up the terminal", Control::Without("it would hang up the terminal of whoever runs the tests"), ["vhangup"]),
    calls!(obsolete_calls, "code nobody has tested for years", Control::Weak, ["uselib", "sysfs", "nfsservctl", "lookup_dcookie"]),
    calls!(compare_kernel_pointers, "kcmp orders kernel addresses", Control::Weak, ["kcmp"]),
    calls!(file_handles, "H25, CVE-2014-9357 (shocker): open by inode number", Control::Weak, ["open_by_handle_at", "name_to_handle_at"]),
    calls!(keyrings, "H31, CVE-2014-9529: keyrings outlive the sandbox and cross it", Control::Weak, ["add_key", "request_key", "keyctl"]),
    calls!(user_namespace_by_unshare, "H24, W-04b: full rights over new kernel code", Control::Weak, ["unshare_newuser"]),
    calls!(user_namespace_by_clone, "H24, W-04b", Control::Weak, ["clone_newuser", "clone_newuser_high"]),
    calls!(user_namespace_by_clone3, "H24: clone3 hides its flags behind a pointer", Control::Weak, ["clone3_newuser"]),
    calls!(
        other_namespaces,
        "H24",
        Control::Weak,
        ["unshare_newns", "unshare_newnet", "unshare_newpid", "unshare_newcgroup", "unshare_newtime", "clone_newnet"]
    ),
    Attempt {
        name: "join_namespaces",
        threat: "H24: setns",
        expected: "refused before the file is even of use",
        control: Control::Weak,
        attempt: |stage| stage.calls_answered(&[], &["setns_own", "setns_init"], &["EPERM", "ENOSYS", "EACCES", "ENOENT"]),
    },
    calls!(mount, "H25, W-02", Control::Weak, ["mount_tmpfs", "mount_bind"]),
    calls!(mount_proc_anew, "W-03: a fresh /proc has a writable core_pattern", Control::Weak, ["mount_proc"]),
    calls!(remount_writable, "W-02", Control::Weak, ["remount_usr", "remount_root"]),
    calls!(unmount_the_masks, "W-02, W-03", Control::Weak, ["umount_proc", "umount_usr"]),
    calls!(pivot_root, "H25", Control::Weak, ["pivot_root"]),
    calls!(chroot, "H25: the first step of the classic way out", Control::Weak, ["chroot"]),
    calls!(
        mount_interface_of_2019,
        "H25, CVE-2022-0185",
        Control::Weak,
        ["fsopen", "fspick", "fsmount", "fsconfig", "open_tree", "move_mount", "mount_setattr"]
    ),
    Attempt {
        name: "calls_of_32_bits",
        threat: "H33: another call table dodges the filter",
        expected: "ENOSYS, EPERM or killed (signal 31)",
        control: Control::Weak,
        attempt: |stage| stage.calls_answered(&[], &["int80_getpid", "int80_keyctl"], &["ENOSYS", "EPERM", "signal 31", "signal 11"]),
    },
    Attempt {
        name: "calls_of_x32",
        threat: "H33",
        expected: "ENOSYS, EPERM or killed (signal 31)",
        control: Control::Without("most kernels are built without x32 and answer ENOSYS themselves"),
        attempt: |stage| stage.calls_answered(&[], &["x32_getpid"], &["ENOSYS", "EPERM", "signal 31"]),
    },
    Attempt {
        name: "calls_yet_unknown",
        threat: "a kernel newer than the filter",
        expected: "ENOSYS or EPERM",
        control: Control::Without("no kernel has the call"),
        attempt: |stage| stage.calls(&[], &["no_such_call"]),
    },
    Attempt {
        name: "virtual_sockets",
        threat: "H29, isolate 2.4: the hypervisor is one hop away",
        expected: "EAFNOSUPPORT, EPERM or EACCES",
        control: Control::Weak,
        attempt: |stage| {
            let errors = &["EAFNOSUPPORT", "EPERM", "EACCES", "ENOSYS"];
            stage.calls_answered(&[], &["vsock", "vsock_high", "vsock_pair"], errors)
        },
    },
    Attempt {
        name: "socket_families",
        threat: "H29: packet, audit, crypto and forgotten protocols",
        expected: "EAFNOSUPPORT, EPERM or EACCES",
        control: Control::Weak,
        attempt: |stage| {
            let outcome = stage.probe(&[], &["socket"]);
            let errors = &["EAFNOSUPPORT", "EPERM", "EACCES", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"];
            let through = crate::attempt::tries_among(&outcome, 25, errors);
            // Without a filter the kernel's own answer for families it was built without is the same.
            if stage.is_real() { through } else { through.and(|| Seen::Cannot("this kernel was built with none of these families".into())) }
        },
    },
    Attempt {
        name: "root_inside_gains_nothing",
        threat: "W-01: uid 0 inside",
        expected: "EPERM or ENOSYS, as for any other uid",
        control: Control::Weak,
        attempt: |stage| {
            let calls = ["mount_tmpfs", "remount_usr", "umount_proc", "chroot", "sethostname", "clone_newuser", "syslog", "reboot"];
            stage.calls(&["--uid", "0", "--gid", "0"], &calls)
        },
    },
    Attempt {
        name: "walls_behind_the_filter",
        threat: "the filter is only one wall: the same calls with --seccomp none",
        expected: "EPERM or EBUSY from the kernel itself, the root still read-only",
        control: Control::Weak,
        attempt: without_filter,
    },
];

/// Without the filter the kernel's own checks must hold: no capability, no right to the mounts.
fn without_filter(stage: &Stage) -> Seen {
    let flags = ["--seccomp", "none"];
    let calls = ["mount_tmpfs", "mount_bind", "remount_usr", "umount_proc", "pivot_root", "chroot", "sethostname", "reboot", "open_tree"];
    stage.calls_answered(&flags, &calls, &["EPERM", "ENOSYS", "EBUSY"]).and(|| {
        let outcome = stage.probe(&flags, &["open", "c", "/usr/enclos-escaped", "/etc/enclos-escaped"]);
        let tries = outcome.tries();
        let refused = tries.iter().filter(|(_, result)| matches!(result.as_str(), "EROFS" | "EACCES" | "EPERM")).count();
        held_if(refused == 2, format!("{tries:?}"))
    })
}
