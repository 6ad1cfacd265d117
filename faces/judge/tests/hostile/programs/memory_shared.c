#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>
/* 300 MB in memory that is no process's own; which kind, the argument says. */
enum { CHUNK = 1 << 20, COUNT = 300 };
static char chunk[CHUNK];
int main(int argc, char **argv) {
    const char *kind = argc > 1 ? argv[1] : "";
    memset(chunk, 1, CHUNK);
    if (!strcmp(kind, "shm")) {
        int fd = open("/dev/shm/x", O_CREAT | O_RDWR, 0600);
        for (int i = 0; i < COUNT; i++) if (write(fd, chunk, CHUNK) != CHUNK) { perror("write"); return 3; }
    } else if (!strcmp(kind, "memfd")) {
        int fd = memfd_create("x", 0);
        for (int i = 0; i < COUNT; i++) if (write(fd, chunk, CHUNK) != CHUNK) { perror("write"); return 3; }
    } else if (!strcmp(kind, "sysv")) {
        for (int i = 0; i < COUNT; i++) {
            int id = shmget(IPC_PRIVATE, CHUNK, IPC_CREAT | 0600);
            char *p = id < 0 ? (char *)-1 : shmat(id, 0, 0);
            if (p == (char *)-1) { perror("shm"); return 3; }
            memset(p, 1, CHUNK);
        }
    } else if (!strcmp(kind, "mlock")) {
        for (int i = 0; i < COUNT; i++) {
            char *p = mmap(0, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p == MAP_FAILED || mlock(p, CHUNK)) { perror("mlock"); return 3; }
        }
    } else if (!strcmp(kind, "pipes")) {
        for (int i = 0; i < 100000; i++) {
            int fds[2];
            if (pipe2(fds, O_NONBLOCK)) { perror("pipe"); return 3; }
            fcntl(fds[1], F_SETPIPE_SZ, CHUNK);
            while (write(fds[1], chunk, CHUNK) > 0);
        }
    } else if (!strcmp(kind, "sockets")) {
        for (int i = 0; i < 100000; i++) {
            int fds[2];
            if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds)) { perror("socketpair"); return 3; }
            while (write(fds[1], chunk, CHUNK) > 0);
        }
    }
    puts("all of it");
    return 0;
}
