//! Environment, directory, name of the command.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("is_inherited", "A=1 $B $RO printenv A").out("1\n"),
    Case::new("setenv", "$B $RO --setenv A 'x y' printenv A").out("x y\n"),
    Case::new("setenv_empty_value", "$B $RO --setenv A '' sh -c 'echo \"${A-unset}.\"'").out(".\n"),
    Case::new("setenv_replaces", "A=1 $B $RO --setenv A 2 printenv A").out("2\n"),
    Case::new("unsetenv", "A=1 $B $RO --unsetenv A printenv A").status(1),
    Case::new("unsetenv_of_nothing", "$B $RO --unsetenv NOSUCH true"),
    Case::new("clearenv", "A=1 $B $RO --clearenv /usr/bin/env").out("PWD=/\n"),
    Case::new("pwd_follows_the_directory", "$B $RO --setenv PWD /no --chdir /usr printenv PWD").out("/usr\n"),
    Case::new("pwd_cannot_be_unset", "$B $RO --unsetenv PWD --chdir /usr printenv PWD").out("/usr\n"),
    Case::new("setenv_bad_name", "$B $RO --setenv A=B c true").refused(&["bwrap: setenv failed"]),
    Case::new("setenv_empty_name", "$B $RO --setenv '' c true").refused(&["bwrap: setenv failed"]),
    Case::new("unsetenv_bad_name", "$B $RO --unsetenv A=B true").refused(&["bwrap: unsetenv failed"]),
    Case::new("unsetenv_empty_name", "$B $RO --unsetenv '' true").refused(&["bwrap: unsetenv failed"]),
    Case::new(
        "path_is_the_new_one",
        "mkdir t; printf '#!/bin/sh\\necho mine\\n' > t/tool; chmod 755 t/tool; $B $RO --ro-bind t /t --setenv PATH /t tool",
    )
    .out("mine\n"),
    Case::new("path_without_the_command", "$B $RO --setenv PATH /none env").refused(&["bwrap: execvp env: No such file or directory"]),
    Case::new("no_path_means_the_systems", "$B $RO --unsetenv PATH env | grep -c ^PWD=").out("1\n"),
    Case::new("chdir", "$B $RO --chdir /usr/bin sh -c 'pwd'").out("/usr/bin\n"),
    Case::new("chdir_relative_to_the_root", "$B $RO --chdir usr sh -c 'pwd -P'").out("/usr\n"),
    Case::new("chdir_through_a_link", "$B $RO --symlink usr /u --chdir /u sh -c 'pwd -P; echo $PWD'").out("/usr\n/u\n"),
    Case::new("chdir_to_nothing", "$B $RO --chdir /none true").refused(&["bwrap: Can't chdir to /none: No such file or directory"]),
    Case::new("chdir_to_a_file", "$B $RO --chdir /usr/bin/env true").refused(&["bwrap: Can't chdir to /usr/bin/env: Not a directory"]),
    Case::new("chdir_empty", "$B $RO --chdir '' true").refused(&["bwrap: Can't chdir to : No such file or directory"]),
    Case::new("the_callers_directory_is_kept", "cd dir; $B --bind / / pwd").out("{w}/dir\n"),
    Case::new("home_where_the_callers_directory_is_not", "HOME=/usr/lib $B $RO sh -c 'pwd; echo $PWD'").out("/usr/lib\n/usr/lib\n"),
    Case::new("home_that_was_set", "$B $RO --setenv HOME /usr/bin sh -c pwd").out("/usr/bin\n"),
    Case::new("home_that_is_nowhere", "HOME=/none $B $RO sh -c pwd").out("/\n"),
    Case::new("no_home", "$B $RO --unsetenv HOME sh -c pwd").out("/\n"),
    Case::new("argv0", "$B $RO --argv0 name sh -c 'echo $0'").out("name\n").since("0.9"),
    Case::new("argv0_empty", "$B $RO --argv0 '' sh -c 'echo \"[$0]\"'").out("[]\n").since("0.9"),
    Case::new("argv0_does_not_change_what_runs", "$B $RO --proc /proc --argv0 cat sh -c 'readlink /proc/$$/exe | grep -c cat'")
        .out("0\n")
        .status(1)
        .since("0.9"),
    Case::new("argv0_twice", "$B $RO --argv0 a --argv0 b true").refused(&["bwrap: --argv0 used multiple times"]).since("0.9"),
    Case::new("the_commands_name_is_as_written", "$B $RO sh -c 'echo $0'").out("sh\n"),
];
