//! The five routes.

use serde_json::json;

use super::world::{World, job};

#[test]
fn the_root_says_welcome_to_every_method() {
    let world = World::new();
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = world.request(method, "/", &[], b"ignored \xff");
        assert_eq!(response.status, 200, "{method}");
        assert_eq!(response.text(), "Welcome to Camisole. Use the /run endpoint to run some code!\n");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!(world.request("HEAD", "/", &[], b"").body, b"");
}

#[test]
fn run_takes_post_alone() {
    let world = World::new();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let response = world.request(method, "/run", &[], job("print 1", "").as_bytes());
        assert_eq!((response.status, response.text()), (405, "405: Method Not Allowed"), "{method}");
        assert_eq!(response.header("allow"), Some("POST"));
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn other_paths_are_not_found() {
    let world = World::new();
    for path in ["/nothing", "/languages/", "/run/", "//", "/Run", "/test/c", "/../etc/passwd"] {
        let response = world.request("GET", path, &[], b"");
        assert_eq!((response.status, response.text()), (404, "404: Not Found"), "{path}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn run_answers_byte_for_byte() {
    let response = World::new().run(&job("print dédé", ""));
    let wanted = concat!(
        r#"{"success": true, "tests": [{"exitcode": 0, "meta": {"cg-mem": 5120, "cg-oom-killed": 0, "csw-forced": 1, "csw-voluntary": 3, "#,
        r#""exitcode": 0, "exitsig": 0, "exitsig-message": null, "killed": false, "max-rss": 4096, "message": null, "status": "OK", "#,
        r#""time": 0.016, "wall-time": 0.02}, "name": "test000", "stderr": "", "stdout": "d\u00e9d\u00e9\n"}]}"#
    );
    assert_eq!((response.status, response.text()), (200, wanted));
}

#[test]
fn tests_keep_their_order_and_names() {
    let answer = World::new().script("cat", r#", "tests": [{"stdin": "a"}, {"name": "own", "stdin": "b"}, {"stdin": "c 🦀"}]"#);
    let seen: Vec<_> = answer["tests"].as_array().unwrap().iter().map(|test| (&test["name"], &test["stdout"])).collect();
    assert_eq!(seen, [(&json!("test000"), &json!("a")), (&json!("own"), &json!("b")), (&json!("test002"), &json!("c 🦀"))]);
}

#[test]
fn tests_after_a_fatal_one_are_empty() {
    let world = World::new();
    let fatal = world.script("exit 1", r#", "tests": [{}, {"fatal": true}, {}]"#);
    assert_eq!((&fatal["tests"][1]["meta"]["status"], &fatal["tests"][2]), (&json!("RUNTIME_ERROR"), &json!({})));
    let all = world.script("exit 1", r#", "all_fatal": true, "tests": [{}, {}, {}]"#);
    assert_eq!((&all["tests"][1], &all["tests"][2]), (&json!({}), &json!({})));
    assert_eq!(all["tests"][0]["meta"]["message"], "Exited with error status 1");
}

#[test]
fn no_tests_and_an_empty_source_answer_success_alone() {
    let world = World::new();
    for more in [r#", "tests": []"#, r#", "tests": {}"#, r#", "tests": """#] {
        assert_eq!(world.script("print 1", more), json!({"success": true}), "{more}");
    }
    assert_eq!(world.script("", ""), json!({"success": true}));
}

#[test]
fn a_compiled_language_has_a_report_of_its_compiler() {
    let world = World::new();
    let run = |source: &str| world.run(&format!("{{\"lang\": \"Compiled\", \"source\": \"{source}\"}}")).json();
    let good = run("print 1");
    assert_eq!((&good["compile"]["meta"]["status"], &good["tests"][0]["stdout"]), (&json!("OK"), &json!("1\n")));
    let bad = run("uncompilable");
    assert_eq!((&bad["success"], &bad["compile"]["stderr"], bad.get("tests")), (&json!(true), &json!("no\n"), None));
    assert_eq!((&bad["compile"]["meta"]["status"], &bad["compile"]["exitcode"]), (&json!("RUNTIME_ERROR"), &json!(1)));
    let nothing = run("no binary");
    assert_eq!((&nothing["compile"]["stderr"], nothing.get("tests")), (&json!("Cannot find result binary.\n"), None));
    assert_eq!(nothing["compile"]["exitcode"], 0);
}

#[test]
fn options_reach_the_judge() {
    let answer = World::new().script(
        "limits",
        r#", "execute": {"time": 1.5, "mem": 2000, "quota": "10000,20"}, "tests": [{"wall-time": 3, "processes": 7, "fsize": 4}]"#,
    );
    let wanted = "cpu Some(1500000) wall Some(3000000) extra None memory Some(2048000) space None stack None file Some(4096) \
                  processes Some(7) disk Some(10240000) inodes Some(20)";
    assert_eq!(answer["tests"][0]["stdout"], wanted);
}

#[test]
fn a_signal_is_told_in_camisole_s_words() {
    let answer = World::new().script("signal 8", "");
    let meta = &answer["tests"][0]["meta"];
    assert_eq!(answer["tests"][0]["exitcode"], 1);
    assert_eq!((&meta["exitsig"], &meta["exitsig-message"]), (&json!(8), &json!("Floating point exception")));
    assert_eq!((&meta["message"], &meta["status"]), (&json!("Caught fatal signal 8"), &json!("SIGNALED")));
}

#[test]
fn languages_lists_what_is_installed() {
    let world = World::new();
    for method in ["GET", "POST", "PATCH"] {
        let response = world.request(method, "/languages", &[], b"");
        let wanted = concat!(
            r#"{"languages": {"compiled": {"name": "Compiled", "programs": {"compiled-run": {"opts": ["-O2"], "version": "1.2.3"}}}, "#,
            r#""script": {"name": "Script", "programs": {"script-run": {"opts": ["-O2"], "version": "1.2.3"}}}}, "success": true}"#
        );
        assert_eq!((response.status, response.text()), (200, wanted), "{method}");
    }
}

#[test]
fn system_tells_of_the_host() {
    let answer = World::new().request("GET", "/system", &[], b"").json();
    let keys: Vec<_> = answer["system"].as_object().unwrap().keys().cloned().collect();
    let wanted = [
        "arch",
        "byte_order",
        "cpu_cache_L1d",
        "cpu_cache_L1i",
        "cpu_cache_L2",
        "cpu_cache_L3",
        "cpu_count",
        "cpu_mhz",
        "cpu_name",
        "kernel",
        "kernel_release",
        "kernel_version",
        "memory",
    ];
    assert_eq!(keys, wanted);
    assert!(answer["system"]["cpu_mhz"].is_f64() && answer["system"]["memory"].is_u64() && answer["system"]["cpu_cache_L3"].is_null());
}

#[test]
fn test_runs_the_reference_programs() {
    let world = World::new();
    let all = world.request("GET", "/test", &[], b"").json();
    let names: Vec<_> = all["results"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["compiled", "script"]);
    let script = &all["results"]["script"];
    assert_eq!((&script["success"], &script["raw"]["tests"][0]["stdout"]), (&json!(true), &json!("42\n")));
    assert!(script["raw"].get("success").is_none() && all["results"]["compiled"]["raw"].get("compile").is_some());
    let some = world.request("POST", "/test", &[], br#"{"exclude": ["Script"]}"#).json();
    assert_eq!(some["results"].as_object().unwrap().keys().collect::<Vec<_>>(), ["compiled"]);
}
