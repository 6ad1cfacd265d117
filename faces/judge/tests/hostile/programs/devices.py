import os
for name in ["kmsg", "mem", "port", "vda", "sda", "nvme0n1", "loop-control", "loop0", "fuse", "kvm", "net/tun", "userfaultfd", "vsock", "vhost-vsock", "dri/card0", "input/event0", "hwrng", "console", "ttyS0"]:
    for flags in (os.O_RDONLY, os.O_RDWR):
        try:
            os.close(os.open("/dev/" + name, flags | os.O_NONBLOCK))
            print("OPENED", name)
        except OSError:
            pass
allowed = {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "shm", "pts", "ptmx", "core"}
print("extra", sorted(set(os.listdir("/dev")) - allowed))
for place in ("/box/null", "/tmp/null", "/dev/shm/null"):
    try:
        os.mknod(place, 0o20666, os.makedev(1, 3))
        print("MADE", place)
    except OSError:
        pass
