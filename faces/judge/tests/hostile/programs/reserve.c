#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
int main(void) {
    void *p = mmap(0, 1ul << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) { perror("mmap"); return 3; }
    puts("reserved");
    return 0;
}
