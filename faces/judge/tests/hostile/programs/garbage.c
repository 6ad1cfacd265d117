#include <stdio.h>
int main(void) {
    for (int i = 0; i < 256; i++) putchar(i);
    fputs("\033[2J\033]0;title\007\xc3\x28", stdout);
    return 0;
}
