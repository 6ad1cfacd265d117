//! Users and groups.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("ids_stay", "$B $RO sh -c 'id -u; id -g'").out("{uid}\n{gid}\n"),
    Case::new("ids_stay_in_a_user_namespace", "$B $RO --unshare-user sh -c 'id -u; id -g'").out("{uid}\n{gid}\n"),
    Case::new("uid", "$B $RO --unshare-user --uid 5 sh -c 'id -u; id -g'").out("5\n{gid}\n"),
    Case::new("gid", "$B $RO --unshare-user --gid 6 sh -c 'id -u; id -g'").out("{uid}\n6\n"),
    Case::new("uid_0", "$B $RO --unshare-user --uid 0 --gid 0 id -u").out("0\n"),
    Case::new("uid_with_unshare_all", "$B $RO --unshare-all --uid 7 --gid 8 sh -c 'id -u; id -g'").out("7\n8\n"),
    Case::new("uid_with_try", "$B $RO --unshare-user-try --uid 7 id -u").out("7\n"),
    Case::new("uid_is_implied_for_a_user", "$B $RO --uid 7 id -u").out("7\n").user(),
    Case::new("uid_map", "$B $RO --unshare-user --proc /proc sh -c 'set -- $(cat /proc/self/uid_map); echo $1 $3'").out("{uid} 1\n"),
    Case::new("uid_map_with_another_id", "$B $RO --unshare-user --uid 9 --proc /proc sh -c 'set -- $(cat /proc/self/uid_map); echo $1 $3'")
        .out("9 1\n"),
    Case::new(
        "uid_map_with_dev_is_nested",
        "$B $RO --unshare-user --uid 9 --proc /proc --dev /dev sh -c 'echo $(cat /proc/self/uid_map /proc/self/gid_map)'",
    )
    .out("9 0 1 {gid} 0 1\n"),
    Case::new("uid_map_of_a_user_with_dev_is_nested", "$B $RO --proc /proc --dev /dev sh -c 'echo $(cat /proc/self/uid_map)'")
        .out("{uid} 0 1\n")
        .user(),
    Case::new("setgroups_is_denied", "$B $RO --unshare-user --proc /proc cat /proc/self/setgroups").out("deny\n"),
    Case::new("files_of_the_host_keep_their_owner", "$B $RO --ro-bind $W/file /f stat -c '%u %g' /f").out("{uid} {gid}\n"),
    Case::new("files_of_the_host_follow_the_map", "$B $RO --unshare-user --uid 12 --gid 13 --ro-bind $W/file /f stat -c '%u %g' /f")
        .out("12 13\n"),
    Case::new("what_is_written_is_the_callers", "$B $RO --unshare-user --uid 12 --bind $W/out /o touch /o/new; stat -c %u out/new")
        .out("{uid}\n"),
    Case::new("files_of_others_are_nobodys", "$B $RO --unshare-user --uid 12 stat -c %u /usr").out("65534\n").user(),
    Case::new("uid_needs_a_namespace", "$B $RO --uid 5 true")
        .root()
        .refused(&["bwrap: Specifying --uid requires --unshare-user or --userns"]),
    Case::new("gid_needs_a_namespace", "$B $RO --gid 5 true")
        .root()
        .refused(&["bwrap: Specifying --gid requires --unshare-user or --userns"]),
    Case::new("uid_not_a_number", "$B $RO --unshare-user --uid x true").refused(&["bwrap: Invalid uid: x"]),
    Case::new("uid_empty", "$B $RO --unshare-user --uid '' true").refused(&["bwrap: Invalid uid: "]),
    Case::new("uid_negative", "$B $RO --unshare-user --uid -1 true").refused(&["bwrap: Invalid uid: -1"]),
    Case::new("uid_hexadecimal", "$B $RO --unshare-user --uid 0xa true").refused(&["bwrap: Invalid uid: 0xa"]),
    Case::new("uid_beyond", "$B $RO --unshare-user --uid 4294967295 true").refused(&["bwrap: Invalid uid: 4294967295"]),
    Case::new("uid_does_not_wrap_to_root", "$B $RO --unshare-user --uid 4294967296 id -u")
        .refused(&["bwrap: Invalid uid: 4294967296"])
        .differs("bubblewrap takes 4294967296 for user 0"),
    Case::new("uid_with_a_plus_and_zeros", "$B $RO --unshare-user --uid +5 --gid 010 sh -c 'id -u; id -g'").out("5\n10\n"),
    Case::new("gid_not_a_number", "$B $RO --unshare-user --gid z true").refused(&["bwrap: Invalid gid: z"]),
    Case::new("no_new_privileges", "$B $RO --proc /proc grep NoNewPrivs /proc/self/status").out("NoNewPrivs:\t1\n"),
    Case::new(
        "set_uid_programs_gain_nothing",
        "$B --bind / / --proc /proc /usr/bin/newgrp --help >/dev/null 2>&1; $B --bind / / su -c 'id -u' </dev/null >/dev/null 2>&1",
    )
    .user()
    .status(1),
];
