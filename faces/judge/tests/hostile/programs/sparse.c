#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN);
    int fd = open("big", O_CREAT | O_RDWR, 0600);
    if (argc > 1 ? fallocate(fd, 0, 0, 100l << 30) : ftruncate(fd, 1l << 40)) { perror("refused"); return 3; }
    (void)argv;
    puts("allowed");
    return 0;
}
