//! Many runs, taken together or not at all.

use serde_json::Value;

use super::world::{World, job, problem};

fn batch(runs: &[String]) -> String {
    format!("{{\"runs\": [{}]}}", runs.join(", "))
}

#[test]
fn a_batch_is_accepted_whole_and_read_as_one() {
    let world = World::new();
    let sources = ["print 0", "exit 1", "break", "print 3"];
    let response = world.post("/v1/batches", &batch(&sources.map(|source| job(source, ""))));
    assert_eq!(response.status, 202, "{response:?}");
    let accepted = response.json();
    let token = accepted["token"].as_str().unwrap();
    assert_eq!(response.header("location"), Some(&*format!("/v1/batches/{token}")));
    let runs: Vec<&str> = accepted["runs"].as_array().unwrap().iter().map(|run| run["token"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), 4);
    let path = format!("/v1/batches/{token}");
    world.until(|world| world.get(&path).json()["ended"] == true, "the batch has ended");
    let record = world.get(&path).json();
    let told = |name: &str| record["runs"].as_array().unwrap().iter().map(|run| run[name].clone()).collect::<Vec<Value>>();
    assert_eq!(told("token"), runs);
    assert_eq!(told("status"), ["finished", "finished", "failed", "finished"]);
    assert_eq!(told("verdict"), [Value::from("OK"), "RUNTIME_ERROR".into(), Value::Null, "OK".into()]);
    assert_eq!(told("score"), [Value::from(1.0), 0.0.into(), Value::Null, 1.0.into()]);
    let last = world.record(runs[3]);
    assert_eq!((&last["batch"], &last["result"]["tests"][0]["run"]["stdout"]["data"]), (&token.into(), &"3\n".into()));
}

#[test]
fn one_bad_run_refuses_them_all_by_its_place() {
    let world = World::new();
    for (runs, status, field) in [
        (vec![], 422, Some("runs")),
        (vec![job("", ""), r#"{"language": "fake"}"#.to_owned()], 422, Some("runs[1].source")),
        (vec![job("", ""), r#"{"language": "nope", "source": ""}"#.to_owned()], 422, Some("runs[1].language")),
        (vec![job("", ""), job("", r#", "runs": 0"#)], 400, Some("runs[1].runs")),
        (vec!["5".to_owned()], 400, Some("runs[0]")),
    ] {
        let response = world.post("/v1/batches", &batch(&runs));
        let (_, detail, found) = problem(&response);
        assert_eq!((response.status, found.as_deref()), (status, field), "{runs:?}: {detail}");
        assert!(detail.starts_with(field.unwrap()), "{detail}");
    }
    for (many, says) in [(1001, "1 to 1000"), (103, "at most 102")] {
        let response = world.post("/v1/batches", &batch(&vec![job("", ""); many]));
        assert!(response.status == 422 && problem(&response).1.contains(says), "{response:?}");
    }
    assert_eq!(world.judge.begun.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn a_deleted_batch_is_gone_with_its_runs() {
    let world = World::new();
    let accepted = world.post("/v1/batches", &batch(&[job("wait", ""), job("wait", ""), job("wait", "")])).json();
    let path = format!("/v1/batches/{}", accepted["token"].as_str().unwrap());
    world.until(|world| world.running() == 2, "two run");
    assert_eq!(world.get(&path).json()["ended"], false);
    assert_eq!(world.request("DELETE", &path, &[], "").status, 204);
    world.until(|world| world.running() == 0 && world.queue.metrics().waiting == 0, "nothing runs or waits");
    assert_eq!((world.get(&path).status, world.request("DELETE", &path, &[], "").status), (404, 404));
    assert_eq!(world.get(&format!("/v1/runs/{}", accepted["runs"][0]["token"].as_str().unwrap())).status, 404);
}
