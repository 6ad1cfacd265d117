use super::*;

const KEYS: &[Setting] = &[
    Setting { key: "name", kind: Kind::Text, default: "", help: "Who." },
    Setting { key: "concurrent", kind: Kind::Count(1, 100), default: "4", help: "How many." },
];
const RECORDS: &[Setting] = &[
    Setting { key: "server.listen", kind: Kind::Texts, default: "[\"127.0.0.1:1\"]", help: "Where." },
    Setting { key: "server.drain", kind: Kind::Span, default: "\"30s\"", help: "How long." },
    Setting { key: "server.open", kind: Kind::Flag, default: "false", help: "Whether." },
    Setting { key: "log.format", kind: Kind::Word(&["text", "json"]), default: "\"text\"", help: "How." },
    Setting { key: "log.file", kind: Kind::Path, default: "", help: "Where." },
    Setting { key: "judge.camisole.max-body-size", kind: Kind::Size, default: "50000000", help: "How large." },
    Setting { key: "keys", kind: Kind::Tables(KEYS), default: "", help: "Who may call." },
];

fn read(file: &str, pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Settings::read(&[RECORDS], file, &pairs).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn errors(file: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    read(file, pairs).expect_err("a fault")
}

#[test]
fn defaults_file_and_flags_lie_over_each_other() {
    let settings = read("", &[]).unwrap();
    assert_eq!(settings.texts("server.listen"), ["127.0.0.1:1"]);
    assert_eq!(settings.span("server.drain"), Some(Duration::from_secs(30)));
    assert_eq!(settings.size("judge.camisole.max-body-size"), Some(50_000_000));
    assert_eq!((settings.text("log.format"), settings.text("log.file"), settings.flag("server.open")), (Some("text"), None, false));
    assert!(settings.tables("keys").is_empty());

    let file = "[server]\ndrain = \"5s\"\nopen = true\n[judge.camisole]\nmax-body-size = \"1M\"\n[[keys]]\nname = \"a\"\n";
    let settings = read(file, &[("server.drain", "1m"), ("server.listen", "[::1]:1,unix:/x")]).unwrap();
    assert_eq!(settings.span("server.drain"), Some(Duration::from_secs(60)));
    assert!(settings.flag("server.open"));
    assert_eq!(settings.size("judge.camisole.max-body-size"), Some(1 << 20));
    assert_eq!(settings.texts("server.listen"), ["[::1]:1", "unix:/x"]);
    let keys = settings.tables("keys");
    assert_eq!((keys.len(), keys[0].text("name"), keys[0].count("concurrent")), (1, Some("a"), Some(4)));
}

#[test]
fn what_is_not_known_is_refused_with_the_nearest_key() {
    assert_eq!(errors("[server]\nlissten = []", &[]), ["server.lissten: unknown key: did you mean server.listen?"]);
    assert_eq!(errors("drain = \"1s\"", &[]), ["drain: unknown key: did you mean server.drain?"]);
    assert_eq!(errors("[sever]\nopen = true", &[]), ["sever.open: unknown key: did you mean server.open?"]);
    assert_eq!(errors("", &[("log.fromat", "json")]), ["log.fromat: unknown key: did you mean log.format?"]);
    assert_eq!(errors("[[keys]]\nname = \"a\"\nconcurent = 1", &[]), ["keys[0].concurent: unknown key: did you mean concurrent?"]);
}

#[test]
fn what_is_not_right_is_refused_with_what_would_be() {
    assert_eq!(errors("[log]\nformat = \"xml\"", &[]), ["log.format: \"xml\" is not right: write one of \"text\", \"json\""]);
    assert_eq!(errors("", &[("server.open", "maybe")]), ["server.open: \"maybe\" is not right: write true or false"]);
    assert_eq!(errors("[log]\nfile = \"x\"", &[]), ["log.file: \"x\" is not right: write an absolute path, in quotes"]);
    assert_eq!(errors("[server]\ndrain = 5", &[]), ["server.drain: 5 is not right: write a time span, e.g. \"500ms\" or \"2m\""]);
    assert_eq!(errors("server = 5", &[]), ["server: unknown key: did you mean server.open?"]);
    assert_eq!(
        errors("[[keys]]\nconcurrent = 0", &[]),
        ["keys[0].concurrent: 0 is not right: write a whole number from 1 to 100", "keys[0].name: missing: write a text, in quotes"]
    );
    assert_eq!(errors("keys = 3", &[]), ["keys: 3 is not right: write tables, each begun with its name in double brackets"]);
}

#[test]
fn every_fault_is_told_and_a_syntax_error_names_its_line() {
    assert_eq!(errors("[log]\nformat = 1\nfile = 2", &[("x", "y")]).len(), 3);
    let told = errors("[log]\nformat = ", &[]);
    assert!(told.len() == 1 && told[0].starts_with("line 2: "), "{told:?}");
}

#[test]
#[should_panic(expected = "no record of a setting \"server.nothing\"")]
fn a_key_that_no_record_has_is_a_fault_of_the_program() {
    let _ = read("", &[]).unwrap().text("server.nothing");
}

#[test]
fn the_page_names_every_key_once() {
    let page = page(&[RECORDS]);
    for record in RECORDS.iter().chain(KEYS) {
        let name = record.key.rsplit('.').next().unwrap();
        let cell = if matches!(record.kind, Kind::Tables(_)) { format!("## `[[{name}]]`") } else { format!("| `{name}` |") };
        assert_eq!(page.matches(&cell).count(), 1, "{cell}\n{page}");
    }
}
