#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* Children that work a little and end; some are the parent's siblings, whose time nobody here waits for. */
int main(void) {
    for (;;) {
        if (fork() == 0) { for (volatile int i = 0; i < 20000; i++); _exit(0); }
        if (syscall(SYS_clone, CLONE_PARENT | 17, 0, 0, 0, 0) == 0) { for (volatile int i = 0; i < 20000; i++); _exit(0); }
        while (waitpid(-1, 0, WNOHANG) > 0);
    }
}
