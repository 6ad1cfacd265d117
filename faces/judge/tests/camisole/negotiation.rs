//! JSON and MessagePack.

use serde_json::json;

use super::world::{World, job};
use enclos_testkit::http::Response;

const PACKED: &str = "application/msgpack";

fn unpack(response: &Response) -> rmpv::Value {
    assert_eq!(response.header("content-type"), Some(PACKED), "{response:?}");
    rmpv::decode::read_value(&mut &response.body[..]).expect("MessagePack")
}

fn field<'a>(value: &'a rmpv::Value, name: &str) -> &'a rmpv::Value {
    let found = value.as_map().unwrap().iter().find(|(key, _)| key.as_str() == Some(name));
    &found.unwrap_or_else(|| panic!("no {name} in {value}")).1
}

fn stdout(response: &Response) -> rmpv::Value {
    field(&field(&unpack(response), "tests")[0], "stdout").clone()
}

fn pack(pairs: &[(&str, rmpv::Value)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let map = pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
    rmpv::encode::write_value(&mut bytes, &rmpv::Value::Map(map)).unwrap();
    bytes
}

#[test]
fn output_is_text_in_json_and_bytes_in_message_pack() {
    let world = World::new();
    let body = job("print dédé", "");
    let json = world.request("POST", "/run", &[("accept", "application/json")], body.as_bytes()).json();
    assert_eq!(json["tests"][0]["stdout"], "dédé\n");
    let packed = world.request("POST", "/run", &[("accept", PACKED)], body.as_bytes());
    assert_eq!(stdout(&packed), rmpv::Value::Binary("dédé\n".into()));
    let unpacked = unpack(&packed);
    let meta = field(&field(&unpacked, "tests")[0], "meta");
    assert_eq!((field(meta, "status").as_str(), field(meta, "time").as_f64()), (Some("OK"), Some(0.016)));
    assert_eq!(field(&unpacked, "success").as_bool(), Some(true));
}

#[test]
fn binary_output_goes_as_message_pack_where_that_is_accepted() {
    let world = World::new();
    let body = job("binary", "");
    for headers in
        [&[][..], &[("accept", "*/*")], &[("accept", "application/json, application/msgpack;q=0.1")], &[("accept", "application/*")]]
    {
        let response = world.request("POST", "/run", headers, body.as_bytes());
        assert_eq!((response.status, stdout(&response)), (200, rmpv::Value::Binary(vec![0xff, 0, b'\n'])), "{headers:?}");
    }
    let refused = world.request("POST", "/run", &[("accept", "application/json")], body.as_bytes());
    let told = "use 'Accept: application/msgpack' to be able to receive binary payloads";
    assert_eq!((refused.status, refused.json()), (406, json!({"success": false, "error": told})));
}

#[test]
fn nothing_acceptable_is_406_everywhere() {
    let world = World::new();
    for accept in ["text/html", "", "garbage;;q=x", "image/*"] {
        for (method, path, body) in
            [("POST", "/run", job("print 1", "")), ("GET", "/languages", String::new()), ("GET", "/system", String::new())]
        {
            let response = world.request(method, path, &[("accept", accept)], body.as_bytes());
            assert_eq!(response.status, 406, "{accept:?} {path}");
            assert_eq!(response.json()["success"], false);
        }
    }
}

#[test]
fn several_headers_are_one_list() {
    let headers = [("accept", "text/html"), ("accept", PACKED)];
    let response = World::new().request("POST", "/run", &headers, job("print 1", "").as_bytes());
    assert_eq!(stdout(&response), rmpv::Value::Binary(b"1\n".to_vec()));
}

#[test]
fn a_request_in_message_pack_carries_bytes() {
    let world = World::new();
    let tests = rmpv::Value::Array(vec![rmpv::Value::Map(vec![("stdin".into(), rmpv::Value::Binary(vec![0, 0xff]))])]);
    let source = rmpv::Value::Binary(b"cat".to_vec());
    let body = pack(&[("lang", "script".into()), ("source", source), ("tests", tests)]);
    let response = world.request("POST", "/run", &[("content-type", PACKED)], &body);
    assert_eq!(stdout(&response), rmpv::Value::Binary(vec![0, 0xff]));
    // Text output comes back as JSON through */*.
    let text = pack(&[("lang", "script".into()), ("source", "print x".into())]);
    assert_eq!(world.request("POST", "/run", &[("content-type", PACKED)], &text).json()["tests"][0]["stdout"], "x\n");
}

#[test]
fn errors_are_in_the_client_s_format_too() {
    let world = World::new();
    let response = world.request("POST", "/run", &[("content-type", PACKED), ("accept", PACKED)], &pack(&[("source", "x".into())]));
    let value = unpack(&response);
    assert_eq!(response.status, 200);
    assert_eq!(field(&value, "error").as_str(), Some("malformed payload: .lang: expected a string, got nothing"));
    let response = world.request("POST", "/run", &[("accept", PACKED)], br#"{"lang": "foobar", "source": "x"}"#);
    assert_eq!((response.status, field(&unpack(&response), "error").as_str()), (500, Some("Incorrect language foobar")));
}

#[test]
fn only_the_exact_content_type_is_message_pack() {
    let world = World::new();
    let body = job("print 1", "");
    for kind in ["application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", "application/msgpack; x=y", ""] {
        let response = world.request("POST", "/run", &[("content-type", kind)], body.as_bytes());
        assert_eq!(response.json()["tests"][0]["stdout"], "1\n", "{kind}");
    }
}
