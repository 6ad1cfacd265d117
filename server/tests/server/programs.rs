//! What real programs do, through camisole's interface: its own test suite's cases, and the defects that are gone.

use serde_json::{Value, json};

use super::world::World;

fn meta(test: &Value) -> (&str, i64, i64) {
    let meta = &test["meta"];
    (meta["status"].as_str().unwrap_or("none"), meta["exitcode"].as_i64().unwrap(), meta["exitsig"].as_i64().unwrap())
}

#[test]
fn streams_are_kept_apart_and_input_arrives_whole() {
    let world = World::new();
    let test = world.python("import sys; print('out'); print('err', file=sys.stderr)", json!({}));
    assert_eq!((&test["stdout"], &test["stderr"], meta(&test)), (&json!("out\n"), &json!("err\n"), ("OK", 0, 0)));
    let text = "1\n🦀 dédé\n".repeat(20_000);
    let test = world.python("import sys; sys.stdout.write(sys.stdin.read())", json!({"execute": {"stdin": text}}));
    assert_eq!(test["stdout"], text.as_str());
}

#[test]
fn without_input_a_program_reads_its_end() {
    let world = World::new();
    let source = "import sys; print(repr(sys.stdin.read()))";
    for more in [json!({}), json!({"execute": {"stdin": ""}}), json!({"execute": {"stdin": null}}), json!({"tests": [{"stdin": ""}]})] {
        assert_eq!(world.python(source, more.clone())["stdout"], "''\n", "{more}");
    }
}

#[test]
fn a_failing_program_is_told_of() {
    let world = World::new();
    let test = world.python("import sys; sys.exit(7)", json!({}));
    assert_eq!((meta(&test), &test["exitcode"]), (("RUNTIME_ERROR", 7, 0), &json!(1)));
    let test = world.python("import os, signal; os.kill(os.getpid(), signal.SIGFPE)", json!({}));
    assert_eq!((meta(&test), &test["meta"]["exitsig-message"]), (("SIGNALED", 0, 8), &json!("Floating point exception")));
    assert_eq!(test["meta"]["message"], "Caught fatal signal 8");
}

#[test]
fn clocks_hold() {
    let world = World::new();
    let test = world.python("while True: pass", json!({"execute": {"time": 0.3}}));
    assert_eq!(
        (meta(&test).0, &test["meta"]["message"], &test["meta"]["killed"]),
        ("TIMED_OUT", &json!("Time limit exceeded"), &json!(true))
    );
    let test = world.python("import time; time.sleep(30)", json!({"execute": {"wall-time": 10}, "tests": [{"wall-time": 0.3}]}));
    assert_eq!((meta(&test).0, &test["meta"]["message"]), ("TIMED_OUT", &json!("Time limit exceeded (wall clock)")));
    assert!((0.3..10.0).contains(&test["meta"]["wall-time"].as_f64().unwrap()), "{test}");
    assert_eq!(meta(&world.python("import time; time.sleep(.2)", json!({}))).0, "OK");
}

#[test]
fn limits_hold_though_nobody_asks_for_any() {
    let world = World::with(&["--set", "judge.limits.run.cpu=500ms", "--set", "judge.limits.run.output=100K"]);
    assert_eq!(meta(&world.python("while True: pass", json!({}))).0, "TIMED_OUT");
    let test = world.python("while True: print('y' * 1000)", json!({}));
    assert_eq!(meta(&test), ("SIGNALED", 0, 25));
    assert!(test["stdout"].as_str().unwrap().len() <= 100 << 10);
}

#[test]
fn memory_is_bounded() {
    let world = World::new();
    let source = "x = bytearray(200 << 20); print(len(x))";
    let test = world.python(source, json!({"execute": {"mem": 50_000}}));
    assert_eq!((meta(&test).0, &test["stdout"]), ("OUT_OF_MEMORY", &json!("")), "{test}");
    assert_eq!(test["meta"]["cg-oom-killed"], 1);
    let test = world.python("list(range(10 ** 7))", json!({"execute": {"virt-mem": 50_000}}));
    assert_eq!((meta(&test).0, test["stderr"].as_str().unwrap().contains("MemoryError")), ("RUNTIME_ERROR", true), "{test}");
}

#[test]
fn files_are_bounded() {
    let world = World::new();
    let source = "with open('f', 'w') as f: f.write('x' * 10_000)\nprint('OK')";
    assert_eq!(world.python(source, json!({"execute": {"fsize": 11}}))["stdout"], "OK\n");
    let test = world.python(source, json!({"execute": {"fsize": 9}}));
    assert!(meta(&test).0 != "OK" && test["stdout"] == "", "{test}");
    // `quota` did nothing in camisole.
    let test = world.python("with open('f', 'w') as f: f.write('x' * 300_000)\nprint('OK')", json!({"execute": {"quota": "100,50"}}));
    assert!(meta(&test).0 != "OK" && test["stdout"] == "", "{test}");
    let test = world.python("for i in range(200): open(str(i), 'w')\nprint('OK')", json!({"execute": {"quota": "10000,50"}}));
    assert!(meta(&test).0 != "OK" && test["stdout"] == "", "{test}");
}

#[test]
fn processes_are_bounded() {
    let source = "import os\ntry:\n while True:\n  if os.fork() == 0: os.pause() if hasattr(os, 'pause') else __import__('time').sleep(30)\n\
                  except BlockingIOError: print('no more')";
    let test = World::new().python(source, json!({"execute": {"processes": 10, "wall-time": 10}}));
    assert_eq!((&test["stdout"], meta(&test).0), (&json!("no more\n"), "OK"), "{test}");
}

#[test]
fn a_compiler_is_bounded_and_what_it_says_is_told() {
    let world = World::new();
    let run = |source: &str| world.run(&json!({"lang": "C", "source": source}));
    let good = run("#include <stdio.h>\nint main(void) { int a; if (scanf(\"%d\", &a) != 1) puts(\"none\"); return 0; }");
    assert_eq!((&good["tests"][0]["stdout"], meta(&good["compile"]).0), (&json!("none\n"), "OK"));
    let bad = run("int main(void) { return x; }");
    assert!(bad.get("tests").is_none() && bad["success"] == true);
    assert!(meta(&bad["compile"]).0 == "RUNTIME_ERROR" && bad["compile"]["stderr"].as_str().unwrap().contains("error:"), "{bad}");
    let endless = world.run(&json!({"lang": "c", "source": "#include \"/dev/random\"", "compile": {"time": 0.5, "wall-time": 2}}));
    assert!(endless.get("tests").is_none() && meta(&endless["compile"]).0 != "OK", "{endless}");
}

#[test]
fn fatal_tests_end_the_run() {
    let world = World::new();
    let job = |more: Value| {
        let mut job = json!({"lang": "python", "source": "import sys; sys.exit(int(input()))"});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.run(&job)["tests"].take()
    };
    let tests = job(json!({"tests": [{"stdin": "1"}, {"stdin": "0", "fatal": true}, {"stdin": "1", "fatal": true}, {"stdin": "0"}]}));
    let seen: Vec<_> = tests.as_array().unwrap().iter().map(|test| test["meta"]["status"].as_str()).collect();
    assert_eq!(seen, [Some("RUNTIME_ERROR"), Some("OK"), Some("RUNTIME_ERROR"), None]);
    let tests = job(json!({"all_fatal": true, "tests": [{"stdin": "1"}, {"stdin": "0"}]}));
    assert_eq!(tests[1], json!({}));
}

#[test]
fn what_a_program_sees_is_what_camisole_showed_it() {
    let source = "import os, sys; print(os.getcwd(), sys.argv[0], os.environ['HOME'], os.getuid() != 0)";
    assert_eq!(World::new().python(source, json!({}))["stdout"], "/box /box/compiled.py /box True\n");
}

#[test]
fn binary_output_goes_as_message_pack() {
    let world = World::new();
    let job = json!({"lang": "python", "source": "import sys; sys.stdout.buffer.write(b'\\xff\\x00')"}).to_string();
    let response = world.request("POST", "/run", &[], job.as_bytes());
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/msgpack")));
    assert!(response.body.windows(4).any(|bytes| bytes == b"\xc4\x02\xff\x00"));
    let response = world.request("POST", "/run", &[("accept", "application/json")], job.as_bytes());
    assert_eq!(response.status, 406);
}

#[test]
fn the_host_and_its_languages_are_told() {
    let world = World::new();
    let system = world.request("GET", "/system", &[], b"").json()["system"].take();
    assert!(system["cpu_count"].as_u64() > Some(0) && system["memory"].as_u64() > Some(1 << 20), "{system}");
    assert!(system["cpu_mhz"].is_f64() || system["cpu_mhz"].is_null(), "{system}");
    let languages = world.request("GET", "/languages", &[], b"").json()["languages"].take();
    assert_eq!(languages["python"]["name"], "Python");
    assert!(languages["python"]["programs"]["python3"]["version"].as_str().is_some_and(|version| version.contains('.')), "{languages}");
    assert!(languages["c"]["programs"]["gcc"]["opts"].as_array().unwrap().contains(&json!("-Wall")), "{languages}");
    let names: Vec<_> = languages.as_object().unwrap().keys().filter(|name| !["python", "c"].contains(&name.as_str())).cloned().collect();
    let tested = world.request("POST", "/test", &[], json!({"exclude": names}).to_string().as_bytes()).json();
    assert_eq!((&tested["results"]["python"]["success"], &tested["results"]["c"]["success"]), (&json!(true), &json!(true)), "{tested}");
}
