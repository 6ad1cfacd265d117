//! Directories, files, links, permissions.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("dir", "$B $RO --dir /a stat -c '%a %u %g %F' /a").out("755 {uid} {gid} directory\n"),
    Case::new("dir_makes_parents", "$B $RO --dir /a/b/c stat -c '%a %n' /a /a/b /a/b/c").out("755 /a\n755 /a/b\n755 /a/b/c\n"),
    Case::new("dir_existing_keeps_its_mode", "$B $RO --perms 0700 --dir /a --perms 0711 --dir /a stat -c %a /a").out("700\n"),
    Case::new("dir_existing_of_the_host_is_left_alone", "chmod 750 out; $B --bind / / --dir $W/out true; stat -c %a out").out("750\n"),
    Case::new("dir_perms", "$B $RO --perms 0711 --dir /a stat -c %a /a").out("711\n"),
    Case::new("dir_perms_close_parents_to_the_group_and_others", "$B $RO --perms 0700 --dir /a/b stat -c '%a %n' /a /a/b")
        .out("700 /a\n700 /a/b\n"),
    Case::new("dir_perms_close_parents_to_others", "$B $RO --perms 0750 --dir /a/b stat -c '%a %n' /a /a/b").out("750 /a\n750 /a/b\n"),
    Case::new("dir_perms_of_the_group_leave_parents_to_it", "$B $RO --perms 0070 --dir /a/b stat -c '%a %n' /a /a/b")
        .out("750 /a\n70 /a/b\n")
        .root(),
    Case::new("dir_sticky", "$B $RO --perms 01777 --dir /a stat -c %a /a").out("1777\n"),
    Case::new("dir_over_a_file", "$B $RO --file 3 /a --dir /a true 3<file").refused(&["bwrap: Can't mkdir /a: Not a directory"]),
    Case::new("dir_below_a_file", "$B $RO --file 3 /a --dir /a/b true 3<file")
        .refused(&["bwrap: Can't mkdir parents for /a/b: Not a directory"]),
    Case::new("dir_root_and_empty", "$B $RO --dir / --dir '' true"),
    Case::new("dir_through_a_relative_link", "$B $RO --dir /a --symlink a /l --dir /l/b stat -c %n /a/b").out("/a/b\n"),
    Case::new("file", "$B $RO --file 3 /a cat /a 3<file").out("data\n"),
    Case::new("file_mode", "$B $RO --file 3 /a stat -c '%a %u %g' /a 3<file").out("666 {uid} {gid}\n"),
    Case::new("file_perms", "$B $RO --perms 0640 --file 3 /a stat -c %a /a 3<file").out("640\n"),
    Case::new("file_perms_set_id", "$B $RO --perms 04711 --file 3 /a stat -c %a /a 3<file").out("4711\n").root(),
    Case::new("file_umask_does_not_matter", "umask 077; $B $RO --file 3 /a stat -c %a /a 3<file").out("666\n"),
    Case::new("the_commands_umask_is_the_callers", "umask 027; $B $RO sh -c umask").out("0027\n"),
    Case::new("file_makes_parents", "$B $RO --file 3 /p/q/a stat -c '%a %n' /p /p/q 3<file").out("755 /p\n755 /p/q\n"),
    Case::new("file_perms_close_parents", "$B $RO --perms 0600 --file 3 /p/a stat -c '%a %n' /p /p/a 3<file").out("700 /p\n600 /p/a\n"),
    Case::new("file_from_a_pipe", "printf 'one\\ntwo\\n' | $B $RO --file 0 /a cat /a").out("one\ntwo\n"),
    Case::new("file_is_large", "head -c 1000000 /dev/zero | $B $RO --file 0 /a stat -c %s /a").out("1000000\n"),
    Case::new("file_replaces", "$B $RO --file 3 /a --file 4 /a cat /a 3<file 4<dir/f").out("f\n"),
    Case::new("file_on_the_host", "$B --bind / / --file 3 $W/out/new true 3<file; cat out/new").out("data\n"),
    Case::new("file_over_a_directory", "$B $RO --dir /a --file 3 /a true 3<file").refused(&["bwrap: Can't create file /a: Is a directory"]),
    Case::new("file_from_a_directory", "$B $RO --file 3 /a true 3<dir").refused(&["bwrap: Can't write data to file /a: Is a directory"]),
    Case::new("file_from_nothing", "$B $RO --file 9 /a true").refused(&["bwrap: Can't write data to file /a: Bad file descriptor"]),
    Case::new("file_through_a_relative_link", "$B $RO --symlink x /l --file 3 /l cat /x 3<file").out("data\n"),
    Case::new("bind_data", "$B $RO --bind-data 3 /a cat /a 3<file").out("data\n"),
    Case::new("bind_data_mode", "$B $RO --bind-data 3 /a stat -c '%a %u %g' /a 3<file").out("600 {uid} {gid}\n"),
    Case::new("bind_data_is_writable", "$B $RO --bind-data 3 /a sh -c 'echo more >> /a; cat /a' 3<file").out("data\nmore\n"),
    Case::new("bind_data_perms", "$B $RO --perms 0644 --bind-data 3 /p/a stat -c '%a %n' /p /p/a 3<file").out("755 /p\n644 /p/a\n"),
    Case::new("bind_data_closes_parents", "$B $RO --bind-data 3 /p/a stat -c %a /p 3<file").out("700\n"),
    Case::new("bind_data_over_a_file", "$B $RO --file 3 /a --bind-data 4 /a cat /a 3<file 4<dir/f").out("f\n"),
    Case::new(
        "bind_data_leaves_the_host_alone",
        "$B --bind / / --bind-data 3 $W/file sh -c 'cat $W/file; echo x > $W/file' 3<dir/f; cat file",
    )
    .out("f\ndata\n"),
    Case::new("bind_data_over_a_directory", "$B $RO --dir /a --bind-data 3 /a true 3<file")
        .refused(&["bwrap: Can't create file at /a: Is a directory"]),
    Case::new("bind_data_from_nothing", "$B $RO --bind-data 9 /a true")
        .refused(&["bwrap: Can't write data to file /a: Bad file descriptor"]),
    Case::new("ro_bind_data", "$B $RO --ro-bind-data 3 /a sh -c 'cat /a; echo x > /a' 3<file")
        .out("data\n")
        .status(2)
        .err(&["sh: 1: cannot create /a: Read-only file system"]),
    Case::new("ro_bind_data_mode", "$B $RO --perms 0444 --ro-bind-data 3 /a stat -c %a /a 3<file").out("444\n"),
    Case::new("symlink", "$B $RO --symlink some/where /l readlink /l").out("some/where\n"),
    Case::new("symlink_makes_parents", "$B $RO --symlink a /p/q/l readlink /p/q/l").out("a\n"),
    Case::new("symlink_destination_is_relative_to_the_root", "$B $RO --symlink a l readlink /l").out("a\n"),
    Case::new("symlink_again_with_the_same_text", "$B $RO --symlink a /l --symlink a /l readlink /l").out("a\n").since("0.9"),
    Case::new("symlink_again_with_another_text", "$B $RO --symlink a /l --symlink b /l true")
        .refused(&["bwrap: Can't make symlink at /l: existing destination is a"])
        .since("0.9"),
    Case::new("symlink_over_a_directory", "$B $RO --dir /l --symlink b /l true")
        .refused(&["bwrap: Can't make symlink at /l: destination exists and is not a symlink"])
        .since("0.9"),
    Case::new("symlink_without_text", "$B $RO --symlink '' /l true")
        .refused(&["bwrap: Can't make symlink at /l: No such file or directory"]),
    Case::new("chmod", "$B $RO --dir /a --chmod 0500 /a stat -c %a /a").out("500\n"),
    Case::new("chmod_set_id", "$B $RO --dir /a --chmod 07777 /a stat -c %a /a").out("7777\n").root(),
    Case::new("chmod_follows_links", "$B $RO --dir /a --symlink a /l --chmod 0700 /l stat -c %a /a").out("700\n"),
    Case::new("chmod_on_the_host", "$B --bind / / --chmod 0600 $W/file true; stat -c %a file").out("600\n"),
    Case::new("chmod_of_nothing", "$B $RO --chmod 0700 /none true").refused(&["bwrap: Can't chmod 0700 /none: No such file or directory"]),
    Case::new("chmod_read_only", "$B $RO --chmod 0755 /usr true").refused(&["bwrap: Can't chmod 0755 /usr: Read-only file system"]),
    Case::new("parents_of_binds_are_closed", "$B $RO --bind $W/dir /p/q/x stat -c '%a %n' /p /p/q").out("700 /p\n700 /p/q\n"),
    Case::new("parents_of_tmpfs_are_open", "$B $RO --tmpfs /p/x stat -c %a /p").out("755\n"),
    Case::new("a_file_made_for_a_bind_is_the_source", "$B $RO --ro-bind $W/file /a stat -c '%a %s' /a").out("644 5\n"),
];
