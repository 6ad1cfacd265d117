//! Requests that work, for people and for tools that try a server. A test sends each of them.

use serde_json::{Value, json};

/// Requests that work.
pub(super) fn examples(shape: &str) -> Value {
    let rules =
        json!([{"pattern": "docs/**", "level": "write"}, {"pattern": "docs/final.md", "kind": "file", "level": "read", "priority": 10}]);
    let one = |value: Value| json!({"usual": {"value": value}});
    match shape {
        "NewCodebase" => one(json!({"name": "website"})),
        "NewSandbox" => json!({
            "shortest": {"value": {}},
            "usual": {"value": {"codebase_id": "cb_0000000000000001", "preset": "agent-safe", "rules": rules, "expires_in": "2h",
                "labels": {"task": "17"}, "network": "loopback", "env": {"LANG": "C.UTF-8"},
                "resources": {"memory": "512MiB", "cpu_quota": 100_000, "pids": 256}}},
        }),
        "SetRules" => one(json!({"preset": "read-only", "rules": rules, "end_processes": true})),
        "SetExpiry" => json!({"usual": {"value": {"expires_in": "30m"}}, "never": {"value": {"expires_in": null}}}),
        "ExecRequest" => json!({
            "usual": {"value": {"command": "echo hello", "timeout": "30s"}},
            "exact": {"value": {"argv": ["cat"], "stdin": {"data": "AP8=", "encoding": "base64"}, "env": {"A": "B"}, "workdir": "docs"}},
        }),
        "RunRequest" => one(json!({"command": "echo hello", "timeout": 10, "resources": {"memory": 67_108_864}})),
        "SessionExec" => one(json!({"command": "cd docs && export A=1", "timeout": "10s"})),
        "NewSession" => json!({
            "usual": {"value": {"shell": "/bin/sh", "env": {"A": "B"}}},
            "terminal": {"value": {"terminal": {"rows": 24, "cols": 80}}},
        }),
        "Commit" => one(json!({"drop_denied": true, "author": "agent"})),
        "Rollback" => one(json!({"onto": 1, "end_processes": true})),
        "Restore" => one(json!({"snapshot_id": "sn_0000000000000001", "end_processes": true})),
        _ => json!({}),
    }
}
