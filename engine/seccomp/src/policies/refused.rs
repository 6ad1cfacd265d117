//! What no payload may call, whatever the arguments are.

use super::Group;
use crate::table::Syscall::*;

/// Answered EPERM: what an unprivileged process is used to hearing.
pub(super) const NOT_PERMITTED: &[Group] = &[
    Group { why: "changes what is mounted where, or the root", calls: &[chroot, mount, pivot_root, umount2] },
    Group {
        why: "the mount API by descriptors: the same, and much kernel code to attack",
        calls: &[fsconfig, fsmount, fsopen, fspick, mount_setattr, move_mount, open_tree, open_tree_attr],
    },
    Group { why: "enters another namespace", calls: &[setns] },
    Group { why: "opens files by handle, past every directory and mount on the way", calls: &[name_to_handle_at, open_by_handle_at] },
    Group {
        why: "reads, steers or takes descriptors of another process",
        calls: &[kcmp, pidfd_getfd, process_madvise, process_vm_readv, process_vm_writev, ptrace],
    },
    Group { why: "moves the memory of other processes between NUMA nodes", calls: &[migrate_pages, move_pages] },
    Group { why: "loads programs into the kernel", calls: &[bpf] },
    Group { why: "measures the kernel and other processes, through code with a long record of holes", calls: &[perf_event_open] },
    Group { why: "stops the kernel at a moment of the caller's choice, which makes its races easy to win", calls: &[userfaultfd] },
    Group { why: "watches every file of a mount, for other users too", calls: &[fanotify_init, fanotify_mark] },
    Group {
        why: "loads or removes kernel code, or starts another kernel",
        calls: &[delete_module, finit_module, init_module, kexec_file_load, kexec_load, reboot],
    },
    Group {
        why: "sets the clock of the whole machine; reading it this way is refused too",
        calls: &[adjtimex, clock_adjtime, clock_settime, settimeofday],
    },
    Group { why: "names the machine", calls: &[setdomainname, sethostname] },
    Group { why: "accounting, quotas and swap of the whole machine", calls: &[acct, quotactl, quotactl_fd, swapoff, swapon] },
    Group { why: "reads or clears the kernel's log", calls: &[syslog] },
    Group { why: "talks to hardware ports", calls: &[ioperm, iopl] },
    Group { why: "hangs up a terminal others may use", calls: &[vhangup] },
    Group { why: "changes segment descriptors, for 16-bit code only; a long record of holes", calls: &[modify_ldt] },
];

/// Answered ENOSYS, so that programs believe the kernel does not have it and take another way.
pub(super) const NOT_IMPLEMENTED: &[Group] = &[
    Group { why: "its flags lie in memory, where a filter cannot look; every libc falls back to clone", calls: &[clone3] },
    Group { why: "its flags and mode lie in memory, where a filter cannot look; callers fall back to openat", calls: &[openat2] },
    Group {
        why: "would carry out other system calls out of the filter's sight",
        calls: &[io_uring_enter, io_uring_register, io_uring_setup],
    },
    Group {
        why: "contexts are counted for the whole machine (fs.aio-max-nr), so that one sandbox could take them all; databases fall back to threads",
        calls: &[io_cancel, io_destroy, io_getevents, io_pgetevents, io_setup, io_submit],
    },
    Group { why: "the kernel's keyrings are not private to the sandbox", calls: &[add_key, keyctl, request_key] },
    Group { why: "memory that the host cannot inspect", calls: &[memfd_secret] },
    Group { why: "tells about mounts; programs fall back to /proc/self/mountinfo", calls: &[listmount, statmount] },
    Group { why: "attributes of security modules, and which there are", calls: &[lsm_get_self_attr, lsm_list_modules, lsm_set_self_attr] },
    Group { why: "newer than what programs need", calls: &[cachestat, file_getattr, file_setattr, process_mrelease] },
    Group {
        why: "out of use; programs of today do not call it",
        calls: &[lookup_dcookie, nfsservctl, remap_file_pages, sysfs, uselib, ustat, _sysctl],
    },
    Group {
        why: "64-bit kernels never had it, or have it no more",
        calls: &[
            afs_syscall,
            create_module,
            epoll_ctl_old,
            epoll_wait_old,
            get_kernel_syms,
            get_thread_area,
            getpmsg,
            putpmsg,
            query_module,
            security,
            set_thread_area,
            tuxcall,
            vserver,
        ],
    },
];
