/* System calls that a sandbox has no use for, each with arguments that do no lasting harm when the call is let through.
 * EPERM or ENOSYS means the wall answered; any other errno means the kernel's own code was reached. */
#include "probe.h"
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>

#define HIGH (1ul << 32) /* a bit that the kernel drops from a 32-bit argument, and a careless filter does not */

static char page[4096];
static char word[] = "enclos-probe";

#define TRY(name, expression)                                                                                          \
    static long try_##name(void *unused) {                                                                             \
        (void)unused;                                                                                                  \
        return (long)(expression);                                                                                     \
    }

static long clone3_newuser(void) {
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } arguments = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long clone_with(unsigned long flags) {
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long setns_of_init(void) {
    int fd = open("/proc/1/ns/mnt", O_RDONLY);
    if (fd < 0)
        return -1;
    return syscall(SYS_setns, fd, 0);
}

static long setns_own(void) {
    int fd = open("/proc/self/ns/uts", O_RDONLY);
    if (fd < 0)
        return -1;
    return syscall(SYS_setns, fd, 0);
}

static long bpf_map(void) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = 4;
    attributes.value_size = 4;
    attributes.max_entries = 1;
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

static long perf_event(void) {
    struct perf_event_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_SW_CPU_CLOCK;
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static long io_uring(void) {
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters);
}

static long adjust_clock(void) {
    struct timex time = {.modes = ADJ_SETOFFSET, .time = {0, -1}}; /* invalid, should anyone look at it */
    return syscall(SYS_adjtimex, &time);
}

static long set_clock(void) {
    struct timespec invalid = {0, -1};
    return syscall(SYS_clock_settime, CLOCK_REALTIME, &invalid);
}

/* getpid of the 32-bit table, by the 32-bit gate. */
static long int80_getpid(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

/* The layout of the 32-bit keyctl (288): a second way to what the filter refuses. */
static long int80_keyctl(void) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(288L), "b"(0L), "c"(-3L), "d"(1L)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

TRY(io_uring_setup, io_uring())
TRY(io_uring_enter, syscall(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0))
TRY(io_uring_register, syscall(SYS_io_uring_register, -1, 0, 0, 0))
TRY(userfaultfd, syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */))
TRY(unshare_newuser, syscall(SYS_unshare, CLONE_NEWUSER))
TRY(unshare_newns, syscall(SYS_unshare, CLONE_NEWNS))
TRY(unshare_newnet, syscall(SYS_unshare, CLONE_NEWNET))
TRY(unshare_newpid, syscall(SYS_unshare, CLONE_NEWPID))
TRY(unshare_newcgroup, syscall(SYS_unshare, 0x02000000))
TRY(unshare_newtime, syscall(SYS_unshare, 0x00000080))
TRY(clone_newuser, clone_with(CLONE_NEWUSER))
TRY(clone_newuser_high, clone_with(CLONE_NEWUSER | HIGH))
TRY(clone_newnet, clone_with(CLONE_NEWNET))
TRY(clone3_newuser, clone3_newuser())
TRY(setns_init, setns_of_init())
TRY(setns_own, setns_own())
TRY(mount_tmpfs, syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0))
TRY(mount_proc, syscall(SYS_mount, "proc", "/tmp", "proc", 0, 0))
TRY(mount_bind, syscall(SYS_mount, "/usr", "/tmp", 0, MS_BIND, 0))
TRY(remount_usr, syscall(SYS_mount, "none", "/usr", 0, MS_REMOUNT | MS_BIND, 0))
TRY(remount_root, syscall(SYS_mount, "none", "/", 0, MS_REMOUNT | MS_BIND, 0))
TRY(umount_proc, syscall(SYS_umount2, "/proc", MNT_DETACH))
TRY(umount_usr, syscall(SYS_umount2, "/usr", MNT_DETACH))
TRY(pivot_root, syscall(SYS_pivot_root, ".", "."))
TRY(chroot, syscall(SYS_chroot, "/usr"))
TRY(fsopen, syscall(SYS_fsopen, "tmpfs", 0))
TRY(fspick, syscall(SYS_fspick, AT_FDCWD, "/", 0))
TRY(fsmount, syscall(SYS_fsmount, -1, 0, 0))
TRY(fsconfig, syscall(SYS_fsconfig, -1, 0, 0, 0, 0))
TRY(open_tree, syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */))
TRY(move_mount, syscall(SYS_move_mount, -1, "", -1, "", 0))
TRY(mount_setattr, syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, page, 32))
TRY(add_key, syscall(SYS_add_key, "user", word, word, 4, -3 /* session keyring */))
TRY(request_key, syscall(SYS_request_key, "user", word, 0, -3))
TRY(keyctl, syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3, 1))
TRY(bpf, bpf_map())
TRY(perf_event_open, perf_event())
TRY(init_module, syscall(SYS_init_module, page, 0, ""))
TRY(finit_module, syscall(SYS_finit_module, -1, "", 0))
TRY(delete_module, syscall(SYS_delete_module, word, O_NONBLOCK))
TRY(kexec_load, syscall(SYS_kexec_load, 0, 1, page, 1ul << 20))
TRY(kexec_file_load, syscall(SYS_kexec_file_load, -1, -1, 0, "", 1ul << 20))
TRY(reboot, syscall(SYS_reboot, 0, 0, 0, 0))
TRY(swapon, syscall(SYS_swapon, "/no-such-file", 0))
TRY(swapoff, syscall(SYS_swapoff, "/no-such-file"))
TRY(acct, syscall(SYS_acct, "/no-such-directory/file"))
TRY(quotactl, syscall(SYS_quotactl, QCMD(Q_GETINFO, USRQUOTA), "/no-such-file", 0, page))
TRY(settimeofday, syscall(SYS_settimeofday, 0, 0))
TRY(clock_settime, set_clock())
TRY(adjtimex, adjust_clock())
TRY(sethostname, syscall(SYS_sethostname, word, sizeof word - 1))
TRY(setdomainname, syscall(SYS_setdomainname, word, sizeof word - 1))
TRY(personality, syscall(SYS_personality, READ_IMPLIES_EXEC))
TRY(personality_high, syscall(SYS_personality, READ_IMPLIES_EXEC | HIGH))
TRY(modify_ldt, syscall(SYS_modify_ldt, 0, page, sizeof page))
TRY(memfd_secret, syscall(447, 0))
TRY(syslog, syscall(SYS_syslog, 3 /* READ_ALL */, page, sizeof page))
TRY(iopl, syscall(SYS_iopl, 3))
TRY(ioperm, syscall(SYS_ioperm, 0x80, 1, 1))
TRY(fanotify_init, syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY))
TRY(vhangup, syscall(SYS_vhangup))
TRY(lookup_dcookie, syscall(SYS_lookup_dcookie, 0, page, sizeof page))
TRY(uselib, syscall(SYS_uselib, "/no-such-file"))
TRY(sysfs, syscall(SYS_sysfs, 3))
TRY(nfsservctl, syscall(SYS_nfsservctl, 0, 0, 0))
TRY(kcmp, syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1))
TRY(open_by_handle_at, syscall(SYS_open_by_handle_at, AT_FDCWD, page, O_RDONLY))
TRY(name_to_handle_at, syscall(SYS_name_to_handle_at, AT_FDCWD, "/", page, page + 2048, 0))
TRY(int80_getpid, int80_getpid())
TRY(int80_keyctl, int80_keyctl())
TRY(x32_getpid, syscall(0x40000000 + SYS_getpid))
TRY(vsock, syscall(SYS_socket, AF_VSOCK, SOCK_STREAM, 0))
TRY(vsock_high, syscall(SYS_socket, AF_VSOCK | HIGH, SOCK_STREAM, 0))
TRY(vsock_pair, syscall(SYS_socketpair, AF_VSOCK, SOCK_STREAM, 0, page))
TRY(no_such_call, syscall(1999))

/* call NAME...: tries each, in a child of its own. */
int do_call(int argc, char **argv) {
    static const struct {
        const char *name;
        long (*attempt)(void *);
    } calls[] = {
#define ROW(name) {#name, try_##name},
        ROW(io_uring_setup) ROW(io_uring_enter) ROW(io_uring_register) ROW(userfaultfd) ROW(unshare_newuser)
        ROW(unshare_newns) ROW(unshare_newnet) ROW(unshare_newpid) ROW(unshare_newcgroup) ROW(unshare_newtime)
        ROW(clone_newuser) ROW(clone_newuser_high) ROW(clone_newnet) ROW(clone3_newuser) ROW(setns_init)
        ROW(setns_own) ROW(mount_tmpfs) ROW(mount_proc) ROW(mount_bind) ROW(remount_usr) ROW(remount_root)
        ROW(umount_proc) ROW(umount_usr) ROW(pivot_root) ROW(chroot) ROW(fsopen) ROW(fspick) ROW(fsmount)
        ROW(fsconfig) ROW(open_tree) ROW(move_mount) ROW(mount_setattr) ROW(add_key) ROW(request_key) ROW(keyctl)
        ROW(bpf) ROW(perf_event_open) ROW(init_module) ROW(finit_module) ROW(delete_module) ROW(kexec_load)
        ROW(kexec_file_load) ROW(reboot) ROW(swapon) ROW(swapoff) ROW(acct) ROW(quotactl) ROW(settimeofday)
        ROW(clock_settime) ROW(adjtimex) ROW(sethostname) ROW(setdomainname) ROW(personality)
        ROW(personality_high) ROW(modify_ldt) ROW(memfd_secret) ROW(syslog) ROW(iopl) ROW(ioperm)
        ROW(fanotify_init) ROW(vhangup) ROW(lookup_dcookie) ROW(uselib) ROW(sysfs) ROW(nfsservctl) ROW(kcmp)
        ROW(open_by_handle_at) ROW(name_to_handle_at) ROW(int80_getpid) ROW(int80_keyctl) ROW(x32_getpid)
        ROW(vsock) ROW(vsock_high) ROW(vsock_pair) ROW(no_such_call)
#undef ROW
    };
    for (int i = 1; i < argc; i++) {
        size_t j = 0;
        while (j < sizeof calls / sizeof *calls && strcmp(calls[j].name, argv[i]) != 0)
            j++;
        if (j == sizeof calls / sizeof *calls) {
            fprintf(stderr, "probe: no call %s\n", argv[i]);
            return 99;
        }
        tell_child(argv[i], calls[j].attempt, NULL);
    }
    return 0;
}
