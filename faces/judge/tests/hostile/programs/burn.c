#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *burn(void *nothing) { for (volatile unsigned long i = 0;; i++); return nothing; }
int main(int argc, char **argv) {
    int count = argc > 2 ? atoi(argv[2]) : 0;
    for (int i = 0; i < count; i++) {
        if (!strcmp(argv[1], "children")) { if (fork() == 0) burn(0); }
        /* Where the kernel shares processors between sessions, each has a part of its own. */
        else if (!strcmp(argv[1], "sessions")) { if (fork() == 0) { setsid(); burn(0); } }
        else { pthread_t thread; if (pthread_create(&thread, 0, burn, 0)) return 3; }
    }
    if (count) for (;;) pause();
    burn(0);
}
