import socket, sys
port, abstract, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def attempt(what, action):
    try:
        action()
        print("REACHED", what)
    except OSError:
        pass
def connect(family, address):
    def action():
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(0.3)
            s.connect(address)
    return action
attempt("loopback", connect(socket.AF_INET, ("127.0.0.1", port)))
attempt("loopback 6", connect(socket.AF_INET6, ("::1", port)))
attempt("metadata", connect(socket.AF_INET, ("169.254.169.254", 80)))
attempt("lan", connect(socket.AF_INET, ("10.0.0.1", 80)))
attempt("lan 2", connect(socket.AF_INET, ("192.168.0.1", 80)))
attempt("internet", connect(socket.AF_INET, ("1.1.1.1", 53)))
attempt("abstract socket", connect(socket.AF_UNIX, "\0" + abstract))
attempt("unix socket", connect(socket.AF_UNIX, path))
def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", ("127.0.0.1", port))
attempt("datagram", datagram)
for name in ("AF_VSOCK", "AF_PACKET", "AF_ALG", "AF_BLUETOOTH", "AF_CAN", "AF_TIPC", "AF_RDS", "AF_KEY"):
    family = getattr(socket, name, None)
    if family is not None:
        for kind in (socket.SOCK_STREAM, socket.SOCK_RAW, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            attempt(name, lambda: socket.socket(family, kind).close())
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
print("tried")
