use hyper::HeaderMap;

use super::*;

const RECORDS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

fn keys(file: &str) -> Result<Keys, BadKeys> {
    Keys::from_settings(&Settings::read(&[RECORDS], file, &[]).unwrap())
}

fn headers(name: &'static str, value: &str) -> Head {
    HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]).into()
}

/// SHA-256 of `secret`.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

#[test]
fn a_key_is_found_in_each_of_its_places() {
    let keys = keys(&format!("[[keys]]\nname = \"a\"\nsha256 = \"{SECRET}\"")).unwrap();
    for headers in [
        headers("authorization", "Bearer secret"),
        headers("authorization", "bearer  secret"),
        headers("x-api-key", "secret"),
        headers("authorization", "Basic YW55OnNlY3JldA=="),
    ] {
        assert_eq!(&**keys.caller(&headers).unwrap().name(), "a", "{headers:?}");
    }
    assert_eq!(keys.caller(&Head::default()).unwrap_err(), Denied::Missing);
    for headers in [headers("authorization", "Bearer Secret"), headers("x-api-key", ""), headers("x-api-key", SECRET)] {
        assert_eq!(keys.caller(&headers).unwrap_err(), Denied::Unknown, "{headers:?}");
    }
    for odd in ["Bearer", "Basic !!!", "Basic YW55", "Digest x"] {
        assert_eq!(keys.caller(&headers("authorization", odd)).unwrap_err(), Denied::Missing, "{odd}");
    }
    assert!(!keys.is_open());
}

#[test]
fn a_file_holds_a_key() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "secret\n").unwrap();
    let keys = keys(&format!("[[keys]]\nname = \"a\"\nfile = {:?}", file.path())).unwrap();
    assert!(keys.caller(&headers("x-api-key", "secret")).is_ok());
}

#[test]
fn bad_keys_are_refused_by_name() {
    for (file, told) in [
        ("name = \"a\"".to_owned(), "keys: a: nobody is known by it: write sha256, file or certificates".to_owned()),
        ("name = \"a\"\nsha256 = \"12\"".to_owned(), "keys: a: sha256: \"12\" is not right: write 64 hexadecimal digits".to_owned()),
        (format!("name = \"\"\nsha256 = \"{SECRET}\""), "keys: : name: write one that is not empty and that no other key has".to_owned()),
        (
            format!("name = \"a\"\nsha256 = \"{SECRET}\"\n[[keys]]\nname = \"b\"\nsha256 = \"{SECRET}\""),
            "keys: b: another name has the same key".to_owned(),
        ),
    ] {
        assert_eq!(keys(&format!("[[keys]]\n{file}")).unwrap_err().to_string(), told);
    }
    let told = keys("[[keys]]\nname = \"a\"\nfile = \"/does/not/exist\"").unwrap_err().to_string();
    assert!(told.starts_with("keys: a: file: /does/not/exist: "), "{told}");
}

#[test]
fn no_keys_is_open() {
    let keys = keys("").unwrap();
    assert!(keys.is_open());
    assert_eq!(&**keys.admit(&Head::default()).unwrap().name(), "anonymous");
}

#[test]
fn requests_at_once_are_bounded_and_a_place_comes_back() {
    let caller = Arc::new(Caller::new("a".into(), 2, None));
    let now = Instant::now();
    let (first, _second) = (Arc::clone(&caller).admit(now).unwrap(), Arc::clone(&caller).admit(now).unwrap());
    let told = Arc::clone(&caller).admit(now).unwrap_err();
    assert_eq!(told.to_string(), "this key has 2 requests under way, and that is the limit; try again in 1 s");
    drop(first);
    assert!(caller.admit(now).is_ok());
}

#[test]
fn requests_a_minute_are_bounded_and_come_back_evenly() {
    let caller = Arc::new(Caller::new("a".into(), 9, Some(6)));
    let start = Instant::now();
    let admit = |after: u64| Arc::clone(&caller).admit(start + Duration::from_secs(after)).map(drop);
    for _ in 0..6 {
        admit(0).unwrap();
    }
    assert_eq!(admit(0).unwrap_err().retry_after(), Some(Duration::from_secs(10)));
    assert_eq!(admit(4).unwrap_err().retry_after(), Some(Duration::from_secs(6)));
    admit(11).unwrap();
    assert!(admit(11).is_err());
    for _ in 0..6 {
        admit(1000).unwrap();
    }
    assert!(admit(1000).is_err());
}
