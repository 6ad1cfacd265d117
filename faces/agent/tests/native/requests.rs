//! What a request says, who sends it, and what it is told when it is wrong.

use enclos_agent::api::{Level, Network, Preset};
use serde_json::{Value, json};

use super::world::{JSON, TWO_KEYS, World, error};

#[test]
fn a_sandbox_is_made_as_it_is_asked_for() {
    let world = World::new();
    let codebase = world.codebase();
    let made = world.make(
        "sandboxes",
        &json!({"codebase_id": codebase, "version": 0, "preset": "agent-safe", "rules": [{"pattern": "/docs/**", "level": "write"}],
            "expires_in": "2h", "labels": {"k": "v"}, "network": "loopback", "runtime": "bwrap", "env": {"A": "B"}, "shared": true,
            "resources": {"memory": "512MiB", "cpu_quota": 5, "cpu_shares": 6, "pids": 7, "disk": 8, "workspace": "1K"}}),
    );
    assert_eq!(made["resources"], json!({"memory": 512 << 20, "cpu_quota": 5, "cpu_shares": 6, "pids": 7, "disk": 8, "workspace": 1024}));
    assert_eq!(
        (&made["status"], &made["network"], &made["created_at"]),
        (&"pending".into(), &"loopback".into(), &"1970-01-01T00:00:00.000Z".into())
    );
    assert_eq!((&made["expires_at"], &made["codebase_id"]), (&"1970-01-01T02:00:00.000Z".into(), &codebase.into()));
    let new = world.agent.lock().new.clone().unwrap();
    let preset = Preset::AgentSafe.rules();
    assert_eq!(new.rules[..preset.len()], preset);
    assert_eq!((new.rules.len(), new.rules[preset.len()].level, new.network), (preset.len() + 1, Level::Write, Network::Loopback));
    assert_eq!((new.expires_in_ms, new.shared, new.env["A"].as_str()), (Some(7_200_000), true, "B"));
    // What is told of the rules can be sent again.
    let again = json!({"rules": made["rules"]});
    let id = made["id"].as_str().unwrap();
    assert_eq!(world.send("PUT", &format!("sandboxes/{id}/rules"), &again).json()["rules"], made["rules"]);
}

#[test]
fn without_a_word_about_rules_a_codebase_is_not_shown_and_the_presets_are_named() {
    let world = World::new();
    let codebase = world.codebase();
    for (method, path, body) in
        [("POST", "sandboxes", json!({"codebase_id": codebase})), ("POST", "run", json!({"codebase_id": codebase, "command": "x"}))]
    {
        let response = world.send(method, path, &body);
        assert_eq!((response.status, error(&response)), (400, ("invalid_argument".to_owned(), Some("rules".to_owned()))), "{path}");
        for preset in Preset::ALL {
            assert!(response.text().contains(preset.as_str()), "{}", response.text());
        }
    }
    // Empty on purpose, and nothing to hide.
    world.make("sandboxes", &json!({"codebase_id": codebase, "rules": []}));
    assert!(world.agent.lock().new.as_ref().unwrap().rules.is_empty());
    world.make("sandboxes", &json!({}));
    assert_eq!(world.agent.lock().new.as_ref().unwrap().rules, Preset::FullAccess.rules());
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    let world = World::new();
    let sandbox = world.sandbox();
    let exec = format!("sandboxes/{sandbox}/exec");
    for (path, body, field, says) in [
        ("sandboxes", json!({"codebaseid": "x"}), Some("codebaseid"), "did you mean `codebase_id`?"),
        ("sandboxes", json!({"rules": [{"pattern": "x", "level": "raed"}]}), Some("rules[0].level"), "did you mean `read`?"),
        ("sandboxes", json!({"rules": [{"pattern": "x", "levle": "read"}]}), Some("rules[0].levle"), "did you mean `level`?"),
        ("sandboxes", json!({"preset": "full-access", "rules": [{"pattern": "[", "level": "read"}]}), Some("rules[0].pattern"), "\"[\": "),
        ("sandboxes", json!({"preset": "agent_safe"}), Some("preset"), "did you mean \"agent-safe\"?"),
        ("sandboxes", json!({"network": "all"}), Some("network"), "`loopback`"),
        ("sandboxes", json!({"expires_in": "soon"}), Some("expires_in"), "text like \"30s\""),
        ("sandboxes", json!({"expires_in": 0}), Some("expires_in"), "above 0"),
        ("sandboxes", json!({"resources": {"memory": "much"}}), Some("resources.memory"), "512MiB"),
        ("sandboxes", json!({"resources": []}), Some("resources"), "an object"),
        ("sandboxes", json!([]), None, "an object"),
        ("codebases", json!({}), Some("name"), "missing field"),
        ("codebases", json!({"name": ""}), Some("name"), "1 to 256"),
        (&exec, json!({}), Some("command"), "missing"),
        (&exec, json!({"command": ""}), Some("command"), "no command"),
        (&exec, json!({"command": "x", "argv": ["x"]}), Some("argv"), "one of them"),
        (&exec, json!({"argv": []}), Some("argv"), "no program"),
        (&exec, json!({"command": "x", "timeout": -1}), Some("timeout"), "above 0"),
        (&exec, json!({"command": "x", "stdin": {"data": "!", "encoding": "base64"}}), Some("stdin"), "base64"),
    ] {
        let response = world.send("POST", path, &body);
        assert_eq!(
            (response.status, error(&response)),
            (400, ("invalid_argument".to_owned(), field.map(str::to_owned))),
            "{body}: {response:?}"
        );
        let told = response.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(told.contains(says), "{body}: {told}");
    }
    for (path, field) in [("sandboxes?pagesize=1", "pagesize"), ("sandboxes?status=up", "status"), ("sandboxes?page_size=x", "page_size")] {
        let response = world.get(path);
        assert_eq!((response.status, error(&response).1.as_deref()), (400, Some(field)), "{path}");
    }
    assert_eq!(error(&world.bytes("POST", "run", &[], b"{}")).0, "media_type");
    assert_eq!(error(&world.bytes("POST", "run", JSON, b"{")).0, "malformed");
}

#[test]
fn lives_and_states() {
    let world = World::new();
    let id = world.make("sandboxes", &json!({"labels": {"a": "1", "b": "2"}}))["id"].as_str().unwrap().to_owned();
    let post = |what: &str| world.bytes("POST", &format!("sandboxes/{id}/{what}"), &[], b"");
    let response = post("stop");
    assert_eq!((response.status, error(&response).0.as_str()), (409, "not_running"));
    assert_eq!(post("start").json()["status"], "running");
    let response = post("start");
    assert_eq!((response.status, error(&response).0.as_str()), (409, "already_running"));
    for (query, count) in
        [("", 1), ("?status=running", 1), ("?status=stopped", 0), ("?label.a=1&label.b=2", 1), ("?label.a=2", 0), ("?codebase_id=x", 0)]
    {
        assert_eq!(world.get(&format!("sandboxes{query}")).json()["sandboxes"].as_array().unwrap().len(), count, "{query}");
    }
    let refused = world.send("PUT", &format!("sandboxes/{id}/rules"), &json!({"preset": "read-only"}));
    assert_eq!((refused.status, error(&refused).0.as_str()), (409, "failed_precondition"));
    assert_eq!(world.send("PUT", &format!("sandboxes/{id}/rules"), &json!({"preset": "read-only", "end_processes": true})).status, 200);
    let why = world.get(&format!("sandboxes/{id}/explain?path=/a/b")).json();
    assert_eq!((&why["level"], &why["rule"]["pattern"], &why["path"]), (&"read".into(), &"**/*".into(), &"/a/b".into()));
    assert_eq!(world.send("PUT", &format!("sandboxes/{id}/expiry"), &json!({"expires_in": null})).json()["expires_at"], Value::Null);
    let missing = world.send("PUT", &format!("sandboxes/{id}/expiry"), &json!({}));
    assert_eq!((missing.status, error(&missing).1.as_deref()), (400, Some("expires_in")));
    assert_eq!(post("stop").json()["status"], "stopped");
    assert_eq!(world.bytes("DELETE", &format!("sandboxes/{id}"), &[], b"").status, 204);
    let gone = world.get(&format!("sandboxes/{id}"));
    assert_eq!((gone.status, error(&gone).0.as_str()), (404, "not_found"));
    assert_eq!(world.get("presets").json()["presets"].as_array().unwrap().len(), Preset::ALL.len());
    assert_eq!(world.get("images").json()["images"][0]["name"], "python:3");
}

#[test]
fn who_has_another_key_sees_nothing_and_who_has_none_nothing_at_all() {
    let world = World::with(TWO_KEYS);
    let (ann, bob) = ([JSON[0], ("x-api-key", "secret")], [JSON[0], ("authorization", "Bearer other")]);
    let made = world.bytes("POST", "codebases", &ann, b"{\"name\": \"x\"}").json();
    assert_eq!(made["owner_id"], "ann");
    let path = format!("codebases/{}", made["id"].as_str().unwrap());
    assert_eq!(world.bytes("GET", &path, &ann, b"").status, 200);
    for method in ["GET", "DELETE"] {
        let response = world.bytes(method, &path, &bob, b"");
        assert_eq!((response.status, error(&response).0.as_str()), (404, "not_found"));
    }
    assert_eq!(world.bytes("GET", "codebases", &bob, b"").json()["codebases"], json!([]));
    let response = world.bytes("GET", &path, &[("x-api-key", "wrong")], b"");
    assert_eq!(
        (response.status, error(&response).0.as_str(), response.header("www-authenticate")),
        (401, "unauthenticated", Some("Bearer"))
    );
}

#[test]
fn a_quota_is_said_to_be_one() {
    let world = World::with(TWO_KEYS);
    let ann = [JSON[0], ("x-api-key", "secret")];
    let waiting: Vec<_> =
        (0..2).map(|_| enclos_testkit::http::begin(&world.address, "POST", "/v1/agent/run", &ann, b"{\"command\": \"wait\"}")).collect();
    world.until(|agent| agent.running.load(std::sync::atomic::Ordering::SeqCst) == 2, "both run");
    let response = world.bytes("POST", "run", &ann, b"{\"command\": \"echo\"}");
    assert_eq!(
        (response.status, error(&response).0.as_str(), response.json()["error"]["retryable"].clone()),
        (429, "rate_limited", true.into())
    );
    assert!(response.header("retry-after").is_some());
    drop(waiting);
    world.idle();
    let quota = world.bytes("POST", "run", &ann, b"{\"command\": \"quota\"}");
    assert_eq!((quota.status, error(&quota).0.as_str()), (429, "quota_exceeded"));
}

#[test]
fn the_same_request_with_the_same_key_makes_one_thing() {
    let world = World::new();
    let send = |key: &str, body: &str| world.bytes("POST", "codebases", &[JSON[0], ("idempotency-key", key)], body.as_bytes());
    let (first, second) = (send("k", "{\"name\": \"x\"}"), send("k", "{\"name\": \"x\"}"));
    assert_eq!((first.status, second.status, &first.body), (201, 201, &second.body));
    assert_eq!((first.header("idempotent-replayed"), second.header("idempotent-replayed")), (None, Some("true")));
    let other = send("k", "{\"name\": \"y\"}");
    assert_eq!((other.status, error(&other).0.as_str()), (409, "idempotency_conflict"));
    assert_ne!(send("l", "{\"name\": \"x\"}").body, first.body);
    // What failed is tried again.
    assert_eq!((send("m", "{\"name\": \"\"}").status, send("m", "{\"name\": \"\"}").status), (400, 400));
    assert_eq!(error(&send("", "{\"name\": \"x\"}")).1.as_deref(), Some("Idempotency-Key"));
    assert_eq!(world.get("codebases").json()["codebases"].as_array().unwrap().len(), 2);
    let together: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| send("t", "{\"name\": \"t\"}").body)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(together.iter().all(|body| *body == together[0]));
}
