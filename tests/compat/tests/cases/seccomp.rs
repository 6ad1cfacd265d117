//! Filters.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("none_unless_asked_for", "$B $RO --proc /proc grep Seccomp: /proc/self/status").out("Seccomp:\t0\n"),
    Case::new("seccomp", "$B $RO --seccomp 3 mkdir /x 3<filter.1")
        .status(1)
        .err(&["mkdir: cannot create directory '/x': Operation not permitted"]),
    Case::new("seccomp_is_a_filter", "$B $RO --proc /proc --seccomp 3 grep Seccomp: /proc/self/status 3<filter.1").out("Seccomp:\t2\n"),
    Case::new("seccomp_does_not_hinder_the_set_up", "$B $RO --dir /made --seccomp 3 ls -d /made 3<filter.1").out("/made\n"),
    Case::new("seccomp_binds_children_too", "$B $RO --unshare-pid --seccomp 3 sh -c 'mkdir /x' 3<filter.2")
        .status(1)
        .err(&["mkdir: cannot create directory '/x': Permission denied"]),
    Case::new(
        "seccomp_binds_init_too",
        "$B $RO --unshare-pid --proc /proc --seccomp 3 sh -c 'sleep 0.3; grep Seccomp: /proc/1/status' 3<filter.1",
    )
    .out("Seccomp:\t2\n"),
    Case::new("add_seccomp_fd", "$B $RO --add-seccomp-fd 3 mkdir /x 3<filter.1")
        .status(1)
        .err(&["mkdir: cannot create directory '/x': Operation not permitted"]),
    Case::new("add_seccomp_fd_stacks", "$B $RO --add-seccomp-fd 3 --add-seccomp-fd 4 sh -c 'mkdir /x; rmdir /bin' 3<filter.1 4<filter.3")
        .status(1)
        .err(&["mkdir: cannot create directory '/x': Operation not permitted", "rmdir: failed to remove '/bin'"]),
    Case::new("add_seccomp_fd_the_last_is_asked_first", "$B $RO --add-seccomp-fd 3 --add-seccomp-fd 4 mkdir /x 3<filter.1 4<filter.2")
        .status(1)
        .err(&["mkdir: cannot create directory '/x': Permission denied"]),
    Case::new("add_seccomp_fd_the_other_way_round", "$B $RO --add-seccomp-fd 3 --add-seccomp-fd 4 mkdir /x 3<filter.2 4<filter.1")
        .status(1)
        .err(&["mkdir: cannot create directory '/x': Operation not permitted"]),
    Case::new(
        "add_seccomp_fd_counts",
        "$B $RO --proc /proc --add-seccomp-fd 3 --add-seccomp-fd 4 grep Seccomp_filters /proc/self/status 3<filter.1 4<filter.2",
    )
    .out("Seccomp_filters:\t2\n"),
    Case::new("seccomp_after_add", "$B $RO --add-seccomp-fd 3 --seccomp 4 true 3<filter.1 4<filter.2")
        .refused(&["bwrap: --seccomp cannot be combined with --add-seccomp-fd"]),
    Case::new("add_after_seccomp", "$B $RO --seccomp 3 --add-seccomp-fd 4 true 3<filter.1 4<filter.2")
        .refused(&["bwrap: --add-seccomp-fd cannot be combined with --seccomp"]),
    Case::new("seccomp_cut_short", "$B $RO --seccomp 3 true 3<filter.short")
        .refused(&["bwrap: Invalid seccomp data, must be multiple of 8"]),
    Case::new("add_seccomp_fd_cut_short", "$B $RO --add-seccomp-fd 3 true 3<filter.short")
        .refused(&["bwrap: Invalid seccomp data, must be multiple of 8"]),
    Case::new("seccomp_that_cannot_be_read", "$B $RO --seccomp 9 true").refused(&["bwrap: Can't read seccomp data: Bad file descriptor"]),
    Case::new("seccomp_that_is_no_program", "head -c 16 /dev/zero > z; $B $RO --seccomp 3 true 3<z")
        .refused(&["bwrap: Unable to set up system call filtering as requested"]),
    Case::new("seccomp_empty", "$B $RO --seccomp 0 true </dev/null")
        .refused(&["bwrap: Unable to set up system call filtering as requested"]),
];
