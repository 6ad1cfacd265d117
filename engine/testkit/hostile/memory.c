/* Memory, in every shape it can be had. Each command takes how many MiB it should try for and says how many it got. */
#include "probe.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>

#define MIB (1ul << 20)

static void got(const char *what, long mib, int error) {
    printf("%s = %ld MiB, then %s\n", what, mib, error ? strerrorname_np(error) : "nothing");
    fflush(stdout);
}

static int touch_pages(long mib) {
    for (long i = 0; i < mib; i++) {
        char *block = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) {
            got("touch", i, errno);
            return 1;
        }
        memset(block, 1, MIB);
    }
    return 0;
}

/* touch MIB: anonymous pages. */
int do_touch(int argc, char **argv) {
    long mib = number(argc, argv, 1, 64);
    if (touch_pages(mib))
        return 1;
    got("touch", mib, 0);
    return 0;
}

/* children N MIB: N children of MIB each, all alive at once; ends with status 0 whatever becomes of them. */
int do_children(int argc, char **argv) {
    long count = number(argc, argv, 1, 5), mib = number(argc, argv, 2, 60), killed = 0;
    for (long i = 0; i < count; i++)
        if (fork() == 0) {
            touch_pages(mib);
            sleep_ms(1000);
            _exit(0);
        }
    int status;
    while (wait(&status) > 0)
        killed += WIFSIGNALED(status);
    printf("children = %ld killed\n", killed);
    return 0;
}

/* memfd MIB */
int do_memfd(int argc, char **argv) {
    long mib = number(argc, argv, 1, 64);
    int fd = (int)syscall(SYS_memfd_create, "hog", 0);
    static char block[MIB];
    for (long i = 0; i < mib; i++)
        if (write(fd, block, sizeof block) < 0) {
            got("memfd", i, errno);
            return 1;
        }
    got("memfd", mib, 0);
    return 0;
}

/* sysv MIB: shared memory segments, each removed at once so that a control run leaves nothing. */
int do_sysv(int argc, char **argv) {
    long mib = number(argc, argv, 1, 64);
    for (long i = 0; i < mib; i += 16) {
        int id = shmget(IPC_PRIVATE, 16 * MIB, IPC_CREAT | 0600);
        char *segment = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
        if (id >= 0)
            shmctl(id, IPC_RMID, NULL);
        if (segment == (void *)-1) {
            got("sysv", i, errno);
            return 1;
        }
        memset(segment, 1, 16 * MIB);
    }
    got("sysv", mib, 0);
    return 0;
}

/* pipes MIB: full pipe buffers. */
int do_pipes(int argc, char **argv) {
    long wanted = number(argc, argv, 1, 64);
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    static char block[65536];
    unsigned long bytes = 0;
    int error = 0;
    while (bytes < (unsigned long)wanted * MIB && !error) {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK) < 0) {
            error = errno;
            break;
        }
        fcntl(ends[1], F_SETPIPE_SZ, (int)MIB);
        ssize_t put;
        while ((put = write(ends[1], block, sizeof block)) > 0)
            bytes += (unsigned long)put;
    }
    got("pipes", (long)(bytes / MIB), error);
    return 0;
}

/* sockets MIB: full buffers of socket pairs. */
int do_sockets(int argc, char **argv) {
    long wanted = number(argc, argv, 1, 64);
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    static char block[32768];
    unsigned long bytes = 0;
    int error = 0;
    while (bytes < (unsigned long)wanted * MIB && !error) {
        int ends[2], size = 1 << 24;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0) {
            error = errno;
            break;
        }
        for (int i = 0; i < 2; i++) {
            setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
            ssize_t put;
            while ((put = write(ends[i], block, sizeof block)) > 0)
                bytes += (unsigned long)put;
        }
    }
    got("sockets", (long)(bytes / MIB), error);
    return 0;
}

/* mlock MIB: memory that cannot be swapped. */
int do_mlock(int argc, char **argv) {
    long mib = number(argc, argv, 1, 64);
    char *block = mmap(NULL, (size_t)mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tell("mlock", block == MAP_FAILED ? -1 : mlock(block, (size_t)mib * MIB));
    return 0;
}

/* noreserve GIB: address space that is never touched. */
int do_noreserve(int argc, char **argv) {
    size_t bytes = (size_t)number(argc, argv, 1, 1024) << 30;
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tell("noreserve", block == MAP_FAILED ? -1 : 0);
    return 0;
}

static int deeper(volatile char *above) {
    volatile char frame[4096];
    frame[0] = above ? above[0] : 1;
    frame[4095] = frame[0];
    return deeper(frame) + frame[4095];
}

/* stack: recursion without an end. */
int do_stack(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return deeper(NULL);
}
