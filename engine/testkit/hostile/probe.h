/* What the parts of the probe share. Each part tries one kind of harm and prints one line for each try:
 *   WHAT = ok          the try succeeded
 *   WHAT = EPERM       it failed, with this errno
 *   WHAT = signal 31   the child that tried it was killed
 * The tests read these lines; the probe itself does not know what is right. Every loop has a bound of its own, so that a probe
 * run without any wall (the suite's control runs) does no lasting harm. */
#ifndef PROBE_H
#define PROBE_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Prints "what = ok" for result >= 0, else "what = ERRNO". Gives the result back. */
long tell(const char *what, long result);
/* Runs `attempt` in a child and tells what became of it, so that a deadly filter does not end the probe. Gives 0 or the errno. */
int tell_child(const char *what, long (*attempt)(void *), void *argument);
/* Milliseconds of the monotonic clock. */
uint64_t now_ms(void);
void sleep_ms(uint64_t ms);
/* The argument at `index` as a number, or `otherwise`. */
long number(int argc, char **argv, int index, long otherwise);

#define COMMANDS(X)                                                                                                    \
    X(call) X(forks) X(threads) X(storm) X(spin) X(orphan) X(signals) X(nudge) X(attach) X(zombies) X(raise)  \
    X(sleep) X(gain) X(idle) X(touch) X(children) X(memfd) X(sysv) X(pipes) X(sockets) X(mlock) X(noreserve) X(stack)  \
    X(write) X(open) X(fill) X(inodes) X(sparse) X(fallocate) X(chmod) X(mknod) X(fds) X(list) X(grepproc) X(ids)      \
    X(names) X(reopen) X(flood) X(handle) X(writable) X(readlink) X(leave) X(find) X(socket) X(tcp) X(abstract)        \
    X(listen) X(interfaces) X(ifup) X(sti) X(steal) X(held) X(map) X(tty) X(counts) X(linger) X(forget) X(marks)
#define DECLARE(name) int do_##name(int argc, char **argv);
COMMANDS(DECLARE)
#undef DECLARE
#endif
