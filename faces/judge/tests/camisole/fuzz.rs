//! Bodies that nobody would send.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::world::World;

/// One server for all: it must outlive every body.
static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A value that is somewhat like a request.
fn requests() -> impl Strategy<Value = serde_json::Value> {
    let keys = proptest::sample::select(vec![
        "lang",
        "source",
        "all_fatal",
        "compile",
        "execute",
        "tests",
        "time",
        "wall-time",
        "extra-time",
        "mem",
        "virt-mem",
        "stack",
        "fsize",
        "processes",
        "quota",
        "stdin",
        "name",
        "fatal",
        "exclude",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        proptest::sample::select(vec!["script", "compiled", "missing", "print 1", "1,1"]).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((keys.clone(), inner), 0..8)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

fn answers(path: &str, kind: &str, body: &[u8]) -> Result<(), TestCaseError> {
    let response = WORLD.request("POST", path, &[("content-type", kind), ("accept", "*/*")], body);
    prop_assert!(matches!(response.status, 200 | 400 | 413 | 500), "{:?}", response);
    let text = String::from_utf8_lossy(&response.body);
    prop_assert!(!text.contains("panicked") && !text.contains("Traceback") && !text.contains(".rs"), "{}", text);
    if response.status == 500 {
        prop_assert!(text.contains("Incorrect language"), "{}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_answered(
        path in proptest::sample::select(vec!["/run", "/languages", "/system", "/test"]),
        kind in proptest::sample::select(vec!["application/json", "application/msgpack"]),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        answers(path, kind, &body)?;
    }

    #[test]
    fn anything_like_a_request_is_answered(request in requests()) {
        answers("/run", "application/json", request.to_string().as_bytes())?;
        answers("/run", "application/msgpack", &rmp_serde::to_vec(&request).unwrap())?;
    }

    #[test]
    fn a_request_with_a_flipped_byte_is_answered(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut body = super::world::job("print 1", ", \"execute\": {\"time\": 1.5, \"stdin\": \"x\"}, \"tests\": [{}, {\"fatal\": true}]").into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        answers("/run", "application/json", &body)?;
    }
}
