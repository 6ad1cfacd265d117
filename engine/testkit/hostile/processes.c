/* Too many processes, processes that outlive their welcome, and processes that reach for others. */
#include "probe.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

/* forks N: N children that wait. Ends with status 7, its own. */
int do_forks(int argc, char **argv) {
    long wanted = number(argc, argv, 1, 100), made = 0;
    signal(SIGTERM, SIG_IGN);
    setpgid(0, 0); /* the signal at the end is for our children only */
    int error = 0;
    while (made < wanted) {
        pid_t child = fork();
        if (child < 0) {
            error = errno;
            break;
        }
        if (child == 0) {
            signal(SIGTERM, SIG_DFL);
            sleep_ms(30000);
            _exit(0);
        }
        made++;
    }
    printf("forks = %ld, then %s\n", made, error ? strerrorname_np(error) : "nothing");
    fflush(stdout);
    kill(0, SIGTERM);
    return 7;
}

static void *wait_here(void *unused) {
    sleep_ms(30000);
    return unused;
}

/* threads N: N threads that wait. Ends with status 7. */
int do_threads(int argc, char **argv) {
    long wanted = number(argc, argv, 1, 100), made = 0;
    int error = 0;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    while (made < wanted && error == 0) {
        pthread_t thread;
        error = pthread_create(&thread, &small, wait_here, NULL);
        made += error == 0;
    }
    printf("threads = %ld, then %s\n", made, error ? strerrorname_np(error) : "nothing");
    fflush(stdout);
    _exit(7);
}

/* storm MS [parent]: makes processes that end at once, as fast as it can. With "parent" they are its parent's children. */
int do_storm(int argc, char **argv) {
    uint64_t end = now_ms() + (uint64_t)number(argc, argv, 1, 5000);
    int to_parent = argc > 2;
    long made = 0;
    signal(SIGCHLD, SIG_IGN);
    while (now_ms() < end) {
        long child = syscall(SYS_clone, (to_parent ? CLONE_PARENT : 0) | SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            for (volatile int i = 0; i < 20000; i++) {
            }
            _exit(0);
        }
        made += child > 0;
    }
    printf("storm = %ld\n", made);
    return 0;
}

static void *spin_until(void *end) {
    while (now_ms() < *(uint64_t *)end) {
    }
    return NULL;
}

/* spin MS PROCESSES THREADS: burns CPU in every thread of every process. */
int do_spin(int argc, char **argv) {
    uint64_t end = now_ms() + (uint64_t)number(argc, argv, 1, 5000);
    long processes = number(argc, argv, 2, 1), threads = number(argc, argv, 3, 1);
    for (long i = 1; i < processes; i++)
        if (fork() == 0)
            break;
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, spin_until, &end);
    }
    spin_until(&end);
    return 0;
}

/* orphan MS FILE: leaves a daemon that keeps our streams open and writes FILE after MS; ends at once with status 0. */
int do_orphan(int argc, char **argv) {
    long delay = number(argc, argv, 1, 1000);
    if (fork() == 0) {
        setsid();
        if (fork() != 0)
            _exit(0);
        for (int sig = 1; sig < 32; sig++)
            signal(sig, SIG_IGN);
        sleep_ms((uint64_t)delay);
        int fd = open(argc > 2 ? argv[2] : "/dev/null", O_CREAT | O_WRONLY, 0644);
        ssize_t ignored = write(fd, "late\n", 5);
        (void)ignored;
        sleep_ms(30000);
        _exit(0);
    }
    sleep_ms(50);
    printf("orphan = left\n");
    return 0;
}

/* signals: everyone it can think of, with everything it has. */
int do_signals(int argc, char **argv) {
    (void)argc;
    (void)argv;
    static const int deadly[] = {SIGSTOP, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGABRT, SIGSEGV, SIGCHLD, SIGALRM, SIGKILL};
    setpgid(0, 0);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        kill(1, deadly[i]);
        if (getppid() > 0)
            kill(getppid(), deadly[i]);
        syscall(SYS_tgkill, 1, 1, deadly[i]);
    }
    int init = (int)syscall(SYS_pidfd_open, 1, 0);
    if (init >= 0)
        syscall(SYS_pidfd_send_signal, init, SIGKILL, 0, 0);
    kill(-1, SIGSTOP);
    kill(-1, SIGKILL);
    sleep_ms(100);
    printf("signals = survived\n");
    return 0;
}

/* nudge PID...: may it signal these? */
int do_nudge(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        tell(argv[i], kill((pid_t)strtol(argv[i], NULL, 10), 0));
    return 0;
}

static long attach(void *pid) {
    long result = ptrace(PTRACE_ATTACH, *(pid_t *)pid, 0, 0);
    if (result == 0) {
        /* Let it go on, for it may be our own parent. */
        waitpid(*(pid_t *)pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, *(pid_t *)pid, 0, 0);
        kill(*(pid_t *)pid, SIGCONT);
        errno = 0;
    }
    return result;
}

static long seize(void *pid) { return ptrace(PTRACE_SEIZE, *(pid_t *)pid, 0, 0); }

static long read_memory(void *pid) {
    char buffer[8];
    struct iovec here = {buffer, 8}, there = {(void *)0x400000, 8};
    return process_vm_readv(*(pid_t *)pid, &here, 1, &there, 1, 0);
}

static long take_descriptor(void *pid) {
    long target = syscall(SYS_pidfd_open, *(pid_t *)pid, 0);
    return target < 0 ? -1 : syscall(SYS_pidfd_getfd, target, 0, 0);
}

static long open_memory(void *pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", *(pid_t *)pid);
    return open(path, O_RDWR);
}

static long same_file(void *pid) { return syscall(SYS_kcmp, getpid(), *(pid_t *)pid, KCMP_FILE, 0, 0); }

static long raise_limit(void *pid) {
    struct rlimit limit = {64, 64};
    return syscall(SYS_prlimit64, *(pid_t *)pid, RLIMIT_NOFILE, &limit, 0);
}

/* attach PID: into another process, by every door. */
int do_attach(int argc, char **argv) {
    pid_t pid = (pid_t)number(argc, argv, 1, 1);
    tell_child("ptrace-attach", attach, &pid);
    tell_child("ptrace-seize", seize, &pid);
    tell_child("process_vm_readv", read_memory, &pid);
    tell_child("pidfd_getfd", take_descriptor, &pid);
    tell_child("proc-mem", open_memory, &pid);
    tell_child("kcmp", same_file, &pid);
    tell_child("prlimit", raise_limit, &pid);
    return 0;
}

/* zombies N: orphans that have ended; prints how many init has not reaped a little later. */
int do_zombies(int argc, char **argv) {
    long wanted = number(argc, argv, 1, 100);
    for (long i = 0; i < wanted; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (fork() == 0)
                _exit(0);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    long left = 0;
    for (int tries = 0; tries < 40; tries++) {
        sleep_ms(50);
        left = 0;
        for (int pid = 1; pid < 4000; pid++) {
            char path[64], text[512], *state;
            snprintf(path, sizeof path, "/proc/%d/stat", pid);
            int fd = open(path, O_RDONLY);
            if (fd < 0)
                continue;
            ssize_t got = read(fd, text, sizeof text - 1);
            close(fd);
            text[got > 0 ? got : 0] = 0;
            state = strrchr(text, ')');
            left += state && state[1] && state[2] == 'Z';
        }
        if (left == 0)
            break;
    }
    printf("zombies = %ld\n", left);
    return 0;
}

/* raise SIGNAL: to itself. */
int do_raise(int argc, char **argv) {
    raise((int)number(argc, argv, 1, SIGTERM));
    printf("raise = survived\n");
    return 0;
}

/* sleep MS, in total silence. */
int do_sleep(int argc, char **argv) {
    sleep_ms((uint64_t)number(argc, argv, 1, 30000));
    return 0;
}

/* idle MS: writes a byte now and then for MS, then falls silent for good. */
int do_idle(int argc, char **argv) {
    uint64_t end = now_ms() + (uint64_t)number(argc, argv, 1, 300);
    while (now_ms() < end) {
        printf(".");
        fflush(stdout);
        sleep_ms(50);
    }
    sleep_ms(30000);
    return 0;
}

static long set_capabilities(void *unused) {
    (void)unused;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{~0u, ~0u, ~0u}, {0x1ff, 0x1ff, 0x1ff}};
    return syscall(SYS_capset, &header, data);
}

static long raise_rlimit(void *unused) {
    (void)unused;
    struct rlimit now;
    getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_max += 1;
    now.rlim_cur = now.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &now);
}

static long be_root(void *unused) {
    (void)unused;
    return syscall(SYS_setresuid, 0, 0, 0);
}

static long be_other(void *unused) {
    (void)unused;
    return syscall(SYS_setresuid, 4242, 4242, 4242);
}

static long be_root_group(void *unused) {
    (void)unused;
    return syscall(SYS_setresgid, 0, 0, 0);
}

static long join_groups(void *unused) {
    (void)unused;
    gid_t groups[] = {0, 4, 6, 27};
    return syscall(SYS_setgroups, 4, groups);
}

static long real_time(void *unused) {
    (void)unused;
    struct sched_param highest = {99};
    return sched_setscheduler(0, SCHED_FIFO, &highest);
}

static long be_nicer(void *unused) {
    (void)unused;
    return setpriority(PRIO_PROCESS, 0, -20);
}

static long unset_privs(void *unused) {
    (void)unused;
    return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static long unlock_bits(void *unused) {
    (void)unused;
    return prctl(PR_SET_SECUREBITS, 0, 0, 0, 0);
}

static long raise_ambient(void *unused) {
    (void)unused;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0);
}

static long spare_me(void *unused) {
    (void)unused;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    return fd < 0 ? -1 : write(fd, "-1000", 5);
}

/* gain: more rights than it was given. */
int do_gain(int argc, char **argv) {
    (void)argc;
    (void)argv;
    tell_child("capset", set_capabilities, NULL);
    tell_child("setrlimit", raise_rlimit, NULL);
    tell_child("setresuid-0", be_root, NULL);
    tell_child("setresuid-4242", be_other, NULL);
    tell_child("setresgid-0", be_root_group, NULL);
    tell_child("setgroups", join_groups, NULL);
    tell_child("sched_fifo", real_time, NULL);
    tell_child("setpriority", be_nicer, NULL);
    tell_child("no_new_privs-off", unset_privs, NULL);
    tell_child("securebits", unlock_bits, NULL);
    tell_child("ambient", raise_ambient, NULL);
    tell_child("oom_score_adj", spare_me, NULL);
    return 0;
}
