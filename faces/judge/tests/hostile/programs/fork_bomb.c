#include <errno.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    int made = 0;
    for (int i = 0; i < 2000; i++) {
        int pid = fork();
        if (pid == 0) for (;;) pause();
        if (pid < 0) { printf("refused after %d: %s\n", made, errno == EAGAIN ? "EAGAIN" : "another error"); return 7; }
        made++;
    }
    puts("never refused");
    return 0;
}
