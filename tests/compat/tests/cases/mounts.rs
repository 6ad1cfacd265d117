//! Binds, tmpfs, proc, dev, mqueue, remount.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("bind_shows_a_directory", "$B $RO --bind $W/dir /x ls -R /x").out("/x:\nf\nsub\n\n/x/sub:\ng\n"),
    Case::new("bind_is_writable", "$B $RO --bind $W/out /x sh -c 'echo hi > /x/new'; cat $W/out/new").out("hi\n"),
    Case::new("bind_of_a_file", "$B $RO --bind $W/file /x cat /x").out("data\n"),
    Case::new("bind_makes_a_missing_file", "$B $RO --bind $W/file /p/x stat -c '%n %F' /p /p/x").out("/p directory\n/p/x regular file\n"),
    Case::new("bind_makes_a_missing_directory", "$B $RO --bind $W/dir /p/q/x stat -c '%n %F' /p/q /p/q/x")
        .out("/p/q directory\n/p/q/x directory\n"),
    Case::new("bind_over_an_existing_directory", "$B $RO --dir /x --bind $W/dir /x ls /x").out("f\nsub\n"),
    Case::new("bind_source_is_relative_to_the_callers_directory", "$B $RO --bind dir /x ls /x").out("f\nsub\n"),
    Case::new("bind_destination_is_relative_to_the_new_root", "$B $RO --bind dir x ls /x").out("f\nsub\n"),
    Case::new("bind_follows_a_link_of_the_host", "ln -s dir link; $B $RO --bind $W/link /x ls /x").out("f\nsub\n"),
    Case::new("bind_root_shows_the_host", "$B --bind / / ls $W/dir").out("f\nsub\n"),
    Case::new("bind_refuses_devices", "$B $RO --bind /dev /x sh -c ': < /x/null'").status(2).err(&["sh: 1: cannot open /x/null"]),
    Case::new(
        "bind_sets_nosuid_and_nodev",
        "$B $RO --proc /proc --bind $W/dir /x sh -c 'grep \" /x \" /proc/self/mountinfo | cut -d\" \" -f6'",
    )
    .out("rw,nosuid,nodev,relatime\n"),
    Case::new("ro_bind_is_read_only", "$B $RO --ro-bind $W/dir /x touch /x/new")
        .status(1)
        .err(&["touch: cannot touch '/x/new': Read-only file system"]),
    Case::new("ro_bind_of_a_file", "$B $RO --ro-bind $W/file /x sh -c 'cat /x; echo no > /x'")
        .out("data\n")
        .status(2)
        .err(&["sh: 1: cannot create /x: Read-only file system"]),
    Case::new("ro_bind_is_recursive", "$B --ro-bind / / touch /dev/shm/enclos-compat-no")
        .status(1)
        .err(&["touch: cannot touch '/dev/shm/enclos-compat-no': Read-only file system"]),
    Case::new("dev_bind_gives_devices", "$B $RO --dev-bind /dev /x sh -c 'echo gone > /x/null; head -c 3 /x/zero | wc -c'").out("3\n"),
    Case::new("dev_bind_of_one_device", "$B $RO --dev-bind /dev/null /n sh -c 'echo gone > /n; cat /n; stat -c %F /n'")
        .out("character special file\n"),
    Case::new(
        "dev_bind_sets_nosuid_only",
        "$B $RO --proc /proc --dev-bind $W/dir /x sh -c 'grep \" /x \" /proc/self/mountinfo | cut -d\" \" -f6'",
    )
    .out("rw,nosuid,relatime\n"),
    Case::new("bind_try_skips_what_is_missing", "$B $RO --bind-try /none /p/x ls -d /p").status(2).err(&["ls: cannot access '/p'"]),
    Case::new("ro_bind_try_skips_what_is_missing", "$B $RO --ro-bind-try /none /x ls -d /x").status(2).err(&["ls: cannot access '/x'"]),
    Case::new("dev_bind_try_skips_what_is_missing", "$B $RO --dev-bind-try /none /x ls -d /x").status(2).err(&["ls: cannot access '/x'"]),
    Case::new("bind_try_binds_what_is_there", "$B $RO --bind-try $W/dir /x ls /x").out("f\nsub\n"),
    Case::new("ro_bind_try_binds_read_only", "$B $RO --ro-bind-try $W/dir /x touch /x/n")
        .status(1)
        .err(&["touch: cannot touch '/x/n': Read-only"]),
    Case::new("dev_bind_try_gives_devices", "$B $RO --dev-bind-try /dev /x sh -c 'echo gone > /x/null'"),
    Case::new("bind_try_skips_an_empty_source", "$B $RO --bind-try '' /x true"),
    Case::new("bind_fd_of_a_directory", "$B $RO --bind-fd 3 /x ls /x 3<$W/dir").out("f\nsub\n"),
    Case::new("bind_fd_of_a_file", "$B $RO --bind-fd 3 /x cat /x 3<$W/file").out("data\n"),
    Case::new("bind_fd_is_writable", "$B $RO --bind-fd 3 /x sh -c 'echo hi > /x/new' 3<$W/out; cat $W/out/new").out("hi\n"),
    Case::new("ro_bind_fd_is_read_only", "$B $RO --ro-bind-fd 3 /x touch /x/new 3<$W/dir")
        .status(1)
        .err(&["touch: cannot touch '/x/new': Read-only file system"]),
    Case::new(
        "bind_fd_is_closed_in_the_command",
        "$B $RO --proc /proc --bind-fd 3 /x sh -c '[ -e /proc/$$/fd/3 ] || echo closed' 3<$W/dir",
    )
    .out("closed\n"),
    Case::new("tmpfs_is_empty_and_writable", "$B $RO --tmpfs /x sh -c 'ls /x; echo hi > /x/a; cat /x/a; stat -f -c %T /x'")
        .out("hi\ntmpfs\n"),
    Case::new("tmpfs_has_mode_0755", "$B $RO --tmpfs /x stat -c '%a %u %g' /x").out("755 {uid} {gid}\n"),
    Case::new("tmpfs_hides_what_is_below", "$B --bind / / --tmpfs $W/dir ls $W/dir"),
    Case::new("tmpfs_has_a_size", "$B $RO --size 8192 --tmpfs /x stat -f -c '%b %S' /x").out("2 4096\n"),
    Case::new("tmpfs_runs_full", "$B $RO --size 8192 --tmpfs /x sh -c 'head -c 9000 /usr/bin/env > /x/a'; true")
        .err(&["head: write error: No space left on device"]),
    Case::new("tmpfs_size_in_hexadecimal", "$B $RO --size 0x4000 --tmpfs /x stat -f -c %b /x").out("4\n"),
    Case::new("tmpfs_size_in_octal", "$B $RO --size 010000 --tmpfs /x stat -f -c %b /x").out("1\n"),
    Case::new("tmpfs_has_permissions", "$B $RO --perms 01777 --tmpfs /x stat -c %a /x").out("1777\n"),
    Case::new("tmpfs_sets_nosuid_and_nodev", "$B $RO --proc /proc --tmpfs /x sh -c 'grep \" /x \" /proc/self/mountinfo | cut -d\" \" -f6'")
        .out("rw,nosuid,nodev,relatime\n"),
    Case::new("proc_is_of_the_sandbox", "$B $RO --unshare-pid --proc /proc sh -c 'ls /proc | grep -c \"^[12]$\"'").out("2\n"),
    Case::new(
        "proc_sets_its_flags",
        "$B $RO --proc /proc sh -c 'grep \" /proc \" /proc/self/mountinfo | cut -d\" \" -f6 | sed s/,noexec//'",
    )
    .out("rw,nosuid,nodev,relatime\n"),
    Case::new("proc_elsewhere", "$B $RO --unshare-pid --proc /p/q sh -c 'cat /p/q/1/comm'").out("bwrap\n"),
    Case::new("proc_cannot_change_the_host", "$B $RO --proc /proc sh -c 'echo 1 > /proc/irq/default_smp_affinity' 2>/dev/null")
        .root()
        .status(2),
    Case::new("proc_sys_cannot_be_changed_by_a_user", "$B $RO --proc /proc sh -c 'echo x > /proc/sys/kernel/hostname' 2>/dev/null")
        .user()
        .status(2),
    Case::new("dev_has_the_small_set", "$B $RO --dev /dev ls /dev")
        .out("core\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"),
    Case::new("dev_links", "$B $RO --dev /dev sh -c 'cd /dev; for l in core fd ptmx stderr stdin stdout; do readlink $l; done'")
        .out("/proc/kcore\n/proc/self/fd\npts/ptmx\n/proc/self/fd/2\n/proc/self/fd/0\n/proc/self/fd/1\n"),
    Case::new(
        "dev_nodes_work",
        "$B $RO --dev /dev sh -c 'echo a > /dev/null; head -c 2 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c'",
    )
    .out(" 00 00\n4\n"),
    Case::new("dev_full_is_full", "$B $RO --dev /dev sh -c 'echo a > /dev/full'").status(1).err(&["sh: 1: echo: echo: I/O error"]),
    Case::new("dev_modes", "$B $RO --dev /dev stat -c '%a %n' /dev /dev/shm /dev/pts /dev/null")
        .out("755 /dev\n755 /dev/shm\n755 /dev/pts\n666 /dev/null\n"),
    Case::new("dev_shm_is_writable", "$B $RO --dev /dev sh -c 'echo a > /dev/shm/b; cat /dev/shm/b'").out("a\n"),
    Case::new("dev_gives_terminals", "$B $RO --dev /dev --proc /proc script -qec 'tty' /dev/null | tr -d '\\r'")
        .out("/dev/pts/0\n")
        .needs("script"),
    Case::new("dev_pts_is_private", "$B $RO --dev /dev --proc /proc sh -c 'grep -c \" /dev/pts \" /proc/self/mountinfo; ls /dev/pts'")
        .out("1\nptmx\n"),
    Case::new(
        "dev_console_is_the_callers_terminal",
        "script -qec \"$B $RO --dev /dev sh -c 'test -c /dev/console && echo yes'\" /dev/null | tr -d '\\r'",
    )
    .out("yes\n")
    .needs("script"),
    Case::new("dev_has_no_console_without_a_terminal", "$B $RO --dev /dev ls /dev/console")
        .status(2)
        .err(&["ls: cannot access '/dev/console'"]),
    Case::new("dev_elsewhere", "$B $RO --dev /d/e ls /d/e/null").out("/d/e/null\n"),
    Case::new(
        "mqueue",
        "$B $RO --unshare-ipc --proc /proc --mqueue /m sh -c 'stat -c %a /m; grep \" /m \" /proc/self/mountinfo | cut -d\" \" -f8'",
    )
    .out("1777\nmqueue\n"),
    Case::new("mqueue_of_the_host_is_not_a_users", "$B $RO --mqueue /m true")
        .user()
        .refused(&["bwrap: Can't mount mqueue on /newroot/m: "]),
    Case::new("remount_ro_of_a_tmpfs", "$B $RO --tmpfs /x --remount-ro /x touch /x/y")
        .status(1)
        .err(&["touch: cannot touch '/x/y': Read-only file system"]),
    Case::new("remount_ro_of_the_root", "$B $RO --remount-ro / touch /x")
        .status(1)
        .err(&["touch: cannot touch '/x': Read-only file system"]),
    Case::new("remount_ro_is_not_recursive", "$B $RO --tmpfs /x --tmpfs /x/y --remount-ro /x touch /x/y/z"),
    Case::new("remount_ro_needs_a_mount", "$B $RO --dir /x --remount-ro /x true")
        .refused(&["bwrap: Can't remount readonly on /newroot/x: "]),
    Case::new("remount_ro_needs_something", "$B $RO --remount-ro /none true")
        .refused(&["bwrap: Can't remount readonly on /newroot/none: "]),
    Case::new("the_root_is_empty", "$B $RO --dir /proc ls /").out("bin\nlib\nlib64\nproc\nusr\n"),
    Case::new("the_root_is_the_callers", "$B $RO stat -c '%a %u %g' /").out("755 {uid} {gid}\n"),
    Case::new("the_root_is_writable", "$B $RO sh -c 'echo a > /b; cat /b'").out("a\n"),
    Case::new("the_root_is_a_tmpfs", "$B $RO stat -f -c %T /").out("tmpfs\n"),
    Case::new("nothing_stays_mounted", "$B --bind / / --tmpfs /tmp true; grep -c enclos-compat /proc/self/mountinfo").out("0\n").status(1),
    // What df and findmnt show first.
    Case::new("sources_in_the_mount_table", "$B $RO --unshare-ipc --proc /proc --dev /dev --tmpfs /t --mqueue /q --bind-data 3 /d cat /proc/self/mountinfo 3<file | awk '$5 !~ \"^/(usr|bin|lib)\" && $5 !~ \"^/dev/[^p]\" && $5 !~ \"^/proc/\" { for (i = 7; $i != \"-\"; i++); print $5, $(i + 1), $(i + 2) }' | sort")
        .out("/ tmpfs tmpfs\n/d tmpfs tmpfs\n/dev tmpfs tmpfs\n/dev/pts devpts devpts\n/proc proc proc\n/q mqueue mqueue\n/t tmpfs tmpfs\n"),
];
