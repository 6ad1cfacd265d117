//! Policy files, `--explain`, `--report`.

use enclos_spec::{LayerState, Report, Verdict};
use enclos_testkit::{Run, World};
use enclos_tests_e2e::{assert_refused, both, printed, sh};

fn policy(world: &World, text: &str) -> String {
    world.make_file("out/policy.toml", text.as_bytes()).display().to_string()
}

both! {
    fn a_policy_file_says_what_flags_say(world) {
        let file = policy(world, "hostname = \"from-file\"\nuid = 77\nworkdir = \"/usr\"\nwall = \"20s\"\nopen-files = 60\nenv = { A = \"file\" }\n");
        let text = printed(world, &["--policy", &file], "uname -n; id -u; pwd; ulimit -n; echo $A");
        assert_eq!(text, "from-file\n77\n/usr\n60\nfile");
    }

    fn a_flag_wins_over_the_file(world) {
        let file = policy(world, "hostname = \"from-file\"\nuid = 77\n");
        assert_eq!(printed(world, &["--policy", &file, "--hostname", "from-flag"], "uname -n; id -u"), "from-flag\n77");
        assert_eq!(printed(world, &["--hostname", "from-flag", "--policy", &file], "uname -n; id -u"), "from-flag\n77");
    }

    fn an_unknown_key_names_the_nearest_right_one(world) {
        let file = policy(world, "net = \"none\"\nmemry = \"64M\"\n");
        let outcome = sh(world, &["--policy", &file], "echo ran");
        assert_refused(&outcome, "memry");
        assert!(outcome.err().contains("`memory`") && outcome.err().contains("line 2"), "{}", outcome.err());
    }

    fn a_broken_file_names_file_and_line(world) {
        for (text, part) in [("net = \"internet\"\n", "internet"), ("wall = [1]\n", "wall"), ("x = = 1\n", "line 1"), ("memory = \"much\"", "much")] {
            let outcome = sh(world, &["--policy", &policy(world, text)], "echo ran");
            assert_refused(&outcome, "policy");
            assert!(outcome.err().contains(part) || outcome.err().contains("line 1"), "{text}: {}", outcome.err());
        }
        assert_refused(&sh(world, &["--policy", "/no/such/policy.toml"], "echo ran"), "/no/such/policy.toml");
        let binary = world.make_file("out/binary", b"\xff\xfe\0\0").display().to_string();
        assert_refused(&sh(world, &["--policy", &binary], "echo ran"), &binary);
    }

    fn an_empty_file_is_the_default(world) {
        assert_eq!(printed(world, &["--policy", &policy(world, "# nothing\n")], "uname -n"), "enclos");
    }

    fn explain_prints_the_plan_and_runs_nothing(world) {
        let marker = world.text("out/marker");
        let work = world.text("out");
        let flags = ["run", "--rw", &work, "--wall", "3s", "--explain", "--", "/bin/sh", "-c", &format!("touch {marker}")];
        let outcome = Run::tool(world, flags).output();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        assert!(outcome.out().contains(&work) && outcome.out().lines().count() > 5, "{}", outcome.out());
        assert!(!std::path::Path::new(&marker).exists(), "it ran");
    }

    fn explain_as_json_is_json(world) {
        let outcome = Run::tool(world, ["run", "--explain", "--json", "--", "true"]).output();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        let value: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {}", outcome.out()));
        assert!(value.is_object(), "{value}");
    }

    fn a_report_without_a_file_is_for_people_and_on_stderr(world) {
        let outcome = Run::tool(world, ["run", "--report", "--", "/bin/sh", "-c", "echo out; exit 3"]).output();
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "out\n"), "{}", outcome.describe());
        let text = outcome.err();
        assert!(text.contains("RUNTIME_ERROR") && text.contains("wall") && serde_json::from_str::<serde_json::Value>(&text).is_err(), "{text}");
    }

    fn without_a_report_the_tool_is_silent(world) {
        let outcome = Run::new(world).without_report().sh("echo out; echo err >&2; exit 3").output();
        assert_eq!((outcome.code, outcome.out().as_str(), outcome.err().as_str()), (Some(3), "out\n", "err\n"));
    }

    fn a_report_file_is_json_of_the_published_shape(world) {
        let outcome = sh(world, &[], "exit 0");
        let text = std::fs::read_to_string(world.path("out/report.json")).expect("the report");
        let report: Report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!((report.schema, report.verdict), (enclos_spec::report::SCHEMA, Verdict::Ok), "{}", outcome.describe());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["verdict"], "OK");
        assert_eq!(value["exit_code"], 0);
    }

    fn the_report_names_every_layer(world) {
        let report = sh(world, &[], "true").report.expect("a report was asked for");
        for name in ["user namespace", "mount namespace", "pid namespace", "network namespace", "seccomp", "landlock"] {
            let layer = report.layer(name).unwrap_or_else(|| panic!("no layer {name}: {:?}", report.layers));
            assert!(layer.state != LayerState::Off, "{layer:?}");
        }
        let report = sh(world, &["--seccomp", "none", "--landlock", "off", "--net", "host"], "true").report.expect("a report was asked for");
        for name in ["seccomp", "landlock", "network namespace"] {
            assert_eq!(report.layer(name).map(|layer| layer.state), Some(LayerState::Off), "{name}");
        }
    }

    fn a_report_that_cannot_be_written_is_no_success(world) {
        let outcome = Run::tool(world, ["run", "--report=/no/such/place/report.json", "--", "/bin/echo", "ran"]).output();
        assert_refused(&outcome, "/no/such/place/report.json");
    }

    fn doctor_says_what_the_host_can(world) {
        let outcome = Run::tool(world, ["doctor"]).output();
        let text = outcome.out().to_lowercase();
        for word in ["user namespace", "seccomp", "landlock", "overlay", "pidfd", "clone3", "memory", "pids", "cpu"] {
            assert!(text.contains(word), "{word} is missing: {}", outcome.describe());
        }
        let outcome = Run::tool(world, ["doctor", "--json"]).output();
        assert!(serde_json::from_slice::<serde_json::Value>(&outcome.stdout).is_ok(), "{}", outcome.describe());
    }
}
