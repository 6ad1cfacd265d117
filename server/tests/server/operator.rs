//! What an operator sees: health, readiness, metrics, logs, keys.

use serde_json::json;

use super::world::World;

#[test]
fn health_readiness_and_metrics_are_served() {
    let world = World::new();
    assert_eq!(world.request("GET", "/healthz", &[], b"").text(), "ok\n");
    assert_eq!(world.request("GET", "/readyz", &[], b"").text(), "ready\n");
    world.python("print(1)", json!({}));
    world.python("1 / 0", json!({}));
    for line in [
        "enclos_judge_jobs_total{verdict=\"OK\"} 1",
        "enclos_judge_jobs_total{verdict=\"RUNTIME_ERROR\"} 1",
        "enclos_queue_accepted_total 2",
        "enclos_queue_running 0",
        "enclos_queue_wait_seconds_count 2",
        "enclos_http_requests_total{route=\"/run\",method=\"POST\",status=\"200\"} 2",
    ] {
        // A worker counts a job as ended just after it gave its answer.
        world.until(|world| world.request("GET", "/metrics", &[], b"").text().lines().any(|found| found == line), line);
    }
    let kind = world.request("GET", "/metrics", &[], b"").header("content-type").map(str::to_owned);
    assert_eq!(kind.as_deref(), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
}

#[test]
fn with_keys_metrics_need_one_and_an_admin_address_does_not() {
    let config = tempfile::NamedTempFile::new().unwrap();
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&key, "secret\n").unwrap();
    let socket = tempfile::tempdir().unwrap();
    let socket = socket.path().join("admin.sock");
    std::fs::write(
        &config,
        format!("[server]\nadmin = [\"unix:{}\"]\n[[keys]]\nname = \"a\"\nfile = {:?}\n", socket.display(), key.path()),
    )
    .unwrap();
    let world = World::with(&["--config", config.path().to_str().unwrap()]);
    assert_eq!(world.request("GET", "/healthz", &[], b"").status, 200);
    for path in ["/metrics", "/languages"] {
        assert_eq!(world.request("GET", path, &[], b"").status, 401, "{path}");
        assert_eq!(world.request("GET", path, &[("x-api-key", "secret")], b"").status, 200, "{path}");
    }
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("enclos_queue_cores "), "{text}");
}

#[test]
fn logs_are_lines_of_json_where_that_is_asked_for() {
    let world = World::with(&["--set", "log.format=json", "--log", "debug"]);
    world.request("GET", "/", &[], b"");
    world.until(|world| world.log().contains("\"route\":\"/\""), "the request is logged");
    for line in world.log().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["level"].is_string() && value["message"].is_string(), "{line}");
    }
}
