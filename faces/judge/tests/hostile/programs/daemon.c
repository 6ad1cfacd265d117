#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            signal(SIGTERM, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            for (;;) {
                int fd = open("result", O_CREAT | O_WRONLY | O_TRUNC, 0644);
                write(fd, "orphan", 6);
                close(fd);
                usleep(1000);
            }
        }
        _exit(0);
    }
    puts("parent done");
    return 0;
}
