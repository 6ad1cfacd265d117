//! Requests that work, for people and for tools that try a server.

use serde_json::{Value, json};

/// Requests that work.
pub(super) fn examples(shape: &str) -> Value {
    let shortest = json!({"language": "python", "source": "print(6 * 7)"});
    if shape == "BatchRequest" {
        return json!({"two": {"value": {"runs": [shortest, {"language": "python", "source": "print(1)"}]}}});
    }
    let judged = json!({
        "language": "python",
        "source": "print(sum(map(int, input().split())))",
        "run": {"limits": {"cpu_ms": 1000, "memory_bytes": 67_108_864}},
        "tests": [
            {"stdin": "1 2\n", "expected": "3\n", "points": 1, "subtask": "small"},
            {"stdin": "30000 4\n", "expected": "30004\n", "points": 2, "checker": {"kind": "exact"}},
        ],
        "stop_at_first_failure": true,
    });
    json!({"shortest": {"value": shortest}, "judged": {"value": judged}})
}
