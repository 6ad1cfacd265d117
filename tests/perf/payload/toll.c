// Times itself: `toll KIND COUNT` does KIND of work COUNT times and prints nanoseconds of CPU per time. CPU, not wall clock: what a busy
// machine gives to others in between is not a cost of the walls.
//
//   cpu      a step of xorshift over a table that fits the first-level cache
//   getpid   the shortest system call there is
//   read     a page of /dev/zero
//   open     open and close of the program's own file
//   calls    one each of getpid, read, open: a program bound by system calls of the usual kinds
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char page[4096];
static volatile uint64_t table[1024];
static int zero;
static const char *own;

static void cpu(void) {
    static uint64_t state = 88172645463325252u;
    for (int step = 0; step < 64; step++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        table[state % 1024] += state;
    }
}

static void call_getpid(void) {
    syscall(SYS_getpid);
}

static void call_read(void) {
    if (read(zero, page, sizeof page) != (ssize_t)sizeof page) {
        perror("read");
        exit(1);
    }
}

static void call_open(void) {
    int fd = open(own, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(own);
        exit(1);
    }
    close(fd);
}

static void calls(void) {
    call_getpid();
    call_read();
    call_open();
}

static const struct {
    const char *name;
    void (*work)(void);
} kinds[] = {{"cpu", cpu}, {"getpid", call_getpid}, {"read", call_read}, {"open", call_open}, {"calls", calls}};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: toll KIND COUNT\n");
        return 2;
    }
    own = argv[0];
    zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (zero < 0) {
        perror("/dev/zero");
        return 1;
    }
    long count = atol(argv[2]);
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        if (strcmp(kinds[kind].name, argv[1]) != 0) {
            continue;
        }
        for (long warm = 0; warm < count / 10; warm++) {
            kinds[kind].work();
        }
        double start = now();
        for (long done = 0; done < count; done++) {
            kinds[kind].work();
        }
        printf("%.2f\n", (now() - start) / (double)count);
        return 0;
    }
    fprintf(stderr, "toll: no such kind: %s\n", argv[1]);
    return 2;
}
