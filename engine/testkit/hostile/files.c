/* Files: other people's, too many, too large, of the wrong kind, and through the wrong door. */
#include "probe.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* open MODE PATH...: MODE is r, w, a (append), c (create), d (directory), x (execute bit). A path that opens for reading also shows its first bytes. */
int do_open(int argc, char **argv) {
    char mode = argc > 1 ? argv[1][0] : 'r';
    for (int i = 2; i < argc; i++) {
        int flags = mode == 'r'   ? O_RDONLY | O_NONBLOCK
                    : mode == 'w' ? O_WRONLY | O_NONBLOCK
                    : mode == 'a' ? O_WRONLY | O_APPEND | O_NONBLOCK
                    : mode == 'd' ? O_RDONLY | O_DIRECTORY
                                  : O_WRONLY | O_CREAT | O_EXCL;
        int fd = open(argv[i], flags | O_NOCTTY, 0644);
        if (fd >= 0 && mode == 'r') {
            char text[33] = "";
            ssize_t count = read(fd, text, sizeof text - 1);
            int zeros = count > 0;
            for (ssize_t j = 0; j < count; j++) {
                zeros = zeros && (text[j] == '0' || text[j] == 0);
                if (text[j] < 32 || text[j] > 126)
                    text[j] = '.';
            }
            printf("%s = ok, %zd bytes%s: %s\n", argv[i], count, zeros ? " of zero" : "", count > 0 ? text : "");
        } else {
            tell(argv[i], fd);
        }
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

/* write PATH MIB: a file of that size; ends with status 1 if it cannot be had. */
int do_write(int argc, char **argv) {
    static char block[1 << 16];
    memset(block, 1, sizeof block);
    unsigned long wanted = (unsigned long)number(argc, argv, 2, 64) << 20, bytes = 0;
    int fd = open(argv[1], O_CREAT | O_WRONLY, 0644), error = fd < 0 ? errno : 0;
    signal(SIGXFSZ, SIG_IGN);
    while (!error && bytes < wanted) {
        ssize_t put = write(fd, block, sizeof block);
        if (put < 0)
            error = errno;
        else
            bytes += (unsigned long)put;
    }
    printf("write = %lu KiB, then %s\n", bytes >> 10, error ? strerrorname_np(error) : "nothing");
    return error ? 1 : 0;
}

/* fill MIB DIR...: writes into every directory until it is full, or MIB are written in all. */
int do_fill(int argc, char **argv) {
    static char block[1 << 16];
    memset(block, 1, sizeof block);
    unsigned long limit = (unsigned long)number(argc, argv, 1, 256) << 20, total = 0;
    for (int i = 2; i < argc; i++) {
        char path[4200];
        unsigned long here = 0;
        snprintf(path, sizeof path, "%s/fill", argv[i]);
        int fd = open(path, O_CREAT | O_WRONLY, 0644);
        ssize_t put = 0;
        while (fd >= 0 && total < limit && (put = write(fd, block, sizeof block)) > 0) {
            total += (unsigned long)put;
            here += (unsigned long)put;
        }
        printf("%s = %lu KiB, then %s\n", argv[i], here >> 10, fd < 0 || put < 0 ? strerrorname_np(errno) : "nothing");
    }
    printf("total = %lu KiB\n", total >> 10);
    return 0;
}

/* inodes N DIR...: empty files and directories in each until none can be made. */
int do_inodes(int argc, char **argv) {
    long limit = number(argc, argv, 1, 5000), total = 0;
    int error = 0;
    for (int i = 2; i < argc; i++)
        for (long j = 0; j < limit; j++) {
            char path[4200];
            snprintf(path, sizeof path, "%s/%ld", argv[i], j);
            int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
            if (fd < 0) {
                error = errno;
                break;
            }
            close(fd);
            total++;
        }
    printf("inodes = %ld, then %s\n", total, error ? strerrorname_np(error) : "nothing");
    return error ? 1 : 0;
}

/* sparse PATH GIB: a file with a hole. */
int do_sparse(int argc, char **argv) {
    int fd = open(argv[1], O_CREAT | O_RDWR, 0644);
    signal(SIGXFSZ, SIG_IGN);
    long result = fd < 0 ? -1 : ftruncate(fd, (off_t)number(argc, argv, 2, 1024) << 30);
    tell("sparse", result);
    return result < 0;
}

/* fallocate PATH GIB: a file with its blocks. */
int do_fallocate(int argc, char **argv) {
    int fd = open(argv[1], O_CREAT | O_RDWR, 0644);
    signal(SIGXFSZ, SIG_IGN);
    long result = fd < 0 ? -1 : fallocate(fd, 0, 0, (off_t)number(argc, argv, 2, 100) << 30);
    tell("fallocate", result);
    return result < 0;
}

/* chmod MODE PATH: by every call that sets the mode of a file, with bits the kernel drops as well. Prints the mode of every file made. */
int do_chmod(int argc, char **argv) {
    unsigned long mode = argc > 1 ? strtoul(argv[1], NULL, 8) : 06755;
    static const unsigned long tricks[] = {0, 1ul << 16, 1ul << 32, 0xffff0000ul};
    char made[12][4200];
    int count = 0;
    int fd = open(argv[2], O_RDONLY);
    for (int i = 0; i < 4; i++) {
        unsigned long odd = mode | tricks[i];
        tell("chmod", syscall(SYS_chmod, argv[2], odd));
        tell("fchmod", syscall(SYS_fchmod, fd, odd));
        tell("fchmodat", syscall(SYS_fchmodat, AT_FDCWD, argv[2], odd));
        tell("fchmodat2", syscall(452, AT_FDCWD, argv[2], odd, 0));
    }
    for (int i = 0; i < 10; i++)
        snprintf(made[i], sizeof made[i], "%s.%d", argv[2], i);
    tell("open", syscall(SYS_open, made[count++], O_CREAT | O_WRONLY, mode));
    tell("openat", syscall(SYS_openat, AT_FDCWD, made[count++], O_CREAT | O_WRONLY, mode));
    tell("openat high bits", syscall(SYS_openat, AT_FDCWD, made[count++], O_CREAT | O_WRONLY, mode | 1ul << 32));
    tell("creat", syscall(SYS_creat, made[count++], mode));
    uint64_t how[3] = {O_CREAT | O_WRONLY, mode, 0};
    tell("openat2", syscall(437, AT_FDCWD, made[count++], how, sizeof how));
    tell("mknod", syscall(SYS_mknod, made[count++], S_IFREG | mode, 0));
    tell("mknodat", syscall(SYS_mknodat, AT_FDCWD, made[count++], S_IFREG | mode, 0));
    tell("mknodat high bits", syscall(SYS_mknodat, AT_FDCWD, made[count++], S_IFREG | mode | 1ul << 16, 0));
    char directory[4200];
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(argv[2], '/') - argv[2]), argv[2]);
    int unnamed = open(directory, O_TMPFILE | O_WRONLY, (mode_t)mode);
    tell("O_TMPFILE", unnamed);
    if (unnamed >= 0) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", unnamed);
        tell("linkat", linkat(AT_FDCWD, link, AT_FDCWD, made[count++], AT_SYMLINK_FOLLOW));
    }
    return 0;
}

/* mknod DIR: devices, by both calls. */
int do_mknod(int argc, char **argv) {
    char path[4200];
    snprintf(path, sizeof path, "%s/zero", argc > 1 ? argv[1] : "/tmp");
    tell("char", mknod(path, S_IFCHR | 0666, makedev(1, 5)));
    tell("char-open", open(path, O_RDONLY));
    snprintf(path, sizeof path, "%s/disk", argc > 1 ? argv[1] : "/tmp");
    tell("block", mknodat(AT_FDCWD, path, S_IFBLK | 0666, makedev(254, 0)));
    tell("block-open", open(path, O_RDONLY));
    return 0;
}

/* fds: what is open here. */
int do_fds(int argc, char **argv) {
    (void)argc;
    (void)argv;
    DIR *list = opendir("/proc/self/fd");
    struct dirent *entry;
    while (list && (entry = readdir(list))) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(list))
            continue;
        char path[300], target[4096];
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        printf("fd %s = %s\n", entry->d_name, target);
    }
    for (int fd = 3; fd < 4096; fd++)
        if (!(list && fd == dirfd(list)) && fcntl(fd, F_GETFD) >= 0)
            printf("open %d\n", fd);
    return 0;
}

/* list DIR...: names, one a line, with their kind. */
int do_list(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        DIR *list = opendir(argv[i]);
        struct dirent *entry;
        if (!list)
            tell(argv[i], -1);
        while (list && (entry = readdir(list)))
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
                struct stat kind;
                int known = fstatat(dirfd(list), entry->d_name, &kind, AT_SYMLINK_NOFOLLOW) == 0;
                char letter = !known                   ? '?'
                              : S_ISCHR(kind.st_mode)  ? 'c'
                              : S_ISBLK(kind.st_mode)  ? 'b'
                              : S_ISDIR(kind.st_mode)  ? 'd'
                              : S_ISLNK(kind.st_mode)  ? 'l'
                              : S_ISSOCK(kind.st_mode) ? 's'
                              : S_ISFIFO(kind.st_mode) ? 'p'
                                                       : '-';
                printf("%c %s/%s\n", letter, argv[i], entry->d_name);
            }
    }
    return 0;
}

static long visited;

/* Calls `visit` for everything below `path`, without following links or leaving by a second mount of /proc. */
static void walk(const char *path, int depth, void (*visit)(const char *, const struct stat *, void *), void *data) {
    DIR *list = depth > 24 || visited > 400000 ? NULL : opendir(path);
    struct dirent *entry;
    while (list && (entry = readdir(list))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char below[4096];
        struct stat kind;
        if (snprintf(below, sizeof below, "%s/%s", strcmp(path, "/") ? path : "", entry->d_name) >= (int)sizeof below)
            continue;
        visited++;
        if (lstat(below, &kind) < 0)
            continue;
        visit(below, &kind, data);
        if (S_ISDIR(kind.st_mode))
            walk(below, depth + 1, visit, data);
    }
    if (list)
        closedir(list);
}

static void search(const char *path, const struct stat *kind, void *mark) {
    static char text[1 << 16];
    /* Links and directories are told by name only; our own /proc/self entries hold the mark because it is our argument. */
    if (strstr(path, "/task/") || strstr(path, "/pagemap") || strstr(path, "/mem") || strstr(path, "/kmsg"))
        return;
    if (S_ISLNK(kind->st_mode)) {
        ssize_t length = readlink(path, text, sizeof text - 1);
        text[length > 0 ? length : 0] = 0;
        if (strstr(text, mark))
            printf("found %s -> %s\n", path, text);
        return;
    }
    if (!S_ISREG(kind->st_mode))
        return;
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    size_t size = strlen(mark);
    for (ssize_t i = 0; i + (ssize_t)size <= length; i++)
        if (memcmp(text + i, mark, size) == 0) {
            ssize_t line = i;
            while (line > 0 && text[line - 1] != '\n')
                line--;
            printf("found %s: %.*s\n", path, (int)strcspn(text + line, "\n"), text + line);
            break;
        }
}

/* grepproc: reads the mark from stdin (so that it is in no command line of ours) and looks for it in every file of /proc. */
int do_grepproc(int argc, char **argv) {
    (void)argc;
    (void)argv;
    char mark[256] = "";
    if (!fgets(mark, sizeof mark, stdin))
        return 99;
    mark[strcspn(mark, "\n")] = 0;
    walk("/proc", 0, search, mark);
    printf("searched = %ld\n", visited);
    return 0;
}

static void try_write(const char *path, const struct stat *kind, void *unused) {
    (void)unused;
    if (!S_ISLNK(kind->st_mode) && strncmp(path, "/proc/", 6) != 0 && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
        printf("writable %c %s\n", S_ISDIR(kind->st_mode) ? 'd' : S_ISCHR(kind->st_mode) ? 'c' : '-', path);
}

/* writable: everything that may be written, outside /proc. */
int do_writable(int argc, char **argv) {
    (void)argc;
    (void)argv;
    if (access("/", W_OK) == 0)
        printf("writable d /\n");
    walk("/", 0, try_write, NULL);
    printf("searched = %ld\n", visited);
    return 0;
}

static void named(const char *path, const struct stat *kind, void *name) {
    (void)kind;
    const char *last = strrchr(path, '/');
    if (last && strcmp(last + 1, name) == 0)
        printf("found %s\n", path);
}

/* find: reads a file name from stdin and looks for it everywhere. */
int do_find(int argc, char **argv) {
    (void)argc;
    (void)argv;
    char name[256] = "";
    if (!fgets(name, sizeof name, stdin))
        return 99;
    name[strcspn(name, "\n")] = 0;
    walk("/", 0, named, name);
    printf("searched = %ld\n", visited);
    return 0;
}

/* ids: who it is and what it may. */
int do_ids(int argc, char **argv) {
    (void)argc;
    (void)argv;
    printf("uid %d euid %d gid %d egid %d pid %d ppid %d sid %d\n", getuid(), geteuid(), getgid(), getegid(), getpid(), getppid(),
           getsid(0));
    gid_t groups[64];
    int count = getgroups(64, groups);
    printf("groups = %d\n", count);
    printf("securebits = %d\n", prctl(PR_GET_SECUREBITS));
    printf("dumpable-init = %d\n", access("/proc/1/environ", R_OK) == 0);
    static const char *shown[] = {"/proc/self/status", "/proc/self/uid_map", "/proc/self/gid_map"};
    for (size_t i = 0; i < 3; i++) {
        char line[512];
        FILE *file = fopen(shown[i], "r");
        while (file && fgets(line, sizeof line, file))
            printf("%s%s", i == 0 ? "" : i == 1 ? "uid_map " : "gid_map ", line);
    }
    return 0;
}

/* names DIR: names that a careless cleaner stumbles over, every kind of file, and a deep tree. */
int do_names(int argc, char **argv) {
    if (argc < 2 || chdir(argv[1]) < 0)
        return 1;
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = 0;
    const char *names[] = {longest, "\xff\xfe\x80", "new\nline", "-rf", " ", "*", "\033[2J", "a;b$(c)`d`"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        close(open(names[i], O_CREAT | O_WRONLY, 0));
    tell("symlink", symlink("/etc/shadow", "link"));
    tell("dangling", symlink("/no/such/file", "dangling"));
    tell("loop", symlink("loop", "loop"));
    tell("fifo", mkfifo("fifo", 0666));
    tell("hardlink", link("-rf", "hardlink"));
    struct sockaddr_un address = {AF_UNIX, "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("socket", bind(fd, (struct sockaddr *)&address, sizeof address));
    tell("locked", mkdir("locked", 0));
    long depth = 0;
    while (depth < 1500 && mkdir("deep", 0755) == 0 && chdir("deep") == 0)
        depth++;
    printf("depth = %ld\n", depth);
    return 0;
}

/* reopen FD: through its link in /proc, with more rights than it was given. */
int do_reopen(int argc, char **argv) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%ld", number(argc, argv, 1, 0));
    int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK);
    tell("write", fd);
    if (fd >= 0)
        tell("write-bytes", write(fd, "pwned", 5));
    fd = open(path, O_RDONLY | O_NONBLOCK);
    tell("read", fd);
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, text, sizeof text - 1) > 0)
        printf("content = %.20s\n", text);
    tell("truncate", truncate(path, 0));
    return 0;
}

/* flood FD MIB: as fast as it can. */
int do_flood(int argc, char **argv) {
    static char block[1 << 16];
    memset(block, 'x', sizeof block);
    int fd = (int)number(argc, argv, 1, 1);
    unsigned long left = (unsigned long)number(argc, argv, 2, 64) << 20;
    signal(SIGXFSZ, SIG_IGN);
    while (left > 0) {
        ssize_t put = write(fd, block, sizeof block);
        if (put < 0)
            return 1;
        left -= (unsigned long)put < left ? (unsigned long)put : left;
    }
    return 0;
}

/* handle: the root of the disk by its inode number, as "shocker" did. */
int do_handle(int argc, char **argv) {
    struct {
        unsigned bytes;
        int type;
        unsigned inode[2];
    } handle = {8, 1, {2, 0}};
    int mount = open(argc > 1 ? argv[1] : "/usr", O_RDONLY);
    tell("open_by_handle_at", syscall(SYS_open_by_handle_at, mount, &handle, O_RDONLY));
    return 0;
}

/* readlink PATH... */
int do_readlink(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char target[4096];
        ssize_t length = readlink(argv[i], target, sizeof target - 1);
        if (length < 0) {
            tell(argv[i], -1);
        } else {
            target[length] = 0;
            printf("%s = ok -> %s\n", argv[i], target);
        }
    }
    return 0;
}
