//! Exit status: the command's own comes through, ours are 125, 126, 127 and 128 + n.

use std::os::unix::fs::PermissionsExt;

use enclos_spec::Verdict;
use enclos_testkit::{Run, World};
use enclos_tests_e2e::{both, printed, sh};

both! {
    fn exit_status_comes_through(world) {
        for status in [0, 1, 2, 42, 124, 125, 126, 127, 128, 200, 255] {
            let outcome = sh(world, &[], &format!("exit {status}"));
            assert_eq!(outcome.code, Some(status), "{}", outcome.describe());
            let report = outcome.report.expect("a report was asked for");
            assert_eq!(report.exit_code, Some(status));
            assert_eq!(report.signal, None);
            assert_eq!(report.verdict, if status == 0 { Verdict::Ok } else { Verdict::RuntimeError });
        }
    }

    fn a_signal_is_128_and_its_number(world) {
        for signal in [1, 2, 3, 6, 8, 9, 10, 11, 13, 15, 24] {
            let outcome = sh(world, &[], &format!("kill -{signal} $$; sleep 5"));
            assert_eq!(outcome.code, Some(128 + signal), "{}", outcome.describe());
            let report = outcome.report.expect("a report was asked for");
            assert_eq!((report.verdict, report.signal, report.exit_code), (Verdict::Signaled, Some(signal), None));
        }
    }

    fn a_command_that_is_not_there_is_127(world) {
        for command in ["no-such-command-of-ours", "/no/such/file", "./no-such-file", "/etc/passwd/no"] {
            let outcome = Run::new(world).command([command]).output();
            assert_eq!(outcome.code, Some(127), "{}", outcome.describe());
            assert!(outcome.err().contains(command) && outcome.err().trim().lines().count() == 1, "{}", outcome.describe());
        }
    }

    fn a_command_whose_interpreter_is_not_there_is_127(world) {
        let script = world.make_file("work/script", b"#!/no/such/interpreter\n");
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let outcome = Run::new(world).command(["./script"]).output();
        assert_eq!(outcome.code, Some(127), "{}", outcome.describe());
    }

    fn a_command_that_cannot_be_executed_is_126(world) {
        world.make_file("work/plain", b"text");
        let odd = world.make_file("work/odd", b"\x7fELFnonsense");
        std::fs::set_permissions(odd, PermissionsExt::from_mode(0o755)).unwrap();
        for command in ["/etc/passwd", "/usr", "./plain", "./odd"] {
            let outcome = Run::new(world).command([command]).output();
            assert_eq!(outcome.code, Some(126), "{command}: {}", outcome.describe());
            assert!(outcome.err().contains(command) && outcome.err().trim().lines().count() == 1, "{}", outcome.describe());
        }
    }

    fn arguments_arrive_as_given(world) {
        let words = ["", " ", "two words", "new\nline", "--", "-x", "--wall=1s", "$HOME", "`id`", "é", "\\", "'\"", "*"];
        let command = ["/bin/sh", "-c", "printf '[%s]' \"$@\"", "sh"].into_iter().chain(words);
        let outcome = Run::new(world).command(command).output();
        let wanted: String = words.iter().map(|word| format!("[{word}]")).collect();
        assert_eq!(outcome.out(), wanted, "{}", outcome.describe());
    }

    fn the_name_of_the_command_is_its_own(world) {
        assert_eq!(printed(world, &[], "cat /proc/self/comm"), "cat");
    }

    fn commands_are_looked_up_in_path(world) {
        let outcome = Run::new(world).command(["true"]).output();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        let outcome = Run::new(world).flags(["--env", "PATH=/nowhere"]).command(["true"]).output();
        assert_eq!(outcome.code, Some(127), "{}", outcome.describe());
    }

    fn children_that_outlive_the_command_do_not_change_its_status(world) {
        let outcome = sh(world, &[], "(sleep 30; exit 9) & (exit 5) & exit 3");
        assert_eq!(outcome.code, Some(3), "{}", outcome.describe());
        assert!(!outcome.stuck && outcome.elapsed.as_secs() < 20, "{}", outcome.describe());
    }
}

#[test]
fn worlds_are_removed() {
    let world = World::new(enclos_testkit::Who::User);
    let path = world.path("work");
    assert!(path.is_dir());
    drop(world);
    assert!(!path.exists());
}
