//! Descriptors: what the command inherits, and the documents written to those who watch.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("the_command_inherits_the_callers", "$B $RO --proc /proc sh -c 'cat <&5' 5<file").out("data\n"),
    Case::new("the_command_gets_its_streams", "echo in | $B $RO sh -c 'cat; echo err >&2' 2>e; cat e").out("in\nerr\n"),
    Case::new("a_closed_stdin_stays_closed", "$B $RO --proc /proc sh -c '[ -e /proc/self/fd/0 ] || echo closed' <&-")
        .out("")
        .differs("a closed standard stream of ours is /dev/null, so that no file opened later takes its place"),
    Case::new("closed_streams_are_no_trouble", "$B $RO true <&- >&- 2>&-"),
    Case::new("closed_streams_are_no_trouble_with_init", "$B $RO --unshare-pid true <&- >&- 2>&-"),
    Case::new("used_descriptors_are_closed", "$B $RO --proc /proc --file 3 /a --block-fd 4 --sync-fd 5 --json-status-fd 6 --info-fd 7 --seccomp 8 sh -c 'for n in 3 4 5 6 7 8; do [ -e /proc/$$/fd/$n ] && echo $n; done; true' 3<file 4<file 5<file 6>s 7>i 8<filter.1"),
    Case::new("no_descriptor_is_added", "ls -l /proc/self/fd | wc -l > h; $B --bind / / sh -c 'ls -l /proc/self/fd | wc -l' > o; cmp h o"),
    Case::new("no_descriptor_is_added_with_init", "ls /proc/self/fd | wc -l > h; $B --bind / / --unshare-pid --proc /proc sh -c 'ls /proc/self/fd | wc -l' > o; cmp h o"),
    Case::new("info_fd", "$B $RO --info-fd 3 true 3>i; norm i").out("{\n    \"child-pid\": PID,\n    \"mnt-namespace\": NS\n}\n"),
    Case::new("info_fd_with_all_namespaces", "$B $RO --unshare-all --info-fd 3 true 3>i; norm i").out(
        "{\n    \"child-pid\": PID,\n    \"cgroup-namespace\": NS,\n    \"ipc-namespace\": NS,\n    \"mnt-namespace\": NS,\n    \"net-namespace\": NS,\n    \"pid-namespace\": NS,\n    \"uts-namespace\": NS\n}\n",
    ),
    Case::new("json_status_fd", "$B $RO --json-status-fd 3 sh -c 'exit 7' 3>s; echo $?; norm s")
        .out("7\n{ \"child-pid\": PID, \"mnt-namespace\": NS }\n{ \"exit-code\": 7 }\n"),
    Case::new("json_status_fd_with_all_namespaces", "$B $RO --unshare-all --json-status-fd 3 true 3>s; norm s").out(
        "{ \"child-pid\": PID, \"cgroup-namespace\": NS, \"ipc-namespace\": NS, \"mnt-namespace\": NS, \"net-namespace\": NS, \"pid-namespace\": NS, \"uts-namespace\": NS }\n{ \"exit-code\": 0 }\n",
    ),
    Case::new("json_status_fd_tells_a_signal", "$B $RO --unshare-pid --json-status-fd 3 sh -c 'kill -9 $$' 3>s; echo $?; tail -n 1 s")
        .out("137\n{ \"exit-code\": 137 }\n"),
    Case::new("json_status_fd_says_nothing_of_a_command_that_did_not_run", "$B $RO --json-status-fd 3 /none 3>s; norm s")
        .out("{ \"child-pid\": PID, \"mnt-namespace\": NS }\n")
        .err(&["bwrap: execvp /none: No such file or directory"]),
    Case::new("json_status_fd_says_nothing_of_a_failed_set_up", "$B $RO --json-status-fd 3 --bind /none /x true 3>s; norm s")
        .out("{ \"child-pid\": PID, \"mnt-namespace\": NS }\n")
        .err(&["bwrap: Can't find source path /none: No such file or directory"]),
    Case::new("both_documents_tell_one_process", "$B $RO --json-status-fd 3 --info-fd 4 true 3>s 4>i; sed -nE 's/.*child-pid\": ([0-9]+).*/\\1/p' s > a; sed -nE 's/.*child-pid\": ([0-9]+).*/\\1/p' i | cmp - a"),
    Case::new("child_pid_can_be_signalled", "$B $RO --json-status-fd 3 sleep 20 3>s & b=$!; while ! grep -qs child-pid s; do sleep 0.05; done; sleep 0.3; kill -TERM $(sed -nE 's/.*child-pid\": ([0-9]+).*/\\1/p' s); wait $b; echo $?; tail -n 1 s")
        .out("143\n{ \"exit-code\": 143 }\n"),
    Case::new("child_pid_of_a_pid_namespace_is_its_first_process", "$B $RO --unshare-pid --json-status-fd 3 sleep 20 3>s & b=$!; while ! grep -qs child-pid s; do sleep 0.05; done; sleep 0.3; kill -KILL $(sed -nE 's/.*child-pid\": ([0-9]+).*/\\1/p' s); wait $b; echo $?; tail -n 1 s")
        .out("137\n{ \"exit-code\": 137 }\n"),
    Case::new("namespace_numbers_are_those_of_the_kernel", "$B --bind / / --unshare-pid --unshare-ipc --info-fd 3 stat -L -c %i /proc/self/ns/ipc /proc/self/ns/mnt 3>i > o; sed -nE 's/.*(ipc|mnt)-namespace\": ([0-9]+).*/\\2/p' i | cmp - o"),
    Case::new("info_fd_that_is_not_open", "timeout --foreground 5 $B $RO --info-fd 9 true 2>e; echo $?; cat e").out("1\nbwrap: Write to info_fd: Bad file descriptor\n"),
    Case::new("json_status_fd_that_is_not_open", "timeout --foreground 5 $B $RO --json-status-fd 9 true 2>e; echo $?; cat e").out("1\nbwrap: Write to info_fd: Bad file descriptor\n"),
    Case::new("block_fd_waits", "mkfifo p; $B $RO --block-fd 3 sh -c 'echo ran' 3<>p > o & sleep 0.4; cat o; echo x > p; wait; cat o").out("ran\n"),
    Case::new("block_fd_takes_the_end_for_go", "$B $RO --block-fd 3 echo ran 3</dev/null").out("ran\n"),
    Case::new("block_fd_that_is_not_open", "$B $RO --block-fd 9 echo ran").out("ran\n"),
    Case::new("block_fd_waits_after_set_up", "mkfifo p; $B $RO --bind $W/out /o --file 4 /o/made --block-fd 3 true 3<>p 4<file & sleep 0.4; ls out; echo x > p; wait").out("made\n"),
    Case::new("userns_block_fd", "mkfifo p; $B $RO --proc /proc --unshare-user --userns-block-fd 3 --info-fd 4 sh -c 'echo $(cat /proc/self/uid_map); id -u' 3<>p 4>i & while ! grep -qs '}' i; do sleep 0.05; done; c=$(sed -nE 's/.*child-pid\": ([0-9]+).*/\\1/p' i); printf '0 0 100' > /proc/$c/uid_map; printf '0 0 100' > /proc/$c/gid_map; echo x > p; wait")
        .root()
        .out("0 0 100\n0\n"),
    Case::new("userns_block_fd_needs_a_user_namespace", "$B $RO --userns-block-fd 0 --info-fd 3 true 3>i").refused(&["bwrap: --userns-block-fd requires --unshare-user"]),
    Case::new("userns_block_fd_needs_info_fd", "$B $RO --userns-block-fd 0 --unshare-user true").refused(&["bwrap: --userns-block-fd requires --info-fd"]),
    Case::new("userns_block_fd_cannot_disable_userns", "$B $RO --userns-block-fd 0 --unshare-user --info-fd 3 --disable-userns true 3>i")
        .refused(&["bwrap: --disable-userns is not compatible with  --userns-block-fd"]),
    Case::new("sync_fd_stays_open_while_the_sandbox_lives", "mkfifo p; $B $RO --unshare-pid --sync-fd 3 sleep 0.5 3>p & cat p; echo over; wait").out("over\n"),
    Case::new("sync_fd_outlives_the_command", "mkfifo p; $B $RO --dev /dev --unshare-pid --sync-fd 3 sh -c 'sleep 0.6 & echo first' 3>p > o & cat p; cat o").out("first\n"),
    Case::new("sync_fd_twice", "$B $RO --sync-fd 3 --sync-fd 3 true 3<file").err(&["bwrap: Only the last --sync-fd option will take effect"]),
    Case::new("args", "printf '%s\\0' --dir /q --setenv A 1 | $B $RO --args 0 sh -c 'stat -c %F /q; echo $A'").out("directory\n1\n"),
    Case::new("args_and_a_status_are_not_one_descriptor", "printf -- '--unshare-ipc\\0' > a; for o in info-fd json-status-fd; do timeout --foreground 5 $B $RO --args 3 --$o 3 true 3<a 2>&1 | head -n 1; done")
        .out("bwrap: Write to info_fd: Bad file descriptor\nbwrap: Write to info_fd: Bad file descriptor\n"),
    Case::new("args_and_a_file_are_not_one_descriptor", "printf -- '--unshare-ipc\\0' > a; timeout --foreground 5 $B $RO --args 3 --file 3 /f true 3<a")
        .refused(&["bwrap: Can't write data to file /f: Bad file descriptor"]),
    Case::new("args_without_a_last_nul", "printf -- '--setenv\\0A\\0last' | $B $RO --args 0 printenv A").out("last\n"),
    Case::new("args_twice", "printf '%s\\0' --dir /a > a; printf '%s\\0' --dir /b > b; $B $RO --args 3 --args 4 ls -d /a /b 3<a 4<b").out("/a\n/b\n"),
    Case::new("args_empty", "$B $RO --args 0 echo ran </dev/null").out("ran\n"),
    Case::new("args_hold_options_only", "printf '%s\\0' --dir /q -- echo inner | $B $RO --args 0 sh -c 'stat -c %F /q; echo outer'").out("directory\nouter\n"),
    Case::new("args_do_not_bring_the_command", "printf '%s\\0' echo inner > a; $B $RO --args 3 3<a 2>&1 | head -n 1").out("usage: {w}/bin/bwrap [OPTIONS...] [--] COMMAND [ARGS...]\n"),
    Case::new("args_keep_their_place", "printf '%s\\0' --tmpfs /x > a; $B $RO --bind dir /x --args 3 --file 4 /x/y ls /x 3<a 4<file").out("y\n"),
    Case::new("args_in_args", "printf '%s\\0' --args 4 > a; $B $RO --args 3 true 3<a 4<a").refused(&["bwrap: --args not supported in arguments file"]),
    Case::new("args_that_cannot_be_read", "$B $RO --args 9 true").refused(&["bwrap: Can't read --args data: Bad file descriptor"]),
    Case::new("args_cut_short", "printf -- --dir > a; $B $RO --args 3 true 3<a").refused(&["bwrap: --dir takes an argument"]),
    Case::new("args_too_many", "yes -- --unshare-ipc | head -n 9000 | tr '\\n' '\\0' > a; $B $RO --args 3 true 3<a")
        .refused(&["bwrap: Exceeded maximum number of arguments 9000"]),
    Case::new("args_nearly_too_many", "yes -- --unshare-ipc | head -n 8900 | tr '\\n' '\\0' > a; $B $RO --args 3 echo ran 3<a").out("ran\n"),
    Case::new("a_descriptor_is_used_once", "$B $RO --add-seccomp-fd 3 --add-seccomp-fd 3 true 3<filter.1").refused(&["bwrap: Can't read seccomp data: Bad file descriptor"]),
    Case::new("a_descriptor_with_space_and_plus", "$B $RO --sync-fd ' 3' --block-fd +4 true 3<file 4<file"),
    Case::new("a_descriptor_does_not_wrap", "$B $RO --sync-fd 4294967299 true 3<file")
        .refused(&["bwrap: Invalid fd: 4294967299"])
        .differs("bubblewrap takes 4294967299 for 3"),
];
