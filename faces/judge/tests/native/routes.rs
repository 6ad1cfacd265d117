//! Every address: those of the OpenAPI document are served, and no others.

use serde_json::Value;

use super::world::{JSON, World, job, problem};

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// SHA-256 of `secret` and of `other`.
const KEYS: &str = r#"
[[keys]]
name = "ann"
sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
[[keys]]
name = "bob"
sha256 = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
"#;

#[test]
fn the_routes_are_those_of_the_document() {
    let world = World::new();
    let document = world.get("/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 8);
    for (path, operations) in paths {
        let known: Vec<&str> = METHODS.into_iter().filter(|method| operations.get(method.to_lowercase()).is_some()).collect();
        assert!(!known.is_empty(), "{path}");
        for method in METHODS {
            let address = path.replace("{token}", "00000000000000000000000000000000");
            let response = world.request(method, &address, &[], "");
            if known.contains(&method) {
                // Served, or refused for what it says; a problem of another kind than "no such address".
                assert_ne!(response.status, 405, "{method} {path}");
                let documented = &operations[method.to_lowercase()]["responses"][response.status.to_string()];
                assert!(documented.is_object(), "{method} {path}: {}", response.status);
                assert!(!response.text().contains("no such address"), "{method} {path}");
            } else {
                assert_eq!((response.status, &*problem(&response).0), (405, "method"), "{method} {path}");
                let allowed = response.header("allow").unwrap_or_default();
                assert!(known.iter().all(|known| allowed.contains(known)), "{method} {path}: {allowed}");
            }
        }
    }
}

#[test]
fn what_is_nowhere_is_said_to_be() {
    let world = World::new();
    for path in ["/v1", "/v1/", "/v1/run", "/v1/runs/", "/v1/runs/x/y/z", "/v1/languages/", "/v1/%ff"] {
        let response = world.get(path);
        assert_eq!((response.status, &*problem(&response).0), (404, "not-found"), "{path}");
    }
    for token in ["x", "%ff", "0000000000000000000000000000000G", "..%2f..%2fetc"] {
        for path in ["runs", "batches"] {
            let response = world.get(&format!("/v1/{path}/{token}"));
            assert_eq!((response.status, &*problem(&response).0), (404, "not-found"), "{path} {token}");
        }
    }
}

#[test]
fn languages_and_the_server_itself() {
    let world = World::new();
    let languages = world.get("/v1/languages").json();
    let keys: Vec<&str> = languages["languages"].as_array().unwrap().iter().map(|language| language["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["fake", "fakec", "missing"]);
    assert_eq!(languages["languages"][2]["available"], false);
    let info = world.get("/v1/info").json();
    assert_eq!((&info["api"], &info["features"]["async"]), (&"1".into(), &true.into()));
    assert_eq!(info["limits"]["run"]["cpu_ms"], 5000);
    assert_eq!((&info["queue"]["cores"], &info["queue"]["capacity"]), (&2.into(), &100.into()));
}

#[test]
fn where_there_are_keys_every_address_but_the_document_needs_one() {
    let world = World::with(KEYS);
    let document = world.get("/v1/openapi.json").json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|_| path != "/v1/openapi.json") {
            let address = path.replace("{token}", "00000000000000000000000000000000");
            for headers in [&[][..], &[("x-api-key", "wrong")]] {
                let response = world.request(&method.to_uppercase(), &address, headers, "");
                assert_eq!((response.status, &*problem(&response).0), (401, "key"), "{method} {path}");
                assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            }
        }
    }
    let headers = [JSON[0], ("authorization", "Bearer secret")];
    assert_eq!(world.request("POST", "/v1/runs", &headers, &job("print 1", "")).status, 200);
}

#[test]
fn a_token_is_worth_nothing_with_another_key() {
    let world = World::with(KEYS);
    let (ann, bob) = ([JSON[0], ("x-api-key", "secret")], [JSON[0], ("x-api-key", "other")]);
    let run: Value = world.request("POST", "/v1/runs?wait=false", &ann, &job("print 1", "")).json();
    let batch: Value = world.request("POST", "/v1/batches", &ann, &format!("{{\"runs\": [{}]}}", job("", ""))).json();
    for path in [format!("runs/{}", run["token"].as_str().unwrap()), format!("batches/{}", batch["token"].as_str().unwrap())] {
        let path = format!("/v1/{path}");
        for (method, address) in [("GET", path.clone()), ("DELETE", path.clone())] {
            let response = world.request(method, &address, &bob, "");
            assert_eq!((response.status, &*problem(&response).0), (404, "not-found"), "{method} {address}");
        }
        assert_eq!(world.request("GET", &path, &ann, "").status, 200);
    }
}
