"""Plays the terminal: terminal.py STEPS PROGRAM ARGUMENTS... See terminal.rs for the steps."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

shown = b""
seen = 0  # How much of it earlier `expect` steps have used up.


def read_some(master, seconds):
    """Adds what is shown within `seconds`; False once the other side is gone."""
    global shown
    if not select.select([master], [], [], seconds)[0]:
        return True
    try:
        data = os.read(master, 65536)
    except OSError:
        return False
    shown += data
    return bool(data)


def resize(master, rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def ended(child):
    """The status, once there is one."""
    pid, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def main():
    global seen
    steps, command = sys.argv[1], sys.argv[2:]
    master, slave = pty.openpty()
    resize(master, 40, 100)
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.closerange(3, 256)
        os.execv(command[0], command)
    deadline = time.monotonic() + 40
    note = ""
    for step in steps.split("\n"):
        word, _, rest = step.partition(" ")
        if word == "expect":
            while shown.find(rest.encode(), seen) < 0:
                if time.monotonic() > deadline or not read_some(master, 0.2):
                    sys.stdout.buffer.write(shown)
                    sys.exit(f"waited in vain for {rest!r}")
            seen = shown.find(rest.encode(), seen) + len(rest.encode())
        elif word == "send":
            os.write(master, rest.encode().decode("unicode_escape").encode())
        elif word == "resize":
            resize(master, *map(int, rest.split()))
        elif word == "wait":
            time.sleep(float(rest))
        elif word == "hangup":
            os.close(slave)
            os.close(master)
            while ended(child) is None and time.monotonic() < deadline:
                time.sleep(0.01)
            print("[gone]" if time.monotonic() < deadline else "[still there]")
            return
        elif word == "end":
            status = None
            while status is None and time.monotonic() < deadline:
                read_some(master, 0.02)
                status = ended(child)
            while select.select([master], [], [], 0.05)[0] and read_some(master, 0):
                pass
            if status is None:
                os.kill(child, signal.SIGKILL)
                note = "[stuck]"
            else:
                note = f"[exit {status if status >= 0 else 'by signal %d' % -status}]"
            note += "[modes same]" if termios.tcgetattr(slave) == before else "[modes changed]"
    sys.stdout.buffer.write(shown)
    sys.stdout.buffer.flush()
    print(note)


main()
