"""Mounts a workspace as the engine does for root: layers with an id map, the overlay in a user namespace of 65536 ids that are nobody's.

usage: shifted.py POINT LOWER:LOWER... LAYER SCRIPT     (LAYER holds `upper` and `work`)
"""

import ctypes
import os
import struct
import sys

BASE, COUNT = 200000, 65536
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
OPEN_TREE_CLONE, EMPTY_PATH, IDMAP = 1, 0x1000, 0x100000

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def in_new_user_namespace(act):
    """Forks a child into a user namespace with the map; the parent runs `act` with its pid, then lets it go on."""
    ready, made, go, told = *os.pipe(), *os.pipe()
    pid = os.fork()
    if pid == 0:
        check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
        os.write(made, b"x")
        os.close(told)
        if os.read(go, 1) != b"x":
            os._exit(0)
        return None
    os.read(ready, 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(f"0 {BASE} {COUNT}\n")
    act(pid)
    os.write(told, b"x")
    return pid


def attach(source, target, namespace):
    tree = check(libc.syscall(OPEN_TREE, -100, source.encode(), OPEN_TREE_CLONE | os.O_CLOEXEC))
    attributes = struct.pack("QQQQ", IDMAP, 0, 0, namespace)
    check(libc.syscall(MOUNT_SETATTR, tree, b"", EMPTY_PATH, attributes, len(attributes)))
    check(libc.syscall(MOVE_MOUNT, tree, b"", -100, target.encode(), 4))


point, lower, layer, script = sys.argv[1:]
check(libc.unshare(CLONE_NEWNS))
check(libc.mount(b"none", b"/", None, (1 << 18) | (1 << 14), None))
# Short names, on a tmpfs that the namespace can pass through.
check(libc.mount(b"tmpfs", point.encode(), b"tmpfs", 0, b"mode=755"))
os.chdir(point)


def layers(pid):
    namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    for name, source in [(f"l{n}", path) for n, path in enumerate(lower.split(":"))] + [("k", layer)]:
        os.mkdir(name)
        attach(source, name, namespace)
    os.mkdir("merged")


holder = in_new_user_namespace(layers)
if holder is None:
    os._exit(0)
os.waitpid(holder, 0)
# Namespaces are copied with their mounts: the one that runs the command is made after the layers are there.
runner = in_new_user_namespace(lambda pid: None)
if runner is not None:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1]))
os.setgroups([])
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
names = ":".join(f"l{n}" for n in range(len(lower.split(":"))))
options = f"lowerdir={names},upperdir=k/upper,workdir=k/work,userxattr"
check(libc.mount(b"overlay", b"merged", b"overlay", 6, options.encode()))
os.chdir("merged")
user = ["--reuid", "1000", "--regid", "1000", "--clear-groups"]
os.execvp("setpriv", ["setpriv", *user, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "sh", "-c", script])
