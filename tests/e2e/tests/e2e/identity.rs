//! Who the command is and what surrounds it: ids, host name, environment.

use enclos_testkit::{Run, Who};
use enclos_tests_e2e::{assert_refused, both, printed, sh};

both! {
    fn ids_are_1000_unless_said_otherwise(world) {
        assert_eq!(printed(world, &[], "id -u; id -g"), "1000\n1000");
        assert_eq!(printed(world, &["--uid", "0", "--gid", "0"], "id -u; id -g"), "0\n0");
        assert_eq!(printed(world, &["--uid", "4242", "--gid", "77"], "id -u; id -g"), "4242\n77");
    }

    fn the_user_has_a_name_and_a_home(world) {
        let text = printed(world, &[], "id -un; id -gn; cd; pwd; echo $HOME; touch $HOME/file && echo written");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].parse::<u32>().is_err() && lines[1].parse::<u32>().is_err(), "{text}");
        assert_eq!(lines[2], lines[3]);
        assert_eq!(lines[4], "written");
    }

    fn the_host_name_is_enclos_unless_said_otherwise(world) {
        assert_eq!(printed(world, &[], "uname -n"), "enclos");
        assert_eq!(printed(world, &["--hostname", "box-7"], "uname -n; cat /proc/sys/kernel/hostname"), "box-7\nbox-7");
    }

    fn the_environment_is_made_anew(world) {
        let outcome = Run::new(world).env("SECRET_OF_THE_CALLER", "x").command(["/usr/bin/env"]).output();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        assert!(!outcome.out().contains("SECRET_OF_THE_CALLER"), "{}", outcome.out());
    }

    fn variables_can_be_set_and_kept(world) {
        let flags = ["--env", "A=1", "--env", "B=two words = x", "--env", "EMPTY=", "--keep-env", "KEPT"];
        let outcome = Run::new(world).flags(flags).env("KEPT", "yes").env("DROPPED", "no").sh("echo \"$A|$B|$KEPT|$DROPPED|${EMPTY-unset}\"").output();
        assert_eq!(outcome.out(), "1|two words = x|yes||\n", "{}", outcome.describe());
    }

    fn a_later_variable_wins(world) {
        assert_eq!(printed(world, &["--env", "A=1", "--env", "A=2", "--env", "HOME=/tmp"], "echo $A $HOME"), "2 /tmp");
    }

    fn a_kept_variable_that_is_not_set_stays_unset(world) {
        assert_eq!(printed(world, &["--keep-env", "NOT_SET_ANYWHERE"], "echo ${NOT_SET_ANYWHERE-unset}"), "unset");
    }

    fn the_command_is_not_process_1(world) {
        // An init would shrug off the command's own signals.
        assert_eq!(printed(world, &[], "echo $$"), "2");
    }

    fn ids_own(world) {
        let outcome = sh(world, &["--ids", "own"], "id -u");
        if world.who == Who::Root {
            assert_refused(&outcome, "own");
        } else {
            assert_eq!(outcome.out().trim(), "1000", "{}", outcome.describe());
        }
    }

    fn ids_range(world) {
        let outcome = sh(world, &["--ids", "range"], "cat /proc/self/uid_map");
        if outcome.code == Some(125) && world.who == Who::User {
            // The ordinary user of these tests has no line in /etc/subuid.
            assert_refused(&outcome, "range");
        } else {
            assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
            let first: u32 = outcome.out().split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a map");
            assert!(first >= 65_536, "{}", outcome.out());
        }
    }
}
