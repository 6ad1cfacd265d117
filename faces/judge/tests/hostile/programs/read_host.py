import os, sys
canary = sys.argv[1]
places = [
    canary, "/etc/shadow", "/etc/gshadow", "/root", "/var/lib", "/home/root", "/proc/1/root", "/proc/1/environ", "/proc/1/cwd", "/proc/1/fd",
    "/proc/1/maps", "/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/sysrq-trigger", "/sys/kernel", "/run", "/boot", "/etc/ssh",
    "../../../../../../" + canary, "/proc/self/root/" + canary, "/proc/self/cwd/../" + canary,
]
for place in places:
    try:
        if os.path.isdir(place):
            found = os.listdir(place)
        else:
            with open(place, "rb") as file:
                found = file.read(16)
        if found:
            print("READ", place, found)
    except OSError:
        pass
for pid in os.listdir("/proc"):
    if pid.isdigit() and int(pid) != os.getpid():
        print("SEES", pid)
for key in os.environ:
    if key not in ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER", "LIBC_FATAL_STDERR_", "JUDGE_MARK", "LC_CTYPE", "PWD"):
        print("ENVIRONMENT", key)
print("looked")
