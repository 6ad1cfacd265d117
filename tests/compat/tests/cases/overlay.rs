//! Overlays: newer than Debian's bubblewrap, so the expectations are the manual's words.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("tmp_overlay_unites", "$B $RO --overlay-src $W/low1 --overlay-src $W/low2 --tmp-overlay /x sh -c 'ls /x; cat /x/a /x/b /x/c'")
        .out("a\nb\nc\na2\nb1\nc2\n")
        .since("0.11"),
    Case::new("tmp_overlay_forgets_writes", "$B $RO --overlay-src $W/low1 --tmp-overlay /x sh -c 'echo new > /x/a; rm /x/b; cat /x/a; ls /x'; cat low1/a low1/b")
        .out("new\na\na1\nb1\n")
        .since("0.11"),
    Case::new("two_tmp_overlays_are_two", "$B $RO --overlay-src $W/low1 --tmp-overlay /x --overlay-src $W/low1 --tmp-overlay /y sh -c 'echo new > /x/a; cat /y/a'")
        .out("a1\n")
        .since("0.11"),
    Case::new("overlay_keeps_writes", "$B $RO --overlay-src $W/low1 --overlay $W/up $W/work /x sh -c 'echo new > /x/n; cat /x/a'; cat up/n; ls low1")
        .out("a1\nnew\na\nb\n")
        .since("0.11"),
    Case::new("overlay_reads_its_upper_first", "echo mine > up/a; $B $RO --overlay-src $W/low1 --overlay $W/up $W/work /x cat /x/a /x/b").out("mine\nb1\n").since("0.11"),
    Case::new("overlay_remembers", "$B $RO --overlay-src $W/low1 --overlay $W/up $W/work /x sh -c 'echo 1 > /x/n'; $B $RO --overlay-src $W/low1 --overlay $W/up $W/work /x cat /x/n")
        .out("1\n")
        .since("0.11"),
    Case::new("ro_overlay_unites", "$B $RO --overlay-src $W/low1 --overlay-src $W/low2 --ro-overlay /x cat /x/a /x/b /x/c").out("a2\nb1\nc2\n").since("0.11"),
    Case::new("ro_overlay_is_read_only", "$B $RO --overlay-src $W/low1 --overlay-src $W/low2 --ro-overlay /x touch /x/n")
        .status(1)
        .err(&["touch: cannot touch '/x/n': Read-only file system"])
        .since("0.11"),
    Case::new("the_last_source_is_on_top", "$B $RO --overlay-src $W/low2 --overlay-src $W/low1 --ro-overlay /x cat /x/a").out("a1\n").since("0.11"),
    Case::new("sources_may_be_relative", "$B $RO --overlay-src low1 --tmp-overlay x cat /x/a").out("a1\n").since("0.11"),
    Case::new("names_with_separators", "mkdir 'c:d' 'e,f' 'g\\h'; touch 'c:d/1' 'e,f/2' 'g\\h/3'; $B $RO --overlay-src 'c:d' --overlay-src 'e,f' --overlay-src 'g\\h' --tmp-overlay /x ls /x")
        .out("1\n2\n3\n")
        .since("0.11"),
    Case::new("an_overlay_of_a_whole_system", "$B --overlay-src /usr --tmp-overlay /usr --ro-bind-try /bin /bin --ro-bind-try /lib /lib --ro-bind-try /lib64 /lib64 sh -c 'echo x > /usr/bin/enclos-new; cat /usr/bin/enclos-new'")
        .root()
        .out("x\n")
        .since("0.11"),
    Case::new("overlay_src_that_is_missing", "$B $RO --overlay-src /none --tmp-overlay /x true")
        .refused(&["bwrap: Can't find source path /none: No such file or directory"])
        .since("0.11"),
    Case::new("overlay_upper_that_is_missing", "$B $RO --overlay-src $W/low1 --overlay /none1 /none2 /x true")
        .refused(&["bwrap: Can't find source path /none1: No such file or directory"])
        .since("0.11"),
    Case::new("overlay_of_a_file", "$B $RO --overlay-src $W/file --tmp-overlay /x true").refused(&["bwrap: Can't make overlay mount on /newroot/x with options "]).since("0.11"),
    Case::new("overlay_src_alone", "$B $RO --overlay-src $W/low1 true").refused(&["bwrap: --overlay-src must be followed by another --overlay-src or one of "]).since("0.11"),
    Case::new("overlay_src_then_something_else", "$B $RO --overlay-src $W/low1 --dir /x true")
        .refused(&["bwrap: --overlay-src must be followed by another --overlay-src or one of "])
        .since("0.11"),
    Case::new("overlay_without_source", "$B $RO --overlay $W/up $W/work /x true").refused(&["bwrap: --overlay requires at least one --overlay-src"]).since("0.11"),
    Case::new("tmp_overlay_without_source", "$B $RO --tmp-overlay /x true").refused(&["bwrap: --tmp-overlay requires at least one --overlay-src"]).since("0.11"),
    Case::new("ro_overlay_with_one_source", "$B $RO --overlay-src $W/low1 --ro-overlay /x true")
        .refused(&["bwrap: --ro-overlay requires at least two --overlay-src"])
        .since("0.11"),
    Case::new("perms_before_an_overlay", "$B $RO --perms 0700 --overlay-src $W/low1 --tmp-overlay /x true")
        .refused(&["bwrap: --perms must be followed by an option that creates a file"])
        .since("0.11"),
    Case::new("one_directory_twice", "$B $RO --overlay-src $W/low1 --overlay-src $W/low1 --ro-overlay /x true")
        .refused(&["bwrap: Can't make overlay mount on /newroot/x with options "])
        .since("0.11"),
    Case::new("parents_of_an_overlay_are_closed", "$B $RO --overlay-src $W/low1 --tmp-overlay /p/x stat -c %a /p").out("700\n").since("0.11"),
    Case::new("overlay_takes_three_arguments", "$B $RO --overlay a b").refused(&["bwrap: --overlay takes three arguments"]).since("0.11"),
];
