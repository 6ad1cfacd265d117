//! Standard streams, as inherited and as files.

use std::time::Duration;

use enclos_spec::Verdict;
use enclos_testkit::Run;
use enclos_tests_e2e::{both, printed, sh};

both! {
    fn stdin_reaches_the_command_and_ends(world) {
        let outcome = Run::new(world).command(["/bin/cat"]).stdin(b"one\ntwo\n").output();
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "one\ntwo\n"), "{}", outcome.describe());
    }

    fn no_stdin_is_an_empty_one(world) {
        assert_eq!(printed(world, &[], "cat; echo end"), "end");
    }

    fn the_two_outputs_stay_apart(world) {
        let outcome = sh(world, &[], "echo out; echo err >&2");
        assert_eq!(outcome.out(), "out\n", "{}", outcome.describe());
        assert!(outcome.err().lines().any(|line| line == "err"), "{}", outcome.describe());
    }

    fn bytes_arrive_unchanged(world) {
        let all: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let outcome = Run::new(world).command(["/bin/cat"]).stdin(&all).output();
        assert_eq!(outcome.stdout.len(), all.len(), "{}", outcome.code.unwrap_or(-1));
        assert!(outcome.stdout == all, "a byte was changed");
    }

    fn large_output_arrives_whole(world) {
        let outcome = sh(world, &["--output", "64M"], "head -c 20000000 /dev/zero; head -c 3000000 /dev/zero >&2");
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(0), 20_000_000));
        assert!(outcome.stderr.len() >= 3_000_000);
    }

    fn the_last_bytes_before_the_end_are_not_lost(world) {
        for round in 0..20 {
            let outcome = sh(world, &[], "head -c 1048576 /dev/zero; printf end");
            assert_eq!(outcome.stdout.len(), 1_048_579, "round {round}: {:?}", outcome.code);
            assert!(outcome.stdout.ends_with(b"end"));
        }
    }

    fn terminal_escapes_pass_as_bytes(world) {
        let outcome = sh(world, &[], "printf '\\033[2J\\000\\377no newline'");
        assert_eq!(outcome.stdout, b"\x1b[2J\0\xffno newline");
    }

    fn streams_can_be_files(world) {
        let input = world.make_file("out/in", b"from a file\n");
        let (out, err) = (world.text("out/stdout"), world.text("out/stderr"));
        std::fs::write(&out, "what stood here before is longer than what comes").unwrap();
        world.give(out.as_ref());
        let flags = ["--stdin", &input.display().to_string(), "--stdout", &out, "--stderr", &err];
        let outcome = sh(world, &flags, "cat; echo message >&2");
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "from a file\n");
        assert_eq!(std::fs::read_to_string(&err).unwrap(), "message\n");
        assert!(outcome.stdout.is_empty());
    }

    fn one_file_for_both_outputs(world) {
        let both = world.text("out/both");
        let outcome = sh(world, &["--stdout", &both, "--stderr", &both], "echo one; echo two >&2; echo three");
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        let text = std::fs::read_to_string(&both).unwrap();
        assert!(["one", "two", "three"].iter().all(|line| text.contains(line)), "{text:?}");
    }

    fn closed_streams_are_no_way_in(world) {
        for redirection in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
            let script = format!("exec \"$@\" {redirection}");
            let outcome = Run::new(world).under(["sh", "-c", &script, "sh"]).sh("ls -l /proc/self/fd; exit 4").output();
            assert!(matches!(outcome.code, Some(4 | 125)), "{redirection}: {}", outcome.describe());
        }
    }

    fn a_reader_that_leaves_ends_the_command(world) {
        let run = Run::new(world).under(["sh", "-c", "\"$@\" | head -n 1", "sh"]).command(["/usr/bin/yes"]).within(Duration::from_secs(20));
        let outcome = run.output();
        assert!(!outcome.stuck, "{}", outcome.describe());
        assert_eq!(outcome.out(), "y\n");
    }

    fn an_input_that_never_ends_does_not_hold_the_end(world) {
        // The test keeps the other end open; the command never reads.
        let (reader, writer) = std::io::pipe().unwrap();
        let input = std::fs::File::from(std::os::fd::OwnedFd::from(reader));
        let outcome = Run::new(world).sh("exit 5").stdin_from(input).within(Duration::from_secs(20)).output();
        assert_eq!((outcome.code, outcome.stuck), (Some(5), false), "{}", outcome.describe());
        drop(writer);
    }

    fn output_at_the_limit_is_no_offence(world) {
        let outcome = sh(world, &["--output", "1000"], "head -c 1000 /dev/zero");
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(0), 1000), "{}", outcome.describe());
        assert_eq!(outcome.verdict(), Verdict::Ok);
        assert_eq!(outcome.figure("stdout"), Some(1000));
    }
}
