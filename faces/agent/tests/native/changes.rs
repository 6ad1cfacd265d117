//! Diff, commit, rollback, snapshots, forks.

use serde_json::json;

use super::world::{World, error};

#[test]
fn changes_are_told_committed_and_thrown_away() {
    let world = World::new();
    let id = world.sandbox();
    let at = |what: &str| format!("sandboxes/{id}/{what}");
    assert_eq!(world.bytes("POST", &at("commit"), &[], b"").json(), json!({"version": null, "changes": [], "dropped": []}));
    world.bytes("PUT", &at("files/a"), &[], b"1");
    world.bytes("PUT", &at("files/denied"), &[], b"22");
    let changes = world.get(&at("diff")).json()["changes"].clone();
    assert_eq!(changes[0], json!({"path": "a", "kind": "added", "what": "file", "size": 1, "mode": "0644", "denied": null}));
    let denied = world.bytes("POST", &at("commit"), &[], b"");
    assert_eq!(
        (denied.status, error(&denied).0.as_str(), &denied.json()["error"]["denied"][0]["path"]),
        (403, "commit_denied", &"denied".into())
    );
    let made = world.send("POST", &at("commit"), &json!({"drop_denied": true})).json();
    assert_eq!((&made["version"], &made["dropped"][0]["path"]), (&7.into(), &"denied".into()));
    world.bytes("PUT", &at("files/conflict"), &[], b"");
    let conflict = world.send("POST", &at("commit"), &json!({"drop_denied": true}));
    assert_eq!(
        (conflict.status, error(&conflict).0.as_str(), &conflict.json()["error"]["conflicts"][0]["path"]),
        (409, "commit_conflict", &"conflict".into())
    );
    assert_eq!(world.send("POST", &at("rollback"), &json!({"onto": 3, "end_processes": true})).json()["version"], 3);
    assert_eq!(world.get(&at("diff")).json()["changes"], json!([]));
}

#[test]
fn snapshots_and_forks() {
    let world = World::new();
    let id = world.sandbox();
    let snapshot = world.make(&format!("sandboxes/{id}/snapshots"), &json!(null))["id"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("sandboxes/{id}/snapshots")).json()["snapshots"][0]["id"], snapshot.as_str());
    assert_eq!(world.send("POST", &format!("sandboxes/{id}/restore"), &json!({"snapshot_id": snapshot})).status, 200);
    assert_eq!(world.bytes("DELETE", &format!("snapshots/{snapshot}"), &[], b"").status, 204);
    assert_eq!(world.bytes("DELETE", &format!("snapshots/{snapshot}"), &[], b"").status, 404);
    let fork = world.make(&format!("sandboxes/{id}/fork"), &json!(null));
    assert_eq!((&fork["status"], fork["id"] == id), (&"stopped".into(), false));
}
