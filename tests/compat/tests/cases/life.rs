//! Exit statuses, signals, sessions, what outlives what.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("status_0", "$B $RO true"),
    Case::new("status_7", "$B $RO sh -c 'exit 7'").status(7),
    Case::new("status_255", "$B $RO sh -c 'exit 255'").status(255),
    Case::new("status_7_with_init", "$B $RO --unshare-pid sh -c 'exit 7'").status(7),
    Case::new("a_signal_is_128_and_more", "$B $RO sh -c 'kill -15 $$'").status(143),
    Case::new("a_signal_with_init", "$B $RO --unshare-pid sh -c 'kill -9 $$'").status(137),
    Case::new("a_crash", "$B $RO --unshare-all sh -c 'kill -SEGV $$'").status(139),
    Case::new("init_reaps_orphans", "$B $RO --dev /dev --unshare-pid --proc /proc sh -c '(true & true); sleep 0.2; grep -l Z.*zombie /proc/[0-9]*/status; true'"),
    Case::new("init_does_not_wait_for_the_rest", "$B $RO --dev /dev --unshare-pid sh -c 'sleep 5 & echo done' > o; cat o").out("done\n"),
    Case::new("the_rest_lives_on", "$B $RO --dev /dev --unshare-pid --bind out /o sh -c '(sleep 0.5; echo late > /o/late) & true'; ls out; sleep 0.9; cat out/late").out("late\n"),
    Case::new("the_rest_lives_on_without_a_pid_namespace", "$B $RO --dev /dev --bind out /o sh -c '(sleep 0.5; echo late > /o/late) & true'; ls out; sleep 0.9; cat out/late").out("late\n"),
    Case::new("the_sandbox_outlives_bwrap", "$B $RO --unshare-pid --bind out /o sh -c 'sleep 0.6; echo late > /o/late' & sleep 0.2; kill -KILL $!; wait 2>/dev/null; sleep 0.8; cat out/late").out("late\n"),
    Case::new("die_with_parent_when_bwrap_dies", "$B $RO --die-with-parent --bind out /o sh -c 'sleep 0.6; echo late > /o/late' & sleep 0.2; kill -KILL $!; wait 2>/dev/null; sleep 0.8; ls out"),
    Case::new("die_with_parent_when_bwrap_dies_with_init", "$B $RO --unshare-pid --die-with-parent --bind out /o sh -c 'sleep 0.6; echo late > /o/late' & sleep 0.2; kill -KILL $!; wait 2>/dev/null; sleep 0.8; ls out"),
    Case::new("die_with_parent_with_a_helper_that_is_not_process_1", "for o in '--sync-fd 3' \"--lock-file $W/file\"; do $B --bind / / --die-with-parent $o sh -c 'sleep 0.6; echo late > out/late' 3</dev/null & sleep 0.2; kill -KILL $!; wait $! 2>/dev/null; done; sleep 0.8; ls out"),
    Case::new("die_with_parent_when_its_parent_dies", "sh -c '$B $RO --unshare-pid --die-with-parent --bind out /o sh -c \"sleep 0.6; echo late > /o/late\"; true' & sleep 0.2; kill -KILL $!; wait 2>/dev/null; sleep 0.8; ls out")
        .err(&[]),
    Case::new("die_with_parent_and_a_living_parent", "$B $RO --die-with-parent sh -c 'sleep 0.2; echo fine'").out("fine\n"),
    // A helper that ends the sandbox must know what is the sandbox: without a pid namespace "every process" are the host's. In one of its own, should it not know.
    Case::new("the_end_without_a_pid_namespace_is_nobody_elses", "unshare -Ur --pid --fork --mount-proc --kill-child sh -c 'sleep 9 & $B --ro-bind / / --die-with-parent --sync-fd 0 true </dev/null; echo $?; kill -0 $! && echo alive'")
        .out("0\nalive\n"),
    Case::new("the_end_with_a_lock_without_a_pid_namespace_is_nobody_elses", "unshare -Ur --pid --fork --mount-proc --kill-child sh -c 'sleep 9 & $B --bind / / --die-with-parent --lock-file $W/file true; echo $?; kill -0 $! && echo alive'")
        .out("0\nalive\n"),
    Case::new("a_killed_bwrap_is_a_killed_bwrap", "$B $RO --die-with-parent sleep 9 & sleep 0.2; kill -TERM $!; wait $! 2>/dev/null; echo $?").out("143\n"),
    Case::new("new_session", "$B --bind / / --new-session sh -c 'set -- $(ps -o pid=,sid= -p $$); [ $1 = $2 ] && echo leader'").out("leader\n"),
    Case::new("new_session_with_init", "$B --bind / / --unshare-pid --proc /proc --new-session ps -o sid= -p 2 | grep -c '^ *[12]$'").out("1\n"),
    Case::new("without_new_session", "ps -o sid= -p $$ > h; $B --bind / / ps -o sid= -p $$ | cmp - h"),
    Case::new("new_session_has_no_terminal", "script -qec \"$B --bind / / --dev-bind /dev /dev --new-session sh -c 'true </dev/tty || echo none'\" /dev/null | tail -n 1 | tr -d '\\r'")
        .out("none\n")
        .needs("script"),
    Case::new("lock_file_is_held", "$B --bind / / --lock-file $W/file sleep 0.8 & sleep 0.4; python3 -c 'import fcntl;f=open(\"file\",\"r+\")\ntry: fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB);print(\"free\")\nexcept OSError: print(\"held\")'; wait; python3 -c 'import fcntl;f=open(\"file\",\"r+\");fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB);print(\"free\")'")
        .out("held\nfree\n")
        .needs("python3"),
    Case::new("lock_file_is_shared", "$B --bind / / --lock-file $W/file sleep 0.6 & sleep 0.3; $B --bind / / --lock-file $W/file echo both; wait").out("both\n"),
    Case::new("two_lock_files", "$B --bind / / --unshare-pid --lock-file $W/file --lock-file $W/dir/f echo ran").out("ran\n"),
    Case::new("lock_file_that_is_missing", "$B $RO --unshare-pid --lock-file /none sleep 2").refused(&["bwrap: Unable to open lock file /none: No such file or directory"]),
    Case::new("lock_file_is_a_path_inside", "$B $RO --unshare-pid --lock-file $W/file sleep 2").refused(&["bwrap: Unable to open lock file {w}/file: No such file or directory"]),
    Case::new("child_signals_are_the_default", "timeout --foreground 5 python3 -c 'import os,signal,sys;signal.signal(signal.SIGCHLD,signal.SIG_IGN);os.execv(sys.argv[1],sys.argv[1:])' $B $RO --unshare-pid sh -c 'sh -c \"exit 3\"; echo $?'")
        .out("3\n")
        .needs("python3")
        .since("0.11.1"),
    Case::new("the_command_gets_signals_of_the_terminal", "$B $RO sh -c 'trap \"echo got; exit 5\" INT; kill -INT $$; sleep 1'").out("got\n").status(5),
    Case::new("not_found", "$B $RO /none").refused(&["bwrap: execvp /none: No such file or directory"]),
    Case::new("not_found_on_path", "$B $RO nosuchprogram").refused(&["bwrap: execvp nosuchprogram: No such file or directory"]),
    Case::new("not_executable", "$B $RO --file 3 /f /f 3<file").refused(&["bwrap: execvp /f: Permission denied"]),
    Case::new("a_directory", "$B $RO /usr").refused(&["bwrap: execvp /usr: Permission denied"]),
    Case::new("empty_command", "$B $RO ''").refused(&["bwrap: execvp : No such file or directory"]),
    Case::new("not_found_with_init", "$B $RO --unshare-pid /none").refused(&["bwrap: execvp /none: No such file or directory"]),
    Case::new("a_script_runs", "printf '#!/bin/sh\\necho script\\n' > s; $B $RO --perms 0755 --file 3 /s /s 3<s").out("script\n"),
    Case::new("a_script_without_a_first_line_runs", "printf 'echo script\\n' > s; $B $RO --perms 0755 --file 3 /s /s 3<s").out("script\n"),
    Case::new("dashes_end_the_options", "$B $RO -- sh -c 'echo $0' --bogus").out("--bogus\n"),
    Case::new("after_dashes_an_option_is_a_command", "$B $RO -- --dev-bind / / true").refused(&["bwrap: execvp --dev-bind: No such file or directory"]),
    Case::new("options_of_the_command_are_its_own", "$B $RO echo --unshare-pid --bogus").out("--unshare-pid --bogus\n"),
    // What a harness in Python does: reads the child's pid from both documents and signals it. Needs Python at /usr/bin/python3.
    Case::new("a_python_script_signals_the_child", r#"cat > $W/out/s.py <<'E'
import json, os, signal, subprocess, sys
(sr, sw), (ir, iw) = os.pipe(), os.pipe()
p = subprocess.Popen(sys.argv[1:2] + ["--json-status-fd", str(sw), "--info-fd", str(iw)] + sys.argv[2:] + ["sleep", "9"], pass_fds=(sw, iw))
os.close(sw); os.close(iw)
info = json.load(os.fdopen(ir))
first = json.loads(os.fdopen(sr).readline())
print(info["child-pid"] == first["child-pid"], flush=True)
os.kill(first["child-pid"], signal.SIGKILL)
print(p.wait())
E
/usr/bin/python3 $W/out/s.py $B $RO"#)
        .out("True\n137\n"),
];
