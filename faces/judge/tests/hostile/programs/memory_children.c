#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 5; i++)
        if (fork() == 0) { volatile char *p = malloc(60 << 20); for (int at = 0; at < 60 << 20; at += 4096) p[at] = 1; sleep(1); _exit(p[4096] == 2); }
    while (wait(0) > 0);
    return 0;
}
