#include <stdio.h>
static int down(volatile int depth) { volatile char room[512] = {0}; return down(depth + 1) + room[depth % 512]; }
int main(void) { printf("%d\n", down(0)); return 0; }
