//! What bubblewrap does not have.

use enclos_tests_compat::Case;

const OURS: &str = "an option of ours";

pub const CASES: &[Case] = &[
    Case::new("limit_open_files", "$B $RO --enclos-limits open-files=64 sh -c 'ulimit -n'").out("64\n").differs(OURS),
    Case::new("limit_file_size", "$B $RO --bind out /o --dev /dev --enclos-limits file-size=4096 sh -c 'head -c 9000 /dev/zero > /o/f' 2>/dev/null; stat -c %s out/f")
        .out("4096\n")
        .differs(OURS),
    Case::new("the_last_limit_of_a_kind_holds", "$B $RO --enclos-limits open-files=64 --enclos-limits open-files=32 sh -c 'ulimit -n'")
        .out("32\n")
        .differs(OURS),
    // Limits that somebody watches, on the whole of the sandbox; an end by them is one by SIGKILL.
    Case::new("limit_wall", "$B $RO --unshare-pid --enclos-limits wall=300ms --enclos-report out/r sleep 20; echo $?; grep -o '\"verdict\": \"[A-Z_]*\"' out/r")
        .out("137\n\"verdict\": \"IDLENESS\"\n")
        .differs(OURS),
    Case::new("limit_idle", "$B $RO --unshare-pid --enclos-limits idle=300ms sleep 20; echo $?").out("137\n").differs(OURS),
    Case::new("limit_cpu", "$B $RO --unshare-pid --enclos-limits cpu=300ms --enclos-report out/r sh -c 'while :; do :; done'; echo $?; grep -o '\"verdict\": \"[A-Z_]*\"' out/r")
        .out("137\n\"verdict\": \"TIMED_OUT\"\n")
        .differs(OURS),
    Case::new("limit_memory", "$B --bind / / --unshare-pid --enclos-limits memory=24M --enclos-report out/r python3 -c 'x = bytearray(200 << 20)'; echo $?; grep -o '\"verdict\": \"[A-Z_]*\"' out/r")
        .root()
        .out("137\n\"verdict\": \"OUT_OF_MEMORY\"\n")
        .needs("python3")
        .differs(OURS),
    Case::new("limit_memory_is_held_or_refused", "$B --bind / / --unshare-pid --enclos-limits memory=24M sh -c 'touch out/ran; python3 -c \"x = bytearray(200 << 20)\"' 2>e; case $? in 137) echo held;; 1) ls out; grep -q '^bwrap: --enclos-limits: memory: ' e && echo held;; esac")
        .user()
        .out("held\n")
        .needs("python3")
        .differs(OURS),
    Case::new("limit_processes", "$B $RO --dev /dev --unshare-pid --enclos-limits processes=3 sh -c 'sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait' 2>&1 | grep -c 'Cannot fork'")
        .out("1\n")
        .differs(OURS),
    Case::new("limits_end_what_the_command_left", "$B $RO --dev /dev --unshare-pid --bind out /o --enclos-limits wall=20s sh -c '(sleep 0.5; echo late > /o/late) & exit 7'; echo $?; sleep 0.9; ls out")
        .out("7\n")
        .differs(OURS),
    Case::new("limits_of_one_process_end_nothing", "$B $RO --dev /dev --unshare-pid --bind out /o --enclos-limits open-files=64 sh -c '(sleep 0.5; echo late > /o/late) & true'; sleep 1; cat out/late")
        .out("late\n")
        .differs(OURS),
    Case::new("limits_and_the_status", "$B $RO --unshare-pid --enclos-limits wall=300ms --json-status-fd 3 sleep 20 3>s; tail -n 1 s").out("{ \"exit-code\": 137 }\n").differs(OURS),
    Case::new("limits_count_from_the_start_of_the_command", "mkfifo p; (sleep 0.6; echo > p) & $B $RO --unshare-pid --enclos-limits wall=500ms --block-fd 3 echo ran 3<>p").out("ran\n").differs(OURS),
    Case::new("limits_and_an_init_killed_by_others", "$B $RO --unshare-pid --enclos-limits wall=20s --json-status-fd 3 sleep 20 3>s & sleep 0.4; kill -KILL $(sed -nE 's/.*\"child-pid\": ([0-9]+).*/\\1/p' s); wait $!; echo $?")
        .out("137\n")
        .differs(OURS),
    Case::new("limits_leave_nothing_when_bwrap_is_killed", "$B $RO --unshare-pid --bind out /o --enclos-limits cpu=20s sh -c 'sleep 0.8; echo late > /o/late' & sleep 0.4; kill -KILL $!; wait $! 2>/dev/null; sleep 0.9; ls out; find /sys/fs/cgroup -name \"enclos-$!-*\"")
        .differs(OURS),
    Case::new("limits_that_are_watched_need_a_pid_namespace", "for l in wall=1s idle=1s cpu=1s memory=64M processes=9; do $B $RO --enclos-limits $l touch $W/ran 2>&1; done; test -e ran || echo none ran")
        .out("bwrap: --enclos-limits: wall requires --unshare-pid\nbwrap: --enclos-limits: idle requires --unshare-pid\nbwrap: --enclos-limits: cpu requires --unshare-pid\nbwrap: --enclos-limits: memory requires --unshare-pid\nbwrap: --enclos-limits: processes requires --unshare-pid\nnone ran\n")
        .differs(OURS),
    Case::new("limits_that_are_watched_need_an_init", "$B $RO --unshare-pid --as-pid-1 --enclos-limits wall=1s true").refused(&["bwrap: --enclos-limits: wall is not compatible with --as-pid-1"]).differs(OURS),
    Case::new("limit_that_makes_no_sense", "$B $RO --unshare-pid --enclos-limits wall=0s true").refused(&["bwrap: --enclos-limits: wall: \"0\" is not allowed"]).differs(OURS),
    Case::new("limit_of_a_stream_of_the_caller", "$B $RO --unshare-pid --enclos-limits output=1M true").refused(&["bwrap: --enclos-limits: \"output\" is not one of "]).differs(OURS),
    Case::new("limit_unknown", "$B $RO --enclos-limits memry=1M true")
        .refused(&["bwrap: --enclos-limits: \"memry\" is not one of "])
        .differs(OURS),
    Case::new("limit_without_value", "$B $RO --enclos-limits memory true")
        .refused(&["bwrap: --enclos-limits: \"memory\" is not KEY=VALUE, e.g. memory=64M"])
        .differs(OURS),
    Case::new("report", "$B $RO --unshare-all --enclos-report out/r sh -c 'exit 3'; echo $?; grep -oE '\"(verdict|exit_code)\": [^,]*' out/r; grep -oE '\"name\": \"(wall|cpu|resident-peak|disk)\"' out/r; stat -c %U out/r | grep -c .")
        .out("3\n\"verdict\": \"RUNTIME_ERROR\"\n\"exit_code\": 3\n\"name\": \"wall\"\n\"name\": \"cpu\"\n\"name\": \"resident-peak\"\n1\n")
        .differs(OURS),
    Case::new("report_without_namespaces", "$B $RO --enclos-report out/r true; echo $?; grep -oE '\"verdict\": [^,]*' out/r; grep -c 'the command sees the host.s processes' out/r")
        .out("0\n\"verdict\": \"OK\"\n1\n")
        .differs(OURS),
    Case::new("report_as_pid_1", "$B $RO --unshare-pid --as-pid-1 --enclos-report out/r sh -c 'kill -SEGV $$; exit 4'; echo $?; grep -oE '\"verdict\": [^,]*' out/r").out("4\n\"verdict\": \"RUNTIME_ERROR\"\n").differs(OURS),
    Case::new("report_of_a_signal", "$B $RO --unshare-pid --enclos-report out/r sh -c 'kill -SEGV $$'; echo $?; grep -oE '\"(verdict|signal)\": [^,]*' out/r").out("139\n\"verdict\": \"SIGNALED\"\n\"signal\": 11\n").differs(OURS),
    Case::new("report_of_a_failure", "$B $RO --enclos-report out/r /none; echo $?; grep -oE '\"(verdict|evidence)\": [^,]*' out/r")
        .out("1\n\"verdict\": \"INTERNAL_ERROR\"\n\"evidence\": \"execvp /none: No such file or directory\"\n")
        .err(&["bwrap: execvp /none: No such file or directory"])
        .differs(OURS),
    Case::new("report_ends_what_the_command_left", "$B $RO --dev /dev --unshare-pid --bind out /o --enclos-report r sh -c '(sleep 0.5; echo late > /o/late) & true'; sleep 0.9; ls out").differs(OURS),
    Case::new("report_that_cannot_be_written", "$B $RO --bind out /o --enclos-report /none/r touch /o/ran; echo $?; ls out").out("1\n").err(&["bwrap: --enclos-report: \"/none/r\": No such file or directory"]).differs(OURS),
    Case::new("report_follows_no_link", "ln -s ../file out/r; $B $RO --enclos-report out/r true; echo $?; cat file").out("1\ndata\n").err(&["bwrap: --enclos-report: \"out/r\": Too many levels of symbolic links"]).differs(OURS),
    Case::new("the_command_cannot_write_the_report", "$B --bind / / --unshare-pid --proc /proc --enclos-report out/r sh -c 'ls -l /proc/self/fd | grep -c out/r'").out("0\n").status(1).differs(OURS),
];
