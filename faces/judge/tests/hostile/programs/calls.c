#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <unistd.h>
/* Calls that must fail. Each one that succeeds is told. */
static void attempt(const char *what, long result) { if (result >= 0) printf("ALLOWED %s\n", what); }
#define TRY(name, ...) attempt(#name, syscall(SYS_##name, ##__VA_ARGS__))
int main(void) {
    char room[256] = {0};
    struct iovec local = {room, 64}, remote = {(void *)0x400000, 64};
    struct timex change = {.modes = ADJ_FREQUENCY};
    TRY(io_uring_setup, 8, room);
    TRY(userfaultfd, 0);
    TRY(userfaultfd, 1 /* USER_MODE_ONLY */);
    TRY(bpf, 0, room, sizeof room);
    TRY(perf_event_open, room, 0, -1, -1, 0);
    TRY(add_key, "user", "judge", "x", 1, KEY_SPEC_USER_KEYRING);
    TRY(request_key, "user", "judge", 0, 0);
    TRY(keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1);
    TRY(unshare, CLONE_NEWUSER);
    TRY(unshare, CLONE_NEWNS);
    TRY(unshare, CLONE_NEWNET);
    TRY(setns, 0, 0);
    TRY(mount, "none", "/tmp", "tmpfs", 0, 0);
    TRY(umount2, "/tmp", MNT_DETACH);
    TRY(pivot_root, "/tmp", "/tmp");
    TRY(chroot, "/tmp");
    TRY(fsopen, "tmpfs", 0);
    TRY(open_tree, AT_FDCWD, "/", 1);
    TRY(move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/box", 0);
    TRY(mount_setattr, AT_FDCWD, "/", 0, room, 32);
    TRY(open_by_handle_at, AT_FDCWD, room, 0);
    TRY(ptrace, PTRACE_ATTACH, 1, 0, 0);
    TRY(ptrace, PTRACE_SEIZE, getppid(), 0, 0);
    TRY(process_vm_readv, 1, &local, 1, &remote, 1, 0);
    TRY(kcmp, 1, 1, 0, 0, 0);
    long pidfd = syscall(SYS_pidfd_open, 1, 0);
    if (pidfd >= 0) TRY(pidfd_getfd, pidfd, 0, 0);
    TRY(init_module, room, 1, "");
    TRY(finit_module, 0, "", 0);
    TRY(delete_module, "x", 0);
    TRY(kexec_load, 0, 0, 0, 0);
    TRY(reboot, 0xfee1dead, 672274793, RB_DISABLE_CAD, 0);
    TRY(swapon, "/box/x", 0);
    TRY(acct, 0);
    TRY(quotactl, 0, 0, 0, 0);
    TRY(settimeofday, room, 0);
    TRY(clock_settime, 0, room);
    TRY(adjtimex, &change);
    TRY(sethostname, "x", 1);
    TRY(setdomainname, "x", 1);
    TRY(modify_ldt, 17, room, 16);
    TRY(memfd_secret, 0);
    TRY(personality, 0x0400000 /* READ_IMPLIES_EXEC */);
    TRY(iopl, 3);
    TRY(ioperm, 0x80, 1, 1);
    TRY(setuid, 0);
    TRY(setgid, 0);
    TRY(mknod, "/box/disk", 0060666, 0xfe00);
    TRY(mknodat, AT_FDCWD, "/tmp/mem", 0020666, 0x0101);
    TRY(syslog, 3, room, sizeof room);
    TRY(lookup_dcookie, 0, room, sizeof room);
    TRY(fanotify_init, 0, 0);
    TRY(name_to_handle_at, AT_FDCWD, "/etc/passwd", room, room + 128, 0);
    puts("tried");
    return 0;
}
