/* Ways to reach something outside: sockets, interfaces, terminals, and what is left for whoever comes next. */
#include "probe.h"
#include <arpa/inet.h>
#include <linux/if_alg.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static long open_socket(void *arguments) {
    int *a = arguments;
    return socket(a[0], a[1], a[2]);
}

/* socket: every family that is a way out or a way into the kernel. */
int do_socket(int argc, char **argv) {
    (void)argc;
    (void)argv;
    static struct {
        const char *name;
        int arguments[3];
    } kinds[] = {
        {"vsock", {40, SOCK_STREAM, 0}},
        {"alg", {38, SOCK_SEQPACKET, 0}},
        {"packet", {17, SOCK_RAW, 0x0300}},
        {"raw", {AF_INET, SOCK_RAW, 1}},
        {"netlink-audit", {AF_NETLINK, SOCK_RAW, 9}},
        {"netlink-netfilter", {AF_NETLINK, SOCK_RAW, 12}},
        {"netlink-xfrm", {AF_NETLINK, SOCK_RAW, 6}},
        {"netlink-uevent", {AF_NETLINK, SOCK_RAW, 15}},
        {"key", {15, SOCK_RAW, 2}},
        {"bluetooth", {31, SOCK_RAW, 0}},
        {"can", {29, SOCK_RAW, 1}},
        {"tipc", {30, SOCK_SEQPACKET, 0}},
        {"rds", {21, SOCK_SEQPACKET, 0}},
        {"xdp", {44, SOCK_RAW, 0}},
        {"kcm", {41, SOCK_DGRAM, 0}},
        {"qipcrtr", {42, SOCK_DGRAM, 0}},
        {"smc", {43, SOCK_STREAM, 0}},
        {"sctp", {AF_INET, SOCK_STREAM, 132}},
        {"mctp", {45, SOCK_DGRAM, 0}},
        {"ax25", {3, SOCK_DGRAM, 0}},
        {"x25", {9, SOCK_SEQPACKET, 0}},
        {"appletalk", {5, SOCK_DGRAM, 0}},
        {"nfc", {39, SOCK_SEQPACKET, 0}},
        {"caif", {37, SOCK_STREAM, 0}},
        {"phonet", {35, SOCK_DGRAM, 0}},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        tell_child(kinds[i].name, open_socket, kinds[i].arguments);
    return 0;
}

/* tcp ADDRESS PORT [ADDRESS PORT]...: connects within a second. */
int do_tcp(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct timeval second = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[i + 1]))};
        inet_aton(argv[i], &address.sin_addr);
        char what[64];
        snprintf(what, sizeof what, "%s:%s", argv[i], argv[i + 1]);
        tell(what, fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address));
        close(fd);
    }
    return 0;
}

static socklen_t abstract_name(struct sockaddr_un *address, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path + 1, name, sizeof address->sun_path - 2);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* abstract NAME...: connects to abstract sockets, as a stream and as datagrams. */
int do_abstract(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        struct sockaddr_un address;
        socklen_t length = abstract_name(&address, argv[i]);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        tell(argv[i], fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, length));
        close(fd);
    }
    return 0;
}

/* listen PORT NAME MS: a TCP and an abstract listener; says whether anyone came. */
int do_listen(int argc, char **argv) {
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(argc, argv, 1, 0))};
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_un address;
    socklen_t length = abstract_name(&address, argc > 2 ? argv[2] : "probe");
    int one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), two = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    tell("bind-tcp", bind(one, (struct sockaddr *)&tcp, sizeof tcp));
    tell("bind-abstract", bind(two, (struct sockaddr *)&address, length));
    listen(one, 4);
    listen(two, 4);
    uint64_t end = now_ms() + (uint64_t)number(argc, argv, 3, 1000);
    int came = 0;
    while (now_ms() < end && !came) {
        came = accept(one, NULL, NULL) >= 0 || accept(two, NULL, NULL) >= 0;
        sleep_ms(10);
    }
    printf("visitor = %s\n", came ? "came" : "none");
    return 0;
}

/* interfaces: their names and whether they are up. */
int do_interfaces(int argc, char **argv) {
    (void)argc;
    (void)argv;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int index = 1; index < 64; index++) {
        struct ifreq request = {.ifr_ifindex = index};
        if (ioctl(fd, SIOCGIFNAME, &request) == 0) {
            ioctl(fd, SIOCGIFFLAGS, &request);
            printf("interface %s %s\n", request.ifr_name, request.ifr_flags & IFF_UP ? "up" : "down");
        }
    }
    return 0;
}

/* ifup: brings lo up, gives it an address, and asks for a new interface, by ioctl and by netlink. */
int do_ifup(int argc, char **argv) {
    (void)argc;
    (void)argv;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo"};
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    tell("up", fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request));
    struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(0x7f000002);
    tell("address", fd < 0 ? -1 : ioctl(fd, SIOCSIFADDR, &request));
    return 0;
}

static const char *letter = "x";
static unsigned long sti_request, linux_request;

static void push_into(const char *what, int fd) {
    char name[64];
    const char *text = letter;
    static const unsigned long tricks[] = {0, 1ul << 32, 0xfffffffful << 32};
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s TIOCSTI%s", what, i ? " high bits" : "");
        tell(name, syscall(SYS_ioctl, fd, sti_request | tricks[i], text));
        char subcode[4] = {2 /* set selection */, 0, 0, 0};
        snprintf(name, sizeof name, "%s TIOCLINUX%s", what, i ? " high bits" : "");
        tell(name, syscall(SYS_ioctl, fd, linux_request | tricks[i], subcode));
    }
}

/* sti: types into the caller's terminal, through every descriptor that may be it. */
int do_sti(int argc, char **argv) {
    (void)argc;
    (void)argv;
    sti_request = TIOCSTI;
    linux_request = TIOCLINUX;
    push_into("stdin", 0);
    push_into("stderr", 2);
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY);
    tell("open /dev/tty", fd);
    if (fd >= 0)
        push_into("/dev/tty", fd);
    return 0;
}

/* steal: makes the terminal on stdin its own, then asks for its foreground and its name. */
int do_steal(int argc, char **argv) {
    (void)argc;
    (void)argv;
    setsid();
    tell("TIOCSCTTY", ioctl(0, TIOCSCTTY, 1));
    tell("TIOCSETD", ioctl(0, TIOCSETD, &(int){N_TTY + 15}));
    printf("sid = %d of %d\n", getsid(0), getpid());
    return 0;
}

/* leave KEY: what the next one could find: System V and POSIX objects, files in the shared places. Says which of them were there already. */
int do_leave(int argc, char **argv) {
    key_t key = (key_t)number(argc, argv, 1, 0x454e434c);
    char queue[64], shared[64], file[64];
    snprintf(queue, sizeof queue, "/enclos-probe-%x", key);
    snprintf(shared, sizeof shared, "/dev/shm/enclos-probe-%x", key);
    snprintf(file, sizeof file, "/tmp/enclos-probe-%x", key);
    tell("found-shm", shmget(key, 4096, 0));
    tell("found-sem", semget(key, 1, 0));
    tell("found-msg", msgget(key, 0));
    tell("found-mq", mq_open(queue, O_RDONLY));
    tell("found-dev-shm", open(shared, O_RDONLY));
    tell("found-tmp", open(file, O_RDONLY));
    shmget(key, 4096, IPC_CREAT | 0666);
    semget(key, 1, IPC_CREAT | 0666);
    msgget(key, IPC_CREAT | 0666);
    mq_open(queue, O_CREAT | O_RDWR, 0666, NULL);
    close(open(shared, O_CREAT | O_WRONLY, 0666));
    close(open(file, O_CREAT | O_WRONLY, 0666));
    printf("left = %d\n", shmget(key, 4096, 0) >= 0);
    return 0;
}

/* forget KEY: takes away what `leave` left where it stands, for there it is the host. */
int do_forget(int argc, char **argv) {
    key_t key = (key_t)number(argc, argv, 1, 0x454e434c);
    char name[64];
    int memory = shmget(key, 0, 0), semaphore = semget(key, 0, 0), messages = msgget(key, 0);
    if (memory >= 0)
        shmctl(memory, IPC_RMID, NULL);
    if (semaphore >= 0)
        semctl(semaphore, 0, IPC_RMID);
    if (messages >= 0)
        msgctl(messages, IPC_RMID, NULL);
    snprintf(name, sizeof name, "/enclos-probe-%x", key);
    mq_unlink(name);
    snprintf(name, sizeof name, "/dev/shm/enclos-probe-%x", key);
    unlink(name);
    snprintf(name, sizeof name, "/tmp/enclos-probe-%x", key);
    unlink(name);
    return 0;
}
