//! Which namespaces are new, joined, or closed.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("the_mount_namespace_is_new", "$B --bind / / readlink /proc/self/ns/mnt > o; readlink /proc/self/ns/mnt | cmp -s - o").status(1),
    Case::new("root_shares_the_rest", "for n in cgroup ipc net pid user uts; do readlink /proc/self/ns/$n; done > h; $B --bind / / sh -c 'for n in cgroup ipc net pid user uts; do readlink /proc/self/ns/$n; done' > o; cmp h o")
        .root(),
    Case::new("a_user_has_a_user_namespace", "$B --bind / / readlink /proc/self/ns/user > o; readlink /proc/self/ns/user | cmp -s - o").user().status(1),
    Case::new("unshare_user", "$B --bind / / --unshare-user readlink /proc/self/ns/user > o; readlink /proc/self/ns/user | cmp -s - o").status(1),
    Case::new("unshare_user_try", "$B --bind / / --unshare-user-try readlink /proc/self/ns/user > o; readlink /proc/self/ns/user | cmp -s - o").status(1),
    Case::new("unshare_ipc", "$B --bind / / --unshare-ipc readlink /proc/self/ns/ipc > o; readlink /proc/self/ns/ipc | cmp -s - o").status(1),
    Case::new("unshare_pid", "$B $RO --unshare-pid sh -c 'echo $$ $PPID'").out("2 1\n"),
    Case::new("unshare_net", "$B --bind / / --unshare-net readlink /proc/self/ns/net > o; readlink /proc/self/ns/net | cmp -s - o").status(1),
    Case::new("unshare_net_has_loopback_up", "$B $RO --unshare-net --proc /proc sh -c 'tail -n +3 /proc/net/dev | cut -d: -f1; grep -q 127.0.0.1 /proc/net/fib_trie && echo up'")
        .out("    lo\nup\n"),
    Case::new("unshare_uts", "$B --bind / / --unshare-uts readlink /proc/self/ns/uts > o; readlink /proc/self/ns/uts | cmp -s - o").status(1),
    Case::new("unshare_uts_keeps_the_name", "$B $RO --unshare-uts uname -n > o; uname -n | cmp - o"),
    Case::new("unshare_cgroup", "$B --bind / / --unshare-cgroup readlink /proc/self/ns/cgroup > o; readlink /proc/self/ns/cgroup | cmp -s - o").status(1),
    Case::new("unshare_cgroup_try", "$B --bind / / --unshare-cgroup-try readlink /proc/self/ns/cgroup > o; readlink /proc/self/ns/cgroup | cmp -s - o").status(1),
    Case::new("unshare_cgroup_hides_the_path", "$B $RO --unshare-cgroup --proc /proc sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u'").out("/\n"),
    Case::new(
        "unshare_all",
        "$B --bind / / --unshare-all sh -c 'for n in cgroup ipc mnt net user uts; do readlink /proc/self/ns/$n; done' > o; for n in cgroup ipc mnt net user uts; do readlink /proc/self/ns/$n; done | sort - o | uniq -d",
    ),
    Case::new("hostname", "$B $RO --unshare-uts --hostname some.where uname -n").out("some.where\n"),
    Case::new("hostname_with_unshare_all", "$B $RO --unshare-all --hostname h uname -n").out("h\n"),
    Case::new("hostname_of_the_host_stays", "uname -n > h; $B $RO --unshare-uts --hostname enclos-x true; uname -n | cmp - h"),
    Case::new("hostname_needs_a_namespace", "$B $RO --hostname h true").refused(&["bwrap: Specifying --hostname requires --unshare-uts"]),
    Case::new("hostname_too_long", "$B $RO --unshare-uts --hostname $(printf '%0100d' 0) true").refused(&["bwrap: Can't set hostname to 000"]),
    Case::new("disable_userns", "$B $RO --unshare-user --disable-userns --proc /proc unshare -U true").status(1).err(&["unshare: unshare failed: No space left on device"]),
    Case::new("disable_userns_keeps_the_ids", "$B $RO --unshare-user --disable-userns --uid 5 --proc /proc sh -c 'id -u; echo $(cat /proc/self/uid_map)'")
        .out("5\n5 5 1\n"),
    Case::new("disable_userns_with_dev", "$B $RO --unshare-user --disable-userns --dev /dev --proc /proc sh -c 'id -u; unshare -U true'")
        .out("{uid}\n")
        .status(1)
        .err(&["unshare: unshare failed: No space left on device"]),
    Case::new("disable_userns_needs_a_namespace", "$B $RO --disable-userns true").refused(&["bwrap: --disable-userns requires --unshare-user"]),
    Case::new("disable_userns_needs_more_than_a_try", "$B $RO --unshare-user-try --disable-userns true")
        .refused(&["bwrap: --disable-userns requires --unshare-user"]),
    Case::new("assert_userns_disabled", "$B $RO --unshare-user --disable-userns --assert-userns-disabled true"),
    Case::new("assert_userns_disabled_fails", "$B $RO --assert-userns-disabled echo ran")
        .refused(&["bwrap: creation of new user namespaces was not disabled as requested"]),
    Case::new("without_disable_userns_nesting_works", "$B --bind / / --unshare-user unshare -U true"),
    Case::new("userns", "unshare -U -r sleep 20 & p=$!; sleep 0.2; $B --bind / / --userns 3 readlink /proc/self/ns/user 3</proc/$p/ns/user > o; readlink /proc/$p/ns/user | cmp - o; echo $?; kill $p")
        .out("0\n"),
    Case::new("userns_with_a_new_pid_namespace", "unshare -U -r sleep 20 & p=$!; sleep 0.2; $B --bind / / --userns 3 --unshare-pid sh -c 'echo $$; id -u' 3</proc/$p/ns/user; kill $p")
        .out("2\n0\n"),
    Case::new("userns_that_is_none", "$B $RO --userns 3 true 3<file").refused(&["bwrap: Joining"]),
    Case::new("userns_with_unshare_user", "$B $RO --userns 0 --unshare-user true").refused(&["bwrap: --userns not compatible --unshare-user"]),
    Case::new("userns_with_unshare_all", "$B $RO --userns 0 --unshare-all true").refused(&["bwrap: --userns not compatible --unshare-user-try"]),
    Case::new("userns_0_is_not_ignored", "$B $RO --userns 0 true <file").refused(&["bwrap: Joining"]).since("0.11.1"),
    Case::new(
        "userns2",
        "unshare -U -r sh -c 'unshare -U sleep 20 & echo $! > b; exec sleep 20' & a=$!; sleep 0.4; b=$(cat b); $B --bind / / --userns 3 --userns2 4 readlink /proc/self/ns/user 3</proc/$a/ns/user 4</proc/$b/ns/user > o; readlink /proc/$b/ns/user | cmp - o; echo $?; kill $a $b",
    )
    .out("0\n"),
    Case::new("userns2_that_is_none", "$B $RO --userns2 3 true 3<file").refused(&["bwrap: Setting userns2 failed: Invalid argument"]),
    Case::new("pidns", "unshare -p -f sleep 20 & p=$!; sleep 0.2; c=$(pgrep -P $p); $B --bind / / --pidns 3 readlink /proc/self/ns/pid 3</proc/$c/ns/pid > o; readlink /proc/$c/ns/pid | cmp - o; echo $?; kill $c")
        .root()
        .out("0\n"),
    Case::new("pidns_child_pid_is_the_callers_view", "unshare -p -f sleep 20 & p=$!; sleep 0.2; c=$(pgrep -P $p); $B --bind / / --pidns 3 --json-status-fd 4 sh -c 'sleep 1' 3</proc/$c/ns/pid 4>s & sleep 0.6; q=$(sed -nE 's/.*child-pid\": ([0-9]+).*/\\1/p' s); readlink /proc/$q/ns/pid > o; readlink /proc/$c/ns/pid | cmp - o; echo $?; kill $c")
        .root()
        .out("0\n"),
    Case::new("pidns_with_a_new_one_below_it", "unshare -p -f sleep 20 & p=$!; sleep 0.2; c=$(pgrep -P $p); $B --bind / / --pidns 3 --unshare-pid --json-status-fd 4 sh -c 'echo $$ $PPID; sleep 1; exit 5' 3</proc/$c/ns/pid 4>s & sleep 0.6; q=$(sed -nE 's/.*\"child-pid\": ([0-9]+).*/\\1/p' s); grep NSpid /proc/$q/status | wc -w; python3 -c 'import fcntl,os,sys;f=os.open(\"/proc/%s/ns/pid\"%sys.argv[2],0);print(os.fstat(fcntl.ioctl(f,0xb702)).st_ino==os.stat(\"/proc/%s/ns/pid\"%sys.argv[1]).st_ino)' $c $q; wait $!; echo $?; tail -n 1 s; kill $c")
        .root()
        .out("2 1\n4\nTrue\n5\n{ \"exit-code\": 5 }\n")
        .needs("python3"),
    Case::new("pidns_with_a_new_one_below_it_dies_with_its_parent", "unshare -p -f sleep 20 & p=$!; sleep 0.2; c=$(pgrep -P $p); $B --bind / / --pidns 3 --unshare-pid --die-with-parent sh -c 'sleep 0.8; echo late > out/late' 3</proc/$c/ns/pid & sleep 0.4; kill -KILL $!; wait 2>/dev/null $!; sleep 0.8; ls out; kill $c")
        .root()
        .differs("bubblewrap's processes in between end at once, and nothing is left that could notice"),
    Case::new("nested_sandboxes", "$B --bind / / --unshare-user $B --bind / / --unshare-user --uid 5 $B --bind / / --unshare-all id -u").out("5\n"),
    // The procfs shows the inner sandbox under other numbers than the inner bwrap knows.
    Case::new("nested_sandboxes_with_the_outer_proc", "$B --dev-bind / / --unshare-all $B --dev-bind / / --unshare-all --dev /dev --uid 7 sh -c 'id -u; exit 4'").out("7\n").status(4),
    Case::new("nested_sandboxes_with_a_proc_each", "$B --bind / / --unshare-all --proc /proc --dev /dev $B --bind / / --unshare-all --proc /proc --dev /dev sh -c 'echo $$; cat /proc/1/comm; test -e /proc/99'").user().out("2\nbwrap\n").status(1),
    Case::new("nested_sandboxes_with_a_proc_nobody_may_write", "$B --ro-bind / / --unshare-user $B --ro-bind / / --unshare-user true").refused(&["bwrap: setting up uid map: Read-only file system"]),
    Case::new("pidns_that_is_none", "$B $RO --pidns 3 true 3<file 2>e; echo $?; head -n 1 e").out("1\nbwrap: Setting pidns failed: Invalid argument\n"),
    Case::new("as_pid_1", "$B $RO --unshare-pid --as-pid-1 sh -c 'echo $$; exit 3'").out("1\n").status(3),
    Case::new("as_pid_1_needs_a_namespace", "$B $RO --as-pid-1 true").refused(&["bwrap: Specifying --as-pid-1 requires --unshare-pid"]),
    Case::new("as_pid_1_holds_no_locks", "$B $RO --unshare-pid --as-pid-1 --lock-file /usr true")
        .refused(&["bwrap: Specifying --as-pid-1 and --lock-file is not permitted"]),
];
