/* What can be done to what one already holds: descriptors, a terminal, a mapping; and what is counted for a whole user of the host. */
#include "probe.h"
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <termios.h>

/* held FD: everything that changes the file behind a descriptor, without opening it anew. Says it on stderr, for stdout may be what is tried. */
int do_held(int argc, char **argv) {
    int fd = (int)number(argc, argv, 1, 1), told = dup(1);
    dup2(2, 1);
    if (fd == 1)
        fd = told;
    tell("fchmod 0666", fchmod(fd, 0666));
    tell("fchmod 04755", fchmod(fd, 04755));
    tell("append off", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_APPEND));
    tell("pwrite", pwrite(fd, "PWNED", 5, 0));
    tell("ftruncate", ftruncate(fd, 2));
    tell("flock", flock(fd, LOCK_EX | LOCK_NB));
    tell("futimens", futimens(fd, NULL));
    tell("fsetxattr", fsetxattr(fd, "user.enclos", "x", 1, 0));
    return 0;
}

/* map PATH: writes a file through a shared mapping, which takes no bit from it. */
int do_map(int argc, char **argv) {
    int fd = open(argc > 1 ? argv[1] : "/dev/null", O_RDWR);
    tell("open", fd);
    if (fd < 0)
        return 0;
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    tell("map", memory == MAP_FAILED ? -1 : 0);
    if (memory != MAP_FAILED) {
        memcpy(memory, "PWNED", 5);
        tell("sync", msync(memory, 4096, MS_SYNC));
    }
    return 0;
}

/* tty raw|stop|size: changes the terminal on stdin. */
int do_tty(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "raw";
    struct termios modes;
    tell("tcgetattr", tcgetattr(0, &modes));
    if (strcmp(how, "raw") == 0) {
        cfmakeraw(&modes);
        tell("tcsetattr", tcsetattr(0, TCSANOW, &modes));
        tell("TIOCEXCL", ioctl(0, TIOCEXCL, 0));
        tell("nonblocking", fcntl(0, F_SETFL, O_RDWR | O_NONBLOCK));
        struct winsize size = {7, 7, 0, 0};
        tell("TIOCSWINSZ", ioctl(0, TIOCSWINSZ, &size));
    } else {
        tell("tcflow", tcflow(0, TCOOFF));
        for (int i = 0; i < 4000; i++)
            (void)write(1, "stopped stopped stopped\n", 24);
        sleep_ms(60000);
    }
    return 0;
}

/* counts: how much of what is counted for the user on the host one can take; each bound stops it at the latest at 20 000. */
int do_counts(int argc, char **argv) {
    (void)argc;
    (void)argv;
    long instances = 0, watches = 0, timers = 0, queues = 0;
    int first = inotify_init1(0);
    while (instances < 1000 && inotify_init1(0) >= 0)
        instances++;
    for (; watches < 20000; watches++) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/watched-%ld", watches);
        close(open(path, O_CREAT | O_WRONLY, 0600));
        if (inotify_add_watch(first, path, IN_MODIFY) < 0)
            break;
    }
    timer_t timer;
    while (timers < 20000 && timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0)
        timers++;
    for (; queues < 200; queues++) {
        char name[64];
        snprintf(name, sizeof name, "/enclos-probe-%ld", queues);
        if (mq_open(name, O_CREAT | O_RDWR, 0600, NULL) < 0)
            break;
        mq_unlink(name);
    }
    printf("inotify-instances = %ld\ninotify-watches = %ld\ntimers = %ld\nqueues = %ld\n", instances, watches, timers, queues);
    struct sched_param first_of_all = {.sched_priority = 1};
    tell("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &first_of_all));
    tell("SCHED_RR", sched_setscheduler(0, SCHED_RR, &first_of_all));
    tell("nice", setpriority(PRIO_PROCESS, 0, -5));
    tell("raise limit", setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){1 << 20, 1 << 20}));
    return 0;
}

static int bound(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* linger PORT: says whether the port is free, then leaves a connection behind that the kernel remembers for a minute (TIME_WAIT). */
int do_linger(int argc, char **argv) {
    int port = (int)number(argc, argv, 1, 8080), server = bound(port);
    tell("bind", server);
    FILE *table = fopen("/proc/net/tcp", "r");
    char line[512];
    int lines = -1;
    while (table && fgets(line, sizeof line, table))
        lines++;
    printf("sockets = %d\n", lines);
    if (server < 0)
        return 0;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    tell("connect", connect(client, (struct sockaddr *)&address, sizeof address));
    int visitor = accept(server, NULL, NULL);
    close(visitor);
    sleep_ms(50);
    close(client);
    close(server);
    sleep_ms(50);
    int again = bound(port);
    tell("left", again < 0 ? 0 : -1);
    return 0;
}

/* marks PATH: what an overlay understands as a mark of its own, put on a directory or a file. */
int do_marks(int argc, char **argv) {
    static const char *names[] = {"user.overlay.opaque", "user.overlay.redirect", "user.overlay.metacopy", "user.overlay.origin",
                                  "trusted.overlay.opaque", "trusted.overlay.redirect"};
    const char *path = argc > 1 ? argv[1] : ".";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        tell(names[i], setxattr(path, names[i], "y", 1, 0));
    return 0;
}
