/* probe COMMAND [ARGUMENTS]: tries one kind of harm. See probe.h for what it prints. */
#include "probe.h"

long tell(const char *what, long result) {
    int error = errno;
    if (result >= 0)
        printf("%s = ok\n", what);
    else
        printf("%s = %s\n", what, strerrorname_np(error) ? strerrorname_np(error) : "unknown");
    fflush(stdout);
    errno = error;
    return result;
}

int tell_child(const char *what, long (*attempt)(void *), void *argument) {
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        int error = errno;
        printf("%s: no child to try it: %s\n", what, strerrorname_np(error));
        return error;
    }
    if (child == 0) {
        errno = 0;
        long result = attempt(argument);
        _exit(result >= 0 ? 0 : errno);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        printf("%s = signal %d\n", what, WTERMSIG(status));
        fflush(stdout);
        return ECHILD;
    }
    errno = WEXITSTATUS(status);
    tell(what, errno ? -1 : 0);
    return errno;
}

uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_ms(uint64_t ms) {
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}

long number(int argc, char **argv, int index, long otherwise) {
    return index < argc ? strtol(argv[index], NULL, 0) : otherwise;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int, char **);
    } commands[] = {
#define ROW(name) {#name, do_##name},
        COMMANDS(ROW)
#undef ROW
    };
    /* A last argument "mark=..." is there for the tests to find our processes by; no command reads it. */
    if (argc > 1 && strncmp(argv[argc - 1], "mark=", 5) == 0)
        argc--;
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "probe: no command %s\n", argc > 1 ? argv[1] : "given");
    return 99;
}
