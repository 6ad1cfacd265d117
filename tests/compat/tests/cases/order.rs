//! Pairs whose order matters.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("tmpfs_then_bind", "$B $RO --tmpfs /t --bind $W/dir /t/x ls /t/x").out("f\nsub\n"),
    Case::new("bind_then_tmpfs", "$B $RO --bind $W/dir /t --tmpfs /t ls /t"),
    Case::new("bind_then_bind_over_it", "$B $RO --bind $W/low1 /x --bind $W/low2 /x cat /x/a").out("a2\n"),
    Case::new("bind_then_bind_below_it", "$B $RO --bind $W/dir /x --ro-bind $W/low1 /x/sub ls /x/sub").out("a\nb\n"),
    Case::new("bind_below_then_over_hides", "$B $RO --dir /x --bind $W/low1 /x/sub --bind $W/dir /x ls /x/sub").out("g\n"),
    Case::new("ro_then_rw_below", "$B --ro-bind / / --bind $W/out $W/out touch $W/out/new; ls out").out("new\n"),
    Case::new("rw_then_ro_over", "$B --bind / / --ro-bind $W $W touch $W/out/new")
        .status(1)
        .err(&["touch: cannot touch '{w}/out/new': Read-only file system"]),
    Case::new("remount_then_write_fails_at_setup", "$B $RO --tmpfs /x --remount-ro /x --dir /x/z true")
        .refused(&["bwrap: Can't mkdir /x/z: Read-only file system"]),
    Case::new("write_then_remount", "$B $RO --tmpfs /x --dir /x/z --remount-ro /x ls /x").out("z\n"),
    Case::new("perms_hold_once", "$B $RO --perms 0700 --dir /a --dir /b stat -c %a /a /b").out("700\n755\n"),
    Case::new(
        "size_holds_once",
        "$B $RO --size 4096 --tmpfs /a --tmpfs /b sh -c 'test $(stat -f -c %b /a) = 1 && test $(stat -f -c %b /b) != 1'",
    ),
    Case::new("size_then_perms", "$B $RO --size 4096 --perms 0700 --tmpfs /a stat -c %a /a").out("700\n"),
    Case::new("perms_then_size", "$B $RO --perms 0700 --size 4096 --tmpfs /a stat -f -c %b /a").out("1\n"),
    Case::new("chmod_after_dir", "$B $RO --perms 0700 --dir /a --chmod 0711 /a stat -c %a /a").out("711\n"),
    Case::new("chmod_before_dir", "$B $RO --chmod 0711 /a --dir /a true")
        .refused(&["bwrap: Can't chmod 0711 /a: No such file or directory"]),
    Case::new("file_then_tmpfs_hides", "$B $RO --file 3 /x/a --tmpfs /x ls /x 3<file"),
    Case::new("tmpfs_then_file_shows", "$B $RO --tmpfs /x --file 3 /x/a ls /x 3<file").out("a\n"),
    Case::new("clearenv_then_setenv", "$B $RO --clearenv --setenv A 1 /usr/bin/env | sort").out("A=1\nPWD=/\n"),
    Case::new("setenv_then_clearenv", "$B $RO --setenv A 1 --clearenv /usr/bin/env").out("PWD=/\n"),
    Case::new("setenv_twice", "$B $RO --setenv A 1 --setenv A 2 printenv A").out("2\n"),
    Case::new("setenv_then_unsetenv", "$B $RO --setenv A 1 --unsetenv A printenv A").status(1),
    Case::new("unsetenv_then_setenv", "$B $RO --unsetenv A --setenv A 1 printenv A").out("1\n"),
    Case::new(
        "unshare_all_then_share_net",
        "$B --bind / / --unshare-all --share-net readlink /proc/self/ns/net > o; readlink /proc/self/ns/net | cmp - o",
    ),
    Case::new(
        "share_net_then_unshare_all",
        "$B --bind / / --share-net --unshare-all readlink /proc/self/ns/net > o; readlink /proc/self/ns/net | cmp -s - o",
    )
    .status(1),
    Case::new(
        "unshare_net_then_share_net",
        "$B --bind / / --unshare-net --share-net readlink /proc/self/ns/net > o; readlink /proc/self/ns/net | cmp - o",
    ),
    Case::new("cap_drop_all_then_add", "$B $RO --proc /proc --cap-drop ALL --cap-add CAP_KILL grep CapEff /proc/self/status")
        .out("CapEff:\t0000000000000020\n"),
    Case::new("cap_add_then_drop_all", "$B $RO --proc /proc --cap-add CAP_KILL --cap-drop ALL grep CapEff /proc/self/status")
        .out("CapEff:\t0000000000000000\n"),
    Case::new("the_last_chdir_holds", "$B $RO --chdir /usr --chdir /bin sh -c 'echo $PWD'")
        .out("/bin\n")
        .err(&["bwrap: Only the last --chdir option will take effect"]),
    Case::new("the_last_hostname_holds", "$B $RO --unshare-uts --hostname a --hostname b uname -n")
        .out("b\n")
        .err(&["bwrap: Only the last --hostname option will take effect"]),
    Case::new("the_last_uid_holds", "$B $RO --unshare-user --uid 5 --uid 6 id -u")
        .out("6\n")
        .err(&["bwrap: Only the last --uid option will take effect"]),
    Case::new("the_last_gid_holds", "$B $RO --unshare-user --gid 5 --gid 6 id -g")
        .out("6\n")
        .err(&["bwrap: Only the last --gid option will take effect"]),
    Case::new("the_last_seccomp_holds", "$B $RO --seccomp 3 --seccomp 4 mkdir /x 3<filter.1 4<filter.3")
        .err(&["bwrap: Only the last --seccomp option will take effect"]),
    Case::new("the_last_info_fd_holds", "$B $RO --info-fd 3 --info-fd 4 true 3>one 4>two; wc -c < one; norm two")
        .out("0\n{\n    \"child-pid\": PID,\n    \"mnt-namespace\": NS\n}\n")
        .err(&["bwrap: Only the last --info-fd option will take effect"]),
    Case::new("proc_before_bind_below", "$B $RO --proc /proc --ro-bind $W/file /proc/version cat /proc/version").out("data\n"),
    Case::new("dev_then_bind_into_it", "$B $RO --dev /dev --bind $W/dir /dev/shm ls /dev/shm").out("f\nsub\n"),
    Case::new("bind_root_comes_first_or_hides", "$B --dir /enclos-x --bind / / ls -d /enclos-x")
        .status(2)
        .err(&["ls: cannot access '/enclos-x'"]),
];
