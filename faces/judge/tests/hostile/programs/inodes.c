#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char name[64];
    close(open("first", O_CREAT | O_WRONLY, 0600));
    for (int i = 0; i < 1000000; i++) {
        sprintf(name, "f%d", i);
        int failed = argc > 1 ? link("first", name) : (close(open(name, O_CREAT | O_WRONLY, 0600)) && errno);
        if (failed) { printf("%s after %d\n", access(name, F_OK) ? "refused" : "odd", i); return 3; }
    }
    (void)argv;
    puts("a million");
    return 0;
}
