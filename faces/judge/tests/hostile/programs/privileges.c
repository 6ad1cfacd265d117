#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (argc > 1) {
        printf(geteuid() == getuid() && getuid() != 0 ? "the same user\n" : "GAINED\n");
        return 0;
    }
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status)) {
        if (!strncmp(line, "NoNewPrivs:\t0", 13)) puts("GAINED no_new_privs is off");
        if (!strncmp(line, "Cap", 3) && strtoull(line + 8, 0, 16)) printf("GAINED %s", line);
    }
    const char *programs[] = {"/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/usr/bin/newuidmap"};
    for (int i = 0; i < 4; i++) {
        char command[64];
        snprintf(command, sizeof command, "%s root </dev/null >/dev/null 2>&1", programs[i]);
        if (system(command) == 0) printf("GAINED %s\n", programs[i]);
    }
    chmod(argv[0], 06755);
    fflush(stdout);
    execl(argv[0], argv[0], "again", (char *)0);
    perror("execl");
    return 3;
}
