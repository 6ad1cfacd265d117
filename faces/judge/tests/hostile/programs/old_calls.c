#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
/* The same calls by doors that a filter may have forgotten. */
int main(int argc, char **argv) {
    long result = -1;
    if (argc > 1) result = syscall(0x40000000 | SYS_getpid);
    else __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    (void)argv;
    puts(result > 0 ? "ALLOWED" : "refused");
    return 0;
}
