#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    static char block[1 << 16];
    memset(block, 'y', sizeof block);
    for (;;) if (write(argc > 1 ? 2 : 1, block, sizeof block) < 0) return 3;
    (void)argv;
}
