//! Whatever is sent, the server answers and lives.

use enclos_proto::prost::Message;
use enclos_proto::prost_types::{FileDescriptorSet, ServiceDescriptorProto};
use enclos_proto::sandbox_v1::DESCRIPTORS;
use enclos_testkit::http::request;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::world::World;

/// Every method there is.
fn methods() -> Vec<String> {
    let sets = [DESCRIPTORS, enclos_proto::agent_v1::DESCRIPTORS].map(|set| FileDescriptorSet::decode(set).unwrap());
    let files = sets.iter().flat_map(|set| &set.file);
    let services = files.flat_map(|file| file.service.iter().map(|service| (file.package(), service)));
    let of = |(package, service): (&str, &ServiceDescriptorProto)| {
        service.method.iter().map(|method| format!("/{package}.{}/{}", service.name(), method.name())).collect::<Vec<_>>()
    };
    services.flat_map(of).collect()
}

#[test]
fn any_bytes_as_a_message_or_a_body() {
    let world = World::new();
    let methods = methods();
    assert_eq!(methods.len(), 23);
    let cases = (0..methods.len(), prop::collection::vec(any::<u8>(), 0..200), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&cases, |(method, bytes, framed)| {
        let code = if framed { world.raw(&methods[method], &bytes) } else { world.raw_body(&methods[method], bytes) };
        prop_assert!((0..=16).contains(&code));
        Ok(())
    });
    tried.unwrap();
    assert!(world.exec(&world.sandbox(), "echo alive").is_ok());
}

/// Messages that are well-formed, with fields that are not: tag and value of each field by chance.
#[test]
fn any_fields_in_a_message() {
    let world = World::new();
    let methods = methods();
    let field = (1u32..14, 0u32..4, prop::collection::vec(any::<u8>(), 0..12), any::<u64>());
    let cases = (0..methods.len(), prop::collection::vec(field, 0..8));
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&cases, |(method, fields)| {
        let mut bytes = Vec::new();
        for (number, kind, data, value) in fields {
            use enclos_proto::prost::encoding::{WireType, encode_key, encode_varint};
            match kind {
                0 => {
                    encode_key(number, WireType::Varint, &mut bytes);
                    encode_varint(value, &mut bytes);
                }
                1 => {
                    encode_key(number, WireType::SixtyFourBit, &mut bytes);
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
                _ => {
                    encode_key(number, WireType::LengthDelimited, &mut bytes);
                    encode_varint(data.len() as u64, &mut bytes);
                    bytes.extend_from_slice(&data);
                }
            }
        }
        prop_assert!((0..=16).contains(&world.raw(&methods[method], &bytes)));
        Ok(())
    });
    tried.unwrap();
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec![
        "codebase_id",
        "codebaseId",
        "permissions",
        "permission",
        "type",
        "pattern",
        "priority",
        "labels",
        "resources",
        "memoryBytes",
        "expiresIn",
        "runtime",
        "command",
        "env",
        "timeout",
        "stdin",
        "workdir",
        "name",
        "ownerId",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
        prop::sample::select(vec!["read", "PERMISSION_READ", "1s", "-1s", "1.s", "cb_0123456789abcdef"]).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

#[test]
fn any_json_and_any_path() {
    let world = World::new();
    let sandbox = world.sandbox();
    let paths = prop_oneof![
        Just("/v1/sandboxes".to_owned()),
        Just("/v1/codebases".to_owned()),
        Just(format!("/v1/sandboxes/{sandbox}/exec")),
        Just(format!("/v1/sandboxes/{sandbox}/sessions")),
        "/v1/[a-z]{0,9}/[!-~&&[^ ]]{0,20}",
    ];
    let methods = prop::sample::select(vec!["GET", "POST", "DELETE", "PUT"]);
    let bodies = prop_oneof![json().prop_map(|value| value.to_string().into_bytes()), prop::collection::vec(any::<u8>(), 0..60)];
    let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&(methods, paths, bodies), |(method, path, body)| {
        let answer = request(&world.rest, method, &path, &[], &body);
        // A target that is none is refused before it reaches us.
        if answer.header("content-type").is_some() {
            let value = answer.json();
            prop_assert!(answer.status == 200 || value["code"].is_i64(), "{answer:?}");
            prop_assert!(answer.status != 500, "{answer:?}");
        } else {
            prop_assert_eq!(answer.status, 400);
        }
        Ok(())
    });
    tried.unwrap();
}
